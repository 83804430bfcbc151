"""The derivatives of a feed-forward network by PyTorch's float64 autograd, with all intermediate results.

    a = o_below @ w + b,   o = φ(a) group by group,   E = the reduced loss;   every derivative is E.backward()'s own

A row of ACTIVATIONS or LOSSES has a function of PyTorch, its parameters with their defaults and with other values to
draw, and words that say for which outputs and targets a loss is defined.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
functional = torch.nn.functional
torch.set_num_threads(1)

Array = np.ndarray[Any, Any]
Tensor = Any
Value = float | str | None
Parameters = Mapping[str, Value]


@dataclass(frozen=True)
class Parameter:
    """A default, and other values to draw: any number between two, or one of several if there is no default."""

    default: Value
    values: tuple[float, float] | tuple[str, ...] | tuple[int, ...]


@dataclass(frozen=True)
class Activation:
    """φ of a group's pre-activations (samples × units); `coupled` where an output depends on its group's others.

    `image` says what kinds of numbers the outputs are, for the losses: a probability is also neither 0 nor 1, and
    positive.
    """

    function: Callable[..., Tensor]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    image: str = "number"
    coupled: bool = False


@dataclass(frozen=True)
class LossFunction:
    """ℓ(o, t): samples × units where it is a loss per element, samples where it is one per sample.

    `vague` says for which o and t there is no comparison: those on a kink, and those where the terms of ℓ cancel.
    """

    function: Callable[..., Tensor]
    outputs: str = "number"
    targets: str = "number"
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    outputs_per_target: int = 1
    vague: Callable[[Array, Array], bool] = lambda o, t: False

    def takes(self, image: str) -> bool:
        """Whether the loss is defined for outputs of that kind."""
        return self.outputs in ("number", image) or (self.outputs == "positive" and image == "probability")


def gelu(a: Tensor, approximate: str) -> Tensor:
    """a·Φ(a), written so that the negative tail keeps its digits.

    functional.gelu adds 1 to an erf or a tanh near -1: for a from -5 to -4 its value is off by up to 5e-11 ("none") and
    2e-10 ("tanh") relative, compared with 50-digit mpmath; these two forms stay within 4e-15 there.
    """
    if approximate == "none":
        return 0.5 * a * torch.erfc(-a / 2**0.5)
    return a * torch.sigmoid(2 * (2 / torch.pi) ** 0.5 * (a + 0.044715 * a**3))


def softplus(a: Tensor, beta: float) -> Tensor:
    """log(1 + exp(beta·a)) / beta, without PyTorch's threshold: at 20, it causes a relative error of 1e-10."""
    return functional.softplus(a, beta, threshold=500.0)


def celu(a: Tensor, alpha: float) -> Tensor:
    """functional.celu has 1/alpha in float32 on its way back: its slope is off by up to 6e-8."""
    return torch.where(a > 0, a, alpha * torch.expm1(torch.clamp(a, max=0.0) / alpha))


NODES, WEIGHTS = (torch.tensor(array / 2) for array in np.polynomial.legendre.leggauss(24))


def tanh_shrink(a: Tensor) -> Tensor:
    """a - tanh(a) as the integral of tanh² from 0 to a, which avoids cancellation: 0.001 - tanh(0.001) is 3e-10."""
    return a * (torch.tanh(a[..., None] * (0.5 + NODES)) ** 2 @ WEIGHTS)


def step(a: Tensor) -> Tensor:
    """1 where a > 0; the slope is 0 for autograd, not missing."""
    return torch.where(a > 0, 1.0, 0.0) + 0.0 * a


def sparse_plus(a: Tensor) -> Tensor:
    """JAX's: a parabola between -1 and 1."""
    return torch.where(a < 1, torch.clamp(a + 1, 0, 2) ** 2 / 4, a)


