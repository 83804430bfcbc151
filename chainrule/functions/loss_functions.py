"""The losses: every ℓ stands above its derivative dℓ/do, to be read against each other.

All take o and t, both (s, j) for s samples and j outputs, then the parameters. A value is the single losses, (s, j),
those of one sample adding up to its loss; or (s, 1) where a sample's loss has no such parts. r = o - t throughout.
"""

import math

import numpy as np

from chainrule.functions.elementwise import sigmoid, softplus
from chainrule.functions.jacobian import sum_of_others
from chainrule.functions.simplex import is_first_largest, log_softmax, softmax_and_complement
from chainrule.functions.tables import Array


def x_log_y(x: Array, y: Array) -> Array:
    """x · log y, and 0 where x is 0: an impossible class that did not occur costs nothing."""
    return x * np.log(y, out=np.zeros_like(y), where=x != 0.0)


def x_log_rest(x: Array, y: Array) -> Array:
    """x · log(1 - y), and 0 where x is 0. Of y = 1e-17 the difference 1 - y has no digit left."""
    return x * np.log1p(-y, out=np.zeros_like(y), where=x != 0.0)


def ratio(x: Array, y: Array) -> Array:
    """x / y, and 0 where x is 0."""
    return np.divide(x, y, out=np.zeros_like(y), where=x != 0.0)


def product(x: Array | float, y: Array) -> Array:
    """x · y, and 0 where x is 0, whatever y is."""
    return np.multiply(x, y, out=np.zeros_like(y), where=np.not_equal(x, 0.0))


# Distances of o from t.


def half_squared_error(o: Array, t: Array) -> Array:
    """½·r²."""
    r = o - t
    return (0.5 * r) * r  # in this order r² need not be within float64, half of it being so


def residual(o: Array, t: Array) -> Array:
    """r."""
    return o - t


def squared_error(o: Array, t: Array) -> Array:
    """r²."""
    return (o - t) ** 2


def slope_of_squared_error(o: Array, t: Array) -> Array:
    """2r."""
    return 2.0 * (o - t)


def absolute_error(o: Array, t: Array) -> Array:
    """|r|."""
    return np.abs(o - t)


def slope_of_absolute_error(o: Array, t: Array) -> Array:
    """The sign of r, 0 where r is 0."""
    return np.sign(o - t)


def huber(o: Array, t: Array, delta: float) -> Array:
    """½·r² up to |r| = δ, δ·(|r| - ½δ) beyond."""
    r = np.abs(o - t)
    c = np.minimum(r, delta)
    return c * (r - 0.5 * c)


def slope_of_huber(o: Array, t: Array, delta: float) -> Array:
    """r, held between -δ and δ."""
    return np.clip(o - t, -delta, delta)


def smooth_l1(o: Array, t: Array, beta: float) -> Array:
    """½·r²/β up to |r| = β, |r| - ½β beyond."""
    r = np.abs(o - t)
    return np.where(r < beta, 0.5 * r * (r / beta), r - 0.5 * beta)


def slope_of_smooth_l1(o: Array, t: Array, beta: float) -> Array:
    """r/β, held between -1 and 1."""
    return np.clip((o - t) / beta, -1.0, 1.0)


def log_cosh(o: Array, t: Array) -> Array:
    """log cosh r; for small r by cosh r - 1 = (1 - e⁻ʳ)² / 2e⁻ʳ."""
    r = np.abs(o - t)
    x = np.expm1(-np.minimum(r, 1.0))
    return np.where(r < 1.0, np.log1p(0.5 * x * x / (1.0 + x)), (r - math.log(2.0)) + np.log1p(np.exp(-2.0 * r)))


def slope_of_log_cosh(o: Array, t: Array) -> Array:
    """tanh r."""
    return np.tanh(o - t)


def quantile(o: Array, t: Array, tau: float) -> Array:
    """τ·(t - o) for outputs below the target, (1 - τ)·(o - t) above."""
    r = o - t
    return np.where(r < 0, -tau * r, (1.0 - tau) * r)


