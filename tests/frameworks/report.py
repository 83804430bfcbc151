"""Writes docs/frameworks.md from measurements: `python -m tests.frameworks.report`. It contains no results itself."""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.frameworks import measure, twins
from tests.frameworks.measure import Finding, Kink, Link, plain
from tests.frameworks.twins import FRAMEWORKS, OURS, Row
from tests.judges.reference import JUDGE, Real

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "frameworks.md"
NO_NUMBER = {"NaN", "infinite"}
DEFAULTS = "## Defaults and definitions that differ"
EXACT = ("## In short", DEFAULTS)  # sections in which no digit may differ

INTRODUCTION = """\
# Frameworks

The same network does not give the same numbers in every framework. This page lists where PyTorch, JAX, Keras 3 and
ONNX compute an activation or a loss differently from its mathematical definition, and differently from each other. It
is for people who move a network from one framework to another. The page is generated: all numbers and verdicts were
measured, in float64 on a CPU, and compared with [mpmath](https://mpmath.org) at hundreds of digits.
`tests/frameworks/twins.py` has the calls, `tests/frameworks/measure.py` the points. Chainrule is measured by the same
code, and has rows where it is wrong.

Versions: {versions}.
Keras uses JAX here. ONNX defines no derivatives, and its values are those of its reference evaluator; a runtime may
be better or worse. JAX has no losses, so its few rows are losses as its users write them.

A number is called wrong if it differs from the true number by more than {ulps} units in the last place (ulp). True
numbers below 2.2e-308 count as 0, because it is a setting of the processor whether it keeps them. If the true number
is 0, numbers up to {zero:.2g} are accepted. The tables contain only rows in which something is wrong or differs. A
row shows the worst point, the true number there and the number that the framework returned. If a framework returns
NaN or ∞ at one point and a wrong number at another, it has a row for each.
"""


EDGES = """\
The points are at the edges of the domain of each loss: outputs of 0 and 1, targets of 0, residuals of 0 and above
1e150, large scores and logits. The loss of one sample:
"""
KINKS = """\
A function has no derivative at a corner or a jump, and each framework takes some number. None of them is right or
wrong, but a unit exactly at the kink may learn in one framework and not in another. The table has the points at which
the frameworks differ; for a loss, only the first of them.
"""
PARTS = """\
The output of a saturated unit has lost information that the loss needs: o rounds to 1, and 1 - o is 0. The activation
and the loss can be computed as two functions, or by one call that is given a. A cell has the quantities that are
wrong, with the relative error in brackets if it is below a tenth. An empty cell means that nothing is wrong. The
column of {ours} is what its backpropagation computes for the activation and the loss, the same in both tables.
"""


# Words and numbers.


def number(x: float | Real) -> str:
    """Six digits; NaN and ∞ as they are written."""
    if JUDGE.isnan(x):
        return "NaN"
    if JUDGE.isinf(x):
        return "∞" if x > 0 else "-∞"
    return f"{float(x) + 0.0:.6g}" if float(x) or not x else str(JUDGE.nstr(x, 6))


