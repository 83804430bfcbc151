"""Forward pass, backward pass, and the three factors of every derivative.

    dE/dw_ij = Σ_b  dE/da_bj · o_bi                 b runs over the samples
    dE/da_bj = Σ_m  dE/do_bm · do_bm/da_bj          m runs over the units of the layer
    dE/do_bj = Σ_l  dE/da_bl · w_jl                 hidden layers: l runs over the units of the next layer
    dE/do_bj = ∂E/∂o_bj                             last layer: the loss's own derivative

E is one number for the whole batch, reduction included, so the factors multiply out with nothing left to rescale.
Shapes below: s samples, i units of the layer before, j units of this layer.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chainrule.catalogue import Array, quietly
from chainrule.checkpoint import Checkpoint, unlimited
from chainrule.jacobian import Jacobian
from chainrule.losses import LossSpec
from chainrule.network import Layer, Network, Units
from chainrule.stable_pairs import STABLE_PAIRS


class LayerJacobian(NamedTuple):
    """do/da of a whole layer: the Jacobian of each of its groups."""

    layer: Layer
    parts: tuple[Jacobian, ...]

    def dE_da(self, dE_do: Array) -> Array:
        """Σ_m dE/do_m · do_m/da_j, (s, j)."""
        return _join(
            self.layer, [part.dE_da(dE_do[:, g.units]) for g, part in zip(self.layer.groups, self.parts, strict=True)]
        )

    def finite(self) -> NDArray[np.bool_]:
        """Whether the derivatives of each unit's output are finite, (s, j), without making a matrix."""
        return _join(self.layer, [np.asarray(part.finite(), dtype=np.float64) for part in self.parts]) > 0.0

    def array(self) -> Array:
        """do/da: (s, j) where all activations are elementwise, else the matrices `[s, j, m]` = do_j/da_m."""
        blocks = [part.array() for part in self.parts]
        if all(block.ndim == 2 for block in blocks):
            return _join(self.layer, blocks)
        every_unit = np.arange(self.layer.units)
        matrix = np.zeros((len(blocks[0]), self.layer.units, self.layer.units))
        for group, block in zip(self.layer.groups, blocks, strict=True):
            units = every_unit[group.units]
            if block.ndim == 2:
                matrix[:, units, units] = block
            else:
                matrix[:, units[:, None], units] = block
        return matrix


class Activity(NamedTuple):
    """One layer in the forward pass: what it was given, da/dw = x (s, i), and what it made of it, a and o (s, j)."""

    layer: Layer
    x: Array
    a: Array
    o: Array


class LossGradient(NamedTuple):
    """What the loss says of the last layer. `closed` has dE/da of the units that it makes a stable pair with."""

    losses: Array  # (s, j), or (s, 1) where outputs have no share of their own
    dE_do: Array  # (s, j)
    closed: tuple[tuple[Units, Array], ...]


class LayerGradient(NamedTuple):
    """One layer's derivatives. dE/dw_ij is the sum over the samples of dE/do · do/da · da/dw."""

    activity: Activity
    dE_do: Array  # (s, j)
    do_da: LayerJacobian
    dE_da: Array  # (s, j)
    dE_dw: Array  # (i, j)
    dE_db: Array | None  # (j,), where the layer has biases

    @property
    def a(self) -> Array:
        """The pre-activations, (s, j)."""
        return self.activity.a

    @property
    def o(self) -> Array:
        """The outputs, (s, j)."""
        return self.activity.o

    @property
    def da_dw(self) -> Array:
        """The third factor, (s, i): what the layer was given, the outputs of the layer before it."""
        return self.activity.x


class Gradients(NamedTuple):
    """What one request asks for: the loss, every factor, every derivative. Layers are first to last."""

    loss: float
    sample_losses: Array  # (s,), the share of each sample
    top: LossGradient
    layers: tuple[LayerGradient, ...]
    dE_dx: Array  # (s, i) of the first layer

    @property
    def losses(self) -> Array:
        """The share of each sample and output, (s, j); (s, 1) where outputs have none of their own."""
        return self.top.losses

    @property
    def outputs(self) -> Array:
        """The outputs of the last layer, (s, j)."""
        return self.layers[-1].o


@quietly
def gradients(
    network: Network, inputs: Array, targets: Array, loss: LossSpec, *, checkpoint: Checkpoint = unlimited
) -> Gradients:
    """The loss of a network and its derivative by every weight, bias and input.

    `inputs` (s, i); `targets` (s, j), or (s,) where the loss takes class indices. Raises ValueError where shapes do
    not fit. Numbers that are not finite are left in the result, for `first_non_finite` to find.
    """
    activities = forward(network, inputs, checkpoint=checkpoint)
    top = loss_gradient(activities[-1], targets, loss)
    layers = tuple(backward(activities, top, checkpoint=checkpoint))[::-1]
    dE_dx = _through_weights(layers[0].dE_da, network.layers[0])
    sample_losses = top.losses.sum(axis=1)
    return Gradients(float(sample_losses.sum()), sample_losses, top, layers, dE_dx)


def forward(network: Network, inputs: Array, *, checkpoint: Checkpoint = unlimited) -> list[Activity]:
    """a and o of every layer, first to last, for `inputs` (s, i)."""
    activities: list[Activity] = []
    x = inputs
    for layer in network.layers:
        checkpoint()
        a = x @ layer.weights
        if layer.biases is not None:
            a += layer.biases
        o = _join(layer, [group.activation.value(a[:, group.units]) for group in layer.groups])
        activities.append(Activity(layer, x, a, o))
        x = o
    return activities


