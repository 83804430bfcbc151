"""A judge without derivatives: the textbook formulas of activations and losses, in mpmath, to hundreds of digits.

    f'(x) ≈ (f(x + h) - f(x - h)) / 2h        off by h²·f'''/6, and by the rounding of f over h

The formulas do not avoid cancellation, but use enough digits. Every number is computed with 85 digits and h = 2⁻⁷⁷,
about 1e-23, then with 110 digits and 1e-29. The errors from rounding and from h differ between the two, so 40 common
digits are right. If the number is 0 or the two differ, it is computed with 850 digits and 1e-170, enough for all of
float64:

    h² = 1e-340 is below the smallest float64, 5e-324: the slope 0 of o - t·log o at o = t comes out as 0;
    cos' at 1e-300 is the difference of two numbers that share 170 + 300 + 300 digits: 80 are left;
    -1e300 + √(1e600 + 4) is off by 1e300 · 1e-850, and its slope by 1e-380.

h is relative to the distance from the next corner, so that no quotient reaches across it. At the last stage, it is also
relative to the distance from 0: tanh² at 1e-100 is 1e-200, which no h of 1e-100 resolves. Parameters are exact float64
numbers; constants that a definition writes as decimals are exact decimals.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence

import mpmath

JUDGE = mpmath.mp.clone()  # a separate context: the precision of mpmath.mp does not change
JUDGE.dps = 850
REAL = JUDGE.mpf
Real = mpmath.mpf
Function = Callable[..., Real]
Vector = Sequence[Real]
Corner = tuple[Real, int]  # where ℓ is not smooth; the side whose slope is taken, -1 or 1; or 0 for the slope 0

STAGES = ((85, REAL(2) ** -77), (110, REAL(2) ** -97), (850, REAL(2) ** -565))  # digits, and h
LAST_STEP = STAGES[-1][1]
ONE_SIDED = (1700, REAL(2) ** -2192)  # digits, and h, which is beyond float64, as √h is
AGREEMENT = REAL(10) ** -40


# What tests call.


def value(f: Callable[[], Vector]) -> Vector:
    """The numbers that f computes, with as many digits as they need."""
    return _settled(lambda step: f())


def derivative(f: Function, at: Real, corners: Iterable[Real] = (), scale: float | Real = 1) -> Real:
    """The slope of f at `at`, where f is smooth, or at least has the same slope on both sides."""
    (slope,) = derivatives(lambda x: [f(x)], at, corners, scale)
    return slope


def derivatives(f: Callable[[Real], Vector], at: Real, corners: Iterable[Real] = (), scale: float | Real = 1) -> Vector:
    """The slopes of all numbers that f computes from one. `scale` is a length over which f hardly changes."""
    room = min([abs(REAL(scale)), *(abs(at - corner) for corner in corners if corner != at)])
    room_at_last = min(room, abs(at)) if at else room

    def quotients(step: Real) -> Vector:
        h = step * (room_at_last if step == LAST_STEP else room)
        return [(above - below) / (2 * h) for above, below in zip(f(at + h), f(at - h), strict=True)]

    return _settled(quotients)


def one_sided(f: Function, at: Real, side: int) -> Real:
    """The slope of f on one side of `at`, -1 or 1. f may jump there, have a kink or a pole, or be undefined beyond."""
    digits, step = ONE_SIDED
    with JUDGE.workdps(digits):
        h = side * step
        return (f(at + 2 * h) - f(at + h)) / h


def jump(f: Function, at: Real) -> Real:
    """How much f rises at `at`, from just before to just after."""
    return f(at + LAST_STEP) - f(at - LAST_STEP)


def jacobian(name: str, a: Vector, **parameters: float) -> list[Vector]:
    """do_j/da_m of a vector-valued activation as rows j of columns m."""
    f = ACTIVATIONS[name]
    a, room = _beside_the_border(a) if name == "sparsemax" else (a, REAL(1))
    columns = []
    for m, unit in enumerate(a):

        def along(x: Real, m: int = m) -> Vector:
            return f([*a[:m], unit + x, *a[m + 1 :]], **parameters)  # noqa: B023

        columns.append(derivatives(along, REAL(0), scale=room))
    return [list(row) for row in zip(*columns, strict=True)]


def loss_derivative(name: str, o: Vector, t: Vector, j: int, **parameters: float) -> Real:
    """dℓ/do_j of one sample; at a corner, what CORNERS says. NaN where ℓ is undefined."""

    def along(z: Real) -> Real:
        return LOSSES[name]([*o[:j], z, *o[j + 1 :]], t, **parameters)

    corners = CORNERS.get(name, _no_corners)(o, t, j, **parameters)
    side = next((side for corner, side in corners if corner == o[j]), None)
    if side is None:
        return derivative(along, o[j], [corner for corner, _ in corners], min([1, *(abs(z) for z in o if z)]))
    return one_sided(along, o[j], side) if side else REAL(0)


def ulps(number: float, right: Real) -> float:
    """How far a float64 is from the right number, in units in the last place of the float64 nearest to that.

    Below 2.2e-308 the unit is 5e-324. Where float64 cannot hold the right number, only its infinity is right; where it
    can, no infinity is, and NaN never.
    """
    near = nearest(right)
    if math.isinf(near) or not math.isfinite(number):
        return 0.0 if number == near else math.inf
    return float(abs(REAL(number) - right) / REAL(math.ulp(near)))


def nearest(right: Real) -> float:
    """The float64 nearest to a number, rounded once: to the infinity from halfway beyond the largest one on."""
    if not JUDGE.isfinite(right) or not right:
        return float(right)
    if (size := JUDGE.mag(right)) > 1100 or size < -1100:
        return math.copysign(math.inf if size > 0 else 0.0, right)
    sign, mantissa, exponent, _ = right._mpf_
    top, bottom = int(mantissa) << max(exponent, 0), 1 << max(-exponent, 0)
    try:
        return (-1) ** sign * (top / bottom)  # a quotient of whole numbers is rounded correctly
    except OverflowError:
        return (-1) ** sign * math.inf


def _settled(numbers: Callable[[Real], Vector]) -> Vector:
    """The numbers at the second of two stages that agree, or at the last stage."""
    before: Vector = ()
    digits_before = JUDGE.dps
    try:
        for digits, step in STAGES:
            JUDGE.dps = digits
            found = numbers(step)
            if before and all(map(_agree, before, found)):
                break
            before = found
    finally:
        JUDGE.dps = digits_before
    return found


def _agree(x: Real, y: Real) -> bool:
    if JUDGE.isnan(x) or JUDGE.isnan(y):
        return bool(JUDGE.isnan(x) and JUDGE.isnan(y))
    return bool(y) and (x == y or bool(abs(x - y) <= AGREEMENT * abs(y)))


# Functions that both tables need.


def _remembered(function: Callable[[Real], Real]) -> Callable[[Real], Real]:
    """The function with a cache of its last results, by argument and precision."""
    known: dict[tuple[Real, int], Real] = {}

    def remembered(x: Real) -> Real:
        key = (x, JUDGE.prec)
        if key not in known:
            if len(known) > 20_000:
                known.clear()
            known[key] = function(x)
        return known[key]

    return remembered


@_remembered
def _exp(x: Real) -> Real:
    """eˣ. mpmath raises e to a whole number by squaring, at 1e300 a thousand times; x - ⅓ is not whole."""
    third = REAL(1) / 3
    return JUDGE.exp(x - third) * _exp(third) if abs(x) > 10_000 else JUDGE.exp(x)


@_remembered
def _log(x: Real) -> Real:
    """The logarithm: -∞ at 0, and NaN below."""
    return JUDGE.log(x) if x > 0 else -JUDGE.inf if x == 0 else JUDGE.nan


def _x_log_y(x: Real, y: Real) -> Real:
    """x · log y, and 0 where x is 0."""
    return x * _log(y) if x else REAL(0)


def _power(x: Real, y: Real) -> Real:
    """x to the power y, where that is real."""
    return x**y if x >= 0 or y == int(y) else JUDGE.nan


def _clip(x: Real, low: Real, high: Real) -> Real:
    return min(max(x, low), high)


def _decimal(digits: str) -> Real:
    """A decimal as it is written, in the current precision."""
    whole, _, places = digits.partition(".")
    return REAL(int(whole + places)) / 10 ** len(places)


# The activations.


def _sigmoid(a: Real) -> Real:
    return 1 / (1 + _exp(-a))


def _gelu(a: Real, approximate: str = "none") -> Real:
    if abs(a) > 10_000:  # the gate is 0 or 1 up to e⁻⁵⁰⁰⁰⁰⁰⁰⁰; mpmath's erfc overflows further out
        return max(a, REAL(0))
    if approximate == "none":
        return a * JUDGE.erfc(-a / JUDGE.sqrt(2)) / 2
    return a * _sigmoid(2 * JUDGE.sqrt(2 / JUDGE.pi) * (a + _decimal("0.044715") * a**3))  # ½ + ½·tanh(u) = σ(2u)


def _selu(a: Real) -> Real:
    return _decimal("1.0507009873554805") * (a if a > 0 else _decimal("1.6732632423543772") * (_exp(a) - 1))


def hard_sigmoid_edges(slope: float = 1 / 6, offset: float = 0.5) -> tuple[float, float]:
    """The ends of the rising part of hard_sigmoid: -offset/slope and (1 - offset)/slope, rounded to float64."""
    return nearest(-REAL(offset) / REAL(slope)), nearest((1 - REAL(offset)) / REAL(slope))


def _hard_sigmoid(a: Real, slope: float = 1 / 6, offset: float = 0.5) -> Real:
    low, high = map(REAL, hard_sigmoid_edges(slope, offset))
    return REAL(0) if a <= low else REAL(1) if a >= high else REAL(slope) * (a - low)


def _softplus(a: Real, beta: float = 1.0) -> Real:
    return _log(1 + _exp(REAL(beta) * a)) / REAL(beta)


def _softmax(a: Vector, temperature: float = 1.0) -> Vector:
    divisor = REAL(temperature)
    powers = [_exp(z / divisor) for z in a]
    total = sum(powers)
    return [power / total for power in powers]


def _log_softmax(a: Vector) -> Vector:
    total = _log(sum(map(_exp, a)))
    return [z - total for z in a]


def _threshold_of_sparsemax(a: Vector) -> Real:
    """τ with Σ max(a - τ, 0) = 1: by the largest k for which the k-th largest a is above the τ of the first k."""
    sums = itertools.accumulate(sorted(a, reverse=True))
    return max((total - 1) / k for k, total in enumerate(sums, 1))  # it grows up to that k, and then falls


def _sparsemax(a: Vector) -> Vector:
    threshold = _threshold_of_sparsemax(a)
    return [max(z - threshold, REAL(0)) for z in a]


def _beside_the_border(a: Vector) -> tuple[Vector, Real]:
    """a, with units exactly on the threshold lowered by 1, which changes no output; and how far h may reach."""
    threshold = _threshold_of_sparsemax(a)
    apart = [z - 1 if z == threshold else z for z in a]
    return apart, min(1, *(abs(z - threshold) for z in apart)) / 2


ACTIVATIONS: dict[str, Callable] = {
    "identity": lambda a: a,
    "sigmoid": _sigmoid,
    "tanh": JUDGE.tanh,
    "relu": lambda a: max(a, REAL(0)),
    "relu6": lambda a: _clip(a, REAL(0), REAL(6)),
    "softsign": lambda a: a / (1 + abs(a)),
    "exponential": _exp,
    "log_sigmoid": lambda a: -_log(1 + _exp(-a)),
    "silu": lambda a: a * _sigmoid(a),
    "mish": lambda a: a * JUDGE.tanh(_log(1 + _exp(a))),
    "tanh_shrink": lambda a: a - JUDGE.tanh(a),
    "hard_silu": lambda a: a * _clip(a + 3, REAL(0), REAL(6)) / 6,
    "selu": _selu,
    "gaussian": lambda a: _exp(-(a**2)) if abs(a) < 10_000 else REAL(0),  # e⁻¹⁰⁰⁰⁰⁰⁰⁰⁰
    "sin": JUDGE.sin,
    "cos": JUDGE.cos,
    "arctan": JUDGE.atan,
    "square": lambda a: a**2,
    "absolute": abs,
    "sparse_plus": lambda a: REAL(0) if a <= -1 else a if a >= 1 else (a + 1) ** 2 / 4,
    "sparse_sigmoid": lambda a: _clip((a + 1) / 2, REAL(0), REAL(1)),
    "quick_gelu": lambda a: a * _sigmoid(_decimal("1.702") * a),
    "step": lambda a: REAL(a > 0),
    "leaky_relu": lambda a, negative_slope=0.01: a if a > 0 else REAL(negative_slope) * a,
    "elu": lambda a, alpha=1.0: a if a > 0 else REAL(alpha) * (_exp(a) - 1),
    "celu": lambda a, alpha=1.0: a if a > 0 else REAL(alpha) * (_exp(a / REAL(alpha)) - 1),
    "gelu": _gelu,
    "softplus": _softplus,
    "hard_sigmoid": _hard_sigmoid,
    "hard_tanh": lambda a, min_value=-1.0, max_value=1.0: _clip(a, REAL(min_value), REAL(max_value)),
    "hard_shrink": lambda a, **parameters: a if abs(a) > REAL(parameters.get("lambda", 0.5)) else REAL(0),
    "soft_shrink": lambda a, **parameters: JUDGE.sign(a) * max(abs(a) - REAL(parameters.get("lambda", 0.5)), REAL(0)),
    "threshold": lambda a, threshold=0.0, value=0.0: a if a > threshold else REAL(value),
    "thresholded_relu": lambda a, theta=1.0: a if a > theta else REAL(0),
    "squareplus": lambda a, b=4.0: (a + JUDGE.sqrt(a**2 + REAL(b))) / 2,
    "scaled_tanh": lambda a, amplitude=1.7159, slope=2 / 3: REAL(amplitude) * JUDGE.tanh(REAL(slope) * a),
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "softmin": lambda a: _softmax([-z for z in a]),
    "sparsemax": _sparsemax,
}


# The losses of one sample. Targets are rows, those of classes with a single 1; a row of zeros is an ignored sample.


def _sum(term: Callable[..., Real]) -> Callable[..., Real]:
    """A loss that is a sum over the outputs, each term depending only on one output and its target."""
    return lambda o, t, **parameters: sum(term(*pair, **parameters) for pair in zip(o, t, strict=True))


def _huber(o: Real, t: Real, delta: float = 1.0) -> Real:
    r, width = abs(o - t), REAL(delta)
    return r**2 / 2 if r <= width else width * (r - width / 2)


def _smooth_l1(o: Real, t: Real, beta: float = 1.0) -> Real:
    r, width = abs(o - t), REAL(beta)
    return r**2 / (2 * width) if r < width else r - width / 2


def _binary_cross_entropy(o: Real, t: Real) -> Real:
    return -_x_log_y(t, o) - _x_log_y(1 - t, 1 - o)


def _binary_focal(o: Real, t: Real, alpha: float = 0.25, gamma: float = 2.0) -> Real:
    weight, power = REAL(alpha), REAL(gamma)
    hit = _x_log_y(weight * t * _power(1 - o, power), o)
    miss = _x_log_y((1 - weight) * (1 - t) * _power(o, power), 1 - o)
    return -hit - miss


def _categorical_focal(o: Real, t: Real, alpha: float = 0.25, gamma: float = 2.0) -> Real:
    return -_x_log_y(REAL(alpha) * t * _power(1 - o, REAL(gamma)), o)


def smoothed(t: Vector, label_smoothing: float) -> Vector:
    """(1 - s)·t + s/n."""
    s = REAL(label_smoothing)
    return [(1 - s) * z + s / len(t) for z in t]


def _cross_entropy(o: Vector, t: Vector, label_smoothing: float = 0.0, ignore_index: int | None = None) -> Real:
    return -sum(map(_x_log_y, smoothed(t, label_smoothing), o))


def _cross_entropy_with_logits(
    o: Vector, t: Vector, label_smoothing: float = 0.0, ignore_index: int | None = None
) -> Real:
    return -sum(x * y for x, y in zip(smoothed(t, label_smoothing), _log_softmax(o), strict=True))


def margin(o: Vector, t: Vector) -> Real:
    """The value of categorical_hinge, if it is not 0."""
    return 1 + max((1 - x) * y for x, y in zip(t, o, strict=True)) - sum(x * y for x, y in zip(t, o, strict=True))


def length(x: Vector) -> Real:
    """√Σ x²."""
    return JUDGE.sqrt(sum(z**2 for z in x))


def _cosine_similarity(o: Vector, t: Vector) -> Real:
    lengths = length(o) * length(t)
    return -sum(x * y for x, y in zip(o, t, strict=True)) / lengths if lengths else REAL(0)


def _gaussian_nll(o: Vector, t: Vector) -> Real:
    return sum((s + (y - m) ** 2 * _exp(-s)) / 2 for m, s, y in zip(o[::2], o[1::2], t, strict=True))


def _percentage_error(o: Real, t: Real, epsilon: float = 1e-7) -> Real:
    return 100 * abs(o - t) / max(abs(t), REAL(epsilon))


def _binary_cross_entropy_with_logits(o: Real, t: Real, pos_weight: float = 1.0) -> Real:
    return REAL(pos_weight) * t * _softplus(-o) + (1 - t) * _softplus(o)


LOSSES: dict[str, Callable[..., Real]] = {
    "half_squared_error": _sum(lambda o, t: (o - t) ** 2 / 2),
    "squared_error": _sum(lambda o, t: (o - t) ** 2),
    "absolute_error": _sum(lambda o, t: abs(o - t)),
    "huber": _sum(_huber),
    "smooth_l1": _sum(_smooth_l1),
    "log_cosh": _sum(lambda o, t: _log(JUDGE.cosh(o - t))),
    "quantile": _sum(lambda o, t, tau=0.5: max(REAL(tau) * (t - o), (REAL(tau) - 1) * (t - o))),
    "percentage_error": _sum(_percentage_error),
    "squared_log_error": _sum(lambda o, t: (_log(1 + o) - _log(1 + t)) ** 2),
    "poisson": _sum(lambda o, t: o - _x_log_y(t, o)),
    "poisson_log": _sum(lambda o, t: _exp(o) - t * o),
    "binary_cross_entropy": _sum(_binary_cross_entropy),
    "binary_cross_entropy_with_logits": _sum(_binary_cross_entropy_with_logits),
    "binary_focal": _sum(_binary_focal),
    "hinge": _sum(lambda o, t: max(REAL(0), 1 - t * o)),
    "squared_hinge": _sum(lambda o, t: max(REAL(0), 1 - t * o) ** 2),
    "kl_divergence": _sum(lambda o, t: t * (_log(t) - _log(o)) if t else REAL(0)),
    "dot_product": _sum(lambda o, t: t * o),
    "categorical_cross_entropy": _cross_entropy,
    "categorical_cross_entropy_with_logits": _cross_entropy_with_logits,
    "sparse_categorical_cross_entropy": _cross_entropy,
    "sparse_categorical_cross_entropy_with_logits": _cross_entropy_with_logits,
    "negative_log_likelihood": _sum(lambda o, t, ignore_index=None: -o * t),
    "categorical_focal": _sum(_categorical_focal),
    "categorical_hinge": lambda o, t: max(REAL(0), margin(o, t)),
    "cosine_similarity": _cosine_similarity,
    "gaussian_nll": _gaussian_nll,
}


def _no_corners(o: Vector, t: Vector, j: int, **parameters: float) -> list[Corner]:
    return []


def _at_target(o: Vector, t: Vector, j: int, **parameters: float) -> list[Corner]:
    return [(t[j], 0)]


def _edges(*corners: tuple[int, int]) -> Callable[..., list[Corner]]:
    """The ends of a domain, with the side on which the domain lies."""
    return lambda o, t, j, **parameters: [(REAL(at), side) for at, side in corners]


def _beside_target(o: Vector, t: Vector, j: int, **parameters: float) -> list[Corner]:
    """Where a parabola becomes a line, with the same slope on both sides."""
    width = REAL(next(iter(parameters.values()), 1.0))
    return [(t[j] - width, 1), (t[j] + width, 1)]


def _ties(o: Vector, t: Vector, j: int) -> list[Corner]:
    """categorical_hinge: where it becomes 0, and where the product of o_j ties with the largest other product.

    Of tied products, the first is taken as the maximum: it is on the upper side of the tie, all others on the lower.
    """
    if margin(o, t) == 0:
        return [(o[j], 0)]
    products = [(1 - x) * y for x, y in zip(t, o, strict=True)]
    rest = 1 - sum(x * y for k, (x, y) in enumerate(zip(t, o, strict=True)) if k != j)
    others = [product for k, product in enumerate(products) if k != j]
    zeros = [-rest / (1 - 2 * t[j])] if t[j] != REAL(1) / 2 else []  # with o_j's product as the largest
    ties: list[Corner] = []
    if others and t[j]:
        zeros.append((max(others) + rest) / t[j])
    if others and t[j] != 1:
        at = o[j] if products[j] == max(others) else max(others) / (1 - t[j])
        ties.append((at, 1 if j <= products.index(max(others)) else -1))
    return [*ties, *((zero, 0) for zero in zeros if zero != o[j])]


def _without_direction(o: Vector, t: Vector, j: int) -> list[Corner]:
    """cosine_similarity where o is 0."""
    return [] if any(z for k, z in enumerate(o) if k != j) else [(REAL(0), 0)]


CORNERS: dict[str, Callable[..., list[Corner]]] = {
    "absolute_error": _at_target,
    "quantile": _at_target,
    "percentage_error": _at_target,
    "hinge": _at_target,  # t·o = 1, with t = -1 or 1
    "squared_hinge": _at_target,
    "huber": _beside_target,
    "smooth_l1": _beside_target,
    "squared_log_error": _edges((-1, 1)),
    "poisson": _edges((0, 1)),
    "kl_divergence": _edges((0, 1)),
    "binary_cross_entropy": _edges((0, 1), (1, -1)),
    "binary_focal": _edges((0, 1), (1, -1)),
    "categorical_focal": _edges((0, 1), (1, -1)),
    "categorical_cross_entropy": _edges((0, 1)),
    "sparse_categorical_cross_entropy": _edges((0, 1)),
    "categorical_hinge": _ties,
    "cosine_similarity": _without_direction,
}
