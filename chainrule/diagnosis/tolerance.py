"""A client's own gradients held against the right ones, element by element, and how exact its numbers are.

|c - r| <= absolute + relative · |r|        c the client's number, r the right one: as numpy.isclose has it
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chainrule.checkpoint import Checkpoint, unlimited
from chainrule.functions.tables import Array, quietly
from chainrule.graph.backprop import LayerGradient
from chainrule.graph.blocks import product

_MOST_DIGITS = 9  # of numbers that somebody may have rounded; float32 is written in 9
_FEWEST_DIGITS = 3  # 0.5 may be exact, and may be 0.50 or 0.500: rounding to fewer is not supposed
_FEW = 64  # numbers that are looked at before all are
_NOISE_OF_FLOAT32 = 1e-5  # of the largest number of a unit: sums in float32 lose more than the last bit
_NOISE_OF_FLOAT64 = 1e-9
_TINY = float(np.finfo(np.float64).tiny)  # the margin of an array of zeros
_SUMMANDS = 16  # so many last bits of what is added up may be left where a sum cancels


@dataclass(frozen=True)
class Tolerance:
    """How far a number may be from the right one."""

    relative: float = 1e-5
    absolute: float = 1e-8


@dataclass(frozen=True, eq=False)
class Given:
    """The gradients of one layer that a client has computed; None for an array that it does not give."""

    dE_dw: Array | None  # (i, j)
    dE_db: Array | None  # (j,)


@dataclass(frozen=True, eq=False)
class Agreement:
    """One array of the client's and the right one: the verdict on each element, the largest errors and their places.

    The relative error is measured by the larger of the two numbers, so it is at most 2, and 0 where both are 0.
    """

    elements: NDArray[np.bool_]
    absolute_error: float
    absolute_at: tuple[int, ...]
    relative_error: float
    relative_at: tuple[int, ...]

    @property
    def agrees(self) -> bool:
        """Whether every element lies within the tolerance."""
        return bool(self.elements.all())


@quietly
def agreement(given: Array, right: Array, tolerance: Tolerance) -> Agreement:
    """How one array agrees with the right one of the same shape."""
    absolute = np.abs(given - right)
    larger = np.maximum(np.abs(given), np.abs(right))
    relative = np.divide(absolute, larger, out=np.zeros_like(absolute), where=larger > 0.0)
    worst, worst_relative = _largest_at(absolute), _largest_at(relative)
    return Agreement(
        elements=absolute <= tolerance.absolute + tolerance.relative * np.abs(right),
        absolute_error=float(absolute[worst]),
        absolute_at=worst,
        relative_error=float(relative[worst_relative]),
        relative_at=worst_relative,
    )


def _largest_at(array: Array) -> tuple[int, ...]:
    return tuple(int(index) for index in np.unravel_index(int(array.argmax()), array.shape))


@dataclass(frozen=True)
class Rounding:
    """How the client's numbers seem to be rounded: by how much of each itself, and by how much all alike. 0 for none.

    By the fewest significant digits, 3 to 9, and by the fewest decimals, as "%.6f" writes them, that say all of them;
    by the last bit of float32, where all of them are such.
    """

    relative: float
    absolute: float


def rounding(given: Sequence[Given]) -> Rounding:
    """What the digits of the numbers tell."""
    arrays = [array.ravel() for layer in given for array in (layer.dE_dw, layer.dE_db) if array is not None]
    numbers = np.concatenate(arrays)
    few = numbers[:: 1 + len(numbers) // _FEW]
    digits = _first(range(_FEWEST_DIGITS, _MOST_DIGITS + 1), _written_in, few, numbers)
    places = _first(range(1, _MOST_DIGITS + 1), _with_places, few, numbers)
    of_float32 = float(np.finfo(np.float32).eps) if _are_float32(few) and _are_float32(numbers) else 0.0
    return Rounding(0.5 * 10.0 ** (1 - digits) if digits else of_float32, 0.5 * 0.1**places if places else 0.0)


def _first(counts: range, says: Callable[[int, Array], bool], few: Array, numbers: Array) -> int:
    """The smallest count that says all numbers, the few included that are looked at first; 0 where none does."""
    return next((count for count in counts if says(count, _telling(few)) and says(count, _telling(numbers))), 0)


def _telling(numbers: Array) -> Array:
    """Those whose digits can be told."""
    return numbers[np.abs(numbers) > 1e-290]


def _written_in(digits: int, numbers: Array) -> bool:
    """Whether so many significant digits say the numbers exactly."""
    units = 10.0 ** (np.floor(np.log10(np.abs(numbers))) - (digits - 1))
    return _whole(numbers / units)


def _with_places(places: int, numbers: Array) -> bool:
    return _whole(numbers * 10.0**places)


def _whole(numbers: Array) -> bool:
    return bool((np.abs(numbers - np.rint(numbers)) <= 16 * np.finfo(np.float64).eps * np.abs(numbers)).all())


@quietly
def _are_float32(numbers: Array) -> bool:
    return bool((numbers.astype(np.float32) == numbers).all())


@dataclass(frozen=True, eq=False)
class Judged:
    """The client's gradients with the error that rounding leaves in each number."""

    given: tuple[Given, ...]
    margins: tuple[Given, ...]  # in the same arrays
    scales: tuple[tuple[float, float], ...]  # of each array, that of dE/dw first: its largest number
    rounded: bool  # whether they have fewer digits than float64

    def residual(self, k: int, gradient: LayerGradient) -> float | None:
        """The largest difference from these derivatives of layer k, by the largest number of its array.

        None where a difference is beyond rounding. 0 where nothing of the layer is given.
        """
        worst = 0.0
        arrays = ((self.given[k].dE_dw, gradient.dE_dw), (self.given[k].dE_db, gradient.dE_db))
        margins = (self.margins[k].dE_dw, self.margins[k].dE_db)
        for (given, replayed), margin, scale in zip(arrays, margins, self.scales[k], strict=True):
            if given is None or replayed is None or margin is None:
                continue
            difference = np.abs(given - replayed)
            if not (difference <= margin).all():  # NaN is not
                return None
            worst = max(worst, float(difference.max()) / scale)
        return worst