def slope_of_quantile(o: Array, t: Array, tau: float) -> Array:
    """-τ below the target, 1 - τ above, 0 on it."""
    r = o - t
    return np.where(r < 0, -tau, np.where(r > 0, 1.0 - tau, 0.0))


def percentage_error(o: Array, t: Array, epsilon: float) -> Array:
    """100·|r| / max(|t|, ε)."""
    return product(np.abs(o - t), 100.0 / np.maximum(np.abs(t), epsilon))


def slope_of_percentage_error(o: Array, t: Array, epsilon: float) -> Array:
    """100 / max(|t|, ε), with the sign of r."""
    return np.sign(o - t) * (100.0 / np.maximum(np.abs(t), epsilon))


def _log_ratio(o: Array, t: Array) -> Array:
    """log((1 + o) / (1 + t)), which the difference of two logarithms would not know near o = t."""
    r, least = o - t, np.minimum(o, t)
    gain = np.abs(r) / (1.0 + least)
    size = np.where(np.isfinite(gain), np.log1p(gain), np.log(np.abs(r)) - np.log(1.0 + least))
    return np.where(least < -1.0, np.nan, np.sign(r) * size)


def squared_log_error(o: Array, t: Array) -> Array:
    """(log(1 + o) - log(1 + t))²."""
    return _log_ratio(o, t) ** 2


def slope_of_squared_log_error(o: Array, t: Array) -> Array:
    """2·(log(1 + o) - log(1 + t)) / (1 + o)."""
    return 2.0 * _log_ratio(o, t) / (1.0 + o)


def dot_product(o: Array, t: Array) -> Array:
    """t·o."""
    return o * t


def targets(o: Array, t: Array) -> Array:
    """t."""
    return t.copy()


def cosine_similarity(o: Array, t: Array) -> Array:
    """-cos of the angle between o and t, output by output; 0 where one of them is 0."""
    return -_unit(o)[0] * _unit(t)[0]


def slope_of_cosine_similarity(o: Array, t: Array) -> Array:
    """-(t̂ - ô·cos) / |o|, where ô and t̂ have length 1; 0 where o or t is 0."""
    (o, length, scale), (t, _, _) = _unit(o), _unit(t)
    across: Array = t - o * (o * t).sum(axis=1, keepdims=True)
    slope: Array = np.divide(-across / scale, length, out=np.zeros_like(o), where=length != 0.0)
    return slope


def _unit(x: Array) -> tuple[Array, Array, Array]:
    """x with length 1, and its length as two factors, of which the squares neither overflow nor vanish."""
    scale = np.broadcast_to(np.abs(x).max(axis=1, keepdims=True), x.shape)
    x = ratio(x, scale)
    length = np.broadcast_to(np.sqrt((x * x).sum(axis=1, keepdims=True)), x.shape)
    return ratio(x, length), length, scale


# Probabilities.


def binary_cross_entropy(o: Array, t: Array) -> Array:
    """-t·log o - (1 - t)·log(1 - o)."""
    return -x_log_y(t, o) - x_log_rest(1.0 - t, o)


def slope_of_binary_cross_entropy(o: Array, t: Array) -> Array:
    """(o - t) / (o·(1 - o)); with a certain target only the one term there is, so that 0/0 is not met."""
    some = np.where(t == 0.0, 1.0 / (1.0 - o), -1.0 / o)
    return np.where((t == 0.0) | (t == 1.0), some, (o - t) / o / (1.0 - o))


def binary_cross_entropy_with_logits(o: Array, t: Array, pos_weight: float) -> Array:
    """pos_weight·t·log(1 + e⁻ᵒ) + (1 - t)·log(1 + eᵒ)."""
    return pos_weight * t * softplus(-o) + (1.0 - t) * softplus(o)


def slope_of_binary_cross_entropy_with_logits(o: Array, t: Array, pos_weight: float) -> Array:
    """(1 - t)·σ(o) - pos_weight·t·σ(-o)."""
    return (1.0 - t) * sigmoid(o) - pos_weight * t * sigmoid(-o)


