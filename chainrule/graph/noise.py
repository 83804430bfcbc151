"""A bound on the rounding error of a loss: smaller differences of losses are noise.

Every number of a forward pass has a rounding error. Multiplied by the derivative of E by that number, it is the error
that it causes in E:

    |ΔE| ≤ Σ |dE/da|·ε·(Σ_i |o_i|·|w_ij| + |b_j|) + Σ |dE/do|·ε·|o| + Σ ε·|ℓ|

The bound assumes that all errors have their largest size and the same sign. In the layer of a moved parameter, only one
unit's a changes, by a product that is added to it.
"""

import numpy as np
from numpy.typing import NDArray

from chainrule.functions.tables import Array
from chainrule.graph.backprop import LayerGradient
from chainrule.graph.blocks import product
from chainrule.graph.moved import Moved, Parameters

_EPSILON = float(np.finfo(np.float64).eps)
_TINY = 1e-9  # slopes below it are not compared


def noise_of_losses(base: Moved, layers: tuple[LayerGradient, ...], parameters: Parameters) -> Array:
    """A bound on the rounding error of the loss while each of the parameters is moved, (n,)."""
    above, found = _noise_of_outputs(base, layers[-1]), np.empty(len(parameters.value))
    for k in reversed(range(len(layers))):
        here, layer = parameters.layer == k, layers[k]
        own = _EPSILON * np.abs(layer.dE_da * layer.a).sum(axis=0)
        found[here] = above + own[parameters.unit[here]]
        above += _noise_of_layer(base, layer)
    return found


def slopes_lost(base: Moved, layers: tuple[LayerGradient, ...], parameters: Parameters) -> NDArray[np.bool_]:
    """A mask of the parameters, (n,), on whose path to the loss rounding may change a slope by half.

    Near a = 1e16 the last bit of a is a third of a period of sin(a). `noise_of_losses` takes the slopes as exact, so it
    is no bound there. Kinks are left out here, because `Moved.losses` detects them.
    """
    lost, above = np.zeros(len(parameters.value), dtype=np.bool_), False
    for k in reversed(range(len(layers))):
        units = _unsteady(base, layers[k])
        here = parameters.layer == k
        lost[here] = above | units[parameters.unit[here]]
        above = above or bool(units.any())
    return lost


def _unsteady(base: Moved, layer: LayerGradient) -> NDArray[np.bool_]:
    """A mask of the units of a layer whose slope changes by half within the rounding of a, (j,)."""
    shape = layer.activity.layer
    smooth = np.array([not phi.activation.border and not phi.kinks() for phi in shape.activations])
    rounding = _EPSILON * _terms(base, layer)
    slope = layer.do_da.whole.diagonal
    least = 0.5 * np.abs(slope)
    changed = np.zeros(slope.shape, dtype=np.bool_)
    for a in (layer.a - rounding, layer.a + rounding):
        moved = shape.partition.jacobian(a, checkpoint=base.checkpoint).whole.diagonal
        changed |= np.abs(moved - slope) > np.maximum(least, _TINY)
    unsteady: NDArray[np.bool_] = changed.any(axis=0) & smooth
    return unsteady


def _noise_of_outputs(base: Moved, last: LayerGradient) -> float:
    """The bound for the outputs of the network and their losses. The loss does not use a dE/do that is not finite."""
    losses = base.single_losses()
    by_output = last.dE_do * last.o
    by_output = np.where(np.isfinite(by_output), np.abs(by_output), 0.0) * _ulps(last)
    return _EPSILON * float(base.loss.loss.value_ulps * np.abs(losses).sum() + by_output.sum())


def _noise_of_layer(base: Moved, layer: LayerGradient) -> float:
    """The bound for the pre-activations of a layer, whose inputs are rounded outputs of the layer below."""
    return 4.0 * _EPSILON * float((np.abs(layer.dE_da) * _terms(base, layer)).sum())


def _terms(base: Moved, layer: LayerGradient) -> Array:
    """Σ_i |o_i|·|w_ij| + |b_j|, (s, j)."""
    weights, biases = layer.activity.layer.weights, layer.activity.layer.biases
    terms = product(np.abs(layer.da_dw), np.abs(weights), base.checkpoint)
    if biases is not None:
        terms += np.abs(biases)
    return terms


def _ulps(layer: LayerGradient) -> Array:
    """The largest error of each unit's outputs in units in the last place, (j,)."""
    return np.array([float(phi.activation.value_ulps) for phi in layer.activity.layer.activations])
