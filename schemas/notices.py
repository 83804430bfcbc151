"""The warnings of an answer: what is right, but has to be known. At most 20, then that there are more."""

import math
from collections.abc import Iterator
from itertools import islice

from chainrule.functions.activations import Kink
from chainrule.graph.backprop import Gradients
from chainrule.notices import OnKink, factors_not_finite, outputs_on_kinks, targets_out_of_range, units_on_kinks
from schemas.fields.strict import Path
from schemas.gradients import GradientRequest
from schemas.problem import pointer

MOST_WARNINGS = 20
CODES = ("factor-not-finite", "target-out-of-range", "kink", "more-warnings")

Warning_ = dict[str, str]


def warnings(request: GradientRequest, result: Gradients) -> list[Warning_]:
    """`{code, detail, pointer}` each; a pointer to `network` or `targets` is one into the request."""
    found = list(islice(_all_warnings(request, result), MOST_WARNINGS + 1))
    if len(found) > MOST_WARNINGS:
        found[-1] = _warning("more-warnings", "There are more warnings than are listed here.", ())
    return found


def _all_warnings(request: GradientRequest, result: Gradients) -> Iterator[Warning_]:
    if request.breakdown != "none":
        yield from _null_factors(request, result)
    yield from _targets_out_of_range(request)
    yield from _loss_kinks(request, result)
    for unit in units_on_kinks(result):
        yield _on_kink(unit, request)


def _warning(code: str, detail: str, path: Path) -> Warning_:
    return {"code": code, "detail": detail, "pointer": pointer(path)}


def _in_sample(request: GradientRequest, sample: int) -> tuple[str, Path]:
    """The end of a sentence and the step of a path that name a sample, where there is a choice of samples."""
    return ("", ()) if request.one_sample else (f" in sample {sample}", (sample,))


def _null_factors(request: GradientRequest, result: Gradients) -> Iterator[Warning_]:
    for factor, layer, sample, unit in factors_not_finite(result):
        where, step = _in_sample(request, sample)
        detail = (
            f"{factor} of unit {unit} of layer {layer}{where} is beyond float64 and given as null; "
            "dE_da and the gradients come from the closed form and are right"
        )
        yield _warning("factor-not-finite", detail, ("layers", layer, "factors", factor, *step, unit))


def _targets_out_of_range(request: GradientRequest) -> Iterator[Warning_]:
    for sample, output in targets_out_of_range(request.loss, request.targets):
        where, step = _in_sample(request, sample)
        detail = (
            f"target {output}{where} is {request.targets[sample, output]:g}; {request.loss.loss.name} is meant for "
            f"targets {_range(request.loss.loss.target_range)}, and was computed as it stands"
        )
        yield _warning("target-out-of-range", detail, request.path("targets", *step, output))


def _range(limits: tuple[float, float] | None) -> str:
    lowest, highest = limits or (-math.inf, math.inf)
    return f"of at least {lowest:g}" if highest == math.inf else f"from {lowest:g} to {highest:g}"


def _loss_kinks(request: GradientRequest, result: Gradients) -> Iterator[Warning_]:
    if not request.loss.loss.borders:
        return
    t = request.loss.dense_targets(request.targets, result.outputs.shape[1])
    on_kinks = list(islice(outputs_on_kinks(request.loss, result.outputs, t), MOST_WARNINGS + 1))
    taken = request.loss.derivative(result.outputs, t) if on_kinks else result.outputs
    for sample, output, _ in on_kinks:
        where, step = _in_sample(request, sample)
        detail = (
            f"output {output}{where} sits exactly on the kink of {request.loss.loss.name}; "
            f"the derivative taken is {taken[sample, output]:g}"
        )
        yield _warning("kink", detail, request.path("targets", *step, output))


def _on_kink(unit: OnKink, request: GradientRequest) -> Warning_:
    listed = isinstance(request.network.layers[unit.layer].activation, tuple)
    where = _in_sample(request, unit.samples[0])[0]
    others = f" and {len(unit.samples) - 1} more" if len(unit.samples) > 1 else ""
    detail = f"unit {unit.unit} of layer {unit.layer} sits exactly on the {_place(unit)}{where}{others}; {_taken(unit)}"
    return _warning("kink", detail, ("network", "layers", unit.layer, "activation", *((unit.unit,) if listed else ())))


def _place(unit: OnKink) -> str:
    name = unit.activation.activation.name
    if not isinstance(unit.kink, Kink):
        return f"border of the support of {name}"
    return f"{'jump' if unit.kink.jump else 'kink'} of {name} at a = {unit.kink.at:g}"


def _taken(unit: OnKink) -> str:
    """Which derivative was taken: one of the two sides', where they differ and it is one of them."""
    if not isinstance(unit.kink, Kink):
        return "the derivatives taken are those of a unit outside"
    left, right = unit.kink.left, unit.kink.right
    taken = unit.activation.slope(unit.kink.at)
    side = {left: ", the left-hand one", right: ", the right-hand one"}.get(taken, "") if left != right else ""
    return f"the derivative taken is {taken:g}{side} (left {left:g}, right {right:g})"
