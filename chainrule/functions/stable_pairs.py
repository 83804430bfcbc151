"""The stable pairs: a loss and the activation below it, in one closed form.

If a unit saturates, o has lost the digits that the loss needs: a sigmoid at a = 40 gives o = 1, and with target 0
binary cross-entropy divides by 1 - o = 0, where dE/da is 1. A stable pair has the loss and dE/da in closed form, from
a. The factors stay those of the tables, and their product agrees with the closed form.

All functions take a and t, (s, j), of the units that share the activation, then the activation's parameters, then the
loss's. A new pair is one row of `STABLE_PAIRS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from chainrule.functions import double_double
from chainrule.functions.elementwise import sigmoid, softplus
from chainrule.functions.jacobian import sum_of_others
from chainrule.functions.loss_functions import poisson_log, product_or_0, ratio, slope_of_poisson_log, x_log_y
from chainrule.functions.simplex import (
    SoftmaxParts,
    is_first_largest,
    log_softmax,
    log_softmax_complement,
    softmax,
    softmax_and_complement,
    softmax_complement_and_log,
)
from chainrule.functions.tables import Array, Number


@dataclass(frozen=True)
class StablePair:
    """The closed forms for a loss and the activation below it.

    `both`, for pairs whose value and dE_da share an exponential, returns the two, equal to the last bit. Its first
    argument is what the activation's `both` shares, or None.
    """

    value: Callable[..., Array]  # the losses of all outputs, (s, j)
    dE_da: Callable[..., Array]
    formula: str  # of dE_da, in LaTeX, as in the tables; u is the dense target: smoothed, or made from a class index
    dE_do: Callable[..., Array] | None = None  # only where o itself has lost the digits that the factor needs
    both: Callable[..., tuple[Array, Array]] | None = None


def _binary_cross_entropy_of_sigmoid(a: Array, t: Array) -> Array:
    return t * softplus(-a) + (1.0 - t) * softplus(a)


def _slope_of_binary_cross_entropy_of_sigmoid(a: Array, t: Array) -> Array:
    return (1.0 - t) * sigmoid(a) - t * sigmoid(-a)  # σ(a) - t has no digits left where the two cancel


def _binary_cross_entropy_of_sigmoid_by_output(a: Array, t: Array) -> Array:
    return ratio(1.0 - t, sigmoid(-a)) - ratio(t, sigmoid(a))  # σ(-a) keeps its digits where 1 - o rounds to 0


def _binary_focal_of_sigmoid(a: Array, t: Array, alpha: float, gamma: float) -> Array:
    hit, miss = _focal_weights(a, t, alpha, gamma)
    return hit * softplus(-a) + miss * softplus(a)


def _slope_of_binary_focal_of_sigmoid(a: Array, t: Array, alpha: float, gamma: float) -> Array:
    hit, miss = _focal_weights(a, t, alpha, gamma)
    o, rest = sigmoid(a), sigmoid(-a)
    return miss * (o + gamma * rest * softplus(a)) - hit * (rest + gamma * o * softplus(-a))


def _binary_focal_of_sigmoid_by_output(a: Array, t: Array, alpha: float, gamma: float) -> Array:
    hit, miss = _focal_weights(a, t, alpha, gamma)
    of_miss = product_or_0(miss, gamma * _log_over_rest(-a) + 1.0 / sigmoid(-a))
    return of_miss - product_or_0(hit, gamma * _log_over_rest(a) + 1.0 / sigmoid(a))


def _log_over_rest(a: Array) -> Array:
    """-log(o) / (1 - o) of a sigmoid, which tends to 1 where both vanish."""
    rest = sigmoid(-a)
    return np.where(rest > 0.0, softplus(-a) / rest, 1.0)


def _focal_weights(a: Array, t: Array, alpha: float, gamma: float) -> tuple[Array, Array]:
    return alpha * t * _power_of_sigmoid(-a, gamma), (1.0 - alpha) * (1.0 - t) * _power_of_sigmoid(a, gamma)


def _power_of_sigmoid(a: Array, gamma: float) -> Array:
    """σ(a)^γ, from its logarithm where σ(a) is subnormal or 0."""
    o = sigmoid(a)
    return np.where(o > 1e-300, o**gamma, double_double.exp(*double_double.product(-softplus(-a), gamma)))


def _cross_entropy_of_sigmoid(a: Array, t: Array, *_: object) -> Array:
    return t * softplus(-a)


def _slope_of_cross_entropy_of_sigmoid(a: Array, t: Array, *_: object) -> Array:
    return -t * sigmoid(-a)


def _divergence_of_sigmoid(a: Array, t: Array) -> Array:
    return x_log_y(t, t) + t * softplus(-a)


def _cross_entropy_of_softmax(a: Array, t: Array, temperature: Number, *_: object) -> Array:
    return -t * log_softmax(a, temperature)


def _slope_of_cross_entropy_of_softmax(a: Array, t: Array, temperature: Number, *_: object) -> Array:
    """o_j · Σ_m t_m - t_j, with o_j · t_j taken out of both terms."""
    return _residual_of_softmax(*softmax_and_complement(a, temperature), t, temperature)


def _both_of_cross_entropy_of_softmax(
    shared: SoftmaxParts | None, a: Array, t: Array, temperature: Number, *_: object
) -> tuple[Array, Array]:
    o, rest, log_o = shared or softmax_complement_and_log(a, temperature)
    return -t * log_o, _residual_of_softmax(o, rest, t, temperature)


def _residual_of_softmax(o: Array, rest: Array, t: Array, temperature: Number) -> Array:
    return (o * sum_of_others(t) - t * rest) / temperature


def _divergence_of_softmax(a: Array, t: Array, temperature: Number) -> Array:
    return x_log_y(t, t) - t * log_softmax(a, temperature)


def _binary_cross_entropy_of_softmax(a: Array, t: Array, temperature: Number) -> Array:
    return -t * log_softmax(a, temperature) - product_or_0(1.0 - t, log_softmax_complement(a, temperature))


def _slope_of_binary_cross_entropy_of_softmax(a: Array, t: Array, temperature: Number) -> Array:
    """Σ_j (dE/do_j · o_j)·(δ_jm - o_m) / T, where dE/do_j · o_j is -t_j + (1 - t_j) · o_j/(1 - o_j).

    1 - o can vanish for the largest unit only; o_m / (1 - o) is then the softmax of m among the others.
    """
    o, rest = softmax_and_complement(a, temperature)
    largest = is_first_largest(a)
    own = (1.0 - t) * o - t * rest
    hits = o * sum_of_others(t)
    misses = o * sum_of_others(np.where(largest, 0.0, ratio((1.0 - t) * o, rest)))
    weight: Array = np.where(largest, (1.0 - t) * o, 0.0).sum(axis=1, keepdims=True)
    among_others = np.where(largest, 0.0, softmax(np.where(largest, -np.inf, a), temperature))
    return (own + hits - misses - weight * among_others) / temperature


def _binary_cross_entropy_of_softmax_by_output(a: Array, t: Array, temperature: Number) -> Array:
    o, rest = softmax_and_complement(a, temperature)
    return ratio(1.0 - t, rest) - ratio(t, o)


def _categorical_focal_of_softmax(a: Array, t: Array, temperature: Number, alpha: float, gamma: float) -> Array:
    return -alpha * t * _power_of_complement(a, temperature, gamma) * log_softmax(a, temperature)


def _slope_of_categorical_focal_of_softmax(
    a: Array, t: Array, temperature: Number, alpha: float, gamma: float
) -> Array:
    """Σ_m q_m·(δ_jm - o_j) / T, where q_j = dE/do_j · o_j = α·t_j·(1 - o_j)^γ·(γ·o_j·log o_j / (1 - o_j) - 1)."""
    o, rest = softmax_and_complement(a, temperature)
    weight = alpha * t * _power_of_complement(a, temperature, gamma)
    by_log = weight * (gamma * o * _log_over_complement(a, temperature) - 1.0)
    return (by_log * rest - o * sum_of_others(by_log)) / temperature


def _categorical_focal_of_softmax_by_output(
    a: Array, t: Array, temperature: Number, alpha: float, gamma: float
) -> Array:
    weight = alpha * t * _power_of_complement(a, temperature, gamma)
    return weight * gamma * _log_over_complement(a, temperature) - ratio(weight, softmax(a, temperature))


def _power_of_complement(a: Array, temperature: Number, gamma: float) -> Array:
    """(1 - o)^γ of a softmax, from its logarithm where 1 - o is subnormal or 0."""
    _, rest = softmax_and_complement(a, temperature)
    return np.where(rest > 1e-300, rest**gamma, np.exp(gamma * log_softmax_complement(a, temperature)))


def _log_over_complement(a: Array, temperature: Number) -> Array:
    """log(o) / (1 - o) of a softmax, which tends to -1 where both vanish."""
    _, rest = softmax_and_complement(a, temperature)
    return np.where(rest > 0.0, log_softmax(a, temperature) / rest, -1.0)


def _likelihood_of_log_softmax(a: Array, t: Array, *_: object) -> Array:
    return _cross_entropy_of_softmax(a, t, 1.0)


def _slope_of_likelihood_of_log_softmax(a: Array, t: Array, *_: object) -> Array:
    return _slope_of_cross_entropy_of_softmax(a, t, 1.0)


_CROSS_ENTROPY_OF_SIGMOID = r"\frac{dE}{da_j} = -u_j\,\sigma(-a_j)"
_CROSS_ENTROPY_OF_SOFTMAX = (
    r"\frac{dE}{da_j} = \frac{\sum_k (u_k\,e^{a_j / T} - u_j\,e^{a_k / T})}{T \sum_k e^{a_k / T}} "
    r"= \frac{o_j \sum_k u_k - u_j}{T}"
)
_SIGMOID = StablePair(_cross_entropy_of_sigmoid, _slope_of_cross_entropy_of_sigmoid, _CROSS_ENTROPY_OF_SIGMOID)
_SOFTMAX = StablePair(
    _cross_entropy_of_softmax,
    _slope_of_cross_entropy_of_softmax,
    _CROSS_ENTROPY_OF_SOFTMAX,
    both=_both_of_cross_entropy_of_softmax,
)

STABLE_PAIRS: Mapping[tuple[str, str], StablePair] = {
    ("binary_cross_entropy", "sigmoid"): StablePair(
        _binary_cross_entropy_of_sigmoid,
        _slope_of_binary_cross_entropy_of_sigmoid,
        r"\frac{dE}{da_j} = (1 - t_j)\,\sigma(a_j) - t_j\,\sigma(-a_j)",
        _binary_cross_entropy_of_sigmoid_by_output,
    ),
    ("binary_cross_entropy", "softmax"): StablePair(
        _binary_cross_entropy_of_softmax,
        _slope_of_binary_cross_entropy_of_softmax,
        r"\frac{dE}{da_j} = \frac{1}{T} \left((1 - t_j)\,o_j - t_j\,(1 - o_j) "
        r"+ o_j \sum_{k \ne j} \left(t_k - \frac{(1 - t_k)\,o_k}{1 - o_k}\right)\right)",
        _binary_cross_entropy_of_softmax_by_output,
    ),
    ("binary_focal", "sigmoid"): StablePair(
        _binary_focal_of_sigmoid,
        _slope_of_binary_focal_of_sigmoid,
        r"\frac{dE}{da_j} = (1 - \alpha)\,(1 - t_j)\,\sigma(a_j)^{\gamma} "
        r"\left(\sigma(a_j) + \gamma\,\sigma(-a_j) \log(1 + e^{a_j})\right) "
        r"- \alpha t_j\,\sigma(-a_j)^{\gamma} \left(\sigma(-a_j) + \gamma\,\sigma(a_j) \log(1 + e^{-a_j})\right)",
        _binary_focal_of_sigmoid_by_output,
    ),
    ("categorical_cross_entropy", "softmax"): _SOFTMAX,
    ("categorical_cross_entropy", "sigmoid"): _SIGMOID,
    ("sparse_categorical_cross_entropy", "softmax"): _SOFTMAX,
    ("sparse_categorical_cross_entropy", "sigmoid"): _SIGMOID,
    ("categorical_focal", "softmax"): StablePair(
        _categorical_focal_of_softmax,
        _slope_of_categorical_focal_of_softmax,
        r"\frac{dE}{da_j} = \frac{1}{T} \left(q_j\,(1 - o_j) - o_j \sum_{k \ne j} q_k\right), \quad "
        r"q_j = \alpha t_j\,(1 - o_j)^{\gamma} \left(\frac{\gamma\,o_j \log(o_j)}{1 - o_j} - 1\right)",
        _categorical_focal_of_softmax_by_output,
    ),
    ("kl_divergence", "softmax"): StablePair(
        _divergence_of_softmax, _slope_of_cross_entropy_of_softmax, _CROSS_ENTROPY_OF_SOFTMAX
    ),
    ("kl_divergence", "sigmoid"): StablePair(
        _divergence_of_sigmoid, _slope_of_cross_entropy_of_sigmoid, _CROSS_ENTROPY_OF_SIGMOID
    ),
    ("negative_log_likelihood", "log_softmax"): StablePair(
        _likelihood_of_log_softmax,
        _slope_of_likelihood_of_log_softmax,
        r"\frac{dE}{da_j} = \frac{\sum_k (u_k\,e^{a_j} - u_j\,e^{a_k})}{\sum_k e^{a_k}} = e^{o_j} \sum_k u_k - u_j",
    ),
    ("poisson", "exponential"): StablePair(poisson_log, slope_of_poisson_log, r"\frac{dE}{da_j} = e^{a_j} - t_j"),
}
