"""Networks that are graphs, judged by PyTorch: every layer type, skips, several inputs and outputs, sharing."""

import re
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from chainrule.derivation.explain import Place, explain  # noqa: E402
from chainrule.diagnosis.checking import check  # noqa: E402
from chainrule.diagnosis.tolerance import Given, Tolerance  # noqa: E402
from chainrule.functions.activations import activation_spec  # noqa: E402
from chainrule.functions.losses import loss_spec  # noqa: E402
from chainrule.graph.backprop import Gradients, descend, gradients  # noqa: E402
from chainrule.graph.layer_types import LAYER_TYPES  # noqa: E402
from chainrule.graph.network import Layer, Network, Shared, dense  # noqa: E402
from chainrule.graph.shapes import Shape  # noqa: E402
from chainrule.verification import verify  # noqa: E402
from tests.judges.torch_graph import ACTIVATIONS, TorchGraph  # noqa: E402

SQUARES = loss_spec("half_squared_error")


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _layer(kind: str, **others: Any) -> Layer:
    return Layer(LAYER_TYPES[kind], **others)


def _agrees(network: Network, inputs: tuple[np.ndarray, ...], targets: tuple[np.ndarray, ...]) -> Gradients:
    """The gradients of half the squared error of all outputs, after all of them have been compared with PyTorch's."""
    judge = TorchGraph(network, inputs)
    one = len(network.wiring.ends) == 1
    result = gradients(
        network,
        inputs[0] if len(inputs) == 1 else dict(zip(network.inputs, inputs, strict=True)),
        targets[0] if one else dict(zip(network.outputs, targets, strict=True)),
        SQUARES,
    )
    pairs = zip(judge.outputs, targets, strict=True)
    loss = sum(0.5 * ((o - torch.tensor(t)) ** 2).sum() for o, t in pairs)
    loss.backward()
    assert result.loss == pytest.approx(loss.item(), rel=1e-12)
    assert result.sample_losses.sum() == pytest.approx(loss.item(), rel=1e-12)
    for gradient, leaves in zip(result.layers, judge.parameters, strict=True):
        assert gradient.derivatives.keys() == leaves.keys()
        for name, leaf in leaves.items():
            np.testing.assert_allclose(gradient.derivatives[name], leaf.grad.numpy(), rtol=1e-9, atol=1e-11)
    for dE_dx, leaf in zip(result.by_input, judge.inputs, strict=True):
        if dE_dx is None:
            assert leaf.grad is None
        else:
            np.testing.assert_allclose(dE_dx, leaf.grad.numpy(), rtol=1e-9, atol=1e-11)
    return result


MASK = np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
SINGLE: dict[str, tuple[Layer, Shape]] = {
    "activation": (_layer("activation", activation=activation_spec("softmax")), (2, 3)),
    "scale": (_layer("scale", options={"factor": -0.5}), (2, 3)),
    "reshape": (_layer("reshape", options={"shape": (3, -1)}), (2, 3)),
    "flatten": (_layer("flatten"), (2, 3)),
    "transpose": (_layer("transpose", options={"axes": (2, 0, -2)}), (2, 3, 4)),
    "slice of one": (_layer("slice", options={"axis": -2, "index": -1}), (2, 3)),
    "slice of a range": (_layer("slice", options={"axis": 1, "from": 1, "to": -1}), (2, 4)),
    "mean": (_layer("mean", options={"axes": (0, 2)}), (2, 3, 4)),
    "mean that keeps axes": (_layer("mean", options={"axes": (-1,), "keep_axes": True}), (2, 3)),
    "sum": (_layer("sum", options={"axes": (1,)}), (2, 3, 4)),
    "sum that keeps axes": (_layer("sum", options={"axes": (0, 1), "keep_axes": True}), (2, 3)),
    "max": (_layer("max", options={"axes": (0, 2)}), (2, 3, 4)),
    "max that keeps axes": (_layer("max", options={"axes": (0,), "keep_axes": True}), (2, 3)),
    "dropout": (_layer("dropout", options={"mask": MASK, "rate": 0.4}), (2, 3)),
    "dropout with a mask for each sample": (
        _layer("dropout", options={"mask": _rng(5).integers(0, 2, (4, 2, 3)).astype(float), "rate": 0.5}),
        (2, 3),
    ),
    "dropout without a mask": (_layer("dropout", options={"rate": 0.4}), (2, 3)),
    "dense over positions": (dense(_rng(1).normal(size=(3, 2)), "softplus", [0.1, -0.2]), (5, 3)),
    "dense with softmax over positions": (dense(_rng(1).normal(size=(3, 2)), "softmax"), (2, 2, 3)),
    "an activation for each unit": (
        _layer("activation", activation=tuple(map(activation_spec, ("tanh", "sigmoid", "tanh")))),
        (2, 3),
    ),
}


