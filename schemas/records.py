"""One record for each weight: the three factors that its derivative is the product of."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any

from chainrule.backprop import LayerGradient
from chainrule.catalogue import Array

_AT_A_TIME = 512  # records
_FROM, _DA_DW = b"\0", b"\1"  # gaps of a template that are the same along a row; no number's text has these bytes


@dataclass(frozen=True, eq=False)
class WeightRecords:
    """The records of a layer, in what they have in common: 4,736 dictionaries take 2 ms to make, and 1 to write."""

    units: list[dict[str, Any]]  # dE_do and do_da of each unit
    inputs: list[Any]  # da_dw of each unit of the layer before
    weights: Array
    derivatives: Array

    def as_json(self, write: Callable[[Any], bytes]) -> bytes:
        """The list of them, `from` unit by unit: rows of the matrices fill the gaps of one template, some at a time."""
        row = b",".join(
            b'{"from":%b,"to":%d,"value":%%b,%b,"da_dw":%b,"dE_dw":%%b}' % (_FROM, j, write(unit)[1:-1], _DA_DW)
            for j, unit in enumerate(self.units)
        )
        step = max(1, _AT_A_TIME // len(self.units))
        written = []
        for first in range(0, len(self.inputs), step):
            some = slice(first, first + step)
            inputs = enumerate(self.inputs[some], first)
            rows = b",".join(row.replace(_FROM, b"%d" % i).replace(_DA_DW, write(o)) for i, o in inputs)
            numbers = (write(m[some].ravel())[1:-1].split(b",") for m in (self.weights, self.derivatives))
            written.append(rows % tuple(chain.from_iterable(zip(*numbers, strict=True))))
        return b"[" + b",".join(written) + b"]"


def weight_records(gradient: LayerGradient, do_da: Array, one_sample: bool) -> WeightRecords:
    """The records of a layer: dE_dw is the sum over the samples of dE_do · do_da · da_dw.

    Each factor is a list over the samples, or one value where one sample was posted. For a unit of a vector-valued
    group, value means the list over the units m of the layer, `do_da[m]` = do_m/da_j.
    """
    units = [_unit_factors(gradient, do_da, j, one_sample) for j in range(gradient.dE_do.shape[1])]
    inputs = gradient.da_dw[0].tolist() if one_sample else gradient.da_dw.T.tolist()
    return WeightRecords(units, inputs, gradient.activity.layer.weights, gradient.dE_dw)


def _unit_factors(gradient: LayerGradient, do_da: Array, j: int, one_sample: bool) -> dict[str, Any]:
    """dE_do and do_da of unit j: over the samples, and over the units m where they act on each other."""
    if gradient.activity.layer.activations[j].activation.elementwise:
        dE_do, slope = gradient.dE_do[:, j], do_da[:, j] if do_da.ndim == 2 else do_da[:, j, j]
    else:
        dE_do, slope = gradient.dE_do, do_da[:, :, j]
    if one_sample:
        dE_do, slope = dE_do[0], slope[0]
    return {"dE_do": dE_do.tolist(), "do_da": slope.tolist()}
