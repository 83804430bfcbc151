"""The losses: ℓ and dℓ/do, one row each, and the stable pairs of a loss and the activation below it.

    E = Σ ℓ(o, t) / divisor        the divisor is 1, the number of samples, or of single losses: the reduction

Where a unit saturates, o no longer holds what the loss needs of it: a sigmoid at a = 40 gives o = 1, and with target 0
binary cross-entropy divides by 1 - o = 0, where dE/da is 1. A stable pair has the loss and dE/da in closed form, from
a. The factors stay what the tables say, and their product agrees with it.

A new loss is one row of `LOSSES`, a new pair one of `STABLE_PAIRS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from chainrule.activations import log_softmax, sigmoid, softmax, softmax_complement, softplus
from chainrule.catalogue import Array, Parameter, Table, Value, parameter_values
from chainrule.jacobian import sum_of_others

Reduction = Literal["sum", "mean", "batch_mean"]
REDUCTIONS: tuple[Reduction, ...] = ("sum", "mean", "batch_mean")


@dataclass(frozen=True, eq=False)
class Loss:
    """One row: what a loss is called, what it computes, and what people should know of it.

    `value` and `derivative` take o and t, both (s, j) for s samples and j outputs, then the parameters in their order.
    `value` gives the single losses, (s, j); those of one sample add up to its loss.
    """

    name: str
    title: str
    value: Callable[..., Array]
    derivative: Callable[..., Array]
    formula: str
    derivative_formula: str
    reference: str
    per: Literal["element", "sample"] = "element"  # what `mean` counts
    class_indices: bool = False  # whether targets are one class index a sample
    target_range: tuple[float, float] | None = None  # outside it the loss is computed, and warned of
    kink: Callable[..., NDArray[np.bool_]] | None = None  # where dℓ/do does not exist
    parameters: tuple[Parameter, ...] = ()
    aliases: Mapping[str, Reduction] = field(default_factory=dict)  # with the reduction that the name implies
    note: str = ""


@dataclass(frozen=True)
class LossSpec:
    """A loss with its parameters and its reduction fixed."""

    loss: Loss
    values: tuple[Value, ...] = ()
    reduction: Reduction = "sum"

    def value(self, o: Array, t: Array) -> Array:
        """The single losses ℓ(o, t), (s, j)."""
        return self.loss.value(o, t, *self.values)

    def derivative(self, o: Array, t: Array) -> Array:
        """dℓ/do, (s, j)."""
        return self.loss.derivative(o, t, *self.values)

    def dense_targets(self, targets: Array, outputs: int) -> Array:
        """Targets in the shape of the outputs, (s, j): class indices, (s,), become rows of 0 with a single 1."""
        if not self.loss.class_indices:
            return targets
        return np.equal(targets[:, None], np.arange(outputs)).astype(np.float64)

    def divisor(self, t: Array) -> int:
        """What the reduction divides the sum of the losses by, for targets t, (s, j)."""
        if self.reduction == "sum":
            return 1
        return t.size if self.reduction == "mean" and self.loss.per == "element" else len(t)


def loss_spec(name: str, reduction: Reduction | None = None, **parameters: Any) -> LossSpec:
    """The loss of that name or alias, defaults filled in. A given reduction goes before the one an alias implies.

    Raises KeyError or ValueError.
    """
    loss = LOSSES[name]
    return LossSpec(loss, parameter_values(loss, parameters), reduction or loss.aliases.get(name, "sum"))


def _x_log_y(x: Array, y: Array) -> Array:
    """x · log y, and 0 where x is 0: an impossible class that did not occur costs nothing."""
    return x * np.log(y, out=np.zeros_like(y), where=x != 0.0)


def _ratio(x: Array, y: Array) -> Array:
    """x / y, and 0 where x is 0."""
    return np.divide(x, y, out=np.zeros_like(y), where=x != 0.0)


# Each loss stands above its derivative, to be read against each other.


def _half_squared_error(o: Array, t: Array) -> Array:
    return 0.5 * (o - t) ** 2


def _residual(o: Array, t: Array) -> Array:
    return o - t


def _squared_error(o: Array, t: Array) -> Array:
    return (o - t) ** 2


def _squared_error_slope(o: Array, t: Array) -> Array:
    return 2.0 * (o - t)


def _absolute_error(o: Array, t: Array) -> Array:
    return np.abs(o - t)


def _absolute_error_slope(o: Array, t: Array) -> Array:
    return np.sign(o - t)


def _huber(o: Array, t: Array, delta: float) -> Array:
    r = np.abs(o - t)
    c = np.minimum(r, delta)
    return c * (r - 0.5 * c)  # ½r² up to delta, delta·(r - ½delta) beyond


def _huber_slope(o: Array, t: Array, delta: float) -> Array:
    return np.clip(o - t, -delta, delta)


def _binary_cross_entropy(o: Array, t: Array) -> Array:
    return -_x_log_y(t, o) - _x_log_y(1.0 - t, 1.0 - o)


def _binary_cross_entropy_slope(o: Array, t: Array) -> Array:
    return _ratio(1.0 - t, 1.0 - o) - _ratio(t, o)


def _categorical_cross_entropy(o: Array, t: Array) -> Array:
    return -_x_log_y(t, o)


def _categorical_cross_entropy_slope(o: Array, t: Array) -> Array:
    return -_ratio(t, o)


def _dot_product(o: Array, t: Array) -> Array:
    return o * t


def _targets(o: Array, t: Array) -> Array:
    return t.copy()


LOSSES: Table[Loss] = Table(
    [
        Loss(
            name="half_squared_error",
            title="Half the squared error",
            value=_half_squared_error,
            derivative=_residual,
            formula=r"\ell = \tfrac{1}{2}\,(o - t)^2",
            derivative_formula=r"\frac{d\ell}{do} = o - t",
            reference="Bishop, Pattern Recognition and Machine Learning, Springer 2006, ch. 5, p. 234, eq. 5.18",
        ),
        Loss(
            name="squared_error",
            aliases={"mse": "mean", "sse": "sum"},
            title="Squared error",
            value=_squared_error,
            derivative=_squared_error_slope,
            formula=r"\ell = (o - t)^2",
            derivative_formula=r"\frac{d\ell}{do} = 2\,(o - t)",
            reference="PyTorch documentation, torch.nn.MSELoss",
            note="Keras and PyTorch average over samples and outputs by default, textbooks sum and put ½ before it.",
        ),
        Loss(
            name="absolute_error",
            aliases={"mae": "mean"},
            title="Absolute error",
            value=_absolute_error,
            derivative=_absolute_error_slope,
            kink=np.equal,
            formula=r"\ell = |o - t|",
            derivative_formula=r"\frac{d\ell}{do} = \operatorname{sign}(o - t), \quad 0 \text{ at } o = t",
            reference="PyTorch documentation, torch.nn.L1Loss",
        ),
        Loss(
            name="huber",
            title="Huber's loss",
            parameters=(Parameter("delta", 1.0, "up to this residual the loss is quadratic", exclusive_minimum=0.0),),
            value=_huber,
            derivative=_huber_slope,
            formula=r"\ell = \begin{cases} \tfrac{1}{2} r^2 & |r| \le \delta \\ "
            r"\delta\,(|r| - \tfrac{1}{2}\delta) & |r| > \delta \end{cases}, \quad r = o - t",
            derivative_formula=r"\frac{d\ell}{do} = \max(-\delta, \min(\delta, o - t))",
            reference="Huber: Robust Estimation of a Location Parameter, Ann. Math. Statist. 35(1):73-101, 1964",
        ),
        Loss(
            name="binary_cross_entropy",
            aliases={"bce": "sum"},
            title="Binary cross-entropy",
            value=_binary_cross_entropy,
            derivative=_binary_cross_entropy_slope,
            target_range=(0.0, 1.0),
            formula=r"\ell = -t \log o - (1 - t) \log(1 - o)",
            derivative_formula=r"\frac{d\ell}{do} = \frac{1 - t}{1 - o} - \frac{t}{o}",
            reference="Goodfellow, Bengio, Courville: Deep Learning, MIT Press 2016, sec. 6.2.2.2",
            note="Keras and PyTorch average over samples and outputs by default.",
        ),
        Loss(
            name="categorical_cross_entropy",
            aliases={"cce": "sum"},
            title="Categorical cross-entropy",
            value=_categorical_cross_entropy,
            derivative=_categorical_cross_entropy_slope,
            per="sample",
            target_range=(0.0, 1.0),
            formula=r"\ell = -\sum_j t_j \log o_j",
            derivative_formula=r"\frac{d\ell}{do_j} = -\frac{t_j}{o_j}",
            reference="Goodfellow, Bengio, Courville: Deep Learning, MIT Press 2016, sec. 6.2.2.3",
            note="The outputs are taken as the probabilities they are; Keras divides them by their sum first.",
        ),
        Loss(
            name="sparse_categorical_cross_entropy",
            title="Categorical cross-entropy with class indices",
            value=_categorical_cross_entropy,
            derivative=_categorical_cross_entropy_slope,
            per="sample",
            class_indices=True,
            formula=r"\ell = -\log o_t",
            derivative_formula=r"\frac{d\ell}{do_j} = -\frac{\delta_{jt}}{o_j}",
            reference="Keras documentation, SparseCategoricalCrossentropy",
        ),
        Loss(
            name="negative_log_likelihood",
            aliases={"nll": "sum"},
            title="Negative log-likelihood of log-probabilities, with class indices",
            value=lambda o, t: -o * t,
            derivative=lambda o, t: -t,
            per="sample",
            class_indices=True,
            formula=r"\ell = -o_t",
            derivative_formula=r"\frac{d\ell}{do_j} = -\delta_{jt}",
            reference="PyTorch documentation, torch.nn.functional.nll_loss",
        ),
        Loss(
            name="dot_product",
            title="Dot product with upstream gradients",
            value=_dot_product,
            derivative=_targets,
            formula=r"\ell = t\,o",
            derivative_formula=r"\frac{d\ell}{do} = t",
            reference="Baydin, Pearlmutter, Radul, Siskind: Automatic Differentiation in Machine Learning: a "
            "Survey, JMLR 18(153):1-43, 2018",
            note="The targets are the dE/do that the rest of a larger model hands down; "
            "the answer is the network's vector-Jacobian product.",
        ),
    ]
)


@dataclass(frozen=True)
class StablePair:
    """What a loss and the activation below it give together, in closed form.

    All take a and t, (s, j), of the units that share the activation, then the activation's parameters.
    """

    value: Callable[..., Array]  # the single losses, (s, j)
    dE_da: Callable[..., Array]
    dE_do: Callable[..., Array] | None = None  # only where o itself has lost the digits that the factor needs


def _cross_entropy_of_sigmoid(a: Array, t: Array) -> Array:
    return t * softplus(-a) + (1.0 - t) * softplus(a)


def _cross_entropy_of_sigmoid_slope(a: Array, t: Array) -> Array:
    return (1.0 - t) * sigmoid(a) - t * sigmoid(-a)  # σ(a) - t has no digits left where they meet


def _cross_entropy_of_sigmoid_by_output(a: Array, t: Array) -> Array:
    return _ratio(1.0 - t, sigmoid(-a)) - _ratio(t, sigmoid(a))  # 1 - o is exact as σ(-a), and 0 as 1 - 1


def _cross_entropy_of_softmax(a: Array, t: Array, temperature: float) -> Array:
    return -t * log_softmax(a / temperature)


def _cross_entropy_of_softmax_slope(a: Array, t: Array, temperature: float) -> Array:
    """o_j · Σ_m t_m - t_j, with o_j · t_j taken out of both terms."""
    o = softmax(a, temperature)
    return (o * sum_of_others(t) - t * softmax_complement(a, temperature)) / temperature


def _likelihood_of_log_softmax(a: Array, t: Array) -> Array:
    return _cross_entropy_of_softmax(a, t, 1.0)


def _likelihood_of_log_softmax_slope(a: Array, t: Array) -> Array:
    return _cross_entropy_of_softmax_slope(a, t, 1.0)


_SIGMOID = StablePair(_cross_entropy_of_sigmoid, _cross_entropy_of_sigmoid_slope, _cross_entropy_of_sigmoid_by_output)
_SOFTMAX = StablePair(_cross_entropy_of_softmax, _cross_entropy_of_softmax_slope)
_LOG_SOFTMAX = StablePair(_likelihood_of_log_softmax, _likelihood_of_log_softmax_slope)

STABLE_PAIRS: Mapping[tuple[str, str], StablePair] = {
    ("binary_cross_entropy", "sigmoid"): _SIGMOID,
    ("categorical_cross_entropy", "softmax"): _SOFTMAX,
    ("sparse_categorical_cross_entropy", "softmax"): _SOFTMAX,
    ("negative_log_likelihood", "log_softmax"): _LOG_SOFTMAX,
}
