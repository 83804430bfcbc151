"""The activations of a group of units together: softmax and its relatives. Each is followed by its Jacobian.

All take a, (s, j) for s samples and the j units of the group; a temperature is a number, or an array (s, 1). For the
largest unit, 1 - o is computed as the sum of the others: the difference is 0 once a leads by 37.
"""

import numpy as np
from numpy.typing import NDArray

from chainrule.functions import double_double
from chainrule.functions.double_double import Pair, two_product, two_sum, two_sum_of_finite
from chainrule.functions.jacobian import Jacobian
from chainrule.functions.tables import Array, Number

Mask = NDArray[np.bool_]
SoftmaxParts = tuple[Array, Array, Array]  # softmax, its complement and its logarithm

_BORDER = 1e-15  # the largest error of sparsemax's threshold, for each unit
_MOST_ROUNDS = 8  # units that need more rounds differ from the border by less than _BORDER


def _below_largest(a: Array, temperature: Number = 1.0) -> Pair:
    """(a - max a) / temperature, as value and rest: rounded at -700, its exponential would be off by 4e-14."""
    difference, rest = two_sum(a, -a.max(axis=-1, keepdims=True))
    if isinstance(temperature, np.ndarray):
        quotient, its_rest = double_double.quotient(difference, temperature, rest)
        return quotient, np.where(temperature == 1.0, rest, its_rest)
    return (difference, rest) if temperature == 1.0 else double_double.quotient(difference, temperature, rest)


def _exponentials(below: Pair, scale: Number = 1.0) -> tuple[Array, Array, Mask]:
    """The exponentials times scale, their sum without the first largest, and the mask of that one."""
    e = double_double.times_exp(scale, *below)
    largest = is_first_largest(e)
    return e, np.where(largest, 0.0, e).sum(axis=-1, keepdims=True), largest


def is_first_largest(x: Array) -> Mask:
    """A mask of the first of the largest numbers of each row."""
    mask: Mask = np.arange(x.shape[-1]) == x.argmax(axis=-1, keepdims=True)
    return mask


def softmax(a: Array, temperature: Number = 1.0) -> Array:
    """exp(a_j / T) over its sum."""
    e, others, _ = _exponentials(_below_largest(a, temperature))
    return e / (1.0 + others)


def softmax_and_complement(a: Array, temperature: Number = 1.0, scale: Number = 1.0) -> tuple[Array, Array]:
    """softmax(a) and 1 - softmax(a), times scale; the second with the digits that 1 - o has lost near o = 1."""
    return _shares(*_exponentials(_below_largest(a, temperature), scale), scale)


def _shares(e: Array, others: Array, largest: Mask, scale: Number = 1.0) -> tuple[Array, Array]:
    """Softmax and its complement, times scale, from the exponentials times scale."""
    total = 1.0 + others / scale
    return e / total, np.where(largest, others, (scale - e) + others) / total


def jacobian_of_softmax(a: Array, temperature: Number = 1.0) -> Jacobian:
    """o_j · (δ_jm - o_m) / T; each factor is multiplied by √(1/T) before it is rounded."""
    o, rest = softmax_and_complement(a, temperature, scale=1.0 / double_double.root(temperature))
    return Jacobian(o * rest, o, o)


def softmin(a: Array) -> Array:
    """softmax(-a)."""
    return softmax(-a)


def jacobian_of_softmin(a: Array) -> Jacobian:
    """-o_j · (δ_jm - o_m)."""
    o, rest = softmax_and_complement(-a)
    return Jacobian(-o * rest, -o, o)


def log_softmax(a: Array, temperature: Number = 1.0) -> Array:
    """a_j less the logarithm of the sum of the exponentials."""
    below, rest = _below_largest(a, temperature)
    _, others, _ = _exponentials((below, rest))
    return below - (np.log1p(others) - rest)


def softmax_complement_and_log(a: Array, temperature: Number = 1.0) -> SoftmaxParts:
    """softmax(a), 1 - softmax(a) and log softmax(a), from the same exponentials."""
    below, rest = _below_largest(a, temperature)
    e, others, largest = _exponentials((below, rest))
    return *_shares(e, others, largest), below - (np.log1p(others) - rest)


def jacobian_of_log_softmax(a: Array) -> Jacobian:
    """δ_jm - exp(o_m)."""
    o, rest = softmax_and_complement(a)
    return Jacobian(rest, np.ones_like(a), o)