class Place(NamedTuple):
    """Where the backward pass has arrived: at layer k, below the derivatives of the layer above it."""

    activities: list[Activity]
    k: int
    top: LossGradient
    above: LayerGradient | None  # None at the last layer

    @property
    def activity(self) -> Activity:
        """What the layer did in the forward pass."""
        return self.activities[self.k]


def handed_down(place: Place) -> Array:
    """dE/do, (s, j): the loss's own for the last layer; elsewhere every unit collects from all the units it feeds."""
    if place.above is None:
        return place.top.dE_do
    return _through_weights(place.above.dE_da, place.above.activity.layer)


def layer_jacobian(place: Place) -> LayerJacobian:
    """do/da at the layer's pre-activations."""
    return jacobian_at(place.activity.layer, place.activity.a)


def times_jacobian(place: Place, do_da: LayerJacobian, dE_do: Array) -> Array:
    """dE/da, (s, j): dE/do · do/da, and the closed form where the loss makes a stable pair with the last layer."""
    dE_da = do_da.dE_da(dE_do)
    if place.above is None:
        for units, closed in place.top.closed:
            dE_da[:, units] = closed
    return dE_da


def by_weights(place: Place, dE_da: Array) -> Array:
    """dE/dw, (i, j): the sum over the samples of what each weight was given times dE/da."""
    return place.activity.x.T @ dE_da


def by_biases(_place: Place, dE_da: Array) -> Array:
    """dE/db, (j,): a bias is a weight that is given 1."""
    total: Array = dE_da.sum(axis=0)
    return total


@dataclass(frozen=True)
class Rules:
    """The five formulas of the backward pass. `mistakes.py` has wrong ones to put in their places."""

    dE_do: Callable[[Place], Array] = handed_down
    do_da: Callable[[Place], LayerJacobian] = layer_jacobian
    dE_da: Callable[[Place, LayerJacobian, Array], Array] = times_jacobian
    dE_dw: Callable[[Place, Array], Array] = by_weights
    dE_db: Callable[[Place, Array], Array] = by_biases

    def at(self, place: Place) -> LayerGradient:
        """The derivatives of one layer."""
        dE_do, do_da = self.dE_do(place), self.do_da(place)
        dE_da = self.dE_da(place, do_da, dE_do)
        dE_db = None if place.activity.layer.biases is None else self.dE_db(place, dE_da)
        return LayerGradient(place.activity, dE_do, do_da, dE_da, self.dE_dw(place, dE_da), dE_db)


RIGHT = Rules()


def backward(
    activities: list[Activity],
    top: LossGradient,
    rules: Rules = RIGHT,
    above: LayerGradient | None = None,
    *,
    checkpoint: Checkpoint = unlimited,
) -> Iterator[LayerGradient]:
    """The derivatives of every layer, LAST to first, from those of the loss.

    `activities` may leave out the upper layers whose derivatives are known: `above` then has those of the lowest.
    """
    for k in reversed(range(len(activities))):
        checkpoint()
        above = rules.at(Place(activities, k, top, above))
        yield above


def jacobian_at(layer: Layer, a: Array) -> LayerJacobian:
    """do/da of a layer at the pre-activations a, (s, j)."""
    return LayerJacobian(layer, tuple(group.activation.jacobian(a[:, group.units]) for group in layer.groups))


def _through_weights(dE_da: Array, layer: Layer) -> Array:
    """dE/do of the layer before: every unit collects from all the units it feeds, (s, i)."""
    return dE_da @ layer.weights.T


def loss_gradient(last: Activity, targets: Array, loss: LossSpec) -> LossGradient:
    """What each sample and output adds to E, and the derivatives of that, reduction included.

    Raises ValueError where the targets do not fit.
    """
    t = loss.dense_targets(targets, last.layer.units)
    if t.shape != (len(last.o), last.layer.units // loss.loss.outputs_per_target):
        raise ValueError(f"targets of the shape {t.shape} for outputs of {last.o.shape}")
    divisor = loss.divisor(t)
    losses, dE_do, closed = loss.value(last.o, t), loss.derivative(last.o, t), []
    for group in last.layer.groups:
        phi, units = group.activation, group.units
        if pair := STABLE_PAIRS.get((loss.loss.name, phi.activation.name)):
            given = (last.a[:, units], t[:, units], *phi.values, *loss.values)
            losses[:, units] = pair.value(*given)
            closed.append((units, pair.dE_da(*given) / divisor))
            if pair.dE_do:
                dE_do[:, units] = pair.dE_do(*given)
    return LossGradient(losses / divisor, dE_do / divisor, tuple(closed))


def _join(layer: Layer, parts: list[Array]) -> Array:
    """One array for the layer from one for each of its groups."""
    if len(parts) == 1:
        return parts[0]
    whole = np.empty((len(parts[0]), layer.units))
    for group, part in zip(layer.groups, parts, strict=True):
        whole[:, group.units] = part
    return whole


@quietly
def descend(network: Network, layers: tuple[LayerGradient, ...], learning_rate: float) -> Network:
    """The network after one step, w - learning_rate · dE/dw: all parameters at once, from the same gradients."""

    def step(layer: Layer, gradient: LayerGradient) -> Layer:
        biases = None
        if layer.biases is not None and gradient.dE_db is not None:
            biases = layer.biases - learning_rate * gradient.dE_db
        return replace(layer, weights=layer.weights - learning_rate * gradient.dE_dw, biases=biases)

    return Network(tuple(step(layer, gradient) for layer, gradient in zip(network.layers, layers, strict=True)))
