"""Checks of what callers pass to the core: each raises ValueError with a sentence that says what would fit."""

import numpy as np
from numpy.typing import ArrayLike

from chainrule.functions.losses import LossSpec
from chainrule.functions.tables import Array
from chainrule.graph.network import Network
from chainrule.graph.numbers import real_array


def fitting_inputs(network: Network, inputs: ArrayLike) -> Array:
    """The inputs as float64, (s, i), where the network takes them."""
    x, wanted = real_array("inputs", inputs), network.layers[0].weights.shape[0]
    if x.ndim != 2:
        raise ValueError(f"inputs must be a matrix, samples × {wanted}, not an array of {x.ndim} axes")
    if x.shape[1] != wanted:
        raise ValueError(f"inputs have {x.shape[1]} numbers a sample, but the first layer takes {wanted}")
    if not len(x):
        raise ValueError("inputs must have at least one sample")
    return x


def fitting_targets(network: Network, samples: int, targets: ArrayLike, loss: LossSpec) -> Array:
    """The targets as float64, (s, j), or (s,) class indices, where the loss takes them for these outputs."""
    t, outputs = real_array("targets", targets), network.layers[-1].units
    if loss.loss.class_indices:
        _check_classes(t, samples, outputs, loss)
        return t
    wanted, odd = divmod(outputs, loss.loss.outputs_per_target)
    if odd:
        raise ValueError(f"{loss.loss.name} takes outputs in pairs, but the network has {outputs}")
    if t.shape != (samples, wanted):
        raise ValueError(f"targets must have the shape ({samples}, {wanted}), not {t.shape}")
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
    """Raise ValueError where the network has no such weight, or with None for the unit before no such bias."""
    layers = network.layers
    _check_index("layer", layer, len(layers))
    n_in, n_out = layers[layer].weights.shape
    _check_index(f"unit of layer {layer}", unit, n_out)
    if before is not None:
        _check_index(f"unit before layer {layer}", before, n_in)
    elif layers[layer].biases is None:
        raise ValueError(f"layer {layer} has no biases")


def check_sample(sample: int | None, samples: int) -> None:
    """Raise ValueError where there is no such sample; None stands for all."""
    if sample is not None:
        _check_index("sample", sample, samples)


def _check_index(noun: str, index: object, count: int) -> None:
    if index is True or index is False or not (isinstance(index, int | np.integer) and 0 <= index < count):
        raise ValueError(f"there is no {noun} {index!r}: they are numbered from 0 to {count - 1}")


def check_arrays(noun: str, given: Array | None, wanted: Array | None) -> None:
    """Raise ValueError where an array is given that has not the shape of the one it stands beside."""
    if given is None:
        return
    if wanted is None:
        raise ValueError(f"there is no {noun}")
    if np.shape(given) != wanted.shape:
        raise ValueError(f"{noun} must have the shape {wanted.shape}, not {np.shape(given)}")
