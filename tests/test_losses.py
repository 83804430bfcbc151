"""The table of losses and the stable pairs, held to judges that know none of their formulas."""

import mpmath
import numpy as np
import pytest

from chainrule.activations import activation_spec
from chainrule.losses import LOSSES, REDUCTIONS, STABLE_PAIRS, LossSpec, loss_spec
from tests.differences import slope

OUTPUTS = np.array([[0.11, 0.36, 0.53], [0.72, 0.08, 0.2]])
TARGETS = np.array([[0.9, 0.25, 0.4], [0.3, 0.6, 0.05]])

every_loss = pytest.mark.parametrize("name", list(LOSSES))
every_pair = pytest.mark.parametrize("names", list(STABLE_PAIRS), ids="-".join)


@every_loss
def test_a_derivative_is_the_slope_of_its_loss(name: str) -> None:
    """Central differences of fourth order, which know no formula, agree to 1e-8."""
    loss = loss_spec(name)
    numeric = slope(lambda o: loss.value(o, TARGETS), OUTPUTS)
    np.testing.assert_allclose(loss.derivative(OUTPUTS, TARGETS), numeric, rtol=1e-7, atol=1e-9)


def test_hubers_parameter_is_where_the_parabola_ends() -> None:
    """delta 2: residual 1 costs ½·1², residual -5 costs 2·(5 - 1); slopes 1 and -2."""
    loss = loss_spec("huber", delta=2.0)
    o, t = np.array([[1.0, -5.0]]), np.zeros((1, 2))
    np.testing.assert_array_equal(loss.value(o, t), [[0.5, 8.0]])
    np.testing.assert_array_equal(loss.derivative(o, t), [[1.0, -2.0]])


# By hand, for o = 0.25 and t = 0.75 (class 0 where the loss takes indices, so t is 1).
@pytest.mark.parametrize(
    ("name", "value", "derivative"),
    [
        ("half_squared_error", 0.125, -0.5),
        ("squared_error", 0.25, -1.0),
        ("absolute_error", 0.5, -1.0),
        ("huber", 0.125, -0.5),
        ("binary_cross_entropy", 1.1116412889528632, -8 / 3),  # ¾·log 4 + ¼·log(4/3)
        ("categorical_cross_entropy", 1.039720770839918, -3.0),  # ¾·log 4
        ("sparse_categorical_cross_entropy", 1.3862943611198906, -4.0),  # log 4
        ("negative_log_likelihood", -0.25, -1.0),
        ("dot_product", 0.1875, 0.75),
    ],
)
def test_the_value_of_every_loss_by_hand(name: str, value: float, derivative: float) -> None:
    """A factor ½, a sign or a default that changed shows here."""
    loss = loss_spec(name)
    o, t = np.array([[0.25]]), np.array([[1.0 if loss.loss.class_indices else 0.75]])
    assert loss.value(o, t)[0, 0] == pytest.approx(value, rel=1e-15, abs=0)
    assert loss.derivative(o, t)[0, 0] == pytest.approx(derivative, rel=1e-15, abs=0)


def test_the_table_by_hand_is_whole() -> None:
    """A new loss needs its line above."""
    (mark,) = test_the_value_of_every_loss_by_hand.pytestmark
    assert [case[0] for case in mark.args[1]] == list(LOSSES)


def test_hubers_default_is_one() -> None:
    """At a residual of 3: 1·(3 - ½)."""
    assert loss_spec("huber").value(np.array([[3.0]]), np.array([[0.0]]))[0, 0] == 2.5


@pytest.mark.parametrize("name", ["binary_cross_entropy", "categorical_cross_entropy"])
def test_what_did_not_occur_costs_nothing(name: str) -> None:
    """0 · log 0 is 0 here, and so is its derivative; 0/0 would be NaN."""
    loss = loss_spec(name)
    o, t = np.array([[0.0]]), np.array([[0.0]])
    assert loss.value(o, t)[0, 0] == 0.0
    assert np.isfinite(loss.derivative(o, t)[0, 0])


def test_a_certain_and_right_output_costs_nothing() -> None:
    """Binary cross-entropy at o = t = 1: the value is 0 and the derivative -1, from the left."""
    loss = loss_spec("binary_cross_entropy")
    one = np.array([[1.0]])
    assert loss.value(one, one)[0, 0] == 0.0
    assert loss.derivative(one, one)[0, 0] == -1.0


