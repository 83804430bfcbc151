"""The table of activations: every row is held to judges that know none of its formulas."""

import mpmath
import numpy as np
import pytest

from chainrule.activations import ACTIVATIONS, ActivationSpec, activation_spec
from tests.differences import slope

POINTS = np.array([[-3.7, -2.1, -1.3, -0.6, -0.05, 0.04, 0.3, 0.9, 1.8, 4.2]])  # no kink among them

# Parameters that are not the defaults: a formula that ignores one, or uses a default, shows.
OTHERS = {
    "leaky_relu": {"negative_slope": 0.3},
    "elu": {"alpha": 1.7},
    "softplus": {"beta": 2.5},
    "gelu": {"approximate": "tanh"},
    "softmax": {"temperature": 0.7},
}


def _specs() -> list[ActivationSpec]:
    """Every row with its defaults, and every row that has parameters with others."""
    defaults = [activation_spec(name) for name in ACTIVATIONS]
    return defaults + [activation_spec(name, **OTHERS[name]) for name, row in ACTIVATIONS.items() if row.parameters]


def _name(value: object) -> str | None:
    return f"{value.activation.name}{list(value.values) or ''}" if isinstance(value, ActivationSpec) else None


every_spec = pytest.mark.parametrize("phi", _specs(), ids=_name)
every_row = pytest.mark.parametrize("name", list(ACTIVATIONS))
elementwise = pytest.mark.parametrize("phi", [phi for phi in _specs() if phi.activation.elementwise], ids=_name)
coupled = pytest.mark.parametrize("phi", [phi for phi in _specs() if not phi.activation.elementwise], ids=_name)

LOPSIDED = np.array([[0.2, -1.4, 3.1], [2.0, 2.0, -0.5]])


@elementwise
def test_a_derivative_is_the_slope_of_its_function(phi: ActivationSpec) -> None:
    """Central differences of fourth order, which know no formula, agree to 1e-9."""
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
    dE_do = np.array([[0.3, -1.2, 0.7], [1.1, 0.4, -2.0]])
    jacobian = phi.jacobian(LOPSIDED)
    matrix = jacobian.array()
    if matrix.ndim == 2:
        matrix = matrix[:, :, None] * np.eye(LOPSIDED.shape[1])
    np.testing.assert_allclose(jacobian.dE_da(dE_do), np.einsum("sm,smj->sj", dE_do, matrix), rtol=1e-13, atol=1e-15)


@elementwise
def test_an_elementwise_jacobian_is_a_diagonal_of_n_numbers(phi: ActivationSpec) -> None:
    """Nothing of size n² is made for units that do not act on each other."""
    jacobian = phi.jacobian(POINTS)
    assert jacobian.array().shape == jacobian.dE_da(POINTS).shape == POINTS.shape
    assert jacobian.left is None
    assert jacobian.right is None


@every_spec
def test_nothing_overflows_and_no_nan_is_made(phi: ActivationSpec) -> None:
    """From the smallest to nearly the largest numbers of float64, without a warning (warnings are errors here)."""
    largest = 1e300 if phi.activation.name != "softplus" else 1e307
    ends = np.array([0.0, 1e-300, 1e-8, 1.0, 30.0, 40.0, 709.0, 711.0, 746.0, 1e4, 1e103, largest])
    a = np.concatenate([ends, -ends])[:, None] if phi.activation.elementwise else np.stack([ends, -ends])
    for array in (phi.value(a), phi.jacobian(a).array()):
        assert np.isfinite(array).all()


# The value and the derivative at a, by formulas of mpmath's own, with 50 digits.
REFERENCE = {
    "identity": lambda a: a,
    "sigmoid": lambda a: 1 / (1 + mpmath.exp(-a)),
    "tanh": mpmath.tanh,
    "relu": lambda a: max(a, mpmath.mpf(0)),
    "leaky_relu": lambda a: a if a > 0 else a * mpmath.mpf(0.01),
    "elu": lambda a: a if a > 0 else mpmath.expm1(a),
    "softplus": lambda a: mpmath.log1p(mpmath.exp(a)),
    "gelu": lambda a: a * mpmath.ncdf(a),
    "silu": lambda a: a / (1 + mpmath.exp(-a)),
}


@pytest.mark.parametrize("name", [name for name, row in ACTIVATIONS.items() if row.elementwise])
@pytest.mark.parametrize("a", [-30.0, -20.0, -8.5, -1.0, -1e-9, 1e-9, 0.5, 8.5, 20.0, 37.0])
def test_values_and_derivatives_keep_their_digits(name: str, a: float) -> None:
    """mpmath with 50 digits: at a = 37, o·(1 - o) has no digit left where the derivative is 8.5e-17."""
    with mpmath.workdps(50):
        o = REFERENCE[name](mpmath.mpf(a))
        do_da = mpmath.diff(REFERENCE[name], mpmath.mpf(a), h=mpmath.mpf(10) ** -15)
    phi = activation_spec(name)
    assert float(phi.value(np.array([[a]]))[0, 0]) == pytest.approx(float(o), rel=4e-13, abs=1e-300)
    assert phi.slope(a) == pytest.approx(float(do_da), rel=4e-13, abs=1e-300)


