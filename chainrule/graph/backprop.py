"""Forward pass, backward pass, and the three factors of every derivative.

    dE/dw_ij = Σ_b  dE/da_bj · o_bi                 b runs over the samples
    dE/da_bj = Σ_m  dE/do_bm · do_bm/da_bj          m runs over the units of the layer
    dE/do_bj = Σ_l  dE/da_bl · w_jl                 hidden layers: l runs over the units of the next layer
    dE/do_bj = ∂E/∂o_bj                             last layer: the loss's own derivative

E is one number for the whole batch, reduction included, so the product of the factors needs no further scaling.
Shapes below: s samples, i units of the layer before, j units of this layer.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from chainrule.checkpoint import Checkpoint, unlimited
from chainrule.functions.jacobian import Jacobian
from chainrule.functions.losses import LossSpec
from chainrule.functions.stable_pairs import STABLE_PAIRS, StablePair
from chainrule.functions.tables import Array, quietly
from chainrule.graph.arguments import check_gradients, check_request, fitting_inputs, fitting_target, targets_of_outputs
from chainrule.graph.batches import Batch, Units
from chainrule.graph.blocks import BLOCK, Parts, in_blocks
from chainrule.graph.network import Layer, Network, Reader, Use
from chainrule.graph.numbers import finite_number
from chainrule.graph.partition import LayerJacobian, rows_of


class Activity(NamedTuple):
    """One layer in the forward pass: its inputs, what it computes of them, and its outputs o.

    For a dense layer in a chain, x = da/dw is (s, i); the pre-activations a and the outputs o are (s, j). If o and
    do/da share exponentials, `do_da` is computed together with o, and `shared` is what a stable pair reuses.
    """

    layer: Layer
    inputs: tuple[Array, ...]
    a: Array
    o: Array
    do_da: Jacobian | None = None
    shared: Any = None

    @property
    def x(self) -> Array:
        """The first input."""
        return self.inputs[0]


class LossGradient(NamedTuple):
    """The losses of one output and their dE/do. `closed` has dE/da of units that form a stable pair with the loss."""

    losses: Array  # (r, j), or (r, 1) where outputs have no share of their own
    dE_do: Array  # (r, j)
    closed: tuple[tuple[Units, Array], ...]


class UseGradient(NamedTuple):
    """One use of a shared parameter: by which layer, under which name, and its term of the derivative."""

    layer: int
    parameter: str
    dE_dw: Array  # in the owner's orientation


class LayerGradient(NamedTuple):
    """One layer's derivatives. dE/dw_ij is the sum over the samples of dE/do · do/da · da/dw."""

    activity: Activity
    dE_do: Array  # (s, j)
    do_da: LayerJacobian
    dE_da: Array  # (s, j)
    derivatives: Mapping[str, Array]  # by each parameter, in its shape
    uses: Mapping[str, tuple[UseGradient, ...]] = {}  # of the parameters that other layers share, the owner's use first

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
        """The third factor of a dense layer, (s, i): its inputs, which are the outputs of the layer before."""
        return self.activity.inputs[0]

    @property
    def dE_dw(self) -> Array:
        """dE/dw, (i, j), of a layer that has weights."""
        return self.derivatives["weights"]

    @property
    def dE_db(self) -> Array | None:
        """dE/db, (j,); None if the layer has no biases."""
        return self.derivatives.get("biases")

    def with_derivatives(self, **changed: Array) -> "LayerGradient":
        """The same with other derivatives by some parameters."""
        return self._replace(derivatives={**self.derivatives, **changed})


class Gradients(NamedTuple):
    """The result of `gradients`: the loss, every factor, and every derivative. Layers are first to last."""

    loss: float
    sample_losses: Array  # (s,), the share of each sample
    tops: tuple[LossGradient, ...]  # one for each output of the network
    layers: tuple[LayerGradient, ...]
    by_input: tuple[Array | None, ...]  # dE/dx of each input; None if it has no derivative
    network: Network

    @property
    def top(self) -> LossGradient:
        """The losses of the first output, and their derivatives."""
        return self.tops[0]

    @property
    def dE_dx(self) -> Array:
        """dE/dx of the only input, in its shape."""
        (dE_dx,) = self.by_input
        assert dE_dx is not None, "the input has no derivative"  # noqa: S101
        return dE_dx

    @property
    def losses(self) -> Array:
        """The share of each sample and output, (s, j); (s, 1) if outputs have no share of their own."""
        return self.tops[0].losses

    @property
    def outputs(self) -> Array:
        """The first output of the network, (s, j)."""
        return self.layers[self.network.wiring.ends[0]].o


