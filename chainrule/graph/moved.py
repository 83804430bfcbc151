"""The loss of a network with one parameter moved, for many parameters in one forward pass.

Each moved parameter has a copy of the batch, and the copies are stacked as samples. They start from the activities of
the unchanged network:

    a'_j = a_j + x_i · Δw_ij              in the layer of the parameter, where only unit j changes
    a'_l = a_l + (o'_j - o_j) · w_jl      in the layer above it, where unit j acts alone

From there on they pass through the layers as samples do. Shapes: n parameters, m moves of each, s samples, j units.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chainrule.checkpoint import Checkpoint
from chainrule.functions.losses import LossSpec
from chainrule.functions.tables import Array
from chainrule.graph.arguments import check_chain, fitting_target
from chainrule.graph.backprop import (
    Activity,
    StableBatches,
    closed_for_layer,
    forward,
    losses_at,
    stable_batches,
)
from chainrule.graph.batches import Batch
from chainrule.graph.blocks import product
from chainrule.graph.network import Layer, Network

BLOCK_NUMBERS = 2**17  # of one array in a sweep
FEW_NUMBERS = 2**13  # take about as long as the calls of Python and NumPy
Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]


class Parameters(NamedTuple):
    """Weights and biases of a network: layer by layer, the rows of the weights and then the biases."""

    layer: Indices
    before: Indices  # the unit before, of a weight; -1 for a bias
    unit: Indices
    value: Array

    def some(self, which: Indices | Mask | slice) -> "Parameters":
        """Some of them, in their order."""
        return Parameters(self.layer[which], self.before[which], self.unit[which], self.value[which])


def parameters_of(network: Network) -> Parameters:
    """All parameters of a network."""
    parts = [_parameters_of_layer(k, layer) for k, layer in enumerate(network.layers)]
    return Parameters(*map(np.concatenate, zip(*parts, strict=True)))


def _parameters_of_layer(k: int, layer: Layer) -> Parameters:
    biases = np.empty(0) if layer.biases is None else layer.biases
    of_weights = np.indices(layer.weights.shape).reshape(2, -1)
    before = np.append(of_weights[0], np.full(len(biases), -1))
    unit = np.append(of_weights[1], np.arange(len(biases)))
    return Parameters(np.full(len(unit), k), before, unit, np.append(layer.weights.ravel(), biases))


class Losses(NamedTuple):
    """The loss of a network with moved parameters."""

    values: Array  # (n, m)
    crossed: Mask  # (n,): whether a unit or an output is on one side of a kink after move 0, on another after move 1


class _Rows(NamedTuple):
    """The samples of one layer, once for every move of some parameters: `of` (n,) are their positions in the block."""

    of: Indices
    numbers: Array  # (n, m, s, j): a, then o


class _Columns(NamedTuple):
    """The changes of one layer's outputs by its moved parameters, for units that act alone."""

    of: Indices
    unit: Indices
    change: Array  # o'_j - o_j, (n, m, s)


