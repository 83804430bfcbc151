"""The first number that is not finite is found, and all units on kinks and all targets out of range."""

import numpy as np
import pytest

from chainrule.functions.activations import Kink, activation_spec
from chainrule.functions.losses import loss_spec
from chainrule.graph.backprop import Gradients, descend, gradients
from chainrule.graph.network import Network, dense
from chainrule.notices import (
    NonFinite,
    factors_not_finite,
    first_non_finite,
    first_non_finite_parameter,
    outputs_on_kinks,
    targets_out_of_range,
    units_on_kinks,
)


def _run(
    layers: list[object], x: list[list[float]], t: list[list[float]], loss: str = "half_squared_error"
) -> Gradients:
    return gradients(Network(tuple(layers)), np.array(x), np.array(t), loss_spec(loss))  # type: ignore[arg-type]


def test_a_finite_result_has_no_such_number() -> None:
    """None, also if a factor of a stable pair is infinite: dE/da is right without it."""
    assert first_non_finite(_run([dense([[1.0]], "tanh", [0.0])], [[1.0]], [[0.0]])) is None
    saturated = _run([dense([[1.0]], "sigmoid")], [[-800.0]], [[1.0]], "binary_cross_entropy")
    assert first_non_finite(saturated) is None
    assert list(factors_not_finite(saturated)) == [("dE_do", 0, 0, 0)]


BIG = 1e200


@pytest.mark.parametrize(
    ("layers", "x", "t", "loss", "expected"),
    [
        (
            [dense([[1.0, BIG]], "tanh")],
            [[0.0], [1e150]],
            [[0, 0], [0, 0]],
            "half_squared_error",
            NonFinite("a", np.inf, layer=0, sample=1, unit=1),
        ),
        (  # the first of four
            [dense([[1.0, BIG, BIG]], "tanh")],
            [[0.0], [1e150], [1e150]],
            [[0, 0, 0]] * 3,
            "half_squared_error",
            NonFinite("a", np.inf, layer=0, sample=1, unit=1),
        ),
        (  # on the way down the last layer comes first
            [dense([[1.0]], "identity"), dense([[1.0]], {"name": "leaky_relu", "negative_slope": BIG})],
            [[-1e-200]],
            [[1e200]],
            "dot_product",
            NonFinite("dE_da", np.inf, layer=1, sample=0, unit=0),
        ),
        (
            [dense([[1.0]], "tanh"), dense([[1e308]], {"name": "leaky_relu", "negative_slope": 10.0})],
            [[-3.0]],
            [[0.0]],
            "half_squared_error",
            NonFinite("o", -np.inf, layer=1, sample=0, unit=0),
        ),
        (
            [dense([[1.0]], "identity")],
            [[0.0], [BIG]],
            [[0.0], [0.0]],
            "half_squared_error",
            NonFinite("loss", np.inf, layer=0, sample=1, unit=0),
        ),
        (
            [dense([[1.0]], "identity")],
            [[1e154], [1e154], [1e154]],
            [[0.0], [0.0], [0.0]],
            "squared_error",
            NonFinite("loss", np.inf),
        ),
        (
            [dense([[1.0]], "identity", [0.0]), dense([[1e300]], "sigmoid")],
            [[1e-300]],
            [[1e10]],
            "dot_product",
            NonFinite("dE_da", np.inf, layer=0, sample=0, unit=0),
        ),
        (
            [dense([[1e-200]], "identity")],
            [[1e200]],
            [[1e200]],
            "dot_product",
            NonFinite("dE_dw", np.inf, layer=0, unit_before=0, unit=0),
        ),
        (
            [dense([[0.0]], "identity", [0.0])],
            [[0.0], [0.0]],
            [[1.7e308], [1.7e308]],
            "dot_product",
            NonFinite("dE_db", np.inf, layer=0, unit=0),
        ),
        (
            [dense([[1e200, 0.0]], "identity")],
            [[0.0]],
            [[1e200, 0.0]],
            "dot_product",
            NonFinite("dE_dx", np.inf, sample=0, unit=0),
        ),
        (  # a loss that is not a sum over the outputs: 1 + 1e308 + 1e308
            [dense([[-1e308, 1e308]], "identity")],
            [[0.0], [1.0]],
            [[1.0, 0.0], [1.0, 0.0]],
            "categorical_hinge",
            NonFinite("sample_loss", np.inf, sample=1),
        ),
    ],
    ids=lambda value: value.quantity if isinstance(value, NonFinite) else "",
)
def test_the_first_number_that_is_not_finite_is_located(
    layers: list[object], x: list[list[float]], t: list[list[float]], loss: str, expected: NonFinite
) -> None:
    """In the order forward, loss, backward: the number named is the first, not one computed from it."""
    assert first_non_finite(_run(layers, x, t, loss)) == expected


