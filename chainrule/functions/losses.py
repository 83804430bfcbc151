"""The table of losses: one row each, with names, functions, formulas, target ranges, kinks and references.

    E = Σ ℓ(o, t) / divisor        the reduction sets the divisor: 1, the number of samples, or of terms ℓ

A new loss is one row of `LOSSES`. Its functions are in `loss_functions.py`, and its closed forms with activations in
`stable_pairs.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from chainrule.functions import loss_functions as ell
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

Reduction = Literal["sum", "mean", "batch_mean"]
REDUCTIONS: tuple[Reduction, ...] = ("sum", "mean", "batch_mean")


@dataclass(frozen=True, eq=False)
class Loss:
    """One row.

    `value` and `derivative` take o, (s, j) for s samples and j outputs, and t, as `dense_targets` makes them, then the
    parameters in their order. `value` gives the losses of all outputs, (s, j); those of one sample add up to its loss.
    `formula` and `derivative_formula` are LaTeX in o, t, r = o - t and the parameters' symbols. The errors of value
    and derivative are at most `value_ulps` and `derivative_ulps` units in the last place, of the largest term if
    terms cancel.
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
    outputs_per_target: int = 1
    target_range: tuple[float, float] | None = None  # for targets outside it, there is a warning
    target_values: tuple[float, ...] = ()  # the only targets that are accepted; empty if there is no restriction
    borders: tuple[Border, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    rule: Rule | None = None
    aliases: Mapping[str, Reduction] = field(default_factory=dict)  # with the reduction that the name implies
    elsewhere: tuple[Elsewhere, ...] = ()
    note: str = ""
    value_ulps: int = 4
    derivative_ulps: int = 16


@dataclass(frozen=True)
class LossSpec:
    """A loss with its parameters and its reduction fixed."""

    loss: Loss
    values: tuple[Value, ...] = ()
    reduction: Reduction = "sum"

    def __post_init__(self) -> None:
        if not isinstance(self.loss, Loss):
            raise ValueError(f"loss must be a row of LOSSES, not {shown(self.loss)}; loss_spec takes names")
        if self.reduction not in REDUCTIONS:
            raise ValueError(f"reduction must be one of {', '.join(REDUCTIONS)}, not {shown(self.reduction)}")
        check_values(self.loss, self.values)

    @quietly
    def value(self, o: Array, t: Array) -> Array:
        """The losses ℓ(o, t) of all outputs, (s, j); (s, 1) if a sample's loss has no parts."""
        return self.loss.value(o, t, *self.values)

    @quietly
    def derivative(self, o: Array, t: Array) -> Array:
        """dℓ/do, (s, j)."""
        return self.loss.derivative(o, t, *self.values)

    @quietly
    def distances(self, o: Array, t: Array) -> list[Array]:
        """The signed distance of each output from each border of the loss, (s, j)."""
        return [border.distance(o, t, *self.values) for border in self.loss.borders]

    def dense_targets(self, targets: Array, outputs: int) -> Array:
        """Targets as the loss takes them, (s, j): smoothed labels, or one-hot rows made from class indices, (s,).

        The row of an ignored class is all 0, so it adds nothing to the loss or to any derivative.
        """
        if self.loss.class_indices:
            rows = np.equal(targets[:, None], np.arange(outputs)).astype(np.float64)
            return np.where(self.ignored(targets)[:, None], 0.0, rows)
        smoothing = self.parameter("label_smoothing")
        return _smoothed(targets, smoothing) if isinstance(smoothing, int | float) else targets

    def ignored(self, targets: Array) -> NDArray[np.bool_]:
        """A mask of the samples, (s,), that do not count because their class index is `ignore_index`."""
        ignore_index = self.parameter("ignore_index")
        return np.zeros(targets.shape, bool) if ignore_index is None else np.equal(targets, ignore_index)

    def parameter(self, name: str) -> Value:
        """The value of a parameter; None if the loss does not have it."""
        names = [parameter.name for parameter in self.loss.parameters]
        return self.values[names.index(name)] if name in names else None

    def divisor(self, t: Array, samples: int | None = None) -> int:
        """What the reduction divides the sum of the losses by, for dense targets t, (r, j).

        The rows are the samples, unless these have several positions each.
        """
        if self.reduction == "sum":
            return 1
        if self.reduction == "batch_mean":
            return len(t) if samples is None else samples
        if self.loss.per == "element":
            return t.size
        return int(t.any(axis=1).sum()) if self.loss.class_indices else len(t)  # a row of 0 is an ignored sample


def _smoothed(t: Array, smoothing: float) -> Array:
    """(1 - smoothing)·t + smoothing / j."""
    return (1.0 - smoothing) * t + smoothing / t.shape[1] if smoothing else t


def loss_spec(name: str, reduction: Reduction | None = None, **parameters: Any) -> LossSpec:
    """The loss of that name or alias, defaults filled in. A given reduction overrides the one that an alias implies.

    Raises ValueError.
    """
    loss = LOSSES.row("loss", name)
    implied = loss.aliases.get(name, "sum")
    return LossSpec(loss, parameter_values(loss, parameters), implied if reduction is None else reduction)


def _on_target(below: str, above: str) -> Border:
    """The border o = t of a loss that has another slope below t than above it."""
    return Border(lambda o, t, *_: o - t, where="o = t", below=below, above=above, taken="0")


_IGNORED = Parameter(
    "ignore_index", None, "samples of this class do not count", minimum=-1e15, maximum=1e15, whole=True
)
_SMOOTHING = Parameter(
    "label_smoothing", 0.0, "how much of every target is spread over all outputs", r"\epsilon", minimum=0.0, maximum=1.0
)
_WEIGHT = Parameter("alpha", 0.25, "the weight of the target classes", r"\alpha", minimum=0.0)
_FOCUS = Parameter("gamma", 2.0, "how strongly outputs that are nearly right are discounted", r"\gamma", minimum=0.0)
_SMOOTHED = r", \quad u_j = (1 - \epsilon)\,t_j + \frac{\epsilon}{n}"

LOSSES: Table[Loss] = Table(
    [
        Loss(
            name="half_squared_error",
            title="Half the squared error",
            value=ell.half_squared_error,
            derivative=ell.residual,
            formula=r"\ell = \frac{1}{2}\,(o - t)^2",
            derivative_formula=r"\frac{d\ell}{do} = o - t",
            reference="Bishop, Pattern Recognition and Machine Learning, Springer 2006, ch. 5, p. 234, eq. 5.18",
        ),
        Loss(
            name="squared_error",
            aliases={"mse": "mean", "sse": "sum"},
            title="Squared error",
            value=ell.squared_error,
            derivative=ell.slope_of_squared_error,
            formula=r"\ell = (o - t)^2",
            derivative_formula=r"\frac{d\ell}{do} = 2\,(o - t)",
            reference="PyTorch documentation, torch.nn.MSELoss",
            note="Keras and PyTorch average over samples and outputs by default. Textbooks use half the sum.",
        ),
        Loss(
            name="absolute_error",
            aliases={"mae": "mean"},
            title="Absolute error",
            value=ell.absolute_error,
            derivative=ell.slope_of_absolute_error,
            borders=(_on_target(below="-1", above="1"),),
            formula=r"\ell = |o - t|",
            derivative_formula=r"\frac{d\ell}{do} = \begin{cases} 1 & o > t \\ 0 & o = t \\ -1 & o < t \end{cases}",
            reference="PyTorch documentation, torch.nn.L1Loss",
        ),
        Loss(
            name="huber",
            title="Huber's loss",
            parameters=(
                Parameter("delta", 1.0, "up to this residual the loss is quadratic", r"\delta", exclusive_minimum=0.0),
            ),
            value=ell.huber,
            derivative=ell.slope_of_huber,
            formula=r"\ell = \begin{cases} \frac{1}{2} r^2 & |r| \le \delta \\ \delta\,(|r| - \frac{1}{2} \delta) & "
            r"|r| > \delta \end{cases}, \quad r = o - t",
            derivative_formula=r"\frac{d\ell}{do} = \max(-\delta, \min(\delta, o - t))",
            reference="Huber: Robust Estimation of a Location Parameter, Ann. Math. Statist. 35(1):73-101, 1964",
        ),
        Loss(
            name="smooth_l1",
            title="Smooth absolute error",
            parameters=(
                Parameter("beta", 1.0, "up to this residual the loss is quadratic", r"\beta", exclusive_minimum=0.0),
            ),
            value=ell.smooth_l1,
            derivative=ell.slope_of_smooth_l1,
            formula=r"\ell = \begin{cases} \frac{r^2}{2 \beta} & |r| < \beta \\ |r| - \frac{1}{2} \beta & |r| \ge "
            r"\beta \end{cases}, \quad r = o - t",
            derivative_formula=r"\frac{d\ell}{do} = \max\left(-1, \min\left(1, \frac{o - t}{\beta}\right)\right)",
            reference="Girshick: Fast R-CNN, ICCV 2015, pp. 1440-1448, arXiv:1504.08083; beta: PyTorch "
            "documentation, torch.nn.SmoothL1Loss",
            note="Huber's loss with delta = beta, divided by beta.",
        ),
        Loss(
            name="log_cosh",
            title="Logarithm of the hyperbolic cosine",
            value=ell.log_cosh,
            derivative=ell.slope_of_log_cosh,
            formula=r"\ell = \log(\cosh(o - t))",
            derivative_formula=r"\frac{d\ell}{do} = \tanh(o - t)",
            reference="Saleh, Saleh: Statistical Properties of the log-cosh Loss Function Used in Machine "
            "Learning, arXiv:2208.04564, 2022",
        ),
        Loss(
            name="quantile",
            aliases={"pinball": "sum"},
            title="Quantile loss",
            parameters=(
                Parameter(
                    "tau",
                    0.5,
                    "the quantile: the share of targets to be below the output",
                    r"\tau",
                    minimum=0.0,
                    maximum=1.0,
                ),
            ),
            value=ell.quantile,
            derivative=ell.slope_of_quantile,
            borders=(_on_target(below=r"-\tau", above=r"1 - \tau"),),
            formula=r"\ell = \max(\tau\,(t - o), (\tau - 1)\,(t - o))",
            derivative_formula=r"\frac{d\ell}{do} = \begin{cases} -\tau & o < t \\ 0 & o = t \\ 1 - \tau & o > t "
            r"\end{cases}",
            reference="Koenker, Bassett: Regression Quantiles, Econometrica 46(1):33-50, 1978",
        ),
        Loss(
            name="percentage_error",
            aliases={"mape": "mean"},
            title="Absolute percentage error",
            parameters=(
                Parameter(
                    "epsilon", 1e-7, "the smallest absolute target to divide by", r"\epsilon", exclusive_minimum=0.0
                ),
            ),
            value=ell.percentage_error,
            derivative=ell.slope_of_percentage_error,
            borders=(
                _on_target(
                    below=r"-\frac{100}{\max(|t|, \epsilon)}",
                    above=r"\frac{100}{\max(|t|, \epsilon)}",
                ),
            ),
            formula=r"\ell = \frac{100\,|o - t|}{\max(|t|, \epsilon)}",
            derivative_formula=r"\frac{d\ell}{do} = \begin{cases} -\frac{100}{\max(|t|, \epsilon)} & o < t \\ 0 & o "
            r"= t \\ \frac{100}{\max(|t|, \epsilon)} & o > t \end{cases}",
            reference="de Myttenaere, Golden, Le Grand, Rossi: Mean Absolute Percentage Error for Regression "
            "Models, Neurocomputing 192:38-48, 2016; epsilon: Keras source, losses.py",
            note="In percent, as in Keras; other libraries give the fraction.",
        ),
        Loss(
            name="squared_log_error",
            aliases={"msle": "mean"},
            title="Squared error of logarithms",
            value=ell.squared_log_error,
            derivative=ell.slope_of_squared_log_error,
            formula=r"\ell = \left(\log(1 + o) - \log(1 + t)\right)^2",
            derivative_formula=r"\frac{d\ell}{do} = \frac{2 \left(\log(1 + o) - \log(1 + t)\right)}{1 + o}",
            reference="Keras source, keras/src/losses/losses.py, mean_squared_logarithmic_error",
            note="Defined for outputs and targets above -1; Keras raises those below to its epsilon.",
        ),
        Loss(
            name="poisson",
            title="Poisson loss",
            value=ell.poisson,
            derivative=ell.slope_of_poisson,
            target_range=(0.0, np.inf),
            formula=r"\ell = o - t \log(o)",
            derivative_formula=r"\frac{d\ell}{do} = 1 - \frac{t}{o}",
            reference="PyTorch documentation, torch.nn.PoissonNLLLoss (log_input=False); Keras source, "
            "keras/src/losses/losses.py, poisson",
            elsewhere=(
                Elsewhere("PyTorch", "torch.nn.functional.poisson_nll_loss", "log_input", True),
                Elsewhere("PyTorch", "torch.nn.functional.poisson_nll_loss", "eps", 1e-08),
            ),
            note="The constant log t! is left out, as in other libraries. Keras and PyTorch add an epsilon to o. If o "
            "and t·log o cancel, the error is in ulp of the larger term.",
        ),
        Loss(
            name="poisson_log",
            title="Poisson loss of logarithms",
            value=ell.poisson_log,
            derivative=ell.slope_of_poisson_log,
            target_range=(0.0, np.inf),
            formula=r"\ell = e^{o} - t o",
            derivative_formula=r"\frac{d\ell}{do} = e^{o} - t",
            reference="PyTorch documentation, torch.nn.PoissonNLLLoss (log_input=True)",
            note="The outputs are logarithms of the rate. If two terms cancel, the error is in ulp of the larger term.",
        ),
        Loss(
            name="binary_cross_entropy",
            aliases={"bce": "sum"},
            title="Binary cross-entropy",
            value=ell.binary_cross_entropy,
            derivative=ell.slope_of_binary_cross_entropy,
            target_range=(0.0, 1.0),
            formula=r"\ell = -t \log(o) - (1 - t) \log(1 - o)",
            derivative_formula=r"\frac{d\ell}{do} = \frac{1 - t}{1 - o} - \frac{t}{o}",
            reference="Goodfellow, Bengio, Courville: Deep Learning, MIT Press 2016, sec. 6.2.2.2",
            note="Keras and PyTorch average over samples and outputs by default. Keras keeps outputs 1e-7 away "
            "from 0 and 1, PyTorch cuts the logarithms at -100.",
        ),
        Loss(
            name="binary_cross_entropy_with_logits",
            title="Binary cross-entropy of logits",
            parameters=(Parameter("pos_weight", 1.0, "the weight of positive targets", "p", minimum=0.0),),
            value=ell.binary_cross_entropy_with_logits,
            derivative=ell.slope_of_binary_cross_entropy_with_logits,
            target_range=(0.0, 1.0),
            formula=r"\ell = p t \log(1 + e^{-o}) + (1 - t) \log(1 + e^{o})",
            derivative_formula=r"\frac{d\ell}{do} = (1 - t)\,\sigma(o) - p t\,\sigma(-o)",
            reference="PyTorch documentation, torch.nn.BCEWithLogitsLoss",
            note="The outputs are the sigmoid's pre-activations: use this loss with the activation identity.",
        ),
        Loss(
            name="binary_focal",
            title="Binary focal loss",
            parameters=(
                Parameter(
                    "alpha",
                    0.25,
                    "the weight of positive targets; negative targets have 1 - alpha",
                    r"\alpha",
                    minimum=0.0,
                    maximum=1.0,
                ),
                _FOCUS,
            ),
            value=ell.binary_focal,
            derivative=ell.slope_of_binary_focal,
            target_range=(0.0, 1.0),
            formula=r"\ell = -\alpha t\,(1 - o)^{\gamma} \log(o) - (1 - \alpha)\,(1 - t)\,o^{\gamma} \log(1 - o)",
            derivative_formula=r"\frac{d\ell}{do} = \alpha t \left(\gamma\,(1 - o)^{\gamma - 1} \log(o) - \frac{(1 "
            r"- o)^{\gamma}}{o}\right) - (1 - \alpha)\,(1 - t) \left(\gamma\,o^{\gamma - 1} \log(1 - o) - "
            r"\frac{o^{\gamma}}{1 - o}\right)",
            reference="Lin, Goyal, Girshick, He, Dollár: Focal Loss for Dense Object Detection, ICCV 2017, pp. "
            "2980-2988, arXiv:1708.02002",
            elsewhere=(Elsewhere("Keras", "keras.losses.binary_focal_crossentropy", "apply_class_balancing", False),),
            note="Keras weighs with alpha only where apply_class_balancing is set.",
        ),
        Loss(
            name="hinge",
            title="Hinge loss",
            value=ell.hinge,
            derivative=ell.slope_of_hinge,
            target_values=(-1.0, 1.0),
            borders=(Border(ell.excess_of_hinge, where="t o = 1", below="-t", above="0", taken="0"),),
            formula=r"\ell = \max(0, 1 - t o)",
            derivative_formula=r"\frac{d\ell}{do} = \begin{cases} -t & t o < 1 \\ 0 & t o \ge 1 \end{cases}",
            reference="Rosasco, De Vito, Caponnetto, Piana, Verri: Are Loss Functions All the Same?, Neural "
            "Computation 16(5):1063-1076, 2004",
            note="Targets are -1 and 1; Keras maps 0 to -1 by itself.",
        ),
        Loss(
            name="squared_hinge",
            title="Squared hinge loss",
            value=ell.squared_hinge,
            derivative=ell.slope_of_squared_hinge,
            target_values=(-1.0, 1.0),
            formula=r"\ell = \max(0, 1 - t o)^2",
            derivative_formula=r"\frac{d\ell}{do} = -2 t \max(0, 1 - t o)",
            reference="Tang: Deep Learning using Linear Support Vector Machines, arXiv:1306.0239, 2013",
            note="Targets are -1 and 1; Keras maps 0 to -1 by itself.",
        ),
        Loss(
            name="kl_divergence",
            title="Kullback-Leibler divergence",
            value=ell.kl_divergence,
            derivative=ell.slope_of_cross_entropy,
            target_range=(0.0, 1.0),
            formula=r"\ell = \begin{cases} 0 & t = 0 \\ t \log\left(\frac{t}{o}\right) & \text{otherwise} \end{cases}",
            derivative_formula=r"\frac{d\ell}{do} = -\frac{t}{o}",
            reference="Kullback, Leibler: On Information and Sufficiency, Annals of Mathematical Statistics "
            "22(1):79-86, 1951",
            note="The outputs are probabilities; PyTorch's kl_div takes their logarithms.",
        ),
        Loss(
            name="dot_product",
            title="Dot product with upstream gradients",
            value=ell.dot_product,
            derivative=ell.targets,
            formula=r"\ell = t o",
            derivative_formula=r"\frac{d\ell}{do} = t",
            reference="Baydin, Pearlmutter, Radul, Siskind: Automatic Differentiation in Machine Learning: a "
            "Survey, JMLR 18(153):1-43, 2018",
            note="The targets are the dE/do from the rest of a larger model; the answer is the network's "
            "vector-Jacobian product.",
        ),
        Loss(
            name="categorical_cross_entropy",
            aliases={"cce": "sum"},
            title="Categorical cross-entropy",
            parameters=(_SMOOTHING,),
            value=ell.cross_entropy,
            derivative=ell.slope_of_cross_entropy,
            per="sample",
            target_range=(0.0, 1.0),
            formula=r"\ell = -\sum_j u_j \log(o_j)" + _SMOOTHED,
            derivative_formula=r"\frac{d\ell}{do_j} = -\frac{u_j}{o_j}" + _SMOOTHED,
            reference="Goodfellow, Bengio, Courville: Deep Learning, MIT Press 2016, sec. 6.2.2.3; label "
            "smoothing: Szegedy, Vanhoucke, Ioffe, Shlens, Wojna: Rethinking the Inception Architecture for "
            "Computer Vision, CVPR 2016, pp. 2818-2826",
            note="The outputs are used as they are; Keras divides them by their sum first. n is the number of outputs.",
        ),
        Loss(
            name="categorical_cross_entropy_with_logits",
            title="Categorical cross-entropy of logits",
            parameters=(_SMOOTHING,),
            value=ell.cross_entropy_with_logits,
            derivative=ell.slope_of_cross_entropy_with_logits,
            per="sample",
            target_range=(0.0, 1.0),
            formula=r"\ell = \sum_j u_j \left(\log\left(\sum_k e^{o_k}\right) - o_j\right)" + _SMOOTHED,
            derivative_formula=r"\frac{d\ell}{do_j} = \frac{e^{o_j}}{\sum_k e^{o_k}} \sum_k u_k - u_j" + _SMOOTHED,
            reference="PyTorch documentation, torch.nn.CrossEntropyLoss, with class probabilities; label "
            "smoothing: Szegedy, Vanhoucke, Ioffe, Shlens, Wojna: Rethinking the Inception Architecture for "
            "Computer Vision, CVPR 2016, pp. 2818-2826",
            note="The softmax runs over all outputs: use this loss with the activation identity. n is the number of "
            "outputs.",
        ),
        Loss(
            name="sparse_categorical_cross_entropy",
            title="Categorical cross-entropy with class indices",
            parameters=(_IGNORED,),
            value=ell.cross_entropy,
            derivative=ell.slope_of_cross_entropy,
            per="sample",
            class_indices=True,
            formula=r"\ell = -\log(o_t)",
            derivative_formula=r"\frac{d\ell}{do_j} = -\frac{\delta_{jt}}{o_j}",
            reference="Keras documentation, SparseCategoricalCrossentropy",
            note="Samples of the ignored class add nothing; the mean is over the other samples.",
        ),
        Loss(
            name="sparse_categorical_cross_entropy_with_logits",
            title="Categorical cross-entropy of logits with class indices",
            parameters=(_IGNORED,),
            value=ell.cross_entropy_with_logits,
            derivative=ell.slope_of_cross_entropy_with_logits,
            per="sample",
            class_indices=True,
            formula=r"\ell = \log\left(\sum_k e^{o_k}\right) - o_t",
            derivative_formula=r"\frac{d\ell}{do_j} = \frac{e^{o_j}}{\sum_k e^{o_k}} - \delta_{jt}",
            reference="PyTorch documentation, torch.nn.CrossEntropyLoss, with class indices",
            elsewhere=(Elsewhere("PyTorch", "torch.nn.functional.cross_entropy", "ignore_index", -100),),
            note="The softmax runs over all outputs: use this loss with the activation identity. Samples of the "
            "ignored class add nothing; the mean is over the other samples.",
        ),
        Loss(
            name="negative_log_likelihood",
            aliases={"nll": "sum"},
            title="Negative log-likelihood of log-probabilities, with class indices",
            parameters=(_IGNORED,),
            value=ell.likelihood,
            derivative=ell.slope_of_likelihood,
            per="sample",
            class_indices=True,
            formula=r"\ell = -o_t",
            derivative_formula=r"\frac{d\ell}{do_j} = -\delta_{jt}",
            reference="PyTorch documentation, torch.nn.functional.nll_loss",
            elsewhere=(Elsewhere("PyTorch", "torch.nn.functional.nll_loss", "ignore_index", -100),),
            note="Samples of the ignored class add nothing; the mean is over the other samples.",
        ),
        Loss(
            name="categorical_focal",
            title="Categorical focal loss",
            parameters=(
                _WEIGHT,
                _FOCUS,
            ),
            value=ell.categorical_focal,
            derivative=ell.slope_of_categorical_focal,
            per="sample",
            target_range=(0.0, 1.0),
            formula=r"\ell = -\sum_j \alpha t_j\,(1 - o_j)^{\gamma} \log(o_j)",
            derivative_formula=r"\frac{d\ell}{do_j} = \alpha t_j \left(\gamma\,(1 - o_j)^{\gamma - 1} \log(o_j) - "
            r"\frac{(1 - o_j)^{\gamma}}{o_j}\right)",
            reference="Keras source, keras/src/losses/losses.py, categorical_focal_crossentropy; after Lin et al.: "
            "Focal Loss for Dense Object Detection, ICCV 2017",
            note="The outputs are used as they are; Keras divides them by their sum first.",
        ),
        Loss(
            name="categorical_hinge",
            title="Categorical hinge loss",
            value=ell.categorical_hinge,
            derivative=ell.slope_of_categorical_hinge,
            per="sample",
            target_range=(0.0, 1.0),
            borders=(
                Border(
                    ell.lead_of_right_class,
                    where=r"\sum_k t_k o_k = 1 + \max_k((1 - t_k)\,o_k)",
                    below=r"\delta_{jm}\,(1 - t_j) - t_j",
                    above="0",
                    taken="0",
                ),
                Border(
                    ell.lead_of_wrong_class,
                    where=r"(1 - t_j)\,o_j = \max_{k \ne j}((1 - t_k)\,o_k)",
                    below="-t_j",
                    above="1 - 2 t_j",
                    taken=r"\delta_{jm}\,(1 - t_j) - t_j",
                ),
            ),
            formula=r"\ell = \max\left(0, 1 + \max_j((1 - t_j)\,o_j) - \sum_j t_j o_j\right)",
            derivative_formula=r"\frac{d\ell}{do_j} = \begin{cases} \delta_{jm}\,(1 - t_j) - t_j & \ell > 0 \\ 0 & "
            r"\ell = 0 \end{cases}, \quad m \text{ is the first with the largest } (1 - t_m)\,o_m",
            reference="Keras source, keras/src/losses/losses.py, categorical_hinge",
            note="As in Keras, the maximum includes the right class, with the value 0.",
        ),
        Loss(
            name="cosine_similarity",
            title="Cosine similarity, negated",
            value=ell.cosine_similarity,
            derivative=ell.slope_of_cosine_similarity,
            per="sample",
            borders=(Border(ell.signed_length, where=r"\sum_k o_k^2 = 0", below="", above="", taken="0"),),
            formula=r"\ell = -\frac{\sum_j o_j t_j}{\sqrt{\sum_j o_j^2} \sqrt{\sum_j t_j^2}}",
            derivative_formula=r"\frac{d\ell}{do_j} = -\frac{t_j}{\sqrt{\sum_k o_k^2} \sqrt{\sum_k t_k^2}} + "
            r"\frac{o_j \sum_k o_k t_k}{(\sum_k o_k^2)^{3 / 2} \sqrt{\sum_k t_k^2}}",
            reference="Keras source, keras/src/losses/losses.py, cosine_similarity",
            elsewhere=(Elsewhere("PyTorch", "torch.nn.CosineSimilarity", "eps", 1e-8),),
            note="The loss and its derivative are 0 if the outputs or the targets are all 0. If the two terms of the "
            "derivative cancel, the error is in ulp of the larger term.",
        ),
        Loss(
            name="gaussian_nll",
            title="Gaussian negative log-likelihood",
            value=ell.gaussian_nll,
            derivative=ell.slope_of_gaussian_nll,
            per="sample",
            outputs_per_target=2,
            formula=r"\ell = \sum_k \frac{1}{2} \left(s_k + (t_k - m_k)^2 e^{-s_k}\right), \quad o = (m_0, s_0, "
            r"m_1, s_1, \dots)",
            derivative_formula=r"\frac{d\ell}{dm_k} = (m_k - t_k)\,e^{-s_k}, \quad \frac{d\ell}{ds_k} = \frac{1}{2} "
            r"\left(1 - (t_k - m_k)^2 e^{-s_k}\right)",
            reference="Nix, Weigend: Estimating the Mean and Variance of the Target Probability Distribution, "
            "Proc. IEEE ICNN 1994, vol. 1, pp. 55-60",
            elsewhere=(Elsewhere("PyTorch", "torch.nn.functional.gaussian_nll_loss", "eps", 1e-06),),
            note="Outputs are pairs of a mean and the logarithm of a variance, with one target for each pair. The "
            "constant ½·log 2π is left out; PyTorch takes the variance itself. If terms cancel, the error is in ulp "
            "of the larger term.",
        ),
    ]
)
