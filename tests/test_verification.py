"""Verification by differences: it agrees with what is right, sees what is wrong, and leaves kinks alone."""

from dataclasses import replace

import numpy as np
import pytest
from flask.testing import FlaskClient

from chainrule.backprop import gradients
from chainrule.losses import loss_spec
from chainrule.network import Network, dense
from chainrule.verification import verify

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
    layers[layer] = replace(layers[layer], dE_dw=wrong)
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
    wrong = replace(first, dE_db=first.dE_db + np.array([0.0, 1.0, 0.0]))
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


def test_a_kink_of_the_loss_is_recognised() -> None:
    """The output equals its target: the absolute error has no derivative there, so nothing can be checked."""
    network = Network((dense([[2.0]], "identity"),))
    x, t, loss = np.array([[1.0]]), np.array([[2.0]]), loss_spec("absolute_error")
    found = verify(network, gradients(network, x, t, loss).layers, t, loss)
    assert (found.checked, found.left_out, found.worst) == (0, 1, None)


def test_a_unit_that_rests_on_a_kink_does_not_disturb_the_others() -> None:
    """Its input is 0, so no weight moves it: a = 0 on both sides of every step."""
    network = Network((dense([[1.0, 0.5]], ["relu", "tanh"]),))
    x, t, loss = np.array([[0.0]]), np.array([[0.5, 0.5]]), loss_spec("half_squared_error")
    found = verify(network, gradients(network, x, t, loss).layers, t, loss)
    assert (found.checked, found.left_out) == (2, 0)


def test_the_answer_holds_the_verification_where_it_was_asked_for(client: FlaskClient) -> None:
    """method, checked, left_out, max_relative_error, worst; nothing of it otherwise."""
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
