"""Random mixed networks, compared with jax.grad: loss, outputs, dE/dw, dE/db and dE/dx.

Activations are those of jax.nn, or written out if it has none. Every layer is a mixture, drawn from a seed. All layers
have the same width, because JAX compiles every operation again for every shape.

Points at which JAX itself loses digits are excluded: |a| above 4, for its tanh, and a near 0 or another kink.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
jax = pytest.importorskip("jax")
jax.config.update("jax_enable_x64", True)

from chainrule.functions.activations import activation_spec  # noqa: E402
from chainrule.functions.losses import loss_spec  # noqa: E402
from chainrule.graph.backprop import Gradients, gradients  # noqa: E402
from chainrule.graph.network import Layer, Network  # noqa: E402

nn, jnp = jax.nn, jax.numpy
Array = np.ndarray[Any, Any]
Function = Callable[..., Any]
Random = np.random.Generator

TOLERANCE = 1e-11  # of the largest entry of an array
NETWORKS = 60
WIDTH = 4  # of every layer, the inputs and the batch
FAR, NEAR = 4.0, 0.001  # no |a| above FAR, and none closer than NEAR to a kink
KINKS = np.array([-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0])
REDUCTIONS = ("sum", "mean", "batch_mean")

ELEMENTWISE: Mapping[str, Function] = {
    "identity": nn.identity,
    "sigmoid": nn.sigmoid,
    "tanh": nn.tanh,
    "relu": nn.relu,
    "relu6": nn.relu6,
    "softsign": nn.soft_sign,
    "exponential": jnp.exp,
    "log_sigmoid": nn.log_sigmoid,
    "silu": nn.silu,
    "mish": nn.mish,
    "hard_silu": nn.hard_silu,
    "selu": nn.selu,
    "gaussian": lambda a: jnp.exp(-(a**2)),
    "sin": jnp.sin,
    "cos": jnp.cos,
    "arctan": jnp.arctan,
    "square": jnp.square,
    "absolute": jnp.abs,
    "sparse_plus": nn.sparse_plus,
    "sparse_sigmoid": nn.sparse_sigmoid,
    "leaky_relu": nn.leaky_relu,
    "elu": nn.elu,
    "celu": nn.celu,
    "gelu": lambda a: a * jax.scipy.special.erfc(-a / np.sqrt(2.0)) / 2,
    "softplus": nn.softplus,
    "hard_sigmoid": nn.hard_sigmoid,
    "hard_tanh": nn.hard_tanh,
    "squareplus": nn.squareplus,
}
COUPLED: Mapping[str, Function] = {"softmax": nn.softmax, "log_softmax": nn.log_softmax}


def picked(o: Any, t: Any) -> Any:
    """The output of each sample's class."""
    return jnp.take_along_axis(o, t[:, None], axis=1)[:, 0]


@dataclass(frozen=True)
class LossTwin:
    """ℓ of every output or of every sample, the last layer that it requires, and the kind of its targets."""

    function: Function
    last: str = ""  # an activation, or any mixture
    targets: str = "number"


LOSSES: Mapping[str, LossTwin] = {
    "half_squared_error": LossTwin(lambda o, t: (o - t) ** 2 / 2),
    "squared_error": LossTwin(lambda o, t: (o - t) ** 2),
    "absolute_error": LossTwin(lambda o, t: jnp.abs(o - t)),
    "huber": LossTwin(lambda o, t: jnp.where(jnp.abs(o - t) < 1, (o - t) ** 2 / 2, jnp.abs(o - t) - 0.5)),
    "log_cosh": LossTwin(lambda o, t: jnp.logaddexp(o - t, t - o) - jnp.log(2.0)),
    "poisson_log": LossTwin(lambda o, t: jnp.exp(o) - t * o, "tanh"),
    "dot_product": LossTwin(lambda o, t: o * t),
    "binary_cross_entropy": LossTwin(
        lambda o, t: -t * jnp.log(o) - (1 - t) * jnp.log1p(-o), last="sigmoid", targets="fraction"
    ),
    "binary_cross_entropy_with_logits": LossTwin(
        lambda o, t: -t * nn.log_sigmoid(o) - (1 - t) * nn.log_sigmoid(-o), targets="fraction"
    ),
    "kl_divergence": LossTwin(lambda o, t: jax.scipy.special.rel_entr(t, o), last="softmax", targets="fraction"),
    "categorical_cross_entropy": LossTwin(lambda o, t: -(t * jnp.log(o)).sum(1), last="softmax", targets="fraction"),
    "categorical_cross_entropy_with_logits": LossTwin(lambda o, t: -(t * nn.log_softmax(o)).sum(1), targets="fraction"),
    "sparse_categorical_cross_entropy": LossTwin(lambda o, t: -jnp.log(picked(o, t)), last="softmax", targets="class"),
    "sparse_categorical_cross_entropy_with_logits": LossTwin(
        lambda o, t: -picked(nn.log_softmax(o), t), targets="class"
    ),
    "negative_log_likelihood": LossTwin(lambda o, t: -picked(o, t), last="log_softmax", targets="class"),
}


@dataclass(frozen=True)
class Case:
    """A network as both sides read it, with its inputs, targets and reduced loss."""

    activations: Sequence[Sequence[str]]
    parameters: Sequence[tuple[Array, Array]]  # weights and biases
    inputs: Array
    targets: Array
    loss: str
    reduction: str


def drawn_names(rng: Random, last: str) -> list[str]:
    """The activations of a layer's units: a mixture of elementwise ones, maybe with a coupled pair, or one for all."""
    if last:
        return [last] * WIDTH
    names = rng.choice(list(ELEMENTWISE), WIDTH).tolist()
    if rng.random() < 0.4:
        names[:2] = [str(rng.choice(list(COUPLED)))] * 2
    return [names[j] for j in rng.permutation(WIDTH)]


