"""What troubles whoever runs the service: page and document say what the rows say, and the problems lead there."""

import re

import pytest
from flask.testing import FlaskClient
from markupsafe import escape

from service.configuration.limits import LIMITS
from service.configuration.settings import SETTINGS
from service.pages.troubleshooting import TROUBLES, Trouble, troubles_of
from service.problems import PROBLEMS, Problem

each_trouble = pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.name)
SETTING_NAMES = {f"CHAINRULE_{setting.name}" for setting in SETTINGS}


def _section(page: str, name: str) -> str:
    return next(part for part in page.split("<section ") if part.startswith(f'id="{name}"'))


@each_trouble
def test_the_page_has_every_entry(client: FlaskClient, trouble: Trouble) -> None:
    """Under its anchor: symptom, cause and remedy."""
    answer = client.get("/troubleshooting")
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    section = _section(answer.text, trouble.name)
    assert all(str(escape(text)) in section for text in (trouble.symptom, trouble.cause, trouble.remedy))


@each_trouble
def test_an_entry_names_settings_that_exist(trouble: Trouble) -> None:
    """An operator who follows the remedy meets no unknown name."""
    named = set(re.findall(r"CHAINRULE_[A-Z_]*[A-Z]", f"{trouble.symptom} {trouble.cause} {trouble.remedy}"))
    assert named <= SETTING_NAMES


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=lambda problem: problem.name)
def test_a_problem_leads_to_its_entries(client: FlaskClient, problem: Problem) -> None:
    """Its page has a link to each entry of it, and to no other; the entry has one back."""
    page = client.get(f"/problems/{problem.name}").text
    linked = re.findall(r'href="/troubleshooting#([\w-]+)"', page)
    assert linked == [trouble.name for trouble in troubles_of(problem)]
    entries = client.get("/troubleshooting").text
    assert all(f'href="/problems/{problem.name}"' in _section(entries, name) for name in linked)


def test_what_is_refused_for_policy_or_load_has_an_entry() -> None:
    """Nobody but the operator can change what a deployment allows, or that it breaks."""
    operators = {problem for problem in PROBLEMS.values() if problem.status >= 500}
    operators |= {limit.problem for limit in LIMITS}
    operators |= {PROBLEMS["too-large"], PROBLEMS["unauthorized"], PROBLEMS["request-timeout"]}
    assert [problem.name for problem in operators if not troubles_of(problem)] == []


def test_the_list_of_problems_leads_to_the_page(client: FlaskClient) -> None:
    """So that it is found without a problem."""
    assert 'href="/troubleshooting"' in client.get("/problems").text
