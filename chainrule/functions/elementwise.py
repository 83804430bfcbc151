"""The activations of single units: every function is followed by its slope, so that both can be compared.

    o = φ(a),   do/da = φ'(a)

Slopes are computed from a, never from o: o·(1 - o) has lost every digit at |a| = 37, 1 - o² at 20. A slope with a zero
is computed as its change since that zero, because the difference of two equal numbers keeps no digit. All functions
take a, of any shape, then the parameters: numbers, or arrays that broadcast against a. `ActivationSpec` silences the
warnings of overflow.
"""

import math

import numpy as np
from numpy.typing import NDArray

from chainrule.functions import double_double
from chainrule.functions.double_double import Pair, times_exp, two_product, two_sum
from chainrule.functions.tables import Array, Number


def _indicator(holds: NDArray[np.bool_]) -> Array:
    """1 where `holds`, else 0: takes a tenth of the time of np.where, which branches on every number."""
    return holds.astype(np.float64)


def _limited(a: Array, low: Number, high: Number) -> Array:
    """a, limited to [low, high]. With array bounds of 0, np.clip turns -0 into 0; with numbers it does not."""
    if isinstance(low, np.ndarray) or isinstance(high, np.ndarray):
        return np.where(a < low, low, np.where(a > high, high, a))
    return np.clip(a, low, high)


def slope_of_identity(a: Array) -> Array:
    """1."""
    return np.ones_like(a)


def sigmoid(a: Array) -> Array:
    """1 / (1 + e⁻ᵃ), by the exponential that cannot overflow."""
    return np.exp(np.minimum(a, 0.0)) / (1.0 + np.exp(-np.abs(a)))


def slope_of_sigmoid(a: Array) -> Array:
    """σ(a)·σ(-a)."""
    e = np.exp(-np.abs(a))
    return e / (1.0 + e) ** 2


def sigmoid_and_slope(a: Array) -> tuple[Array, Array, None]:
    """σ(a) and σ(a)·σ(-a), which share an exponential. None: no stable pair reuses it."""
    e = np.exp(-np.abs(a))
    total = 1.0 + e
    return np.exp(np.minimum(a, 0.0)) / total, e / total**2, None


def slope_of_tanh(a: Array) -> Array:
    """1 / cosh². cosh overflows at 711, where the slope is 0; cosh² would overflow at 356, where it is not."""
    return (1.0 / np.cosh(a)) ** 2


def scaled_tanh(a: Array, amplitude: Number, slope: Number) -> Array:
    """amplitude · tanh(slope · a)."""
    return amplitude * np.tanh(slope * a)


def slope_of_scaled_tanh(a: Array, amplitude: Number, slope: Number) -> Array:
    """amplitude · slope / cosh²(slope · a)."""
    e = double_double.exp(*double_double.product(-np.abs(a), np.abs(slope)))
    sech = 2.0 * e / (1.0 + e * e)
    return sech * (amplitude * slope) * sech  # in this order: sech² alone can be subnormal


_HALF_OF_SERIES = 13
_TANH_SHRINK = [2 * k / math.factorial(2 * k + 1) for k in range(_HALF_OF_SERIES, 0, -1)]


def tanh_shrink(a: Array) -> Array:
    """a - tanh a; near 0, where the two cancel, (a·cosh a - sinh a) / cosh a by the series of its numerator."""
    b = np.clip(a, -2.0, 2.0)
    near = b * (b * b * np.polyval(_TANH_SHRINK, b * b)) / np.cosh(b)
    return np.where(np.abs(a) < 2.0, near, a - np.tanh(a))


def slope_of_tanh_shrink(a: Array) -> Array:
    """tanh² a."""
    return np.tanh(a) ** 2


def softsign(a: Array) -> Array:
    """a / (1 + |a|)."""
    return a / (1.0 + np.abs(a))


