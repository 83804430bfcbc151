"""A judge of networks that are graphs: the same network in PyTorch, whose autograd shares no code with ours."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from chainrule.graph.network import Layer, Network

Tensor = torch.Tensor

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda a: a,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softplus": torch.nn.functional.softplus,
    "softmax": lambda a: torch.softmax(a, dim=-1),
}


def _axis(axis: int, x: Tensor) -> int:
    """An axis of a sample as an axis of the batch."""
    return axis % (x.ndim - 1) + 1


def _axes(layer: Layer, x: Tensor) -> list[int]:
    return [_axis(axis, x) for axis in layer.options["axes"]]


def _slice(layer: Layer, x: Tensor) -> Tensor:
    axis = _axis(layer.options["axis"], x)
    if "index" in layer.options:
        return x.select(axis, layer.options["index"])
    entries = range(*slice(layer.options.get("from"), layer.options.get("to")).indices(x.shape[axis]))
    return x.index_select(axis, torch.tensor(list(entries)))


def _matmul(layer: Layer, x: Tensor, y: Tensor) -> Tensor:
    first, second = layer.options.get("transpose", (False, False))
    product = torch.matmul(x.mT if first else x, y.mT if second else y)
    return product * layer.options.get("scale", 1.0)


def _of_all_samples(xs: Sequence[Tensor]) -> list[Tensor]:
    """A single sample serves all samples of the others."""
    samples = max(map(len, xs))
    return [x.expand(samples, *x.shape[1:]) for x in xs]


def _dropout(layer: Layer, x: Tensor) -> Tensor:
    if "mask" not in layer.options:
        return x
    return x * torch.tensor(layer.options["mask"]) / (1.0 - layer.options.get("rate", 0.0))


def _max(layer: Layer, x: Tensor) -> Tensor:
    for axis in sorted(_axes(layer, x), reverse=True):
        x = x.max(dim=axis, keepdim=True).values
    return x if layer.options.get("keep_axes") else x.squeeze(_axes(layer, x))


def _dense(parameters: Mapping[str, Tensor], x: Tensor) -> Tensor:
    return torch.nn.functional.linear(x, parameters["weights"].T, parameters.get("biases"))


def _computed(layer: Layer, parameters: Mapping[str, Tensor], xs: Sequence[Tensor]) -> Tensor:
    keeps = bool(layer.options.get("keep_axes"))
    by_type: dict[str, Callable[[], Any]] = {
        "dense": lambda: _dense(parameters, xs[0]),
        "activation": lambda: xs[0],
        "add": lambda: sum(c * x for c, x in zip(layer.options.get("coefficients", [1.0] * len(xs)), xs, strict=True)),
        "multiply": lambda: torch.stack(torch.broadcast_tensors(*xs)).prod(dim=0),
        "concatenate": lambda: torch.cat(_of_all_samples(xs), dim=_axis(layer.options.get("axis", -1), xs[0])),
        "matmul": lambda: _matmul(layer, *xs),
        "scale": lambda: layer.options["factor"] * xs[0],
        "reshape": lambda: xs[0].reshape(len(xs[0]), *layer.options["shape"]),
        "flatten": lambda: xs[0].flatten(start_dim=1),
        "transpose": lambda: xs[0].permute(0, *_axes(layer, xs[0])),
        "slice": lambda: _slice(layer, xs[0]),
        "mean": lambda: xs[0].mean(dim=_axes(layer, xs[0]), keepdim=keeps),
        "sum": lambda: xs[0].sum(dim=_axes(layer, xs[0]), keepdim=keeps),
        "max": lambda: _max(layer, xs[0]),
        "dropout": lambda: _dropout(layer, xs[0]),
        "embedding": lambda: torch.nn.functional.embedding(
            xs[0].long(), parameters["weights"], layer.options.get("padding_index")
        ),
    }
    found: Tensor = by_type[layer.type.name]()
    return found


class TorchGraph:
    """A network in PyTorch: leaves for its own parameters and for its inputs, and the outputs of all layers."""

    def __init__(self, network: Network, inputs: Sequence[Any]) -> None:
        self.inputs = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in inputs]
        self.parameters: list[dict[str, Tensor]] = []
        values = list(self.inputs)
        for k, layer in enumerate(network.layers):
            own = {name: torch.tensor(layer.parameters[name], requires_grad=True) for name in network.owned(k)}
            self.parameters.append(own)
            everything = own | {name: self._shared(network, layer, name) for name in layer.shared}
            a = _computed(layer, everything, [values[source] for source in network.wiring.sources[k]])
            values.append(self._activated(layer, a))
        self.outputs = [values[len(inputs) + end] for end in network.wiring.ends]

    def _shared(self, network: Network, layer: Layer, name: str) -> Tensor:
        shared = layer.shared[name]
        (k,) = (k for k, other in enumerate(network.layers) if other.name == shared.of)
        further = network.layers[k].shared
        found = self._shared(network, network.layers[k], shared.parameter) if shared.parameter in further else None
        owned = self.parameters[k][shared.parameter] if found is None else found
        return owned.T if shared.transpose else owned

    @staticmethod
    def _activated(layer: Layer, a: Tensor) -> Tensor:
        if not isinstance(layer.activation, tuple):
            return ACTIVATIONS[layer.activation.activation.name](a)
        columns = [ACTIVATIONS[spec.activation.name](a[..., j]) for j, spec in enumerate(layer.activation)]
        return torch.stack(columns, dim=-1)
