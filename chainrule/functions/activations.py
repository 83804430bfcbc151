"""The table of activations: one row each, with names, functions, formulas, kinks and references.

    o = φ(a)        acts on a group of units: on each by itself (tanh), or on all of them together (softmax)

At a kink, the derivative is the one that PyTorch takes for the function of that name, always a valid subgradient.

A new activation is one row of `ACTIVATIONS`: contract, catalogue, messages and tests follow from the table. Its
functions are in `elementwise.py` or `simplex.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.functions import elementwise, simplex
from chainrule.functions.jacobian import Jacobian
from chainrule.functions.tables import (
    Array,
    Border,
    Elsewhere,
    Parameter,
    Rule,
    Table,
    Value,
    check_values,
    parameter_values,
    quietly,
    shown,
)


@dataclass(frozen=True)
class Kink:
    """A pre-activation at which φ has no derivative: the slopes on its two sides, and by how much φ jumps there."""

    at: float
    left: float
    right: float
    jump: float = 0.0


def _smooth(*_: Value) -> tuple[Kink, ...]:
    return ()


def _none_other(*_: object) -> Mapping[str, float]:
    return {}


@dataclass(frozen=True, eq=False)
class Activation:
    """One row. An activation of single units has `slope`, an activation of a whole group has `jacobian`.

    `value`, `slope` and `jacobian` take a, (s, j) for s samples and j units, then the parameters in their order.
    `both`, for activations whose value and derivative share an exponential, returns the value, the slope or Jacobian,
    equal to the last bit, and what the `both` of a stable pair reuses.
    `formula` and `derivative` are LaTeX in a, o and the parameters' symbols. The errors of value and derivative are at
    most `value_ulps` and `derivative_ulps` units in the last place, over the whole range of float64.
    """

    name: str
    title: str
    value: Callable[..., Array]
    formula: str
    derivative: str
    reference: str
    slope: Callable[..., Array] | None = None
    jacobian: Callable[..., Jacobian] | None = None
    both: Callable[..., tuple[Array, Any, Any]] | None = None
    parameters: tuple[Parameter, ...] = ()
    rule: Rule | None = None
    kinks: Callable[..., tuple[Kink, ...]] = _smooth
    border: Border | None = None  # where an activation of a whole group has kinks
    symbols: Callable[..., Mapping[str, float]] = _none_other  # that the formula defines by an equation, for one sample
    aliases: tuple[str, ...] = ()
    elsewhere: tuple[Elsewhere, ...] = ()
    note: str = ""
    value_ulps: int = 4
    derivative_ulps: int = 16

    @property
    def elementwise(self) -> bool:
        """Whether the output of every unit depends only on its own pre-activation."""
        return self.slope is not None


@dataclass(frozen=True)
class ActivationSpec:
    """An activation with its parameters fixed. Two units act together only if their specs are equal."""

    activation: Activation
    values: tuple[Value, ...] = ()
    group: str | None = None  # tells two softmax heads of one layer apart

    def __post_init__(self) -> None:
        if not isinstance(self.activation, Activation):
            raise ValueError(f"activation must be a row of ACTIVATIONS, not {shown(self.activation)}")
        if self.group is not None and not isinstance(self.group, str):
            raise ValueError(f"group must be a string or None, not {shown(self.group)}")
        check_values(self.activation, self.values)

    @quietly
    def value(self, a: Array) -> Array:
        """o = φ(a), (s, j). Infinite only beyond the range of float64."""
        return self.activation.value(a, *self.values)

    @quietly
    def jacobian(self, a: Array) -> Jacobian:
        """do/da of the units of a, (s, j), as one group."""
        row = self.activation
        if row.jacobian is not None:
            return row.jacobian(a, *self.values)
        assert row.slope is not None, f"{row.name} has no derivative"  # noqa: S101  a row has one of the two
        return Jacobian(row.slope(a, *self.values))

    def kinks(self) -> tuple[Kink, ...]:
        """Where φ of a single unit has no derivative, with these parameters."""
        return self.activation.kinks(*self.values)

    @quietly
    def distances(self, a: Array) -> list[tuple[Kink | Border, Array]]:
        """Every kink or border, with the signed distance of each unit from it, (s, j)."""
        kinks: list[tuple[Kink | Border, Array]] = [(kink, a - kink.at) for kink in self.kinks()]
        border = self.activation.border
        return kinks if border is None else [*kinks, (border, border.distance(a, *self.values))]

    def slope(self, at: float) -> float:
        """The derivative taken at one pre-activation, for an activation of single units."""
        return float(self.jacobian(np.array([[at]])).diagonal[0, 0])


def activation_spec(name: str, group: str | None = None, **parameters: Any) -> ActivationSpec:
    """The activation of that name or alias, defaults filled in. Raises ValueError."""
    activation = ACTIVATIONS.row("activation", name)
    return ActivationSpec(activation, parameter_values(activation, parameters), group)


def _hard_sigmoid_kinks(slope: float, offset: float) -> tuple[Kink, ...]:
    low, high = map(float, elementwise.hard_sigmoid_edges(slope, offset))
    return Kink(low, left=0.0, right=slope), Kink(high, left=slope, right=0.0)


def _shrink_kinks(threshold: float, jump: float) -> tuple[Kink, ...]:
    """The kinks of hard and soft shrinkage; none for the threshold 0, which makes both the identity."""
    below, above = Kink(-threshold, left=1.0, right=0.0, jump=jump), Kink(threshold, left=0.0, right=1.0, jump=jump)
    return (below, above) if threshold > 0.0 else ()


ACTIVATIONS: Table[Activation] = Table(
    [
        Activation(
            name="identity",
            aliases=("linear",),
            title="Identity",
            value=np.copy,
            slope=elementwise.slope_of_identity,
            formula="o = a",
            derivative=r"\frac{do}{da} = 1",
            reference="Bishop, Pattern Recognition and Machine Learning, Springer 2006, ch. 5, p. 234",
        ),
        Activation(
            name="sigmoid",
            aliases=("logistic",),
            title="Logistic sigmoid",
            value=elementwise.sigmoid,
            slope=elementwise.slope_of_sigmoid,
            both=elementwise.sigmoid_and_slope,
            formula=r"o = \sigma(a) = \frac{1}{1 + e^{-a}}",
            derivative=r"\frac{do}{da} = \sigma(a)\,\sigma(-a)",
            reference="Rumelhart, Hinton, Williams: Learning representations by back-propagating errors, Nature "
            "323:533-536, 1986",
        ),
        Activation(
            name="tanh",
            title="Hyperbolic tangent",
            value=np.tanh,
            slope=elementwise.slope_of_tanh,
            formula=r"o = \tanh(a)",
            derivative=r"\frac{do}{da} = \frac{1}{\cosh(a)^2}",
            reference="LeCun, Bottou, Orr, Müller: Efficient BackProp, in Neural Networks: Tricks of the Trade, "
            "Springer 1998, pp. 9-50",
        ),
        Activation(
            name="relu",
            title="Rectified linear unit",
            value=elementwise.relu,
            slope=elementwise.step,
            formula=r"o = \max(a, 0)",
            derivative=r"\frac{do}{da} = \begin{cases} 1 & a > 0 \\ 0 & a \le 0 \end{cases}",
            kinks=lambda: (Kink(0.0, left=0.0, right=1.0),),
            reference="Nair, Hinton: Rectified Linear Units Improve Restricted Boltzmann Machines, ICML 2010, pp. "
            "807-814",
        ),
        Activation(
            name="relu6",
            title="Rectified linear unit, up to 6",
            value=lambda a: elementwise.clip(a, 0.0, 6.0),
            slope=lambda a: elementwise.slope_of_clip(a, 0.0, 6.0),
            formula=r"o = \min(\max(a, 0), 6)",
            derivative=r"\frac{do}{da} = \begin{cases} 1 & 0 < a < 6 \\ 0 & \text{otherwise} \end{cases}",
            kinks=lambda: (Kink(0.0, left=0.0, right=1.0), Kink(6.0, left=1.0, right=0.0)),
            reference="PyTorch documentation, torch.nn.ReLU6; cited there and elsewhere after Krizhevsky, Hinton: "
            "Convolutional Deep Belief Networks on CIFAR-10, 2010",
        ),
        Activation(
            name="leaky_relu",
            title="Leaky rectified linear unit",
            parameters=(Parameter("negative_slope", 0.01, "the slope for a ≤ 0", "s"),),
            value=elementwise.leaky_relu,
            slope=elementwise.slope_of_leaky_relu,
            formula=r"o = \begin{cases} a & a > 0 \\ s\,a & a \le 0 \end{cases}",
            derivative=r"\frac{do}{da} = \begin{cases} 1 & a > 0 \\ s & a \le 0 \end{cases}",
            kinks=lambda slope: (Kink(0.0, left=slope, right=1.0),) if slope != 1.0 else (),
            reference="Maas, Hannun, Ng: Rectifier Nonlinearities Improve Neural Network Acoustic Models, ICML 2013",
            elsewhere=(
                Elsewhere("Keras", "keras.activations.leaky_relu", "negative_slope", 0.2),
                Elsewhere("Keras", "keras.layers.LeakyReLU", "negative_slope", 0.3),
            ),
            note="With a separate slope for each unit, other libraries call it PReLU.",
        ),
        Activation(
            name="elu",
            title="Exponential linear unit",
            parameters=(
                Parameter("alpha", 1.0, "-alpha is the value that negative units tend to", r"\alpha", minimum=0.0),
            ),
            value=elementwise.elu,
            slope=elementwise.slope_of_elu,
            formula=r"o = \begin{cases} a & a > 0 \\ \alpha\,(e^{a} - 1) & a \le 0 \end{cases}",
            derivative=r"\frac{do}{da} = \begin{cases} 1 & a > 0 \\ \alpha\,e^{a} & a \le 0 \end{cases}",
            kinks=lambda alpha: (Kink(0.0, left=alpha, right=1.0),) if alpha != 1.0 else (),
            reference="Clevert, Unterthiner, Hochreiter: Fast and Accurate Deep Network Learning by Exponential "
            "Linear Units, ICLR 2016, arXiv:1511.07289",
        ),
        Activation(
            name="celu",
            title="Continuously differentiable exponential linear unit",
            parameters=(
                Parameter(
                    "alpha", 1.0, "-alpha is the value that negative units tend to", r"\alpha", exclusive_minimum=0.0
                ),
            ),
            value=elementwise.celu,
            slope=elementwise.slope_of_celu,
            formula=r"o = \begin{cases} a & a > 0 \\ \alpha\,(e^{a / \alpha} - 1) & a \le 0 \end{cases}",
            derivative=r"\frac{do}{da} = \begin{cases} 1 & a > 0 \\ e^{a / \alpha} & a \le 0 \end{cases}",
            reference="Barron: Continuously Differentiable Exponential Linear Units, arXiv:1704.07483, 2017",
            note="Unlike elu it has no kink, whatever alpha is.",
        ),
        Activation(
            name="selu",
            title="Scaled exponential linear unit",
            value=elementwise.selu,
            slope=elementwise.slope_of_selu,
            formula=r"o = \lambda \begin{cases} a & a > 0 \\ \alpha\,(e^{a} - 1) & a \le 0 \end{cases}, \quad "
            r"\alpha = 1.6732632423543772, \quad \lambda = 1.0507009873554805",
            derivative=r"\frac{do}{da} = \lambda \begin{cases} 1 & a > 0 \\ \alpha\,e^{a} & a \le 0 \end{cases}, "
            r"\quad \alpha = 1.6732632423543772, \quad \lambda = 1.0507009873554805",
            kinks=lambda: (Kink(0.0, left=1.7580993408473768, right=1.0507009873554805),),
            reference="Klambauer, Unterthiner, Mayr, Hochreiter: Self-Normalizing Neural Networks, NIPS 30, 2017, "
            "arXiv:1706.02515",
            elsewhere=(
                Elsewhere("ONNX", "Selu", "alpha", 1.6732631921768188),
                Elsewhere("ONNX", "Selu", "gamma", 1.0507010221481323),
            ),
        ),
        Activation(
            name="gelu",
            title="Gaussian error linear unit",
            parameters=(
                Parameter("approximate", "none", "the exact function, or its tanh form", choices=("none", "tanh")),
            ),
            value=lambda a, approximate: elementwise.gelu(a) if approximate == "none" else elementwise.gelu_by_tanh(a),
            slope=lambda a, approximate: (
                elementwise.slope_of_gelu(a) if approximate == "none" else elementwise.slope_of_gelu_by_tanh(a)
            ),
            formula=r"o = a\,\Phi(a) \quad\text{or}\quad o = \frac{a}{2} \left(1 + \tanh\left(\sqrt{2 / \pi}\,(a + "
            r"0.044715\,a^3)\right)\right)",
            derivative=r"\frac{do}{da} = \Phi(a) + \frac{a\,e^{-a^2 / 2}}{\sqrt{2 \pi}} \quad\text{or}\quad "
            r"\frac{do}{da} = \sigma(v)\left(1 + 2 \sqrt{2 / \pi}\,a\,(1 + 0.134145\,a^2)\,\sigma(-v)\right), \quad "
            r"v = 2 \sqrt{2 / \pi}\,(a + 0.044715\,a^3)",
            reference="Hendrycks, Gimpel: Gaussian Error Linear Units, arXiv:1606.08415, 2016, p. 2",
            elsewhere=(
                Elsewhere("JAX", "jax.nn.gelu", "approximate", True),
                Elsewhere("Keras", "keras.ops.gelu", "approximate", True),
            ),
            note="The constants of the tanh form are exactly the decimal numbers of the formula.",
        ),
        Activation(
            name="quick_gelu",
            title="Gaussian error linear unit, by a sigmoid",
            value=elementwise.quick_gelu,
            slope=elementwise.slope_of_quick_gelu,
            formula=r"o = a\,\sigma(1.702\,a)",
            derivative=r"\frac{do}{da} = \sigma(v)\left(1 + v\,\sigma(-v)\right), \quad v = 1.702\,a",
            reference="Hendrycks, Gimpel: Gaussian Error Linear Units, arXiv:1606.08415, 2016, p. 2; the name: "
            "CLIP source, clip/model.py, QuickGELU",
            note="1.702 is exactly this decimal number, not the float64 nearest to it.",
        ),
        Activation(
            name="silu",
            aliases=("swish",),
            title="Sigmoid linear unit",
            value=elementwise.silu,
            slope=elementwise.slope_of_silu,
            formula=r"o = a\,\sigma(a)",
            derivative=r"\frac{do}{da} = \sigma(a)\left(1 + a\,\sigma(-a)\right)",
            reference="Elfwing, Uchibe, Doya: Sigmoid-Weighted Linear Units for Neural Network Function "
            "Approximation in Reinforcement Learning, Neural Networks 107:3-11, 2018, arXiv:1702.03118",
        ),
        Activation(
            name="mish",
            title="Mish",
            value=elementwise.mish,
            slope=elementwise.slope_of_mish,
            formula=r"o = a \tanh\left(\log(1 + e^{a})\right)",
            derivative=r"\frac{do}{da} = \tanh(p) + \frac{a\,\sigma(a)}{\cosh(p)^2}, \quad p = \log(1 + e^{a})",
            reference="Misra: Mish: A Self Regularized Non-Monotonic Activation Function, BMVC 2020, arXiv:1908.08681",
        ),
        Activation(
            name="hard_silu",
            aliases=("hard_swish",),
            title="Hard sigmoid linear unit",
            value=elementwise.hard_silu,
            slope=elementwise.slope_of_hard_silu,
            formula=r"o = \frac{a}{6} \min(\max(a + 3, 0), 6)",
            derivative=r"\frac{do}{da} = \begin{cases} 0 & a \le -3 \\ 1 & a \ge 3 \\ \frac{2 a + 3}{6} & "
            r"\text{otherwise} \end{cases}",
            kinks=lambda: (Kink(-3.0, left=0.0, right=-0.5), Kink(3.0, left=1.5, right=1.0)),
            reference="Howard, Sandler, Chu et al.: Searching for MobileNetV3, ICCV 2019, pp. 1314-1324, "
            "arXiv:1905.02244",
        ),
        Activation(
            name="softplus",
            title="Softplus",
            parameters=(Parameter("beta", 1.0, "how sharp the bend is", r"\beta", exclusive_minimum=0.0),),
            value=elementwise.softplus,
            slope=elementwise.slope_of_softplus,
            formula=r"o = \frac{1}{\beta} \log\left(1 + e^{\beta a}\right)",
            derivative=r"\frac{do}{da} = \sigma(\beta a)",
            reference="Dugas, Bengio, Bélisle, Nadeau, Garcia: Incorporating Second-Order Functional Knowledge for "
            "Better Option Pricing, NIPS 13, 2001, pp. 472-478",
            elsewhere=(Elsewhere("PyTorch", "torch.nn.Softplus", "threshold", 20.0),),
            note="PyTorch replaces it by a where beta · a > 20; here the formula holds everywhere.",
        ),
        Activation(
            name="log_sigmoid",
            title="Logarithm of the sigmoid",
            value=elementwise.log_sigmoid,
            slope=elementwise.slope_of_log_sigmoid,
            formula=r"o = -\log(1 + e^{-a})",
            derivative=r"\frac{do}{da} = \sigma(-a)",
            reference="PyTorch documentation, torch.nn.LogSigmoid",
        ),
        Activation(
            name="squareplus",
            title="Squareplus",
            parameters=(Parameter("b", 4.0, "how wide the bend is", "b", exclusive_minimum=0.0),),
            value=elementwise.squareplus,
            slope=elementwise.slope_of_squareplus,
            formula=r"o = \frac{a + \sqrt{a^2 + b}}{2}",
            derivative=r"\frac{do}{da} = \frac{1}{2} \left(1 + \frac{a}{\sqrt{a^2 + b}}\right)",
            reference="Barron: Squareplus: A Softplus-Like Algebraic Rectifier, arXiv:2112.11687, 2021",
        ),
        Activation(
            name="sparse_plus",
            title="Sparseplus",
            value=elementwise.sparse_plus,
            slope=elementwise.sparse_sigmoid,
            formula=r"o = \begin{cases} 0 & a \le -1 \\ \frac{(a + 1)^2}{4} & -1 < a < 1 \\ a & a \ge 1 \end{cases}",
            derivative=r"\frac{do}{da} = \min\left(\max\left(\frac{a + 1}{2}, 0\right), 1\right)",
            reference="JAX source, jax/_src/nn/functions.py, sparse_plus",
        ),
        Activation(
            name="sparse_sigmoid",
            title="Sparse sigmoid",
            value=elementwise.sparse_sigmoid,
            slope=elementwise.slope_of_sparse_sigmoid,
            formula=r"o = \min\left(\max\left(\frac{a + 1}{2}, 0\right), 1\right)",
            derivative=r"\frac{do}{da} = \begin{cases} \frac{1}{2} & -1 < a < 1 \\ 0 & \text{otherwise} \end{cases}",
            kinks=lambda: (Kink(-1.0, left=0.0, right=0.5), Kink(1.0, left=0.5, right=0.0)),
            reference="Blondel, Martins, Niculae: Learning with Fenchel-Young Losses, JMLR 21(35):1-69, 2020, "
            "arXiv:1901.02324",
        ),
        Activation(
            name="hard_sigmoid",
            title="Hard sigmoid",
            parameters=(
                Parameter("slope", 1 / 6, "the slope between the edges", r"\kappa", minimum=1e-300),
                Parameter("offset", 0.5, "the value at 0", r"\beta"),
            ),
            value=elementwise.hard_sigmoid,
            slope=elementwise.slope_of_hard_sigmoid,
            formula=r"o = \min(\max(\kappa a + \beta, 0), 1)",
            derivative=r"\frac{do}{da} = \begin{cases} \kappa & -\beta / \kappa < a < (1 - \beta) / \kappa \\ 0 & "
            r"\text{otherwise} \end{cases}",
            kinks=_hard_sigmoid_kinks,
            reference="PyTorch documentation, torch.nn.Hardsigmoid",
            elsewhere=(Elsewhere("ONNX", "HardSigmoid", "alpha", 0.2),),
            note="The edges -offset/slope and (1 - offset)/slope are rounded to float64, which makes them exactly "
            "-3 and 3 by default, and the value is slope · (a - the lower edge).",
        ),
        Activation(
            name="hard_tanh",
            title="Hard hyperbolic tangent",
            parameters=(
                Parameter("min_value", -1.0, "the least value", "l"),
                Parameter("max_value", 1.0, "the largest value", "h"),
            ),
            rule=Rule("max_value", "greater than min_value, which is {0:g}", lambda low, high: low < high),
            value=elementwise.clip,
            slope=elementwise.slope_of_clip,
            formula=r"o = \min(\max(a, l), h)",
            derivative=r"\frac{do}{da} = \begin{cases} 1 & l < a < h \\ 0 & \text{otherwise} \end{cases}",
            kinks=lambda low, high: (Kink(low, left=0.0, right=1.0), Kink(high, left=1.0, right=0.0)),
            reference="PyTorch documentation, torch.nn.Hardtanh",
        ),
        Activation(
            name="hard_shrink",
            title="Hard shrinkage",
            parameters=(
                Parameter("lambda", 0.5, "up to this distance from 0 the value is 0", r"\lambda", minimum=0.0),
            ),
            value=elementwise.hard_shrink,
            slope=elementwise.slope_of_shrink,
            formula=r"o = \begin{cases} a & |a| > \lambda \\ 0 & |a| \le \lambda \end{cases}",
            derivative=r"\frac{do}{da} = \begin{cases} 1 & |a| > \lambda \text{ or } \lambda = 0 \\ "
            r"0 & \text{otherwise} \end{cases}",
            kinks=lambda threshold: _shrink_kinks(threshold, jump=threshold),
            reference="Donoho, Johnstone: Ideal Spatial Adaptation by Wavelet Shrinkage, Biometrika 81(3):425-455, "
            "1994; the default: PyTorch documentation, torch.nn.Hardshrink",
            note="With lambda = 0 it is the identity, at 0 too, where PyTorch has the derivative 0.",
        ),
        Activation(
            name="soft_shrink",
            title="Soft shrinkage",
            parameters=(Parameter("lambda", 0.5, "by how much values shrink towards 0", r"\lambda", minimum=0.0),),
            value=elementwise.soft_shrink,
            slope=elementwise.slope_of_shrink,
            formula=r"o = \begin{cases} a - \lambda & a > \lambda \\ a + \lambda & a < -\lambda \\ 0 & |a| \le "
            r"\lambda \end{cases}",
            derivative=r"\frac{do}{da} = \begin{cases} 1 & |a| > \lambda \text{ or } \lambda = 0 \\ "
            r"0 & \text{otherwise} \end{cases}",
            kinks=lambda threshold: _shrink_kinks(threshold, jump=0.0),
            reference="Donoho, Johnstone: Ideal Spatial Adaptation by Wavelet Shrinkage, Biometrika 81(3):425-455, "
            "1994; the default: PyTorch documentation, torch.nn.Softshrink",
            elsewhere=(Elsewhere("ONNX", "Shrink", "bias", 0.0),),
            note="With lambda = 0 it is the identity, at 0 too, where PyTorch has the derivative 0.",
        ),
        Activation(
            name="tanh_shrink",
            title="Hyperbolic tangent shrinkage",
            value=elementwise.tanh_shrink,
            slope=elementwise.slope_of_tanh_shrink,
            formula=r"o = a - \tanh(a)",
            derivative=r"\frac{do}{da} = \tanh(a)^2",
            reference="PyTorch documentation, torch.nn.Tanhshrink",
        ),
        Activation(
            name="threshold",
            title="Threshold",
            parameters=(
                Parameter("threshold", 0.0, "up to here the value is fixed", r"\theta"),
                Parameter("value", 0.0, "the fixed value", "v"),
            ),
            value=elementwise.thresholded,
            slope=elementwise.slope_of_thresholded,
            formula=r"o = \begin{cases} a & a > \theta \\ v & a \le \theta \end{cases}",
            derivative=r"\frac{do}{da} = \begin{cases} 1 & a > \theta \\ 0 & a \le \theta \end{cases}",
            kinks=lambda threshold, value: (Kink(threshold, left=0.0, right=1.0, jump=threshold - value),),
            reference="PyTorch documentation, torch.nn.Threshold",
        ),
        Activation(
            name="thresholded_relu",
            title="Thresholded rectified linear unit",
            parameters=(Parameter("theta", 1.0, "up to here the value is 0", r"\theta", minimum=0.0),),
            value=lambda a, theta: elementwise.thresholded(a, theta, 0.0),
            slope=lambda a, theta: elementwise.slope_of_thresholded(a, theta, 0.0),
            formula=r"o = \begin{cases} a & a > \theta \\ 0 & a \le \theta \end{cases}",
            derivative=r"\frac{do}{da} = \begin{cases} 1 & a > \theta \\ 0 & a \le \theta \end{cases}",
            kinks=lambda theta: (Kink(theta, left=0.0, right=1.0, jump=theta),),
            reference="Konda, Memisevic, Krueger: Zero-Bias Autoencoders and the Benefits of Co-Adapting Features, "
            "ICLR 2015, arXiv:1402.3337",
        ),
        Activation(
            name="step",
            title="Step",
            value=elementwise.step,
            slope=elementwise.slope_of_step,
            formula=r"o = \begin{cases} 1 & a > 0 \\ 0 & a \le 0 \end{cases}",
            derivative=r"\frac{do}{da} = 0",
            kinks=lambda: (Kink(0.0, left=0.0, right=0.0, jump=1.0),),
            reference="McCulloch, Pitts: A Logical Calculus of the Ideas Immanent in Nervous Activity, Bull. Math. "
            "Biophysics 5(4):115-133, 1943",
            note="The layers below a step do not learn: its derivative is 0, and undefined at 0.",
        ),
        Activation(
            name="softsign",
            title="Softsign",
            value=elementwise.softsign,
            slope=elementwise.slope_of_softsign,
            formula=r"o = \frac{a}{1 + |a|}",
            derivative=r"\frac{do}{da} = \frac{1}{(1 + |a|)^2}",
            reference="Bergstra et al.: Quadratic Polynomials Learn Better Image Features, Technical Report 1337, "
            "2009; formula: Keras documentation, keras.activations.softsign",
        ),
        Activation(
            name="arctan",
            title="Arc tangent",
            value=np.arctan,
            slope=elementwise.slope_of_arctan,
            formula=r"o = \arctan(a)",
            derivative=r"\frac{do}{da} = \frac{1}{1 + a^2}",
            reference="ONNX operator specification, Atan-22",
        ),
        Activation(
            name="scaled_tanh",
            title="Scaled hyperbolic tangent",
            parameters=(
                Parameter("amplitude", 1.7159, "the value that units tend to", "A"),
                Parameter("slope", 2 / 3, "what a is multiplied by", r"\kappa"),
            ),
            value=elementwise.scaled_tanh,
            slope=elementwise.slope_of_scaled_tanh,
            formula=r"o = A \tanh(\kappa a)",
            derivative=r"\frac{do}{da} = \frac{A \kappa}{\cosh(\kappa a)^2}",
            reference="LeCun, Bottou, Orr, Müller: Efficient BackProp, in Neural Networks: Tricks of the Trade, "
            "Springer 1998, pp. 9-50",
            note="With these constants φ(1) is about 1 and φ(-1) about -1.",
        ),
        Activation(
            name="sin",
            title="Sine",
            value=np.sin,
            slope=elementwise.slope_of_sin,
            formula=r"o = \sin(a)",
            derivative=r"\frac{do}{da} = \cos(a)",
            reference="Sitzmann, Martel, Bergman, Lindell, Wetzstein: Implicit Neural Representations with "
            "Periodic Activation Functions, NeurIPS 2020, arXiv:2006.09661",
        ),
        Activation(
            name="cos",
            title="Cosine",
            value=np.cos,
            slope=elementwise.slope_of_cos,
            formula=r"o = \cos(a)",
            derivative=r"\frac{do}{da} = -\sin(a)",
            reference="ONNX operator specification, Cos-22",
        ),
        Activation(
            name="gaussian",
            title="Gaussian bell",
            value=elementwise.gaussian,
            slope=elementwise.slope_of_gaussian,
            formula="o = e^{-a^2}",
            derivative=r"\frac{do}{da} = -2 a\,e^{-a^2}",
            reference="Broomhead, Lowe: Multivariable Functional Interpolation and Adaptive Networks, Complex "
            "Systems 2:321-355, 1988",
        ),
        Activation(
            name="exponential",
            aliases=("exp",),
            title="Exponential",
            value=np.exp,
            slope=elementwise.slope_of_exponential,
            formula="o = e^{a}",
            derivative=r"\frac{do}{da} = e^{a}",
            reference="Keras source, keras/src/activations/activations.py, exponential",
            note="Beyond a = 709.78 it is beyond float64, and the request is refused.",
        ),
        Activation(
            name="square",
            title="Square",
            value=elementwise.square,
            slope=elementwise.slope_of_square,
            formula="o = a^2",
            derivative=r"\frac{do}{da} = 2 a",
            reference="Gilad-Bachrach, Dowlin, Laine, Lauter, Naehrig, Wernsing: CryptoNets: Applying Neural "
            "Networks to Encrypted Data with High Throughput and Accuracy, ICML 2016, pp. 201-210",
        ),
        Activation(
            name="absolute",
            title="Absolute value",
            value=np.abs,
            slope=elementwise.slope_of_absolute,
            formula="o = |a|",
            derivative=r"\frac{do}{da} = \begin{cases} 1 & a > 0 \\ 0 & a = 0 \\ -1 & a < 0 \end{cases}",
            kinks=lambda: (Kink(0.0, left=-1.0, right=1.0),),
            reference="Jarrett, Kavukcuoglu, Ranzato, LeCun: What is the Best Multi-Stage Architecture for Object "
            "Recognition?, ICCV 2009, pp. 2146-2153",
        ),
        Activation(
            name="softmax",
            title="Softmax over the group",
            parameters=(Parameter("temperature", 1.0, "divides every a", "T", exclusive_minimum=0.0),),
            value=simplex.softmax,
            jacobian=simplex.jacobian_of_softmax,
            both=simplex.softmax_and_jacobian,
            formula=r"o_j = \frac{e^{a_j / T}}{\sum_k e^{a_k / T}}",
            derivative=r"\frac{do_j}{da_m} = \frac{o_j\,(\delta_{jm} - o_m)}{T}",
            reference="Bridle: Probabilistic Interpretation of Feedforward Classification Network Outputs, in "
            "Neurocomputing, Springer 1990, pp. 227-236",
        ),
        Activation(
            name="log_softmax",
            title="Logarithm of the softmax over the group",
            value=simplex.log_softmax,
            jacobian=simplex.jacobian_of_log_softmax,
            formula=r"o_j = a_j - \log\left(\sum_k e^{a_k}\right)",
            derivative=r"\frac{do_j}{da_m} = \delta_{jm} - e^{o_m}",
            reference="Blanchard, D. J. Higham, N. J. Higham: Accurately computing the log-sum-exp and softmax "
            "functions, IMA J. Numer. Anal. 41(4):2311-2330, 2021",
        ),
        Activation(
            name="softmin",
            title="Softmin over the group",
            value=simplex.softmin,
            jacobian=simplex.jacobian_of_softmin,
            formula=r"o_j = \frac{e^{-a_j}}{\sum_k e^{-a_k}}",
            derivative=r"\frac{do_j}{da_m} = -o_j\,(\delta_{jm} - o_m)",
            reference="PyTorch documentation, torch.nn.Softmin",
        ),
        Activation(
            name="sparsemax",
            title="Sparsemax over the group",
            value=simplex.sparsemax,
            jacobian=simplex.jacobian_of_sparsemax,
            formula=r"o_j = \max(a_j - \tau, 0), \quad \sum_k o_k = 1",
            derivative=r"\frac{do_j}{da_m} = \begin{cases} \delta_{jm} - \frac{1}{K} & o_j > 0 \text{ and } o_m > 0 "
            r"\\ 0 & \text{otherwise} \end{cases}, \quad K \text{ units have } o_k > 0",
            border=Border(
                simplex.margin_of_sparsemax,
                where=r"a_j = \tau",
                below="0",
                above=r"\delta_{jm} - \frac{1}{K} \text{ where } o_m > 0",
                taken="0",
            ),
            symbols=lambda a: {r"\tau": simplex.threshold_of_sparsemax(a)},
            reference="Martins, Astudillo: From Softmax to Sparsemax: A Sparse Model of Attention and Multi-Label "
            "Classification, ICML 2016, pp. 1614-1623, arXiv:1602.02068",
        ),
    ]
)
