"""Forward pass, backward pass, and the three factors of every derivative.

    dE/dw_ij = Σ_b  dE/da_bj · o_bi                 b runs over the samples
    dE/da_bj = Σ_m  dE/do_bm · do_bm/da_bj          m runs over the units of the layer
    dE/do_bj = Σ_l  dE/da_bl · w_jl                 hidden layers: l runs over the units of the next layer
    dE/do_bj = ∂E/∂o_bj                             last layer: the loss's own derivative

E is one number for the whole batch, reduction included, so the product of the factors needs no further scaling.
Shapes below: s samples, i units of the layer before, j units of this layer.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chainrule.checkpoint import Checkpoint, unlimited
from chainrule.functions.jacobian import Jacobian
from chainrule.functions.losses import LossSpec
from chainrule.functions.stable_pairs import STABLE_PAIRS, StablePair
from chainrule.functions.tables import Array, quietly
from chainrule.graph.arguments import check_gradients, check_request, fitting_inputs, fitting_targets
from chainrule.graph.batches import Batch, Group, Units, lone_batch
from chainrule.graph.blocks import BLOCK, Parts, in_blocks, product
from chainrule.graph.network import Layer, Network
from chainrule.graph.numbers import finite_number


class LayerJacobian(NamedTuple):
    """do/da of a whole layer for s samples.

    `whole` has the numbers of every unit, (s, j). Its `left` and `right` are 0 for units that act alone, and None if
    all units of the layer act alone. The layer's groups say which units act on each other.
    """

    layer: Layer
    whole: Jacobian

    @classmethod
    def of_groups(cls, layer: Layer, parts: Sequence[Jacobian]) -> "LayerJacobian":
        """The Jacobian of a layer from one for each of its groups, in their order."""
        if len(parts) == 1:
            return cls(layer, parts[0])
        alone = (lone_batch(group) for group in layer.groups)
        return cls(layer, _put_together(layer, len(parts[0].diagonal), zip(alone, parts, strict=True)))

    @property
    def parts(self) -> tuple[Jacobian, ...]:
        """The Jacobian of each group of the layer, in their order."""
        return tuple(_columns(self.whole, group) for group in self.layer.groups)

    def dE_da(self, dE_do: Array, *, checkpoint: Checkpoint = unlimited) -> Array:
        """Σ_m dE/do_m · do_m/da_j, (s, j)."""
        if dE_do.size <= BLOCK or self.whole.left is None:
            return self._dE_da(dE_do)

        def of_samples(rows: slice) -> Parts:
            some = Jacobian(*(None if array is None else array[rows] for array in self.whole))  # type: ignore[arg-type]
            return (LayerJacobian(self.layer, some)._dE_da(dE_do[rows]),)

        (dE_da,) = in_blocks(of_samples, len(dE_do), self.layer.units, checkpoint)
        return dE_da  # type: ignore[no-any-return]

    def _dE_da(self, dE_do: Array) -> Array:
        if self.whole.left is None or self.whole.right is None or self.layer.lone is not None:
            return self.whole.dE_da(dE_do)
        dE_da = dE_do * self.whole.diagonal
        for batch in self.layer.batches:
            if not batch.activation.elementwise:
                left, right = batch.take(self.whole.left), batch.take(self.whole.right)
                part = Jacobian(batch.take(self.whole.diagonal), left, right)
                batch.put(part.dE_da(batch.take(dE_do)), dE_da)
        return dE_da

    def finite(self) -> NDArray[np.bool_]:
        """Whether the derivatives of each unit's output are finite, (s, j), without making a matrix."""
        return self.whole.finite()

    @quietly
    def array(self) -> Array:
        """do/da: (s, j) where all activations are elementwise, else the matrices `[s, j, m]` = do_j/da_m."""
        diagonal, left, right = self.whole
        if left is None or right is None or self.layer.lone is not None:
            return self.whole.array()
        every = np.arange(self.layer.units)
        matrix = np.zeros((len(diagonal), self.layer.units, self.layer.units))
        for batch in self.layer.batches:
            if not batch.activation.elementwise:
                units = every[batch.units][None] if batch.members is None else batch.members
                rows, columns = units[:, :, None], units[:, None, :]
                matrix[:, rows, columns] = -left[:, rows] * right[:, columns]
        matrix[:, every, every] = diagonal
        return matrix


