"""Every function of the core against everything that may be passed to it by mistake."""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import chainrule
from chainrule.derivation.explain import Place, explain
from chainrule.diagnosis.checking import check
from chainrule.diagnosis.tolerance import Given, Tolerance
from chainrule.functions.activations import ACTIVATIONS, ActivationSpec, activation_spec
from chainrule.functions.losses import LOSSES, LossSpec, loss_spec
from chainrule.graph.backprop import descend, gradients
from chainrule.graph.network import Layer, Network, dense
from chainrule.verification import verify

PACKAGE = Path(chainrule.__file__).parent
X = np.array([[1.0, 2.0], [3.0, 4.0]])
SQUARES = loss_spec("squared_error")


class Foreign:
    """Something that no function of the core takes."""


# Each would be right in its place except for one thing. `None` is not among them: some arguments may be None.
NO_OBJECTS: list[Any] = [
    "mse",
    b"mse",
    1,
    1.5,
    True,
    10**5000,
    [],
    (),
    {},
    set(),
    Foreign(),
    Foreign,
    object(),
    np.zeros(2),
    iter([1]),
]
VECTOR, MATRIX = np.zeros(2), np.zeros((2, 7))  # right as biases, and as weights
NO_ARRAYS: list[Any] = [
    None,
    "a",
    b"a",
    {},
    set(),
    Foreign(),
    [[1.0, 2.0], [3.0]],
    [["1.0", "2.0"], ["3.0", "4.0"]],
    [[1.0, None], [3.0, 4.0]],
    [[1.0, 10**400], [3.0, 4.0]],
    np.array([[1.0, 2.0], [3.0, 4.0]], dtype=object),
    np.array([[1j, 2.0], [3.0, 4.0]]),
    np.array([["2020-01-01", "2020-01-02"]] * 2, dtype="datetime64[D]"),
    np.ma.masked_array([[1.0, 2.0], [3.0, 4.0]], [[0, 1], [0, 0]]),
    np.array([[np.finfo(np.longdouble).max, 2.0], [3.0, 4.0]]),
    np.zeros((2, 2), dtype=[("x", "f8")]),
    1.0,
    [],
    [[]],
    [[[]]],
    np.zeros((0, 2)),
    np.zeros((2, 0)),
    VECTOR,
    np.zeros((2, 2, 2)),
    MATRIX,
]
NOT_FINITE: list[Any] = [np.full((2, 2), number) for number in (np.nan, np.inf, -np.inf)]
NO_NUMBERS: list[Any] = ["0.1", None, [0.1], np.zeros(1), 1j, True, np.nan, np.inf, 10**400, 10**5000, Foreign()]

SQUARE = Network((dense(np.eye(2), "tanh", [0.5, 0.5]), dense(np.eye(2), "sigmoid")))
OTHER = Network((dense(2.0 * np.eye(2), "tanh", [0.5, 0.5]), dense(np.eye(2), "sigmoid")))
SHORT = Network(SQUARE.layers[:1])
WIDE = Network((dense([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], "softmax"),))
T = np.array([[0.0, 1.0], [1.0, 0.0]])
RESULT, OF_OTHER, OF_SHORT = (gradients(network, X, T, SQUARES) for network in (SQUARE, OTHER, SHORT))
OVERFLOWN = gradients(Network((dense([[1e200, 0.0], [0.0, 1.0]], "square"),)), X, T, SQUARES)
GIVEN = [Given(layer.dE_dw, layer.dE_db) for layer in RESULT.layers]
WEIGHT = Place(1, 0, 0)

_NO_LAYERS = [
    *NO_OBJECTS,
    None,
    RESULT,
    OF_SHORT.layers,
    RESULT.layers[::-1],
    (*RESULT.layers, RESULT.layers[0]),
    [layer.dE_dw for layer in RESULT.layers],
    (RESULT.layers[0]._replace(derivatives={"weights": RESULT.layers[0].dE_dw}), RESULT.layers[1]),
    (RESULT.layers[0], RESULT.layers[1].with_derivatives(biases=np.zeros(2))),
    *((RESULT.layers[0].with_derivatives(weights=wrong), RESULT.layers[1]) for wrong in NO_ARRAYS + NOT_FINITE),
    *(
        (RESULT.layers[0].with_derivatives(biases=wrong), RESULT.layers[1])
        for wrong in NO_ARRAYS
        if wrong is not VECTOR
    ),
]
_NO_RESULTS = [*NO_OBJECTS, None, OF_SHORT, OF_OTHER, OVERFLOWN, RESULT.layers, tuple(RESULT)]
_NO_GIVEN = [
    *NO_OBJECTS,
    None,
    GIVEN[:1],
    GIVEN * 2,
    RESULT.layers,
    [Given(None, None)] * 2,
    *([Given(wrong, None), GIVEN[1]] for wrong in NO_ARRAYS[1:] + NOT_FINITE),
    *([Given(None, wrong), GIVEN[1]] for wrong in NO_ARRAYS[1:] if wrong is not VECTOR),
    [GIVEN[0], Given(None, np.zeros(2))],
]
_NO_PLACES = [
    *NO_OBJECTS,
    None,
    Place(2, 0, 0),
    Place(0, 2),
    Place(0, 0, 2),
    Place(1, 0),
    Place("a", 0),
    Place(0, None),
]  # type: ignore[arg-type]
_NO_GROUPS = [group for group in NO_OBJECTS if not isinstance(group, str)]

