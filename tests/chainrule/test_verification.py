"""Verification by differences: right gradients agree, wrong ones do not, and parameters on kinks are left out."""

import tracemalloc
from itertools import count, pairwise
from random import Random
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from mpmath import mp

from chainrule.functions.activations import ACTIVATIONS, activation_spec
from chainrule.functions.losses import LOSSES, LossSpec, loss_spec
from chainrule.functions.tables import Array
from chainrule.graph.backprop import gradients
from chainrule.graph.moved import Moved, Parameters
from chainrule.graph.network import Network, dense
from chainrule.notices import first_non_finite
from chainrule.verification import Comparison, Verification, verify
from schemas.gradients import GradientRequestSchema
from tests.fuzz import mutator

TOLERANCE = 1e-6

RNG = np.random.default_rng(7)
NETWORK = Network(
    (
        dense(RNG.normal(size=(2, 3)), ["tanh", "softplus", "relu"], RNG.normal(size=3)),
        dense(RNG.normal(size=(3, 3)), "softmax"),
    )
)
INPUTS = RNG.normal(size=(4, 2))
CLASSES = np.array([0.0, 2.0, 1.0, 2.0])
LOSS = loss_spec("sparse_categorical_cross_entropy", "mean")


def test_right_gradients_agree_to_many_digits() -> None:
    """All 6 + 3 + 9 parameters, to 1e-10 of the largest derivative."""
    found = verify(NETWORK, gradients(NETWORK, INPUTS, CLASSES, LOSS).layers, CLASSES, LOSS)
    assert (found.checked, found.left_out) == (18, 0)
    assert found.worst is not None
    assert found.worst.relative_error < 1e-10


@pytest.mark.parametrize(("layer", "index"), [(0, (1, 2)), (1, (2, 0))])
def test_one_wrong_derivative_is_the_worst(layer: int, index: tuple[int, int]) -> None:
    """A thousandth of the largest derivative is added to one: it is named, with both numbers."""
    layers = list(gradients(NETWORK, INPUTS, CLASSES, LOSS).layers)
    wrong = layers[layer].dE_dw.copy()
    right, largest = wrong[index], np.abs(wrong).max()
    wrong[index] += 1e-3 * largest
    layers[layer] = layers[layer].with_derivatives(weights=wrong)
    worst = verify(NETWORK, tuple(layers), CLASSES, LOSS).worst
    assert worst is not None
    assert (worst.layer, worst.unit_before, worst.unit) == (layer, *index)
    assert worst.analytic == wrong[index]
    assert worst.numeric == pytest.approx(right, abs=1e-9)
    assert worst.relative_error == pytest.approx(1e-3, rel=0.01)


def test_a_wrong_bias_is_named_as_a_bias() -> None:
    """No unit before it."""
    first, second = gradients(NETWORK, INPUTS, CLASSES, LOSS).layers
    assert first.dE_db is not None
    wrong = first.with_derivatives(biases=first.dE_db + np.array([0.0, 1.0, 0.0]))
    worst = verify(NETWORK, (wrong, second), CLASSES, LOSS).worst
    assert worst is not None
    assert (worst.layer, worst.unit_before, worst.unit) == (0, None, 1)


def test_parameters_that_cross_a_kink_are_left_out_and_counted() -> None:
    """A relu at a = 0 crosses when its weight or bias moves; the tanh beside it does not."""
    network = Network((dense([[1.0, 0.3]], ["relu", "tanh"], [-1.0, 0.0]),))
    x, t, loss = np.array([[1.0]]), np.array([[0.5, 0.5]]), loss_spec("half_squared_error")
    found = verify(network, gradients(network, x, t, loss).layers, t, loss)
    assert (found.checked, found.left_out) == (2, 2)
    assert found.worst is not None
    assert found.worst.relative_error < 1e-9