class Activity(NamedTuple):
    """One layer in the forward pass: its inputs x = da/dw (s, i), its pre-activations a and its outputs o (s, j).

    If o and do/da share exponentials, `do_da` is computed together with o, and `shared` is what a stable pair reuses.
    """

    layer: Layer
    x: Array
    a: Array
    o: Array
    do_da: Jacobian | None = None
    shared: Any = None


class LossGradient(NamedTuple):
    """The losses and their dE/do. `closed` has dE/da of the units that form a stable pair with the loss."""

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
        """The third factor, (s, i): the inputs of the layer, which are the outputs of the layer before."""
        return self.activity.x


class Gradients(NamedTuple):
    """The result of `gradients`: the loss, every factor, and every derivative. Layers are first to last."""

    loss: float
    sample_losses: Array  # (s,), the share of each sample
    top: LossGradient
    layers: tuple[LayerGradient, ...]
    dE_dx: Array  # (s, i) of the first layer

    @property
    def losses(self) -> Array:
        """The share of each sample and output, (s, j); (s, 1) if outputs have no share of their own."""
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

    `inputs` (s, i); `targets` (s, j), or (s,) where the loss takes class indices. Raises ValueError where they do not
    fit: wrong types, shapes or classes, numbers that are not finite. Overflow in the computation is left in the result;
    `first_non_finite` finds it.
    """
    check_request(network, loss, checkpoint)
    inputs = fitting_inputs(network, inputs)
    targets = fitting_targets(network, len(inputs), targets, loss)
    activities = forward(network, inputs, derive=True, checkpoint=checkpoint)
    top = loss_gradient(activities[-1], targets, loss, checkpoint=checkpoint)
    layers = tuple(backward(activities, top, checkpoint=checkpoint))[::-1]
    dE_dx = product(layers[0].dE_da, network.layers[0].weights.T, checkpoint)
    sample_losses = np.add.reduce(top.losses, axis=1)
    return Gradients(float(np.add.reduce(sample_losses)), sample_losses, top, layers, dE_dx)


@quietly
def forward(
    network: Network, inputs: Array, *, derive: bool = False, checkpoint: Checkpoint = unlimited
) -> list[Activity]:
    """a and o of every layer, first to last, for `inputs` (s, i); with `derive`, do/da if it shares exponentials."""
    activities: list[Activity] = []
    x = inputs
    for layer in network.layers:
        checkpoint()
        a = product(x, layer.weights, checkpoint)
        if layer.biases is not None:
            a += layer.biases
        activities.append(_activity(layer, x, a, derive, checkpoint))
        x = activities[-1].o
    return activities


def _activity(layer: Layer, x: Array, a: Array, derive: bool, checkpoint: Checkpoint) -> Activity:
    """The activity of a layer; with `derive`, also do/da if it shares exponentials with o."""
    if a.size > BLOCK:
        return Activity(layer, x, a, outputs_at(layer, a, checkpoint=checkpoint))
    if derive and layer.lone is not None and (found := layer.lone.value_and_jacobian(a)) is not None:
        return Activity(layer, x, a, *found)
    return Activity(layer, x, a, _outputs(layer, a))


@quietly
def outputs_at(layer: Layer, a: Array, *, checkpoint: Checkpoint = unlimited) -> Array:
    """o of a layer at the pre-activations a, (s, j)."""
    if a.size <= BLOCK:
        return _outputs(layer, a)
    (o,) = in_blocks(lambda rows: (_outputs(layer, a[rows]),), len(a), layer.units, checkpoint)
    return o  # type: ignore[no-any-return]


def _outputs(layer: Layer, a: Array) -> Array:
    if layer.lone is not None:
        return layer.lone.value(a)
    o = np.empty_like(a)
    for batch in layer.batches:
        batch.put(batch.value(batch.take(a)), o)
    return o


class Place(NamedTuple):
    """The position of the backward pass: layer k, with the derivatives of the layer above it."""

    activities: list[Activity]
    k: int
    top: LossGradient
    above: LayerGradient | None  # None at the last layer
    checkpoint: Checkpoint = unlimited

    @property
    def activity(self) -> Activity:
        """The layer in the forward pass."""
        return self.activities[self.k]


def handed_down(place: Place) -> Array:
    """dE/do, (s, j): the loss's derivative in the last layer, elsewhere Σ_l dE/da_l · w_jl over the next layer."""
    if place.above is None:
        return place.top.dE_do
    return product(place.above.dE_da, place.above.activity.layer.weights.T, place.checkpoint)


