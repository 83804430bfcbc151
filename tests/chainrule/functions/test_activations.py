"""The table of activations: every row is compared with judges that do not use its formulas."""

import numpy as np
import pytest

from chainrule.functions.activations import ACTIVATIONS, ActivationSpec, activation_spec
from tests.judges.differences import slope

POINTS = np.array([[-3.7, -2.1, -1.3, -0.6, -0.05, 0.04, 0.3, 0.9, 1.8, 4.2]])  # no kink among them

# Parameters that are not the defaults reveal a formula that ignores a parameter, or uses its default.
OTHERS = {
    "leaky_relu": {"negative_slope": 0.3},
    "elu": {"alpha": 1.7},
    "celu": {"alpha": 0.6},
    "gelu": {"approximate": "tanh"},
    "softplus": {"beta": 2.5},
    "squareplus": {"b": 0.7},
    "hard_sigmoid": {"slope": 0.2, "offset": 0.3},
    "hard_tanh": {"min_value": -2.3, "max_value": 0.5},
    "hard_shrink": {"lambda": 1.1},
    "soft_shrink": {"lambda": 1.1},
    "threshold": {"threshold": 0.1, "value": 20.0},
    "thresholded_relu": {"theta": 0.35},
    "scaled_tanh": {"amplitude": -0.7, "slope": 1.1},
    "softmax": {"temperature": 0.7},
}


def _specs() -> list[ActivationSpec]:
    """Every row with its defaults, and every row that has parameters with other values, too."""
    defaults = [activation_spec(name) for name in ACTIVATIONS]
    return defaults + [activation_spec(name, **OTHERS[name]) for name, row in ACTIVATIONS.items() if row.parameters]


def _name(value: object) -> str | None:
    return f"{value.activation.name}{list(value.values) or ''}" if isinstance(value, ActivationSpec) else None


every_spec = pytest.mark.parametrize("phi", _specs(), ids=_name)
every_row = pytest.mark.parametrize("name", list(ACTIVATIONS))
elementwise = pytest.mark.parametrize("phi", [phi for phi in _specs() if phi.activation.elementwise], ids=_name)
coupled = pytest.mark.parametrize("phi", [phi for phi in _specs() if not phi.activation.elementwise], ids=_name)

LOPSIDED = np.array([[0.2, -1.4, 3.1], [2.0, 2.0, -0.5], [0.3, -0.2, 0.1]])


@elementwise
def test_a_derivative_is_the_slope_of_its_function(phi: ActivationSpec) -> None:
    """Central differences of fourth order agree to 1e-9."""
    np.testing.assert_allclose(phi.jacobian(POINTS).array(), slope(phi.value, POINTS), rtol=1e-9, atol=1e-10)


@coupled
def test_a_jacobian_is_the_slope_of_every_output_along_every_input(phi: ActivationSpec) -> None:
    """`[s, j, m]` is do_j/da_m: on a lopsided a, [m, j] in its place would be off by up to 1."""
    matrix = phi.jacobian(LOPSIDED).array()
    for m in range(LOPSIDED.shape[1]):
        along = np.zeros(LOPSIDED.shape[1])
        along[m] = 1.0
        numeric = slope(lambda step, along=along: phi.value(LOPSIDED + step * along), np.array(0.0))
        np.testing.assert_allclose(matrix[:, :, m], numeric, rtol=1e-9, atol=1e-10)


@every_spec
def test_the_product_with_the_jacobian_needs_no_matrix(phi: ActivationSpec) -> None:
    """dE/da_j = Σ_m dE/do_m · do_m/da_j, as by the matrix written out."""
    dE_do = np.array([[0.3, -1.2, 0.7], [1.1, 0.4, -2.0], [-0.6, 0.9, 1.3]])
    jacobian = phi.jacobian(LOPSIDED)
    matrix = jacobian.array()
    if matrix.ndim == 2:
        matrix = matrix[:, :, None] * np.eye(LOPSIDED.shape[1])
    np.testing.assert_allclose(jacobian.dE_da(dE_do), np.einsum("sm,smj->sj", dE_do, matrix), rtol=1e-13, atol=1e-15)