@pytest.mark.parametrize("name", SINGLE)
def test_a_layer_between_two_others_has_the_derivatives_of_pytorch(name: str) -> None:
    """An elementwise layer before it and a flat dense layer after it, with four samples."""
    rng, (layer, shape) = _rng(2), SINGLE[name]
    before = _layer("activation", activation=activation_spec("tanh"))
    x = rng.normal(size=(4, *shape))
    size = int(np.prod(Network((before, layer)).shapes([shape])[-1], dtype=int))
    network = Network((before, layer, _layer("flatten"), dense(rng.normal(size=(size, 2)), "sigmoid", [0.3, -0.1])))
    _agrees(network, (x,), (rng.uniform(size=(4, 2)),))


SEVERAL: dict[str, tuple[Layer, tuple[Shape, ...]]] = {
    "add": (_layer("add", inputs=("x", "y", "z")), ((2, 3),) * 3),
    "add with coefficients": (_layer("add", inputs=("x", "x"), options={"coefficients": (2.0, -0.5)}), ((3,),)),
    "multiply": (_layer("multiply", inputs=("x", "y", "z")), ((2, 3),) * 3),
    "a product with itself": (_layer("multiply", inputs=("x", "x")), ((2,),)),
    "concatenate": (_layer("concatenate", inputs=("x", "y")), ((2, 3), (2, 1))),
    "concatenate along the first axis": (
        _layer("concatenate", inputs=("x", "y"), options={"axis": 0}),
        ((2, 3), (4, 3)),
    ),
    "matmul": (_layer("matmul", inputs=("x", "y"), options={"scale": 0.5}), ((2, 3), (3, 4))),
    "matmul, transposed": (_layer("matmul", inputs=("x", "y"), options={"transpose": (True, True)}), ((3, 2), (4, 3))),
    "matmul of stacks": (
        _layer("matmul", inputs=("x", "y"), options={"transpose": (False, True)}),
        ((2, 2, 3), (2, 4, 3)),
    ),
}


@pytest.mark.parametrize("samples", [(3, 3, 3), (1, 3, 3), (3, 1, 1)], ids=str)
@pytest.mark.parametrize("name", SEVERAL)
def test_a_layer_of_several_inputs_has_the_derivatives_of_pytorch(name: str, samples: tuple[int, ...]) -> None:
    """Also where one input has a single sample, which serves all samples of the others."""
    rng, (layer, shapes) = _rng(3), SEVERAL[name]
    xs = tuple(rng.normal(size=(s, *shape)) for s, shape in zip(samples, shapes, strict=False))
    network = Network((layer,), inputs=("x", "y", "z")[: len(xs)])
    (outputs,) = network.shapes(shapes)[len(xs) :]
    _agrees(network, xs, (rng.normal(size=(max(map(len, xs)), *outputs)),))


