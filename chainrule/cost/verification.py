"""The cost of `verify`: for each parameter, six copies of the batch pass the layers above it, once or several times.

The copies of a parameter are stacked as samples (chainrule/graph/moved.py): a sweep. How often a step is made shorter
depends on the numbers: not at all in most networks, at most four times. The model is in between, so that it is right
within a factor of 3 in both cases.
"""

from collections.abc import Sequence
from functools import cache

from chainrule.cost.passes import FLOAT, Shape, Work, product_seconds
from chainrule.cost.rates import RATES, Rate
from chainrule.functions.losses import LossSpec
from chainrule.functions.stable_pairs import STABLE_PAIRS
from chainrule.graph.moved import BLOCK_NUMBERS, FEW_NUMBERS

_MOVES, _STEPS = 6, 6
ROUNDS = 1.85  # between 1 and 5
_TOUCH = RATES.work["written"].number
_LOOK = RATES.work["look"]
_VERIFIED = RATES.work["verified"]  # what is done once: for the network, and for each layer of it
_SWEEP = RATES.work["sweep"]  # one layer in one block of parameters: call; a block: row; a parameter: number
_ARRAYS = 10  # arrays of a block at a time, besides the moves and losses
_OF_PARAMETER = 80 * FLOAT


def verification(shapes: Sequence[Shape], parameters: Sequence[int], samples: int, loss: LossSpec) -> Work:
    """The work to verify all parameters; `parameters` are the numbers of weights and biases of each layer."""
    once = _VERIFIED.seconds(1, len(shapes), 0)
    seconds = once + ROUNDS * sweep(shapes, parameters, samples, loss)
    peak = _OF_PARAMETER * sum(parameters) + _block_bytes(shapes, parameters, samples, loss)
    return Work(seconds, 0.0, peak)


def _block_bytes(shapes: Sequence[Shape], parameters: Sequence[int], samples: int, loss: LossSpec) -> float:
    """The bytes of the arrays of one block, in the layer where they are largest."""
    rows, widest = _MOVES * samples, max(_widths(shapes))
    largest, below = 0.0, 0
    for k, (shape, count) in enumerate(zip(shapes, parameters, strict=True)):
        last = k + 1 == len(shapes)
        entering = below + (count if last else count * shape.coupled / shape.n_out)
        numbers = rows * max(entering * shape.n_out, count)
        several = max(numbers, min(_STEPS * numbers, FEW_NUMBERS))  # few parameters make several steps in one block
        block = max(min(BLOCK_NUMBERS, several), _MOVES * widest)
        values = max(call.row.value.peak for call in shape.calls)
        peak = max(values, _loss_rate(shape, loss).peak) if last else values
        largest, below = max(largest, block * (_ARRAYS * FLOAT + peak)), below + count
    return largest


def sweep(shapes: Sequence[Shape], parameters: Sequence[int], samples: int, loss: LossSpec) -> float:
    """Seconds of one sweep: six moves of every parameter."""
    rows = _MOVES * samples  # of one parameter
    through = _through(shapes, rows, loss)
    entering = sum(count * _entering(shapes, k, rows, through) for k, count in enumerate(parameters))
    return entering + _calls(shapes, parameters, samples, loss)


def _through(shapes: Sequence[Shape], rows: float, loss: LossSpec) -> list[float]:
    """Seconds of one parameter's rows from the pre-activations of layer k to the loss, without calls, for every k."""
    last = shapes[-1]
    rate = _loss_rate(last, loss)
    so_far = rate.row * rows + rate.number * rows * last.n_out
    seconds = [0.0] * len(shapes)
    for k in reversed(range(len(shapes))):
        shape = shapes[k]
        if k + 1 < len(shapes):
            above = shapes[k + 1]
            so_far += product_seconds(rows, shape.n_out, above.n_out) - product_seconds(0, 0, 0)
        so_far += _values(shape, rows)
        seconds[k] = so_far
    return seconds


def _values(shape: Shape, rows: float) -> float:
    """Seconds for the outputs of one layer, and for comparing its units with their kinks in two of six moves."""
    seconds = rows * shape.n_out * 2 * _TOUCH
    for known, groups, units in shape.calls:
        own = rows * units
        seconds += known.value.row * rows * groups + own * (known.value.number + known.kinks * 2 * _TOUCH)
    return seconds


def _entering(shapes: Sequence[Shape], k: int, rows: float, through: Sequence[float]) -> float:
    """Seconds of one parameter of layer k. If its unit acts alone, its rows begin one layer higher."""
    shape = shapes[k]
    alone = 1.0 - shape.coupled / shape.n_out if k + 1 < len(shapes) else 0.0
    seconds = (1.0 - alone) * (through[k] + rows * shape.n_out * _TOUCH)
    if alone:
        value = max(call.row.value.number for call in shape.calls)
        seconds += alone * (through[k + 1] + rows * (value + 3 * shapes[k + 1].n_out * _TOUCH))
    return seconds


def _calls(shapes: Sequence[Shape], parameters: Sequence[int], samples: int, loss: LossSpec) -> float:
    """Seconds that do not depend on the size of a block: the calls of every layer in every block."""
    of_layer = [
        _SWEEP.call + sum(call.row.value.call + 8 * call.row.kinks * _LOOK.call for call in shape.calls)
        for shape in shapes
    ]
    widths = _widths(shapes)
    together = max(1, min(samples, BLOCK_NUMBERS // (_MOVES * max(widths))))
    passes = samples / together
    seconds, above = 0.0, _loss_rate(shapes[-1], loss).call + _SWEEP.row
    for k in reversed(range(len(shapes))):
        above += of_layer[k]
        blocks = parameters[k] * _MOVES * together * widths[k] / BLOCK_NUMBERS
        seconds += blocks * passes * above
    return seconds + passes * above + sum(parameters) * _SWEEP.number


def _widths(shapes: Sequence[Shape]) -> list[int]:
    """For each layer, the widest layer that its parameters' rows pass; if units act alone, from one layer higher."""
    found, above = [], 0
    for shape in reversed(shapes):
        found.append(max(above, shape.n_out) if shape.coupled or not above else above)
        above = max(above, shape.n_out)
    return found[::-1]


@cache
def _pairs(loss: str) -> frozenset[str]:
    return frozenset(activation for name, activation in STABLE_PAIRS if name == loss)


def _loss_rate(last: Shape, loss: LossSpec) -> Rate:
    """The value of the loss of one sample and output: by the closed forms where there are some."""
    name, paired = loss.loss.name, _pairs(loss.loss.name)
    rates = [RATES.pair_value(name, call.row.name) for call in last.calls if call.row.name in paired]
    if not rates or len(last.calls) > 1:
        rates.append(RATES.loss_value(name))
    look = Rate(call=8 * _LOOK.call, number=2 * _TOUCH)  # the side of a border, for two of six moves
    rates += [look] * len(loss.loss.borders)
    return Rate(*(sum(getattr(rate, name) for rate in rates) for name in ("call", "row", "number", "peak")))
