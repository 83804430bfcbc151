"""Make the shapes of a request fit each other, because a JSON Schema cannot require this."""

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.functions.losses import LOSSES, Loss

WIDEST = 4
LARGEST = 30.0  # beyond, most results are not finite


def fitting(request: dict[str, Any]) -> dict[str, Any]:
    """The request with its arrays cut or repeated to shapes that fit each other; all else is left as it is."""
    network, loss = request["network"], _loss(request.get("loss", "half_squared_error"))
    samples, width = _samples_and_width(request["inputs"])
    inputs = _resized(request["inputs"], (*samples, width))
    layers = []
    for number, layer in enumerate(network["layers"]):
        last = number + 1 == len(network["layers"])
        units = min(WIDEST, len(layer.get("biases", layer["weights"]))) * (loss.outputs_per_target if last else 1)
        layers.append(_fitted(layer, width, units, network.get("weights_layout", "in_out")))
        width = units
    targets = _targets(request["targets"], loss, samples, width)
    return request | {"network": network | {"layers": layers}, "inputs": inputs, "targets": targets}


def _loss(given: Any) -> Loss:
    return LOSSES[given if isinstance(given, str) else given["name"]]


def _samples_and_width(inputs: Any) -> tuple[tuple[int, ...], int]:
    shape = inputs["shape"] if isinstance(inputs, dict) else np.shape(inputs[:1]) if np.ndim(inputs[0]) else (1,)
    batch = len(shape) == 2
    return ((min(WIDEST, len(inputs)),) if batch else ()), 1 + len(str(inputs)) % WIDEST


def _fitted(layer: dict[str, Any], width: int, units: int, layout: str) -> dict[str, Any]:
    shape = (width, units) if layout == "in_out" else (units, width)
    fitted = layer | {"weights": _resized(layer["weights"], shape)}
    if "biases" in layer:
        fitted["biases"] = _resized(layer["biases"], (units,))
    if isinstance(layer["activation"], list):
        fitted["activation"] = [layer["activation"][j % len(layer["activation"])] for j in range(units)]
    return fitted


def _targets(given: Any, loss: Loss, samples: tuple[int, ...], width: int) -> Any:
    if loss.class_indices:
        return np.arange(samples[0] if samples else 1).__mod__(width).tolist()
    shape = (*samples, width // loss.outputs_per_target)
    return np.full(shape, loss.target_values[0]).tolist() if loss.target_values else _resized(given, shape)


def _resized(array: Any, shape: tuple[int, ...]) -> Any:
    """The numbers of an array, over again as often as needed, in this shape; base64 stays base64."""
    numbers = np.resize(np.clip(np.nan_to_num(_numbers(array)), -LARGEST, LARGEST), shape)
    if not isinstance(array, dict):
        return numbers.tolist()
    return {"shape": list(shape), "base64": base64.b64encode(numbers.astype("<f8").tobytes()).decode()}


def _numbers(array: Any) -> NDArray[np.float64]:
    if isinstance(array, dict):
        data = base64.b64decode(array["base64"])
        return np.frombuffer(data[: len(data) // 8 * 8], "<f8")
    rows = [array] if not isinstance(array, list) else array
    flat = [number for row in rows for number in (row if isinstance(row, list) else [row])]
    return np.array([float(np.clip(number, -LARGEST, LARGEST)) for number in flat])