def off_by(finding: Finding) -> str:
    """The relative error of a number in two digits, or what kind of wrong number it is."""
    words = {"NaN": "no number", "infinite": "infinite", "finite": "finite, not infinite", "0": "all its digits"}
    return words.get(finding.fault) or (f"{finding.error:.2g}" if finding.error < float("inf") else "not 0")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table, or a sentence if it has no rows."""
    body = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    if not body:
        return ["Nothing was found.", ""]
    return ["| " + " | ".join(header) + " |", "|" + "---|" * len(header), *body, ""]


def listed(words: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


# What is measured, once.


def _by_row(rows: Sequence[Row], find: Callable[[Row], Iterator[Any]]) -> dict[Row, list[Any]]:
    return {row: list(find(row)) for row in rows}


@functools.cache
def elementwise() -> dict[Row, list[Finding]]:
    """The findings of every elementwise activation."""
    return _by_row(twins.ACTIVATIONS, measure.elementwise_findings)


@functools.cache
def vectors() -> dict[Row, list[Finding]]:
    """The findings of every activation of a group."""
    return _by_row(twins.VECTORS, measure.vector_findings)


@functools.cache
def losses() -> dict[Row, list[Finding]]:
    """The findings of every loss."""
    return _by_row(twins.LOSSES, measure.loss_findings)


# The sections.


def _worst(findings: Iterable[Finding]) -> Iterator[tuple[str, list[Finding], Finding]]:
    """The frameworks that are wrong in the same way, all their findings, and the worst finding."""
    alike: dict[tuple[str, bool], list[Finding]] = {}
    for finding in findings:
        alike.setdefault((finding.framework, finding.fault in NO_NUMBER), []).append(finding)
    merged: dict[tuple[str, str], list[str]] = {}
    ways = {}
    for (framework, _), own in alike.items():
        worst = max(own, key=lambda finding: finding.badness)
        place = worst.where, number(worst.given)
        merged.setdefault(place, []).append(framework)
        ways.setdefault(place, (own, worst))
    for place, frameworks in merged.items():
        yield ", ".join(frameworks), *ways[place]


def reach(findings: Sequence[Finding]) -> str:
    """From where to where an elementwise function is wrong, on either side of 0."""
    places = [float(finding.where.removeprefix("a = ")) for finding in findings]
    sides = [[a for a in places if a < 0], [a for a in places if a == 0], [a for a in places if a > 0]]
    spans = [(min(side), max(side)) for side in sides if side]
    return ", ".join(plain(low) if low == high else f"{plain(low)} to {plain(high)}" for low, high in spans)


def digits_section(quantity: str) -> Iterator[str]:
    """Values, or derivatives, of activations that are wrong."""
    header = ("function", "framework", "wrong for a from", "worst at", "true", "returned", "off by")
    rows = []
    for row, findings in elementwise().items():
        for who, own, worst in _worst(f for f in findings if f.quantity == quantity):
            cells = (reach(own), worst.where, number(worst.right), number(worst.given), off_by(worst))
            rows.append((f"`{row}`", who, *cells))
    yield from table(header, rows)
    yield "Activations of a group of three units:"
    yield ""
    header = ("function", "framework", "worst at", "true", "returned", "off by")
    yield from table(header, _plain_rows(vectors(), quantity))


def _plain_rows(findings: Mapping[Row, list[Finding]], quantity: str) -> Iterator[tuple[str, ...]]:
    for row, found in findings.items():
        for who, _, worst in _worst(f for f in found if f.quantity == quantity):
            yield f"`{row}`", who, worst.where, number(worst.right), number(worst.given), off_by(worst)


def losses_section() -> Iterator[str]:
    """Losses and their derivatives that are wrong."""
    yield EDGES
    header = ("loss", "framework", "worst at", "true", "returned", "off by")
    yield from table(header, _plain_rows(losses(), "value"))
    yield "The derivative with respect to an output:"
    yield ""
    yield from table(header, _plain_rows(losses(), "derivative"))


def _differs(kink: Kink) -> bool:
    return len({number(slope) for slope in kink.taken.values()}) > 1


def kinks_section() -> Iterator[str]:
    """The kinks at which the frameworks take different derivatives."""
    found = [kink for row in twins.ACTIVATIONS for kink in measure.activation_kinks(row)]
    shown = list(filter(_differs, found))
    for row in twins.LOSSES:
        of_loss = list(measure.loss_kinks(row))
        shown += list(filter(_differs, of_loss))[:1]
        found += of_loss
    names = [name for name in (*FRAMEWORKS, OURS) if any(name in kink.taken for kink in found)]
    rows = [
        (
            f"`{kink.row}`",
            kink.where,
            " and ".join(map(number, kink.sides)),
            *(number(kink.taken[name]) if name in kink.taken else "" for name in names),
        )
        for kink in shown
    ]
    yield KINKS
    yield from table(("function", "at", "true slopes beside it", *names), rows)


def _cell(pair: Sequence[Link], framework: str) -> str:
    """The results of a framework for E and dE/da that are wrong."""
    words = []
    for link in pair:
        fault = link.faults()[framework]
        if fault:
            off = f" ({fault[1]:.1g} off)" if fault[0] == "digits" and fault[1] < 0.1 else ""
            words.append(f"{link.quantity} = {number(link.given[framework])}{off}")
    return "; ".join(words)


def chains_section() -> Iterator[str]:
    """An activation and a loss one after the other, and in one call."""
    yield PARTS.format(ours=OURS).rstrip()
    for chain in twins.CHAINS:
        found = list(measure.links(chain))
        names = [*chain.calls, OURS]
        rows = []
        for pair in zip(found[::2], found[1::2], strict=True):
            cells = [_cell(pair, name) for name in names]
            if any(cells):
                rows.append((pair[0].where, *(number(link.right) for link in pair), *cells))
        yield ""
        yield f"### {chain.title[0].upper()}{chain.title[1:]}"
        yield ""
        yield from [f"- {framework}: `{call}`" for framework, call in chain.calls.items()]
        yield ""
        yield from table(("at", "true E", "true dE/da", *names), rows)[:-1]
    yield ""


def defaults_section() -> Iterator[str]:
    """Defaults and definitions."""
    places = list(dict.fromkeys(place for row in twins.DEFAULTS for place in row.places))
    header = [OURS, *sorted(places, key=lambda place: FRAMEWORKS.index(place.partition(" ")[0]))]
    rows = []
    for row in twins.DEFAULTS:
        found = measure.defaults(row)
        if len(set(found.values())) > 1 or OURS not in found:
            rows.append((f"`{row.name}`", f"`{row.parameter}`", *(found.get(place, "") for place in header)))
    yield "Parameters whose defaults differ, or that Chainrule does not have. An empty cell means no such parameter."
    yield ""
    yield from table(("function", "parameter", *header), rows)
    yield "These functions, called without any parameter, differ from Chainrule's function of the same name:"
    yield ""
    bare = [(f"`{d.name}`", f"`{d.call}`", d.where, number(d.right), number(d.given)) for d in measure.definitions()]
    yield from table(("function", "call", "worst at", "Chainrule", "returned"), bare)
    yield from _reductions()


def _reductions() -> Iterator[str]:
    yield "The result of a loss of 2 samples and 3 outputs, called without any parameter:"
    yield ""
    rows = []
    for reduced in twins.REDUCED:
        where = "" if all(abs(sum(o) - 1) < 1e-9 for o in reduced.outputs) else ", outputs that do not add up to 1"
        rows += [(f"`{reduced.name}`{where}", f"`{call}`", words) for call, words in measure.reductions(reduced)]
    yield from table(("loss", "call", "result"), rows)
    yield "The mean over samples that are all ignored:"
    yield ""
    rows = [(call, number(value), slopes) for call, value, slopes in measure.ignored()]
    yield from table(("call", "loss", "derivatives"), rows)


def float64_section() -> Iterator[str]:
    """Which calls leave float64."""
    for framework in FRAMEWORKS:
        calls = measure.leaves_float64().get(framework, [])
        if calls:
            yield f"These activations of {framework} get float64 and return another type:"
            yield ""
            yield from [f"- `{call}`" for call in calls]
            yield ""
            yield "The tables below do not contain their values. They contain a derivative if it is float64 again."
    if not measure.leaves_float64():
        yield "Every activation returns float64."
    yield ""


def summary_section() -> Iterator[str]:
    """How many functions each framework has, and has wrong."""
    kinds = [("activations", {**elementwise(), **vectors()}), ("losses", losses())]
    rows = []
    for framework in (*FRAMEWORKS, OURS):
        for kind, findings in kinds:
            own = [row for row in findings if framework in measure.frameworks_of(row)]
            wrong = {q: _count(findings, framework, lambda f, q=q: f.quantity == q) for q in ("value", "derivative")}
            none = _count(findings, framework, lambda f: f.fault in NO_NUMBER)
            if own:
                derivative = "" if framework == "ONNX" else str(wrong["derivative"])
                rows.append((framework, kind, str(len(own)), str(wrong["value"]), derivative, str(none)))
    header = ("framework", "kind", "functions", "value wrong", "derivative wrong", "NaN or ∞ for a finite number")
    yield "The number of functions, some of them with several parameters, that are wrong at one or more points:"
    yield ""
    yield from table(header, rows)


def _count(findings: Mapping[Row, list[Finding]], framework: str, is_meant: Callable[[Finding], bool]) -> int:
    return sum(any(f.framework == framework and is_meant(f) for f in found) for found in findings.values())


SECTIONS: Mapping[str, Callable[[], Iterator[str]]] = {
    EXACT[0]: summary_section,
    "## Answers that are not float64": float64_section,
    "## Derivatives that lose digits": lambda: digits_section("derivative"),
    "## Values that lose digits": lambda: digits_section("value"),
    "## Kinks": kinks_section,
    "## Losses at the edges": losses_section,
    "## Activation and loss in two parts": chains_section,
    DEFAULTS: defaults_section,
}


def document() -> str:
    """The whole page."""
    versions = listed([f"{framework} `{twins.version(framework)}`" for framework in FRAMEWORKS])
    lines = [INTRODUCTION.format(versions=versions, ulps=measure.ULPS, zero=measure.ULPS * 2.0**-53)]
    for title, section in SECTIONS.items():
        lines += [title, "", *section()]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(document(), "utf-8")
