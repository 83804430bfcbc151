"""The message and the position for a number that is not finite, which makes a result unusable."""

import math
from typing import Any

from chainrule.notices import NonFinite
from schemas.gradients import GradientRequest
from schemas.problem import pointer

QUANTITIES = {
    "a": "the pre-activation a",
    "o": "the output o",
    "loss": "the loss",
    "sample_loss": "the loss, summed over the outputs,",
    "dE_da": "the derivative dE/da",
    "dE_dw": "the derivative dE/dw",
    "dE_db": "the derivative dE/db",
    "dE_dx": "the derivative dE/dx",
    "weight": "the updated weight",
    "bias": "the updated bias",
}


def sentence(found: NonFinite, one_sample: bool) -> str:
    """What is not finite, and where: "the output o of unit 1 of layer 0 in sample 3 is infinite in float64"."""
    place = ""
    if found.unit_before is not None:
        place += f" from unit {found.unit_before} to unit {found.unit}"
    elif found.unit is not None:
        place += f" of {'input' if found.quantity == 'dE_dx' else 'unit'} {found.unit}"
    if found.layer is not None:
        place += f" of layer {found.layer}"
    if found.sample is not None and not one_sample:
        place += f" in sample {found.sample}"
    if found.quantity == "loss" and found.unit is None:
        place = ", summed over the samples,"
    kind = "undefined (NaN)" if math.isnan(found.value) else "infinite in float64"
    return f"{QUANTITIES[found.quantity]}{place} is {kind}"


def members(found: NonFinite, one_sample: bool) -> dict[str, Any]:
    """The position as members of the problem document, for programs."""
    sample = None if one_sample else found.sample
    places = {"layer": found.layer, "unit": found.unit, "unit_before": found.unit_before, "sample": sample}
    return {"quantity": found.quantity, **{name: index for name, index in places.items() if index is not None}}


def origin(found: NonFinite, request: GradientRequest) -> str:
    """A pointer to the origin of the number in the request: the sample's targets or inputs, or the layer."""
    step = () if found.sample is None or request.one_sample else (found.sample,)
    if found.quantity in {"loss", "sample_loss"}:
        return pointer(request.path("targets", *step))
    return pointer(request.path("inputs", *step) if found.layer is None else ("network", "layers", found.layer))
