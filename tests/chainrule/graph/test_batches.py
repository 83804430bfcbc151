"""Groups that are computed in one call: each has the same numbers as alone, to the last bit."""

from typing import Any

import numpy as np
import pytest

from chainrule.functions.activations import ACTIVATIONS, ActivationSpec, activation_spec
from chainrule.functions.losses import LOSSES, loss_spec
from chainrule.functions.stable_pairs import STABLE_PAIRS
from chainrule.functions.tables import Array, Parameter, quietly
from chainrule.graph.backprop import forward, gradients
from chainrule.graph.batches import Group
from chainrule.graph.blocks import BLOCK
from chainrule.graph.network import Layer, Network
from chainrule.notices import units_on_kinks

EXTREMES = np.array([0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 6.0, 3.0, -3.0, 1e-300, -20.5, 40.0, -800.0, 1e5, -1e200])


def _values(parameter: Parameter, rng: np.random.Generator) -> list[Any]:
    """Values that the parameter allows, the ends of its range among them."""
    if parameter.choices:
        return list(parameter.choices)
    tried = [parameter.default, 0.0, -0.0, 1.0, 2.0, 0.25, 3.5, 1e-3, 1e3, *rng.normal(size=4).tolist()]
    return [value for value in tried if parameter.allows(value)]


def _specs(name: str, groups: int, rng: np.random.Generator) -> list[ActivationSpec]:
    """Specs of one row whose parameters, or labels, differ."""
    row, found = ACTIVATIONS[name], []
    while len(found) < groups:
        given = {parameter.name: rng.choice(_values(parameter, rng)) for parameter in row.parameters}
        given = {key: value if isinstance(value, str) else float(value) for key, value in given.items()}
        if row.rule is None or not row.rule.complaint(tuple(given.values())):
            found.append(activation_spec(name, None if row.elementwise else str(len(found)), **given))
    return found


def _layer(name: str, rng: np.random.Generator, columns: int = 44) -> Layer:
    """Groups of one, two and nine units of one row, mixed with each other and with two tanh."""
    specs = _specs(name, 12, rng)
    sizes = [1] * 6 + [2] * 3 + [9] * 3
    listed = [spec for spec, size in zip(specs, sizes, strict=True) for _ in range(size)]
    listed += [activation_spec("tanh")] * 2 + [activation_spec("softmax")] * (columns - len(listed))
    return Layer.dense(np.zeros((1, len(listed))), None, tuple(listed[j] for j in rng.permutation(len(listed))))


def _numbers(shape: tuple[int, int], rng: np.random.Generator) -> Array:
    """Some near 0, some extreme."""
    return np.where(rng.random(shape) < 0.3, rng.choice(EXTREMES, shape), 2.0 * rng.normal(size=shape))


def _same(found: Array, wanted: Array) -> None:
    """Equal to the last bit, the sign of 0 too."""
    np.testing.assert_array_equal(found.view(np.int64), wanted.copy().view(np.int64))


@pytest.mark.parametrize("samples", [1, 5])
@pytest.mark.parametrize("name", ACTIVATIONS)
@quietly
def test_groups_in_one_call_have_the_numbers_of_groups_alone(name: str, samples: int) -> None:
    """Outputs, Jacobian, dE/da and distances from kinks, with parameters that differ from group to group."""
    rng = np.random.default_rng(samples)
    for _ in range(3):
        layer = _layer(name, rng)
        a, dE_do = _numbers((samples, layer.units), rng), rng.normal(size=(samples, layer.units))
        o, do_da = layer.partition.outputs(a), layer.partition.jacobian(a)
        dE_da, matrix = do_da.dE_da(dE_do), do_da.array()
        for group in layer.groups:
            phi, units = group.activation, np.arange(layer.units)[group.units]
            alone = phi.jacobian(a[:, units])
            _same(o[:, units], phi.value(a[:, units]))
            _same(do_da.whole.diagonal[:, units], alone.diagonal)
            _same(dE_da[:, units], alone.dE_da(dE_do[:, units]))
            _compare_matrix(matrix, units, alone.array())