def softmax_and_jacobian(a: Array, temperature: Number = 1.0) -> tuple[Array, Jacobian, SoftmaxParts]:
    """softmax(a), its Jacobian, and what a stable pair reuses. At the temperature 1 they share all exponentials."""
    shared = o, rest, _ = softmax_complement_and_log(a, temperature)
    if isinstance(temperature, np.ndarray) or temperature != 1.0:
        return o, jacobian_of_softmax(a, temperature), shared
    return o, Jacobian(o * rest, o, o), shared


def log_softmax_complement(a: Array, temperature: Number = 1.0) -> Array:
    """log(1 - softmax(a)), also where 1 - softmax underflows."""
    if a.shape[-1] == 1:
        return np.full_like(a, -np.inf)
    log_o = log_softmax(a, temperature)
    largest = is_first_largest(a)
    without = np.where(largest, -np.inf, a)
    second = without.max(axis=-1, keepdims=True)
    of_others = np.log(np.exp((without - second) / temperature).sum(axis=-1, keepdims=True))
    lead = (a.max(axis=-1, keepdims=True) - second) / temperature
    return np.where(largest, log_o + of_others - lead, np.log1p(-np.where(largest, 0.0, softmax(a, temperature))))


def sparsemax(a: Array) -> Array:
    """The point of the simplex that is nearest to a: max(a_j - τ, 0), with τ such that they add up to 1."""
    return np.maximum(margin_of_sparsemax(a), 0.0)


def threshold_of_sparsemax(a: Array) -> float:
    """τ of one sample, (j,): the largest a minus its output."""
    largest = int(a.argmax())
    return float(a[largest] - margin_of_sparsemax(a[None])[0, largest])


def margin_of_sparsemax(a: Array) -> Array:
    """a_j - τ: above 0 in the support, below 0 outside; 0 on the border.

    The sums of the sorted numbers determine the support, except for units that are within rounding of its border. These
    are included first. Each round then excludes all units whose exact margin is not positive.
    """
    below, rest = two_sum(a, -a.max(axis=-1, keepdims=True))
    below, rest = np.maximum(below, -2.0), np.where(below < -2.0, 0.0, rest)  # outside, if more than 1 below
    inside = below > _rounded_threshold(below) - a.shape[-1] * _BORDER
    margin = _margin(below, rest, inside)
    rows = np.flatnonzero((inside & (margin <= 0.0)).any(axis=-1))
    for _ in range(_MOST_ROUNDS):
        if not len(rows):
            break
        kept = inside[rows] & (margin[rows] > 0.0)
        found = _margin(_some(below, rows), _some(rest, rows), kept)
        inside[rows], margin[rows] = kept, found
        rows = rows[(kept & (found <= 0.0)).any(axis=-1)]
    return margin


def _some(x: Array, rows: NDArray[np.intp]) -> Array:
    """Rows of x, in the memory layout of x, so that sums over the units are the same to the last bit."""
    return x[rows] if x.flags.c_contiguous else x.T[:, rows].T


def _rounded_threshold(below: Array) -> Array:
    """τ, from the sorted numbers and their sums."""
    descending = -np.sort(-below, axis=-1)
    sums, counts = np.cumsum(descending, axis=-1), np.arange(1, below.shape[-1] + 1)
    size = (1.0 + counts * descending > sums).sum(axis=-1, keepdims=True)
    threshold: Array = (np.take_along_axis(sums, size - 1, axis=-1) - 1.0) / size
    return threshold


def _margin(below: Array, below_rest: Array, inside: Mask) -> Array:
    """(k · below_j - Σ below + 1) / k, the sum over the k units inside; every term is kept to twice the digits."""
    count = inside.sum(axis=-1, keepdims=True).astype(np.float64)
    total, total_rest = double_double.total(np.where(inside, below, 0.0))
    total_rest = total_rest + np.where(inside, below_rest, 0.0).sum(axis=-1, keepdims=True)
    scaled, scaled_rest = two_product(below, count)
    difference, lost = two_sum_of_finite(scaled, -total)
    above, lost_again = two_sum_of_finite(difference, 1.0)
    rest = scaled_rest + count * below_rest - total_rest + lost + lost_again
    margin: Array = (above + rest) / count
    return margin


def jacobian_of_sparsemax(a: Array) -> Jacobian:
    """δ_jm - 1/k among the k units of the support, 0 elsewhere; units on the border count as outside."""
    inside = np.where(sparsemax(a) > 0.0, 1.0, 0.0)
    count = inside.sum(axis=-1, keepdims=True)
    return Jacobian(inside * ((count - 1.0) / count), inside / count, inside)
