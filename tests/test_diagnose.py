"""The diagnosis of a client's gradients: every known mistake, planted by other code, is named for what it is."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from chainrule import Network, dense, loss_spec
from chainrule.agreement import Given, Tolerance
from chainrule.backprop import gradients as right_gradients
from chainrule.checking import Check, check
from chainrule.mistakes import MISTAKES
from tests import planted_bugs as plain
from tests.planted_bugs import Net

HIDDEN = ("sigmoid", "tanh", "relu", "leaky_relu")
NETWORKS = 20  # random ones for each mistake
WIDEST = 400  # networks drawn at most to find them

# What is planted, and the cause by which it has to be named; where the mistake shows only in some networks, their kind.
PLANTED: dict[str, tuple[str, dict[str, Any]]] = {
    "sign": ("sign", {}),
    "times 2": ("half_missing", {}),
    "times 1/2": ("half_twice", {}),
    "2 lost": ("half_twice", {"loss": "squared_error"}),
    "no 1/n": ("samples_not_divided", {"reduction": "batch_mean"}),
    "1/n twice": ("samples_divided", {}),
    "no 1/m": ("outputs_not_divided", {"reduction": "mean", "loss": "half_squared_error"}),
    "1/m twice": ("outputs_divided", {}),
    "no 1/(n m)": ("samples_and_outputs_not_divided", {"reduction": "mean", "loss": "half_squared_error"}),
    "1/(n m) twice": ("samples_and_outputs_divided", {}),
    "constant": ("times_constant", {}),
    "no dE/do": ("loss_derivative_missing", {"reduction": "sum"}),
    "loss as derivative": ("loss_instead_of_derivative", {"loss": "half_squared_error"}),
    "absolute": ("absolute_error_signal", {"last": ("sigmoid", "tanh")}),
    "no targets": ("targets_not_used", {"loss": "half_squared_error"}),
    "o - t": ("squared_error_derivative", {"loss": "categorical_cross_entropy"}),
    "o - t as delta": ("shortcut_of_another_loss", {"loss": "half_squared_error", "last": ("sigmoid", "tanh")}),
    "no smoothing": ("label_smoothing_forgotten", {"loss": "categorical_cross_entropy", "smoothing": 0.2}),
    "no do/da": ("activation_derivative_missing", {}),
    "no do/da at the output": ("activation_derivative_missing", {"last": ("sigmoid", "tanh", "softmax")}),
    "no do/da below": ("activation_derivative_missing", {}),
    "phi'(o)": ("derivative_at_output", {"first": ("sigmoid", "tanh")}),
    "a below": ("derivative_at_layer_below", {"square": True}),
    "a(1-a)": ("sigmoid_formula_given_a", {"first": ("sigmoid",)}),
    "1-a^2": ("tanh_formula_given_a", {"first": ("tanh",)}),
    "all o(1-o)": ("sigmoid_derivative_for_another", {"last": ("tanh", "sigmoid")}),
    "all 1-o^2": ("tanh_derivative_for_another", {}),
    "all relu": ("relu_slope_for_another", {"last": ("tanh", "sigmoid")}),
    "all sigmoid'": ("sigmoid_slope_for_another", {}),
    "all as first": ("first_activation_everywhere", {"last": ("tanh", "sigmoid")}),
    "all as last": ("last_activation_everywhere", {"last": ("tanh", "sigmoid")}),
    "no slope": ("activation_parameters_forgotten", {"first": ("leaky_relu",)}),
    "softmax diagonal": ("softmax_elementwise", {"last": ("softmax",)}),
    "softmax sign": ("softmax_off_diagonal_sign", {"last": ("softmax",)}),
    "shortcut times prime": ("shortcut_and_derivative", {"loss": "categorical_cross_entropy"}),
    "prime twice": ("derivative_twice", {}),
    "mask by e": ("masked_by_sign_of_dE_do", {}),
    "nothing down": ("handed_down_missing", {}),
    "e down": ("dE_do_handed_down", {}),
    "first unit": ("first_unit_only", {}),
    "last unit": ("last_unit_only", {}),
    "same unit": ("same_unit_only", {}),
    "mean down": ("hidden_sum_averaged", {}),
    "no w": ("weights_not_used_on_the_way_down", {}),
    "w not transposed": ("weights_not_transposed_on_the_way_down", {"square": True}),
    "w reshaped": ("weights_reshaped_on_the_way_down", {}),
    "updated weights": ("updated_weights_on_the_way_down", {"reduction": "sum"}),
    "no da/dw": ("input_missing", {}),
    "a for o": ("a_instead_of_o", {}),
    "own o": ("da_dw_of_layer_above", {"square": True}),
    "layer below": ("da_dw_of_layer_below", {"square": True}),
    "means": ("means_multiplied", {}),
    "transposed": ("transposed", {}),
    "first input": ("first_input_skipped", {}),
    "last input": ("last_input_skipped", {}),
    "w / n": ("weights_averaged", {}),
    "w * n": ("weights_not_divided", {"reduction": "batch_mean"}),
    "w zero": ("weights_zero", {}),
    "one dw times 1.7": ("dE_dw_times_constant", {}),
    "l2": ("l2_term", {}),
    "l1": ("l1_term", {}),
    "b from dw": ("bias_from_dE_dw", {}),
    "b from e": ("bias_from_dE_do", {}),
    "one b": ("bias_summed_over_units", {}),
    "b first": ("bias_of_first_sample", {}),
    "b last": ("bias_of_last_sample", {}),
    "b / n": ("bias_averaged", {}),
    "b * n": ("bias_not_divided", {"reduction": "batch_mean"}),
    "b zero": ("bias_zero", {}),
    "b times 3.7": ("dE_db_times_constant", {}),
    "first sample": ("first_sample_only", {}),
    "last sample": ("last_sample_only", {}),
    "clipped": ("clipped_by_value", {}),
    "signs": ("sign_of_gradient", {}),
}
PAIRS = [
    ("sign", "b / n"),
    ("sign", "no do/da"),
    ("times 2", "b zero"),
    ("1/n twice", "e down"),
    ("phi'(o)", "b last"),
    ("no da/dw", "b / n"),
    ("a for o", "times 2"),
    ("first unit", "sign"),
    ("updated weights", "sign"),
    ("l2", "b / n"),
    ("no do/da at the output", "same unit"),
    ("no w", "w / n"),
    ("transposed", "b / n"),
    ("last sample", "1/n twice"),
    ("softmax diagonal", "1/n twice"),
]

Gradients = list[tuple[Any, Any]]


def as_float64(g: Gradients) -> Gradients:
    return [(w.astype(np.float64), b.astype(np.float64)) for w, b in g]


def to_three_digits(g: Gradients) -> Gradients:
    digits = np.vectorize(lambda number: float(f"{number:.3g}"), otypes=[float])
    return [(digits(w), digits(b)) for w, b in g]


def draw(random: np.random.Generator, depth: tuple[int, ...] = (2, 3), **kind: Any) -> Net:
    """A random network of 2 or 3 layers, 2 to 4 units wide, on 3 to 5 samples."""
    sizes = random.integers(2, 5, random.choice(depth) + 1)
    if kind.get("square"):
        sizes[:] = sizes[0]
    losses = ["half_squared_error"] if "last" in kind else ["half_squared_error", "categorical_cross_entropy"]
    loss = kind.get("loss") or random.choice(losses)
    last = kind.get("last", ("sigmoid", "tanh", "softmax"))
    if loss == "categorical_cross_entropy" or "softmax" in last == last[:1]:
        last = ("softmax",)
    acts = [str(random.choice(HIDDEN)) for _ in sizes[2:]] + [str(random.choice(last))]
    acts[0] = str(random.choice(kind.get("first", acts[:1])))
    layers = tuple(
        (random.normal(0, 1.2 / np.sqrt(i), (i, j)), random.normal(0, 0.4, j), act)
        for i, j, act in zip(sizes, sizes[1:], acts, strict=False)
    )
    samples = int(random.integers(3, 6))
    t = random.uniform(0.1, 0.9, (samples, sizes[-1]))
    if acts[-1] == "softmax":
        t = np.eye(sizes[-1])[random.integers(0, sizes[-1], samples)]
    reduction = kind.get("reduction") or random.choice(["sum", "mean", "batch_mean"])
    x = random.normal(0, 1, (samples, sizes[0]))
    return Net(layers, x, t, str(loss), str(reduction), kind.get("smoothing", 0.0))


def showing(bugs: tuple[str, ...], least: float, depth: tuple[int, ...] = (2, 3), **kind: Any) -> Iterator[Net]:
    """Random networks in which every one of these mistakes changes some array by at least so much of its size."""
    random = np.random.default_rng(sum(map(ord, "".join(bugs))))
    for _ in range(WIDEST):
        net = draw(random, depth, **kind)
        right, wrong = plain.gradients(net), plain.gradients(net, bugs)
        lesser = [plain.gradients(net, [bug for bug in bugs if bug != left_out]) for left_out in bugs]
        if all(_distance(other, wrong) > least for other in (right, *lesser)) and _changed(right, wrong) > 1:
            yield net


def _distance(one: Gradients, other: Gradients) -> float:
    pairs = [(a, b) for p, q in zip(one, other, strict=True) for a, b in zip(p, q, strict=True)]
    return max(float(abs(a - b).max() / max(abs(a).max(), abs(b).max(), 1e-12)) for a, b in pairs)


def _changed(one: Gradients, other: Gradients) -> int:
    """How many numbers differ; a single one tells nothing of a mistake that leaves a number open."""
    pairs = [(a, b) for p, q in zip(one, other, strict=True) for a, b in zip(p, q, strict=True)]
    return sum(int((abs(a - b) > 1e-9).sum()) for a, b in pairs)


def checked(net: Net, given: list[Given], tolerance: Tolerance | None = None) -> Check:
    """What the core says of gradients."""
    activation: dict[str, Any] = {"leaky_relu": {"name": "leaky_relu", "negative_slope": plain.SLOPE}}
    network = Network(tuple(dense(w, activation.get(act, act), b) for w, b, act in net.layers))
    more = {"label_smoothing": net.smoothing} if net.smoothing else {}
    loss = loss_spec(net.loss, net.reduction, **more)  # type: ignore[arg-type]
    result = right_gradients(network, net.x, net.t, loss)
    return check(network, result, net.t, loss, given, tolerance or Tolerance())


def as_given(g: Gradients) -> list[Given]:
    return [Given(w, b) for w, b in g]


def causes(found: Check) -> list[tuple[str, ...]]:
    return [diagnosis.variant.causes for diagnosis in found.search.diagnoses]


def test_the_plain_backpropagation_is_right() -> None:
    """Without a mistake it has the gradients of the core; so what it plants is the mistake and nothing else."""
    random = np.random.default_rng(5)
    for _ in range(50):
        found = checked(net := draw(random), as_given(plain.gradients(net)), Tolerance(1e-9, 1e-12))
        assert found.agrees
        assert found.first_wrong_layer is None
        assert found.search.diagnoses == ()


@pytest.mark.parametrize("precision", ["float64", "float32", "three digits"])
@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_mistake_is_named(bug: str, precision: str) -> None:
    """On 20 random networks each, in float64, in float32, and rounded to three significant digits."""
    cause, kind = PLANTED[bug]
    nets = list(itertools.islice(showing((bug,), 0.05, **kind), NETWORKS))
    assert len(nets) == NETWORKS
    for net in nets:
        wrong = plain.gradients(net.cast(np.float32) if precision == "float32" else net, (bug,))
        given = to_three_digits(wrong) if precision == "three digits" else as_float64(wrong)
        found = checked(net, as_given(given))
        assert not found.agrees
        assert (cause,) in causes(found), (net, causes(found))
        assert all(diagnosis.residual < 0.01 for diagnosis in found.search.diagnoses)


@pytest.mark.parametrize("pair", PAIRS, ids=" and ".join)
def test_a_planted_pair_is_named(pair: tuple[str, str]) -> None:
    """On 20 random networks each, where neither is blind to the other; every fourth time rounded to three digits."""
    named = {PLANTED[bug][0] for bug in pair}
    kind = PLANTED[pair[0]][1] | PLANTED[pair[1]][1]
    nets = list(itertools.islice(showing(pair, 0.05, (2,), **kind), NETWORKS))
    assert len(nets) == NETWORKS
    for number, net in enumerate(nets):
        wrong = plain.gradients(net, pair)
        found = checked(net, as_given(to_three_digits(wrong) if number % 4 == 0 else wrong))
        assert any(set(names) == named for names in causes(found)) or _one_reproduces(found), (net, causes(found))


def _one_reproduces(found: Check) -> bool:
    """Whether a single mistake gives the same numbers as the pair: the simpler claim is made then."""
    return bool(found.search.diagnoses) and all(len(names) == 1 for names in causes(found))
