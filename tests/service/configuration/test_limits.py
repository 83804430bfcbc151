"""The limits of a request: every limit at its bound, how it is set, and how GET /v1/limits shows it."""

import json
import tracemalloc
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from chainrule.cost import Cost, Part, cost_of
from schemas.cost import gradients_cost, posted
from schemas.gradients import GradientRequestSchema
from schemas.known_costs import KNOWN, Known
from service.app import create_app
from service.configuration.limits import BODY_BYTES, DEFAULTS, LIMITS, Limit, allows, enforce, enforce_on_body
from service.configuration.settings import SETTINGS, Settings, read_settings
from service.encoding.outline import Outline
from service.problems import Refusal
from tests.costs import CHECKS, EXPLANATIONS, GRADIENTS, Asked, ordinary

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
TEXT = json.dumps(REQUEST).encode()
OF_REQUESTS = [limit for limit in LIMITS if limit.measure]
OF_BODIES = [limit for limit in LIMITS if limit.measure_body]
AMPLE = dict.fromkeys(DEFAULTS, 10**15)


def with_limits(**limits: float) -> Settings:
    """The default settings, with these limits."""
    return replace(read_settings(), limits={**DEFAULTS, **limits})


def post(settings: Settings, body: Body, endpoint: str = GRADIENTS) -> TestResponse:
    """The answer of a service with these settings."""
    return create_app(settings).test_client().post(f"/v1/{endpoint}", json=body)


def by_name(limit: Limit) -> str:
    return limit.name


def cost_of_request(**changes: Any) -> Cost:
    """The cost of the request above, as the view computes it."""
    body = json.dumps(REQUEST | changes, separators=(",", ":")).encode()  # in the format of the test client
    document = json.loads(body)
    return gradients_cost(GradientRequestSchema().load(deepcopy(document)), posted(document, len(body)))


def measured(limit: Limit, **changes: Any) -> float:
    assert limit.measure is not None
    return limit.measure(cost_of_request(**changes))


# Every row, at its edge.


@pytest.mark.parametrize("limit", OF_REQUESTS, ids=by_name)
def test_a_request_exactly_at_a_limit_passes(limit: Limit) -> None:
    """The limit itself is allowed."""
    asked = measured(limit)
    assert enforce(AMPLE | {limit.name: asked}, cost_of_request()) == cost_of_request()
    with pytest.raises(Refusal):
        enforce(AMPLE | {limit.name: asked * (1 - 1e-9)}, cost_of_request())


@pytest.mark.parametrize("endpoint", [GRADIENTS, EXPLANATIONS, CHECKS])
@pytest.mark.parametrize("limit", OF_REQUESTS, ids=by_name)
def test_a_request_above_a_limit_is_refused_at_every_endpoint(limit: Limit, endpoint: str) -> None:
    """422 with the limit's name, value and setting.

    1/50 of the cost of the smallest request is too little for any request.
    """
    asked = Asked(endpoint, (5, 4, 3), ("tanh", "sigmoid"), 40)
    assert limit.measure is not None
    allowed = limit.measure(asked.predicted()) / 50
    answer = post(with_limits(**{limit.name: allowed}), asked.document, endpoint)
    document = answer.get_json(force=True)
    assert (answer.status_code, document["type"]) == (422, "/problems/limit-exceeded")
    for words in (f"the limit {limit.name}", limit.setting, "allowed"):
        assert words in document["detail"]