def sparsemax(a: Tensor) -> Tensor:
    """Michelot's projection: project onto the plane with the sum 1, drop units that are not positive, and repeat."""
    inside = torch.ones_like(a, dtype=torch.bool)
    for _ in range(a.shape[1]):
        count = inside.sum(dim=1, keepdim=True)
        threshold = (torch.where(inside, a, 0.0).sum(dim=1, keepdim=True) - 1) / count
        inside = inside & (a > threshold)
    return torch.where(inside, a - threshold, 0.0)


ACTIVATIONS: dict[str, Activation] = {
    "identity": Activation(lambda a: a),
    "sigmoid": Activation(torch.sigmoid, image="probability"),
    "tanh": Activation(torch.tanh),
    "relu": Activation(functional.relu),
    "relu6": Activation(functional.relu6),
    "leaky_relu": Activation(functional.leaky_relu, {"negative_slope": Parameter(0.01, (-0.5, 1.5))}),
    "elu": Activation(functional.elu, {"alpha": Parameter(1.0, (0.0, 3.0))}),
    "celu": Activation(celu, {"alpha": Parameter(1.0, (0.3, 3.0))}),
    "selu": Activation(functional.selu),
    "gelu": Activation(gelu, {"approximate": Parameter("none", ("none", "tanh"))}),
    "quick_gelu": Activation(lambda a: a * torch.sigmoid(1.702 * a)),
    "silu": Activation(functional.silu),
    "mish": Activation(functional.mish),
    "hard_silu": Activation(functional.hardswish),
    "softplus": Activation(softplus, {"beta": Parameter(1.0, (0.3, 3.0))}, image="positive"),
    "log_sigmoid": Activation(functional.logsigmoid, image="log_probability"),
    "squareplus": Activation(
        lambda a, b: (a + torch.sqrt(a**2 + b)) / 2, {"b": Parameter(4.0, (0.5, 6.0))}, image="positive"
    ),
    "sparse_plus": Activation(sparse_plus),
    "sparse_sigmoid": Activation(lambda a: torch.clamp((a + 1) / 2, 0, 1)),
    "hard_sigmoid": Activation(
        lambda a, slope, offset: torch.clamp(slope * a + offset, 0, 1),
        {"slope": Parameter(1 / 6, (0.1, 0.7)), "offset": Parameter(0.5, (0.2, 0.8))},
    ),
    "hard_tanh": Activation(
        lambda a, min_value, max_value: torch.clamp(a, min=min_value, max=max_value),
        {"min_value": Parameter(-1.0, (-2.0, -0.2)), "max_value": Parameter(1.0, (0.2, 2.0))},
    ),
    "hard_shrink": Activation(
        lambda a, **given: functional.hardshrink(a, given["lambda"]), {"lambda": Parameter(0.5, (0.1, 1.0))}
    ),
    "soft_shrink": Activation(
        lambda a, **given: functional.softshrink(a, given["lambda"]), {"lambda": Parameter(0.5, (0.1, 1.0))}
    ),
    "tanh_shrink": Activation(tanh_shrink),
    "threshold": Activation(
        functional.threshold, {"threshold": Parameter(0.0, (-1.0, 1.0)), "value": Parameter(0.0, (-1.0, 1.0))}
    ),
    "thresholded_relu": Activation(
        lambda a, theta: functional.threshold(a, theta, 0.0), {"theta": Parameter(1.0, (0.0, 1.5))}
    ),
    "step": Activation(step),
    "softsign": Activation(functional.softsign),
    "arctan": Activation(torch.atan),
    "scaled_tanh": Activation(
        lambda a, amplitude, slope: amplitude * torch.tanh(slope * a),
        {"amplitude": Parameter(1.7159, (-2.0, 2.0)), "slope": Parameter(2 / 3, (0.2, 1.0))},
    ),
    "sin": Activation(torch.sin),
    "cos": Activation(torch.cos),
    "gaussian": Activation(lambda a: torch.exp(-(a**2)), image="positive"),
    "exponential": Activation(torch.exp, image="positive"),
    "square": Activation(torch.square),
    "absolute": Activation(torch.abs),
    "softmax": Activation(
        lambda a, temperature: functional.softmax(a / temperature, dim=1),
        {"temperature": Parameter(1.0, (0.5, 3.0))},
        image="probability",
        coupled=True,
    ),
    "log_softmax": Activation(lambda a: functional.log_softmax(a, dim=1), image="log_probability", coupled=True),
    "softmin": Activation(lambda a: functional.softmin(a, dim=1), image="probability", coupled=True),
    "sparsemax": Activation(sparsemax, coupled=True),
}


