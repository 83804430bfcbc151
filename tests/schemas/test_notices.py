"""The warnings of answers: each has a code, a place and a sentence."""

from typing import Any

import pytest
from flask.testing import FlaskClient


def _body(activation: Any, weights: Any, inputs: Any, targets: Any, loss: Any = "half_squared_error") -> dict[str, Any]:
    layers = [{"activation": activation, "weights": weights}]
    return {"network": {"layers": layers}, "inputs": inputs, "targets": targets, "loss": loss}


BCE = "binary_cross_entropy"
RIGHT = "dE_da and the gradients come from the closed form and are right"

CASES = {
    "a factor beyond float64, one sample": (
        _body("sigmoid", [[1.0]], [-800.0], [1.0], BCE),
        "factor-not-finite",
        "#/layers/0/factors/dE_do/0",
        f"dE_do of unit 0 of layer 0 is beyond float64 and given as null; {RIGHT}",
    ),
    "a factor beyond float64, in a batch": (
        _body("sigmoid", [[0.0, 1.0]], [[1.0], [-800.0]], [[1.0, 1.0], [1.0, 1.0]], BCE),
        "factor-not-finite",
        "#/layers/0/factors/dE_do/1/1",
        f"dE_do of unit 1 of layer 0 in sample 1 is beyond float64 and given as null; {RIGHT}",
    ),
    "a target out of range": (
        _body("sigmoid", [[1.0]], [[0.5]], [[1.5]], BCE),
        "target-out-of-range",
        "#/targets/0/0",
        "target 0 in sample 0 is 1.5; "
        "binary_cross_entropy is meant for targets from 0 to 1, and was computed as it stands",
    ),
    "a target out of range, in base64, which holds no elements": (
        _body("sigmoid", [[1.0]], [[0.5]], {"shape": [1, 1], "base64": "AAAAAAAA+D8="}, BCE),
        "target-out-of-range",
        "#/targets",
        "target 0 in sample 0 is 1.5; "
        "binary_cross_entropy is meant for targets from 0 to 1, and was computed as it stands",
    ),
    "a unit on a kink": (
        _body("relu", [[1.0]], [0.0], [1.0]),
        "kink",
        "#/network/layers/0/activation",
        "unit 0 of layer 0 sits exactly on the kink of relu at a = 0; "
        "the derivative taken is 0, the left-hand one (left 0, right 1)",
    ),
    "a listed unit on a kink in two samples": (
        _body(["tanh", {"name": "elu", "alpha": 2}], [[1.0, 1.0]], [[1.0], [0.0], [0.0]], [[1.0, 1.0]] * 3),
        "kink",
        "#/network/layers/0/activation/1",
        "unit 1 of layer 0 sits exactly on the kink of elu at a = 0 in sample 1 and 1 more; "
        "the derivative taken is 2, the left-hand one (left 2, right 1)",
    ),
    "a unit at the upper kink of two": (
        _body({"name": "hard_silu"}, [[3.0]], [1.0], [1.0]),
        "kink",
        "#/network/layers/0/activation",
        "unit 0 of layer 0 sits exactly on the kink of hard_silu at a = 3; "
        "the derivative taken is 1, the right-hand one (left 1.5, right 1)",
    ),
    "a unit on a kink with a slope of neither side": (
        _body("absolute", [[1.0]], [0.0], [1.0]),
        "kink",
        "#/network/layers/0/activation",
        "unit 0 of layer 0 sits exactly on the kink of absolute at a = 0; the derivative taken is 0 (left -1, right 1)",
    ),
    "a unit at a jump": (
        _body("hard_shrink", [[-0.5]], [[0.0], [1.0]], [[1.0]] * 2),
        "kink",
        "#/network/layers/0/activation",
        "unit 0 of layer 0 sits exactly on the jump of hard_shrink at a = -0.5 in sample 1; "
        "the derivative taken is 0, the right-hand one (left 1, right 0)",
    ),
    "a unit at a jump between equal slopes": (
        _body("step", [[1.0]], [0.0], [1.0]),
        "kink",
        "#/network/layers/0/activation",
        "unit 0 of layer 0 sits exactly on the jump of step at a = 0; the derivative taken is 0 (left 0, right 0)",
    ),
    "a unit on the border of its group": (
        _body("sparsemax", [[1.0, 0.0, -1.0]], [1.0], [1.0, 1.0, 1.0]),
        "kink",
        "#/network/layers/0/activation",
        "unit 1 of layer 0 sits exactly on the border of the support of sparsemax; "
        "the derivatives taken are those of a unit outside",
    ),
    "an output on the margin of a hinge": (
        _body("identity", [[-1.0, 1.0]], [[1.0]], [[-1.0, -1.0]], "hinge"),
        "kink",
        "#/targets/0/0",
        "output 0 in sample 0 sits exactly on the kink of hinge; the derivative taken is 0",
    ),
    "a target below a range without an upper end": (
        _body("exponential", [[1.0]], [0.5], [-1.0], "poisson"),
        "target-out-of-range",
        "#/targets/0",
        "target 0 is -1; poisson is meant for targets of at least 0, and was computed as it stands",
    ),
    "an output on the loss's kink": (
        _body("identity", [[1.0, 2.0]], [1.0], [3.0, 2.0], "absolute_error"),
        "kink",
        "#/targets/1",
        "output 1 sits exactly on the kink of absolute_error; the derivative taken is 0",
    ),
}


