"""Warnings: what is right but has to be known, each with code, place and sentence."""

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


def test_a_null_factor_stands_in_arrays_and_records_alike(client: FlaskClient) -> None:
    """The factor is null, dE_da is -1, and the derivative by the weight is -1 · (-800) = 800."""
    answer = client.post("/v1/gradients", json=_body("sigmoid", [[1.0]], [-800.0], [1.0], BCE)).get_json()
    (layer,) = answer["layers"]
    assert layer["factors"]["dE_do"] == [None]
    assert layer["weights"][0]["dE_do"] is None
    assert layer["dE_da"] == [-1.0]
    assert layer["dE_dw"] == [[800.0]]


def test_factors_that_are_not_shown_are_not_warned_of(client: FlaskClient) -> None:
    """breakdown none has no factors."""
    body = _body("sigmoid", [[1.0]], [-800.0], [1.0], BCE) | {"breakdown": "none"}
    assert client.post("/v1/gradients", json=body).get_json()["warnings"] == []


def test_a_second_factor_beyond_float64_is_warned_of(client: FlaskClient) -> None:
    """do/da = o·(1 - o)/T with T = 5e-324 is infinite; dE/da is 0 at the target, and finite."""
    body = _body({"name": "softmax", "temperature": 5e-324}, [[0.0, 0.0]], [1.0], [0.5, 0.5], "cce")
    answer = client.post("/v1/gradients", json=body).get_json()
    assert {warning["pointer"] for warning in answer["warnings"]} == {f"#/layers/0/factors/do_da/{j}" for j in (0, 1)}
    assert answer["layers"][0]["factors"]["do_da"][0][0] is None


def test_more_than_twenty_warnings_end_in_one_that_says_so(client: FlaskClient) -> None:
    """25 units on a kink: 20 are told, and that there are more."""
    body = _body("relu", [[1.0] * 25], [0.0], [1.0] * 25)
    warnings = client.post("/v1/gradients", json=body).get_json()["warnings"]
    assert [warning["code"] for warning in warnings] == ["kink"] * 20 + ["more-warnings"]


def test_an_ordinary_answer_has_none(client: FlaskClient) -> None:
    """An empty list, not a missing one."""
    assert client.post("/v1/gradients", json=_body("tanh", [[1.0]], [0.5], [1.0])).get_json()["warnings"] == []