Call = Callable[..., Any]
RIGHT: dict[str, tuple[Call, dict[str, Any]]] = {
    "gradients": (gradients, {"network": SQUARE, "inputs": X, "targets": T, "loss": SQUARES}),
    "verify": (verify, {"network": SQUARE, "layers": RESULT.layers, "targets": T, "loss": SQUARES}),
    "explain": (explain, {"network": SQUARE, "result": RESULT, "targets": T, "loss": SQUARES, "place": WEIGHT}),
    "check": (
        check,
        {
            "network": SQUARE,
            "result": RESULT,
            "targets": T,
            "loss": SQUARES,
            "given": GIVEN,
            "tolerance": Tolerance(),
        },
    ),
    "descend": (descend, {"network": SQUARE, "layers": RESULT.layers, "learning_rate": 0.1}),
    "dense": (dense, {"weights": np.eye(2), "activation": "tanh", "biases": None}),
    "Layer": (Layer.dense, {"weights": np.eye(2), "biases": None, "activation": activation_spec("tanh")}),
    "Network": (Network, {"layers": SQUARE.layers}),
    "activation_spec": (activation_spec, {"name": "elu", "alpha": 1.0, "group": None}),
    "ActivationSpec": (ActivationSpec, {"activation": ACTIVATIONS["elu"], "values": (1.0,), "group": None}),
    "loss_spec": (loss_spec, {"name": "huber", "reduction": None, "delta": 1.0}),
    "LossSpec": (LossSpec, {"loss": LOSSES["huber"], "values": (1.0,), "reduction": "sum"}),
    "Tolerance": (Tolerance, {"relative": 1e-5, "absolute": 1e-8}),
}
WRONG: dict[str, list[Any]] = {
    "network": [*NO_OBJECTS, None, SHORT.layers],
    "inputs": NO_ARRAYS + NOT_FINITE,
    "targets": NO_ARRAYS + NOT_FINITE,
    "loss": [*NO_OBJECTS, None, LOSSES["huber"]],
    "checkpoint": [wrong for wrong in NO_OBJECTS if not callable(wrong)] + [None],
    "layers": _NO_LAYERS,
    "result": _NO_RESULTS,
    "place": _NO_PLACES,
    "sample": [wrong for wrong in NO_OBJECTS if type(wrong) is not int] + [2, -1, np.nan],
    "given": _NO_GIVEN,
    "tolerance": [*NO_OBJECTS, None],
    "learning_rate": NO_NUMBERS,
    "weights": [wrong for wrong in NO_ARRAYS if wrong is not MATRIX],
    "biases": [wrong for wrong in NO_ARRAYS[1:] if wrong is not VECTOR],
    "activation": [*NO_OBJECTS, None, ["tanh"], ["tanh", "mse"], {"name": []}, {"name": "tanh", "alpha": 1.0}, {1: 2}],
    "name": [*NO_OBJECTS[1:], None],
    "reduction": NO_OBJECTS,
    "alpha": NO_NUMBERS,
    "delta": [*NO_NUMBERS, 0.0, -1.0],
    "group": _NO_GROUPS,
    "values": [*NO_OBJECTS, None, (), (1.0, 2.0), ("a",), (None,), (np.nan,)],
    "relative": [*NO_NUMBERS, -1.0],
    "absolute": [*NO_NUMBERS, -1.0],
}
LONGEST_SENTENCE = 700  # characters, with all names of a table


def _own_wrong(function: str, argument: str) -> list[Any]:
    """The values that are wrong for an argument. Some have other types, or other meanings, in another function."""
    if (function, argument) == ("Network", "layers"):
        return [*NO_OBJECTS, None, (SHORT, SHORT), (WIDE.layers[0], SQUARE.layers[0]), SQUARE.layers[0]]
    if (function, argument) in {("LossSpec", "loss"), ("ActivationSpec", "activation")}:
        return [*NO_OBJECTS, None, SQUARES]
    if (function, argument) == ("dense", "weights"):
        return WRONG["weights"] + NOT_FINITE
    return WRONG[argument]


def _calls() -> Iterator[Any]:
    for function, (_, right) in RIGHT.items():
        also = {"explain": ["sample", "checkpoint"], "gradients": ["checkpoint"], "verify": ["checkpoint"]}
        for argument in [*right, *also.get(function, [])]:
            yield pytest.param(function, argument, id=f"{function}-{argument}")


def _assert_refused(function: str, argument: str, wrong: Any) -> None:
    call, right = RIGHT[function]
    with pytest.raises(ValueError, match=r"\w+ \w+") as refused:
        call(**right | {argument: wrong})
    words = str(refused.value)
    assert type(refused.value) is ValueError, words  # no UnicodeError, LinAlgError, ...
    assert refused.traceback[-1].path.is_relative_to(PACKAGE), f"from inside a library: {words}"
    assert "\n" not in words
    assert "zip()" not in words
    assert len(words) < LONGEST_SENTENCE