@quietly
def gradients(
    network: Network,
    inputs: ArrayLike | Mapping[str, ArrayLike],
    targets: ArrayLike | Mapping[str, ArrayLike],
    loss: LossSpec | Mapping[str, LossSpec],
    *,
    checkpoint: Checkpoint = unlimited,
) -> Gradients:
    """The loss of a network and its derivative by every parameter and every input.

    For a chain, `inputs` are (s, i), and `targets` (s, j), or (s,) where the loss takes class indices. Several inputs,
    or targets and losses of several outputs, are mappings by name; E is then the sum of all losses. Raises ValueError
    where they do not fit: wrong types, shapes or classes, numbers that are not finite. Overflow in the computation is
    left in the result; `first_non_finite` finds it.
    """
    losses = check_request(network, loss, checkpoint)
    xs, given = fitting_inputs(network, inputs), targets_of_outputs(network, targets)
    activities, tops = _forward(network, xs, True, checkpoint), list[LossGradient]()
    for end, own, t in zip(network.wiring.ends, losses, given, strict=True):
        last = activities[end]
        tops.append(_loss_gradient(last, fitting_target(last.o.shape, t, own), own, checkpoint))
    layers = with_uses(network, tuple(backward(network, activities, tops, checkpoint=checkpoint))[::-1])
    found, by_input = dict(enumerate(layers)), list[Array | None]()
    for readers, x in zip(network.wiring.readers, xs, strict=False):
        by_input.append(_pulled(readers, len(x), found, checkpoint))
    sample_losses = _sample_losses(tops, [len(activities[end].o) for end in network.wiring.ends])
    return Gradients(float(np.add.reduce(sample_losses)), sample_losses, tuple(tops), layers, tuple(by_input), network)


def _sample_losses(tops: Sequence[LossGradient], samples: Sequence[int]) -> Array:
    """The share of each sample in E, (s,): over all outputs and positions.

    If an output has only one sample for the whole batch, its loss is divided equally among all samples.
    """
    if len(tops) == 1 and len(tops[0].losses) == samples[0]:
        return np.add.reduce(tops[0].losses, axis=1)  # type: ignore[no-any-return]
    most, total = max(samples), np.zeros(max(samples))
    for top, own in zip(tops, samples, strict=True):
        total += top.losses.reshape(own, -1).sum(axis=1) * (own / most)
    return total


@quietly
def forward(
    network: Network, inputs: Sequence[Array], *, derive: bool = False, checkpoint: Checkpoint = unlimited
) -> list[Activity]:
    """The activity of every layer, first to last; with `derive`, also do/da if it shares exponentials with o."""
    return _forward(network, inputs, derive, checkpoint)


def _forward(network: Network, inputs: Sequence[Array], derive: bool, checkpoint: Checkpoint) -> list[Activity]:
    """The same; overflow warns, unless the caller has the decorator `quietly`."""
    values, activities = list(inputs), list[Activity]()
    for layer, sources in zip(network.layers, network.wiring.sources, strict=True):
        checkpoint()
        activity = _activity(layer, tuple([values[source] for source in sources]), derive, checkpoint)
        activities.append(activity)
        values.append(activity.o)
    return activities


def _activity(layer: Layer, inputs: tuple[Array, ...], derive: bool, checkpoint: Checkpoint) -> Activity:
    """The activity of a layer; with `derive`, also do/da if it shares exponentials with o."""
    if layer.type.check_values is not None:
        layer.type.check_values(layer, inputs)
    a = layer.type.compute(layer, inputs, checkpoint)
    if derive and (found := layer.partition.outputs_and_jacobian(a)) is not None:
        return Activity(layer, inputs, a, *found)
    return Activity(layer, inputs, a, layer.partition.outputs(a, checkpoint=checkpoint))