@elementwise
def test_an_elementwise_jacobian_is_a_diagonal_of_n_numbers(phi: ActivationSpec) -> None:
    """No array of size n² is made for units that do not act on each other."""
    jacobian = phi.jacobian(POINTS)
    assert jacobian.array().shape == jacobian.dE_da(POINTS).shape == POINTS.shape
    assert jacobian.left is None
    assert jacobian.right is None


BEYOND = {"exponential", "square"}  # what float64 cannot hold, some of the numbers below


@every_spec
def test_no_other_row_overflows_and_no_nan_is_made(phi: ActivationSpec) -> None:
    """From the smallest to nearly the largest numbers of float64, without a warning (warnings are errors here)."""
    ends = np.array([0.0, 5e-324, 1e-300, 1e-8, 1.0, 30.0, 40.0, 709.0, 711.0, 746.0, 1e4, 1e103, 1e300, 8e307])
    a = np.concatenate([ends, -ends])[:, None] if phi.activation.elementwise else np.stack([ends, -ends])
    for array in (phi.value(a), phi.jacobian(a).array()):
        assert not np.isnan(array).any()
        assert np.isfinite(array).all() or phi.activation.name in BEYOND


# Numbers that the core does not contain: for each row with its default parameters, the values at one point.
BY_HEART = [  # name, a, o, do/da
    ("identity", -2.0, -2.0, 1.0),
    ("sigmoid", 1.0, 0.7310585786300049, 0.19661193324148185),
    ("tanh", 1.0, 0.7615941559557649, 0.4199743416140261),
    ("relu", 2.0, 2.0, 1.0),
    ("relu6", 7.0, 6.0, 0.0),
    ("leaky_relu", -2.0, -0.02, 0.01),
    ("elu", -1.0, -0.6321205588285577, 0.36787944117144233),
    ("celu", -1.0, -0.6321205588285577, 0.36787944117144233),
    ("selu", -1.0, -1.1113307378125628, 0.6467686030348141),
    ("gelu", 1.0, 0.8413447460685429, 1.0833154705876864),
    ("quick_gelu", 1.0, 0.8457957659328212, 1.067779606556334),
    ("silu", 1.0, 0.7310585786300049, 0.9276705118714867),
    ("mish", 1.0, 0.8650983882673103, 1.0490362200997922),
    ("hard_silu", 1.0, 2 / 3, 5 / 6),
    ("softplus", 1.0, 1.3132616875182228, 0.7310585786300049),
    ("log_sigmoid", 1.0, -0.3132616875182228, 0.2689414213699951),
    ("squareplus", 1.0, 1.618033988749895, 0.7236067977499789),
    ("sparse_plus", 0.5, 0.5625, 0.75),
    ("sparse_sigmoid", 0.5, 0.75, 0.5),
    ("hard_sigmoid", 1.0, 2 / 3, 1 / 6),
    ("hard_tanh", 0.5, 0.5, 1.0),
    ("hard_shrink", 0.75, 0.75, 1.0),
    ("soft_shrink", 0.75, 0.25, 1.0),
    ("tanh_shrink", 1.0, 0.23840584404423512, 0.580025658385974),
    ("threshold", 2.0, 2.0, 1.0),
    ("thresholded_relu", 0.75, 0.0, 0.0),
    ("step", 2.0, 1.0, 0.0),
    ("softsign", 1.0, 0.5, 0.25),
    ("arctan", 1.0, 0.7853981633974483, 0.5),
    ("scaled_tanh", 1.0, 0.9999972559224789, 0.7554124359024466),
    ("sin", 1.0, 0.8414709848078965, 0.5403023058681398),
    ("cos", 1.0, 0.5403023058681398, -0.8414709848078965),
    ("gaussian", 1.0, 0.36787944117144233, -0.7357588823428847),
    ("exponential", 1.0, 2.718281828459045, 2.718281828459045),
    ("square", 3.0, 9.0, 6.0),
    ("absolute", -2.0, 2.0, -1.0),
]


@pytest.mark.parametrize(("name", "a", "o", "do_da"), BY_HEART)
def test_the_value_at_a_known_point(name: str, a: float, o: float, do_da: float) -> None:
    """Values computed once with mpmath reveal a changed default, which differences cannot."""
    phi = activation_spec(name)
    assert float(phi.value(np.array([[a]]))[0, 0]) == pytest.approx(o, rel=1e-14, abs=0)
    assert phi.slope(a) == pytest.approx(do_da, rel=1e-14, abs=0)