@dataclass(frozen=True, eq=False)
class Moved:
    """A network with its activities, the targets and the loss of a batch."""

    activities: list[Activity]
    t: Array  # dense targets, (s, j)
    loss: LossSpec
    divisor: int  # of the reduction
    pairs: StableBatches
    checkpoint: Checkpoint

    def losses(self, parameters: Parameters, moves: Array) -> Losses:
        """The loss with one parameter moved, for each move of each parameter, (n, m). All others stay as they are."""
        values, crossed = np.zeros(moves.shape), np.zeros(len(moves), dtype=np.bool_)
        for block, samples in self._blocks(parameters, moves.shape[1]):
            found = self._of_block(parameters.some(block), moves[block], samples)
            values[block] += found.values
            crossed[block] |= found.crossed
        return Losses(values, crossed)

    def single_losses(self) -> Array:
        """The losses of the unchanged network, (s, j), reduction included."""
        last = self.activities[-1]
        return losses_at(self.pairs, last.a, last.o, self.t, self.loss) / self.divisor

    def few(self, parameters: int, moves: int) -> bool:
        """Whether these parameters with so many moves of each cost little more than the calls that compute them."""
        widest = max(activity.layer.units for activity in self.activities)
        return parameters * moves * len(self.t) * widest <= FEW_NUMBERS

    def _blocks(self, parameters: Parameters, moves: int) -> Iterator[tuple[slice, slice]]:
        """Slices of the parameters and of the samples, so that no array has many more numbers than BLOCK_NUMBERS."""
        units = [activity.layer.units for activity in self.activities]
        alone = [all(batch.activation.elementwise for batch in activity.layer.batches) for activity in self.activities]
        widths = np.array([max(units[k + alone[k] :], default=units[k]) for k in range(len(units))])
        together = max(1, min(len(self.t), BLOCK_NUMBERS // (moves * int(widths.max()))))
        in_block = np.cumsum(widths[parameters.layer] * (moves * together)) // BLOCK_NUMBERS
        if not len(parameters.layer):
            return
        edges = [0, *(np.flatnonzero(np.diff(in_block)) + 1).tolist(), len(in_block)]
        for start, stop in pairwise(edges):
            for first in range(0, len(self.t), together):
                yield slice(start, stop), slice(first, first + together)

    def _of_block(self, parameters: Parameters, moves: Array, samples: slice) -> Losses:
        """The samples' share of the losses, by one pass over the layers from that of the first parameter on."""
        crossed = np.zeros(len(moves), dtype=np.bool_)
        a = rows = columns = None
        for k in range(int(parameters.layer[0]), len(self.activities)):
            self.checkpoint()
            activity = _of_samples(self.activities[k], samples)
            pieces = list(self._arriving(activity, rows, columns))
            here = np.flatnonzero(parameters.layer == k)
            alone = _act_alone(activity.layer, parameters.unit[here]) & (k + 1 < len(self.activities))
            pieces.append(_entering(activity, parameters, moves, here[~alone]))
            columns = _changed(activity, parameters, moves, here[alone], crossed)
            a = _Rows(*(np.concatenate(arrays) for arrays in zip(*pieces, strict=True)))
            rows = self._outputs(activity.layer, a, crossed) if len(a.of) else None
        assert a is not None  # noqa: S101  there is at least one layer
        assert rows is not None  # noqa: S101
        return Losses(self._values(a, rows, samples, crossed), crossed)

    def _arriving(self, activity: Activity, rows: _Rows | None, columns: _Columns | None) -> Iterator[_Rows]:
        """The pre-activations of a layer, from what has changed in the layer before it."""
        weights = activity.layer.weights
        if rows is not None:
            a = product(rows.numbers.reshape(-1, len(weights)), weights, self.checkpoint)
            if activity.layer.biases is not None:
                a += activity.layer.biases
            yield _Rows(rows.of, a.reshape(*rows.numbers.shape[:3], -1))
        if columns is not None:
            yield _Rows(columns.of, activity.a + columns.change[..., None] * weights[columns.unit][:, None, None])

    def _outputs(self, layer: Layer, a: _Rows, crossed: Mask) -> _Rows:
        """o of a layer. Marks in `crossed` the parameters that move a unit over a kink."""
        for batch in layer.batches:
            if batch.kinks or batch.activation.border is not None:
                crossed[a.of] |= _cross(a.numbers, partial(_distances, batch))
        if layer is self.activities[-1].layer and closed_for_layer(self.pairs) and not self.loss.loss.borders:
            return a  # the loss is computed from a
        o = layer.partition.outputs(a.numbers.reshape(-1, layer.units), checkpoint=self.checkpoint)
        return _Rows(a.of, o.reshape(a.numbers.shape))

    def _values(self, a: _Rows, o: _Rows, samples: slice, crossed: Mask) -> Array:
        """The losses, (n, m). Marks in `crossed` the parameters that move an output over a kink of the loss."""
        n, m, s, j = o.numbers.shape
        t = np.broadcast_to(self.t[samples], (n * m, s, self.t.shape[1])).reshape(n * m * s, -1)
        if self.loss.loss.borders:
            crossed[o.of] |= _cross(o.numbers, lambda o: self.loss.distances(o, t[: len(o)]))
        losses = losses_at(self.pairs, a.numbers.reshape(-1, j), o.numbers.reshape(-1, j), t, self.loss)
        values = np.empty((n, m))
        values[o.of] = (losses / self.divisor).reshape(n, m, -1).sum(axis=2)
        return values


def moved(network: Network, inputs: Array, targets: Array, loss: LossSpec, checkpoint: Checkpoint) -> Moved:
    """Prepare a network for moving its parameters: run its forward pass."""
    check_chain(network, inputs)
    activities = forward(network, (inputs,), checkpoint=checkpoint)
    targets = fitting_target(activities[-1].o.shape, targets, loss)
    t = loss.dense_targets(targets, activities[-1].layer.units)
    return Moved(activities, t, loss, loss.divisor(t), stable_batches(activities[-1].layer, loss), checkpoint)


def _of_samples(activity: Activity, samples: slice) -> Activity:
    return Activity(activity.layer, (activity.x[samples],), activity.a[samples], activity.o[samples])


def _act_alone(layer: Layer, units: Indices) -> Mask:
    """A mask of the units that change no other unit's output."""
    elementwise = np.array([batch.activation.elementwise for batch in layer.batches])
    alone: Mask = elementwise[_batch_of_each(layer)[units]]
    return alone


def _batch_of_each(layer: Layer) -> Indices:
    """The index of the batch that each unit is in, (j,)."""
    found = np.empty(layer.units, dtype=np.intp)
    for index, batch in enumerate(layer.batches):
        found[batch.units] = index
    return found


def _steps_of_a(activity: Activity, parameters: Parameters, moves: Array, which: Indices) -> Array:
    """By how much each move changes the pre-activation of the parameter's unit, (n, m, s): x_i · Δw; Δb for a bias."""
    before = parameters.before[which]
    x = np.where(before < 0, 1.0, activity.x[:, before]).T
    steps: Array = moves[which][:, :, None] * x[:, None, :]
    return steps


def _entering(activity: Activity, parameters: Parameters, moves: Array, which: Indices) -> _Rows:
    """The pre-activations of a layer with each of these parameters moved."""
    a = np.broadcast_to(activity.a, (len(which), moves.shape[1], *activity.a.shape)).copy()
    a[np.arange(len(which)), :, :, parameters.unit[which]] += _steps_of_a(activity, parameters, moves, which)
    return _Rows(which, a)


def _changed(activity: Activity, parameters: Parameters, moves: Array, which: Indices, crossed: Mask) -> _Columns:
    """The changes by parameters whose units act alone. Marks in `crossed` those that move their unit over a kink."""
    units = parameters.unit[which]
    a = activity.a[:, units].T[:, None, :] + _steps_of_a(activity, parameters, moves, which)
    o = np.empty_like(a)
    batch_of_each = _batch_of_each(activity.layer)[units]
    for index in np.unique(batch_of_each).tolist():
        own, batch = np.flatnonzero(batch_of_each == index), activity.layer.batches[index]
        at = partial(batch.at_units, units[own])
        o[own] = batch.activation.value(a[own].reshape(len(own), -1), *map(at, batch.values)).reshape(a[own].shape)
        for kink in map(at, batch.kinks):
            crossed[which[own]] |= _sides_differ(a[own, 0] - kink, a[own, 1] - kink).any(axis=1)
    return _Columns(which, units, o - activity.o[:, units].T[:, None, :])


def _distances(batch: Batch, a: Array) -> list[Array]:
    return [batch.columns(distance) for distance in batch.distances(batch.take(a))]


def _cross(numbers: Array, distances: Callable[[Array], list[Array]]) -> Mask:
    """A mask of the n parameters that change the sign of a distance from move 0 to move 1, for (n, m, s, j)."""
    below, above = (numbers[:, move].reshape(-1, numbers.shape[3]) for move in (0, 1))
    crossed = np.zeros(len(numbers), dtype=np.bool_)
    for one, other in zip(distances(below), distances(above), strict=True):
        crossed |= _sides_differ(one, other).reshape(len(numbers), -1).any(axis=1)
    return crossed


def _sides_differ(below: Array, above: Array) -> Mask:
    """A mask of the numbers that change their sign or leave 0. A number that stays 0 does not depend on the step."""
    differ: Mask = (np.sign(below) * np.sign(above) <= 0) & (below != above)
    return differ