def layer_jacobian(place: Place) -> LayerJacobian:
    """do/da at the layer's pre-activations."""
    layer, _, a, _, do_da, _ = place.activity
    if do_da is None and a.size <= BLOCK:
        do_da = _jacobian(layer, a)
    return jacobian_at(layer, a, checkpoint=place.checkpoint) if do_da is None else LayerJacobian(layer, do_da)


def times_jacobian(place: Place, do_da: LayerJacobian, dE_do: Array) -> Array:
    """dE/da, (s, j): dE/do · do/da, or the closed form for units that form a stable pair with the loss."""
    closed = place.top.closed if place.above is None else ()
    if closed and isinstance(closed[0][0], slice):  # all units of the layer
        return closed[0][1]
    dE_da = do_da.dE_da(dE_do, checkpoint=place.checkpoint)
    for units, numbers in closed:
        dE_da[:, units] = numbers
    return dE_da


def by_weights(place: Place, dE_da: Array) -> Array:
    """dE/dw, (i, j): the sum over the samples of the layer's input times dE/da."""
    return product(place.activity.x.T, dE_da, place.checkpoint)


def by_biases(_place: Place, dE_da: Array) -> Array:
    """dE/db, (j,): a bias is a weight whose input is 1."""
    total: Array = np.add.reduce(dE_da, axis=0)  # the same as dE_da.sum(axis=0), in half the time for few numbers
    return total