@pytest.mark.parametrize("function", RIGHT)
def test_the_right_arguments_are_accepted(function: str) -> None:
    """Each wrong call below differs from these in one argument."""
    call, right = RIGHT[function]
    call(**right)


@pytest.mark.parametrize(("function", "argument"), list(_calls()))
def test_every_wrong_argument_is_refused_with_a_sentence(function: str, argument: str) -> None:
    """A ValueError on one line from our own code: never an AttributeError from inside, never a number."""
    for wrong in _own_wrong(function, argument):
        _assert_refused(function, argument, wrong)


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers() | st.text() | st.binary()
_ANYTHING = st.recursive(
    _SCALARS, lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)
_ARRAYS = arrays(
    st.sampled_from([np.float16, np.float32, np.float64, np.longdouble, np.int8, np.uint64, np.bool_, np.complex64]),
    array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
)


@settings(deadline=None)
@given(st.sampled_from([call.values for call in _calls()]), _ANYTHING | _ARRAYS)
def test_any_argument_is_accepted_or_refused(call: Any, value: Any) -> None:
    """What is not refused with a ValueError gives a result without an infinite number or NaN."""
    function, argument = call
    compute, right = RIGHT[function]
    try:
        found = compute(**right | {argument: value})
    except ValueError as refusal:
        assert "\n" not in str(refusal)  # noqa: PT017
        return
    if function == "gradients":
        assert np.isfinite(found.loss)
    if function == "verify":
        assert found.agrees or argument in {"targets", "layers"}


@pytest.mark.parametrize("kind", [np.float16, np.longdouble, ">f8", "<f4", np.uint8])
def test_real_numbers_of_any_type_and_order_are_accepted(kind: Any) -> None:
    """Short and long numbers, bytes in the other order, rows in any order in memory, subclasses, lists."""
    x, t = X.astype(kind), T.astype(kind)
    for given_x, given_t in ((x, t), (np.asfortranarray(x), t), (np.repeat(x, 2, axis=1)[:, ::2], t), (x.tolist(), t)):
        assert gradients(SQUARE, given_x, given_t, SQUARES).loss == RESULT.loss


def test_a_matrix_is_an_array_like_any_other() -> None:
    """np.matrix multiplies by rules of its own."""
    with warnings.catch_warnings(action="ignore", category=PendingDeprecationWarning):
        matrix = np.matrix(X)
    assert gradients(SQUARE, matrix, T, SQUARES).loss == RESULT.loss
    assert type(gradients(SQUARE, matrix, T, SQUARES).dE_dx) is np.ndarray


@pytest.mark.parametrize("function", ["verify", "descend"])
@pytest.mark.parametrize("layers", [RESULT.layers[:1], RESULT.layers * 2])
def test_gradients_of_another_number_of_layers_are_refused(function: str, layers: Any) -> None:
    """With both numbers."""
    call, right = RIGHT[function]
    with pytest.raises(ValueError, match=f"^gradients of {len(layers)} layers for a network of 2$"):
        call(**right | {"layers": layers})


def test_the_message_names_the_place_of_a_number_that_is_not_finite() -> None:
    """Among few numbers, and among many."""
    for samples in (2, 1000):
        x = np.ones((samples, 2))
        x[1, 0] = np.inf
        with pytest.raises(ValueError, match=r"inputs must hold finite numbers, but that at \(1, 0\) is inf"):
            gradients(SQUARE, x, np.ones((samples, 2)), SQUARES)


def test_a_loss_for_certain_targets_refuses_others() -> None:
    """A hinge would count a target of 0.5 as half a sample."""
    with pytest.raises(ValueError, match=r"targets of hinge must be -1 or 1, not 0\.5"):
        gradients(SQUARE, X, [[1.0, 0.5], [1.0, -1.0]], loss_spec("hinge"))


def test_a_result_of_an_equal_network_is_accepted() -> None:
    """A network that is made anew from the same numbers is the same; one with another activation is not."""
    again = Network((dense(np.eye(2), "tanh", [0.5, 0.5]), dense(np.eye(2), "sigmoid")))
    assert explain(again, RESULT, T, SQUARES, WEIGHT).value == RESULT.layers[1].dE_dw[0, 0]
    softer = Network((dense(np.eye(2), "softsign", [0.5, 0.5]), dense(np.eye(2), "sigmoid")))
    with pytest.raises(ValueError, match="result must be of this network, but its layer 0 is another one"):
        explain(softer, RESULT, T, SQUARES, WEIGHT)


def test_a_client_may_give_lists() -> None:
    """They are checked as the arrays of the same numbers are."""
    listed = [Given(layer.dE_dw.tolist(), layer.dE_db) for layer in RESULT.layers]  # type: ignore[arg-type]
    assert check(SQUARE, RESULT, T, SQUARES, listed, Tolerance()).agrees