def test_the_table_of_points_is_complete() -> None:
    """A new activation of single units needs its line above."""
    assert [name for name, *_ in BY_HEART] == [name for name, row in ACTIVATIONS.items() if row.elementwise]


def test_the_tanh_form_of_gelu_has_hendrycks_and_gimpels_constant() -> None:
    """0.5·(1 + tanh(√(2/π)·1.044715)) = 0.8411919906082768; the exact function is 0.8413447460685429."""
    phi = activation_spec("gelu", approximate="tanh")
    assert float(phi.value(np.array([[1.0]]))[0, 0]) == pytest.approx(0.8411919906082768, rel=1e-14, abs=0)


def test_softmax_of_known_logits() -> None:
    """log(1, 2, 5) gives 1/8, 2/8, 5/8; with temperature 2 the square roots take their place."""
    a = np.log([[1.0, 2.0, 5.0]])
    np.testing.assert_allclose(activation_spec("softmax").value(a), [[0.125, 0.25, 0.625]], rtol=1e-15)
    roots = np.sqrt([[1.0, 2.0, 5.0]])
    np.testing.assert_allclose(activation_spec("softmax", temperature=2.0).value(a), roots / roots.sum(), rtol=1e-15)
    np.testing.assert_allclose(activation_spec("log_softmax").value(a), np.log([[0.125, 0.25, 0.625]]), rtol=1e-15)


def test_the_jacobian_of_a_saturated_softmax_keeps_its_digits() -> None:
    """With logits 0 and -40, do/da is 4.248354255291589e-18 for both units, where o·(1 - o) is 0 for the first."""
    a = np.array([[0.0, -40.0]])
    p = 4.248354255291589e-18
    expected = [[[p, -p], [-p, p]]]
    np.testing.assert_allclose(activation_spec("softmax").jacobian(a).array(), expected, rtol=1e-15)
    np.testing.assert_allclose(activation_spec("log_softmax").value(a)[0, 0], -p, rtol=1e-15)


