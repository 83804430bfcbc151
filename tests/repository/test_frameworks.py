"""docs/frameworks.md, measured again: the same rows and words, and numbers that differ only by rounding.

Defaults and versions must be equal. Another processor rounds differently, so an error may be twice as large.
"""

import math
import re
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from itertools import zip_longest
from typing import Any

import pytest

for module in ("torch", "jax", "keras", "onnx"):  # Keras must not be imported before `twins` has set its backend to JAX
    if find_spec(module) is None:
        pytest.skip(f"{module} is not installed", allow_module_level=True)

from chainrule.functions.activations import ACTIVATIONS  # noqa: E402
from chainrule.functions.losses import LOSSES  # noqa: E402
from tests.frameworks import twins  # noqa: E402
from tests.frameworks.report import DOCUMENT, EXACT, document  # noqa: E402

pytestmark = pytest.mark.slow

NUMBER = re.compile(r"(?<![\w.`])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w`])")
SHOWN = DOCUMENT.read_text("utf-8")


@pytest.fixture(scope="module")
def measured() -> str:
    """The document as this machine measures it."""
    return document()


def is_near(shown: str, found: str) -> bool:
    """Whether two numbers are the same within a factor of 2."""
    x, y = float(shown), float(found)
    return x == y or (x * y > 0.0 and abs(math.log2(x / y)) <= 1.0)


def differences(shown: str, found: str) -> Iterator[str]:
    """The lines that differ, in both versions. In the sections EXACT every character counts."""
    is_exact = False
    for ours, theirs in zip_longest(shown.splitlines(), found.splitlines(), fillvalue=""):
        is_exact = ours in EXACT if ours.startswith("## ") else is_exact
        pairs = zip(NUMBER.findall(ours), NUMBER.findall(theirs), strict=False)
        same_words = NUMBER.sub("#", ours) == NUMBER.sub("#", theirs)
        if ours != theirs and (is_exact or not same_words or not all(is_near(*pair) for pair in pairs)):
            yield f"shown: {ours}\nfound: {theirs}"


def test_the_document_is_what_is_measured(measured: str) -> None:
    """Every row, every verdict and every number; `python -m tests.frameworks.report` writes it anew."""
    assert "\n".join(differences(SHOWN, measured)) == ""


@pytest.mark.parametrize(
    ("pattern", "lie"),
    [
        (r"all its digits", "0.5"),
        (r"finite, not infinite", "infinite"),
        (r"(?<=\| )NaN(?= \|)", "0"),
        (r"(?<=\| `leaky_relu` \| `negative_slope` \| )0\.01", "0.02"),
        (r"(?<=\| `)keras\.activations\.leaky_relu(?=\(a\))", "jax.nn.leaky_relu"),
        (r"divided by the number of samples", "divided by the number of outputs"),
        (r"(?<=PyTorch `)[\d.]+", "1.0.0"),
        (r"(?<=\| E = )∞", "NaN"),
        (r"\d\.\de-(?=\d+ \|\n)", "9.9e-1"),
        (r"(?m)^\| `gelu`.*\n", ""),
        (r"(?<=\| PyTorch \| activations \| )\d+", "35"),
    ],
)
def test_a_changed_table_is_detected(measured: str, pattern: str, lie: str) -> None:
    """A changed verdict, default, version or error, and a missing row, are differences."""
    reported, times = re.subn(pattern, lie, SHOWN, count=1)
    assert times == 1
    assert list(differences(reported, measured))


def test_the_last_digits_may_differ() -> None:
    """Differences of rounding are allowed."""
    assert list(differences("| `gelu` | 1.1e-13 |", "| `gelu` | 1.3e-13 |")) == []
    assert list(differences("| `gelu` | 1.1e-13 |", "| `gelu` | 3.3e-13 |")) != []


@pytest.mark.parametrize("framework", twins.FRAMEWORKS)
def test_every_row_of_the_tables_is_listed_for_every_framework(framework: str) -> None:
    """Each of our activations and losses is listed for every framework, and nothing else is."""
    rows = [*twins.ACTIVATIONS, *twins.VECTORS, *twins.LOSSES]
    with_twin = {row.name for row in rows if framework in row.calls}
    assert with_twin | twins.WITHOUT[framework] == {*ACTIVATIONS, *LOSSES}
    assert with_twin & twins.WITHOUT[framework] == set()


def onnx_defs() -> Any:
    """The operators that ONNX defines."""
    return import_module("onnx.defs")


def names_of(framework: str) -> set[str]:
    """The functions of a framework, in lower case and without underscores."""
    names = twins.namespace(framework)
    match framework:
        case "PyTorch":
            modules = [names["F"], names["torch"]]
        case "JAX":
            modules = [names["jax"].nn, names["jnp"], names["jax"].scipy.special]
        case "Keras":
            modules = [names["keras"].activations, names["keras"].losses, names["keras"].ops]
        case _:
            return {schema.name.lower() for schema in onnx_defs().get_all_schemas() if not schema.domain}
    return {name.lower().replace("_", "") for module in modules for name in dir(module)}


@pytest.mark.parametrize("framework", twins.FRAMEWORKS)
def test_a_row_listed_as_missing_is_missing_in_the_framework(framework: str) -> None:
    """If a framework adds a function with our name or alias, the test requires a row."""
    names = names_of(framework)
    found = {
        name
        for name in twins.WITHOUT[framework]
        for written in (name, *(ACTIVATIONS.get(name) or LOSSES[name]).aliases)
        if written.replace("_", "") in names
    }
    assert found - OF_ANOTHER_KIND == set()


OF_ANOTHER_KIND = {"quantile"}  # there it is a quantile of some numbers, not a loss
