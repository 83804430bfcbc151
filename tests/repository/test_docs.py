"""The documents, executed: every fenced block is run, posted or compared, and every table and link is checked.

python          is run; a `text output` that follows it is what it prints
json request    is posted to /v1/gradients; the `json answer` or `json problem` that follows is the answer
sh              is a list of make targets, or a curl command that is posted; a `markdown answer` may follow it, too
python FILE     is code to be put into a file: test_adding.py does it
c FILE          and other languages: is that file of examples/; test_check_programs.py runs it
"""

import contextlib
import io
import json
import math
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient
from markdown_it import MarkdownIt
from prometheus_client.parser import text_string_to_metric_families

from chainrule.diagnosis.mistakes import MISTAKES
from chainrule.functions.activations import ACTIVATIONS, Activation, activation_spec
from chainrule.functions.losses import LOSSES, Loss
from chainrule.functions.stable_pairs import STABLE_PAIRS
from service.api.examples import CHECK_EXAMPLES
from service.configuration.settings import RETIRED, SETTINGS
from service.pages.troubleshooting import ENTRIES
from service.problems import PROBLEMS
from tests.serving import BODY, post, serving

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
MARKDOWN = MarkdownIt("commonmark").enable("table")
ANSWERS = {"json answer": 200, "json problem": 422, "markdown answer": 200}
FOLLOWERS = {**dict.fromkeys(ANSWERS, ("json request", "sh")), "text output": ("python",)}
ENDPOINT = "/v1/gradients"
ENDPOINTS = {ENDPOINT, "/v1/explanations", "/v1/gradient-checks"}
CHECKS = "/v1/gradient-checks"
MALFORMED = 400
METRICS = ("metric", "labels", "what it counts")
CODE_PATH = re.compile(r"(?:chainrule|schemas|service|tests|requirements|docs)/[\w./-]*")


@dataclass(frozen=True)
class Fence:
    """A fenced block: its language and words, its text, its file and line."""

    info: str
    text: str
    page: Path
    line: int

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def _fences(page: Path) -> list[Fence]:
    tokens = MARKDOWN.parse(page.read_text("utf-8"))
    return [Fence(t.info.strip(), t.content, page, t.map[0] + 1) for t in tokens if t.type == "fence" and t.map]


FENCES = [fence for page in PAGES for fence in _fences(page)]
FOLLOWING = {a: b for a, b in pairwise(FENCES) if a.page == b.page and a.info in FOLLOWERS.get(b.info, ())}
PYTHON = [fence for fence in FENCES if fence.info == "python"]
REQUESTS = [fence for fence in FENCES if fence.info == "json request"]
CURLS = [fence for fence in FENCES if fence.info == "sh" and fence.text.startswith("curl")]
EXAMPLES = [fence for fence in FENCES if fence.info.partition(" ")[2].startswith("examples/")]
MAKES = [fence for fence in FENCES if fence.info == "sh" and not fence.text.startswith("curl")]


def _differences(shown: Any, real: Any, where: str = "#") -> Iterator[str]:
    """Where two JSON documents differ. Numbers may differ by 1e-12 of their size: BLAS may add in another order."""
    if isinstance(shown, dict) and isinstance(real, dict):
        for key in shown.keys() ^ real.keys():
            yield f"{where}/{key} is only {'shown' if key in shown else 'answered'}"
        for key in shown.keys() & real.keys():
            yield from _differences(shown[key], real[key], f"{where}/{key}")
    elif isinstance(shown, list) and isinstance(real, list) and len(shown) == len(real):
        for index, pair in enumerate(zip(shown, real, strict=True)):
            yield from _differences(*pair, f"{where}/{index}")
    elif type(shown) is type(real) is float:
        noise = where.endswith(("relative_error", "numeric"))  # rounding errors, which differ between machines
        if not math.isclose(shown, real, rel_tol=1e-12, abs_tol=1e-9 if noise else 1e-15):
            yield f"{where}: {shown} shown, {real} answered"
    elif shown != real or type(shown) is not type(real):
        yield f"{where}: {shown!r} shown, {real!r} answered"


JSON = {"Content-Type": "application/json"}


def _expect(
    client: FlaskClient, body: str, shown: Fence | None, path: str = ENDPOINT, given: Mapping[str, str] = JSON
) -> None:
    """Post a body, and compare the answer with the fence that follows, or expect success if there is none."""
    document = json.loads(shown.text) if shown and shown.info.startswith("json") else {}
    headers = dict(given) | ({"X-Request-ID": document["instance"]} if "instance" in document else {})
    answer = client.post(path, data=body.encode(), headers=headers)
    if shown and shown.info == "markdown answer":
        assert answer.text == shown.text
        return
    assert answer.status_code == document.get("status", 200), answer.text
    if shown:
        assert (shown.info == "json problem") == (answer.status_code >= MALFORMED)
        assert list(_differences(document, answer.get_json(force=True))) == []


