"""The troubleshooting page: it has every entry of the table, and the pages of problems link to it."""

import re

import pytest
from flask.testing import FlaskClient
from markupsafe import escape

from service.configuration.limits import LIMITS
from service.configuration.settings import SETTINGS
from service.pages.troubleshooting import ENTRIES, Entry, entries_of
from service.problems import PROBLEMS, Problem

each_entry = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
SETTING_NAMES = {f"CHAINRULE_{setting.name}" for setting in SETTINGS}


def _section(page: str, name: str) -> str:
    return next(part for part in page.split("<section ") if part.startswith(f'id="{name}"'))


@each_entry
def test_the_page_has_every_entry(client: FlaskClient, entry: Entry) -> None:
    """Symptom, cause and remedy are under the entry's anchor."""
    answer = client.get("/troubleshooting")
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    section = _section(answer.text, entry.name)
    assert all(str(escape(text)) in section for text in (entry.symptom, entry.cause, entry.remedy))


@each_entry
def test_an_entry_names_settings_that_exist(entry: Entry) -> None:
    """Every setting that an entry names is a setting of the service."""
    named = set(re.findall(r"CHAINRULE_[A-Z_]*[A-Z]", f"{entry.symptom} {entry.cause} {entry.remedy}"))
    assert named <= SETTING_NAMES


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=lambda problem: problem.name)
def test_the_page_of_a_problem_links_to_its_entries(client: FlaskClient, problem: Problem) -> None:
    """It links to each of its entries, and to no other; each entry links back."""
    page = client.get(f"/problems/{problem.name}").text
    linked = re.findall(r'href="/troubleshooting#([\w-]+)"', page)
    assert linked == [entry.name for entry in entries_of(problem)]
    entries = client.get("/troubleshooting").text
    assert all(f'href="/problems/{problem.name}"' in _section(entries, name) for name in linked)


def test_every_problem_that_only_the_operator_can_solve_has_an_entry() -> None:
    """These are server errors, exceeded limits, missing keys and slow bodies."""
    operators = {problem for problem in PROBLEMS.values() if problem.status >= 500}
    operators |= {limit.problem for limit in LIMITS}
    operators |= {PROBLEMS["too-large"], PROBLEMS["unauthorized"], PROBLEMS["request-timeout"]}
    assert [problem.name for problem in operators if not entries_of(problem)] == []


def test_the_list_of_problems_links_to_the_troubleshooting_page(client: FlaskClient) -> None:
    """So operators find it without a problem document."""
    assert 'href="/troubleshooting"' in client.get("/problems").text