def _compare_matrix(matrix: Array, units: Array, alone: Array) -> None:
    if alone.ndim == 3:
        _same(matrix[:, units[:, None], units], alone)
    elif matrix.ndim == 2:
        _same(matrix[:, units], alone)
    else:
        _same(matrix[:, units, units], alone)


@pytest.mark.parametrize("samples", [1, 5])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_units_on_kinks_are_those_of_each_group_in_turn(name: str, samples: int) -> None:
    """Group by group, kink by kink, unit by unit: only the first 20 are shown, so their order matters."""
    rng = np.random.default_rng(3)
    layer = _layer(name, rng)
    at = [kink.at for spec in layer.activations for kink in spec.kinks()] or [0.0]
    a = np.where(rng.random((samples, layer.units)) < 0.5, rng.choice(at, (samples, layer.units)), 0.25)
    lone = Network((Layer.dense(np.eye(layer.units), None, layer.activation),))
    result = gradients(lone, a, a, loss_spec("half_squared_error"))
    found = [(unit.unit, unit.samples, unit.activation, unit.kink) for unit in units_on_kinks(result)]
    assert found == [row for group in layer.groups for row in _on_kinks(group, result.layers[0].a)]


def _on_kinks(group: Group, a: Array) -> list[Any]:
    found = []
    for kink, distance in group.activation.distances(a[:, group.units]):
        for column, unit in enumerate(np.arange(a.shape[1])[group.units].tolist()):
            samples = tuple(np.flatnonzero(distance[:, column] == 0.0).tolist())
            if samples:
                found.append((unit, samples, group.activation, kink))
    return found


@pytest.mark.parametrize("samples", [1, 4])
@pytest.mark.parametrize("pair", [p for p in STABLE_PAIRS if not LOSSES[p[0]].class_indices], ids=" of ".join)
def test_closed_forms_of_several_groups_are_those_of_each_alone(pair: tuple[str, str], samples: int) -> None:
    """A softmax for each label and temperature, under one loss."""
    name, activation = pair
    rng = np.random.default_rng(5)
    specs = [spec for spec in _specs(activation, 6, rng) for _ in range(9)]
    x, t, loss = _numbers((samples, len(specs)), rng).clip(-50, 50), rng.random((samples, len(specs))), loss_spec(name)
    joint = gradients(Network((Layer.dense(np.eye(len(specs)), None, tuple(specs)),)), x, t, loss)
    groups = joint.layers[0].activity.layer.groups
    for group in groups:
        units = np.arange(len(specs))[group.units]
        width = {"weights": np.eye(len(specs))[:, units], "biases": None}
        alone = gradients(Network((Layer.dense(**width, activation=group.activation),)), x, t[:, units], loss)
        np.testing.assert_allclose(joint.losses[:, units], alone.losses, rtol=1e-14)
        np.testing.assert_allclose(joint.layers[0].dE_da[:, units], alone.layers[0].dE_da, rtol=1e-13)


