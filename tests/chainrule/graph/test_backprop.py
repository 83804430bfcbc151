"""The two passes and the three factors, compared with differences, with hand arithmetic, and with each other."""

import numpy as np
import pytest

from chainrule.functions.losses import REDUCTIONS, loss_spec
from chainrule.graph.backprop import Gradients, descend, gradients
from chainrule.graph.network import Layer, Network, dense
from tests.judges.differences import gradient

RNG = np.random.default_rng(20150317)

# Lopsided on purpose: 2-3-4 units, no matrix square or symmetric, groups interleaved, one layer without biases.
MIXED = Network(
    (
        dense(RNG.normal(size=(2, 3)), ["tanh", "softplus", "softmax"], RNG.normal(size=3)),
        dense(RNG.normal(size=(3, 4)), ["softmax", "sigmoid", "softmax", "silu"]),
    )
)
INPUTS = RNG.normal(size=(5, 2))
TARGETS = RNG.normal(size=(5, 4))


def test_the_derivative_of_one_weight_by_hand() -> None:
    """a = 0.5·2 + 1·(-1) + 0.25 = 0.25, o = tanh(0.25) = 0.2449186624037092, t = 1, E = ½(o - t)².

    dE/do = o - 1 = -0.7550813375962908, do/da = 1 - o² = 0.940014848806378, da/dw = 2; their product is
    -1.41957533879419.
    """
    network = Network((dense([[0.5], [1.0]], "tanh", [0.25]),))
    result = gradients(network, np.array([[2.0, -1.0]]), np.array([[1.0]]), loss_spec("half_squared_error"))
    (layer,) = result.layers
    assert layer.a.tolist() == [[0.25]]
    assert result.outputs[0, 0] == pytest.approx(0.2449186624037092, rel=1e-15, abs=0)
    assert layer.dE_do[0, 0] == pytest.approx(-0.7550813375962908, rel=1e-15, abs=0)
    assert layer.do_da.array()[0, 0] == pytest.approx(0.940014848806378, rel=1e-15, abs=0)
    assert layer.da_dw.tolist() == [[2.0, -1.0]]
    assert layer.dE_dw[0, 0] == pytest.approx(-1.41957533879419, rel=1e-15, abs=0)
    assert layer.dE_db is not None
    assert layer.dE_db[0] == pytest.approx(-1.41957533879419 / 2, rel=1e-15, abs=0)
    assert result.dE_dx[0].tolist() == pytest.approx([-1.41957533879419 / 4, -1.41957533879419 / 2], rel=1e-15, abs=0)


def _with(network: Network, layer: int, weights: np.ndarray, biases: np.ndarray | None) -> Network:
    layers = list(network.layers)
    activation = network.layers[layer].activation
    layers[layer] = Layer.dense(weights, biases, activation)
    return Network(tuple(layers))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("layer", [0, 1])
def test_weights_biases_and_inputs_have_the_derivatives_that_differences_find(layer: int, reduction: str) -> None:
    """Fourth-order central differences of the loss over every parameter of a mixed network, for every reduction."""
    loss = loss_spec("huber", reduction)  # type: ignore[arg-type]
    result = gradients(MIXED, INPUTS, TARGETS, loss)
    own = MIXED.layers[layer]

    def at(weights: np.ndarray, biases: np.ndarray | None) -> float:
        return gradients(_with(MIXED, layer, weights, biases), INPUTS, TARGETS, loss).loss

    numeric = gradient(lambda weights: at(weights, own.biases), own.weights)
    np.testing.assert_allclose(result.layers[layer].dE_dw, numeric, rtol=1e-7, atol=1e-10)
    if own.biases is not None:
        numeric = gradient(lambda biases: at(own.weights, biases), own.biases)
        assert result.layers[layer].dE_db is not None
        np.testing.assert_allclose(result.layers[layer].dE_db, numeric, rtol=1e-7, atol=1e-10)
    numeric = gradient(lambda inputs: gradients(MIXED, inputs, TARGETS, loss).loss, INPUTS)
    np.testing.assert_allclose(result.dE_dx, numeric, rtol=1e-7, atol=1e-10)


def _mixed(reduction: str = "mean") -> Gradients:
    return gradients(MIXED, INPUTS, TARGETS, loss_spec("squared_error", reduction))  # type: ignore[arg-type]


