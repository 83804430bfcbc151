"""Checks of what callers pass to the core: each raises ValueError with a sentence that says what would fit."""

import numpy as np
from numpy.typing import ArrayLike

from chainrule.catalogue import Array
from chainrule.losses import LossSpec
from chainrule.network import Network
from chainrule.numbers import real_array


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
    if loss.reduction == "mean" and ignored.all():
        raise ValueError("all samples are of the ignored class: there is no mean over no sample")