class Place(NamedTuple):
    """The position of the backward pass: layer k, with the derivatives of the layers that read it."""

    network: Network
    activities: Sequence[Activity]
    k: int
    top: LossGradient | None  # of this layer, if it is an output
    found: Mapping[int, LayerGradient]  # by position, of all layers after this one
    checkpoint: Checkpoint

    @property
    def activity(self) -> Activity:
        """The layer in the forward pass."""
        return self.activities[self.k]

    def with_input(self, x: Array) -> "Place":
        """The same place, where the layer has read another input."""
        activities = [*self.activities]
        activities[self.k] = self.activity._replace(inputs=(x,))
        return self._replace(activities=activities)

    @property
    def above(self) -> LayerGradient | None:
        """The derivatives of the first layer that reads this one; None if there is none."""
        readers = self.network.readers_of(self.k)
        return self.found[readers[0].layer] if readers else None


def handed_down(place: Place) -> Array:
    """dE/do: the loss's derivative if the layer is an output, plus Σ dE/da · da/dx of the layers that read it."""
    network, activities, k, top, found, checkpoint = place
    o = activities[k].o
    from_readers = _pulled(network.readers_of(k), len(o), found, checkpoint)
    if top is None:  # a layer whose only readers take indices has no derivative
        return np.zeros_like(o) if from_readers is None else from_readers
    dE_do = top.dE_do if top.dE_do.shape == o.shape else top.dE_do.reshape(o.shape)
    return dE_do if from_readers is None else dE_do + from_readers


def _pulled(
    readers: Sequence[Reader], samples: int, found: Mapping[int, LayerGradient], checkpoint: Checkpoint
) -> Array | None:
    """Σ dE/da · da/dx over the layers that read a value x, in its shape; None if none has a derivative by it."""
    total: Array | None = None
    for k, position in readers:
        gradient = found[k]
        activity = gradient.activity
        part = activity.layer.type.by_input(activity, position, gradient.dE_da, checkpoint)
        if part is not None:
            if len(part) != samples:  # x has one sample, which the whole batch reads
                part = part.sum(axis=0, keepdims=True)
            total = part if total is None else total + part
    return total


def layer_jacobian(place: Place) -> LayerJacobian:
    """do/da at the layer's pre-activations."""
    layer, _, a, _, do_da, _ = place.activities[place.k]
    if do_da is None:
        return layer.partition.jacobian(a, checkpoint=place.checkpoint)
    return LayerJacobian(layer.partition, do_da)


def times_jacobian(place: Place, do_da: LayerJacobian, dE_do: Array) -> Array:
    """dE/da: dE/do · do/da, or the closed form for units that form a stable pair with the loss."""
    if place.top is None or not place.top.closed:
        return do_da.dE_da(dE_do, checkpoint=place.checkpoint)
    closed = place.top.closed
    from_readers = _pulled(place.network.readers_of(place.k), len(dE_do), place.found, place.checkpoint)
    if from_readers is None and isinstance(closed[0][0], slice):  # all units of the layer
        return closed[0][1].reshape(dE_do.shape)
    dE_da = do_da.dE_da(rows_of(dE_do if from_readers is None else place.top.dE_do), checkpoint=place.checkpoint)
    for units, numbers in closed:
        dE_da[:, units] = numbers
    if from_readers is not None:
        dE_da += do_da.dE_da(rows_of(from_readers), checkpoint=place.checkpoint)
    return dE_da.reshape(dE_do.shape)


def by_parameters(place: Place, dE_da: Array) -> dict[str, Array]:
    """dE/dθ of every parameter of the layer: dE/da · da/dθ, summed over the samples."""
    activity, checkpoint = place.activities[place.k], place.checkpoint
    layer, derivatives = activity.layer, {}
    for name in layer.parameters:
        derivatives[name] = layer.type.by_parameter[name](activity, dE_da, checkpoint)
    return derivatives


@dataclass(frozen=True)
class Rules:
    """The four formulas of the backward pass. `mistakes.py` replaces them with wrong ones."""

    dE_do: Callable[[Place], Array] = handed_down
    do_da: Callable[[Place], LayerJacobian] = layer_jacobian
    dE_da: Callable[[Place, LayerJacobian, Array], Array] = times_jacobian
    derivatives: Callable[[Place, Array], dict[str, Array]] = by_parameters

    def at(self, place: Place) -> LayerGradient:
        """The derivatives of one layer."""
        dE_do, do_da = self.dE_do(place), self.do_da(place)
        dE_da = self.dE_da(place, do_da, dE_do)
        return LayerGradient(place.activities[place.k], dE_do, do_da, dE_da, self.derivatives(place, dE_da))


