"""Builds the answer from what a framework has computed."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any


@dataclass
class LayerParts:
    """One layer's arrays, in the framework's own type: (samples, units), except dE_dw and dE_db."""

    activation: str
    weights: Any
    a: Any
    o: Any
    dE_da: Any
    dE_do: Any
    do_da: Any
    da_dw: Any
    dE_dw: Any
    dE_db: Any


def document(
    layers: Iterable[LayerParts], losses: Any, dE_dx: Any, breakdown: str, one_sample: bool, write: Callable[[Any], Any]
) -> dict[str, Any]:
    """The answer. `losses` has the shape (samples,); `write` turns an array into what the service's JSON accepts."""

    def over_samples(array: Any) -> Any:
        return write(array[0] if one_sample else array)

    written = []
    for parts in layers:
        layer = {"activation": {"name": parts.activation}, "dE_dw": write(parts.dE_dw), "dE_db": write(parts.dE_db)}
        if breakdown != "none":
            layer |= {name: over_samples(getattr(parts, name)) for name in ("a", "o", "dE_da")}
            layer["factors"] = {name: over_samples(getattr(parts, name)) for name in ("dE_do", "do_da", "da_dw")}
        if breakdown == "per_weight":
            layer["weights"] = _records(parts)
        written.append(layer)
    answer = {
        "loss": float(losses.sum()),
        "sample_losses": float(losses[0]) if one_sample else write(losses),
        "outputs": over_samples(parts.o),
        "layers": written,
        "loss_function": {"name": "half_squared_error", "reduction": "sum"},
        "warnings": [],
    }
    return answer if breakdown == "none" else answer | {"dE_dx": over_samples(dE_dx)}


def _records(parts: LayerParts) -> list[dict[str, Any]]:
    """One record for each weight, for one sample: no workload asks for records of a batch."""
    dE_do, do_da, da_dw = (array[0].tolist() for array in (parts.dE_do, parts.do_da, parts.da_dw))
    weights, derivatives = parts.weights.tolist(), parts.dE_dw.tolist()
    return [
        {
            "from": i,
            "to": j,
            "value": weights[i][j],
            "dE_do": dE_do[j],
            "do_da": do_da[j],
            "da_dw": da_dw[i],
            "dE_dw": derivatives[i][j],
        }
        for i in range(len(da_dw))
        for j in range(len(dE_do))
    ]
