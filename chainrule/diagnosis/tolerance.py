"""Compare a client's gradients with the right ones, element by element, and estimate how its numbers are rounded.

|c - r| <= absolute + relative · |r|        c is the client's number, r the right one, as in numpy.isclose
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chainrule.checkpoint import Checkpoint, unlimited
from chainrule.functions.tables import Array, quietly
from chainrule.graph.backprop import LayerGradient
from chainrule.graph.blocks import product
from chainrule.graph.numbers import finite_number

_MOST_DIGITS = 9  # of rounded numbers; float32 is written with 9
_FEWEST_DIGITS = 3  # 0.5 may be exact, or stand for 0.50 or 0.500: rounding to fewer digits is not assumed
_FEW = 64  # numbers that are tested before all numbers are
_NOISE_OF_FLOAT32 = 1e-5  # relative to the largest number of a unit: sums in float32 lose more than the last bit
_NOISE_OF_FLOAT64 = 1e-9
_TINY = float(np.finfo(np.float64).tiny)  # the margin of an array of zeros
_SUMMANDS = 16  # if a sum cancels, its error may be as large as so many last bits of its terms


@dataclass(frozen=True)
class Tolerance:
    """How far a number may be from the right one."""

    relative: float = 1e-5
    absolute: float = 1e-8

    def __post_init__(self) -> None:
        for name in ("relative", "absolute"):
            if finite_number(f"the {name} tolerance", getattr(self, name)) < 0.0:
                raise ValueError(f"the {name} tolerance must be at least 0, not {getattr(self, name):g}")


@dataclass(frozen=True, eq=False)
class Given:
    """dE/dw and dE/db of one layer, as a client gives them; None for an array that is not given."""

    dE_dw: Array | None  # (i, j)
    dE_db: Array | None  # (j,)


@dataclass(frozen=True, eq=False)
class Agreement:
    """One array of the client compared with the right one: a verdict on each element, and the largest errors.

    The relative error is relative to the larger of the two numbers, so it is at most 2, and 0 where both are 0.
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
    """Compare one array with the right one of the same shape."""
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
    """The estimated rounding error of the client's numbers: relative to each number, and absolute. 0 for none.

    `relative` comes from the fewest significant digits, 3 to 9, that represent all numbers; otherwise from the last bit
    of float32, if all numbers are float32. `absolute` comes from the fewest decimals, as "%.6f" writes them, that
    represent all numbers.
    """

    relative: float
    absolute: float


def rounding(given: Sequence[Given]) -> Rounding:
    """Estimate the rounding of the given numbers from their digits."""
    arrays = [array.ravel() for layer in given for array in (layer.dE_dw, layer.dE_db) if array is not None]
    numbers = np.concatenate(arrays)
    few = numbers[:: 1 + len(numbers) // _FEW]
    digits = _fewest(range(_FEWEST_DIGITS, _MOST_DIGITS + 1), _written_in, few, numbers)
    places = _fewest(range(1, _MOST_DIGITS + 1), _with_places, few, numbers)
    of_float32 = float(np.finfo(np.float32).eps) if _are_float32(few) and _are_float32(numbers) else 0.0
    return Rounding(0.5 * 10.0 ** (1 - digits) if digits else of_float32, 0.5 * 0.1**places if places else 0.0)


def _fewest(counts: range, suffice: Callable[[int, Array], bool], few: Array, numbers: Array) -> int:
    """The smallest count of digits that represents all numbers, of which `few` are tested first; 0 if none does."""
    return next(
        (count for count in counts if suffice(count, _with_digits(few)) and suffice(count, _with_digits(numbers))), 0
    )


def _with_digits(numbers: Array) -> Array:
    """The numbers that are not so small that their digits cannot be computed."""
    return numbers[np.abs(numbers) > 1e-290]


def _written_in(digits: int, numbers: Array) -> bool:
    """Whether that many significant digits represent the numbers exactly."""
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
class GivenWithMargins:
    """The client's gradients, with a margin for the rounding error of each number."""

    layers: tuple[Given, ...]
    margins: tuple[Given, ...]  # in the same arrays
    scales: tuple[tuple[float, float], ...]  # the largest number of dE/dw and of dE/db, for each layer
    rounded: bool  # whether they have fewer digits than float64

    def residual(self, k: int, gradient: LayerGradient) -> float | None:
        """The largest difference from these derivatives of layer k, relative to the largest number of its array.

        None if a difference is beyond its margin. 0 if no array of the layer is given.
        """
        worst = 0.0
        arrays = ((self.layers[k].dE_dw, gradient.dE_dw), (self.layers[k].dE_db, gradient.dE_db))
        margins = (self.margins[k].dE_dw, self.margins[k].dE_db)
        for (given, replayed), margin, scale in zip(arrays, margins, self.scales[k], strict=True):
            if given is None or replayed is None or margin is None:
                continue
            difference = np.abs(given - replayed)
            if not (difference <= margin).all():  # so for NaN, too
                return None
            worst = max(worst, float(difference.max()) / scale)
        return worst


def with_margins(
    given: Sequence[Given],
    right: Sequence[LayerGradient],
    relative: float,
    *,
    checkpoint: Checkpoint = unlimited,
) -> GivenWithMargins:
    """The client's gradients with margins for rounding, for noise, and for the last bits of terms that cancel in a sum.

    No margin is smaller than the client's tolerance, which is `relative` times the number.
    """
    estimate = rounding(given)
    rounded = bool(estimate.relative or estimate.absolute)

    def margin_and_scale(array: Array | None, summed: Array) -> tuple[Array | None, float]:
        if array is None:
            return None, 1.0
        largest = float(np.abs(array).max())
        margin = _rounding_margin(estimate, array, largest) + _noise(rounded, array, summed, largest)
        margin = np.maximum(margin, relative * np.abs(array)) if relative else np.broadcast_to(margin, array.shape)
        return margin, max(largest, 1e-3 * float(summed.max())) or 1.0

    layers = []
    for layer, gradient, above in zip(given, right, [*right[1:], None], strict=True):
        checkpoint()
        summed = _without_signs(gradient, above, checkpoint).sum(axis=0)
        layers.append(
            (
                margin_and_scale(layer.dE_dw, np.abs(gradient.da_dw).max() * summed),
                margin_and_scale(layer.dE_db, summed),
            )
        )
    margins = tuple(Given(of_w[0], of_b[0]) for of_w, of_b in layers)
    return GivenWithMargins(tuple(given), margins, tuple((of_w[1], of_b[1]) for of_w, of_b in layers), rounded)


def _rounding_margin(estimate: Rounding, array: Array, largest: float) -> Array:
    if not (estimate.relative or estimate.absolute):
        return np.zeros(1)
    by_place = min(estimate.absolute, 0.5 * 10.0 ** (1 - _FEWEST_DIGITS) * largest)
    margin: Array = np.maximum(estimate.relative * np.abs(array), by_place) * (1.0 + _NOISE_OF_FLOAT64)
    return margin


def _noise(rounded: bool, array: Array, summed: Array, largest: float) -> Array:
    """The noise of float32 or float64 for each unit, as one unit may be a million times larger than another."""
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