RIGHT = Rules()


def backward(
    network: Network,
    activities: Sequence[Activity],
    tops: Sequence[LossGradient],
    rules: Rules = RIGHT,
    known: Sequence[LayerGradient] = (),
    *,
    checkpoint: Checkpoint = unlimited,
) -> Iterator[LayerGradient]:
    """The derivatives of every layer, LAST to first, from those of the losses.

    `known` are the derivatives of the highest layers, first to last, if they are known: these layers are left out.
    """
    left = len(activities) - len(known)
    found, top_of = dict(enumerate(known, left)), dict(zip(network.wiring.ends, tops, strict=True))
    for k in reversed(range(left)):
        checkpoint()
        found[k] = gradient = rules.at(Place(network, activities, k, top_of.get(k), found, checkpoint))
        yield gradient


def with_uses(network: Network, layers: tuple[LayerGradient, ...]) -> tuple[LayerGradient, ...]:
    """The derivatives by shared parameters added up at their owners, each with its uses."""
    if not network.wiring.uses:
        return layers
    found = list(layers)
    for (owner, name), uses in network.wiring.uses.items():
        terms = [UseGradient(owner, name, layers[owner].derivatives[name])]
        terms += (_use_gradient(use, layers[use.layer]) for use in uses)
        total = np.add.reduce([term.dE_dw for term in terms])
        own = found[owner]
        found[owner] = own._replace(derivatives={**own.derivatives, name: total}, uses={**own.uses, name: tuple(terms)})
    for k in range(len(found)):
        owned = {name: found[k].derivatives[name] for name in network.owned(k)}
        found[k] = found[k]._replace(derivatives=owned)
    return tuple(found)


def _use_gradient(use: Use, gradient: LayerGradient) -> UseGradient:
    dE_dw = gradient.derivatives[use.parameter]
    return UseGradient(use.layer, use.parameter, dE_dw.T if use.transpose else dE_dw)


@quietly
def loss_gradient(
    last: Activity, targets: Array, loss: LossSpec, *, checkpoint: Checkpoint = unlimited
) -> LossGradient:
    """The share of each sample and output in E, and its derivatives, reduction included, for targets that fit."""
    return _loss_gradient(last, targets, loss, checkpoint)


def _loss_gradient(last: Activity, targets: Array, loss: LossSpec, checkpoint: Checkpoint) -> LossGradient:
    """The same; overflow warns, unless the caller has the decorator `quietly`."""
    a, o = last.a, last.o
    if o.ndim != 2:
        a, o = rows_of(a), rows_of(o)
        targets = targets.ravel() if loss.loss.class_indices else rows_of(targets)
    t = loss.dense_targets(targets, o.shape[1])
    divisor, pairs = loss.divisor(t, len(last.o)), stable_batches(last.layer, loss)

    def of_samples(rows: slice) -> Parts:
        return _loss_arrays(pairs, a[rows], o[rows], t[rows], loss, divisor)

    if o.size <= BLOCK:
        found = _loss_arrays(pairs, a, o, t, loss, divisor, last.shared)
    else:
        found = in_blocks(of_samples, len(o), o.shape[1], checkpoint)
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


@quietly
def descend(network: Network, layers: tuple[LayerGradient, ...], learning_rate: float) -> Network:
    """The network after one step, w - learning_rate · dE/dw: all parameters at once, from the same gradients.

    Raises ValueError if the learning rate is not a finite number, or if the gradients are of another network.
    """
    check_gradients(network, layers, LayerGradient)
    rate = finite_number("learning_rate", learning_rate)

    def step(layer: Layer, gradient: LayerGradient) -> Layer:
        owned = {name: layer.parameters[name] - rate * dE for name, dE in gradient.derivatives.items()}
        return replace(layer, parameters=owned)

    layers_after = tuple(step(layer, gradient) for layer, gradient in zip(network.layers, layers, strict=True))
    return Network(layers_after, network.inputs, network.outputs)