def test_parameters_of_hundreds_of_groups_take_one_call() -> None:
    """425 slopes are one batch of all columns; 425 labels of two sizes are two."""
    slopes = tuple(activation_spec("leaky_relu", negative_slope=j / 1000) for j in range(425))
    (batch,) = Layer.dense(np.zeros((1, 425)), None, slopes).batches
    assert batch.is_layer
    labels = tuple(activation_spec("softmax", group=str(j // 2)) for j in range(425))
    assert [len(batch.groups) for batch in Layer.dense(np.zeros((1, 425)), None, labels).batches] == [212, 1]


def test_words_are_not_made_into_arrays() -> None:
    """A layer with both forms of gelu has two batches."""
    both = (activation_spec("gelu"), activation_spec("gelu", approximate="tanh"))
    assert [batch.values for batch in Layer.dense(np.zeros((1, 2)), None, both).batches] == [("none",), ("tanh",)]


@pytest.mark.parametrize("name", ACTIVATIONS)
@quietly
def test_large_passes_have_the_numbers_of_small_ones(name: str) -> None:
    """A sample has the same numbers in a batch computed in blocks as in a small batch.

    Slopes may differ by one ulp: near its zero, the slope of gelu is a BLAS product, which adds in an order by shape.
    """
    rng = np.random.default_rng(9)
    phi = activation_spec(name)
    network = Network((Layer.dense(np.eye(64), None, phi),))
    x = _numbers((3 * BLOCK // 64 + 1, 64), rng)
    (whole,) = forward(network, (x,))
    assert whole.a.size > 2 * BLOCK
    some = slice(2 * BLOCK // 64 - 3, 2 * BLOCK // 64 + 3)
    _same(whole.o[some], phi.value(whole.a[some]))
    do_da = network.layers[0].partition.jacobian(whole.a)
    for array, wanted in zip(do_da.whole, phi.jacobian(whole.a[some]), strict=True):
        if array is not None and wanted is not None:
            np.testing.assert_array_max_ulp(array[some], wanted, maxulp=1)


SHARING = [row for row in ACTIVATIONS.values() if row.both is not None]


@pytest.mark.parametrize("row", SHARING, ids=lambda row: row.name)
@np.errstate(all="ignore")
def test_shared_exponentials_give_equal_results(row: Any) -> None:
    """Value and derivative in one call are those of two, to the last bit; also with parameters that are arrays."""
    rng = np.random.default_rng(2)
    a = np.concatenate([EXTREMES.reshape(5, 3), 10.0 * rng.normal(size=(40, 3))])
    given = [tuple(value) for value in (_values(parameter, rng) for parameter in row.parameters)]
    choices = [*zip(*given, strict=True), *[(rng.random((len(a), 1)) + 0.5,)] * len(given)] if given else [()]
    for values in choices:
        o, do_da, _ = row.both(a, *values)
        wanted = row.jacobian(a, *values) if row.jacobian else (row.slope(a, *values),)
        found = do_da if row.jacobian else (do_da,)
        for array, other in zip((o, *found), (row.value(a, *values), *wanted), strict=True):
            assert array.tobytes() == other.tobytes()


@pytest.mark.parametrize("temperature", [1.0, 0.25])
@pytest.mark.parametrize("loss", ["categorical_cross_entropy", "sparse_categorical_cross_entropy"])
def test_a_stable_pair_in_one_call_is_that_of_two(loss: str, temperature: float) -> None:
    """The loss and dE/da, with the exponentials of the activation or without, to the last bit."""
    rng = np.random.default_rng(2)
    pair, phi = STABLE_PAIRS[loss, "softmax"], ACTIVATIONS["softmax"]
    a, t = 20.0 * rng.normal(size=(50, 4)), np.eye(4)[rng.integers(0, 4, 50)]
    assert pair.both is not None
    assert phi.both is not None
    for shared in (None, phi.both(a, temperature)[2]):
        value, dE_da = pair.both(shared, a, t, temperature)
        assert value.tobytes() == pair.value(a, t, temperature).tobytes()
        assert dE_da.tobytes() == pair.dE_da(a, t, temperature).tobytes()


@pytest.mark.parametrize("activation", ["sigmoid", "softmax", "tanh"])
def test_a_pass_that_shares_exponentials_is_one_that_does_not(activation: str) -> None:
    """What the forward pass has of the derivatives is what the backward pass would compute."""
    rng = np.random.default_rng(3)
    layer = Layer.dense(rng.normal(size=(3, 4)), None, activation_spec(activation))
    (shared,) = forward(Network((layer,)), (rng.normal(size=(5, 3)),), derive=True)
    (plain,) = forward(Network((layer,)), (shared.x,))
    assert plain.do_da is None
    assert (shared.do_da is None) == (activation == "tanh")
    assert shared.o.tobytes() == plain.o.tobytes()
    if shared.do_da is not None:
        whole = layer.partition.jacobian(plain.a).whole
        assert [None if x is None else x.tobytes() for x in shared.do_da] == [
            None if x is None else x.tobytes() for x in whole
        ]