@dataclass(frozen=True)
class Rules:
    """The five formulas of the backward pass. `mistakes.py` replaces them with wrong ones."""

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

    `activities` may omit upper layers whose derivatives are known; `above` then has those of the lowest omitted layer.
    """
    for k in reversed(range(len(activities))):
        checkpoint()
        above = rules.at(Place(activities, k, top, above, checkpoint))
        yield above


@quietly
def jacobian_at(layer: Layer, a: Array, *, checkpoint: Checkpoint = unlimited) -> LayerJacobian:
    """do/da of a layer at the pre-activations a, (s, j)."""
    if a.size <= BLOCK:
        return LayerJacobian(layer, _jacobian(layer, a))
    return LayerJacobian(
        layer, Jacobian(*in_blocks(lambda rows: _jacobian(layer, a[rows]), len(a), layer.units, checkpoint))
    )


def _jacobian(layer: Layer, a: Array) -> Jacobian:
    if layer.lone is not None:
        return layer.lone.jacobian(a)
    parts = ((batch, batch.jacobian(batch.take(a))) for batch in layer.batches)
    return _put_together(layer, len(a), parts)


def _put_together(layer: Layer, samples: int, parts: Iterable[tuple[Batch, Jacobian]]) -> Jacobian:
    """The Jacobian of a layer from those of its batches, or of its groups as batches."""
    whole = Jacobian(np.empty((samples, layer.units)))
    for batch, part in parts:
        if part.left is not None and whole.left is None:
            whole = Jacobian(whole.diagonal, np.zeros_like(whole.diagonal), np.zeros_like(whole.diagonal))
        for array, numbers in zip(whole, part, strict=True):
            if array is not None and numbers is not None:
                batch.put(numbers, array)
    return whole


@quietly
def loss_gradient(
    last: Activity, targets: Array, loss: LossSpec, *, checkpoint: Checkpoint = unlimited
) -> LossGradient:
    """The share of each sample and output in E, and its derivatives, reduction included.

    Raises ValueError if the targets do not fit.
    """
    t = loss.dense_targets(targets, last.layer.units)
    if t.shape != (len(last.o), last.layer.units // loss.loss.outputs_per_target):
        raise ValueError(f"targets of the shape {t.shape} for outputs of {last.o.shape}")
    divisor, pairs = loss.divisor(t), stable_batches(last.layer, loss)

    def of_samples(rows: slice) -> Parts:
        return _loss_arrays(pairs, last.a[rows], last.o[rows], t[rows], loss, divisor)

    if last.o.size <= BLOCK:
        found = _loss_arrays(pairs, last.a, last.o, t, loss, divisor, last.shared)
    else:
        found = in_blocks(of_samples, len(t), last.layer.units, checkpoint)
    losses, dE_do, *closed = found
    units = (batch.units for batch, _ in pairs)
    return LossGradient(losses, dE_do, tuple(zip(units, closed, strict=True)))


StableBatches = list[tuple[Batch, StablePair]]


def stable_batches(layer: Layer, loss: LossSpec) -> StableBatches:
    """The batches of the last layer that form a stable pair with the loss, each with the pair."""
    found = ((batch, STABLE_PAIRS.get((loss.loss.name, batch.activation.name))) for batch in layer.batches)
    return [(batch, pair) for batch, pair in found if pair is not None]


def closed_for_layer(pairs: StableBatches) -> bool:
    """Whether one stable pair covers all units of the layer, so that the loss is computed from a alone."""
    return bool(pairs) and pairs[0][0].is_layer


def losses_at(pairs: StableBatches, a: Array, o: Array, t: Array, loss: LossSpec) -> Array:
    """The losses of all outputs, (s, j), before the reduction; (s, 1) if outputs have no share of their own."""
    if closed_for_layer(pairs):
        ((batch, pair),) = pairs
        return pair.value(*_given(batch, a, t, loss))
    losses = loss.loss.value(o, t, *loss.values)
    for batch, pair in pairs:
        batch.put(pair.value(*_given(batch, a, t, loss)), losses)
    return losses


def _loss_arrays(
    pairs: StableBatches, a: Array, o: Array, t: Array, loss: LossSpec, divisor: int, shared: Any = None
) -> tuple[Any, ...]:
    """The losses, dE/do, and dE/da of each batch that has a closed form, all over the divisor."""
    dE_do, closed = loss.loss.derivative(o, t, *loss.values), []
    if closed_for_layer(pairs) and (both := pairs[0][1].both) is not None:
        losses, dE_da = both(shared, *_given(pairs[0][0], a, t, loss))
        return losses / divisor, dE_do / divisor, dE_da / divisor
    losses = losses_at(pairs, a, o, t, loss)
    for batch, pair in pairs:
        given = _given(batch, a, t, loss)
        closed.append(batch.columns(pair.dE_da(*given)) / divisor)
        if pair.dE_do:
            batch.put(pair.dE_do(*given), dE_do)
    return losses / divisor, dE_do / divisor, *closed


def _given(batch: Batch, a: Array, t: Array, loss: LossSpec) -> tuple[Any, ...]:
    """The arguments of a stable pair's functions."""
    rows = batch.take(a)
    return rows, batch.take(t), *batch.parameters(len(rows)), *loss.values


def _columns(whole: Jacobian, group: Group) -> Jacobian:
    """The Jacobian of one group of a layer, from that of the layer."""
    if group.activation.activation.elementwise or whole.left is None or whole.right is None:
        return Jacobian(whole.diagonal[:, group.units])
    return Jacobian(*(array[:, group.units] for array in (whole.diagonal, whole.left, whole.right)))


@quietly
def descend(network: Network, layers: tuple[LayerGradient, ...], learning_rate: float) -> Network:
    """The network after one step, w - learning_rate · dE/dw: all parameters at once, from the same gradients.

    Raises ValueError if the learning rate is not a finite number, or if the gradients are of another network.
    """
    check_gradients(network, layers, LayerGradient)
    rate = finite_number("learning_rate", learning_rate)

    def step(layer: Layer, gradient: LayerGradient) -> Layer:
        biases = None
        if layer.biases is not None and gradient.dE_db is not None:
            biases = layer.biases - rate * gradient.dE_db
        return replace(layer, weights=layer.weights - rate * gradient.dE_dw, biases=biases)

    return Network(tuple(step(layer, gradient) for layer, gradient in zip(network.layers, layers, strict=True)))
