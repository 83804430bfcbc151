"""One record for each weight: the three factors that its derivative is the product of."""

from typing import Any

from chainrule.backprop import LayerGradient
from chainrule.catalogue import Array


def weight_records(gradient: LayerGradient, do_da: Array, one_sample: bool) -> list[dict[str, Any]]:
    """The records of a layer, `from` unit by unit: dE_dw is the sum over the samples of dE_do · do_da · da_dw.

    Each factor is a list over the samples, or one value where one sample was posted. For a unit of a vector-valued
    group, value means the list over the units m of the layer, `do_da[m]` = do_m/da_j.
    """
    units = [_unit_factors(gradient, do_da, j, one_sample) for j in range(gradient.dE_do.shape[1])]
    inputs = gradient.da_dw[0].tolist() if one_sample else gradient.da_dw.T.tolist()
    weights, derivatives = gradient.activity.layer.weights.tolist(), gradient.dE_dw.tolist()
    return [
        {"from": i, "to": j, "value": weights[i][j], **units[j], "da_dw": inputs[i], "dE_dw": derivatives[i][j]}
        for i in range(len(inputs))
        for j in range(len(units))
    ]


def _unit_factors(gradient: LayerGradient, do_da: Array, j: int, one_sample: bool) -> dict[str, Any]:
    """dE_do and do_da of unit j: over the samples, and over the units m where they act on each other."""
    if gradient.activity.layer.activations[j].activation.elementwise:
        dE_do, slope = gradient.dE_do[:, j], do_da[:, j] if do_da.ndim == 2 else do_da[:, j, j]
    else:
        dE_do, slope = gradient.dE_do, do_da[:, :, j]
    if one_sample:
        dE_do, slope = dE_do[0], slope[0]
    return {"dE_do": dE_do.tolist(), "do_da": slope.tolist()}