def test_an_embedding_adds_up_over_all_places_of_a_row() -> None:
    """Row 1 is taken three times, row 2 never, and row 0 is the padding: it has no derivative."""
    rng = _rng(4)
    embedding = _layer("embedding", parameters={"weights": rng.normal(size=(4, 3))}, options={"padding_index": 0})
    network = Network((embedding, _layer("flatten"), dense(rng.normal(size=(9, 2)), "tanh")))
    result = _agrees(network, (np.array([[1.0, 3.0, 1.0], [0.0, 1.0, 3.0]]),), (rng.normal(size=(2, 2)),))
    assert result.by_input == (None,)
    np.testing.assert_array_equal(result.layers[0].derivatives["weights"][[0, 2]], 0.0)


def test_the_first_of_equal_numbers_has_the_derivative_of_a_maximum() -> None:
    """In the order of the array, over one axis or over two: PyTorch's choice for one axis."""
    x = np.array([[[1.0, 3.0], [3.0, 3.0]]])
    for axes, wanted in (((1,), [[0.0, 1.0], [1.0, 0.0]]), ((0, 1), [[0.0, 1.0], [0.0, 0.0]])):
        network = Network((_layer("max", options={"axes": axes}), _layer("scale", options={"factor": 1.0})))
        shape = network.shapes([(2, 2)])[-1]
        result = gradients(network, x, np.full((1, *shape), 2.0), SQUARES)
        assert result.dE_dx[0].tolist() == wanted


def test_a_skip_connection_adds_up_what_both_ways_hand_down() -> None:
    """By hand: o = x·w1, E = ½(o·w2 + o - t)², so dE/do = r·(w2 + 1) with r = 2·3·4 + 2·3 - 10 = 20."""
    layers = (
        dense([[3.0]], "identity", name="h"),
        dense([[4.0]], "identity", name="f"),
        _layer("add", inputs=("h", "f")),
    )
    result = gradients(Network(layers), np.array([[2.0]]), np.array([[10.0]]), SQUARES)
    assert result.loss == 200.0
    assert [layer.dE_do.tolist() for layer in result.layers] == [[[100.0]], [[20.0]], [[20.0]]]
    assert result.layers[0].dE_dw.tolist() == [[200.0]]
    assert result.layers[1].dE_dw.tolist() == [[120.0]]


def test_shared_parameters_have_the_sum_of_their_uses() -> None:
    """A tied autoencoder: the decoder has the encoder's weights, transposed; and a third use of what is shared."""
    rng = _rng(6)
    layers = (
        dense(rng.normal(size=(4, 3)), "tanh", rng.normal(size=3), name="encoder"),
        _layer("dense", activation=activation_spec("tanh"), name="decoder", shared=_of("encoder", True)),
        _layer("dense", activation=activation_spec("sigmoid"), shared=_of("decoder", True)),
    )
    network, x, t = Network(layers), rng.normal(size=(5, 4)), rng.normal(size=(5, 3))
    result = _agrees(network, (x,), (t,))
    uses = result.layers[0].uses["weights"]
    assert [(use.layer, use.parameter) for use in uses] == [(0, "weights"), (1, "weights"), (2, "weights")]
    np.testing.assert_allclose(sum(use.dE_dw for use in uses), result.layers[0].dE_dw, rtol=1e-14)
    assert [*result.layers[1].derivatives] == [*result.layers[2].derivatives] == []


def _of(name: str, transpose: bool = False) -> dict[str, Shared]:
    return {"weights": Shared(name, "weights", transpose)}


def test_a_step_moves_a_shared_parameter_once() -> None:
    """The owner takes the step, and the layers that share its weights have the new ones."""
    layers = (
        dense([[2.0]], "identity", name="h"),
        _layer("dense", activation=activation_spec("identity"), shared=_of("h")),
    )
    network = Network(layers)
    result = gradients(network, np.array([[1.0]]), np.array([[3.0]]), SQUARES)  # E = ½(w² - 3)², dE/dw = 2w(w² - 3)
    assert result.layers[0].dE_dw.tolist() == [[4.0]]
    after = descend(network, result.layers, 0.25)
    assert [layer.weights.tolist() for layer in after.layers] == [[[1.0]], [[1.0]]]


