"""The activations: φ and its derivative, one row each.

    o = φ(a)        acts on a group of units: on each by itself (tanh), or on all of them together (softmax)

Derivatives are computed from a, never from o: o·(1 - o) has lost every digit at |a| = 37, 1 - o² at 20.
A kink takes the derivative that PyTorch takes for the function of that name, always a valid subgradient.

A new activation is one row of `ACTIVATIONS`: contract, catalogue, messages and tests follow from the table.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.catalogue import Array, Parameter, Table, Value, parameter_values
from chainrule.jacobian import Jacobian, sum_of_others


@dataclass(frozen=True)
class Kink:
    """A pre-activation at which φ has no derivative, with the slopes on its two sides."""

    at: float
    left: float
    right: float


def _smooth(*_: Value) -> tuple[Kink, ...]:
    return ()


@dataclass(frozen=True, eq=False)
class Activation:
    """One row: what an activation is called, what it computes, and what people should know of it.

    `value` and `jacobian` take a, (s, j) for s samples and j units, then the parameters in their order.
    `formula` and `derivative` are LaTeX in a, o and the parameters.
    """

    name: str
    title: str
    value: Callable[..., Array]
    jacobian: Callable[..., Jacobian]
    elementwise: bool
    formula: str
    derivative: str
    reference: str
    parameters: tuple[Parameter, ...] = ()
    kinks: Callable[..., tuple[Kink, ...]] = _smooth
    aliases: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class ActivationSpec:
    """An activation with its parameters fixed. Two units act together only where their specs are equal."""

    activation: Activation
    values: tuple[Value, ...] = ()
    group: str | None = None  # tells two softmax heads of one layer apart

    def value(self, a: Array) -> Array:
        """o = φ(a), (s, j)."""
        return self.activation.value(a, *self.values)

    def jacobian(self, a: Array) -> Jacobian:
        """do/da of the units of a, (s, j), as one group."""
        return self.activation.jacobian(a, *self.values)

    def kinks(self) -> tuple[Kink, ...]:
        """Where φ has no derivative, with these parameters."""
        return self.activation.kinks(*self.values)

    def slope(self, at: float) -> float:
        """The derivative taken at one pre-activation, for an elementwise φ."""
        return float(self.jacobian(np.array([[at]])).diagonal[0, 0])


def activation_spec(name: str, group: str | None = None, **parameters: Any) -> ActivationSpec:
    """The activation of that name or alias, defaults filled in. Raises KeyError or ValueError."""
    activation = ACTIVATIONS[name]
    return ActivationSpec(activation, parameter_values(activation, parameters), group)


def _elementwise(derivative: Callable[..., Array]) -> Callable[..., Jacobian]:
    """The Jacobian of an activation of which every unit minds only its own pre-activation."""
    return lambda a, *values: Jacobian(derivative(a, *values))


# Each function stands above its derivative, to be read against each other.


def sigmoid(a: Array) -> Array:
    """1 / (1 + e⁻ᵃ), by the exponential that cannot overflow."""
    e = np.exp(-np.abs(a))
    return np.where(a < 0, e, 1.0) / (1.0 + e)


def _sigmoid_slope(a: Array) -> Array:
    e = np.exp(-np.abs(a))
    return e / (1.0 + e) ** 2


def _tanh_slope(a: Array) -> Array:
    e = np.exp(-np.abs(a))
    return (2.0 * e / (1.0 + e * e)) ** 2  # 1 / cosh², where cosh overflows at 711


def _relu_slope(a: Array) -> Array:
    return np.where(a > 0, 1.0, 0.0)


def _leaky_relu(a: Array, negative_slope: float) -> Array:
    return np.where(a > 0, a, negative_slope * a)


def _leaky_relu_slope(a: Array, negative_slope: float) -> Array:
    return np.where(a > 0, 1.0, negative_slope)


def _elu(a: Array, alpha: float) -> Array:
    return np.where(a > 0, a, alpha * np.expm1(np.minimum(a, 0.0)))


def _elu_slope(a: Array, alpha: float) -> Array:
    return np.where(a > 0, 1.0, alpha * np.exp(np.minimum(a, 0.0)))


def softplus(a: Array, beta: float = 1.0) -> Array:
    """log(1 + eᵝᵃ) / β, without a threshold beyond which it would be taken as linear."""
    return np.maximum(a, 0.0) + np.log1p(np.exp(-np.abs(beta * a))) / beta


def _softplus_slope(a: Array, beta: float) -> Array:
    return sigmoid(beta * a)


def _silu(a: Array) -> Array:
    return a * sigmoid(a)


def _silu_slope(a: Array) -> Array:
    return sigmoid(a) * (1.0 + a * sigmoid(-a))


_erfc = np.vectorize(math.erfc, otypes=[np.float64])  # NumPy has none


def _normal_distribution(a: Array) -> Array:
    return np.asarray(0.5 * _erfc(a / -math.sqrt(2.0)))  # 1 + erf would lose every digit below -8


def _tanh_gate(a: Array) -> tuple[Array, Array]:
    """½ + ½·tanh(u) with u = √(2/π)·(a + 0.044715·a³), as sigmoid(2u), and its derivative."""
    a = np.clip(a, -30.0, 30.0)  # beyond, the gate is 0 or 1 to the last bit, and a³ could overflow
    twice_u = 2.0 * math.sqrt(2.0 / math.pi) * (a + 0.044715 * a**3)
    du_da = math.sqrt(2.0 / math.pi) * (1.0 + 3.0 * 0.044715 * a**2)
    return sigmoid(twice_u), _sigmoid_slope(twice_u) * 2.0 * du_da


def _gelu(a: Array, approximate: str) -> Array:
    return a * (_tanh_gate(a)[0] if approximate == "tanh" else _normal_distribution(a))


def _gelu_slope(a: Array, approximate: str) -> Array:
    if approximate == "tanh":
        gate, slope = _tanh_gate(a)
    else:
        gate = _normal_distribution(a)
        slope = np.exp(-0.5 * np.minimum(np.abs(a), 40.0) ** 2) / math.sqrt(2.0 * math.pi)  # 0 from 39 on
    return gate + a * slope


def _exponentials(a: Array) -> tuple[Array, Array, Array]:
    """a - max, exp(a - max) and its sum over the group."""
    below = a - a.max(axis=-1, keepdims=True)
    e = np.exp(below)
    return below, e, e.sum(axis=-1, keepdims=True)


def softmax(a: Array, temperature: float = 1.0) -> Array:
    """exp(a_j / T) over its sum."""
    _, e, total = _exponentials(a / temperature)
    return e / total


def softmax_complement(a: Array, temperature: float = 1.0) -> Array:
    """1 - softmax(a), with the digits that 1 - o has lost where one unit is nearly certain."""
    _, e, total = _exponentials(a / temperature)
    return sum_of_others(e) / total


def _softmax_jacobian(a: Array, temperature: float) -> Jacobian:
    o = softmax(a, temperature)
    return Jacobian(o * softmax_complement(a, temperature) / temperature, o / temperature, o)


def log_softmax(a: Array) -> Array:
    """a_j less the logarithm of the sum of the exponentials."""
    below, e, _ = _exponentials(a)
    largest = e.argmax(axis=-1, keepdims=True)
    rest = np.take_along_axis(sum_of_others(e), largest, axis=-1)  # the sum is 1 + rest, and log1p keeps its digits
    return below - np.log1p(rest)


def _log_softmax_jacobian(a: Array) -> Jacobian:
    return Jacobian(softmax_complement(a), np.ones_like(a), softmax(a))


ACTIVATIONS: Table[Activation] = Table(
    [
        Activation(
            name="identity",
            aliases=("linear",),
            title="Identity",
            value=np.copy,
            jacobian=_elementwise(np.ones_like),
            elementwise=True,
            formula=r"o = a",
            derivative=r"\frac{do}{da} = 1",
            reference="Bishop, Pattern Recognition and Machine Learning, Springer 2006, ch. 5, p. 234",
        ),
        Activation(
            name="sigmoid",
            aliases=("logistic",),
            title="Logistic sigmoid",
            value=sigmoid,
            jacobian=_elementwise(_sigmoid_slope),
            elementwise=True,
            formula=r"o = \sigma(a) = \frac{1}{1 + e^{-a}}",
            derivative=r"\frac{do}{da} = \sigma(a)\,\sigma(-a)",
            reference="Rumelhart, Hinton, Williams: Learning representations by back-propagating errors, Nature "
            "323:533-536, 1986",
        ),
        Activation(
            name="tanh",
            title="Hyperbolic tangent",
            value=np.tanh,
            jacobian=_elementwise(_tanh_slope),
            elementwise=True,
            formula=r"o = \tanh a",
            derivative=r"\frac{do}{da} = \frac{1}{\cosh^2 a}",
            reference="LeCun, Bottou, Orr, Müller: Efficient BackProp, in Neural Networks: Tricks of the Trade, "
            "Springer 1998, pp. 9-50",
        ),
        Activation(
            name="relu",
            title="Rectified linear unit",
            value=lambda a: np.maximum(a, 0.0),
            jacobian=_elementwise(_relu_slope),
            elementwise=True,
            formula=r"o = \max(a, 0)",
            derivative=r"\frac{do}{da} = \begin{cases} 1 & a > 0 \\ 0 & a \le 0 \end{cases}",
            kinks=lambda: (Kink(0.0, left=0.0, right=1.0),),
            reference="Nair, Hinton: Rectified Linear Units Improve Restricted Boltzmann Machines, ICML 2010, pp. "
            "807-814",
        ),
        Activation(
            name="leaky_relu",
            title="Leaky rectified linear unit",
            parameters=(Parameter("negative_slope", 0.01, "the slope for a ≤ 0"),),
            value=_leaky_relu,
            jacobian=_elementwise(_leaky_relu_slope),
            elementwise=True,
            formula=r"o = \begin{cases} a & a > 0 \\ s\,a & a \le 0 \end{cases}, \quad s = \text{negative\_slope}",
            derivative=r"\frac{do}{da} = \begin{cases} 1 & a > 0 \\ s & a \le 0 \end{cases}",
            kinks=lambda slope: (Kink(0.0, left=slope, right=1.0),) if slope != 1.0 else (),
            reference="Maas, Hannun, Ng: Rectifier Nonlinearities Improve Neural Network Acoustic Models, ICML 2013",
            note="The default is PyTorch's. Keras takes 0.2 in its function and 0.3 in its layer. "
            "A slope of its own for every unit is what others call PReLU.",
        ),
        Activation(
            name="elu",
            title="Exponential linear unit",
            parameters=(Parameter("alpha", 1.0, "-alpha is the value that negative units tend to", minimum=0.0),),
            value=_elu,
            jacobian=_elementwise(_elu_slope),
            elementwise=True,
            formula=r"o = \begin{cases} a & a > 0 \\ \alpha\,(e^{a} - 1) & a \le 0 \end{cases}",
            derivative=r"\frac{do}{da} = \begin{cases} 1 & a > 0 \\ \alpha\,e^{a} & a \le 0 \end{cases}",
            kinks=lambda alpha: (Kink(0.0, left=alpha, right=1.0),) if alpha != 1.0 else (),
            reference="Clevert, Unterthiner, Hochreiter: Fast and Accurate Deep Network Learning by Exponential "
            "Linear Units, ICLR 2016, arXiv:1511.07289",
        ),
        Activation(
            name="softplus",
            title="Softplus",
            parameters=(Parameter("beta", 1.0, "how sharp the bend is", exclusive_minimum=0.0),),
            value=softplus,
            jacobian=_elementwise(_softplus_slope),
            elementwise=True,
            formula=r"o = \frac{1}{\beta} \log\left(1 + e^{\beta a}\right)",
            derivative=r"\frac{do}{da} = \sigma(\beta a)",
            reference="Dugas, Bengio, Bélisle, Nadeau, Garcia: Incorporating Second-Order Functional Knowledge for "
            "Better Option Pricing, NIPS 13, 2001, pp. 472-478",
            note="PyTorch takes it as linear where beta · a > 20; here it is the formula everywhere.",
        ),
        Activation(
            name="gelu",
            title="Gaussian error linear unit",
            parameters=(
                Parameter("approximate", "none", "the exact function, or its tanh form", choices=("none", "tanh")),
            ),
            value=_gelu,
            jacobian=_elementwise(_gelu_slope),
            elementwise=True,
            formula=r"o = a\,\Phi(a) \quad\text{or}\quad "
            r"o = \frac{a}{2}\left(1 + \tanh\left(\sqrt{2/\pi}\,(a + 0.044715\,a^3)\right)\right)",
            derivative=r"\frac{do}{da} = \Phi(a) + a\,\Phi'(a), \quad \Phi'(a) = \frac{e^{-a^2/2}}{\sqrt{2\pi}}",
            reference="Hendrycks, Gimpel: Gaussian Error Linear Units, arXiv:1606.08415, 2016, p. 2",
        ),
        Activation(
            name="silu",
            aliases=("swish",),
            title="Sigmoid linear unit",
            value=_silu,
            jacobian=_elementwise(_silu_slope),
            elementwise=True,
            formula=r"o = a\,\sigma(a)",
            derivative=r"\frac{do}{da} = \sigma(a)\left(1 + a\,\sigma(-a)\right)",
            reference="Elfwing, Uchibe, Doya: Sigmoid-Weighted Linear Units for Neural Network Function "
            "Approximation in Reinforcement Learning, Neural Networks 107:3-11, 2018, arXiv:1702.03118",
        ),
        Activation(
            name="softmax",
            title="Softmax over the group",
            parameters=(Parameter("temperature", 1.0, "divides every a", exclusive_minimum=0.0),),
            value=softmax,
            jacobian=_softmax_jacobian,
            elementwise=False,
            formula=r"o_j = \frac{e^{a_j / T}}{\sum_k e^{a_k / T}}",
            derivative=r"\frac{do_j}{da_m} = \frac{o_j\,(\delta_{jm} - o_m)}{T}",
            reference="Bridle: Probabilistic Interpretation of Feedforward Classification Network Outputs, in "
            "Neurocomputing, Springer 1990, pp. 227-236",
        ),
        Activation(
            name="log_softmax",
            title="Logarithm of the softmax over the group",
            value=log_softmax,
            jacobian=_log_softmax_jacobian,
            elementwise=False,
            formula=r"o_j = a_j - \log \sum_k e^{a_k}",
            derivative=r"\frac{do_j}{da_m} = \delta_{jm} - e^{o_m}",
            reference="Blanchard, D. J. Higham, N. J. Higham: Accurately computing the log-sum-exp and softmax "
            "functions, IMA J. Numer. Anal. 41(4):2311-2330, 2021",
        ),
    ]
)