def _verified(activation: Any, weights: Any, targets: Any, loss: str = "dot_product") -> Verification:
    """One layer without biases, given the input 1, so that a = w."""
    network, spec = Network((dense(weights, activation),)), loss_spec(loss)
    x, t = np.array([[1.0]]), np.array(targets)
    return verify(network, gradients(network, x, t, spec).layers, t, spec)


@pytest.mark.parametrize(
    ("loss", "outputs", "targets", "left_out"),
    [
        ("absolute_error", [2.0], [2.0], 1),
        ("quantile", [2.0, 3.0], [2.0, 2.0], 1),
        ("percentage_error", [3.0, 2.0], [2.0, 2.0], 1),
        ("hinge", [1.0, -1.0, 1.0], [1.0, -1.0, -1.0], 2),
        ("categorical_hinge", [0.5, 0.5, 1.0], [0.0, 0.0, 1.0], 2),  # two are largest; the third moves neither
        ("cosine_similarity", [0.0, 0.0], [0.3, 0.4], 2),  # the zero vector has no direction, and any step gives it one
        ("categorical_hinge", [0.5, 0.25, 1.5], [0.0, 0.0, 1.0], 2),  # just 0, and the second is far from the largest
    ],
)
def test_a_kink_of_the_loss_is_recognised(loss: str, outputs: list[float], targets: list[float], left_out: int) -> None:
    """Output and target are equal: the absolute error has no derivative there, so that nothing can be checked."""
    found = _verified("identity", [outputs], [targets], loss)
    assert (found.checked, found.left_out) == (len(outputs) - left_out, left_out)
    assert found.worst is None or found.worst.relative_error < 1e-9


@pytest.mark.parametrize("activation", ["step", "hard_shrink", "threshold", "thresholded_relu"])
def test_a_jump_is_left_out(activation: str) -> None:
    """A quotient across a step of 1 would be 1/2h, about 700, and the derivative is 0. The unit beside is far off."""
    at = activation_spec(activation).kinks()[-1].at
    found = _verified(activation, [[at, at + 1.0]], [[0.5, 0.5]])
    assert (found.checked, found.left_out) == (1, 1)
    assert found.worst is not None
    assert found.worst.relative_error < 1e-9


def test_a_border_of_a_group_is_left_out() -> None:
    """Sparsemax of (1, 0, -2): the second is on the border, which moves with the first; the third is far outside."""
    found = _verified("sparsemax", [[1.0, 0.0, -2.0]], [[0.3, 0.7, -0.4]])
    assert (found.checked, found.left_out) == (1, 2)
    found = _verified("sparsemax", [[1.0, 0.5, -2.0]], [[0.3, 0.7, -0.4]])
    assert (found.checked, found.left_out) == (3, 0)
    assert found.worst is not None
    assert found.worst.relative_error < 1e-9


def test_a_unit_that_rests_on_a_kink_does_not_disturb_the_others() -> None:
    """Its input is 0, so no weight moves it: a = 0 on both sides of every step."""
    network = Network((dense([[1.0, 0.5]], ["relu", "tanh"]),))
    x, t, loss = np.array([[0.0]]), np.array([[0.5, 0.5]]), loss_spec("half_squared_error")
    found = verify(network, gradients(network, x, t, loss).layers, t, loss)
    assert (found.checked, found.left_out) == (2, 0)


def _found(rng: np.random.Generator, hidden: str, last: str, loss: LossSpec) -> Verification:
    """Two layers, 3 to 3 to 4 units, with small whole and half numbers, so that sums are often on a kink."""
    network = Network(
        (
            dense(rng.integers(-2, 3, (3, 3)), hidden, rng.integers(-2, 3, 3) / 2),
            dense(rng.integers(-1, 2, (3, 4)), last, rng.integers(-2, 3, 4) / 2),
        )
    )
    x, t = rng.integers(-1, 2, (2, 3)).astype(float), _targets(rng, loss)
    return verify(network, gradients(network, x, t, loss).layers, t, loss)