def test_an_output_that_is_read_too_has_both_derivatives() -> None:
    """Softmax under cross-entropy keeps its closed form for the loss; what the readers hand down goes through do/da."""
    rng = _rng(7)
    x, t, u = rng.normal(size=(4, 3)), np.eye(3)[[0, 2, 1, 1]], rng.normal(size=(4, 2))
    layers = (
        dense(rng.normal(size=(3, 3)), "softmax", name="p"),
        dense(rng.normal(size=(3, 2)), "tanh", name="q"),
    )
    network = Network(layers, outputs=("p", "q"))
    losses = {"p": loss_spec("categorical_cross_entropy", "mean"), "q": loss_spec("squared_error", "mean")}
    result = gradients(network, x, {"p": t, "q": u}, losses)
    judge = TorchGraph(network, (x,))
    p, q = judge.outputs
    loss = -(torch.tensor(t) * p.log()).sum(dim=1).mean() + ((q - torch.tensor(u)) ** 2).mean()
    loss.backward()
    assert result.loss == pytest.approx(loss.item(), rel=1e-13)
    for gradient, leaves in zip(result.layers, judge.parameters, strict=True):
        np.testing.assert_allclose(gradient.dE_dw, leaves["weights"].grad.numpy(), rtol=1e-12)


def test_an_output_without_units_has_one_number_a_sample() -> None:
    """The sum over all units: its targets are a list, and PyTorch finds the same derivatives."""
    rng = _rng(9)
    network = Network((dense(rng.normal(size=(3, 2)), "tanh"), _layer("sum", options={"axes": (0,)})))
    _agrees(network, (rng.normal(size=(4, 3)),), (rng.normal(size=4),))
    with pytest.raises(ValueError, match=re.escape("targets must have the shape (4,), not (4, 1)")):
        gradients(network, np.ones((4, 3)), np.ones((4, 1)), SQUARES)
    with pytest.raises(ValueError, match="target 1 is 1, but classes are whole numbers from 0 to 0"):
        gradients(network, np.ones((2, 3)), np.arange(2.0), loss_spec("sparse_categorical_cross_entropy"))


def test_options_have_the_defaults_of_their_rows() -> None:
    """Each is stated once, in the table."""
    assert _layer("matmul").options == {"transpose": (False, False), "scale": 1.0}
    assert _layer("concatenate", options={"axis": 0}).options == {"axis": 0}
    assert _layer("dropout").options == {"rate": 0.0}


def test_targets_may_be_any_mapping() -> None:
    """Inputs, targets and losses by name are not necessarily a dict."""
    layers = (dense([[2.0]], "identity", name="h"), dense([[3.0]], "identity", name="o"))
    network, t = Network(layers, outputs=("h", "o")), MappingProxyType({"h": [[0.0]], "o": [[0.0]]})
    result = gradients(network, MappingProxyType({"x": [[1.0]]}), t, MappingProxyType({"h": SQUARES, "o": SQUARES}))
    assert result.loss == 0.5 * 4.0 + 0.5 * 36.0


def test_a_loss_over_positions_counts_every_position() -> None:
    """Class indices for each position of a sequence: the mean is over samples and positions, as in PyTorch."""
    rng = _rng(8)
    x, t = rng.normal(size=(2, 5, 3)), rng.integers(0, 4, (2, 5)).astype(float)
    network = Network((dense(rng.normal(size=(3, 4)), "softmax"),))
    for reduction, share in (("mean", 1 / 10), ("batch_mean", 1 / 2), ("sum", 1.0)):
        result = gradients(network, x, t, loss_spec("sparse_categorical_cross_entropy", reduction))  # type: ignore[arg-type]
        judge = TorchGraph(network, (x,))
        picked = judge.outputs[0].gather(2, torch.tensor(t).long()[..., None])
        loss = -picked.log().sum() * share
        loss.backward()
        assert result.loss == pytest.approx(loss.item(), rel=1e-13)
        np.testing.assert_allclose(result.layers[0].dE_dw, judge.parameters[0]["weights"].grad.numpy(), rtol=1e-12)
        np.testing.assert_allclose(result.sample_losses.sum(), result.loss, rtol=1e-14)
        assert result.sample_losses.shape == (2,)


