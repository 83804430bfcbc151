"""GET /v1/activations/{name}/curve: the points of a curve, and the rules for its query."""

import numpy as np
import pytest
from flask.testing import FlaskClient

from chainrule.functions.activations import ACTIVATIONS, activation_spec
from schemas.curve import MOST_POINTS

ELEMENTWISE = [name for name, row in ACTIVATIONS.items() if row.elementwise]
COUPLED = [name for name, row in ACTIVATIONS.items() if not row.elementwise]


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_a_curve_is_the_function_and_its_derivative(client: FlaskClient, name: str) -> None:
    """By default 121 points from -6 to 6: a step of 0.1, with 0 in the middle; no row needs more than its name."""
    answer = client.get(f"/v1/activations/{name}/curve").get_json()
    assert answer["activation"]["name"] == name
    a = np.array(answer["a"])
    assert (a.size, a[0], a[60], a[-1]) == (121, -6.0, 0.0, 6.0)
    np.testing.assert_allclose(np.diff(a), 0.1, rtol=1e-12)
    phi = activation_spec(name)
    np.testing.assert_array_equal(answer["o"], phi.value(a[:, None])[:, 0])
    np.testing.assert_array_equal(answer["do_da"], phi.jacobian(a[:, None]).array()[:, 0])
    assert [kink["at"] for kink in answer["kinks"]] == [kink.at for kink in phi.kinks() if abs(kink.at) <= 6.0]


def test_a_query_sets_ends_points_and_parameters(client: FlaskClient) -> None:
    """leaky_relu with slope 0.25 at -2, 0, 2: values -0.5, 0, 2, slopes 0.25, 0.25, 1."""
    answer = client.get("/v1/activations/leaky_relu/curve?from=-2&to=2e0&points=3&negative_slope=0.25").get_json()
    assert answer == {
        "activation": {"name": "leaky_relu", "negative_slope": 0.25},
        "a": [-2.0, 0.0, 2.0],
        "o": [-0.5, 0.0, 2.0],
        "do_da": [0.25, 0.25, 1.0],
        "kinks": [{"at": 0.0, "left": 0.25, "right": 1.0, "jump": 0.0, "taken": 0.25}],
    }


def test_a_word_may_be_a_parameter_and_an_alias_a_name(client: FlaskClient) -> None:
    """gelu's tanh form at 1 is 0.8411919906082768; swish is silu."""
    answer = client.get("/v1/activations/gelu/curve?from=0&to=1&points=2&approximate=tanh").get_json()
    assert answer["o"] == [0.0, pytest.approx(0.8411919906082768, rel=1e-15)]
    assert client.get("/v1/activations/swish/curve").get_json()["activation"] == {"name": "silu"}


def test_a_value_beyond_float64_is_null(client: FlaskClient) -> None:
    """e^1000 is a gap in the drawing, not an error."""
    answer = client.get("/v1/activations/exponential/curve?from=0&to=1000&points=2").get_json()
    assert (answer["o"], answer["do_da"]) == ([1.0, None], [1.0, None])


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_the_farthest_ends_can_be_drawn(client: FlaskClient, name: str) -> None:
    """From -1e300 to 1e300, without an overflow warning."""
    answer = client.get(f"/v1/activations/{name}/curve?from=-1e300&to=1e300&points=5")
    assert answer.status_code == 200
    assert all(np.isfinite(o) for o in answer.get_json()["o"] if o is not None)


def test_only_kinks_between_the_ends_are_listed(client: FlaskClient) -> None:
    """relu6 has kinks at 0 and 6. Kinks at the ends count."""
    for ends, between in (("from=1&to=7", [6.0]), ("from=0&to=6", [0.0, 6.0]), ("from=1&to=5", [])):
        kinks = client.get(f"/v1/activations/relu6/curve?{ends}&points=2").get_json()["kinks"]
        assert [kink["at"] for kink in kinks] == between


POINTS = f"must be a whole number at least 2 and at most {MOST_POINTS}"
FINITE = "must be a finite number at least -1e+300 and at most 1e+300"


@pytest.mark.parametrize(
    ("path", "complaints"),
    [
        ("sin/curve?points=1", {"#/points": POINTS}),
        (f"sin/curve?points={MOST_POINTS + 1}", {"#/points": POINTS}),
        ("sin/curve?points=2.5", {"#/points": POINTS}),
        ("sin/curve?points=1_0", {"#/points": POINTS}),
        ("sin/curve?from=nan", {"#/from": FINITE}),
        ("sin/curve?from=1e400", {"#/from": FINITE}),
        ("sin/curve?to=2e300", {"#/to": FINITE}),
        ("sin/curve?to=", {"#/to": FINITE}),
        ("sin/curve?from=1x", {"#/from": FINITE}),
        ("sin/curve?from=%D9%A1", {"#/from": FINITE}),  # an Arabic 1, which Python's float takes too
        ("sin/curve?from=%201", {"#/from": FINITE}),
        ("sin/curve?from=1&to=1", {"#/to": "must be greater than from, which is 1"}),
        ("sin/curve?from=7", {"#/to": "must be greater than from, which is 7"}),
        ("sin/curve?from=1&from=2", {"#/from": "is given 2 times"}),
        ("elu/curve?alpha=-1", {"#/alpha": "must be a finite number at least 0"}),
        ("elu/curve?alpha=one", {"#/alpha": "must be a finite number at least 0"}),
        ("gelu/curve?approximate=1", {"#/approximate": 'must be "none" or "tanh"'}),
        ("elu/curve?alhpa=1", {"#/alhpa": 'elu has no parameter "alhpa"; did you mean "alpha"?'}),
        ("sin/curve?group=a", {"#/group": 'sin has no parameter "group"; known here: from, to, points'}),
        ("hard_tanh/curve?min_value=2", {"#/max_value": "must be greater than min_value, which is 2"}),
        ("sin/curve?points=0&from=x", {"#/points": POINTS, "#/from": FINITE}),
    ],
)
def test_a_query_that_cannot_be_meant_is_explained(client: FlaskClient, path: str, complaints: dict[str, str]) -> None:
    """422 with a pointer to each mistake, all in one answer."""
    answer = client.get(f"/v1/activations/{path}")
    assert answer.status_code == 422
    document = answer.get_json(force=True)
    assert document["type"] == "/problems/invalid-request"
    assert {error["pointer"]: error["detail"] for error in document["errors"]} == complaints


@pytest.mark.parametrize("name", COUPLED)
def test_a_group_has_no_curve(client: FlaskClient, name: str) -> None:
    """A softmax of one unit would be 1 everywhere."""
    answer = client.get(f"/v1/activations/{name}/curve")
    assert answer.status_code == 422
    assert answer.get_json(force=True)["errors"] == [
        {"pointer": "#", "detail": f"{name} acts on a group of units, and has no curve"}
    ]


def test_an_unknown_activation_has_no_curve(client: FlaskClient) -> None:
    """404, with the nearest name."""
    answer = client.get("/v1/activations/tann/curve")
    assert answer.status_code == 404
    assert 'did you mean "tanh"?' in answer.get_json(force=True)["detail"]