def binary_cross_entropy(o: Tensor, t: Tensor) -> Tensor:
    """-(t log o + (1-t) log(1-o)); functional.binary_cross_entropy cuts its logs at -100 and its slope at 1e-12."""
    return -(torch.xlogy(t, o) + torch.xlogy(1 - t, 1 - o))


def binary_focal(o: Tensor, t: Tensor, alpha: float, gamma: float) -> Tensor:
    """Cross-entropy's two terms, each with its weight and its power."""
    return -(alpha * (1 - o) ** gamma * torch.xlogy(t, o) + (1 - alpha) * o**gamma * torch.xlogy(1 - t, 1 - o))


def log_cosh(o: Tensor, t: Tensor) -> Tensor:
    """cosh r = 1 + 2·sinh²(r/2), which keeps the digits of a small r."""
    return torch.log1p(2 * torch.sinh((o - t) / 2) ** 2)


def cross_entropy(o: Tensor, t: Tensor, label_smoothing: float) -> Tensor:
    """Cross-entropy with label smoothing: a share of every target is spread over all outputs."""
    return -torch.xlogy((1 - label_smoothing) * t + label_smoothing / t.shape[1], o).sum(dim=1)


def likelihood(log_o: Tensor, t: Tensor, ignore_index: int | None) -> Tensor:
    """PyTorch ignores -100 by default, which is a target here only if it is to be ignored."""
    return functional.nll_loss(log_o, t, reduction="none", ignore_index=-100 if ignore_index is None else ignore_index)


def wrong_scores(o: Any, t: Any) -> Any:
    """The scores of which categorical_hinge takes the largest."""
    return (1 - t) * o


def categorical_hinge(o: Tensor, t: Tensor) -> Tensor:
    """As in Keras, the maximum includes the right class, with the value 0."""
    return torch.clamp(1 + wrong_scores(o, t).max(dim=1).values - (t * o).sum(dim=1), min=0)


def is_near_a_tie(o: Array, t: Array) -> bool:
    """Whether two scores are nearly the largest, or the loss is nearly 0."""
    ranked = np.sort(wrong_scores(o, t), axis=1)
    leads = ranked[:, -1] - ranked[:, -2] if o.shape[1] > 1 else np.ones(len(o))
    return bool(min(leads.min(), np.abs(1 + ranked[:, -1] - (t * o).sum(axis=1)).min()) < 0.001)


def cosine_similarity(o: Tensor, t: Tensor) -> Tensor:
    """functional.cosine_similarity keeps lengths away from 0; this is the definition."""
    return -(o * t).sum(dim=1) / (o.norm(dim=1) * t.norm(dim=1))


def is_nearly_along_or_across(o: Array, t: Array) -> bool:
    """Whether the terms of o·t cancel, or those of t minus its projection on o in some t_j; True if o is 0, too."""
    products, squares = o * t, (o * o).sum(axis=1, keepdims=True)
    if not squares.all():
        return True
    left = t - o * products.sum(axis=1, keepdims=True) / squares
    cancels = np.abs(products.sum(axis=1)) < 0.01 * np.abs(products).sum(axis=1)
    return bool(cancels.any() or (np.abs(left) < 0.01 * np.abs(t)).any())


def gaussian_nll(o: Tensor, t: Tensor) -> Tensor:
    """½·(s + (t - m)² / e^s) for every pair of outputs, a mean m and the logarithm s of a variance."""
    mean, log_variance = o[:, 0::2], o[:, 1::2]
    return (log_variance + (t - mean) ** 2 / log_variance.exp()).sum(dim=1) / 2