def drawn_targets(rng: Random, kind: str) -> Array:
    """Targets that the loss accepts."""
    if kind == "class":
        return rng.integers(0, WIDTH, WIDTH)
    square = (WIDTH, WIDTH)
    return rng.uniform(0.05, 0.95, square) if kind == "fraction" else rng.normal(size=square)


def drawn(rng: Random, seed: int) -> Case:
    """A network of one to four layers."""
    loss, reduction = list(LOSSES)[seed % len(LOSSES)], str(rng.choice(REDUCTIONS))
    activations = [drawn_names(rng, "") for _ in range(rng.integers(4))] + [drawn_names(rng, LOSSES[loss].last)]
    square = (WIDTH, WIDTH)
    parameters = [(rng.uniform(-0.6, 0.6, square), rng.uniform(-0.7, 0.7, WIDTH)) for _ in activations]
    targets = drawn_targets(rng, LOSSES[loss].targets)
    return Case(activations, parameters, rng.normal(size=square), targets, loss, reduction)


def layer_outputs(names: Sequence[str], a: Any) -> Any:
    """o of a layer's units: a coupled function of its own columns of a; any other of all columns, one of them used."""
    columns: dict[int, Any] = {}
    for j, name in enumerate(names):
        if name in COUPLED:
            units = [k for k, other in enumerate(names) if other == name]
            columns[j] = COUPLED[name](a[:, np.array(units)])[:, units.index(j)]
        else:
            columns[j] = ELEMENTWISE[name](a)[:, j]
    return jnp.stack([columns[j] for j in range(len(names))], axis=1)


def forward(case: Case, parameters: Any, x: Any) -> Iterator[tuple[Any, Any]]:
    """a and o of every layer."""
    for names, (weights, biases) in zip(case.activations, parameters, strict=True):
        a = x @ weights + biases
        x = layer_outputs(names, a)
        yield a, x


def judgement(case: Case) -> tuple[float, Array, Any, Array]:
    """JAX's loss, outputs, gradients by the parameters, and by the inputs."""

    def E(parameters: Any, x: Any) -> tuple[Any, Any]:
        *_, (_, o) = forward(case, parameters, x)
        losses = LOSSES[case.loss].function(o, jnp.asarray(case.targets))
        divisor = {"sum": 1, "mean": losses.size, "batch_mean": len(o)}[case.reduction]
        return losses.sum() / divisor, o

    (loss, o), (by_parameters, dE_dx) = jax.value_and_grad(E, (0, 1), has_aux=True)(case.parameters, case.inputs)
    return float(loss), np.asarray(o), by_parameters, np.asarray(dE_dx)


def has_its_digits(case: Case) -> bool:
    """Whether no pre-activation is saturated or near a kink."""
    x = case.inputs
    for names, (weights, biases) in zip(case.activations, case.parameters, strict=True):
        a = x @ weights + biases
        if np.abs(a).max() > FAR or np.abs(a[..., None] - KINKS).min() < NEAR:
            return False
        x = outputs_of_ours(names, a)
    return True


def outputs_of_ours(names: Sequence[str], a: Array) -> Array:
    """The outputs of the layer, by Chainrule. They only help to draw cases; JAX judges them."""
    layer = Layer.dense(np.eye(len(names)), None, tuple(activation_spec(name) for name in names))
    answer = gradients(Network((layer,)), a, np.zeros_like(a), loss_spec("dot_product"))
    return answer.outputs


def draw_case(seed: int) -> Case:
    """The first case of this seed that JAX can judge."""
    rng = np.random.default_rng(seed)
    while not has_its_digits(case := drawn(rng, seed)):
        pass
    return case


def ours(case: Case) -> Gradients:
    """Chainrule's answer."""
    layers = [
        Layer.dense(weights, biases, tuple(activation_spec(name) for name in names))
        for names, (weights, biases) in zip(case.activations, case.parameters, strict=True)
    ]
    return gradients(Network(tuple(layers)), case.inputs, case.targets, loss_spec(case.loss, case.reduction))


def far(what: str, found: Any, right: Any) -> Iterator[str]:
    """A complaint where an array is off by more than the tolerance of its largest entry."""
    error, largest = np.abs(found - np.asarray(right)).max(), np.abs(right).max()
    if not error <= TOLERANCE * largest:
        yield f"{what} is off by {error:.2g} of {largest:.2g}"


@pytest.mark.parametrize("seed", range(NETWORKS))
def test_a_random_mixed_network_agrees_with_jax(seed: int) -> None:
    """Loss, outputs and every gradient lie within 1e-11 of JAX's largest entry."""
    case = draw_case(seed)
    answer = ours(case)
    loss, o, by_parameters, dE_dx = judgement(case)
    complaints = [*far("loss", answer.loss, loss), *far("o", answer.outputs, o), *far("dE_dx", answer.dE_dx, dE_dx)]
    for k, (layer, (dE_dw, dE_db)) in enumerate(zip(answer.layers, by_parameters, strict=True)):
        complaints += far(f"dE_dw of layer {k}", layer.dE_dw, dE_dw)
        complaints += far(f"dE_db of layer {k}", layer.dE_db, dE_db)
    assert complaints == [], case


def test_the_random_networks_cover_everything() -> None:
    """Every activation is drawn five times, every loss four times."""
    cases = [draw_case(seed) for seed in range(NETWORKS)]
    names = [name for case in cases for layer in case.activations for name in set(layer)]
    assert {name: names.count(name) for name in (*ELEMENTWISE, *COUPLED) if names.count(name) < 5} == {}
    assert {name for name in LOSSES if sum(case.loss == name for case in cases) < 4} == set()