def _targets(rng: np.random.Generator, loss: LossSpec) -> Array:
    """Targets of two samples that the loss takes for four outputs; none is 0 or 1 if the loss takes fractions."""
    row = loss.loss
    if row.class_indices:
        return rng.integers(0, 4, 2).astype(float)
    if row.target_values:
        return rng.choice(row.target_values, (2, 4))
    if row.name == "categorical_hinge":
        return np.eye(4)[rng.integers(0, 4, 2)]
    return np.full((2, 4 // row.outputs_per_target), 0.5)


def _judged(found: list[Verification]) -> tuple[int, float]:
    """How many parameters were left out, of 28 a network, and the largest error of all the others."""
    assert {verification.checked + verification.left_out for verification in found} == {28}
    errors = [verification.worst.relative_error for verification in found if verification.worst is not None]
    return sum(verification.left_out for verification in found), max(errors)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_networks_of_every_activation_agree_or_leave_out_what_is_near_a_kink(activation: str) -> None:
    """To 1e-6, also where slopes bend. Many units are on a kink: only the parameters that move them are left out."""
    rng, row = np.random.default_rng(11), ACTIVATIONS[activation]
    left_out, worst = _judged([_found(rng, activation, "identity", loss_spec("dot_product")) for _ in range(6)])
    assert worst < TOLERANCE
    assert bool(left_out) == bool(row.border or activation_spec(activation).kinks())


@pytest.mark.parametrize("name", LOSSES)
def test_networks_of_every_loss_agree_or_leave_out_what_is_near_a_kink(name: str) -> None:
    """To 1e-6, for outputs and targets that are whole or half numbers, so that t·o = 1 and o = t occur."""
    rng, row = np.random.default_rng(3), LOSSES[name]
    is_of_scores = row.target_range is None and not row.class_indices and name != "squared_log_error"
    last = "identity" if is_of_scores or row.borders else "sigmoid"
    left_out, worst = _judged([_found(rng, "identity", last, loss_spec(name)) for _ in range(6)])
    assert worst < TOLERANCE
    assert bool(left_out) == (bool(row.borders) and name != "cosine_similarity")  # all four outputs would have to be 0


def test_the_answer_has_the_verification_if_requested(client: FlaskClient) -> None:
    """method, checked, left_out, max_relative_error, worst; without `verify`, no `verification`."""
    body = {
        "network": {"layers": [{"activation": "tanh", "weights": [[0.5], [1.0]], "biases": [0.25]}]},
        "inputs": [2.0, -1.0],
        "targets": [1.0],
        "verify": True,
    }
    found = client.post("/v1/gradients", json=body).get_json()["verification"]
    assert (found["checked"], found["left_out"]) == (3, 0)
    assert found["method"].startswith("central differences")
    assert found["max_relative_error"] == found["worst"]["relative_error"] < 1e-10
    assert found["worst"]["layer"] == found["worst"]["to"] == 0
    assert "verification" not in client.post("/v1/gradients", json=body | {"verify": False}).get_json()


STEP = float(np.finfo(np.float64).eps ** 0.2)  # the longest


def test_a_step_that_ends_on_a_jump_is_made_shorter() -> None:
    """The step function is 0 at w - h = 0, and 1 at w + h = 2h: the quotient is 1/2h, but the derivative is 0."""
    found = _verified("step", [[STEP]], [[1.0]])
    assert (found.checked, found.left_out) == (1, 0)
    assert found.worst is not None
    assert found.worst.numeric == 0.0


def test_the_step_is_shortened_until_it_does_not_reach_a_near_kink() -> None:
    """A relu at a = 1e-6 has the slope 1; a step of 7e-4 would find 0.5. On the kink there is none."""
    found = _verified("relu", [[1e-6, -1e-6, 0.0]], [[1.0, 1.0, 1.0]])
    assert (found.checked, found.left_out) == (2, 1)
    assert found.worst is not None
    assert found.worst.relative_error < 1e-7


@pytest.mark.parametrize("size", [1e-9, 1e-3, 1e3, 1e9])
def test_the_step_depends_on_the_size_of_the_input(size: float) -> None:
    """tanh(w·x + b), with x = 1e-9 or 1e9 and w = 1/x: both derivatives are right to a relative 1e-10."""
    network = Network((dense([[0.5 / size]], "tanh", [0.25]),))
    x, t, loss = np.array([[size]]), np.array([[0.3]]), loss_spec("half_squared_error")
    found = verify(network, gradients(network, x, t, loss).layers, t, loss)
    assert (found.checked, found.left_out) == (2, 0)
    assert found.worst is not None
    assert found.worst.relative_error < 1e-10


def test_a_slope_that_bends_is_found_by_shorter_steps() -> None:
    """elu at 0: its slope is 1 on the right and e^a on the left. A step of 7e-4 alone would be off by 6e-5."""
    found = _verified("elu", [[0.0]], [[1.0]])
    assert (found.checked, found.left_out) == (1, 0)
    assert found.worst is not None
    assert found.worst.relative_error < 1e-7


@pytest.fixture
def sweeps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The forward passes of each sweep of a verification, as they are made."""
    passes, losses = [], Moved.losses

    def counted(base: Moved, parameters: Parameters, moves: Array) -> Any:
        passes.append(moves.size)
        return losses(base, parameters, moves)

    monkeypatch.setattr(Moved, "losses", counted)
    return passes


def test_a_kink_takes_no_more_than_three_rounds(sweeps: list[int]) -> None:
    """400 units of relu on their kink: two steps of 6 passes for each, and 2 passes for each of three shorter ones."""
    found = _verified("relu", [[0.0] * 400], [[1.0] * 400])
    assert (found.checked, found.left_out) == (0, 400)
    assert sum(sweeps) == 400 * (6 + 6 + 3 * 2)


def test_smooth_parameters_take_one_step_each(sweeps: list[int]) -> None:
    """tanh of three units: six passes for each, in one sweep."""
    _verified("tanh", [[0.5, -1.0, 0.2]], [[1.0, 0.3, -2.0]])
    assert sweeps == [18]


def test_few_parameters_share_one_sweep_of_all_shorter_steps(sweeps: list[int]) -> None:
    """A relu on its kink beside a tanh: 2 × 6 passes, and then 4 × 6 for the relu alone."""
    found = _verified("relu", [[0.0, 1.0]], [[1.0, 0.5]])
    assert (found.checked, found.left_out) == (1, 1)
    assert sweeps == [12, 24]


@pytest.mark.parametrize("near", [1e-4, 1e-6, 1e-8])
def test_many_parameters_beside_a_kink_are_verified(near: float) -> None:
    """400 units of relu, too many for one sweep of all steps: some step is short enough for each."""
    found = _verified("relu", [[near, -near] * 200], [[1.0] * 400])
    assert (found.checked, found.left_out) == (400, 0)
    assert found.agrees


@pytest.mark.parametrize("activation", ["elu", "relu", "absolute", "sin", "gelu", "hard_silu", "softsign"])
def test_steps_in_one_sweep_give_what_they_give_one_by_one(activation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the last bit: units on bends and kinks, beside them, and far from them, and waves that steps jump over."""
    weights = [[0.0, 1e-3, -1e-5, 1e-7, 0.5, -3.0, 20.0, 1e5]]
    by_few = {}
    for few in (True, False):
        monkeypatch.setattr(Moved, "few", lambda *_, few=few: few)
        by_few[few] = _verified(activation, weights, [[1.0, 0.5, -0.5, 2.0, 1.0, 1.0, -1.0, 1.0]])
    assert by_few[True] == by_few[False]


def test_random_networks_of_all_kinds_are_verified_to_many_digits() -> None:
    """60 networks of the whole catalogue, with numbers from 1e-8 to 1e3: the worst derivative of most is right to 1e-8.

    At most two are exceptions, besides derivatives too small to change E beyond its rounding, 1e-16, in a step of 7e-4.
    """
    rng, errors = Random(5), []
    while len(errors) < 60:
        asked = GradientRequestSchema().load(mutator.request(rng))
        result = gradients(asked.network, asked.inputs, asked.targets, asked.loss)
        if first_non_finite(result) is not None:
            continue
        worst = verify(asked.network, result.layers, asked.targets, asked.loss).worst
        if worst is not None:
            lost = abs(worst.analytic - worst.numeric) < 1e-11 * np.abs(result.losses).sum()
            errors.append(0.0 if lost else worst.relative_error)
    assert sum(error > 1e-8 for error in errors) <= 2


def test_a_verification_warns_of_nothing() -> None:
    """Softmax with binary cross-entropy computes -inf - -inf for the largest unit, and ignores the result."""
    found = _verified("softmax", [[1.0, -2.0, 0.3]], [[1.0, 0.0, 0.5]], "binary_cross_entropy")
    assert (found.checked, found.left_out) == (3, 0)
    assert found.worst is not None
    assert found.worst.relative_error < 1e-9


def _of_layers(sizes: list[int], activation: str, seed: int, loss: LossSpec, samples: int = 3) -> Any:
    """A network of random weights, with a batch, and its gradients."""
    rng = np.random.default_rng(seed)
    layers = [dense(rng.normal(size=(i, j)), activation, rng.normal(size=j) / 4) for i, j in pairwise(sizes)]
    x, network = rng.normal(size=(samples, sizes[0])), Network(tuple(layers))
    t = np.full((samples, sizes[-1]), 0.5)
    return network, gradients(network, x, t, loss), t


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_right_gradients_agree(activation: str) -> None:
    """No derivative is off by more than its noise, in networks of any activation, shallow and deep."""
    for sizes, seed in (([3, 4, 2], 1), ([2, 3, 3, 3, 3, 3, 2], 2)):
        network, result, t = _of_layers(sizes, activation, seed, loss_spec("half_squared_error", "mean"))
        if first_non_finite(result) is None:
            found = verify(network, result.layers, t, loss_spec("half_squared_error", "mean"))
            assert found.agrees
            assert (found.disagreeing, found.worst_beyond_noise) == (0, None)


def test_twenty_sigmoids_agree_within_the_reported_noise() -> None:
    """Derivatives of 1e-10 or less, of a loss near 1, are off by thousandths; the noise is as large."""
    network, result, t = _of_layers([3] * 21, "sigmoid", 0, LOSS_OF_SQUARES)
    found = verify(network, result.layers, t, LOSS_OF_SQUARES)
    assert found.worst is not None
    assert 1e-5 < found.worst.relative_error < found.worst.noise
    assert found.agrees


LOSS_OF_SQUARES = loss_spec("squared_error")


@pytest.mark.parametrize("depth", [1, 3, 8])
@pytest.mark.parametrize("factor", [-1.0, 0.0, 0.5, 1.01, 1.0 + 1e-6, 2.0])
def test_a_wrong_derivative_above_the_noise_disagrees(depth: int, factor: float) -> None:
    """One derivative of a layer is multiplied: it is named if the change is more than its noise."""
    network, result, t = _of_layers([3] * (depth + 1), "tanh", depth, LOSS_OF_SQUARES)
    for k in range(depth):
        layers = list(result.layers)
        wrong = layers[k].dE_dw.copy()
        place = np.unravel_index(np.abs(wrong).argmax(), wrong.shape)
        wrong[place] *= factor
        layers[k] = layers[k].with_derivatives(weights=wrong)
        found = verify(network, tuple(layers), t, LOSS_OF_SQUARES)
        assert not found.agrees
        assert found.disagreeing == 1
        named = found.worst_beyond_noise
        assert named is not None
        assert (named.layer, named.unit_before, named.unit) == (k, *place)
        assert named.relative_error > named.noise


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "softplus"])
@pytest.mark.parametrize("depth", [1, 6, 12])
def test_the_noise_is_at_least_what_differences_are_off_by(activation: str, depth: int) -> None:
    """Compared with the derivatives by all weights in 60-digit arithmetic, no quotient is off by more."""
    network, result, t = _of_layers([2] * (depth + 1), activation, depth, LOSS_OF_SQUARES, samples=1)
    found = verify(network, result.layers, t, LOSS_OF_SQUARES)
    assert found.worst is not None
    with mp.workdps(60):
        exact = _by_differences_of_mpmath(network, result.layers[0].da_dw[0], found.worst)
    scale = float(np.abs(result.layers[found.worst.layer].dE_dw).max())
    assert abs(found.worst.numeric - exact) / scale <= 1.01 * found.worst.noise


