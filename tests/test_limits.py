"""How much a request may ask: every limit at its edge, what it counts, how it is set, and how it is told beforehand."""

import json
import tracemalloc
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from schemas.gradients import GradientRequestSchema
from schemas.problem import pointer
from service.app import create_app
from service.codec import Outline
from service.limits import BODY_BYTES, DEFAULTS, LIMITS, Limit, enforce, enforce_on_body
from service.problems import Refusal
from service.settings import Settings, read_settings

Body = dict[str, Any]

# 5 inputs, 2 units with biases, 3 units without; 4 samples.
REQUEST: Body = {
    "network": {
        "layers": [
            {"weights": [[0.1, -0.2]] * 5, "biases": [0.3, 0.4], "activation": "tanh"},
            {"weights": [[0.5, 0.6, 0.7]] * 2, "activation": "softmax"},
        ]
    },
    "inputs": [[1, 2, 3, 4, 5]] * 4,
    "targets": [[1, 0, 0]] * 4,
    "loss": "categorical_cross_entropy",
    "verify": True,
}
COUNTS = {  # of that request, counted by hand
    "body_bytes": len(json.dumps(REQUEST)),
    "json_parts": 4 + (1 + 5 + 1 + 1 + 2) + (1 + 4) * 2 + 14 + 1,  # objects; layers, weights, biases; batches; strings
    "json_depth": 3,  # layers, weights, row
    "layers": 2,
    "units": 5,  # the inputs are the widest
    "parameters": 5 * 2 + 2 + 2 * 3,
    "samples": 4,
    "activity_numbers": 4 * (5 + 2 + 3),
    "multiply_adds": (3 + 30 * 18) * 4 * (5 * 2 + 2 * 3),  # forward, weights, what is below; and to verify each of 18
    "verified_parameters": 5 * 2 + 2 + 2 * 3,
    "answer_numbers": (10 + 2 + 6)  # dE_dw, dE_db
    + 4 * 3  # outputs
    + 4  # sample_losses
    + 4 * 5  # dE_dx
    + 4 * (5 + 4 * 2 + 2)  # da_dw; a, o, dE_da, dE_do; do_da, a number a unit
    + 4 * (2 + 4 * 3 + 9)  # da_dw; a, o, dE_da, dE_do; do_da, a matrix a sample
    + 10 * (4 + 4 * 3)  # records of the first layer: four numbers, and three lists over the samples
    + 6 * (4 + 4 * (1 + 3 + 3)),  # records of the softmax: dE_do and do_da of all three units
    "explanation_lines": 0,  # that request is none of an explanation: test_explanations.py counts them
}
LIMITS_OF_REQUESTS = [limit for limit in LIMITS if limit.measure]


def with_limits(**limits: int) -> Settings:
    """The default settings with some limits of our own."""
    return replace(read_settings(), limits={**DEFAULTS, **limits})


def post(settings: Settings, body: Body) -> TestResponse:
    """The answer of a service with these settings."""
    return create_app(settings).test_client().post("/v1/gradients", json=body)


def by_name(limit: Limit) -> str:
    return limit.name


BODY_LIMITS = [limit for limit in LIMITS if limit.measure_body]

# Every row, at its edge.


def test_every_limit_has_a_count_to_be_held_against() -> None:
    """A new row of the table needs a number that somebody has counted."""
    assert set(COUNTS) == {limit.name for limit in LIMITS}


@pytest.mark.parametrize("limit", LIMITS_OF_REQUESTS, ids=by_name)
def test_a_limit_counts_what_a_hand_counts(limit: Limit) -> None:
    """The numbers stand above, with where they come from. The answer's may be counted up to a tenth too high."""
    assert limit.measure is not None
    measured = limit.measure(GradientRequestSchema().load(deepcopy(REQUEST)))
    counted = COUNTS[limit.name]
    if limit.name == "answer_numbers":
        assert counted <= measured <= 1.1 * counted
    else:
        assert measured == counted


@pytest.mark.parametrize("limit", LIMITS_OF_REQUESTS, ids=by_name)
def test_a_request_exactly_at_a_limit_passes(limit: Limit) -> None:
    """The limit is the largest that is allowed."""
    asked = _measured(limit)
    assert post(with_limits(**{limit.name: asked}), REQUEST).status_code == 200