@pytest.mark.parametrize(("body", "code", "pointer", "detail"), CASES.values(), ids=CASES)
def test_a_warning_names_its_place_and_says_why(
    client: FlaskClient, body: dict[str, Any], code: str, pointer: str, detail: str
) -> None:
    """Exactly one, as written here."""
    (warning,) = client.post("/v1/gradients", json=body).get_json()["warnings"]
    assert warning == {"code": code, "detail": detail, "pointer": pointer}


def test_a_null_factor_is_null_in_arrays_and_in_records(client: FlaskClient) -> None:
    """The factor is null, dE_da is -1, and the derivative by the weight is -1 · (-800) = 800."""
    answer = client.post("/v1/gradients", json=_body("sigmoid", [[1.0]], [-800.0], [1.0], BCE)).get_json()
    (layer,) = answer["layers"]
    assert layer["factors"]["dE_do"] == [None]
    assert layer["weights"][0]["dE_do"] is None
    assert layer["dE_da"] == [-1.0]
    assert layer["dE_dw"] == [[800.0]]


def test_there_is_no_warning_about_factors_that_are_not_shown(client: FlaskClient) -> None:
    """breakdown none has no factors."""
    body = _body("sigmoid", [[1.0]], [-800.0], [1.0], BCE) | {"breakdown": "none"}
    assert client.post("/v1/gradients", json=body).get_json()["warnings"] == []


def test_a_second_factor_beyond_float64_is_warned_of(client: FlaskClient) -> None:
    """do/da = o·(1 - o)/T with T = 5e-324 is infinite; dE/da is 0 at the target, and finite."""
    body = _body({"name": "softmax", "temperature": 5e-324}, [[0.0, 0.0]], [1.0], [0.5, 0.5], "cce")
    answer = client.post("/v1/gradients", json=body).get_json()
    assert {warning["pointer"] for warning in answer["warnings"]} == {f"#/layers/0/factors/do_da/{j}" for j in (0, 1)}
    assert answer["layers"][0]["factors"]["do_da"][0][0] is None


def test_both_of_two_equal_scores_are_warned_of(client: FlaskClient) -> None:
    """categorical_hinge takes the first of the largest wrong scores: its derivative is 1, the second's 0."""
    body = _body("identity", [[2.0, 2.0, 0.0]], [1.0], [0.0, 0.0, 1.0], "categorical_hinge")
    assert [warning["detail"] for warning in client.post("/v1/gradients", json=body).get_json()["warnings"]] == [
        "output 0 sits exactly on the kink of categorical_hinge; the derivative taken is 1",
        "output 1 sits exactly on the kink of categorical_hinge; the derivative taken is 0",
    ]


def test_more_than_twenty_warnings_end_in_one_that_says_so(client: FlaskClient) -> None:
    """25 units on a kink: 20 are listed, and one more warning says that there are more."""
    body = _body("relu", [[1.0] * 25], [0.0], [1.0] * 25)
    warnings = client.post("/v1/gradients", json=body).get_json()["warnings"]
    assert [warning["code"] for warning in warnings] == ["kink"] * 20 + ["more-warnings"]


def test_an_ordinary_answer_has_none(client: FlaskClient) -> None:
    """An empty list, not a missing one."""
    assert client.post("/v1/gradients", json=_body("tanh", [[1.0]], [0.5], [1.0])).get_json()["warnings"] == []