def test_what_is_made_for_chains_refuses_other_graphs() -> None:
    """Verification, explanations and checks say so, as do arrays of more than two axes in a chain."""
    layer = dense([[1.0]], "tanh", name="h")
    graph, chain = Network((layer, _layer("add", inputs=("h", "h")))), Network((layer,))
    x, place = np.ones((2, 1)), Place(0, 0, 0)
    for network, inputs, words in ((graph, x, "network must be a chain"), (chain, x[None], "inputs must be a matrix")):
        targets = np.zeros(inputs.shape)
        result = gradients(network, inputs, targets, SQUARES)
        given = [Given(layer.derivatives.get("weights"), None) for layer in result.layers]
        with pytest.raises(ValueError, match=words):
            verify(network, result.layers, targets, SQUARES)
        with pytest.raises(ValueError, match=words):
            explain(network, result, targets, SQUARES, place)
        with pytest.raises(ValueError, match=words):
            check(network, result, targets, SQUARES, given, Tolerance())


WRONG_NETWORKS: dict[str, tuple[Callable[[], Network], str]] = {
    "no input": (lambda: Network((_layer("flatten"),), inputs=()), "with at least one input"),
    "inputs in a string": (lambda: Network((_layer("flatten"),), inputs="x"), "must be tuples of names"),  # type: ignore[arg-type]
    "an input twice": (
        lambda: Network((_layer("flatten", inputs=("x",)),), inputs=("x", "x")),
        "an input or an output of a network is named twice",
    ),
    "an unknown name": (
        lambda: Network((dense([[1.0]], "tanh", inputs=("y",)),)),
        "layer 0 reads 'y', which is no input and no layer before it",
    ),
    "a layer that comes later": (
        lambda: Network((dense([[1.0]], "tanh", name="a", inputs=("b",)), dense([[1.0]], "tanh", name="b"))),
        "layer 0 reads 'b', which is no input and no layer before it",
    ),
    "a name twice": (
        lambda: Network((dense([[1.0]], "tanh", name="x"),)),
        "the name 'x' is given twice",
    ),
    "an output that is no layer": (
        lambda: Network((dense([[1.0]], "tanh", name="h"),), outputs=("x",)),
        "there is no layer 'x', which is named as an output",
    ),
    "several inputs and none named": (
        lambda: Network((dense([[1.0]], "tanh"),), inputs=("x", "y")),
        "must name those that it reads",
    ),
    "a parameter shared with nothing": (
        lambda: Network((dense([[1.0]], "tanh"), _layer("dense", shared=_of("h")))),
        "which is no parameter before it",
    ),
    "a shared parameter of another shape": (
        lambda: Network((dense([[1.0, 2.0]], "tanh", name="h"), _layer("dense", shared=_of("h")))),
        "a layer of 2 units under weights for 1",
    ),
}


@pytest.mark.parametrize(("make", "words"), WRONG_NETWORKS.values(), ids=WRONG_NETWORKS)
def test_a_graph_that_does_not_fit_together_is_refused(make: Callable[[], Network], words: str) -> None:
    """With a sentence that names what is wrong."""
    with pytest.raises(ValueError, match=re.escape(words)):
        make()