@pytest.mark.parametrize("limit", LIMITS_OF_REQUESTS, ids=by_name)
def test_a_request_one_above_a_limit_is_refused_in_words_that_help(limit: Limit) -> None:
    """422 at its pointer, with the limit's name and value, what was asked, the setting, and the way out."""
    asked = _measured(limit)
    place = limit.place(GradientRequestSchema().load(deepcopy(REQUEST)))
    answer = post(with_limits(**{limit.name: asked - 1}), REQUEST)
    document = answer.get_json(force=True)
    assert (answer.status_code, document["type"]) == (422, "/problems/limit-exceeded")
    assert answer.content_type == "application/problem+json"
    [error] = document["errors"]
    assert error["pointer"] == pointer(place) != "#"
    assert error["detail"] == document["detail"]
    for words in (f"{asked} {limit.noun}", f"{asked - 1} allowed", limit.name, limit.setting, limit.way_out):
        assert words in error["detail"]


def _measured(limit: Limit) -> int:
    assert limit.measure is not None
    return limit.measure(GradientRequestSchema().load(deepcopy(REQUEST)))


def test_a_body_exactly_at_the_limit_passes_and_one_above_does_not() -> None:
    """413, before anything is read as JSON: the body below is none."""
    size = len(json.dumps(REQUEST))
    client = create_app(with_limits(body_bytes=size)).test_client()
    good = client.post("/v1/gradients", data=json.dumps(REQUEST), content_type="application/json")
    bad = client.post("/v1/gradients", data="{" * (size + 1), content_type="application/json")
    assert (good.status_code, bad.status_code) == (200, 413)
    [limit] = [limit for limit in LIMITS if limit.name == BODY_BYTES]
    for words in (f"{size + 1} bytes", f"{size} allowed", limit.name, limit.setting, limit.way_out):
        assert words in bad.get_json(force=True)["detail"]


@pytest.mark.parametrize("limit", BODY_LIMITS, ids=by_name)
def test_a_body_is_measured_before_it_is_parsed(limit: Limit) -> None:
    """At the limit it passes; one above it is refused in the same words, though what follows is no JSON."""
    body = json.dumps(REQUEST).encode()
    assert limit.measure_body is not None
    asked = COUNTS[limit.name]
    assert limit.measure_body(Outline(body)) == asked
    enforce_on_body(DEFAULTS | {limit.name: asked}, Outline(body))
    client = create_app(with_limits(**{limit.name: asked - 1})).test_client()
    answer = client.post("/v1/gradients", data=body + b"rubbish", content_type="application/json")
    document = answer.get_json(force=True)
    assert (answer.status_code, document["type"]) == (limit.problem.status, f"/problems/{limit.problem.name}")
    assert document["errors"][0]["pointer"] == "#"
    for words in (f"{asked} {limit.noun}", f"{asked - 1} allowed", limit.name, limit.setting, limit.way_out):
        assert words in document["errors"][0]["detail"]


@pytest.mark.parametrize(
    ("body", "deepest"),
    [
        (b"1", 0),
        (b"[]", 1),
        (b'{"a": [[1], [2, [3]]], "b": {}}', 3),
        (b'["' + b"[" * 50 + b'"]', 1),
        (b'{"' + b'\\"{' * 50 + b'": 1}', 1),
        (b"[" * 50, 50),
        (b'{"a":' * 50, 50),
    ],
)
def test_depth_is_that_of_brackets_outside_strings(body: bytes, deepest: int) -> None:
    """Lists, or objects, within each other, also where they are never closed."""
    assert Outline(body).depth == deepest


TOO_DEEP = {
    "100000 lists in each other": "[" * 100_000 + "]" * 100_000,
    "100000 lists never closed": "[" * 100_000,
    "1e400 and 100000 lists": "[1e400, " + "[" * 100_000 + "]" * 100_001,
    "100 objects in each other": '{"a":' * 100 + "1" + "}" * 100,
    "1e400 and 2000 objects": "[1e400, " + '{"a":' * 2000 + "1" + "}" * 2000 + "]",
    "1000 lists and objects by turns": '[{"a":' * 1000 + "1" + "}]" * 1000,
}


@pytest.mark.parametrize("body", TOO_DEEP.values(), ids=TOO_DEEP)
def test_what_is_nested_too_deep_is_not_parsed(client: FlaskClient, body: str) -> None:
    """Parsers recurse, each as deep as it likes; here nothing is."""
    answer = client.post("/v1/gradients", data=body, content_type="application/json")
    document = answer.get_json(force=True)
    assert (answer.status_code, document["type"]) == (400, "/problems/malformed-json")
    assert "json_depth" in document["detail"]


HOSTILE = {"lists": b"[],", "objects": b"{},", "keys": b'{"a":0},', "strings": b'"ab",', "nested": b"["}


