"""What the core refuses if it is used without the service: a ValueError whose message says what would fit."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from chainrule.derivation.explain import Place, explain
from chainrule.diagnosis.checking import check
from chainrule.diagnosis.tolerance import Given, Tolerance
from chainrule.functions.activations import activation_spec
from chainrule.functions.losses import LOSSES, LossSpec, loss_spec
from chainrule.functions.tables import Array
from chainrule.graph.backprop import descend, gradients
from chainrule.graph.network import Layer, Network, dense
from chainrule.verification import verify

NETWORK = Network((dense([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], "softmax"),))
X = np.array([[1.0, 2.0], [3.0, 4.0]])
CLASSES = loss_spec("sparse_categorical_cross_entropy")
IGNORING = loss_spec("sparse_categorical_cross_entropy", "mean", ignore_index=-100)
SQUARES = loss_spec("squared_error")


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        ([7.0, 0.0], "target 0 is 7, but classes are whole numbers from 0 to 2"),
        ([0.0, -1.0], "target 1 is -1, but"),
        ([0.0, 1.5], "target 1 is 1.5, but"),
        ([0.0, np.nan], "target 1 is nan, but"),
        ([0.0], r"must have the shape \(2,\)"),
        ([[0.0, 1.0]], r"must have the shape \(2,\)"),
    ],
)
def test_class_indices_out_of_range_are_refused(targets: Any, words: str) -> None:
    """Class 7 of three would have the loss 0 and the gradient 0. `verify` refuses it as well."""
    with pytest.raises(ValueError, match=words):
        gradients(NETWORK, X, np.array(targets), CLASSES)
    layers = gradients(NETWORK, X, np.array([0.0, 1.0]), CLASSES).layers
    with pytest.raises(ValueError, match=words):
        verify(NETWORK, layers, np.array(targets), CLASSES)


def test_the_ignored_class_is_accepted_and_a_mean_over_no_sample_is_nan() -> None:
    """-100 beside a class; a mean over no sample is no number, as in PyTorch."""
    assert gradients(NETWORK, X, np.array([-100.0, 1.0]), IGNORING).sample_losses[0] == 0.0
    assert np.isnan(gradients(NETWORK, X, np.array([-100.0, -100.0]), IGNORING).loss)


@pytest.mark.parametrize(
    ("inputs", "targets", "words"),
    [
        (np.array([1.0, 2.0]), np.zeros((2, 3)), "inputs must be a matrix, samples × 2, not an array of 1 axes"),
        (np.zeros((2, 3)), np.zeros((2, 3)), "inputs have 3 numbers a sample, but the first layer takes 2"),
        (np.zeros((0, 2)), np.zeros((0, 3)), "inputs must have at least one sample"),
        (np.array([["1", "2"]]), np.zeros((1, 3)), "inputs must hold real numbers, not <U1"),
        (np.array([[1j, 2.0]]), np.zeros((1, 3)), "inputs must hold real numbers, not complex128"),
        (np.array([[None, 2.0]]), np.zeros((1, 3)), "inputs must hold real numbers, not object"),
        (X, np.array([["a", "b", "c"]]), "targets must hold real numbers, not <U1"),
        (X, np.zeros((2, 4)), r"targets must have the shape \(2, 3\), not \(2, 4\)"),
        (X, np.zeros(3), r"targets must have the shape \(2, 3\), not \(3,\)"),
        (X, np.zeros((1, 3)), r"targets must have the shape \(2, 3\), not \(1, 3\)"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(inputs: Array, targets: Array, words: str) -> None:
    """Rank, width, samples, and what is no real number."""
    with pytest.raises(ValueError, match=words):
        gradients(NETWORK, inputs, targets, SQUARES)


def test_pairs_of_outputs_have_to_be_pairs() -> None:
    """A mean and a variance for each target: three outputs are none."""
    with pytest.raises(ValueError, match="takes outputs in pairs, but the network has 3"):
        gradients(NETWORK, X, np.zeros((2, 1)), loss_spec("gaussian_nll"))


@pytest.mark.parametrize("kind", [np.int64, np.float32, np.bool_])
def test_other_real_numbers_are_converted_to_float64(kind: type) -> None:
    """Whole numbers, short ones, and masks have the gradients of the same numbers in float64."""
    given = gradients(NETWORK, X.astype(kind), np.eye(3, dtype=kind)[:2], SQUARES)
    wanted = gradients(NETWORK, X.astype(kind).astype(np.float64), np.eye(3)[:2], SQUARES)
    assert given.loss == wanted.loss
    assert given.layers[0].da_dw.dtype == np.float64


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: loss_spec("squared"), "there is no loss 'squared'; there are half_squared_error, "),
        (lambda: loss_spec(["mse"]), "there is no loss"),  # type: ignore[arg-type]
        (lambda: activation_spec("rleu"), "there is no activation 'rleu'; there are identity, "),
        (lambda: dense([[1.0]], "rleu"), "there is no activation 'rleu'"),
        (lambda: loss_spec("mse", "median"), "reduction must be one of sum, mean, batch_mean, not 'median'"),  # type: ignore[arg-type]
        (lambda: LossSpec(LOSSES["poisson"], (), "avg"), "reduction must be one of"),  # type: ignore[arg-type]
        (lambda: Layer.dense(np.zeros((1, 1)), None, "tanh"), "activation must be an ActivationSpec"),  # type: ignore[arg-type]
        (lambda: dense([["a"]], "tanh"), "weights must hold real numbers, not <U1"),
        (lambda: dense([[1.0 + 1j]], "tanh"), "weights must hold real numbers, not complex128"),
        (lambda: dense([[1.0]], "tanh", ["b"]), "biases must hold real numbers"),
        (lambda: dense([[], []], "tanh"), r"at least one row and one column, not the shape \(2, 0\)"),
    ],
)
def test_unknown_names_and_wrong_weights_are_refused(build: Callable[[], Any], words: str) -> None:
    """Unknown names and reductions, and weights that are no matrix of real numbers."""
    with pytest.raises(ValueError, match=words):
        build()


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: loss_spec("mse", ""), "reduction"),
        (lambda: dense([[1.0, 2.0], [3.0]], "tanh"), "weights must be an array whose rows are equally long"),
        (lambda: gradients(NETWORK, [[1.0, 2.0], [3.0]], X, SQUARES), "inputs must be an array whose rows"),
        (lambda: dense([[1.0]], None), "an activation is a name, or a dict"),
        (lambda: dense([[1.0]], {"alpha": 1.0}), "an activation must have a name"),
        (lambda: Network(("tanh",)), "must be a tuple of Layer"),
        (lambda: Network(dense([[1.0]], "tanh")), "must be a tuple of Layer"),
    ],
)
def test_arguments_of_a_wrong_type_are_refused(build: Callable[[], Any], words: str) -> None:
    """They are not taken for a default, and the message is not NumPy's own."""
    with pytest.raises(ValueError, match=words):
        build()