def judged(
    given: Sequence[Given],
    right: Sequence[LayerGradient],
    relative: float,
    *,
    checkpoint: Checkpoint = unlimited,
) -> Judged:
    """The client's gradients with their margins: rounding, noise, and the last bits of what cancels in a sum.

    No margin is less than what the client calls near enough, so much `relative` to the number.
    """
    told = rounding(given)
    rounded = bool(told.relative or told.absolute)

    def judge(array: Array | None, summed: Array) -> tuple[Array | None, float]:
        if array is None:
            return None, 1.0
        largest = float(np.abs(array).max())
        margin = _rounding_margin(told, array, largest) + _noise(rounded, array, summed, largest)
        margin = np.maximum(margin, relative * np.abs(array)) if relative else np.broadcast_to(margin, array.shape)
        return margin, max(largest, 1e-3 * float(summed.max())) or 1.0

    layers = []
    for layer, gradient, above in zip(given, right, [*right[1:], None], strict=True):
        checkpoint()
        summed = _without_signs(gradient, above, checkpoint).sum(axis=0)
        layers.append((judge(layer.dE_dw, np.abs(gradient.da_dw).max() * summed), judge(layer.dE_db, summed)))
    margins = tuple(Given(of_w[0], of_b[0]) for of_w, of_b in layers)
    return Judged(tuple(given), margins, tuple((of_w[1], of_b[1]) for of_w, of_b in layers), rounded)


def _rounding_margin(told: Rounding, array: Array, largest: float) -> Array:
    if not (told.relative or told.absolute):
        return np.zeros(1)
    by_place = min(told.absolute, 0.5 * 10.0 ** (1 - _FEWEST_DIGITS) * largest)
    margin: Array = np.maximum(told.relative * np.abs(array), by_place) * (1.0 + _NOISE_OF_FLOAT64)
    return margin


def _noise(rounded: bool, array: Array, summed: Array, largest: float) -> Array:
    """What float32, or float64, may leave: unit by unit, as one may be a million times larger than another."""
    of_unit = np.abs(array).max(axis=0) if array.ndim == 2 else np.abs(array)
    own, last_bit = (_NOISE_OF_FLOAT32, np.float32) if rounded else (_NOISE_OF_FLOAT64, np.float64)
    noise: Array = own * of_unit + float(np.finfo(last_bit).eps) * (_SUMMANDS * summed + largest) + _TINY
    return noise


def _without_signs(gradient: LayerGradient, above: LayerGradient | None, checkpoint: Checkpoint) -> Array:
    """|dE/da|, (s, j), as if nothing cancelled in the sum over the units of the layer above."""
    own = np.abs(gradient.dE_da)
    if above is None:
        return own
    terms = product(np.abs(above.dE_da), np.abs(above.activity.layer.weights).T, checkpoint)
    total = np.abs(gradient.dE_do)
    magnitude: Array = own * np.divide(terms, total, out=np.ones_like(own), where=total > 0.0)
    return magnitude