@pytest.mark.parametrize("fence", PYTHON, ids=str)
def test_python_prints_what_the_page_shows(fence: Fence) -> None:
    """A reader who pastes the block sees the same output."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(fence.text, str(fence), "exec"), {})
    shown = FOLLOWING.get(fence)
    assert printed.getvalue() == (shown.text if shown else "")


@pytest.mark.parametrize("fence", REQUESTS, ids=str)
def test_a_request_gets_the_answer_that_the_page_shows(fence: Fence, client: FlaskClient) -> None:
    """Every key of the answer is shown, every number to 1e-12."""
    _expect(client, fence.text, FOLLOWING.get(fence))


@pytest.mark.parametrize("fence", CURLS, ids=str)
def test_a_curl_command_gets_the_answer_that_the_page_shows(fence: Fence, client: FlaskClient) -> None:
    """It is ready to paste: quoted for a shell, with the default address.

    It has no header that curl sends by itself.
    """
    words = shlex.split(fence.text)
    url = urlsplit(next(word for word in words if word.startswith("http")))
    default = next(setting.default for setting in SETTINGS if setting.name == "BIND")
    assert url.netloc == default
    if "-d" not in words:
        answer = client.get(f"{url.path}?{url.query}")
        assert list(_differences(json.loads(FOLLOWING[fence].text), answer.get_json(force=True))) == []
        return
    assert url.path in ENDPOINTS
    headers = dict(words[k + 1].split(": ") for k, word in enumerate(words) if word == "-H")
    assert {"Content-Type"} <= headers.keys() <= {"Content-Type", "Accept"}
    _expect(client, words[words.index("-d") + 1], FOLLOWING.get(fence), url.path, headers)


def test_the_readme_shows_a_curl_command() -> None:
    """So a reader can send a first request at once."""
    assert [fence for fence in CURLS if fence.page == ROOT / "README.md"]


@pytest.mark.parametrize("fence", MAKES, ids=str)
def test_a_make_target_that_is_named_exists(fence: Fence) -> None:
    """`make faults` in a page is a target of the Makefile."""
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for line in fence.text.splitlines():
        command, target = line.split()
        assert command == "make"
        assert target in targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_make_target_in_a_sentence_exists(page: Path) -> None:
    """`make faults` in a paragraph or a table is a target of the Makefile, too."""
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = re.findall(r"`make (\w+)`", page.read_text("utf-8"))
    assert set(named) <= targets


@pytest.mark.parametrize("fence", FENCES, ids=str)
def test_no_fence_goes_unchecked(fence: Fence) -> None:
    """Every fence is executed, or follows one that is."""
    if fence.info in FOLLOWERS:
        assert fence in FOLLOWING.values()
    else:
        assert fence.info in {"python", "json request", "sh"} or fence in EXAMPLES or fence.page.name == "adding.md"


@pytest.mark.parametrize("fence", EXAMPLES, ids=str)
def test_a_program_on_a_page_is_the_file_of_that_name(fence: Fence) -> None:
    """So the tested program is the printed one."""
    assert (ROOT / fence.info.partition(" ")[2]).read_text("utf-8") == fence.text


def test_the_table_of_mistakes_is_the_codes() -> None:
    """Every cause with its words and the fitted number, in the code's order."""
    real = [[mistake.cause, mistake.words, mistake.fits] for mistake in MISTAKES]
    assert _rows("docs/check-your-backprop.md", "cause", "what goes wrong", "fitted") == real


def test_the_page_on_checks_quotes_the_answer(client: FlaskClient) -> None:
    """The verdict and the detail for the well-known wrong number."""
    text = " ".join((ROOT / "docs/check-your-backprop.md").read_text("utf-8").split())
    answer = client.post(CHECKS, json=CHECK_EXAMPLES[0]["request"]).get_json()
    assert f'"{answer["verdict"]}"' in text
    assert [f'"{diagnosis["detail"]}"' in text for diagnosis in answer["diagnoses"]] == [True]


def _tables(page: str) -> Iterator[list[list[str]]]:
    """Every table of a page, as rows of cell texts; the first row is the header."""
    rows: list[list[str]] = []
    for before, token in pairwise(MARKDOWN.parse((ROOT / page).read_text("utf-8"))):
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline" and before.type in {"th_open", "td_open"}:
            rows[-1].append(token.content.replace("`", ""))
        elif token.type == "table_close":
            yield rows
            rows = []


def _rows(page: str, *header: str) -> list[list[str]]:
    """The rows of the table with this header."""
    return next(rows for first, *rows in _tables(page) if first == list(header))


def test_the_table_of_settings_is_the_codes() -> None:
    """Every setting with its default, bounds and meaning, in the code's order, without numbers of this machine."""
    words = {str(True): "on", str(False): "off", "": "none", "()": "none"}
    real = []
    for row in SETTINGS:
        default = row.default_words or words.get(str(row.default), str(row.default))
        real.append([f"CHAINRULE_{row.name}", default, row.kind.allowed, row.meaning])
    assert _rows("docs/configuration.md", "setting", "default", "allowed", "meaning") == real


