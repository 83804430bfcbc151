"""The table of losses and the stable pairs, compared with judges that do not use their formulas."""

from typing import Any

import mpmath
import numpy as np
import pytest
from flask.testing import FlaskClient

from chainrule.functions.activations import activation_spec
from chainrule.functions.losses import LOSSES, REDUCTIONS, LossSpec, loss_spec
from chainrule.functions.stable_pairs import STABLE_PAIRS
from tests.judges.differences import Array, gradient

OUTPUTS = np.array([[0.11, 0.36, 0.53, 0.29], [0.72, 0.08, 0.2, 0.61]])
TARGETS = np.array([[0.9, 0.25, 0.4, 0.1], [0.3, 0.6, 0.05, 0.8]])

# Parameters that are not the defaults reveal a formula that ignores a parameter, or uses its default.
OTHERS: dict[str, dict[str, Any]] = {
    "huber": {"delta": 0.25},
    "smooth_l1": {"beta": 0.25},
    "quantile": {"tau": 0.9},
    "percentage_error": {"epsilon": 0.33},
    "binary_cross_entropy_with_logits": {"pos_weight": 3.0},
    "binary_focal": {"alpha": 0.7, "gamma": 1.5},
    "categorical_cross_entropy": {"label_smoothing": 0.2},
    "categorical_cross_entropy_with_logits": {"label_smoothing": 0.2},
    "sparse_categorical_cross_entropy": {"ignore_index": 1},
    "sparse_categorical_cross_entropy_with_logits": {"ignore_index": 1},
    "negative_log_likelihood": {"ignore_index": 1},
    "categorical_focal": {"alpha": 0.7, "gamma": 1.5},
}


def _specs() -> list[LossSpec]:
    """Every row with its defaults, and every row that has parameters with other values, too."""
    defaults = [loss_spec(name) for name in LOSSES]
    return defaults + [loss_spec(name, **OTHERS[name]) for name, row in LOSSES.items() if row.parameters]


def _name(value: object) -> str | None:
    return f"{value.loss.name}{list(value.values) or ''}" if isinstance(value, LossSpec) else None


every_spec = pytest.mark.parametrize("loss", _specs(), ids=_name)
every_loss = pytest.mark.parametrize("name", list(LOSSES))
every_pair = pytest.mark.parametrize("names", list(STABLE_PAIRS), ids="-".join)


def _targets(loss: LossSpec, fractions: Array) -> Array:
    """Targets that the loss takes, made from numbers between 0 and 1."""
    if loss.loss.class_indices:
        return loss.dense_targets(np.array([0.0, 3.0]), fractions.shape[1])
    if loss.loss.target_values:
        return np.where(fractions > 0.35, 1.0, -1.0)
    return loss.dense_targets(fractions[:, :: loss.loss.outputs_per_target], fractions.shape[1])


@every_spec
def test_a_derivative_is_the_slope_of_its_loss(loss: LossSpec) -> None:
    """Central differences of fourth order agree to 1e-8, also far from the targets."""
    t = _targets(loss, TARGETS)
    of_probabilities = loss.loss.target_range or loss.loss.class_indices
    for o in (OUTPUTS, 0.99 - OUTPUTS) if of_probabilities else (OUTPUTS, 3.0 * OUTPUTS - 0.5):
        numeric = gradient(lambda o: loss.value(o, t).sum(), o, h=2e-4)
        np.testing.assert_allclose(loss.derivative(o, t), numeric, rtol=1e-8, atol=1e-9)