def test_an_undefined_loss_is_located_in_its_sample() -> None:
    """The logarithm of a negative output is NaN."""
    found = first_non_finite(_run([dense([[1.0]], "tanh")], [[1.0], [-1.0]], [[1.0], [1.0]], "binary_cross_entropy"))
    assert found is not None
    assert (found.quantity, found.layer, found.sample, found.unit) == ("loss", 0, 1, 0)
    assert np.isnan(found.value)


def test_a_step_beyond_float64_is_located() -> None:
    """w - 1e308 · dE/dw, for a weight and for a bias."""
    network = Network((dense([[1.0, 1.0]], "identity"),))
    result = gradients(network, np.array([[1e3]]), np.array([[1e3, 1e5]]), loss_spec("half_squared_error"))
    found = first_non_finite_parameter(descend(network, result.layers, 1e306))
    assert found == NonFinite("weight", np.inf, layer=0, unit_before=0, unit=1)
    network = Network((dense([[1.0]], "identity", [0.0]),))
    result = gradients(network, np.array([[0.0]]), np.array([[1e3]]), loss_spec("half_squared_error"))
    assert first_non_finite_parameter(descend(network, result.layers, 1e306)) == NonFinite(
        "bias", np.inf, layer=0, unit=0
    )


def test_a_unit_on_a_kink_is_found_with_all_its_samples() -> None:
    """Unit 2 of a mixed layer is at 0 in samples 0 and 2; a tanh at 0 and another relu are on no kink."""
    layer = dense([[1.0, 1.0, 1.0]], ["tanh", {"name": "leaky_relu", "negative_slope": 0.5}, "relu"], [0.0, 1.0, 0.0])
    result = _run([layer], [[0.0], [1.0], [-0.0]], [[0, 0, 0]] * 3)
    (found,) = units_on_kinks(result)
    assert (found.layer, found.unit, found.samples) == (0, 2, (0, 2))
    assert (found.activation, found.kink) == (activation_spec("relu"), Kink(0.0, left=0.0, right=1.0))


def test_every_kink_of_an_activation_counts() -> None:
    """hard_tanh from -2 to ½: units at -2 and at ½ are on its kinks, those at its defaults, -1 and 1, are not."""
    spec = {"name": "hard_tanh", "min_value": -2, "max_value": 0.5}
    result = _run([dense([[-2.0, 0.5, -1.0, 1.0]], spec)], [[1.0]], [[0.0] * 4])
    assert [(found.unit, found.kink) for found in units_on_kinks(result)] == [
        (0, Kink(-2.0, left=0.0, right=1.0)),
        (1, Kink(0.5, left=1.0, right=0.0)),
    ]


def test_a_unit_at_a_jump_is_found() -> None:
    """hard_shrink leaps by ½ at -½ and ½; the unit one float64 beside is on no kink."""
    result = _run([dense([[0.5, np.nextafter(0.5, 1.0)]], "hard_shrink")], [[1.0], [-1.0]], [[0.0, 0.0]] * 2)
    below, above = units_on_kinks(result)
    assert (below.unit, below.samples, below.kink) == (0, (1,), Kink(-0.5, left=1.0, right=0.0, jump=0.5))
    assert (above.unit, above.samples, above.kink) == (0, (0,), Kink(0.5, left=0.0, right=1.0, jump=0.5))