def binary_focal(o: Array, t: Array, alpha: float, gamma: float) -> Array:
    """-α·t·(1 - o)^γ·log o - (1 - α)·(1 - t)·o^γ·log(1 - o)."""
    return -((1.0 - o) ** gamma) * x_log_y(alpha * t, o) - o**gamma * x_log_rest((1.0 - alpha) * (1.0 - t), o)


def slope_of_binary_focal(o: Array, t: Array, alpha: float, gamma: float) -> Array:
    """The derivative of each power times its logarithm, plus the power over o or 1 - o."""
    hit, miss = alpha * t, (1.0 - alpha) * (1.0 - t)
    rest = 1.0 - o
    return _slope_of_focal(o, rest, gamma, hit, x_log_y(hit, o)) - _slope_of_focal(
        rest, o, gamma, miss, x_log_rest(miss, o)
    )


def _slope_of_focal(o: Array, rest: Array, gamma: float, weight: Array, weighted_log: Array) -> Array:
    """The derivative of -weight·rest^γ·log o by o, rest being 1 - o."""
    by_power = product(gamma, _power_times(rest, gamma - 1.0, weighted_log))
    return by_power - _power_times(rest, gamma, ratio(weight, o))


def _power_times(base: Array, exponent: float, factor: Array) -> Array:
    """base^exponent · factor, and 0 where the factor is 0: a power of 0 can be infinite."""
    return factor * np.power(base, exponent, out=np.zeros_like(base), where=factor != 0.0)


def kl_divergence(o: Array, t: Array) -> Array:
    """t·log(t/o), 0 where t is 0; where t and o are close, from their difference."""
    quotient = ratio(t, o)
    near = (quotient > 0.5) & (quotient < 2.0)
    far = np.where((quotient > 1e-300) & (quotient < 1e300), np.log(quotient), np.log(t) - np.log(o))
    return product(t, np.where(near, np.log1p(ratio(t - o, o)), far))


def cross_entropy(o: Array, t: Array, *_: object) -> Array:
    """-t·log o."""
    return -x_log_y(t, o)


def slope_of_cross_entropy(o: Array, t: Array, *_: object) -> Array:
    """-t/o."""
    return -ratio(t, o)


def cross_entropy_with_logits(o: Array, t: Array, *_: object) -> Array:
    """-t·log softmax(o)."""
    return -product(t, log_softmax(o))


def slope_of_cross_entropy_with_logits(o: Array, t: Array, *_: object) -> Array:
    """softmax(o)·Σ t - t, with softmax(o_j)·t_j taken out of both terms."""
    p, rest = softmax_and_complement(o)
    return p * sum_of_others(t) - t * rest


def likelihood(o: Array, t: Array, *_: object) -> Array:
    """-o·t."""
    return -o * t


def slope_of_likelihood(o: Array, t: Array, *_: object) -> Array:
    """-t."""
    return -t


def categorical_focal(o: Array, t: Array, alpha: float, gamma: float) -> Array:
    """-α·t·(1 - o)^γ·log o."""
    return -((1.0 - o) ** gamma) * x_log_y(alpha * t, o)


def slope_of_categorical_focal(o: Array, t: Array, alpha: float, gamma: float) -> Array:
    """α·t·(γ·(1 - o)^(γ - 1)·log o - (1 - o)^γ / o)."""
    return _slope_of_focal(o, 1.0 - o, gamma, alpha * t, x_log_y(alpha * t, o))


def poisson(o: Array, t: Array) -> Array:
    """o - t·log o."""
    return o - x_log_y(t, o)


def slope_of_poisson(o: Array, t: Array) -> Array:
    """1 - t/o."""
    return np.where(t == 0.0, 1.0, (o - t) / o)


def poisson_log(o: Array, t: Array) -> Array:
    """eᵒ - t·o."""
    return np.exp(o) - t * o


def slope_of_poisson_log(o: Array, t: Array) -> Array:
    """eᵒ - t; near o = 0, where both can be 1, eᵒ - 1 less t - 1."""
    return np.where(np.abs(o) < 0.5, np.expm1(o) - (t - 1.0), np.exp(o) - t)


