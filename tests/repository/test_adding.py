"""docs/adding.md, executed: its code is put into a copy of the repository, and the tests and the service run there.

The text of a fence `python FILE` goes to the end of the file, of `python FILE TABLE` to the beginning of the table, of
`python FILE above WORDS` above the first line that begins with the words, indentation and backticks left out.
`markdown FILE` is the same for a document.
"""

import json
import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.faults.plant import copy_of_the_tree, run, run_tests

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "adding.md"
STEPS = [
    (token.info.split(maxsplit=2)[1:], token.content)
    for token in MarkdownIt().parse(PAGE.read_text("utf-8"))
    if token.type == "fence" and token.info.startswith(("python ", "markdown "))
]
JUDGED = (
    "tests/chainrule/functions/test_digits.py",
    "tests/chainrule/functions/test_formulas.py",
    "tests/service/api/test_against_pytorch.py",
)
TABLES = (
    "tests/chainrule/functions/test_activations.py",
    "tests/chainrule/functions/test_losses.py",
    "tests/service/api/test_curve.py",
    "tests/chainrule/derivation/test_explain.py",
    "tests/repository/test_house.py",
)
DOCUMENTED = ("tests/service/api/test_openapi.py", "tests/service/api/test_contract.py")
SERVED = (
    "tests/service/api/test_routes.py",
    "tests/service/configuration/test_limits.py",
    "tests/service/configuration/test_settings.py",
    "tests/service/pages/test_troubleshooting.py",
    "tests/repository/test_docs.py",
)
CHANGED = "stable_pairs or json_strings or JSON_STRINGS or forbidden or link or settings or problems or published"
SELECTED = (
    "(bent_identity or soft_margin or complete or house) and not registry"  # that test needs git, which is not copied
)
ASKED = """
import json
from service.app import create_app
client = create_app().test_client()
network = {"layers": [{"activation": "bent_identity", "weights": [[0.75]]}]}
body = {"network": network, "inputs": [1.0], "targets": [TARGET], "loss": "soft_margin", "breakdown": "per_unit"}
paths = ["/v1/activations/bent_identity", "/v1/activations/bent_identity/curve?points=3&from=-1&to=1",
         "/v1/losses/soft_margin"]
answers = [client.get(path) for path in paths]
answers += [client.post("/v1/gradients", json=body | change) for change in CHANGES]
print(json.dumps([[answer.status_code, answer.get_json(force=True)] for answer in answers]))
"""


@pytest.fixture(scope="module")
def added(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository in which every step of the page has been done."""
    copy = copy_of_the_tree(tmp_path_factory.mktemp("adding"))
    for (name, *where), code in STEPS:
        file = copy / name
        file.write_text(_with_step(file.read_text("utf-8"), where, code), "utf-8")
    return copy


def _with_step(text: str, where: list[str], code: str) -> str:
    if not where:
        return f"{text}\n\n{code}"
    if where[0].startswith("above "):
        return _with_lines_above(text, where[0].removeprefix("above "), code)
    return _with_row(text, where[0], code)


def _with_lines_above(text: str, words: str, code: str) -> str:
    lines = text.splitlines(keepends=True)
    found = [number for number, line in enumerate(lines) if line.replace("`", "").lstrip().startswith(words)]
    assert found, f"no line begins with {words}"
    return "".join([*lines[: found[0]], code, *lines[found[0] :]])


def _with_row(text: str, table: str, row: str) -> str:
    opening = re.search(rf"^{table}\b[^\n]*[\[{{(](  #[^\n]*)?\n( +\[\n)?", text, re.MULTILINE)
    assert opening, f"no table {table}"
    return text[: opening.end()] + row + text[opening.end() :]


def test_the_added_rows_pass_the_tests_over_the_tables(added: Path) -> None:
    """Digits by mpmath, LaTeX by evaluation, networks by PyTorch, kinks, curve, style: all know the new rows."""
    pytest.importorskip("torch")
    found = run_tests(added, JUDGED + TABLES, "-k", SELECTED, "-rN")
    assert found.returncode == 0, found.stdout[-3000:]
    assert int(re.search(r"(\d+) passed", found.stdout)[1]) >= 20  # type: ignore[index]


def test_the_openapi_document_follows(added: Path) -> None:
    """The new document has a schema for each new row, which is an addition to the published contract."""
    assert run(added, "-m", "tests.contract.document").returncode == 0
    schemas = json.loads((added / "docs" / "openapi.json").read_text("utf-8"))["components"]["schemas"]
    assert {"BentIdentityActivation", "ResolvedBentIdentityActivation", "SoftMarginLoss"} <= schemas.keys()
    selected = f"{CHANGED} or bent_identity or soft_margin or document or row or published or example"
    found = run_tests(added, DOCUMENTED, "-k", selected, "-rN")
    assert found.returncode == 0, found.stdout[-3000:]


def test_settings_problems_endpoints_and_limits_pass_the_tests_over_their_tables(added: Path) -> None:
    """Bounds, pages, links, GET /v1/limits, and the tables of the documents."""
    found = run_tests(added, SERVED, "-k", f"({CHANGED}) and not metrics", "-rN")
    assert found.returncode == 0, found.stdout[-3000:]
    assert int(re.search(r"(\d+) passed", found.stdout)[1]) >= 20  # type: ignore[index]


@pytest.mark.parametrize("judge", ["tests/judges/reference.py", "tests/judges/torch_judge.py"])
def test_a_row_without_its_judge_fails(added: Path, judge: str) -> None:
    """The tests over the table require a judge for each row."""
    pytest.importorskip("torch")
    file = added / judge
    judged = file.read_text("utf-8")
    try:
        file.write_text(judged.replace('"bent_identity"', '"bent_identities"'), "utf-8")
        found = run_tests(added, JUDGED, "-x", "-k", "bent_identity or row or table or catalogue")
        assert (found.returncode, "bent_identity" in found.stdout) == (1, True)
    finally:
        file.write_text(judged, "utf-8")


def test_the_service_knows_the_added_rows(added: Path) -> None:
    """By hand for a = 0.75: √(a² + 1) = 1.25, o = 0.125 + 0.75, do/da = 0.75 / 2.5 + 1 = 1.3."""
    script = ASKED.replace("TARGET", "1.0").replace("CHANGES", '[{}, {"targets": [0.5]}, {"loss": "soft_margins"}]')
    row, curve, loss, answer, refused, misspelt = json.loads(run(added, "-c", script).stdout)
    assert (row[0], row[1]["title"], loss[1]["target_values"]) == (200, "Bent identity", [-1.0, 1.0])
    assert curve[1]["do_da"][1] == 1.0
    (layer,) = answer[1]["layers"]
    assert (answer[0], layer["o"], layer["factors"]["do_da"]) == (200, [0.875], [pytest.approx(1.3, rel=1e-15)])
    assert refused[1]["errors"] == [{"pointer": "#/targets/0", "detail": "must be -1 or 1 for soft_margin"}]
    assert misspelt[1]["errors"][0]["detail"] == '"soft_margins" is not known; did you mean "soft_margin"?'
