"""The warnings of an answer: what is right, but has to be known. At most 20, then that there are more."""

from collections.abc import Iterator
from itertools import islice

import numpy as np

from chainrule.backprop import Gradients
from chainrule.remarks import OnKink, factors_not_finite, outputs_on_kinks, targets_out_of_range, units_on_kinks
from schemas.gradients import GradientRequest
from schemas.problem import pointer
from schemas.strict import Path

MOST_WARNINGS = 20

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
    name, limits = request.loss.loss.name, request.loss.loss.target_range
    for sample, output in targets_out_of_range(request.loss, request.targets):
        where, step = _in_sample(request, sample)
        detail = (
            f"target {output}{where} is {request.targets[sample, output]:g}; {name} is meant for targets from "
            f"{limits[0]:g} to {limits[1]:g}, and was computed as it stands"  # type: ignore[index]
        )
        yield _warning("target-out-of-range", detail, ("targets", *step, output))


def _loss_kinks(request: GradientRequest, result: Gradients) -> Iterator[Warning_]:
    for sample, output in outputs_on_kinks(request.loss, result.outputs, request.targets):
        where, step = _in_sample(request, sample)
        o, t = result.outputs[sample, output], request.targets[sample, output]
        taken = request.loss.derivative(np.array([[o]]), np.array([[t]]))[0, 0]
        detail = (
            f"output {output}{where} sits exactly on the kink of {request.loss.loss.name}; "
            f"the derivative taken is {taken:g}"
        )
        yield _warning("kink", detail, ("targets", *step, output))


def _on_kink(unit: OnKink, request: GradientRequest) -> Warning_:
    listed = isinstance(request.network.layers[unit.layer].activation, tuple)
    where = _in_sample(request, unit.samples[0])[0]
    others = f" and {len(unit.samples) - 1} more" if len(unit.samples) > 1 else ""
    left, right = unit.kink.left, unit.kink.right
    side = {left: ", the left-hand one", right: ", the right-hand one"}.get(unit.taken, "")
    detail = (
        f"unit {unit.unit} of layer {unit.layer} sits exactly on the kink of {unit.activation} at a = {unit.kink.at:g}"
        f"{where}{others}; the derivative taken is {unit.taken:g}{side} (left {left:g}, right {right:g})"
    )
    return _warning("kink", detail, ("network", "layers", unit.layer, "activation", *((unit.unit,) if listed else ())))