def slope_of_softsign(a: Array) -> Array:
    """1 / (1 + |a|)²."""
    return (1.0 / (1.0 + np.abs(a))) ** 2


def softplus(a: Array, beta: Number = 1.0) -> Array:
    """log(1 + eᵝᵃ) / β, without a threshold beyond which it would be taken as linear."""
    v, rest = double_double.product(-np.abs(a), beta)
    bend = np.where(v < -40.0, times_exp(1.0 / beta, v, rest), np.log1p(double_double.exp(v, rest)) / beta)
    return np.maximum(a, 0.0) + bend


def slope_of_softplus(a: Array, beta: Number) -> Array:
    """σ(βa)."""
    e = double_double.exp(*double_double.product(-np.abs(a), beta))
    return np.where(a < 0, e, 1.0) / (1.0 + e)


def log_sigmoid(a: Array) -> Array:
    """-log(1 + e⁻ᵃ)."""
    return -softplus(-a)


def slope_of_log_sigmoid(a: Array) -> Array:
    """σ(-a)."""
    return sigmoid(-a)


# Gated units: o = a·σ(v), where the gate's v is a, 1.702·a or a cubic in a, all odd functions.
# The slope is σ(v)·σ(-v)·(1 + eᵛ + a·v'), and the bracket is 0 at one a < 0.

_GATE_IS_SHUT = 1e3  # e^-1000 = 0
_SILU_ZERO = (-1.2784645427610737, -1.0946994183093437e-16)
_SILU_ZERO_EXP = 0.2784645427610738


def _gated(a: Array, v: Pair) -> Array:
    """a·σ(v), given v at |a|; for a < 0, the gate is σ(-v)."""
    value, rest = -v[0], -v[1]
    return np.where(a < 0, times_exp(a, value, rest), a) / (1.0 + double_double.exp(value, rest))


def _slope_of_gated(a: Array, v: Pair, gain: Array, bracket: Array) -> Array:
    """The slope of a·σ(v), with gain = |a|·v'; `bracket` is 1 + eᵛ + a·v', and is used for a < 0."""
    value, rest = -v[0], -v[1]
    e = double_double.exp(value, rest)
    return np.where(a < 0, times_exp(bracket, value, rest) / (1.0 + e), 1.0 + gain * e / (1.0 + e)) / (1.0 + e)


def _silu_bracket(v: Pair) -> Array:
    """1 + v + eᵛ for v < 0, computed as its change since its zero."""
    d = (v[0] - _SILU_ZERO[0]) + (v[1] - _SILU_ZERO[1])
    return d + _SILU_ZERO_EXP * np.expm1(np.minimum(d, _GATE_IS_SHUT / 2))


def silu(a: Array) -> Array:
    """a·σ(a)."""
    return _gated(a, (np.abs(a), 0.0))


def slope_of_silu(a: Array) -> Array:
    """σ(a)·(1 + a·σ(-a))."""
    a = np.clip(a, -_GATE_IS_SHUT, _GATE_IS_SHUT)
    size = np.abs(a)
    return _slope_of_gated(a, (size, 0.0), size, _silu_bracket((a, 0.0)))


_QUICK = (1.702, 4.263256414560601e-17)  # the decimal 1.702, which is no float64, as value and rest


def _quick(a: Array) -> Pair:
    value, rest = two_product(a, _QUICK[0])
    return value, rest + a * _QUICK[1]


def quick_gelu(a: Array) -> Array:
    """a·σ(1.702·a)."""
    return _gated(a, _quick(np.minimum(np.abs(a), _GATE_IS_SHUT)))


def slope_of_quick_gelu(a: Array) -> Array:
    """silu'(1.702·a)."""
    v = _quick(np.clip(a, -_GATE_IS_SHUT, _GATE_IS_SHUT))
    size = (np.abs(v[0]), np.sign(v[0]) * v[1])
    return _slope_of_gated(a, size, size[0], _silu_bracket(v))