FUNCTIONS = {
    "sigmoid": lambda a: 1 / (1 + mp.exp(-a)),
    "tanh": mp.tanh,
    "softplus": lambda a: mp.log(1 + mp.exp(a)),
}


def _by_differences_of_mpmath(network: Network, x: Array, place: Comparison) -> float:
    """dE/dw or dE/db from E(w + h) - E(w - h), h = 1e-20, of E = Σ (o - ½)²."""

    def loss(step: Any) -> Any:
        o = [mp.mpf(float(number)) for number in x]
        for k, layer in enumerate(network.layers):
            assert layer.biases is not None
            a = []
            for j in range(layer.units):
                total = mp.mpf(float(layer.biases[j]))
                total += step if (k, None, j) == (place.layer, place.unit_before, place.unit) else 0
                for i, before in enumerate(o):
                    moved = step if (k, i, j) == (place.layer, place.unit_before, place.unit) else 0
                    total += before * (mp.mpf(float(layer.weights[i, j])) + moved)
                a.append(total)
            o = [FUNCTIONS[layer.activations[0].activation.name](number) for number in a]
        return sum((number - mp.mpf("0.5")) ** 2 for number in o)

    h = mp.mpf(10) ** -20
    return float((loss(h) - loss(-h)) / (2 * h))