def gaussian_nll(o: Array, t: Array) -> Array:
    """½·(s + (t - m)²·e⁻ˢ), for outputs m₀, s₀, m₁, s₁, ... and one target a pair."""
    s = o[:, 1::2]
    return 0.5 * (s + _standardised(o, t) ** 2)


def slope_of_gaussian_nll(o: Array, t: Array) -> Array:
    """(m - t)·e⁻ˢ by m, and ½·(1 - (m - t)²·e⁻ˢ) by s."""
    q, slope = _standardised(o, t), np.empty_like(o)
    slope[:, 0::2] = product(q, np.exp(-0.5 * o[:, 1::2]))
    slope[:, 1::2] = 0.5 * (1.0 - q) * (1.0 + q)
    return slope


def _standardised(o: Array, t: Array) -> Array:
    """(m - t)·e^(-s/2): the square alone of e^(-s/2) can be beyond float64."""
    return product(o[:, 0::2] - t, np.exp(-0.5 * o[:, 1::2]))


# Margins.


def hinge(o: Array, t: Array) -> Array:
    """max(0, 1 - t·o)."""
    return np.maximum(1.0 - t * o, 0.0)


def slope_of_hinge(o: Array, t: Array) -> Array:
    """-t where t·o < 1, else 0."""
    return np.where(t * o < 1.0, -t, 0.0)


def excess_of_hinge(o: Array, t: Array) -> Array:
    """t·o - 1: from 0 on the loss is 0."""
    return t * o - 1.0


def squared_hinge(o: Array, t: Array) -> Array:
    """max(0, 1 - t·o)²."""
    return np.maximum(1.0 - t * o, 0.0) ** 2


def slope_of_squared_hinge(o: Array, t: Array) -> Array:
    """-2t·max(0, 1 - t·o)."""
    return -2.0 * t * np.maximum(1.0 - t * o, 0.0)


def categorical_hinge(o: Array, t: Array) -> Array:
    """max(0, 1 + max_j (1 - t_j)·o_j - Σ t_j·o_j), one a sample."""
    return np.maximum(_lack(o, t), 0.0)


def _lack(o: Array, t: Array) -> Array:
    """By how much the right class fails to lead by 1, (s, 1)."""
    lack: Array = 1.0 + ((1.0 - t) * o).max(axis=1, keepdims=True) - (t * o).sum(axis=1, keepdims=True)
    return lack


def slope_of_categorical_hinge(o: Array, t: Array) -> Array:
    """-t, and 1 - t more for the first of the largest (1 - t)·o; 0 where the loss is 0."""
    wrong = (1.0 - t) * o
    largest = is_first_largest(wrong)
    return np.where(_lack(o, t) > 0.0, np.where(largest, 1.0 - t, 0.0) - t, 0.0)


def lead_of_right_class(o: Array, t: Array) -> Array:
    """From 0 on the loss is 0, for the outputs that have a part in it; others are never near."""
    wrong = (1.0 - t) * o
    return np.where((t != 0.0) | (wrong == wrong.max(axis=1, keepdims=True)), -_lack(o, t), np.inf)


def lead_of_wrong_class(o: Array, t: Array) -> Array:
    """By how much (1 - t)·o leads the others', while the loss is not 0; the class itself is never near."""
    wrong = (1.0 - t) * o
    descending = -np.sort(-wrong, axis=1)
    second = descending[:, 1:2] if o.shape[1] > 1 else np.full_like(descending, -np.inf)
    best_other = np.where(is_first_largest(wrong), second, descending[:, :1])
    return np.where((t == 1.0) | (_lack(o, t) <= 0.0), np.inf, wrong - best_other)


def signed_length(o: Array, t: Array) -> Array:
    """The length of o, for each of its numbers, with a sign that changes where o goes through 0.

    It is that of o's part along a fixed direction, to which no o that is met in practice is perpendicular.
    """
    _, length, scale = _unit(o)
    along = o @ (1.0 / (np.arange(o.shape[1]) + math.sqrt(2.0)))
    signed: Array = np.copysign(length * scale, along[:, None])
    return signed