_TWICE_ROOT = (1.5957691216057308, -9.96930880911092e-17)  # 2·√(2/π)
_CUBIC = (0.044715, 2.1960211427085595e-18)  # the decimal 0.044715, as value and rest
_TANH_GELU_ZERO = (-0.7524614220710163, 3.635560509207687e-17)
_TANH_GELU_ZERO_EXP = 0.29195521191476714
_CUBE_IS_FAR = 30.0  # v(30) is 1974: the gate is open, or shut, to the last bit


def _cubic_gate(a: Array) -> Pair:
    """2·√(2/π)·(a + 0.044715·a³): ½ + ½·tanh(u) is σ(2u)."""
    square, square_rest = two_product(a, a)
    bend, bend_rest = two_product(square, _CUBIC[0])
    factor, factor_rest = two_sum(1.0, bend)
    factor_rest = factor_rest + (bend_rest + square_rest * _CUBIC[0] + square * _CUBIC[1])
    inner, inner_rest = two_product(a, factor)
    inner_rest = inner_rest + a * factor_rest
    v, rest = two_product(inner, _TWICE_ROOT[0])
    return v, rest + inner_rest * _TWICE_ROOT[0] + inner * _TWICE_ROOT[1]


def gelu_by_tanh(a: Array) -> Array:
    """½·a·(1 + tanh(√(2/π)·(a + 0.044715·a³)))."""
    return _gated(a, _cubic_gate(np.minimum(np.abs(a), _CUBE_IS_FAR)))


def slope_of_gelu_by_tanh(a: Array) -> Array:
    """σ(v)·(1 + a·v'·σ(-v)), v = 2·√(2/π)·(a + 0.044715·a³)."""
    a = np.clip(a, -_CUBE_IS_FAR, _CUBE_IS_FAR)
    size = np.abs(a)
    gain = _TWICE_ROOT[0] * size * (1.0 + 3.0 * _CUBIC[0] * size * size)
    zero = _TANH_GELU_ZERO[0]
    d = _TWICE_ROOT[0] * ((a - zero) - _TANH_GELU_ZERO[1])
    squares = _CUBIC[0] * (a * a + a * zero + zero * zero)  # a³ - z³ is (a - z) times the bracket
    bracket = d * (1.0 + 3.0 * squares) + _TANH_GELU_ZERO_EXP * np.expm1(np.minimum(d * (1.0 + squares), 500.0))
    return _slope_of_gated(a, _cubic_gate(size), gain, bracket)


# The exact GELU, a·Φ(a), Φ the normal distribution.

_HALF_ROOT = (0.7071067811865476, -4.833646656726457e-17)  # 1 / √2
_DENSITY_AT_0 = 0.3989422804014327  # 1 / √(2π)
_GELU_ZERO = (-0.7517915246935645, 1.4956759177009883e-17)
_TAIL = -20.0
_MILLS = [(-1) ** k * math.prod(range(1, 2 * k, 2)) for k in range(10, -1, -1)]  # 1 - 1/a² + 3/a⁴ - 15/a⁶ ...
_NODES, _WEIGHTS = (array / 2 for array in np.polynomial.legendre.leggauss(10))


def _erfc(x: Array) -> Array:
    """The complementary error function: NumPy has none, and the standard library's is right to 2.4 ulp."""
    return np.fromiter(map(math.erfc, x.ravel().tolist()), np.float64, x.size).reshape(x.shape)


def _normal_distribution(a: Array) -> Array:
    """Φ(a) = ½·erfc(-a/√2), for a above the tail.

    erfc multiplies the relative error of its argument by about 2x². So the rounding error of -a/√2 is corrected with
    the derivative, erfc'(x) ≈ -erfc(x)·(x + √(x² + 4/π)), which is off by 5 % at most.
    """
    x, rest = two_product(a, -_HALF_ROOT[0])
    rest = rest - a * _HALF_ROOT[1]
    return 0.5 * _erfc(x) * (1.0 - rest * (x + np.sqrt(x * x + 4.0 / math.pi)))