# By hand, for the outputs ¼ and ½ and the targets ¾ and ¼; the class 0; 1 and -1; or the mean ¼, the logarithm of a
# variance ½ and the target ¾. The losses of both outputs are added up.
BY_HAND = [  # name, the loss, its derivative by each output
    ("half_squared_error", 0.15625, [-0.5, 0.25]),
    ("squared_error", 0.3125, [-1.0, 0.5]),
    ("absolute_error", 0.75, [-1.0, 1.0]),
    ("huber", 0.15625, [-0.5, 0.25]),
    ("smooth_l1", 0.15625, [-0.5, 0.25]),
    ("log_cosh", 0.1510443105784389, [-0.46211715726000975, 0.24491866240370913]),  # tanh of -½ and ¼
    ("quantile", 0.375, [-0.5, 0.5]),
    ("percentage_error", 500 / 3, [-400 / 3, 400.0]),
    ("squared_log_error", 0.14645471608865274, [-0.5383555785939407, 0.24309540905860616]),  # log²(5/7) + log²(6/5)
    ("poisson", 1.9630075659799042, [-2.0, 0.5]),  # ¾ + ¾·log 4 + ¼·log 2
    ("poisson_log", 2.6202466873878696, [0.5340254166877415, 1.3987212707001282]),  # e^¼ + e^½ - 5/16
    ("binary_cross_entropy", 1.8047884695128085, [-8 / 3, 1.0]),  # ¾·log 4 + ¼·log(4/3) + log 2
    ("binary_cross_entropy_with_logits", 1.4875164040589501, [-0.1878234991142019, 0.37245933120185454]),
    ("binary_focal", 0.2578862546483992, [-0.7691750947726148, 0.5965735902799727]),
    ("hinge", 2.25, [-1.0, 1.0]),
    ("squared_hinge", 2.8125, [-1.5, 3.0]),
    ("kl_divergence", 0.6506724213610959, [-3.0, -0.5]),  # ¾·log 3 - ¼·log 2
    ("dot_product", 0.3125, [0.75, 0.25]),
    ("categorical_cross_entropy", 1.2130075659799042, [-3.0, -0.5]),  # ¾·log 4 + ¼·log 2
    ("categorical_cross_entropy_with_logits", 0.7634394198788436, [-0.3121765008857981, 0.3121765008857981]),
    ("sparse_categorical_cross_entropy", 1.3862943611198906, [-4.0, 0.0]),  # log 4
    ("sparse_categorical_cross_entropy_with_logits", 0.8259394198788436, [-0.5621765008857981, 0.5621765008857981]),
    ("negative_log_likelihood", -0.25, [-1.0, 0.0]),
    ("categorical_focal", 0.15704115809561262, [-0.8117702890649693, -0.07457169878499659]),
    ("categorical_hinge", 1.0625, [-0.75, 0.5]),  # 1 + ¾·½ - ¾·¼ - ¼·½
    ("cosine_similarity", -0.7071067811865476, [-1.131370849898476, 0.565685424949238]),  # -√½, -8√2/10, 4√2/10
    ("gaussian_nll", 0.32581633246407915, [-0.3032653298563167, 0.42418366753592085]),  # (½ + ¼·e^-½) / 2
]