def test_the_table_of_retired_settings_is_the_codes() -> None:
    """Every retired name, and what replaces it."""
    real = [[f"CHAINRULE_{name}", instead] for name, instead in RETIRED.items()]
    assert _rows("docs/deployment.md", "retired setting", "what takes its place") == real


def test_the_table_of_problems_is_the_codes() -> None:
    """Every type with its status, meaning and remedy, in the code's order."""
    real = [[str(problem.status), problem.name, problem.explanation, problem.remedy] for problem in PROBLEMS.values()]
    assert _rows("docs/errors.md", "status", "type", "meaning", "what helps") == real


def test_the_table_of_metrics_is_the_services(tmp_path: Path) -> None:
    """Every metric family of a new service, with its labels, in any order."""
    with serving(tmp_path / "log") as server, server.connection() as connection:
        assert [post(connection, body)[0] for body in (BODY, b"{}", b" " * (2**25 + 1))] == [200, 422, 413]
        families = list(text_string_to_metric_families(server.admin("/metrics")[1]))
    real = {}
    for family in families:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        real[name] = sorted(labels)
    shown = {
        name: sorted(filter(None, labels.split(", "))) for name, labels, _ in _rows("docs/operations.md", *METRICS)
    }
    assert shown == real


def test_the_table_of_troubleshooting_is_the_codes() -> None:
    """Every entry with symptom, cause and remedy, in the code's order."""
    real = [[entry.name, entry.symptom, entry.cause, entry.remedy] for entry in ENTRIES]
    assert _rows("docs/troubleshooting.md", "entry", "symptom", "cause", "remedy") == real


def test_the_table_of_stable_pairs_is_the_codes() -> None:
    """Every pair of loss and activation with a closed form."""
    assert _rows("docs/numbers.md", "loss", "activation") == [list(pair) for pair in STABLE_PAIRS]


def _parameters(row: Activation | Loss) -> str:
    """Each parameter with its default in four digits: "alpha 1"."""
    defaults = ((parameter.name, parameter.default) for parameter in row.parameters)
    shown = (
        (name, f"{default:.4g}" if isinstance(default, float) else default or "none") for name, default in defaults
    )
    return ", ".join(f"{name} {default}" for name, default in shown)


def test_the_table_of_activations_is_the_codes() -> None:
    """Names and aliases, parameters, what it acts on, where its kinks are."""
    real = [
        [
            ", ".join((row.name, *row.aliases)),
            _parameters(row),
            "a unit" if row.elementwise else "a group",
            ", ".join(f"{kink.at:.4g}" for kink in activation_spec(row.name).kinks()),
        ]
        for row in ACTIVATIONS.values()
    ]
    assert _rows("docs/catalogue.md", "name", "parameters and their defaults", "acts on", "kinks at") == real


def _targets(loss: Loss) -> str:
    if loss.class_indices:
        return "class indices"
    if loss.outputs_per_target > 1:
        return "one for each pair of outputs"
    if loss.target_values:
        return " or ".join(f"{value:g}" for value in loss.target_values)
    lowest, highest = loss.target_range or (-math.inf, math.inf)
    return (
        "any"
        if lowest == -math.inf
        else f"at least {lowest:g}"
        if highest == math.inf
        else f"{lowest:g} to {highest:g}"
    )


def test_the_table_of_losses_is_the_codes() -> None:
    """Names and aliases with their reduction, parameters, targets, what the mean is over, the stable partners."""
    real = [
        [
            ", ".join([loss.name, *(f"{alias} ({reduction})" for alias, reduction in loss.aliases.items())]),
            _parameters(loss),
            _targets(loss),
            f"{loss.per}s",
            ", ".join(activation for name, activation in STABLE_PAIRS if name == loss.name),
        ]
        for loss in LOSSES.values()
    ]
    header = ("name", "parameters and their defaults", "targets", "mean over", "closed form with")
    assert _rows("docs/catalogue.md", *header) == real


def test_the_changelog_counts_right() -> None:
    """Its numbers of activations, losses and pairs are those of the tables."""
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert f"{len(ACTIVATIONS)} activations and {len(LOSSES)} losses" in changes
    assert (len(STABLE_PAIRS), "twelve pairs" in changes) == (12, True)


def _links(page: Path) -> Iterator[str]:
    for token in MARKDOWN.parse(page.read_text("utf-8")):
        yield from (str(child.attrs["href"]) for child in token.children or () if child.type == "link_open")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_link_leads_to_a_file(page: Path) -> None:
    """Links between the pages are relative and lead somewhere; others are https."""
    for link in _links(page):
        assert link.startswith("https://") or (page.parent / link.partition("#")[0]).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_path_into_the_code_exists(page: Path) -> None:
    """`chainrule/functions/jacobian.py` in a page is a file of the repository; `*` stands for some."""
    for token in MARKDOWN.parse(page.read_text("utf-8")):
        for child in token.children or ():
            if child.type == "code_inline" and CODE_PATH.match(child.content):
                assert list(ROOT.glob(child.content.rstrip("/"))), child.content