@pytest.mark.parametrize("limit", OF_REQUESTS, ids=by_name)
def test_a_refusal_names_the_costliest_part_its_pointer_and_a_remedy(limit: Limit) -> None:
    """It names a part with nine tenths of the cost, how much that takes, and what to change.

    The pointer leads to its cause.
    """
    small = Part("reading", (), "send less", 1.0, 1000.0, 0.0)
    large = Part("verifying 9 parameters", ("verify",), 'leave out "verify"', 9.0, 0.0, 9000.0)
    with pytest.raises(Refusal) as refusal:
        enforce(AMPLE | {limit.name: 5}, cost_of([small, large]))
    [error] = refusal.value.errors
    asked, most = ("10000 bytes", "9000 bytes") if limit.noun == "byte" else ("10 seconds", "9 seconds")
    unit = f"5 {limit.noun}s"
    assert error == {
        "pointer": "#/verify",
        "detail": f"{asked} asked, {unit} allowed ({limit.meaning}; the limit {limit.name}, set by {limit.setting}). "
        f'Most of it goes into verifying 9 parameters, {most}: leave out "verify"',
    }
    assert refusal.value.detail == error["detail"]


def test_every_exceeded_limit_is_reported() -> None:
    """All in one answer, so that a client can fix them together."""
    with pytest.raises(Refusal) as refusal:
        enforce(dict.fromkeys(DEFAULTS, 0), cost_of_request())
    reported = [
        limit.name for error in refusal.value.errors for limit in LIMITS if f"limit {limit.name}" in error["detail"]
    ]
    assert reported == [limit.name for limit in OF_REQUESTS]


COSTLIEST = {  # requests, and the pointer to the part that costs most of each
    "#/verify": Asked(GRADIENTS, (30, 30), ("tanh",), 100, verify=True),
    "#/breakdown": Asked(GRADIENTS, (60, 60), ("tanh",), 8, breakdown="per_weight"),
    "#/inputs": Asked(GRADIENTS, (30, 30, 30, 30), ("gelu",) * 3, 300),
    "#/network/layers/1": Asked(GRADIENTS, (500, 60, 1500, 1), ("gelu",) * 3, 1, packed=True),
}


@pytest.mark.parametrize("where", COSTLIEST)
def test_the_pointer_of_a_refusal_leads_to_the_costliest_part(where: str) -> None:
    """For four kinds of requests."""
    answer = post(with_limits(work_seconds=1e-6), COSTLIEST[where].document)
    assert [error["pointer"] for error in answer.get_json(force=True)["errors"]] == [where]


def test_verification_costs_only_if_it_is_requested() -> None:
    """Without `verify`, no part of the cost is a verification."""
    parts = [part.cause for part in cost_of_request(verify=False).parts]
    assert ("verify",) not in parts
    assert ("verify",) in [part.cause for part in cost_of_request().parts]


def test_the_layout_does_not_change_the_cost() -> None:
    """`out_in` is the same network."""
    body = deepcopy(REQUEST)
    body["network"]["weights_layout"] = "out_in"
    for layer in body["network"]["layers"]:
        layer["weights"] = [list(column) for column in zip(*layer["weights"], strict=True)]
    schema = GradientRequestSchema()
    one, other = (gradients_cost(schema.load(deepcopy(b)), posted(b, 1000)) for b in (body, REQUEST))
    assert one == other


def test_a_body_exactly_at_the_limit_passes_and_one_above_does_not() -> None:
    """413, before the body is parsed: the body below is not JSON."""
    client = create_app(with_limits(body_bytes=len(TEXT))).test_client()
    good = client.post("/v1/gradients", data=TEXT, content_type="application/json")
    bad = client.post("/v1/gradients", data="{" * (len(TEXT) + 1), content_type="application/json")
    assert (good.status_code, bad.status_code) == (200, 413)
    [limit] = [limit for limit in LIMITS if limit.name == BODY_BYTES]
    for words in (f"{len(TEXT) + 1} bytes", f"{len(TEXT)} allowed", limit.name, limit.setting, limit.way_out):
        assert words in bad.get_json(force=True)["detail"]


