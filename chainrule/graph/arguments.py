"""Validate the arguments of the core: each function raises ValueError, whose message says what would fit."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from chainrule.checkpoint import Checkpoint
from chainrule.functions.losses import LossSpec
from chainrule.functions.tables import Array, shown
from chainrule.graph.network import Layer, Network
from chainrule.graph.numbers import finite_array, real_array


def check_kind(noun: str, value: object, kind: type, made_by: str) -> None:
    """Raise ValueError unless `value` is of this class. `made_by` says where callers get one."""
    if not isinstance(value, kind):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise ValueError(f"{noun} must be {article} {kind.__name__}, as {made_by} makes it, not {shown(value)}")


def check_request(network: Network, loss: LossSpec, checkpoint: Checkpoint) -> None:
    """Raise ValueError unless these are a network, a loss and a function."""
    check_kind("network", network, Network, "Network(layers)")
    check_kind("loss", loss, LossSpec, "loss_spec(name)")
    if not callable(checkpoint):
        raise ValueError(f"checkpoint must be a function without parameters, not {shown(checkpoint)}")


def fitting_inputs(network: Network, inputs: ArrayLike) -> Array:
    """Return the inputs as finite float64, (s, i). Raises ValueError if they do not fit the network."""
    x, wanted = finite_array("inputs", inputs), network.layers[0].weights.shape[0]
    if x.ndim != 2:
        raise ValueError(f"inputs must be a matrix, samples × {wanted}, not an array of {x.ndim} axes")
    if x.shape[1] != wanted:
        raise ValueError(f"inputs have {x.shape[1]} numbers a sample, but the first layer takes {wanted}")
    if not len(x):
        raise ValueError("inputs must have at least one sample")
    return x


def fitting_targets(network: Network, samples: int, targets: ArrayLike, loss: LossSpec) -> Array:
    """Return the targets as finite float64, (s, j), or (s,) class indices. Raises ValueError if they do not fit."""
    outputs, values = network.layers[-1].units, loss.loss.target_values
    if loss.loss.class_indices:
        t = real_array("targets", targets)
        _check_classes(t, samples, outputs, loss)
        return t
    t = finite_array("targets", targets)
    wanted, odd = divmod(outputs, loss.loss.outputs_per_target)
    if odd:
        raise ValueError(f"{loss.loss.name} takes outputs in pairs, but the network has {outputs}")
    if t.shape != (samples, wanted):
        raise ValueError(f"targets must have the shape ({samples}, {wanted}), not {t.shape}")
    if values and not (fits := np.isin(t, values)).all():
        words = " or ".join(f"{value:g}" for value in values)
        raise ValueError(f"targets of {loss.loss.name} must be {words}, not {t[~fits][0]:g}")
    return t


def _check_classes(t: Array, samples: int, outputs: int, loss: LossSpec) -> None:
    if t.shape != (samples,):
        raise ValueError(f"{loss.loss.name} takes one class index a sample: targets must have the shape ({samples},)")
    fits = (t >= 0.0) & (t < outputs) & (t == np.floor(t))
    ignored = loss.ignored(t)
    if not (fits | ignored).all():
        sample = int(np.argmin(fits | ignored))
        raise ValueError(f"target {sample} is {t[sample]:g}, but classes are whole numbers from 0 to {outputs - 1}")


def check_place(network: Network, layer: int, before: int | None, unit: int) -> None:
    """Raise ValueError if the network has no such weight; or no such bias, if `before` is None."""
    layers = network.layers
    _check_index("layer", layer, len(layers))
    n_in, n_out = layers[layer].weights.shape
    _check_index(f"unit of layer {layer}", unit, n_out)
    if before is not None:
        _check_index(f"unit before layer {layer}", before, n_in)
    elif layers[layer].biases is None:
        raise ValueError(f"layer {layer} has no biases")


def check_sample(sample: int | None, samples: int) -> None:
    """Raise ValueError if there is no such sample; None stands for all samples."""
    if sample is not None:
        _check_index("sample", sample, samples)


def _check_index(noun: str, index: object, count: int) -> None:
    if index is True or index is False or not (isinstance(index, int | np.integer) and 0 <= index < count):
        raise ValueError(f"there is no {noun} {shown(index)}: they are numbered from 0 to {count - 1}")


def fitting_gradient(noun: str, given: ArrayLike, wanted: Array | None) -> Array:
    """Return a derivative as finite float64. Raises ValueError if its shape is not that of `wanted`."""
    if wanted is None:
        raise ValueError(f"there is no {noun}")
    array = finite_array(noun, given)
    if array.shape != wanted.shape:
        raise ValueError(f"{noun} must have the shape {wanted.shape}, not {array.shape}")
    return array


def check_list(noun: str, values: object, kind: type, count: int) -> None:
    """Raise ValueError unless `values` is a list or tuple of `count` instances of a class."""
    if not isinstance(values, tuple | list) or not all(isinstance(value, kind) for value in values):
        raise ValueError(f"{noun} must be a tuple with a {kind.__name__} for each layer, not {shown(values)}")
    if len(values) != count:
        raise ValueError(f"gradients of {len(values)} layers for a network of {count}")


def check_gradients(network: Network, layers: Sequence[Any], kind: type) -> None:
    """Raise ValueError unless `layers` has a finite derivative by every weight and bias of the network.

    `kind` is the class of a layer's derivatives; this module cannot import it.
    """
    check_kind("network", network, Network, "Network(layers)")
    check_list("layers", layers, kind, len(network.layers))
    for k, (layer, gradient) in enumerate(zip(network.layers, layers, strict=True)):
        if gradient.dE_dw is None or (gradient.dE_db is None) != (layer.biases is None):
            raise ValueError(f"layers must be the gradients of this network: layer {k} has other parameters")
        fitting_gradient(f"dE_dw of layer {k}", gradient.dE_dw, layer.weights)
        if layer.biases is not None:
            fitting_gradient(f"dE_db of layer {k}", gradient.dE_db, layer.biases)


def check_same_network(network: Network, layers: Iterable[Layer]) -> None:
    """Raise ValueError unless a result comes from the layers of this network, or from equal ones."""
    for k, (own, other) in enumerate(zip(network.layers, layers, strict=True)):
        if own is not other and not _same(own, other):
            raise ValueError(f"result must be of this network, but its layer {k} is another one")


def _same(one: Layer, other: Layer) -> bool:
    biases = (one.biases is None) == (other.biases is None)
    if one.biases is not None and other.biases is not None:
        biases = np.array_equal(one.biases, other.biases)
    return biases and one.activations == other.activations and np.array_equal(one.weights, other.weights)