def test_a_unit_on_the_border_of_its_group_is_found() -> None:
    """Two sparsemax groups side by side: of (1, 0) unit 2 is on the border, and of (1, 0.5) in layer 1 none is."""
    head = {"name": "sparsemax", "group": "left"}
    layer = dense([[1.0, 1.0, 0.0, 0.5]], [head, "sparsemax", head, "sparsemax"])
    (found,) = units_on_kinks(_run([dense([[1.0]], "identity"), layer], [[1.0], [0.5]], [[0.0] * 4] * 2))
    assert (found.layer, found.unit, found.samples) == (1, 2, (0,))
    assert found.activation == activation_spec("sparsemax", group="left")
    assert found.kink is found.activation.activation.border


def test_targets_outside_a_losss_range_are_found() -> None:
    """Cross-entropy has the target range 0 to 1, the ends included; squared error has none."""
    t = np.array([[0.0, 1.0, 1.1], [-0.1, 0.5, 0.2]])
    assert list(targets_out_of_range(loss_spec("bce"), t)) == [(0, 2), (1, 0)]
    assert list(targets_out_of_range(loss_spec("sse"), t)) == []
    assert list(targets_out_of_range(loss_spec("poisson"), t)) == [(1, 0)]  # at least 0, without an upper end


@pytest.mark.parametrize(
    ("loss", "o", "t", "expected"),
    [
        ("mae", [1.0, 2.0], [1.5, 2.0], [(0, 1)]),
        ("huber", [1.0, 2.0], [1.5, 2.0], []),
        ("pinball", [1.0, 2.0], [1.5, 2.0], [(0, 1)]),
        ("mape", [1.0, 2.0], [1.5, 2.0], [(0, 1)]),
        ("hinge", [1.0, -1.0, -1.0], [1.0, 1.0, -1.0], [(0, 0), (0, 2)]),
        ("squared_hinge", [1.0, -1.0], [1.0, -1.0], []),
        ("categorical_hinge", [2.0, 2.0, 0.0], [0.0, 0.0, 1.0], [(0, 0), (0, 1)]),  # two are largest
        ("categorical_hinge", [2.0, 1.0, 0.0], [1.0, 0.0, 0.0], [(0, 0), (0, 1)]),  # just 0
        ("categorical_hinge", [2.0, 1.5, 0.0], [1.0, 0.0, 0.0], []),
        ("categorical_hinge", [2.0, 0.5, 0.5], [1.0, 0.0, 0.0], []),  # two are largest, and it costs nothing
        ("cosine_similarity", [0.0, 0.0], [0.3, 0.4], [(0, 0), (0, 1)]),
        ("cosine_similarity", [0.0, 1e-300], [0.3, 0.4], []),
    ],
)
def test_outputs_on_a_losss_kink_are_found(
    loss: str, o: list[float], t: list[float], expected: list[tuple[int, int]]
) -> None:
    """The absolute error has no derivative if output and target are equal; Huber's loss has one."""
    spec = loss_spec(loss)
    found = list(outputs_on_kinks(spec, np.array([o]), np.array([t])))
    assert [(sample, output) for sample, output, _ in found] == expected
    assert all(border in spec.loss.borders for _, _, border in found)


def test_finite_numbers_with_an_infinite_sum_are_finite() -> None:
    """The sum is only a first test: 1e308 and 1e308 are two finite numbers."""
    result = _run([dense([[1.0]], "identity")], [[1e308]], [[1e308]])
    assert float(result.layers[0].a.sum()) + float(result.outputs.sum()) == np.inf
    assert first_non_finite(result) is None
