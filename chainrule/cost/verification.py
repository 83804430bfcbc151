"""What `verify` costs: for each parameter six copies of the batch go through the layers above it, once or oftener.

The copies of a parameter are stacked as samples (chainrule/graph/moved.py). How often a step is made shorter depends on the
numbers: not at all in most networks, at most four times. The model is in between, so that it is right within a factor
of 3 in both cases.
"""

from collections.abc import Sequence
from functools import cache

from chainrule.cost.passes import FLOAT, Shape, Work, product_seconds
from chainrule.cost.rates import RATES, Rate
from chainrule.functions.losses import LossSpec
from chainrule.functions.stable_pairs import STABLE_PAIRS
from chainrule.graph.moved import BLOCK_NUMBERS

_MOVES = 6
_ROUNDS = 1.7  # between 1 and 5
_TOUCH = RATES.work["written"].number
_LOOK = RATES.work["look"]
_SWEEP = RATES.work["sweep"]  # one layer in one block of parameters: call; a block: row; a parameter: number
_ARRAYS = 10  # of so many numbers as a block has, and for each parameter 6 moves and their losses
_OF_PARAMETER = 80 * FLOAT


def verification(shapes: Sequence[Shape], parameters: Sequence[int], samples: int, loss: LossSpec) -> Work:
    """All parameters of a network verified; `parameters` are the weights and biases of each layer."""
    rows = _MOVES * samples  # of one parameter
    through = _through(shapes, rows, loss)
    seconds = sum(count * _entering(shapes, k, rows, through) for k, count in enumerate(parameters)) + _calls(
        shapes, parameters, samples, loss
    )
    total = sum(parameters)
    widest = max(_widths(shapes))
    block = max(min(BLOCK_NUMBERS, total * rows * widest), _MOVES * widest)
    peak = _OF_PARAMETER * total + block * (_ARRAYS * FLOAT + _peak(shapes, loss))
    return Work(_ROUNDS * seconds, 0.0, peak)


def _through(shapes: Sequence[Shape], rows: float, loss: LossSpec) -> list[float]:
    """Seconds of one parameter's rows from the pre-activations of layer k on, without calls, for every k."""
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
    """The outputs of one layer, and on which sides of their kinks two of six moves leave its units."""
    seconds = rows * shape.n_out * 2 * _TOUCH
    for known, groups, units in shape.calls:
        own = rows * units
        seconds += known.value.row * rows * groups + own * (known.value.number + known.kinks * 2 * _TOUCH)
    return seconds


def _entering(shapes: Sequence[Shape], k: int, rows: float, through: Sequence[float]) -> float:
    """Seconds of one parameter of layer k. Where its unit acts alone, it enters one layer higher."""
    shape = shapes[k]
    alone = 1.0 - shape.coupled / shape.n_out if k + 1 < len(shapes) else 0.0
    seconds = (1.0 - alone) * (through[k] + rows * shape.n_out * _TOUCH)
    if alone:
        value = max(call.row.value.number for call in shape.calls)
        seconds += alone * (through[k + 1] + rows * (value + 3 * shapes[k + 1].n_out * _TOUCH))
    return seconds


def _calls(shapes: Sequence[Shape], parameters: Sequence[int], samples: int, loss: LossSpec) -> float:
    """Seconds that do not depend on how many numbers a block has: the calls of every layer in every block."""
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
    """The widest array that the rows of a parameter of each layer meet; units that act alone enter one layer higher."""
    found, above = [], 0
    for shape in reversed(shapes):
        found.append(max(above, shape.n_out) if shape.coupled or not above else above)
        above = max(above, shape.n_out)
    return found[::-1]


@cache
def _pairs(loss: str) -> frozenset[str]:
    return frozenset(activation for name, activation in STABLE_PAIRS if name == loss)


def _loss_rate(last: Shape, loss: LossSpec) -> Rate:
    """The loss of one sample and output, with the closed forms: about half of value and derivative together."""
    rates = [RATES.loss(loss.loss.name)]
    rates += [
        RATES.pair(loss.loss.name, call.row.name) for call in last.calls if call.row.name in _pairs(loss.loss.name)
    ]
    return Rate(*(0.5 * sum(getattr(rate, name) for rate in rates) for name in ("call", "row", "number", "peak")))


def _peak(shapes: Sequence[Shape], loss: LossSpec) -> float:
    """The bytes for each number that functions need beside their arguments."""
    values = max(call.row.value.peak for shape in shapes for call in shape.calls)
    return max(values, 2 * _loss_rate(shapes[-1], loss).peak)
