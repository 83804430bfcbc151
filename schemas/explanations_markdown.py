"""A derivation as a page of Markdown that renders on GitHub and in Jupyter.

Both take `$$` on lines of their own, and tables. Inside `$$`, GitHub treats a backslash before a sign as an escape and
an underscore behind a bracket as emphasis, and refuses \\operatorname: the LaTeX of a derivation has none of these.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby

from chainrule.checkpoint import Checkpoint, unlimited
from chainrule.derivation.explain import Derivation, Place, Step, Term, parameter_latex
from chainrule.graph.backprop import Gradients
from schemas.explanations import ExplanationRequest
from schemas.notices import warnings

_HEADINGS = {
    "forward": "Forward, to the outputs",
    "loss": "The loss",
    "backward": "Backward, from the loss",
    "result": "The derivative",
}


def markdown(
    asked: ExplanationRequest, result: Gradients, derivation: Derivation, checkpoint: Checkpoint = unlimited
) -> str:
    """The whole derivation. The checkpoint is called before each step."""
    paragraphs = list(_paragraphs(asked, result, derivation, checkpoint))
    paragraphs[-1] += "\n"
    return "\n\n".join(paragraphs)


def _paragraphs(
    asked: ExplanationRequest, result: Gradients, derivation: Derivation, checkpoint: Checkpoint
) -> Iterator[str]:
    yield f"# {_title(derivation)}"
    yield _display(rf"\frac{{dE}}{{d{parameter_latex(derivation.place)}}}")
    yield (
        f"It is `{derivation.value!r}`, where the loss E is `{result.loss!r}`. Layers, units and samples are counted "
        "from 0; the number in brackets above a symbol is its layer. Numbers inside of formulas are rounded for "
        "reading, to as many digits as keep each line true; those in `code` are exact."
    )
    for warning in warnings(asked.gradients, result):
        yield f"> **Note:** {warning['detail']}"
    batch = not asked.gradients.one_sample
    for sample, steps in groupby(derivation.steps, lambda step: step.sample):
        if batch:
            yield "## All samples" if sample is None else f"## Sample {sample}"
        yield from _sections(steps, "###" if batch else "##", checkpoint)


def _title(derivation: Derivation) -> str:
    share = "" if derivation.sample is None else f", the share of sample {derivation.sample}"
    return f"The derivative of the loss by the {_named(derivation.place)}{share}"


def _named(place: Place) -> str:
    if place.unit_before is None:
        return f"bias of unit {place.unit} of layer {place.layer}"
    before = (
        f"input {place.unit_before}" if place.layer == 0 else f"unit {place.unit_before} of layer {place.layer - 1}"
    )
    return f"weight from {before} to unit {place.unit} of layer {place.layer}"


def _sections(steps: Iterable[Step], level: str, checkpoint: Checkpoint) -> Iterator[str]:
    for section, own in groupby(steps, lambda step: step.section):
        yield f"{level} {_HEADINGS[section]}"
        for step in own:
            checkpoint()
            yield from _step(step)


def _step(step: Step) -> Iterator[str]:
    yield f"**{step.title}**"
    yield _display(step.symbols)
    if step.terms:
        yield _table(step.terms)
    if step.numbers is not None:
        yield _display(step.numbers)
    if step.value is not None:
        yield f"Value: `{step.value!r}`"
    if step.note is not None:
        yield step.note


def _display(latex: str) -> str:
    return f"$$\n{latex}\n$$"


def _table(terms: tuple[Term, ...]) -> str:
    rows = [f"| {terms[0].over} | term | value |", "|--:|:--|--:|"]
    for term in terms:
        numbers = "" if term.numbers is None else f"${term.numbers}$"
        rows.append(f"| {term.index} | {numbers} | {'' if term.value is None else f'`{term.value!r}`'} |")
    return "\n".join(rows)
