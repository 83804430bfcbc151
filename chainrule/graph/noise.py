"""What rounding may do to a loss: the noise in which differences of losses get lost.

Every number that a forward pass makes is off by a rounding error. Times the derivative of E by that number, it is what
the error does to E:

    |ΔE| ≤ Σ |dE/da|·ε·(Σ_i |o_i|·|w_ij| + |b_j|) + Σ |dE/do|·ε·|o| + Σ ε·|ℓ|

The bound takes all errors at their largest and of the same sign. In a layer whose parameter is moved, only one unit's
a changes, by a product that is added to it.
"""

import numpy as np

from chainrule.functions.tables import Array
from chainrule.graph.backprop import LayerGradient
from chainrule.graph.blocks import product
from chainrule.graph.moved import Moved, Parameters

_EPSILON = float(np.finfo(np.float64).eps)


def noise_of_losses(base: Moved, layers: tuple[LayerGradient, ...], parameters: Parameters) -> Array:
    """What rounding may do to the loss while each of the parameters is moved, (n,)."""
    above, found = _noise_of_outputs(base, layers[-1]), np.empty(len(parameters.value))
    for k in reversed(range(len(layers))):
        here, layer = parameters.layer == k, layers[k]
        own = _EPSILON * np.abs(layer.dE_da * layer.a).sum(axis=0)
        found[here] = above + own[parameters.unit[here]]
        above += _noise_of_layer(base, layer)
    return found


def _noise_of_outputs(base: Moved, last: LayerGradient) -> float:
    """Of the last layer's outputs, and of the loss of each. A dE/do that is not finite is not used by the loss."""
    losses = base.single_losses()
    by_output = last.dE_do * last.o
    by_output = np.where(np.isfinite(by_output), np.abs(by_output), 0.0) * _ulps(last)
    return _EPSILON * float(base.loss.loss.value_ulps * np.abs(losses).sum() + by_output.sum())


def _noise_of_layer(base: Moved, layer: LayerGradient) -> float:
    """Of the pre-activations of a layer, its inputs being rounded outputs of the layer below."""
    weights, biases = layer.activity.layer.weights, layer.activity.layer.biases
    terms = product(np.abs(layer.da_dw), np.abs(weights), base.checkpoint)
    if biases is not None:
        terms += np.abs(biases)
    return 4.0 * _EPSILON * float((np.abs(layer.dE_da) * terms).sum())


def _ulps(layer: LayerGradient) -> Array:
    """By how many units in the last place the outputs of each unit may be off, (j,)."""
    return np.array([float(phi.activation.value_ulps) for phi in layer.activity.layer.activations])