SMOOTHING = {"label_smoothing": Parameter(0.0, (0.0, 0.5))}
IGNORED = {"ignore_index": Parameter(None, (-100, 0, 1))}
FOCUS = {"gamma": Parameter(2.0, (0.0, 3.0))}
NEAR_MARGIN = {"vague": lambda o, t: bool(np.abs(1 - t * o).min() < 0.001)}

LOSSES: dict[str, LossFunction] = {
    "half_squared_error": LossFunction(lambda o, t: 0.5 * functional.mse_loss(o, t, reduction="none")),
    "squared_error": LossFunction(lambda o, t: functional.mse_loss(o, t, reduction="none")),
    "absolute_error": LossFunction(lambda o, t: functional.l1_loss(o, t, reduction="none")),
    "huber": LossFunction(
        lambda o, t, delta: functional.huber_loss(o, t, reduction="none", delta=delta),
        parameters={"delta": Parameter(1.0, (0.2, 3.0))},
    ),
    "smooth_l1": LossFunction(
        lambda o, t, beta: functional.smooth_l1_loss(o, t, reduction="none", beta=beta),
        parameters={"beta": Parameter(1.0, (0.2, 3.0))},
    ),
    "log_cosh": LossFunction(log_cosh),
    "quantile": LossFunction(
        lambda o, t, tau: torch.maximum(tau * (t - o), (tau - 1) * (t - o)),
        parameters={"tau": Parameter(0.5, (0.0, 1.0))},
    ),
    "percentage_error": LossFunction(
        lambda o, t, epsilon: 100 * (o - t).abs() / t.abs().clamp(min=epsilon),
        parameters={"epsilon": Parameter(1e-7, (0.01, 1.0))},
    ),
    "squared_log_error": LossFunction(
        lambda o, t: torch.log1p((o - t) / (1 + t)) ** 2, "positive", "count"
    ),  # log1p(o) - log1p(t) cancels
    "poisson": LossFunction(
        lambda o, t: functional.poisson_nll_loss(o, t, log_input=False, eps=0.0, reduction="none"), "positive", "count"
    ),
    "poisson_log": LossFunction(lambda o, t: functional.poisson_nll_loss(o, t, reduction="none"), targets="count"),
    "binary_cross_entropy": LossFunction(binary_cross_entropy, "probability", "fraction"),
    "binary_cross_entropy_with_logits": LossFunction(
        lambda o, t, pos_weight: functional.binary_cross_entropy_with_logits(
            o, t, reduction="none", pos_weight=torch.tensor(pos_weight, dtype=torch.float64)
        ),
        targets="fraction",
        parameters={"pos_weight": Parameter(1.0, (0.0, 4.0))},
    ),
    "binary_focal": LossFunction(
        binary_focal, "probability", "fraction", {"alpha": Parameter(0.25, (0.0, 1.0)), **FOCUS}
    ),
    "hinge": LossFunction(lambda o, t: torch.clamp(1 - t * o, min=0), targets="sign", **NEAR_MARGIN),
    "squared_hinge": LossFunction(lambda o, t: torch.clamp(1 - t * o, min=0) ** 2, targets="sign", **NEAR_MARGIN),
    "kl_divergence": LossFunction(
        lambda o, t: torch.xlogy(t, t) - torch.xlogy(t, o), "probability", "distribution"
    ),  # functional.kl_div takes log o
    "dot_product": LossFunction(lambda o, t: t * o),
    "categorical_cross_entropy": LossFunction(cross_entropy, "probability", "distribution", SMOOTHING),
    "categorical_cross_entropy_with_logits": LossFunction(
        lambda o, t, label_smoothing: functional.cross_entropy(o, t, reduction="none", label_smoothing=label_smoothing),
        targets="distribution",
        parameters=SMOOTHING,
    ),
    "sparse_categorical_cross_entropy": LossFunction(
        lambda o, t, ignore_index: likelihood(o.log(), t, ignore_index), "probability", "class", IGNORED
    ),
    "sparse_categorical_cross_entropy_with_logits": LossFunction(
        lambda o, t, ignore_index: likelihood(functional.log_softmax(o, dim=1), t, ignore_index),
        targets="class",
        parameters=IGNORED,
    ),
    "negative_log_likelihood": LossFunction(likelihood, "log_probability", "class", IGNORED),
    "categorical_focal": LossFunction(
        lambda o, t, alpha, gamma: -(alpha * (1 - o) ** gamma * torch.xlogy(t, o)).sum(dim=1),
        "probability",
        "distribution",
        {"alpha": Parameter(0.25, (0.1, 2.0)), **FOCUS},
    ),
    "categorical_hinge": LossFunction(categorical_hinge, targets="distribution", vague=is_near_a_tie),
    "cosine_similarity": LossFunction(cosine_similarity, vague=is_nearly_along_or_across),
    "gaussian_nll": LossFunction(gaussian_nll, outputs_per_target=2),
}