def _times_density(factor: Array, a: Array) -> Array:
    """factor · e^(-a²/2) / √(2π)."""
    a = np.clip(a, -40.0, 40.0)  # where it is 0
    exponent, rest = two_product(-0.5 * a, a)
    return times_exp(factor * _DENSITY_AT_0, exponent, rest)


def _mills(a: Array) -> Array:
    """Φ(a)·|a| / Φ'(a) in the tail, by its asymptotic series: 1 - 1/a² + 3/a⁴ - ..."""
    return np.polyval(_MILLS, 1.0 / a**2)


def gelu(a: Array) -> Array:
    """a·Φ(a)."""
    tail = np.clip(a, -1e3, _TAIL)
    return np.where(a < _TAIL, -_times_density(_mills(tail), tail), a * _normal_distribution(np.clip(a, _TAIL, 40.0)))


def slope_of_gelu(a: Array) -> Array:
    """Φ(a) + a·Φ'(a)."""
    tail, middle = np.clip(a, -1e3, _TAIL), np.clip(a, _TAIL, 40.0)
    slope = np.where(
        a < _TAIL,
        _times_density(tail - _mills(tail) / tail, tail),
        _normal_distribution(middle) + _times_density(middle, middle),
    )
    near = np.abs(a - _GELU_ZERO[0]) < 0.25
    slope[near] = _slope_of_gelu_near_its_zero(a[near])
    return slope


def _slope_of_gelu_near_its_zero(a: Array) -> Array:
    """The integral of gelu'' = Φ'·(2 - a²) from the zero of gelu' to a, by Gauss's rule."""
    d = (a - _GELU_ZERO[0]) - _GELU_ZERO[1]
    between = _GELU_ZERO[0] + d[:, None] * (0.5 + _NODES)
    return np.asarray(d * (_times_density(2.0 - between**2, between) @ _WEIGHTS))


_MISH_ZERO = (-1.1924312145154952, -4.8484829848031044e-17)
_MISH_ZERO_EXP = 0.3034825352815289


def mish(a: Array) -> Array:
    """a·tanh(log(1 + eᵃ)), with tanh written in powers of e^-|a|."""
    e = np.exp(-np.abs(a))
    shut = times_exp(a, np.minimum(a, 0.0)) * (e + 2.0) / (e * (e + 2.0) + 2.0)
    return np.where(a < 0, shut, a * ((1.0 + 2.0 * e) / (1.0 + 2.0 * e * (1.0 + e))))


def slope_of_mish(a: Array) -> Array:
    """eᵃ·ω/δ², ω = 4(a + 1) + 4e²ᵃ + e³ᵃ + eᵃ(4a + 6), δ = 2 + 2eᵃ + e²ᵃ; ω as its change since its zero."""
    a = np.clip(a, -_GATE_IS_SHUT, _GATE_IS_SHUT)
    e = np.exp(-np.abs(a))
    open_ = (1.0 + e * (4.0 + e * ((4.0 * a + 6.0) + e * (4.0 * a + 4.0)))) / (1.0 + 2.0 * e * (1.0 + e)) ** 2
    d = np.minimum((a - _MISH_ZERO[0]) - _MISH_ZERO[1], 2.0)  # beyond, a > 0
    z = _MISH_ZERO_EXP
    omega = 4.0 * d + 4.0 * z * z * np.expm1(2.0 * d) + z**3 * np.expm1(3.0 * d)
    omega += z * ((6.0 + 4.0 * np.minimum(a, 0.0)) * np.expm1(d) + 4.0 * d)
    return np.where(a < 0, times_exp(omega, np.minimum(a, 0.0)) / (e * (e + 2.0) + 2.0) ** 2, open_)


# The exponential, units that are exponential on one side, the Gaussian bell, and squareplus.


def slope_of_exponential(a: Array) -> Array:
    """eᵃ."""
    return np.exp(a)