@pytest.mark.parametrize(
    ("name", "reduction", "divisor"),
    [
        ("squared_error", "sum", 1),
        ("squared_error", "mean", 6),
        ("squared_error", "batch_mean", 2),
        ("categorical_cross_entropy", "sum", 1),
        ("categorical_cross_entropy", "mean", 2),
        ("categorical_cross_entropy", "batch_mean", 2),
    ],
)
def test_what_a_reduction_divides_by(name: str, reduction: str, divisor: int) -> None:
    """Two samples of three outputs: the mean is over 6 single losses, or over 2 where a loss is one a sample."""
    assert loss_spec(name, reduction).divisor(TARGETS) == divisor  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("alias", "name", "reduction"),
    [
        ("mse", "squared_error", "mean"),
        ("sse", "squared_error", "sum"),
        ("mae", "absolute_error", "mean"),
        ("bce", "binary_cross_entropy", "sum"),
        ("cce", "categorical_cross_entropy", "sum"),
        ("nll", "negative_log_likelihood", "sum"),
    ],
)
def test_an_alias_is_a_loss_with_a_reduction(alias: str, name: str, reduction: str) -> None:
    """`mse` is the squared error, averaged; a reduction that is given goes before the alias's."""
    assert loss_spec(alias) == LossSpec(LOSSES[name], loss_spec(name).values, reduction)  # type: ignore[arg-type]
    assert loss_spec(alias, "batch_mean").reduction == "batch_mean"


def test_every_alias_is_tested() -> None:
    """A new alias needs its line above."""
    (mark,) = test_an_alias_is_a_loss_with_a_reduction.pytestmark
    assert {case[0] for case in mark.args[1]} == {alias for loss in LOSSES.values() for alias in loss.aliases}


def test_class_indices_become_rows_with_a_single_one() -> None:
    """Classes 2 and 0 of three."""
    rows = loss_spec("sparse_categorical_cross_entropy").dense_targets(np.array([2.0, 0.0]), 3)
    np.testing.assert_array_equal(rows, [[0, 0, 1], [1, 0, 0]])


@every_pair
def test_a_stable_pair_agrees_with_the_plain_product(names: tuple[str, str]) -> None:
    """Loss, dE/do and dE/da in closed form are those of the tables, wherever these keep their digits."""
    loss, phi, pair = loss_spec(names[0]), activation_spec(names[1]), STABLE_PAIRS[names]
    a = np.array([[0.4, -1.3, 0.8], [-0.2, 0.1, 1.9]])
    t = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]) if loss.loss.class_indices else TARGETS
    o = phi.value(a)
    dE_do = loss.derivative(o, t)
    np.testing.assert_allclose(pair.value(a, t, *phi.values), loss.value(o, t), rtol=1e-13)
    np.testing.assert_allclose(pair.dE_da(a, t, *phi.values), phi.jacobian(a).dE_da(dE_do), rtol=1e-12, atol=1e-15)
    if pair.dE_do:
        np.testing.assert_allclose(pair.dE_do(a, t, *phi.values), dE_do, rtol=1e-13)


def test_a_stable_pair_takes_the_parameters_of_its_activation() -> None:
    """Softmax with temperature ½ under cross-entropy: dE/da is twice o - t."""
    pair, a = STABLE_PAIRS["categorical_cross_entropy", "softmax"], np.array([[0.4, -1.3, 0.8]])
    t = np.array([[0.0, 1.0, 0.0]])
    o = activation_spec("softmax", temperature=0.5).value(a)
    np.testing.assert_allclose(pair.dE_da(a, t, 0.5), 2.0 * (o - t), rtol=1e-14)
    np.testing.assert_allclose(pair.value(a, t, 0.5).sum(), -np.log(o[0, 1]), rtol=1e-14)


@pytest.mark.parametrize("a", [-800.0, -40.0, -30.0, 30.0, 40.0, 800.0])
@pytest.mark.parametrize("t", [0.0, 0.25, 1.0])
def test_sigmoid_and_cross_entropy_keep_their_digits(a: float, t: float) -> None:
    """dE/da = σ(a) - t by mpmath: with target 1, the two-part product of float64 gives -0.094 at a = -30, not -1."""
    with mpmath.workdps(400):
        expected = 1 / (1 + mpmath.exp(-mpmath.mpf(a))) - mpmath.mpf(t)
    pair = STABLE_PAIRS["binary_cross_entropy", "sigmoid"]
    found = pair.dE_da(np.array([[a]]), np.array([[t]]))[0, 0]
    assert found == pytest.approx(float(expected), rel=1e-15, abs=5e-324)


@every_loss
def test_every_row_says_what_people_need(name: str) -> None:
    """A title, LaTeX with balanced braces for formula and derivative, a reference, and meanings for parameters."""
    row = LOSSES[name]
    assert row.name == name
    assert row.title
    assert len(row.reference) > 20
    for latex in (row.formula, row.derivative_formula):
        assert latex.count("{") == latex.count("}")
        assert "=" in latex
    assert all(parameter.meaning and parameter.allows(parameter.default) for parameter in row.parameters)
    assert set(row.aliases.values()) <= set(REDUCTIONS)


def test_a_loss_that_does_not_exist_is_refused() -> None:
    """KeyError for a name, ValueError for a parameter."""
    with pytest.raises(KeyError):
        loss_spec("hubert")
    with pytest.raises(ValueError, match="delta of huber must be a finite number greater than 0"):
        loss_spec("huber", delta=-1.0)