REDUCTIONS: dict[str, Callable[[Tensor, int], Tensor]] = {  # of the losses, and how many of them count
    "sum": lambda losses, counted: losses.sum(),
    "mean": lambda losses, counted: losses.sum() / counted,
    "batch_mean": lambda losses, counted: losses.sum() / len(losses),
}


@dataclass(frozen=True)
class Group:
    """Units of a layer (their positions) that share one activation; a coupled one runs over them together."""

    name: str
    parameters: Parameters
    units: Sequence[int]


@dataclass(frozen=True)
class Layer:
    """Weights are n_in × n_out; the groups cover every unit once."""

    groups: Sequence[Group]
    weights: Array
    biases: Array | None


@dataclass(frozen=True)
class Loss:
    """A row of LOSSES with its parameters, and a row of REDUCTIONS."""

    name: str
    parameters: Parameters
    reduction: str


@dataclass(frozen=True)
class Judgement:
    """PyTorch's answer, every array with its samples axis.

    `shares` has the shares of all terms in E, one row for each sample; `layers` have a, o, dE_da, dE_dw, dE_db and the
    factors.
    """

    loss: float
    shares: Array
    outputs: Array
    dE_dx: Array
    layers: list[dict[str, Array]]


def layer_outputs(layer: Layer, a: Tensor) -> Tensor:
    """o (samples × units): each group's function on its own columns of a, put back in place."""
    columns = [j for group in layer.groups for j in group.units]
    parts = [ACTIVATIONS[group.name].function(a[:, group.units], **group.parameters) for group in layer.groups]
    return torch.cat(parts, dim=1)[:, np.argsort(columns)]


def local_derivative(layer: Layer, a: Tensor) -> Array:
    """do_j/da_j (samples × j) of an elementwise layer; do_j/da_m (samples × j × m) where a group is coupled.

    For the matrix every unit j has a copy of a to itself, so that one backward pass gives all its rows.
    """
    is_coupled = any(ACTIVATIONS[group.name].coupled for group in layer.groups)
    n = a.shape[1] if is_coupled else 1
    copies = a.detach().repeat(n, 1).requires_grad_()
    o = layer_outputs(layer, copies)
    own = o.reshape(n, -1, n).diagonal(dim1=0, dim2=2) if is_coupled else o
    (slopes,) = torch.autograd.grad(own.sum(), copies)
    return numbers(slopes.reshape(n, -1, n).transpose(0, 1) if is_coupled else slopes)


def leaf(array: Array) -> Tensor:
    """A node of the graph that E is derived by."""
    return torch.tensor(array, dtype=torch.float64, requires_grad=True)


def kept(tensor: Tensor) -> Tensor:
    """The same node, which keeps its gradient after the backward pass."""
    tensor.retain_grad()
    return tensor


def numbers(tensor: Tensor) -> Array:
    """The numbers of a tensor, detached from the graph."""
    array: Array = tensor.detach().numpy()
    return array