# A number that stands in no code of ours: the default of each parameter, and what the function is at one point.
@pytest.mark.parametrize(
    ("name", "a", "o", "do_da"),
    [
        ("identity", -2.0, -2.0, 1.0),
        ("sigmoid", 1.0, 0.7310585786300049, 0.19661193324148185),
        ("tanh", 1.0, 0.7615941559557649, 0.41997434161402614),
        ("relu", 2.0, 2.0, 1.0),
        ("leaky_relu", -2.0, -0.02, 0.01),
        ("elu", -1.0, -0.6321205588285577, 0.36787944117144233),
        ("softplus", 1.0, 1.3132616875182228, 0.7310585786300049),
        ("gelu", 1.0, 0.8413447460685429, 1.0833154705876864),
        ("silu", 1.0, 0.7310585786300049, 0.9276705118714869),
    ],
)
def test_the_value_at_a_point_known_by_heart(name: str, a: float, o: float, do_da: float) -> None:
    """Computed once with mpmath: shows a changed default, which differences cannot."""
    phi = activation_spec(name)
    assert float(phi.value(np.array([[a]]))[0, 0]) == pytest.approx(o, rel=1e-14, abs=0)
    assert phi.slope(a) == pytest.approx(do_da, rel=1e-14, abs=0)


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


def test_softmax_knows_how_far_from_certain_it_is() -> None:
    """With logits 0 and -40, do/da is 4.248354255291589e-18 for both units, where o·(1 - o) is 0 for the first."""
    a = np.array([[0.0, -40.0]])
    p = 4.248354255291589e-18
    expected = [[[p, -p], [-p, p]]]
    np.testing.assert_allclose(activation_spec("softmax").jacobian(a).array(), expected, rtol=1e-15)
    np.testing.assert_allclose(activation_spec("log_softmax").value(a)[0, 0], -p, rtol=1e-15)


@every_spec
def test_a_kink_is_a_place_where_the_slopes_differ(phi: ActivationSpec) -> None:
    """The one-sided slopes stated in the row are those of the function, and the slope taken lies between them."""
    for kink in phi.kinks():
        h = 1e-7
        o = phi.value(np.array([[kink.at - h], [kink.at], [kink.at + h]]))[:, 0]
        assert (o[1] - o[0]) / h == pytest.approx(kink.left, abs=1e-6)
        assert (o[2] - o[1]) / h == pytest.approx(kink.right, abs=1e-6)
        assert kink.left != kink.right
        assert min(kink.left, kink.right) <= phi.slope(kink.at) <= max(kink.left, kink.right)


@pytest.mark.parametrize(
    ("spec", "taken"),
    [
        (activation_spec("relu"), 0.0),
        (activation_spec("leaky_relu", negative_slope=0.2), 0.2),
        (activation_spec("elu", alpha=1.7), 1.7),
    ],
    ids=_name,
)
def test_the_slope_taken_at_a_kink_is_pytorchs(spec: ActivationSpec, taken: float) -> None:
    """relu'(0) = 0, leaky_relu'(0) = negative_slope, elu'(0) the left one: as PyTorch 2.13 takes them."""
    assert [kink.at for kink in spec.kinks()] == [0.0]
    assert spec.slope(0.0) == taken


def test_parameters_can_take_a_kink_away() -> None:
    """elu with alpha 1 and leaky_relu with slope 1 are smooth at 0."""
    assert activation_spec("elu").kinks() == activation_spec("leaky_relu", negative_slope=1.0).kinks() == ()


@every_row
def test_every_row_says_what_people_need(name: str) -> None:
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
    """No alias hides a name, or another alias."""
    names = ACTIVATIONS.all_names
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("alias", "name"), [("linear", "identity"), ("logistic", "sigmoid"), ("swish", "silu")])
def test_an_alias_is_the_same_row(alias: str, name: str) -> None:
    """A second common name resolves to the first."""
    assert ACTIVATIONS[alias] is ACTIVATIONS[name]


def test_unknown_names_and_parameters_are_refused() -> None:
    """KeyError for a name, ValueError for a parameter that is unknown or out of bounds."""
    with pytest.raises(KeyError):
        activation_spec("tann")
    with pytest.raises(ValueError, match="tanh has no parameter 'self'"):
        activation_spec("tanh", **{"self": 1})
    with pytest.raises(ValueError, match="beta of softplus must be a finite number greater than 0"):
        activation_spec("softplus", beta=0)