def elu(a: Array, alpha: Number) -> Array:
    """a, and α·(eᵃ - 1) where a ≤ 0."""
    return np.where(a > 0, a, alpha * np.expm1(np.minimum(a, 0.0)))


def slope_of_elu(a: Array, alpha: Number) -> Array:
    """1, and α·eᵃ where a ≤ 0."""
    return np.where(a > 0, 1.0, times_exp(alpha, np.minimum(a, 0.0)))


def celu(a: Array, alpha: Number) -> Array:
    """a, and α·(e^(a/α) - 1) where a ≤ 0."""
    x = np.minimum(a, 0.0) / alpha
    return np.where(x > -1e-18, a, alpha * np.expm1(x))  # nearer to 0 the value is a, where x may underflow


def slope_of_celu(a: Array, alpha: Number) -> Array:
    """1, and e^(a/α) where a ≤ 0."""
    return double_double.exp(*double_double.quotient(np.minimum(a, 0.0), alpha))


_SELU_SCALE = 1.0507009873554805
_SELU_LIMIT = 1.7580993408473768  # 1.0507009873554805 · 1.6732632423543772, rounded once


def selu(a: Array) -> Array:
    """1.0507... times elu(a) with α = 1.6732..., which preserves mean 0 and variance 1."""
    return np.where(a > 0, _SELU_SCALE * a, _SELU_LIMIT * np.expm1(np.minimum(a, 0.0)))


def slope_of_selu(a: Array) -> Array:
    """scale, and scale·α·eᵃ where a ≤ 0."""
    return np.where(a > 0, _SELU_SCALE, times_exp(_SELU_LIMIT, np.minimum(a, 0.0)))


def gaussian(a: Array) -> Array:
    """e^(-a²)."""
    a = np.clip(a, -40.0, 40.0)  # where it is 0
    return double_double.exp(*two_product(-a, a))


def slope_of_gaussian(a: Array) -> Array:
    """-2a·e^(-a²)."""
    a = np.clip(a, -40.0, 40.0)
    return times_exp(-2.0 * a, *two_product(-a, a))


def squareplus(a: Array, b: Number) -> Array:
    """(a + √(a² + b)) / 2; for a < 0, where the terms cancel, b/2 / (√(a² + b) - a)."""
    half = np.hypot(0.5 * a, 0.5 * double_double.root(b))
    return np.where(a < 0, 0.25 * b / (half + 0.5 * np.abs(a)), half + 0.5 * a)


def slope_of_squareplus(a: Array, b: Number) -> Array:
    """½·(1 + a / √(a² + b))."""
    half = np.hypot(0.5 * a, 0.5 * double_double.root(b))
    return np.where(a < 0, 0.125 * b / half / (half + 0.5 * np.abs(a)), 0.5 + 0.25 * a / half)


# Sine, cosine, arc tangent and square.


def slope_of_sin(a: Array) -> Array:
    """cos a."""
    return np.cos(a)


def slope_of_cos(a: Array) -> Array:
    """-sin a."""
    return -np.sin(a)


def slope_of_arctan(a: Array) -> Array:
    """1 / (1 + a²)."""
    return (1.0 / np.hypot(1.0, a)) ** 2


def square(a: Array) -> Array:
    """a²."""
    return a * a


def slope_of_square(a: Array) -> Array:
    """2a."""
    return 2.0 * a


# Piecewise linear units, and two with a parabola. At a kink the slope is the one that PyTorch takes.


def slope_of_absolute(a: Array) -> Array:
    """-1 or 1, and 0 at 0."""
    return np.sign(a)


def relu(a: Array) -> Array:
    """max(a, 0)."""
    return np.maximum(a, 0.0)


def step(a: Array) -> Array:
    """1 where a > 0, else 0."""
    return _indicator(a > 0)


def slope_of_step(a: Array) -> Array:
    """0."""
    return np.zeros_like(a)