def test_sparsemax_of_known_logits() -> None:
    """(½, ½, -½) keeps two units; of (1.2, 1, -2) τ = (1.2 + 1 - 1) / 2 = 0.6; (1, 0) has its second on the border."""
    phi = activation_spec("sparsemax")
    np.testing.assert_array_equal(phi.value(np.array([[0.5, 0.5, -0.5]])), [[0.5, 0.5, 0.0]])
    np.testing.assert_allclose(phi.value(np.array([[1.2, 1.0, -2.0]])), [[0.6, 0.4, 0.0]], rtol=1e-15)
    np.testing.assert_array_equal(phi.value(np.array([[1.0, 0.0]])), [[1.0, 0.0]])
    halves = [[[0.5, -0.5, 0.0], [-0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]]
    np.testing.assert_array_equal(phi.jacobian(np.array([[1.2, 1.0, -2.0]])).array(), halves)


def test_softmin_is_the_softmax_of_the_opposites() -> None:
    """-log(1, 2, 5) gives 1/8, 2/8, 5/8, and do_0/da_1 is 1/8 · 2/8 = 1/32, where softmax has -1/32."""
    phi, a = activation_spec("softmin"), -np.log([[1.0, 2.0, 5.0]])
    np.testing.assert_allclose(phi.value(a), [[0.125, 0.25, 0.625]], rtol=1e-15)
    assert phi.jacobian(a).array()[0, 0, 1] == pytest.approx(1 / 32, rel=1e-15, abs=0)


@every_spec
def test_a_kink_is_a_place_where_the_slopes_differ_or_the_value_jumps(phi: ActivationSpec) -> None:
    """The row has the function's one-sided slopes and its jump; the slope taken is between the two slopes."""
    for kink in phi.kinks():
        h = 1e-7
        o = phi.value(kink.at + np.array([[-2 * h], [-h], [h], [2 * h]]))[:, 0]
        assert (o[1] - o[0]) / h == pytest.approx(kink.left, abs=1e-6)
        assert (o[3] - o[2]) / h == pytest.approx(kink.right, abs=1e-6)
        assert o[2] - o[1] == pytest.approx(kink.jump, abs=1e-6)
        assert kink.left != kink.right or kink.jump
        assert min(kink.left, kink.right) <= phi.slope(kink.at) <= max(kink.left, kink.right)


# As PyTorch 2.13 takes them; it has no step.
TAKEN: list[tuple[ActivationSpec, dict[float, float]]] = [
    (activation_spec("relu"), {0.0: 0.0}),
    (activation_spec("relu6"), {0.0: 0.0, 6.0: 0.0}),
    (activation_spec("leaky_relu", negative_slope=0.2), {0.0: 0.2}),
    (activation_spec("elu", alpha=1.7), {0.0: 1.7}),
    (activation_spec("selu"), {0.0: 1.7580993408473768}),
    (activation_spec("hard_silu"), {-3.0: 0.0, 3.0: 1.0}),
    (activation_spec("sparse_sigmoid"), {-1.0: 0.0, 1.0: 0.0}),
    (activation_spec("hard_sigmoid"), {-3.0: 0.0, 3.0: 0.0}),
    (activation_spec("hard_sigmoid", slope=0.25, offset=0.25), {-1.0: 0.0, 3.0: 0.0}),
    (activation_spec("hard_tanh"), {-1.0: 0.0, 1.0: 0.0}),
    (activation_spec("hard_shrink"), {-0.5: 0.0, 0.5: 0.0}),
    (activation_spec("soft_shrink"), {-0.5: 0.0, 0.5: 0.0}),
    (activation_spec("threshold", threshold=0.1, value=20.0), {0.1: 0.0}),
    (activation_spec("thresholded_relu"), {1.0: 0.0}),
    (activation_spec("step"), {0.0: 0.0}),
    (activation_spec("absolute"), {0.0: 0.0}),
]


@pytest.mark.parametrize(("spec", "taken"), TAKEN, ids=_name)
def test_the_slope_taken_at_a_kink_is_pytorchs(spec: ActivationSpec, taken: dict[float, float]) -> None:
    """relu'(0) = 0, leaky_relu'(0) = negative_slope, elu'(0) the left one, hard_silu'(3) the right one, 1."""
    assert {kink.at: spec.slope(kink.at) for kink in spec.kinks()} == taken


def test_every_row_with_kinks_is_in_the_table_of_slopes_taken() -> None:
    """Every row that has kinks with its defaults, or with the parameters of OTHERS."""
    assert {spec.activation.name for spec, _ in TAKEN} == {spec.activation.name for spec in _specs() if spec.kinks()}


@pytest.mark.parametrize(
    ("spec", "jumps"),
    [
        (activation_spec("step"), {0.0: 1.0}),
        (activation_spec("hard_shrink", **{"lambda": 0.3}), {-0.3: 0.3, 0.3: 0.3}),
        (activation_spec("threshold", threshold=0.1, value=20.0), {0.1: -19.9}),
        (activation_spec("thresholded_relu", theta=2.0), {2.0: 2.0}),
        (activation_spec("threshold", threshold=0.5, value=0.5), {0.5: 0.0}),  # a relu moved along the diagonal
        (activation_spec("relu"), {0.0: 0.0}),
    ],
    ids=_name,
)
def test_a_jump_is_how_far_the_value_leaps(spec: ActivationSpec, jumps: dict[float, float]) -> None:
    """From just below to just above: step from 0 to 1, hard_shrink at -λ from -λ to 0, a threshold from v to θ."""
    assert {kink.at: kink.jump for kink in spec.kinks()} == jumps


@pytest.mark.parametrize(
    "spec",
    [
        activation_spec("elu"),
        activation_spec("leaky_relu", negative_slope=1.0),
        activation_spec("hard_shrink", **{"lambda": 0.0}),
        activation_spec("soft_shrink", **{"lambda": 0.0}),
        activation_spec("celu", alpha=2.0),
    ],
    ids=_name,
)
def test_parameters_can_take_a_kink_away(spec: ActivationSpec) -> None:
    """elu with alpha 1 and leaky_relu with slope 1 are smooth at 0; a shrink by 0 is the identity; celu always is."""
    assert spec.kinks() == ()
    assert spec.slope(0.0) == 1.0


def test_the_edges_of_hard_sigmoid_are_three_by_default() -> None:
    """Exactly, though 1/6 is rounded: the value is 0 and 1 there, and 1/6 of 2⁻⁵¹ one float64 above the lower edge."""
    phi = activation_spec("hard_sigmoid")
    assert [kink.at for kink in phi.kinks()] == [-3.0, 3.0]
    a = np.array([[-3.0, np.nextafter(-3.0, 0.0), 0.0, 3.0]])
    np.testing.assert_array_equal(phi.value(a), [[0.0, 2.0**-51 / 6, 0.5, 1.0]])
    np.testing.assert_array_equal(phi.jacobian(a).array(), [[0.0, 1 / 6, 1 / 6, 0.0]])


def test_the_distances_from_kinks_say_on_which_side_a_unit_is() -> None:
    """relu6 at 2 is 2 above its kink at 0 and 4 below that at 6; a smooth activation has none."""
    found = [(kink.at, distance.tolist()) for kink, distance in activation_spec("relu6").distances(np.array([[2.0]]))]
    assert found == [(0.0, [[2.0]]), (6.0, [[-4.0]])]
    assert list(activation_spec("tanh").distances(POINTS)) == []


def test_the_border_of_sparsemax_is_its_threshold() -> None:
    """(1, 0, -1): τ = 0, so the second unit sits on it and the third is 1 below. Its derivatives are as outside, 0."""
    phi, a = activation_spec("sparsemax"), np.array([[1.0, 0.0, -1.0]])
    ((border, distance),) = phi.distances(a)
    assert border is phi.activation.border
    np.testing.assert_array_equal(distance, [[1.0, 0.0, -1.0]])
    np.testing.assert_array_equal(phi.jacobian(a).array(), np.zeros((1, 3, 3)))


@every_row
def test_every_row_is_documented(name: str) -> None:
    """A title, LaTeX with balanced braces for formula and derivative, a reference, and meanings for parameters."""
    row = ACTIVATIONS[name]
    assert row.name == name
    assert row.title
    assert len(row.reference) > 20
    for latex in (row.formula, row.derivative):
        assert latex.count("{") == latex.count("}")
        assert "=" in latex
    assert all(parameter.meaning and parameter.allows(parameter.default) for parameter in row.parameters)


def test_names_and_aliases_are_unique() -> None:
    """No alias is a name of a row, or another row's alias."""
    names = ACTIVATIONS.all_names
    assert len(names) == len(set(names))


ALIASES = {
    "linear": "identity",
    "logistic": "sigmoid",
    "swish": "silu",
    "hard_swish": "hard_silu",
    "exp": "exponential",
}


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_an_alias_is_the_same_row(alias: str, name: str) -> None:
    """A second common name resolves to the first."""
    assert ACTIVATIONS[alias] is ACTIVATIONS[name]


def test_every_alias_is_tested() -> None:
    """A new alias needs its line above."""
    assert {alias for row in ACTIVATIONS.values() for alias in row.aliases} == ALIASES.keys()


@pytest.mark.parametrize("given", [{"max_value": -1.0}, {"min_value": 1.0}, {"min_value": 2.0, "max_value": -2.0}])
def test_parameters_that_do_not_fit_each_other_are_refused(given: dict[str, float]) -> None:
    """hard_tanh between -1 and -1 would be a constant, and min_value 1 meets the default of max_value."""
    with pytest.raises(ValueError, match="max_value of hard_tanh must be greater than min_value"):
        activation_spec("hard_tanh", **given)


def test_unknown_names_and_parameters_are_refused() -> None:
    """A ValueError, for a name as for a parameter that is unknown or out of bounds."""
    with pytest.raises(ValueError, match="there is no activation 'tann'"):
        activation_spec("tann")
    with pytest.raises(ValueError, match="tanh has no parameter 'self'"):
        activation_spec("tanh", **{"self": 1})
    with pytest.raises(ValueError, match="beta of softplus must be a finite number greater than 0"):
        activation_spec("softplus", beta=0)
