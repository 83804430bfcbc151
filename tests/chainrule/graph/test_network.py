"""Networks: their groups, and what is refused."""

import numpy as np
import pytest

from chainrule.functions.activations import activation_spec
from chainrule.graph.network import Layer, Network, dense


def test_units_of_equal_activation_and_parameters_form_a_group() -> None:
    """Units 0 and 3 share one softmax; another label, or another slope, is another group."""
    layer = dense(
        np.zeros((1, 6)),
        [
            "softmax",
            {"name": "leaky_relu", "negative_slope": 0.1},
            {"name": "softmax", "group": "colour"},
            "softmax",
            {"name": "leaky_relu", "negative_slope": 0.2},
            {"name": "softmax", "group": "colour"},
        ],
    )
    assert [group.units.tolist() for group in layer.groups] == [[0, 3], [1], [2, 5], [4]]  # type: ignore[union-attr]


@pytest.mark.parametrize("activation", ["tanh", ["tanh", "tanh"]], ids=["one for the layer", "the same for every unit"])
def test_one_activation_is_one_group_of_all_units(activation: str | list[str]) -> None:
    """The group has a slice of all units, so that nothing is copied."""
    (group,) = dense([[1.0, 2.0]], activation).groups
    assert group.units == slice(None)


def test_an_alias_and_its_name_are_one_group() -> None:
    """`swish` is `silu`."""
    assert len(dense([[1.0, 2.0]], ["swish", "silu"]).groups) == 1


def test_networks_and_layers_cannot_be_changed() -> None:
    """They are frozen, so that what was validated stays valid."""
    layer = dense([[1.0]], "tanh")
    with pytest.raises(AttributeError):
        layer.biases = np.zeros(1)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("weights", "biases", "activation", "words"),
    [
        ([1.0, 2.0], None, "tanh", "weights must be a matrix"),
        ([[1.0, 2.0]], [1.0], "tanh", "biases must have the shape"),
        ([[1.0, 2.0]], [[1.0, 2.0]], "tanh", "biases must have the shape"),
        ([[1.0, 2.0]], None, ["tanh"], "1 activations for 2 units"),
    ],
)
def test_a_layer_whose_parts_do_not_fit_is_refused(
    weights: list[float], biases: list[float] | None, activation: str | list[str], words: str
) -> None:
    """NumPy would silently broadcast a single bias over all units."""
    with pytest.raises(ValueError, match=words):
        dense(weights, activation, biases)


def test_layers_that_do_not_fit_each_other_are_refused() -> None:
    """One unit under weights for two; and no layer at all."""
    with pytest.raises(ValueError, match="a layer of 1 units under weights for 2"):
        Network((dense([[1.0]], "tanh"), dense([[1.0], [1.0]], "tanh")))
    with pytest.raises(ValueError, match="at least one layer"):
        Network(())


def test_every_unit_has_its_activation() -> None:
    """From a list, or the layer's activation repeated."""
    tanh = activation_spec("tanh")
    assert Layer.dense(np.zeros((1, 3)), None, tanh).activations == (tanh, tanh, tanh)