@pytest.mark.parametrize("piece", HOSTILE.values(), ids=HOSTILE)
def test_a_body_of_many_small_parts_costs_no_memory(client: FlaskClient, piece: bytes) -> None:
    """30 MB that would be parsed into hundreds: refused, while no more is allocated than copies of the body."""
    body = b"[" + piece * (30 * 10**6 // len(piece))
    tracemalloc.start()
    answer = client.post("/v1/gradients", data=body, content_type="application/json")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (answer.status_code, answer.get_json(force=True)["type"]) == (422, "/problems/limit-exceeded")
    assert peak < 4 * len(body)


def test_to_tell_the_depth_costs_some_copies_of_the_body() -> None:
    """Also of one that is nothing but brackets which close, and so has no parts that a limit would count."""
    outline = Outline(b"]" * 4_000_000)
    tracemalloc.start()
    depth = outline.depth
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert depth == 0
    assert peak < 12 * len(outline.body)


def test_every_limit_that_is_exceeded_is_told() -> None:
    """All at once, as everywhere: the client mends them in one go."""
    asked = GradientRequestSchema().load(deepcopy(REQUEST))
    with pytest.raises(Refusal) as refusal:
        enforce(dict.fromkeys(DEFAULTS, 1), asked)
    pointers = [error["pointer"] for error in refusal.value.errors]
    assert pointers == [pointer(limit.place(asked)) for limit in LIMITS_OF_REQUESTS]


def test_verification_counts_only_where_it_is_asked_for() -> None:
    """Without `verify`: no parameter is verified, and three products of matrices are all there is to do."""
    asked = GradientRequestSchema().load(deepcopy(REQUEST) | {"verify": False})
    measured = {limit.name: limit.measure(asked) for limit in LIMITS_OF_REQUESTS if limit.measure}
    assert measured["verified_parameters"] == 0
    assert measured["multiply_adds"] == 3 * 4 * (5 * 2 + 2 * 3)


def test_a_request_within_all_limits_is_let_through() -> None:
    """With the limits equal to what it asks for."""
    asked = GradientRequestSchema().load(deepcopy(REQUEST))
    enforce({limit.name: limit.measure(asked) for limit in LIMITS if limit.measure}, asked)


@pytest.mark.parametrize("layout", ["in_out", "out_in"])
def test_the_layout_does_not_change_what_is_counted(layout: str) -> None:
    """`out_in` is the same network."""
    body = deepcopy(REQUEST)
    body["network"]["weights_layout"] = layout
    if layout == "out_in":
        for layer in body["network"]["layers"]:
            layer["weights"] = [list(column) for column in zip(*layer["weights"], strict=True)]
    asked = GradientRequestSchema().load(body)
    assert [limit.measure(asked) for limit in LIMITS if limit.measure] == [_measured(l) for l in LIMITS_OF_REQUESTS]


@pytest.mark.parametrize(("name", "where"), [("units", "#/network/layers/1/weights"), ("samples", "#/inputs")])
def test_a_pointer_leads_to_what_is_too_large(name: str, where: str) -> None:
    """To the offending value, as the contract has it: the second layer is the wide one here, and only it."""
    body = deepcopy(REQUEST)
    body["network"]["layers"][1]["weights"] = [[0.1] * 9] * 2
    body["targets"] = [[1, 0, 0, 0, 0, 0, 0, 0, 0]] * 4
    answer = post(with_limits(units=8, samples=3) if name == "samples" else with_limits(units=8), body)
    pointers = [error["pointer"] for error in answer.get_json(force=True)["errors"]]
    assert where in pointers


def test_the_sentence_counts_one_as_one() -> None:
    """One layer, two layers: the noun follows the number."""
    details = {e["pointer"]: e["detail"] for e in _refused(with_limits(layers=1, samples=3))}
    assert details["#/network/layers"].startswith("2 layers asked, 1 allowed (")
    assert details["#/inputs"].startswith("4 samples asked, 3 allowed (")


def _refused(settings: Settings) -> list[dict[str, str]]:
    errors: list[dict[str, str]] = post(settings, REQUEST).get_json(force=True)["errors"]
    return errors


# What is told beforehand.


def test_the_limits_in_force_are_told_beforehand() -> None:
    """GET /v1/limits is the table, row by row and in its order, with the values of this deployment."""
    ours = {limit.name: number for number, limit in enumerate(LIMITS, start=1000)}
    told = create_app(with_limits(**ours)).test_client().get("/v1/limits").get_json()["limits"]
    assert told == [
        {"name": limit.name, "value": ours[limit.name], "meaning": limit.meaning, "setting": limit.setting}
        for limit in LIMITS
    ]


def test_the_defaults_are_those_of_the_table(client: FlaskClient) -> None:
    """Without a setting, a limit is what its row says."""
    told = {row["name"]: row["value"] for row in client.get("/v1/limits").get_json()["limits"]}
    assert told == {limit.name: limit.default for limit in LIMITS} == DEFAULTS


@pytest.mark.parametrize("limit", LIMITS, ids=by_name)
def test_a_limit_is_set_by_the_variable_that_it_names(limit: Limit, monkeypatch: pytest.MonkeyPatch) -> None:
    """The setting that the message tells is the one that helps."""
    monkeypatch.setenv(limit.setting, "17")
    assert read_settings().limits == {**DEFAULTS, limit.name: 17}


# The numbers of an answer, counted in real answers.


def numbers_in(node: Any) -> int:
    """How many numbers an answer holds in arrays and records; null is one that is not finite."""
    if isinstance(node, dict):
        beside = {"activation", "loss_function", "warnings"}  # a few words each, no arrays
        return sum(numbers_in(value) for key, value in node.items() if key not in beside)
    if isinstance(node, list):
        return sum(numbers_in(value) for value in node)
    return 0 if isinstance(node, str | bool) else 1


def spec(name: str, **beside: Any) -> Body:
    return {"name": name, **beside}


def layer(n_in: int, n_out: int, activation: Any, biases: bool = True) -> Body:
    weights = [[0.01 * (i + 1) * (-1) ** j for j in range(n_out)] for i in range(n_in)]
    return {"weights": weights, "activation": activation} | ({"biases": [0.1] * n_out} if biases else {})


HEADS = [spec("softmax", group="a")] * 3 + ["tanh"] * 2 + [spec("softmax", group="b")] * 4
NETWORKS = {
    "two plain layers": [layer(12, 8, "tanh"), layer(8, 6, "identity", biases=False)],
    "a deep one": [layer(6, 6, "relu") for _ in range(5)],
    "many inputs, one output": [layer(40, 1, "sigmoid")],
    "one input, many outputs": [layer(1, 40, "sigmoid")],
    "a softmax": [layer(7, 9, "tanh"), layer(9, 10, "softmax")],
    "a hidden softmax": [layer(7, 10, "softmax"), layer(10, 3, "tanh")],
    "a softmax of two units": [layer(6, 2, "softmax")],
    "two softmax heads beside tanh": [layer(6, 9, HEADS)],
    "one softmax unit among many": [layer(6, 12, ["tanh"] * 11 + ["softmax"])],
}


def counted_and_held(client: FlaskClient, layers: list[Body], samples: int, **more: Any) -> tuple[int, int]:
    """What the limit counts of a request, and what its answer holds; with no samples, one by itself is posted."""
    n_in, n_out = len(layers[0]["weights"]), len(layers[-1]["weights"][0])
    inputs, targets = [0.5] * n_in, [0.5] * n_out
    body = {
        "network": {"layers": layers},
        "inputs": [inputs] * samples or inputs,
        "targets": [targets] * samples or targets,
        **more,
    }
    [limit] = [limit for limit in LIMITS if limit.name == "answer_numbers"]
    assert limit.measure is not None
    answer = client.post("/v1/gradients", json=body).get_json()
    arrays = {key: value for key, value in answer.items() if not isinstance(value, float)}  # the loss is none
    return limit.measure(GradientRequestSchema().load(deepcopy(body))), numbers_in(arrays)


@pytest.mark.parametrize("samples", [0, 10], ids=["one sample", "a batch of 10"])
@pytest.mark.parametrize("breakdown", ["per_weight", "per_unit", "none"])
@pytest.mark.parametrize("layers", NETWORKS.values(), ids=NETWORKS)
def test_the_answers_numbers_are_counted_as_they_are(
    client: FlaskClient, layers: list[Body], breakdown: str, samples: int
) -> None:
    """Never fewer than the answer holds, or the limit is none; at most a tenth more, or it refuses too much."""
    counted, held = counted_and_held(client, layers, samples, breakdown=breakdown)
    assert held <= counted <= 1.1 * held


@pytest.mark.parametrize("layers", NETWORKS.values(), ids=NETWORKS)
def test_the_updated_network_is_counted_too(client: FlaskClient, layers: list[Body]) -> None:
    """A step adds as many numbers as the network has parameters: exactly those."""
    counted, held = counted_and_held(client, layers, 3)
    counted_with_step, held_with_step = counted_and_held(client, layers, 3, step={"learning_rate": 0.1})
    assert counted_with_step - counted == held_with_step - held > 0


def test_a_large_batch_without_breakdown_is_counted_in_full(client: FlaskClient) -> None:
    """1000 samples of one output: 1000 outputs, 1000 sample losses, and the derivatives by one weight and one bias."""
    counted, held = counted_and_held(client, [layer(1, 1, "tanh")], 1000, breakdown="none")
    assert held == 2002
    assert 2002 <= counted <= 2202