@pytest.mark.parametrize("limit", OF_BODIES, ids=by_name)
def test_a_body_is_measured_before_it_is_parsed(limit: Limit) -> None:
    """At the limit it passes. Above it is refused, even though the rest is not JSON."""
    assert limit.measure_body is not None
    asked = limit.measure_body(Outline(TEXT))
    enforce_on_body(DEFAULTS | {limit.name: asked}, Outline(TEXT))
    client = create_app(with_limits(**{limit.name: asked - 1})).test_client()
    answer = client.post("/v1/gradients", data=TEXT + b"rubbish", content_type="application/json")
    document = answer.get_json(force=True)
    assert (answer.status_code, document["type"]) == (limit.problem.status, f"/problems/{limit.problem.name}")
    assert document["errors"][0]["pointer"] == "#"
    for words in (f"{asked - 1} allowed", limit.name, limit.setting, limit.way_out):
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
    """The depth of lists, or of objects, even if they are never closed."""
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
    """Parsers recurse, each to its own limit, so the body is refused before parsing."""
    answer = client.post("/v1/gradients", data=body, content_type="application/json")
    document = answer.get_json(force=True)
    assert (answer.status_code, document["type"]) == (400, "/problems/malformed-json")
    assert "json_depth" in document["detail"]


HOSTILE = {"lists": b"[],", "objects": b"{},", "keys": b'{"a":0},', "strings": b'"ab",', "nested": b"["}