@pytest.mark.parametrize("rate", [None, "0.1", True, float("nan"), float("inf"), [0.1, 0.2]])
def test_a_learning_rate_is_a_finite_number(rate: Any) -> None:
    """A list would be a rate for each unit, NaN a network without numbers."""
    layers = gradients(NETWORK, X, np.zeros((2, 3)), SQUARES).layers
    with pytest.raises(ValueError, match="learning_rate must be"):
        descend(NETWORK, layers, rate)


def test_a_step_takes_the_gradients_of_its_own_network() -> None:
    """Those of another have other shapes, or are too few."""
    with pytest.raises(ValueError, match="gradients of 0 layers for a network of 1"):
        descend(NETWORK, (), 0.1)


@pytest.mark.parametrize(
    ("place", "sample", "words"),
    [
        (Place(-1, 0, 0), None, "no layer -1: they are numbered from 0 to 0"),
        (Place(1, 0, 0), None, "no layer 1"),
        (Place(0, -1, 0), None, "no unit of layer 0 -1"),
        (Place(0, 3, 0), None, "no unit of layer 0 3: they are numbered from 0 to 2"),
        (Place(0, 0, -1), None, "no unit before layer 0 -1"),
        (Place(0, 0), None, "layer 0 has no biases"),
        (Place(0, True, 0), None, "no unit of layer 0 True"),
        (Place(0, 0, 0), -1, "no sample -1: they are numbered from 0 to 1"),
        (Place(0, 0, 0), 2, "no sample 2"),
        (Place(0, 0, 0), 0.5, "no sample 0.5"),
    ],
)
def test_a_missing_parameter_or_sample_is_not_explained(place: Place, sample: Any, words: str) -> None:
    """A negative index would silently explain another one."""
    targets = np.zeros((2, 3))
    result = gradients(NETWORK, X, targets, SQUARES)
    with pytest.raises(ValueError, match=words):
        explain(NETWORK, result, targets, SQUARES, place, sample)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "gradients of 0 layers for a network of 1"),
        ([Given(np.zeros((3, 2)), None)], r"dE_dw of layer 0 must have the shape \(2, 3\), not \(3, 2\)"),
        ([Given(np.zeros((2, 3)), np.zeros(3))], "there is no dE_db of layer 0"),
        ([Given(None, None)], "no gradient is given"),
    ],
)
def test_gradients_of_another_network_are_not_checked(given: list[Given], words: str) -> None:
    """NumPy would say that operands could not be broadcast together, or nothing."""
    targets = np.zeros((2, 3))
    result = gradients(NETWORK, X, targets, SQUARES)
    with pytest.raises(ValueError, match=words):
        check(NETWORK, result, targets, SQUARES, given, Tolerance())


def test_targets_that_do_not_fit_are_neither_explained_nor_checked() -> None:
    """They would be broadcast over the samples."""
    result, wrong = gradients(NETWORK, X, np.zeros((2, 3)), SQUARES), np.zeros((3, 3))
    with pytest.raises(ValueError, match="targets must have the shape"):
        explain(NETWORK, result, wrong, SQUARES, Place(0, 0, 0))
    with pytest.raises(ValueError, match="targets must have the shape"):
        check(NETWORK, result, wrong, SQUARES, [Given(result.layers[0].dE_dw, None)], Tolerance())
