"""What PyTorch's float64 autograd says of a feed-forward network, every intermediate kept. Knows nothing of Chainrule.

    a = o_below @ w + b,   o = φ(a) group by group,   E = the reduced loss;   every derivative is E.backward()'s own

A row of ACTIVATIONS or LOSSES is a function of PyTorch, the parameters it takes with their defaults and what else to
draw, and the words by which a loss finds the outputs and targets that it is defined on.
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
Parameters = Mapping[str, float | str]


@dataclass(frozen=True)
class Parameter:
    """A default, and what else to draw: any number between two, or one of some words."""

    default: float | str
    values: tuple[float, float] | tuple[str, ...]


@dataclass(frozen=True)
class Activation:
    """φ of a group's pre-activations (samples × units); `coupled` where an output depends on its group's others."""

    function: Callable[..., Tensor]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    image: str = "number"
    coupled: bool = False


@dataclass(frozen=True)
class LossFunction:
    """ℓ(o, t): samples × units where it is a loss per element, samples where it is one per sample."""

    function: Callable[..., Tensor]
    outputs: str = "number"
    targets: str = "number"
    parameters: Mapping[str, Parameter] = field(default_factory=dict)


def gelu(a: Tensor, approximate: str) -> Tensor:
    """a·Φ(a), written so that the negative tail keeps its digits.

    functional.gelu adds 1 to an erf or a tanh near -1: for a from -5 to -4 its value is off by up to 5e-11 ("none") and
    2e-10 ("tanh") relative, held against 50-digit mpmath; these two forms stay within 4e-15 there.
    """
    if approximate == "none":
        return 0.5 * a * torch.erfc(-a / 2**0.5)
    return a * torch.sigmoid(2 * (2 / torch.pi) ** 0.5 * (a + 0.044715 * a**3))


def softplus(a: Tensor, beta: float) -> Tensor:
    """log(1 + exp(beta·a)) / beta, with PyTorch's threshold out of reach: at its 20 a relative 1e-10 is left out."""
    return functional.softplus(a, beta, threshold=500.0)


def binary_cross_entropy(o: Tensor, t: Tensor) -> Tensor:
    """-(t log o + (1-t) log(1-o)); functional.binary_cross_entropy cuts its logs at -100 and its slope at 1e-12."""
    return -(torch.xlogy(t, o) + torch.xlogy(1 - t, 1 - o))


ACTIVATIONS: dict[str, Activation] = {
    "identity": Activation(lambda a: a),
    "sigmoid": Activation(torch.sigmoid, image="probability"),
    "tanh": Activation(torch.tanh),
    "relu": Activation(functional.relu),
    "leaky_relu": Activation(functional.leaky_relu, {"negative_slope": Parameter(0.01, (-0.5, 1.5))}),
    "elu": Activation(functional.elu, {"alpha": Parameter(1.0, (0.0, 3.0))}),
    "softplus": Activation(softplus, {"beta": Parameter(1.0, (0.3, 3.0))}),
    "gelu": Activation(gelu, {"approximate": Parameter("none", ("none", "tanh"))}),
    "silu": Activation(functional.silu),
    "softmax": Activation(
        lambda a, temperature: functional.softmax(a / temperature, dim=1),
        {"temperature": Parameter(1.0, (0.5, 3.0))},
        image="probability",
        coupled=True,
    ),
    "log_softmax": Activation(lambda a: functional.log_softmax(a, dim=1), image="log_probability", coupled=True),
}

LOSSES: dict[str, LossFunction] = {
    "half_squared_error": LossFunction(lambda o, t: 0.5 * functional.mse_loss(o, t, reduction="none")),
    "squared_error": LossFunction(lambda o, t: functional.mse_loss(o, t, reduction="none")),
    "absolute_error": LossFunction(lambda o, t: functional.l1_loss(o, t, reduction="none")),
    "huber": LossFunction(
        lambda o, t, delta: functional.huber_loss(o, t, reduction="none", delta=delta),
        parameters={"delta": Parameter(1.0, (0.2, 3.0))},
    ),
    "binary_cross_entropy": LossFunction(binary_cross_entropy, "probability", "fraction"),
    "categorical_cross_entropy": LossFunction(
        lambda o, t: -torch.xlogy(t, o).sum(dim=1), "probability", "distribution"
    ),
    "sparse_categorical_cross_entropy": LossFunction(
        lambda o, t: functional.nll_loss(o.log(), t, reduction="none"), "probability", "class"
    ),
    "negative_log_likelihood": LossFunction(
        lambda o, t: functional.nll_loss(o, t, reduction="none"), "log_probability", "class"
    ),
    "dot_product": LossFunction(lambda o, t: t * o),
}

REDUCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sum": lambda losses: losses.sum(),
    "mean": lambda losses: losses.mean(),
    "batch_mean": lambda losses: losses.sum() / len(losses),
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

    `shares` are the single losses' in E, one sample a row; `layers` hold a, o, dE_da, dE_dw, dE_db and the factors.
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
    """A node of the graph to derive by."""
    return torch.tensor(array, dtype=torch.float64, requires_grad=True)


def kept(tensor: Tensor) -> Tensor:
    """The same node of the graph, its gradient kept."""
    tensor.retain_grad()
    return tensor


def numbers(tensor: Tensor) -> Array:
    """The same numbers, out of the graph."""
    array: Array = tensor.detach().numpy()
    return array


def layer_judgement(layer: Layer, w: Tensor, b: Tensor | None, below: Tensor, a: Tensor, o: Tensor) -> dict[str, Array]:
    """One layer's arrays, once E.backward() has been."""
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
    E = REDUCTIONS[loss.reduction](losses)
    E.backward()
    return Judgement(
        loss=E.item(),
        shares=numbers(losses * losses.grad).reshape(len(losses), -1),
        outputs=numbers(o),
        dE_dx=numbers(x.grad),
        layers=[layer_judgement(*entry) for entry in tape],
    )


def sums(layers: Sequence[Layer], judgement: Judgement) -> Iterator[tuple[Array, Array]]:
    """Every array that is a sum, first with the absolute values of all that is summed: |E| and the backward pass."""
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


def keeps_its_digits(layers: Sequence[Layer], judgement: Judgement) -> bool:
    """Whether 12 digits are left to agree on: no |a| beyond 4 or below 0.001, and no array a hundredth of its terms.

    From |a| = 4 on PyTorch's tanh slope, 1 - o², is off by up to 5e-13 relative. Near 0 are the kinks, and a itself has
    lost digits, which a relu can make all there is. Sums cancel without end: two equal slopes of an absolute error have
    a softmax's dE/da = 0 but for rounding. One draw in six fails here; of 18,900 that pass the worst error is 5.3e-13.
    """
    if any(np.abs(arrays["a"]).max() > 4 or np.abs(arrays["a"]).min() < 0.001 for arrays in judgement.layers):
        return False
    return all(terms.max() <= 100 * np.abs(total).max() for terms, total in sums(layers, judgement))