WRONG_LAYERS: dict[str, tuple[Callable[[], Layer], str]] = {
    "a type by name": (lambda: Layer("dense"), "type must be a row of LAYER_TYPES, not 'dense'"),  # type: ignore[arg-type]
    "a name that is no string": (lambda: _layer("flatten", name=1), "name must be a string, not 1"),
    "a string of inputs": (lambda: _layer("add", inputs="xy"), "inputs must be a tuple of names, not 'xy'"),
    "parameters in a list": (lambda: _layer("dense", parameters=[[1.0]]), "parameters must be a mapping by name"),
    "options in a list": (lambda: _layer("scale", options=[2.0]), "options must be a mapping by name"),
    "a parameter shared by name": (lambda: _layer("dense", shared={"weights": "h"}), "shared must have a Shared"),
    "something else shared": (
        lambda: _layer("dense", shared={"w": Shared("h", "weights")}),
        "shared must have a Shared",
    ),
    "an unknown option": (
        lambda: _layer("scale", options={"factr": 2.0}),
        "a layer of the type scale has no option 'factr'",
    ),
    "a missing option": (lambda: _layer("scale"), "a layer of the type scale needs factor"),
    "no number": (lambda: _layer("scale", options={"factor": "2"}), "factor of scale must be a number"),
    "no finite number": (lambda: _layer("scale", options={"factor": np.inf}), "must be finite"),
    "no list": (lambda: _layer("mean", options={"axes": 0}), "axes of mean must be a list, not 0"),
    "an axis that is True": (
        lambda: _layer("mean", options={"axes": [True]}),
        "entry 0 of axes of mean must be a whole number, not True",
    ),
    "half an axis": (
        lambda: _layer("mean", options={"axes": [0.5]}),
        "entry 0 of axes of mean must be a whole number, not 0.5",
    ),
    "a flag that is a number": (
        lambda: _layer("sum", options={"axes": [0], "keep_axes": 1}),
        "keep_axes of sum must be True or False, not 1",
    ),
    "three flags": (
        lambda: _layer("matmul", options={"transpose": [True, False, True]}),
        "transpose of matmul must have 2 entries, not 3",
    ),
    "a length of 0": (lambda: _layer("reshape", options={"shape": [0, 2]}), "must be at least 1, or -1 once, not 0"),
    "a rate of 1": (lambda: _layer("dropout", options={"rate": 1.0}), "must be less than 1, not 1.0"),
    "a negative rate": (lambda: _layer("dropout", options={"rate": -0.1}), "must be at least 0, not -0.1"),
    "half a mask": (lambda: _layer("dropout", options={"mask": [0.5]}), "mask of dropout must hold 0 and 1"),
    "a negative padding": (
        lambda: _layer("embedding", parameters={"weights": np.ones((2, 2))}, options={"padding_index": -1}),
        "padding_index of embedding must be at least 0",
    ),
    "an unknown parameter": (
        lambda: _layer("scale", parameters={"weights": np.ones(1)}, options={"factor": 1.0}),
        "a layer of the type scale has no parameter 'weights'",
    ),
    "a missing parameter": (lambda: _layer("embedding"), "a layer of the type embedding needs weights"),
    "a list of weights": (
        lambda: _layer("embedding", parameters={"weights": np.ones(2)}),
        "weights must be a matrix, not an array of 1 axes",
    ),
}


@pytest.mark.parametrize(("make", "words"), WRONG_LAYERS.values(), ids=WRONG_LAYERS)
def test_a_wrong_layer_is_refused(make: Callable[[], Layer], words: str) -> None:
    """With a sentence that names the option or the parameter, what it is, and what it must be."""
    with pytest.raises(ValueError, match=re.escape(words)):
        make()