def test_waves_that_every_step_jumps_over_are_not_called_wrong() -> None:
    """A sine of 1e9 periods a unit: no difference finds its slope, and the noise says so."""
    network = Network((dense([[1.0]], "sin"), dense([[1e-7]], "identity")))
    x, t = np.array([[3e9]]), np.array([[1e5]])
    found = verify(network, gradients(network, x, t, LOSS_OF_SQUARES).layers, t, LOSS_OF_SQUARES)
    assert found.agrees


@pytest.mark.parametrize("wave", ["sin", "cos"])
@pytest.mark.parametrize("exponent", [26.0, 28.0, 30.0, 31.5, 33.0])
def test_waves_that_even_the_shortest_step_jumps_over_are_not_called_wrong(exponent: float, wave: str) -> None:
    """sin at exp(30) = 1e13: w ± h moves its argument by 1e5 and more; a quotient is a millionth of the slope."""
    network = Network((dense([[exponent]], "exp"), dense([[1.0]], wave)))
    inputs, targets, loss = np.ones((1, 1)), np.zeros((1, 1)), loss_spec("half_squared_error")
    found = verify(network, gradients(network, inputs, targets, loss).layers, targets, loss)
    assert found.agrees


@pytest.mark.parametrize("wave", ["sin", "cos"])
@pytest.mark.parametrize("scale", [4e15, 1e16, 3e17])
def test_a_wave_that_is_shorter_than_the_last_bit_of_its_argument_is_not_called_wrong(wave: str, scale: float) -> None:
    """At 1e16 neighbours in float64 are 2 apart. The loss is large for another reason, so that its noise is not."""
    network = Network((dense([[scale, 0.1]], [wave, "identity"]),))
    inputs, targets, loss = np.ones((1, 1)), np.array([[0.0, 100.0]]), loss_spec("half_squared_error")
    (layer,) = gradients(network, inputs, targets, loss).layers
    assert verify(network, (layer,), targets, loss).agrees
    wrong = layer.with_derivatives(weights=layer.dE_dw * [[1.0, -1.0]])
    assert verify(network, (wrong,), targets, loss).disagreeing == 1