def layer_judgement(layer: Layer, w: Tensor, b: Tensor | None, below: Tensor, a: Tensor, o: Tensor) -> dict[str, Array]:
    """The arrays of one layer, after E.backward()."""
    arrays = {
        "a": numbers(a),
        "o": numbers(o),
        "dE_da": numbers(a.grad),
        "dE_do": numbers(o.grad),
        "do_da": local_derivative(layer, a),
        "da_dw": numbers(below),
        "dE_dw": numbers(w.grad),
    }
    return arrays if b is None else arrays | {"dE_db": numbers(b.grad)}


def ignored(loss: Loss, targets: Array) -> Array:
    """A mask of the targets that are the ignored class."""
    return np.equal(targets, loss.parameters.get("ignore_index"))


def judge(layers: Sequence[Layer], inputs: Array, targets: Array, loss: Loss) -> Judgement:
    """E and all its derivatives, for inputs of samples × n_in and targets of samples × n_out (classes: of samples)."""
    x = o = leaf(inputs)
    tape = []
    for layer in layers:
        w = leaf(layer.weights)
        b = None if layer.biases is None else leaf(layer.biases)
        below, a = o, kept(o @ w if b is None else o @ w + b)
        o = kept(layer_outputs(layer, a))
        tape.append((layer, w, b, below, a, o))
    losses = kept(LOSSES[loss.name].function(o, torch.tensor(targets), **loss.parameters))
    E = REDUCTIONS[loss.reduction](losses, losses.numel() - int(ignored(loss, targets).sum()))
    E.backward()
    return Judgement(
        loss=E.item(),
        shares=numbers(losses * losses.grad).reshape(len(losses), -1),
        outputs=numbers(o),
        dE_dx=numbers(x.grad),
        layers=[layer_judgement(*entry) for entry in tape],
    )


def sums(layers: Sequence[Layer], judgement: Judgement) -> Iterator[tuple[Array, Array]]:
    """Yield (sum of the absolute values of its terms, array) for every array that is a sum."""
    shares = np.abs(judgement.shares)
    yield shares.sum(axis=1), judgement.shares.sum(axis=1)
    yield shares.sum(), np.array(judgement.loss)
    dE_do = np.abs(judgement.layers[-1]["dE_do"])
    for layer, arrays in reversed(list(zip(layers, judgement.layers, strict=True))):
        w, x, do_da = (np.abs(array) for array in (layer.weights, arrays["da_dw"], arrays["do_da"]))
        dE_da = np.einsum("sm,smj->sj", dE_do, do_da) if do_da.ndim == 3 else dE_do * do_da
        yield x @ w, arrays["a"]
        yield dE_do, arrays["dE_do"]
        yield dE_da, arrays["dE_da"]
        yield x.T @ dE_da, arrays["dE_dw"]
        if layer.biases is not None:
            yield dE_da.sum(axis=0), arrays["dE_db"]
        dE_do = dE_da @ w.T
    yield dE_do, judgement.dE_dx


def keeps_its_digits(layers: Sequence[Layer], targets: Array, loss: Loss, judgement: Judgement) -> bool:
    """Whether 12 digits can agree: no |a| is beyond 4 or below 0.001, and no array is below 1/100 of its terms.

    From |a| = 4 on, PyTorch's slope of tanh, 1 - o², has a relative error of up to 5e-13. Kinks are near 0, and there a
    itself has lost digits, which dominate after a relu. Sums can cancel completely: two equal slopes of an absolute
    error make a softmax's dE/da 0 up to rounding. The terms of a loss can cancel, or it is on a kink. One draw in five
    is rejected.
    """
    if any(np.abs(arrays["a"]).max() > 4 or np.abs(arrays["a"]).min() < 0.001 for arrays in judgement.layers):
        return False
    if LOSSES[loss.name].vague(judgement.outputs, targets):
        return False
    return all(terms.max() <= 100 * np.abs(total).max() for terms, total in sums(layers, judgement))
