"""Words and place of the number that made a result unusable."""

import math
from typing import Any

from chainrule.remarks import NonFinite
from schemas.problem import pointer
from schemas.strict import Path

_QUANTITIES = {
    "a": "the pre-activation a",
    "o": "the output o",
    "sample_loss": "the loss",
    "loss": "the loss, summed over the samples,",
    "dE_da": "the derivative dE/da",
    "dE_dw": "the derivative dE/dw",
    "dE_db": "the derivative dE/db",
    "dE_dx": "the derivative dE/dx",
    "weight": "the updated weight",
    "bias": "the updated bias",
}


def sentence(found: NonFinite, one_sample: bool) -> str:
    """What is not finite, and where: "the output o of unit 1 of layer 0 in sample 3 is inf"."""
    place = ""
    if found.unit_before is not None:
        place += f" from unit {found.unit_before} to unit {found.unit}"
    elif found.unit is not None:
        place += f" of {'input' if found.quantity == 'dE_dx' else 'unit'} {found.unit}"
    if found.layer is not None:
        place += f" of layer {found.layer}"
    if found.sample is not None and not one_sample:
        place += f" in sample {found.sample}"
    kind = "undefined (NaN)" if math.isnan(found.value) else "beyond float64"
    return f"{_QUANTITIES[found.quantity]}{place} is {kind}"


def members(found: NonFinite) -> dict[str, Any]:
    """The place as members of the problem document, for programs."""
    places = {"layer": found.layer, "unit": found.unit, "unit_before": found.unit_before, "sample": found.sample}
    return {"quantity": found.quantity, **{name: index for name, index in places.items() if index is not None}}


def place(found: NonFinite, one_sample: bool) -> str:
    """A pointer to what in the request it comes from: the layer, else the sample's targets, else its inputs."""
    step: Path = () if found.sample is None or one_sample else (found.sample,)
    if found.layer is not None:
        return pointer(("network", "layers", found.layer))
    return pointer(("inputs" if found.quantity == "dE_dx" else "targets", *step))