WRONG_SHAPES: dict[str, tuple[Layer, tuple[Shape, ...], str]] = {
    "too few rows": (
        dense([[1.0]], "tanh", inputs=("y",)),
        ((1,), (2,)),
        "weights of layer 0 has 1 rows, but its input has 2 numbers",
    ),
    "two shapes added": (
        _layer("add", inputs=("x", "y")),
        ((2, 3), (3, 2)),
        "inputs/1 of layer 0 has the shape 3 × 2, but the first input has 2 × 3",
    ),
    "one input added": (_layer("add", inputs=("x",)), ((2,),), "reads at least 2"),
    "three inputs multiplied as matrices": (
        _layer("matmul", inputs=("x", "y", "x")),
        ((2, 2), (2, 2)),
        "names 3, but a layer of the type matmul reads 2",
    ),
    "coefficients": (
        _layer("add", inputs=("x", "y"), options={"coefficients": (1.0,)}),
        ((2,), (2,)),
        "has 1 numbers, but the layer has 2 inputs",
    ),
    "lists multiplied as matrices": (_layer("matmul", inputs=("x", "y")), ((2,), (2,)), "multiplies matrices"),
    "matrices that do not fit": (
        _layer("matmul", inputs=("x", "y")),
        ((2, 3), (2, 3)),
        "inputs/1 of layer 0 has 2 rows, but the first matrix has 3 columns",
    ),
    "stacks of two lengths": (_layer("matmul", inputs=("x", "y")), ((5, 2, 2), (4, 2, 2)), "leading axes"),
    "an axis that does not exist": (
        _layer("mean", options={"axes": (0, 2)}),
        ((2, 3),),
        "axes/1 of layer 0 is 2, but a sample has the shape 2 × 3: its axes are numbered from 0 to 1",
    ),
    "an axis twice": (_layer("sum", options={"axes": (0, -2)}), ((2, 3),), "names the same axis"),
    "no axis": (_layer("max", options={"axes": ()}), ((2, 3),), "must not be empty"),
    "another number of numbers": (
        _layer("reshape", options={"shape": (4, -1)}),
        ((2, 3),),
        "shape of layer 0 is 4 × -1, but a sample has 6 numbers (2 × 3)",
    ),
    "two unknown lengths": (_layer("reshape", options={"shape": (-1, -1)}), ((2, 3),), "at most one -1"),
    "seven axes": (_layer("reshape", options={"shape": (1,) * 6}), ((1,),), "at most 6 are allowed"),
    "an axis left out": (_layer("transpose", options={"axes": (0,)}), ((2, 3),), "names 1 axes, but a sample has 2"),
    "an index beyond the axis": (
        _layer("slice", options={"axis": 0, "index": 2}),
        ((2, 3),),
        "index of layer 0 is 2, but axis 0 has the entries 0 to 1",
    ),
    "an index beside a range": (
        _layer("slice", options={"axis": 0, "index": 0, "to": 1}),
        ((2, 3),),
        "must not stand beside from and to",
    ),
    "an empty range": (_layer("slice", options={"axis": 0, "from": 2}), ((2, 3),), "takes nothing"),
    "other lengths beside the axis": (
        _layer("concatenate", inputs=("x", "y")),
        ((2, 3), (1, 3)),
        "they may differ along axis 1 only",
    ),
    "a mask of another shape": (
        _layer("dropout", options={"mask": np.ones(3)}),
        ((2,),),
        "mask of layer 0 has the shape 3, but a sample has 2",
    ),
    "activations for other units": (
        _layer("activation", activation=(activation_spec("tanh"), activation_spec("relu"))),
        ((3,),),
        "has 2 activations, but the layer has 3 units",
    ),
}


@pytest.mark.parametrize(("layer", "shapes", "words"), WRONG_SHAPES.values(), ids=WRONG_SHAPES)
def test_shapes_that_do_not_fit_are_refused(layer: Layer, shapes: tuple[Shape, ...], words: str) -> None:
    """Before anything is computed, with the place, what is there and what fits."""
    names = ("x", "y")[: len(shapes)]
    network = Network((layer,), inputs=names)
    inputs = {name: np.ones((2, *shape)) for name, shape in zip(names, shapes, strict=True)}
    with pytest.raises(ValueError, match=re.escape(words)):
        gradients(network, inputs, np.zeros((2, 1)), SQUARES)


@pytest.mark.parametrize("index", [-1.0, 0.5, 3.0])
def test_an_index_that_is_no_row_is_refused(index: float) -> None:
    """An embedding of three rows takes 0, 1 and 2."""
    network = Network((_layer("embedding", parameters={"weights": np.ones((3, 2))}),))
    with pytest.raises(ValueError, match="rows are whole numbers from 0 to 2"):
        gradients(network, np.array([[0.0, index]]), np.zeros((1, 2, 2)), SQUARES)


