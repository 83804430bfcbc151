"""Sums, products and exponentials with the digits that rounding would take from them.

A number that float64 cannot hold is kept as two, `value + rest`, where `rest` is what rounding left out of `value`.
In front of an exponential that matters: e⁻⁷⁰⁰ has lost 4e-14 of itself when the exponent is rounded to 53 bits.

Source: Dekker, A floating-point technique for extending the available precision, Numer. Math. 18(3):224-242, 1971.
"""

import math

import numpy as np

from chainrule.functions.tables import Array, Number

_UPPER_BITS = np.int64(~0x7FFFFFF)  # sign, exponent and the first 26 bits of a float64; products of such are exact
_FAR = 1e3  # e to this power is beyond float64, and so to its negative: rests make no difference there
_SHIFT = 64.0
_UNSHIFT = math.exp(-_SHIFT)

Pair = tuple[Array, Number]


def two_sum(x: Number, y: Number) -> tuple[Array, Array]:
    """x + y as value and rest; the rest is 0 where the value is infinite."""
    total, rest = two_sum_of_finite(x, y)
    return total, np.where(np.isfinite(total), rest, 0.0)


def two_sum_of_finite(x: Number, y: Number) -> tuple[Array, Array]:
    """x + y as value and rest, for sums that do not overflow: the rest of an infinite value would be NaN."""
    total = np.add(x, y)
    part = total - x
    return total, (x - (total - part)) + (y - part)


def two_product(x: Number, y: Number) -> tuple[Array, Array]:
    """x · y as value and rest, for products that neither overflow nor underflow."""
    (x_high, x_low), (y_high, y_low) = _halves(x), _halves(y)
    product = np.multiply(x, y)
    return product, ((x_high * y_high - product) + x_high * y_low + x_low * y_high) + x_low * y_low


def _halves(x: Number) -> tuple[Array, Array]:
    """x as two numbers of 26 and 27 bits."""
    x = np.asarray(x, dtype=np.float64)
    high = (x.view(np.int64) & _UPPER_BITS).view(np.float64)
    return high, x - high


def quotient(x: Array, y: Number, x_rest: Number = 0.0) -> Pair:
    """(x + x_rest) / y as value and rest; the rest is 0 where the value is far beyond what e can be raised to."""
    value = x / y
    product, product_rest = two_product(value, y)
    return value, _near(value, ((x - product) - product_rest + x_rest) / y)


def root(x: Number) -> Number:
    """√x: of a number a number, with which operations on arrays are faster than with a NumPy scalar."""
    return np.sqrt(x) if isinstance(x, np.ndarray) else math.sqrt(x)


def product(x: Array, y: Number) -> Pair:
    """x · y as value and rest; the rest is 0 where the value is far beyond what e can be raised to."""
    value, rest = two_product(x, y)
    return value, _near(value, rest)


def _near(value: Array, rest: Array) -> Array:
    """Rests made of infinities would be NaN."""
    return np.where(np.abs(value) < _FAR, rest, 0.0)


def exp(x: Array, rest: Number = 0.0) -> Array:
    """e to the power of x + rest."""
    return np.exp(x) * (1.0 + rest)


def times_exp(factor: Number, x: Array, rest: Number = 0.0) -> Array:
    """factor · e^(x + rest), rounded once where the exponential alone would be subnormal, of a few bits."""
    far = x < -650.0
    if not far.any():
        return factor * exp(x, rest)
    return factor * exp(np.where(far, x + _SHIFT, x), rest) * np.where(far, _UNSHIFT, 1.0)


def total(x: Array) -> tuple[Array, Array]:
    """The finite sum along the last axis, (..., 1), as value and rest: added in pairs, every rounding kept."""
    value, rest = x, np.zeros_like(x)
    while value.shape[-1] > 1:
        half = value.shape[-1] // 2
        odd = slice(2 * half, None)  # one number is left over where their count is odd
        added, lost = two_sum_of_finite(value[..., :half], value[..., half : 2 * half])
        rests = rest[..., :half] + rest[..., half : 2 * half] + lost
        value = np.concatenate([added, value[..., odd]], axis=-1)
        rest = np.concatenate([rests, rest[..., odd]], axis=-1)
    return value, rest
