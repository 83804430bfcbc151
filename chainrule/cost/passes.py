"""What the passes through a network cost: seconds and bytes from its shapes.

Three products of matrices a layer (forward, dE/do handed down, dE/dw), the functions of its groups, and a look at
whether every number is finite and off all kinks. Shapes: s samples, i units of the layer before, j units of this one.

Written for speed: every request is weighed, the smallest too.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from chainrule.cost.rates import RATES, Rate
from chainrule.functions.activations import ACTIVATIONS, activation_spec
from chainrule.functions.losses import LossSpec
from chainrule.functions.stable_pairs import STABLE_PAIRS
from chainrule.graph.batches import Batch
from chainrule.graph.network import Layer, Network

FLOAT = 8  # bytes

_PRODUCT = RATES.work["product"].call
_MULTIPLY_ADD = RATES.work["multiply_add"].number
_READ = RATES.work["read"].number
_WRITTEN = RATES.work["written"].number
_LOOK = RATES.work["look"]
_BATCH = RATES.work["batch"]
_NETWORK = RATES.work["network"].call
_LAYER = RATES.work["layer"].call + 3 * _PRODUCT + 7 * _LOOK.call
_OF_MATRICES = 2 * _READ + _WRITTEN  # each is read by two products, and written by one


class Work(NamedTuple):
    """Seconds of the reference core; bytes that stay; further bytes while the work is done."""

    seconds: float = 0.0
    kept: float = 0.0
    peak: float = 0.0


class Row(NamedTuple):
    """What the cost model knows of one row of the table of activations. `both` adds value, derivative and kinks up."""

    name: str
    coupled: bool
    kinks: int  # that every unit is compared with
    value: Rate
    derivative: Rate
    both: Rate


@cache
def row(activation: str) -> Row:
    """The constants of an activation; its kinks are those with the default parameters."""
    phi = ACTIVATIONS[activation]
    value, derivative = RATES.value(activation), RATES.derivative(activation)
    kinks = len(activation_spec(activation).kinks()) + (phi.border is not None)
    both = Rate(
        call=value.call + derivative.call + kinks * 3 * _LOOK.call,
        row=value.row + derivative.row,
        number=value.number + derivative.number + kinks * 2 * _LOOK.number,
        kept=value.kept + derivative.kept - FLOAT,  # dE/da is counted with the derivative and with the layer
        peak=max(value.peak - value.kept, derivative.peak - derivative.kept),
    )
    return Row(activation, not phi.elementwise, kinks, value, derivative, both)


class Call(NamedTuple):
    """Groups of a layer that are computed in one call: their row, how many they are, and their units in all."""

    row: Row
    groups: int
    units: int


class Shape(NamedTuple):
    """A layer from i units to j, and the calls that its activations take."""

    n_in: int
    n_out: int
    calls: tuple[Call, ...]
    coupled: int  # units whose outputs depend on the pre-activations of others, too


def shapes_of(network: Network) -> list[Shape]:
    """The shapes of all layers, first to last."""
    return [_shape(layer) for layer in network.layers]


def _shape(layer: Layer) -> Shape:
    n_in, n_out = layer.weights.shape
    if len(layer.groups) == 1:
        known = row(layer.groups[0].activation.activation.name)
        return Shape(n_in, n_out, (Call(known, 1, n_out),), n_out if known.coupled else 0)
    calls = tuple(_call(batch, n_out) for batch in layer.batches)
    return Shape(n_in, n_out, calls, sum(call.units for call in calls if call.row.coupled))


def _call(batch: Batch, n_out: int) -> Call:
    known = row(batch.activation.name)
    units = n_out if isinstance(batch.units, slice) else len(batch.units)
    return Call(known, len(batch.groups) if known.coupled else 1, units)


def product_seconds(rows: float, inner: float, columns: float) -> float:
    """A product of matrices, rows × inner by inner × columns."""
    touched = (rows * inner + inner * columns) * _READ + rows * columns * _WRITTEN
    return _PRODUCT + rows * inner * columns * _MULTIPLY_ADD + touched


def forward_layer(shape: Shape, samples: int) -> Work:
    """a and o of one layer."""
    numbers = samples * shape.n_out
    seconds = product_seconds(samples, shape.n_in, shape.n_out) + _LOOK.call + numbers * _LOOK.number
    kept, peak = float(FLOAT * numbers), 0.0
    for known, groups, units in shape.calls:
        own = samples * units
        seconds += known.value.seconds(1, samples * groups, own)
        kept += known.value.kept * own
        peak = max(peak, (known.value.peak - known.value.kept) * own)
    if len(shape.calls) > 1:
        seconds += _BATCH.seconds(len(shape.calls), 0, numbers)
        peak += 2 * FLOAT * numbers
    return Work(seconds, kept, peak)


def gradients_layer(shape: Shape, samples: int) -> Work:
    """Both passes through one layer, and whether all that they give is finite and off kinks.

    Three products, each of which reads two of the matrices of s × i, s × j and i × j numbers and writes the third.
    """
    n_in, n_out, calls, _ = shape
    given, numbers, weights = samples * n_in, samples * n_out, n_in * n_out
    seconds = (
        _LAYER
        + samples * weights * 3 * _MULTIPLY_ADD
        + (given + numbers + weights) * _OF_MATRICES
        + numbers * 4 * _LOOK.number
        + weights * _LOOK.number
    )
    kept, peak = float(FLOAT * (3 * numbers + weights + n_out)), 0.0
    for known, groups, units in calls:
        both, own = known.both, samples * units
        seconds += both.call + samples * groups * both.row + own * both.number
        kept += own * both.kept
        peak = max(peak, own * both.peak)
    if len(calls) > 1:
        seconds += 2 * _BATCH.seconds(len(calls), 0, numbers)
        peak += 2 * FLOAT * numbers
    return Work(seconds, kept, peak)


def loss_work(last: Shape, samples: int, loss: LossSpec) -> Work:
    """The losses of all samples and outputs, their derivatives, and the closed forms."""
    name, numbers = loss.loss.name, samples * last.n_out
    rate = RATES.loss(name)
    seconds, kept, peak = rate.seconds(1, samples, numbers), rate.kept + 2 * FLOAT, rate.peak
    for known, groups, units in last.calls:
        if (name, known.name) in STABLE_PAIRS:
            pair = RATES.pair(name, known.name)
            seconds += pair.seconds(1, samples * groups, samples * units)
            kept, peak = kept + pair.kept, max(peak, pair.peak)
    return Work(seconds, kept * numbers, peak * numbers)


def forward(shapes: Sequence[Shape], samples: int) -> Work:
    """The forward pass, without the loss."""
    works = [forward_layer(shape, samples) for shape in shapes]
    return Work(sum(w.seconds for w in works), sum(w.kept for w in works), max(w.peak for w in works))


def gradients(shapes: Sequence[Shape], samples: int, loss: LossSpec) -> Work:
    """Everything that `gradients` computes, and the looks at whether it is finite and on kinks."""
    seconds, kept, peak = loss_work(shapes[-1], samples, loss)
    dE_dx = FLOAT * samples * shapes[0].n_in
    seconds, kept, peak = seconds + _NETWORK, kept + dE_dx, max(peak, 2 * dE_dx)
    for shape in shapes:
        own = gradients_layer(shape, samples)
        seconds, kept, peak = seconds + own.seconds, kept + own.kept, max(peak, own.peak)
    return Work(seconds, kept, peak)


def step(shapes: Sequence[Shape]) -> Work:
    """One step of gradient descent: a network beside the old one."""
    numbers = sum(shape.n_in * shape.n_out + shape.n_out for shape in shapes)
    seconds = len(shapes) * 8 * _LOOK.call + 2 * numbers * _WRITTEN
    return Work(seconds, FLOAT * numbers, FLOAT * numbers)


def parameters(network: Network) -> int:
    """The weights and biases of a network."""
    layers = network.layers
    return sum(layer.weights.size + (0 if layer.biases is None else layer.biases.size) for layer in layers)


def multiply_adds(network: Network, samples: int) -> int:
    """The multiply-adds of the three products of matrices of every layer."""
    return 3 * samples * sum(layer.weights.size for layer in network.layers)