def test_the_factors_multiply_out_to_the_gradient() -> None:
    """dE/dw_ij = Σ_b Σ_m dE/do_m · do_m/da_j · da_j/dw_ij, with the matrix do/da written out."""
    for layer in _mixed().layers:
        product = np.einsum("bm,bmj,bi->ij", layer.dE_do, layer.do_da.array(), layer.da_dw)
        np.testing.assert_allclose(product, layer.dE_dw, rtol=1e-13)


def test_a_layers_dE_do_is_the_sum_over_the_units_it_feeds() -> None:
    """dE/do_j = Σ_l dE/da_l · w_jl."""
    below, above = _mixed().layers
    expected = np.einsum("bl,jl->bj", above.dE_da, MIXED.layers[1].weights)
    np.testing.assert_allclose(below.dE_do, expected, rtol=1e-14)


def test_the_matrix_of_a_mixed_layer_has_each_group_at_its_units() -> None:
    """Units 0 and 2 are one softmax; 1 and 3 stand alone, so their rows and columns are 0 but on the diagonal."""
    matrix = _mixed().layers[1].do_da.array()
    assert matrix.shape == (5, 4, 4)
    linked = np.array([[1, 0, 1, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]], dtype=bool)
    assert (matrix[:, linked] != 0).all()
    assert (matrix[:, ~linked] == 0).all()
    np.testing.assert_allclose(matrix[:, 0, 0], -matrix[:, 0, 2], rtol=1e-14)


def test_the_matrix_of_a_mixed_layer_has_outputs_in_rows() -> None:
    """do_0/da_2 of a log_softmax of units 0 and 2 is -softmax_2, not -softmax_0: its Jacobian is not symmetric."""
    network = Network((dense([[1.0, 5.0, 2.0]], ["log_softmax", "tanh", "log_softmax"]),))
    result = gradients(network, np.array([[1.0]]), np.ones((1, 3)), loss_spec("dot_product"))
    matrix = result.layers[0].do_da.array()[0]
    o = 1.0 / (1.0 + np.e)
    np.testing.assert_allclose(matrix[[0, 0, 2, 2], [0, 2, 0, 2]], [1.0 - o, o - 1.0, -o, o], rtol=1e-15)


def test_a_layer_of_elementwise_units_never_has_a_matrix() -> None:
    """n numbers for n units, also if several activations are mixed."""
    network = Network((dense(np.ones((2, 3)), ["tanh", "relu", "tanh"]),))
    result = gradients(network, INPUTS, np.zeros((5, 3)), loss_spec("half_squared_error"))
    assert result.layers[0].do_da.array().shape == (5, 3)


def test_the_samples_share_the_loss() -> None:
    """sample_losses add up to E, for every reduction; `mean` is the sum over 20 single losses, `batch_mean` over 5."""
    total = _mixed("sum").loss
    for reduction, divisor in (("sum", 1), ("mean", 20), ("batch_mean", 5)):
        result = _mixed(reduction)
        assert result.loss == pytest.approx(total / divisor, rel=1e-14, abs=0)
        assert result.sample_losses.sum() == pytest.approx(result.loss, rel=1e-14, abs=0)
        assert result.sample_losses.shape == (5,)


def test_a_batch_is_the_sum_of_its_samples() -> None:
    """With the reduction `sum`: loss and gradients of the batch are those of its samples, added up."""
    whole = _mixed("sum")
    parts = [
        gradients(MIXED, INPUTS[b : b + 1], TARGETS[b : b + 1], loss_spec("squared_error")) for b in range(len(INPUTS))
    ]
    assert whole.loss == pytest.approx(sum(part.loss for part in parts), rel=1e-14, abs=0)
    for k, layer in enumerate(whole.layers):
        np.testing.assert_allclose(layer.dE_dw, sum(part.layers[k].dE_dw for part in parts), rtol=1e-12, atol=1e-15)