@pytest.mark.parametrize(("name", "value", "derivative"), BY_HAND)
def test_the_value_of_every_loss_by_hand(name: str, value: float, derivative: list[float]) -> None:
    """A changed factor ½, sign or default shows here."""
    loss, o = loss_spec(name), np.array([[0.25, 0.5]])
    t = np.array([[0.75, 0.25][: 2 // loss.loss.outputs_per_target]])
    if loss.loss.class_indices or loss.loss.target_values:
        t = np.array([[1.0, 0.0 if loss.loss.class_indices else -1.0]])
    assert loss.value(o, t).sum() == pytest.approx(value, rel=1e-15, abs=0)
    assert loss.derivative(o, t)[0] == pytest.approx(derivative, rel=1e-15, abs=0)


def test_the_table_by_hand_is_complete() -> None:
    """A new loss needs its line above."""
    assert [name for name, *_ in BY_HAND] == list(LOSSES)


# The loss of one output, and its derivative, by hand.
@pytest.mark.parametrize(
    ("loss", "o", "t", "value", "derivative"),
    [
        (loss_spec("huber"), 3.0, 0.0, 2.5, 1.0),  # 1·(3 - ½)
        (loss_spec("huber", delta=2.0), 1.0, 0.0, 0.5, 1.0),
        (loss_spec("huber", delta=2.0), -5.0, 0.0, 8.0, -2.0),  # 2·(5 - 1)
        (loss_spec("smooth_l1"), 3.0, 0.0, 2.5, 1.0),
        (loss_spec("smooth_l1", beta=2.0), 1.0, 0.0, 0.25, 0.5),
        (loss_spec("smooth_l1", beta=2.0), -5.0, 0.0, 4.0, -1.0),  # 5 - 1
        (loss_spec("log_cosh"), 800.0, 0.0, 799.3068528194400547, 1.0),  # 800 - log 2; cosh 800 is beyond float64
        (loss_spec("quantile", tau=0.75), 1.0, 5.0, 3.0, -0.75),
        (loss_spec("quantile", tau=0.75), 5.0, 1.0, 1.0, 0.25),
        (loss_spec("percentage_error"), 3.0, -2.0, 250.0, 50.0),
        (loss_spec("percentage_error"), 1.0, 0.0, 1e9, 1e9),  # over the default epsilon, 1e-7
        (loss_spec("percentage_error", epsilon=4.0), 3.0, -2.0, 125.0, 25.0),
        (loss_spec("binary_cross_entropy_with_logits", pos_weight=3.0), 0.0, 1.0, 2.0794415416798357, -1.5),  # 3·log 2
        (loss_spec("binary_cross_entropy_with_logits", pos_weight=3.0), 0.0, 0.0, 0.6931471805599453, 0.5),
        (loss_spec("binary_focal", alpha=0.5, gamma=0.0), 0.25, 1.0, 0.6931471805599453, -2.0),  # ½·log 4
        (loss_spec("binary_focal"), 0.5, 1.0, 0.043321698784996581, -0.29828679513998633),  # ¼·¼·log 2
        (loss_spec("binary_focal"), 0.5, 0.0, 0.12996509635498974, 0.89486038541995899),  # ¾·¼·log 2
        (loss_spec("categorical_focal", alpha=1.0, gamma=0.0), 0.25, 1.0, 1.3862943611198906, -4.0),  # log 4
        (loss_spec("categorical_focal", alpha=2.0, gamma=1.0), 0.5, 1.0, 0.6931471805599453, -3.386294361119891),
        (loss_spec("hinge"), -2.0, -1.0, 0.0, 0.0),
        (loss_spec("squared_hinge"), -2.0, 1.0, 9.0, -6.0),
    ],
    ids=lambda value: _name(value) or str(value),
)
def test_a_parameter_does_what_it_says(loss: LossSpec, o: float, t: float, value: float, derivative: float) -> None:
    """quantile 0.75: a target 4 above the output costs 3, one 4 below it 1. pos_weight 3: log 2 three times."""
    at = np.array([[o]]), np.array([[t]])
    assert loss.value(*at)[0, 0] == pytest.approx(value, rel=1e-15, abs=0)
    assert loss.derivative(*at)[0, 0] == pytest.approx(derivative, rel=1e-15, abs=0)


@pytest.mark.parametrize(
    "name", ["binary_cross_entropy", "binary_focal", "categorical_cross_entropy", "categorical_focal", "kl_divergence"]
)
def test_a_class_that_does_not_occur_has_no_loss(name: str) -> None:
    """0 · log 0 is 0 here, and so is its derivative; 0/0 would be NaN."""
    loss = loss_spec(name)
    o, t = np.array([[0.0]]), np.array([[0.0]])
    assert loss.value(o, t)[0, 0] == 0.0
    assert np.isfinite(loss.derivative(o, t)[0, 0])


def test_a_count_of_zero_has_no_logarithm() -> None:
    """Poisson's loss at o = t = 0 is 0, and its derivative 1, without 0 · log 0 or 0/0."""
    loss, zero = loss_spec("poisson"), np.array([[0.0]])
    assert loss.value(zero, zero)[0, 0] == 0.0
    assert loss.derivative(zero, zero)[0, 0] == 1.0


def test_a_certain_and_right_output_has_no_loss() -> None:
    """Binary cross-entropy at o = t = 1: the value is 0 and the derivative -1, from the left."""
    loss = loss_spec("binary_cross_entropy")
    one = np.array([[1.0]])
    assert loss.value(one, one)[0, 0] == 0.0
    assert loss.derivative(one, one)[0, 0] == -1.0


@pytest.mark.parametrize(
    ("name", "reduction", "divisor"),
    [
        ("squared_error", "sum", 1),
        ("squared_error", "mean", 8),
        ("squared_error", "batch_mean", 2),
        ("categorical_cross_entropy", "sum", 1),
        ("categorical_cross_entropy", "mean", 2),
        ("categorical_cross_entropy", "batch_mean", 2),
        ("gaussian_nll", "mean", 2),
        ("cosine_similarity", "mean", 2),
        ("categorical_hinge", "mean", 2),
        ("hinge", "mean", 8),
    ],
)
def test_what_a_reduction_divides_by(name: str, reduction: str, divisor: int) -> None:
    """Two samples of four outputs: the mean is over 8 terms, or over 2 if there is one term for each sample."""
    loss = loss_spec(name, reduction)  # type: ignore[arg-type]
    assert loss.divisor(_targets(loss, TARGETS)) == divisor


@pytest.mark.parametrize(("reduction", "divisor"), [("sum", 1), ("mean", 2), ("batch_mean", 3)])
@pytest.mark.parametrize("name", [name for name, row in LOSSES.items() if row.class_indices])
def test_an_ignored_sample_adds_nothing_and_the_mean_is_over_the_others(
    name: str, reduction: str, divisor: int
) -> None:
    """Classes 2, -100 and 0, of which -100 is ignored: a row of zeros, no loss, no derivative, and two to divide by."""
    loss = loss_spec(name, reduction, ignore_index=-100)  # type: ignore[arg-type]
    t = loss.dense_targets(np.array([2.0, -100.0, 0.0]), 3)
    np.testing.assert_array_equal(t, [[0, 0, 1], [0, 0, 0], [1, 0, 0]])
    assert loss.divisor(t) == divisor
    o = np.array([[0.2, 0.3, 0.5], [0.0, 0.0, 1.0], [0.7, 0.2, 0.1]])
    for array in (loss.value(o, t), loss.derivative(o, t)):
        assert not array[1].any()
        assert array[0].any()
        assert array[2].any()


def test_an_ignored_class_can_be_one_of_the_outputs() -> None:
    """Class 0 is ignored if it stands for padding; by default, all classes count."""
    ignoring = loss_spec("nll", ignore_index=0)
    np.testing.assert_array_equal(ignoring.ignored(np.array([0.0, 1.0])), [True, False])
    np.testing.assert_array_equal(ignoring.dense_targets(np.array([0.0, 1.0]), 2), [[0, 0], [0, 1]])
    np.testing.assert_array_equal(loss_spec("nll").ignored(np.array([0.0, -100.0])), [False, False])


def test_a_parameter_that_is_left_out_has_no_value_and_is_not_echoed(client: FlaskClient) -> None:
    """ignore_index: None in the core and absent in `loss_function`; if it is given, a whole number in both."""
    assert loss_spec("nll").parameter("ignore_index") is None
    assert loss_spec("nll", ignore_index=-100).parameter("ignore_index") == -100
    assert loss_spec("mse").parameter("ignore_index") is None
    layer = {"activation": "log_softmax", "weights": [[1.0, 2.0]]}
    body = {"network": {"layers": [layer]}, "inputs": [0.5], "targets": 1, "breakdown": "none"}
    for given in ({}, {"ignore_index": -100}):
        answer = client.post("/v1/gradients", json=body | {"loss": {"name": "nll", **given}}).get_json()
        assert answer["loss_function"] == {"name": "negative_log_likelihood", "reduction": "sum", **given}


@pytest.mark.parametrize(
    ("smoothing", "expected"),
    [(0.0, [1.0, 0.0, 0.0, 0.0]), (0.2, [0.85, 0.05, 0.05, 0.05]), (1.0, [0.25, 0.25, 0.25, 0.25])],
)
@pytest.mark.parametrize("name", ["categorical_cross_entropy", "categorical_cross_entropy_with_logits"])
def test_label_smoothing_spreads_a_share_of_the_targets(name: str, smoothing: float, expected: list[float]) -> None:
    """(1 - s)·t + s/n for s = 0.2 and n = 4: 0.8 + 0.05 for the class, 0.05 for each of the others."""
    loss = loss_spec(name, label_smoothing=smoothing)
    np.testing.assert_allclose(loss.dense_targets(np.array([[1.0, 0.0, 0.0, 0.0]]), 4), [expected], rtol=1e-15)


def test_smoothed_labels_by_hand() -> None:
    """s = ½, n = 2: the class has ¾, the other ¼. With o = (½, ¼), E = ¾·log 2 + ¼·log 4 and dE/do = (-3/2, -1)."""
    loss, o = loss_spec("cce", label_smoothing=0.5), np.array([[0.5, 0.25]])
    t = loss.dense_targets(np.array([[1.0, 0.0]]), 2)
    assert loss.value(o, t).sum() == pytest.approx(1.25 * np.log(2.0), rel=1e-15)
    np.testing.assert_allclose(loss.derivative(o, t), [[-1.5, -1.0]], rtol=1e-15)


@pytest.mark.parametrize(
    ("name", "o", "t", "distances"),
    [
        ("absolute_error", [1.0, 3.0], [1.0, 2.0], [[0.0, 1.0]]),
        ("quantile", [1.0, 3.0], [1.5, 3.0], [[-0.5, 0.0]]),
        ("percentage_error", [1.0, 3.0], [1.5, 3.0], [[-0.5, 0.0]]),
        ("hinge", [1.0, -1.0, 3.0, -0.5], [1.0, -1.0, 1.0, 1.0], [[0.0, 0.0, 2.0, -1.5]]),
        # from where the loss is 0, and from where another wrong score is the largest
        ("categorical_hinge", [1.5, 0.5], [1.0, 0.0], [[0.0, 0.0], [np.inf, np.inf]]),
        ("categorical_hinge", [2.0, 2.0, 0.0], [0.0, 0.0, 1.0], [[-3.0, -3.0, -3.0], [0.0, 0.0, np.inf]]),
        ("cosine_similarity", [0.0, 0.0], [0.3, 0.4], [[0.0, 0.0]]),
        ("cosine_similarity", [3.0, 4.0], [0.3, 0.4], [[5.0, 5.0]]),
        ("cosine_similarity", [-3.0, -4.0], [0.3, 0.4], [[-5.0, -5.0]]),
    ],
)
def test_the_distances_from_a_losss_kinks(
    name: str, o: list[float], t: list[float], distances: list[list[float]]
) -> None:
    """0 on a kink, with different signs on its sides: o - t for an absolute error, t·o - 1 for a hinge."""
    found = loss_spec(name).distances(np.array([o]), np.array([t]))
    np.testing.assert_allclose(np.concatenate(found), distances, rtol=1e-15)


def test_smooth_losses_have_no_borders() -> None:
    """Squared hinge and Huber's loss are parabolas that continue as a line with the same slope."""
    kinked = {"absolute_error", "quantile", "percentage_error", "hinge", "categorical_hinge", "cosine_similarity"}
    assert {name for name, row in LOSSES.items() if row.borders} == kinked


@pytest.mark.parametrize("name", ["absolute_error", "quantile", "percentage_error"])
def test_the_slope_taken_on_the_target_is_zero(name: str) -> None:
    """And so is the loss."""
    loss, o = loss_spec(name), np.array([[0.3]])
    assert loss.value(o, o)[0, 0] == loss.derivative(o, o)[0, 0] == 0.0


@pytest.mark.parametrize(("o", "t"), [(1.0, 1.0), (-1.0, -1.0)])
def test_the_slope_taken_on_the_margin_is_zero(o: float, t: float) -> None:
    """Where t·o = 1 the hinge is 0 and its slope between -t and 0; one float64 nearer to 0 it is -t."""
    loss = loss_spec("hinge")
    assert loss.derivative(np.array([[o]]), np.array([[t]]))[0, 0] == 0.0
    assert loss.derivative(np.array([[np.nextafter(o, 0.0)]]), np.array([[t]]))[0, 0] == -t


def test_of_equal_wrong_scores_the_first_is_pushed_down() -> None:
    """Scores 2, 2 and 0, the last being right: E = 1 + 2 - 0, the first of the twos has the derivative 1."""
    loss, o, t = loss_spec("categorical_hinge"), np.array([[2.0, 2.0, 0.0]]), np.array([[0.0, 0.0, 1.0]])
    assert loss.value(o, t).tolist() == [[3.0]]
    assert loss.derivative(o, t).tolist() == [[1.0, 0.0, -1.0]]


def test_the_right_class_takes_part_in_the_largest_score_with_zero() -> None:
    """Scores -1 and ½, the last being right: the largest of -1 and 0 is 0, E = 1 + 0 - ½, and only dE/do_1 = -1."""
    loss, o, t = loss_spec("categorical_hinge"), np.array([[-1.0, 0.5]]), np.array([[0.0, 1.0]])
    assert loss.value(o, t).tolist() == [[0.5]]
    assert loss.derivative(o, t).tolist() == [[0.0, -1.0]]


def test_a_lead_of_one_has_no_loss() -> None:
    """Scores 2 and 1, the first being right: E = 1 + 1 - 2 = 0, and the derivative taken on this kink is 0."""
    loss, o, t = loss_spec("categorical_hinge"), np.array([[2.0, 1.0]]), np.array([[1.0, 0.0]])
    assert loss.value(o, t).tolist() == [[0.0]]
    assert loss.derivative(o, t).tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize(("o", "t"), [([0.0, 0.0], [0.3, 0.4]), ([0.3, 0.4], [0.0, 0.0]), ([0.0, 0.0], [0.0, 0.0])])
def test_the_similarity_of_a_zero_vector_is_zero(o: list[float], t: list[float]) -> None:
    """The loss and its derivative are 0, where o·t / |o||t| is 0/0."""
    loss = loss_spec("cosine_similarity")
    assert not loss.value(np.array([o]), np.array([t])).any()
    assert not loss.derivative(np.array([o]), np.array([t])).any()


def test_the_cosine_of_long_and_short_vectors() -> None:
    """(3, 4)·1e200 and (4, 3)·1e-200: -24/25, though the squares of the lengths are beyond float64."""
    loss, o, t = loss_spec("cosine_similarity"), np.array([[3e200, 4e200]]), np.array([[4e-200, 3e-200]])
    assert loss.value(o, t).sum() == pytest.approx(-0.96, rel=1e-15)


def test_the_outputs_of_gaussian_nll_are_pairs() -> None:
    """(m, s) = (1, 0) and (2, log 4) with targets 3 and 2: (0 + 4)/2 and (log 4 + 0)/2; one target for each pair."""
    loss = loss_spec("gaussian_nll")
    assert loss.loss.outputs_per_target == 2
    o, t = np.array([[1.0, 0.0, 2.0, np.log(4.0)]]), np.array([[3.0, 2.0]])
    np.testing.assert_allclose(loss.value(o, t), [[2.0, np.log(2.0)]], rtol=1e-15)
    np.testing.assert_allclose(loss.derivative(o, t), [[-2.0, -1.5, 0.0, 0.5]], rtol=1e-15)


def test_some_losses_take_targets_of_another_form() -> None:
    """Class indices; only -1 and 1; one target for two outputs. All others take one number for each output."""
    assert {name for name, row in LOSSES.items() if row.class_indices} == {
        "sparse_categorical_cross_entropy",
        "sparse_categorical_cross_entropy_with_logits",
        "negative_log_likelihood",
    }
    allowed = {name: row.target_values for name, row in LOSSES.items() if row.target_values}
    assert allowed == {"hinge": (-1.0, 1.0), "squared_hinge": (-1.0, 1.0)}
    assert [name for name, row in LOSSES.items() if row.outputs_per_target != 1] == ["gaussian_nll"]


@pytest.mark.parametrize(
    ("alias", "name", "reduction"),
    [
        ("mse", "squared_error", "mean"),
        ("sse", "squared_error", "sum"),
        ("mae", "absolute_error", "mean"),
        ("pinball", "quantile", "sum"),
        ("mape", "percentage_error", "mean"),
        ("msle", "squared_log_error", "mean"),
        ("bce", "binary_cross_entropy", "sum"),
        ("cce", "categorical_cross_entropy", "sum"),
        ("nll", "negative_log_likelihood", "sum"),
    ],
)
def test_an_alias_is_a_loss_with_a_reduction(alias: str, name: str, reduction: str) -> None:
    """`mse` is the squared error, averaged; a given reduction overrides the alias's."""
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


A = np.array([[0.4, -1.3, 0.8, -0.7], [-0.2, 0.1, 1.9, 0.6]])


@pytest.mark.parametrize("given", [{}, OTHERS], ids=["defaults", "others"])
@every_pair
def test_a_stable_pair_agrees_with_the_plain_product(names: tuple[str, str], given: dict[str, dict[str, Any]]) -> None:
    """Loss, dE/do and dE/da in closed form agree with the tables, wherever the tables keep their digits.

    The functions take a and t, then the parameters of the activation, then those of the loss.
    """
    loss = loss_spec(names[0], **given.get(names[0], {}))
    phi = activation_spec(names[1], **({"temperature": 0.7} if given and names[1] == "softmax" else {}))
    pair, t, o = STABLE_PAIRS[names], _targets(loss, TARGETS), phi.value(A)
    parameters, dE_do = (*phi.values, *loss.values), loss.derivative(o, t)
    with np.errstate(invalid="ignore"):  # as in backpropagation
        dE_da = pair.dE_da(A, t, *parameters)
    np.testing.assert_allclose(pair.value(A, t, *parameters), loss.value(o, t), rtol=1e-13)
    np.testing.assert_allclose(dE_da, phi.jacobian(A).dE_da(dE_do), rtol=1e-12, atol=1e-15)
    if pair.dE_do:
        np.testing.assert_allclose(pair.dE_do(A, t, *parameters), dE_do, rtol=1e-13)


@every_pair
def test_a_stable_pair_is_one_of_rows_that_exist(names: tuple[str, str]) -> None:
    """A pair with a changed name would never be found."""
    assert loss_spec(names[0]).loss.name == names[0]
    assert activation_spec(names[1]).activation.name == names[1]


def test_a_stable_pair_uses_the_parameters_of_its_activation() -> None:
    """Softmax with temperature ½ under cross-entropy: dE/da is twice o - t."""
    pair, a = STABLE_PAIRS["categorical_cross_entropy", "softmax"], np.array([[0.4, -1.3, 0.8]])
    t = np.array([[0.0, 1.0, 0.0]])
    o = activation_spec("softmax", temperature=0.5).value(a)
    np.testing.assert_allclose(pair.dE_da(a, t, 0.5, 0.0), 2.0 * (o - t), rtol=1e-14)
    np.testing.assert_allclose(pair.value(a, t, 0.5, 0.0).sum(), -np.log(o[0, 1]), rtol=1e-14)


def test_a_stable_pair_uses_the_parameters_of_its_loss() -> None:
    """Sigmoid under the focal loss with alpha ½ and gamma 0: half of binary cross-entropy, dE/da = (o - t)/2."""
    pair, a, t = STABLE_PAIRS["binary_focal", "sigmoid"], np.array([[0.0, 0.0]]), np.array([[0.0, 1.0]])
    np.testing.assert_allclose(pair.dE_da(a, t, 0.5, 0.0), [[0.25, -0.25]], rtol=1e-15)
    np.testing.assert_allclose(pair.value(a, t, 0.5, 0.0), [[0.5 * np.log(2.0)] * 2], rtol=1e-15)


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
def test_every_row_is_documented(name: str) -> None:
    """A title, LaTeX with balanced braces for formula and derivative, a reference, and meanings for parameters."""
    row = LOSSES[name]
    assert row.name == name
    assert row.title
    assert len(row.reference) > 20
    for latex in (row.formula, row.derivative_formula):
        assert latex.count("{") == latex.count("}")
        assert "=" in latex
    for parameter in row.parameters:
        assert parameter.meaning
        assert parameter.default is None or parameter.allows(parameter.default)
    assert set(row.aliases.values()) <= set(REDUCTIONS)


def test_a_loss_that_does_not_exist_is_refused() -> None:
    """A ValueError, for a name as for a parameter."""
    with pytest.raises(ValueError, match="there is no loss 'hubert'"):
        loss_spec("hubert")
    with pytest.raises(ValueError, match="delta of huber must be a finite number greater than 0"):
        loss_spec("huber", delta=-1.0)
    with pytest.raises(ValueError, match="tau of quantile must be a finite number at least 0 and at most 1"):
        loss_spec("pinball", tau=1.5)
    with pytest.raises(ValueError, match="ignore_index of negative_log_likelihood must be a whole number"):
        loss_spec("nll", ignore_index=0.5)