def test_a_wrong_derivative_beside_a_bend_is_not_mistaken_for_noise() -> None:
    """A slope that bends at w: shorter steps come closer, so a derivative of 0 in place of 1 is reported."""
    network = Network((dense([[0.0, 1e-3]], "elu"),))
    inputs, targets, loss = np.ones((1, 1)), np.array([[1.0, 1.0]]), loss_spec("dot_product")
    (layer,) = gradients(network, inputs, targets, loss).layers
    found = verify(network, (layer.with_derivatives(weights=np.zeros((1, 2))),), targets, loss)
    assert found.disagreeing == 2


def test_a_loss_without_digits_is_called_noise() -> None:
    """sin at exp(55): the last bit of its argument is a thousand waves, so differences are meaningless."""
    network = Network((dense([[55.0]], "exp"), dense([[1.0]], "sin")))
    inputs, targets, loss = np.ones((1, 1)), np.zeros((1, 1)), loss_spec("half_squared_error")
    result = gradients(network, inputs, targets, loss)
    found = verify(network, result.layers, targets, loss)
    assert found.agrees
    assert found.worst is not None
    assert found.worst.noise == np.inf


def test_parameters_in_blocks_have_the_derivatives_of_parameters_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of one parameter and one sample, or one block for all: equal within the noise."""
    whole = verify(NETWORK, gradients(NETWORK, INPUTS, CLASSES, LOSS).layers, CLASSES, LOSS)
    monkeypatch.setattr("chainrule.graph.moved.BLOCK_NUMBERS", 1)
    alone = verify(NETWORK, gradients(NETWORK, INPUTS, CLASSES, LOSS).layers, CLASSES, LOSS)
    assert (alone.checked, alone.left_out, alone.agrees) == (whole.checked, whole.left_out, True)
    assert whole.worst is not None
    assert alone.worst is not None
    assert abs(alone.worst.relative_error - whole.worst.relative_error) <= alone.worst.noise


class Ended(Exception):
    """Raised by a checkpoint."""


@pytest.mark.parametrize("passes", [0, 1, 5, 20])
def test_a_checkpoint_ends_the_verification(passes: int) -> None:
    """An exception of the checkpoint goes to the caller, from any of the passes."""
    calls = count()

    def checkpoint() -> None:
        if next(calls) >= passes:
            raise Ended

    network, result, t = _of_layers([3] * 8, "tanh", 1, LOSS_OF_SQUARES)
    with pytest.raises(Ended):
        verify(network, result.layers, t, LOSS_OF_SQUARES, checkpoint=checkpoint)


def test_the_work_between_two_checkpoints_is_bounded() -> None:
    """A batch of 3,000 samples through layers of 64 units: 12 arrays of the batch are enough."""
    network, result, t = _of_layers([64] * 3, "tanh", 1, LOSS_OF_SQUARES, samples=3000)
    calls = count()

    def checkpoint() -> None:
        if next(calls) > 40:
            raise Ended

    tracemalloc.start()
    try:
        with pytest.raises(Ended):
            verify(network, result.layers, t, LOSS_OF_SQUARES, checkpoint=checkpoint)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12 * 8 * max(2**18, 3000 * 64)


def test_the_answer_says_whether_the_gradients_agree(client: FlaskClient) -> None:
    """`agrees` and `disagreeing`, the noise beside each error, and nothing beyond it."""
    layers = [{"activation": "tanh", "weights": [[0.5], [1.0]], "biases": [0.25]}]
    body = {"network": {"layers": layers}, "inputs": [2.0, -1.0], "targets": [1.0], "verify": True}
    found = client.post("/v1/gradients", json=body).get_json()["verification"]
    assert (found["agrees"], found["disagreeing"], found["worst_beyond_noise"]) == (True, 0, None)
    assert 0.0 < found["worst"]["relative_error"] < found["worst"]["noise"] < 1e-8