def test_stable_pairs_apply_unit_by_unit_in_a_mixed_last_layer() -> None:
    """A saturated sigmoid beside a tanh, with binary cross-entropy: dE/da is 1 for one, the table's for the other."""
    network = Network((dense([[40.0, 0.5]], ["sigmoid", "tanh"]),))
    t = np.array([[0.0, 0.25]])
    (layer,) = gradients(network, np.array([[1.0]]), t, loss_spec("binary_cross_entropy")).layers
    o = np.tanh(0.5)
    expected = ((1 - 0.25) / (1 - o) - 0.25 / o) * (1 - o * o)
    np.testing.assert_allclose(layer.dE_da, [[1.0, expected]], rtol=1e-15)


def test_a_layer_without_biases_has_no_derivative_by_them() -> None:
    """A layer without biases is not a layer with zero biases."""
    first, second = _mixed().layers
    assert first.dE_db is not None
    assert second.dE_db is None


def test_one_step_moves_every_parameter_at_once() -> None:
    """w - learning_rate · dE/dw with the gradients of the old network: hidden layers do not use new weights."""
    result = _mixed()
    stepped = descend(MIXED, result.layers, 0.1)
    for layer, gradient_of, after in zip(MIXED.layers, result.layers, stepped.layers, strict=True):
        np.testing.assert_array_equal(after.weights, layer.weights - 0.1 * gradient_of.dE_dw)
        assert after.activation == layer.activation
    assert stepped.layers[0].biases is not None
    assert MIXED.layers[0].biases is not None
    np.testing.assert_array_equal(stepped.layers[0].biases, MIXED.layers[0].biases - 0.1 * result.layers[0].dE_db)
    assert stepped.layers[1].biases is None
    assert gradients(stepped, INPUTS, TARGETS, loss_spec("squared_error", "mean")).loss < result.loss


def test_inputs_and_weights_are_left_as_they_were() -> None:
    """No argument is written to, and the outputs of identity units are no view of the inputs."""
    network = Network((dense([[1.0, 0.0], [0.0, 1.0]], "identity", [1.0, 2.0]),))
    x = np.array([[3.0, 4.0]])
    result = gradients(network, x, np.zeros((1, 2)), loss_spec("half_squared_error"))
    assert x.tolist() == [[3.0, 4.0]]
    assert result.outputs.tolist() == [[4.0, 6.0]]
    assert not np.shares_memory(result.layers[0].a, result.layers[0].o)


def test_smoothed_labels_reach_the_loss_and_its_derivative() -> None:
    """Logits 0 and log 3, softmax ¼ and ¾; half of (1, 0) spread is (¾, ¼): ¾·log 4 + ¼·log(4/3), and (-½, ½)."""
    network = Network((dense([[0.0, np.log(3.0)]], "identity"),))
    loss = loss_spec("categorical_cross_entropy_with_logits", label_smoothing=0.5)
    result = gradients(network, np.array([[1.0]]), np.array([[1.0, 0.0]]), loss)
    assert result.loss == pytest.approx(0.75 * np.log(4.0) + 0.25 * np.log(4.0 / 3.0), rel=1e-15, abs=0)
    np.testing.assert_allclose(result.layers[0].dE_do, [[-0.5, 0.5]], rtol=1e-15)


def test_the_mean_is_over_every_sample_but_those_of_the_ignored_class() -> None:
    """Three samples of log 2: with the second ignored, 2·log 2 / 2; a row of targets 0 is a sample, 2·log 2 / 3."""
    network, x = Network((dense([[0.0, 0.0]], "softmax"),)), np.ones((3, 1))
    ignoring = loss_spec("sparse_categorical_cross_entropy", "mean", ignore_index=1)
    assert gradients(network, x, np.array([0.0, 1.0, 0.0]), ignoring).sample_losses.tolist() == pytest.approx(
        [0.5 * np.log(2.0), 0.0, 0.5 * np.log(2.0)], rel=1e-15, abs=0
    )
    rows = np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
    assert gradients(network, x, rows, loss_spec("cce", "mean")).sample_losses.tolist() == pytest.approx(
        [np.log(2.0) / 3.0, 0.0, np.log(2.0) / 3.0], rel=1e-15, abs=0
    )


def test_targets_of_another_shape_are_refused() -> None:
    """NumPy would silently broadcast a column of targets over the outputs."""
    with pytest.raises(ValueError, match="targets must have the shape"):
        gradients(MIXED, INPUTS, TARGETS[:, :1], loss_spec("squared_error"))