def leaky_relu(a: Array, negative_slope: Number) -> Array:
    """a, and negative_slope · a where a ≤ 0."""
    return np.where(a > 0, a, negative_slope * a)


def slope_of_leaky_relu(a: Array, negative_slope: Number) -> Array:
    """1, and negative_slope where a ≤ 0."""
    return np.where(a > 0, 1.0, negative_slope)


def clip(a: Array, low: Number, high: Number) -> Array:
    """a, limited to [low, high]."""
    return _limited(a, low, high)


def slope_of_clip(a: Array, low: Number, high: Number) -> Array:
    """1 between low and high, 0 elsewhere."""
    return _indicator((a > low) & (a < high))


def hard_sigmoid_edges(slope: Number, offset: Number) -> tuple[Number, Number]:
    """Where slope · a + offset is 0 and 1, rounded to float64: exactly ±3 with the slope nearest to 1/6."""
    return -offset / slope, (1.0 - offset) / slope


def hard_sigmoid(a: Array, slope: Number, offset: Number) -> Array:
    """slope · a + offset, limited to [0, 1]; computed from the distance to the lower edge, where the terms cancel."""
    low, high = hard_sigmoid_edges(slope, offset)
    return np.where(a < high, np.clip(slope * (a - low), 0.0, 1.0), 1.0)


def slope_of_hard_sigmoid(a: Array, slope: Number, offset: Number) -> Array:
    """slope between the edges, 0 elsewhere."""
    return slope * slope_of_clip(a, *hard_sigmoid_edges(slope, offset))


def hard_silu(a: Array) -> Array:
    """a · (a + 3) / 6 between -3 and 3; 0 below, a above."""
    inner = np.clip(a, -3.0, 3.0)
    return np.where(a > -3.0, np.where(a < 3.0, inner * (inner + 3.0) / 6.0, a), 0.0)


def slope_of_hard_silu(a: Array) -> Array:
    """(2a + 3) / 6 between -3 and 3; 0 up to -3, 1 from 3 on."""
    inner = np.clip(a, -3.0, 3.0)
    return np.where(a > -3.0, np.where(a < 3.0, (2.0 * inner + 3.0) / 6.0, 1.0), 0.0)


def sparse_sigmoid(a: Array) -> Array:
    """(a + 1) / 2, limited to [0, 1]."""
    return 0.5 * (np.clip(a, -1.0, 1.0) + 1.0)


def slope_of_sparse_sigmoid(a: Array) -> Array:
    """½ between -1 and 1, 0 elsewhere."""
    return 0.5 * slope_of_clip(a, -1.0, 1.0)


def sparse_plus(a: Array) -> Array:
    """(a + 1)² / 4 between -1 and 1; 0 below, a above: the integral of sparse_sigmoid."""
    return np.where(a < 1.0, sparse_sigmoid(a) ** 2, a)


def hard_shrink(a: Array, threshold: Number) -> Array:
    """a, and 0 where |a| ≤ threshold; a threshold of 0 leaves a as it is."""
    return np.where(np.abs(a) > threshold, a, 0.0)


def slope_of_shrink(a: Array, threshold: Number) -> Array:
    """1, and 0 where |a| ≤ threshold, for hard and soft shrinkage; 1 everywhere for the threshold 0."""
    return _indicator((np.abs(a) > threshold) | (threshold == 0.0))


def soft_shrink(a: Array, threshold: Number) -> Array:
    """a, moved towards 0 by `threshold`, and 0 where |a| ≤ threshold."""
    return a - _limited(a, -threshold, threshold)


def thresholded(a: Array, threshold: Number, value: Number) -> Array:
    """a, and `value` where a ≤ threshold."""
    return np.where(a > threshold, a, value)


def slope_of_thresholded(a: Array, threshold: Number, value: Number) -> Array:
    """1, and 0 where a ≤ threshold."""
    return _indicator(a > threshold)