@pytest.mark.parametrize("piece", HOSTILE.values(), ids=HOSTILE)
def test_a_body_of_many_small_parts_takes_little_memory(client: FlaskClient, piece: bytes) -> None:
    """Parsing 30 MB would take hundreds of MB. The body is refused, and only copies of it are allocated."""
    body = b"[" + piece * (30 * 10**6 // len(piece))
    tracemalloc.start()
    answer = client.post("/v1/gradients", data=body, content_type="application/json")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (answer.status_code, answer.get_json(force=True)["type"]) == (422, "/problems/limit-exceeded")
    assert peak < 4 * len(body)


def test_measuring_the_depth_takes_a_few_copies_of_the_body() -> None:
    """Also for a body of brackets that close, which has no parts that a limit would count."""
    outline = Outline(b"]" * 4_000_000)
    tracemalloc.start()
    depth = outline.depth
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert depth == 0
    assert peak < 12 * len(outline.body)


# The costs that are published in advance.


def test_the_limits_in_force_are_published() -> None:
    """GET /v1/limits has the rows of the table, in its order, with the values of this deployment."""
    ours = {limit.name: number for number, limit in enumerate(LIMITS, start=1000)}
    reported = create_app(with_limits(**ours)).test_client().get("/v1/limits").get_json()["limits"]
    assert reported == [
        {"name": limit.name, "value": ours[limit.name], "meaning": limit.meaning, "setting": limit.setting}
        for limit in LIMITS
    ]


def test_the_defaults_are_those_of_the_table(client: FlaskClient) -> None:
    """Without a setting, the default of the row applies."""
    reported = {row["name"]: row["value"] for row in client.get("/v1/limits").get_json()["limits"]}
    assert reported == {limit.name: limit.default for limit in LIMITS} == DEFAULTS


@pytest.mark.parametrize("limit", LIMITS, ids=by_name)
def test_a_limit_is_set_by_the_variable_that_it_names(limit: Limit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Raising the setting named in the message helps."""
    monkeypatch.setenv(limit.setting, "17")
    assert read_settings().limits == {**DEFAULTS, limit.name: 17}


def test_the_cost_of_example_requests_is_published(client: FlaskClient) -> None:
    """For every endpoint that computes, with some shapes. The predicted cost is the one that the limits apply to."""
    reported = {row["path"]: row["examples"] for row in client.get("/v1/limits").get_json()["endpoints"]}
    assert list(reported) == ["/v1/gradients", "/v1/explanations", "/v1/gradient-checks"]
    [digits] = [e for e in reported["/v1/gradients"] if e["units"][0] == 784 and e["breakdown"] == "per_unit"]
    asked = Asked(
        GRADIENTS, (784, 128, 64, 10), ("relu", "relu", "softmax"), 64, "categorical_cross_entropy", "per_unit"
    )
    cost = asked.predicted()
    assert digits["work_seconds"] == pytest.approx(cost.seconds, rel=0.05)
    assert digits["memory_bytes"] == pytest.approx(cost.memory, rel=0.05)


def test_the_cost_of_a_check_with_right_gradients_is_published(client: FlaskClient) -> None:
    """Beside the largest cost. For other requests there is only one cost."""
    for endpoint in client.get("/v1/limits").get_json()["endpoints"]:
        for example in endpoint["examples"]:
            check = endpoint["path"] == "/v1/gradient-checks"
            assert ("first_work_seconds" in example) == check
            assert 0 < example.get("first_work_seconds", 1e-9) < 0.1 * example["work_seconds"]


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: f"{known.path} {known.units} {known.breakdown}")
def test_the_published_number_of_samples_is_the_largest_that_passes(known: Known) -> None:
    """One more sample is over a limit. The limits are small enough for a few hundred samples."""
    limits = DEFAULTS | {"work_seconds": 0.3, "memory_bytes": 30e6}
    most = known.document(partial(allows, limits))["most_samples"]
    costs = [known.cost_of(most), known.cost_of(most + 1)] if most else [known.cost_of(1)]
    within = [allows(limits, cost, text) for cost, text in costs]
    assert within == ([True, False] if most else [False])


def test_a_known_check_posts_the_gradients_of_all_parameters_besides() -> None:
    """784 · 128 + 128 · 64 + 64 · 10 weights and 202 biases, with 22 bytes or more each."""
    check = next(known for known in KNOWN if known.path == "/v1/gradient-checks" and known.units == (784, 128, 64, 10))
    same = next(known for known in KNOWN if known.path == "/v1/gradients" and known.units == check.units)
    (_, posted), (_, without) = check.cost_of(64), same.cost_of(64)
    assert posted.size - without.size > 18 * (784 * 128 + 128 * 64 + 64 * 10 + 202)


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: f"{known.path} {known.units} {known.breakdown}")
def test_the_published_number_of_samples_passes_with_ordinary_numbers(known: Known) -> None:
    """The body includes brackets and the client's own gradients. With a twentieth more samples it is refused."""
    limits = DEFAULTS | {"work_seconds": 0.3, "memory_bytes": 30e6}
    most = known.document(partial(allows, limits))["most_samples"]
    found = []
    for samples in (most, most + most // 20 + 1) if most else ():
        asked = ordinary(known, samples)
        found.append(_passes(limits, asked))
    assert found == ([True, False] if most else [])


def _passes(limits: Mapping[str, float], asked: Asked) -> bool:
    """Whether a body, as it is posted, passes every limit."""
    try:
        enforce_on_body(limits, Outline(asked.body))
        enforce(limits, asked.predicted())
    except Refusal:
        return False
    return len(asked.body) <= limits[BODY_BYTES]


[LEAST_BUDGET] = [int(row.kind.allowed.split()[0]) for row in SETTINGS if row.name == "MEMORY_BYTES"]


def test_the_smallest_memory_budget_allows_every_example_of_the_limits() -> None:
    """At least one sample of each example of GET /v1/limits is allowed."""
    app = create_app(replace(read_settings(), memory_bytes=LEAST_BUDGET))
    endpoints = app.test_client().get("/v1/limits").get_json()["endpoints"]
    most = [example["most_samples"] for endpoint in endpoints for example in endpoint["examples"]]
    assert len(most) == len(KNOWN)
    assert min(most) >= 1


def test_limits_are_reported_as_the_memory_budget_allows() -> None:
    """A body may take a quarter of the budget at most, a request 9/16. A smaller limit stays as it is set."""
    reported = []
    for limits in ({"body_bytes": 10**9, "memory_bytes": 10**9}, {"body_bytes": 1000, "memory_bytes": 2000}):
        app = create_app(replace(with_limits(**limits), memory_bytes=64 * 2**20))
        rows = {row["name"]: row["value"] for row in app.test_client().get("/v1/limits").get_json()["limits"]}
        reported.append((rows["body_bytes"], rows["memory_bytes"]))
    assert reported == [(16 * 2**20, 36 * 2**20), (1000, 2000)]