# Graphs at random.

JOINTS: list[Callable[[np.random.Generator], dict[str, Any]]] = [
    lambda rng: {"kind": "add", "options": {"coefficients": tuple(rng.normal(size=2).tolist())}},
    lambda rng: {"kind": "add"},
    lambda rng: {"kind": "multiply"},
]


def _random_graph(rng: np.random.Generator) -> tuple[Network, tuple[np.ndarray, ...]]:
    """Two inputs of four numbers, and layers that keep the width: dense ones, shared ones, joints of any two values."""
    width, names, layers = 4, ["x", "y"], list[Layer]()
    owners: list[str] = []
    for k in range(int(rng.integers(3, 12))):
        name, activation = f"h{k}", activation_spec(str(rng.choice(list(ACTIVATIONS))))
        kind = rng.random()
        source = str(rng.choice(names))
        if kind < 0.4 or not owners:
            weights, biases = rng.normal(0, 0.7, (width, width)), rng.normal(size=width)
            layers.append(Layer.dense(weights, biases, activation, inputs=(source,), name=name))
            owners.append(name)
        elif kind < 0.6:
            shared = _of(str(rng.choice(owners)), bool(rng.integers(2)))
            layers.append(_layer("dense", activation=activation, inputs=(source,), name=name, shared=shared))
            owners.append(name)
        elif kind < 0.7:
            layers.append(_layer("activation", activation=activation, inputs=(source,), name=name))
        else:
            two = tuple(map(str, rng.choice(names, 2)))
            joint = JOINTS[int(rng.integers(len(JOINTS)))](rng)
            layers.append(_layer(joint.pop("kind"), inputs=two, name=name, **joint))
        names.append(name)
    outputs = tuple(sorted({names[-1], str(rng.choice(names[2:]))}))
    samples = int(rng.integers(1, 5))
    inputs = tuple(rng.normal(size=(samples, width)) for _ in range(2))
    return Network(tuple(layers), ("x", "y"), outputs), inputs


@pytest.mark.parametrize("seed", range(60))
def test_graphs_at_random_agree_with_pytorch(seed: int) -> None:
    """Every derivative by every parameter and input, where a layer may have no reader, one or many."""
    rng = _rng(1000 + seed)
    network, inputs = _random_graph(rng)
    used = [len(inputs[0])] * len(network.wiring.ends)
    targets = tuple(rng.normal(size=(samples, 4)) for samples in used)
    read = {reader for value in network.wiring.readers for reader in value}
    assert read, "a graph has edges"
    _agrees_where_reached(network, inputs, targets)


def _agrees_where_reached(network: Network, inputs: tuple[np.ndarray, ...], targets: tuple[np.ndarray, ...]) -> None:
    """As `_agrees`; PyTorch has no gradient, and ours is 0, where nothing leads to an output."""
    judge = TorchGraph(network, inputs)
    given = targets[0] if len(targets) == 1 else dict(zip(network.outputs, targets, strict=True))
    result = gradients(network, dict(zip(network.inputs, inputs, strict=True)), given, SQUARES)
    sum(0.5 * ((o - torch.tensor(t)) ** 2).sum() for o, t in zip(judge.outputs, targets, strict=True)).backward()
    pairs = [
        (gradient.derivatives[name], leaf.grad)
        for gradient, leaves in zip(result.layers, judge.parameters, strict=True)
        for name, leaf in leaves.items()
    ]
    pairs += [(dE_dx, leaf.grad) for dE_dx, leaf in zip(result.by_input, judge.inputs, strict=True)]
    largest = max(float(grad.abs().max()) for _, grad in pairs if grad is not None)
    for ours, grad in pairs:
        theirs = 0.0 if grad is None else grad.numpy()
        np.testing.assert_allclose(0.0 if ours is None else ours, theirs, rtol=1e-8, atol=1e-12 * largest)
