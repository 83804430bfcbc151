"""The OpenAPI document: valid, complete, up to date in the repository, and true for every answer."""

import base64
import json
import math
import re
import struct
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from jsonschema_rs import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from werkzeug.test import TestResponse

from chainrule import __version__
from chainrule.functions.activations import ACTIVATIONS
from chainrule.functions.losses import LOSSES
from schemas.gradients import BREAKDOWNS, ENCODINGS, GradientRequestSchema
from schemas.notices import CODES
from service.api.examples import CHECK_EXAMPLES, EXAMPLES
from service.api.openapi import openapi_document
from service.api.operations import OPERATIONS
from service.app import create_app
from service.problems import PROBLEMS
from tests.contract.document import WRITTEN
from tests.costs import GRADIENTS, Asked

UNDOCUMENTED = {"static", "pages.get_asset", "explorer.get_file"}  # files of pages


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


DOCUMENT = json.loads(create_app().test_client().get("/openapi.json").text, parse_constant=_no_constant)
SCHEMAS = DOCUMENT["components"]["schemas"]


def test_the_document_is_served(client: FlaskClient) -> None:
    """As JSON, with the version of the package and the licence. A request with its ETag gets 304."""
    answer = client.get("/openapi.json")
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert DOCUMENT["info"]["version"] == __version__
    assert DOCUMENT["info"]["license"] == {"name": "MIT", "identifier": "MIT"}


def test_the_document_is_valid() -> None:
    """By the schema of OpenAPI 3.1; every schema in it is JSON Schema, with defaults that fit."""
    assert [error.message for error in OpenAPIV31SpecValidator(DOCUMENT).iter_errors()] == []


def test_the_document_is_the_same_each_time() -> None:
    """Its members have a fixed order."""
    app = create_app()
    assert json.dumps(openapi_document(app), sort_keys=True) == json.dumps(openapi_document(app), sort_keys=True)


def _differences(written: Any, made: Any, where: str = "#") -> Iterator[str]:
    """Where two documents differ; numbers may differ by 1e-12 of their size, because BLAS may add in another order."""
    if isinstance(written, dict) and isinstance(made, dict) and list(written) == list(made):
        for key in written:
            yield from _differences(written[key], made[key], f"{where}/{key}")
    elif isinstance(written, list) and isinstance(made, list) and len(written) == len(made):
        for index, pair in enumerate(zip(written, made, strict=True)):
            yield from _differences(*pair, f"{where}/{index}")
    elif type(written) is type(made) is float and "/examples/" in where:
        if not math.isclose(written, made, rel_tol=1e-12, abs_tol=1e-15):
            yield where
    elif written != made or type(written) is not type(made):
        yield where


def test_the_document_in_the_repository_is_the_one_that_is_made() -> None:
    """docs/openapi.json is written by `make openapi`."""
    assert list(_differences(json.loads(WRITTEN.read_text("utf-8")), DOCUMENT))[:5] == []


def test_every_endpoint_is_in_the_document(client: FlaskClient) -> None:
    """Every route with its methods, except those of a page's files, and nothing else."""
    rules = [rule for rule in client.application.url_map.iter_rules() if rule.endpoint not in UNDOCUMENTED]
    assert {rule.endpoint for rule in rules} == set(OPERATIONS)
    served = {
        (re.sub("<(.*?)>", r"{\1}", r.rule), m) for r in rules for m in (r.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert {(path, m.upper()) for path, found in DOCUMENT["paths"].items() for m in found} == served


def _operations() -> list[Any]:
    return [operation for found in DOCUMENT["paths"].values() for operation in found.values()]


def test_every_operation_is_described() -> None:
    """It has a unique id, one known tag, a summary, a description, and X-Request-ID in request and answers."""
    operations = _operations()
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for operation in operations:
        assert operation["summary"]
        assert operation["description"]
        assert [tag["name"] for tag in DOCUMENT["tags"] if tag["name"] in operation["tags"]] == operation["tags"]
        assert {"$ref": "#/components/parameters/X-Request-ID"} in operation["parameters"]
        for response in operation["responses"].values():
            named = response.get("$ref", "").removeprefix("#/components/responses/")
            assert "X-Request-ID" in (DOCUMENT["components"]["responses"][named] if named else response)["headers"]


def test_every_problem_is_documented_with_its_status() -> None:
    """POST /v1/gradients can answer every type of problem except not-found."""
    responses = DOCUMENT["paths"]["/v1/gradients"]["post"]["responses"]
    reported = set()
    for status, response in responses.items():
        if "$ref" in response:
            body = DOCUMENT["components"]["responses"][response["$ref"].rpartition("/")[2]]["content"]
            schema = body["application/problem+json"]["schema"]
            for form in schema.get("anyOf", [schema]):
                problem = SCHEMAS[form["$ref"].rpartition("/")[2]]["properties"]
                assert str(problem["status"]["const"]) == status
                reported.add(problem["type"]["const"].removeprefix("/problems/"))
    assert reported == set(PROBLEMS) - {"not-found"}
    assert "422" not in DOCUMENT["paths"]["/v1/limits"]["get"]["responses"]
    assert "404" in DOCUMENT["paths"]["/v1/losses/{name}"]["get"]["responses"]


def test_a_key_may_be_sent_in_two_ways_or_not_at_all() -> None:
    """Some deployments require no key, and pages and probes never do."""
    assert DOCUMENT["paths"]["/v1/gradients"]["post"]["security"] == [{}, {"bearer": []}, {"apiKey": []}]
    assert DOCUMENT["components"]["securitySchemes"]["apiKey"]["name"] == "X-API-Key"
    assert "security" not in DOCUMENT["paths"]["/livez"]["get"]


@cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": {"schemas": SCHEMAS}})


def _complaints(name: str, instance: Any) -> list[str]:
    return [f"{error.instance_path}: {error.message[:200]}" for error in _validator(name).iter_errors(instance)]


@pytest.mark.parametrize("table", [ACTIVATIONS, LOSSES], ids=["activations", "losses"])
def test_every_row_of_the_tables_has_its_own_schema(table: Any) -> None:
    """By each of its names; its parameters with the defaults pass, an unknown one and a value out of bounds do not."""
    noun = "Activation" if table is ACTIVATIONS else "Loss"
    for name in table.all_names:
        defaults = {p.name: p.default for p in table[name].parameters if p.default is not None}
        assert _complaints(noun, name) == []
        assert _complaints(noun, {"name": name, **defaults}) == []
        assert _complaints(noun, {"name": name, "unknown": 1})
        for parameter in table[name].parameters:
            wrong = ["no such word", None, parameter.exclusive_minimum]
            wrong += [] if parameter.minimum is None else [parameter.minimum - 1]
            wrong += [] if parameter.maximum is None else [parameter.maximum + 1]
            for value in wrong:
                assert _complaints(noun, {"name": name, parameter.name: value}), (name, parameter.name, value)


def test_an_object_of_one_row_is_of_no_other() -> None:
    """`alpha` belongs to elu and not to relu; `label` belongs to activations of groups."""
    assert _complaints("Activation", {"name": "elu", "alpha": 2}) == []
    assert _complaints("Activation", {"name": "relu", "alpha": 2})
    assert _complaints("Activation", {"name": "softmax", "group": "a"}) == []
    assert _complaints("Activation", {"name": "tanh", "group": "a"})
    assert _complaints("Activation", {"name": "softmax", "group": "x" * 65})


def test_the_request_is_described_as_the_schemas_read_it() -> None:
    """Members, required members and defaults are those of the marshmallow schema."""
    described = SCHEMAS["GradientRequest"]
    fields = GradientRequestSchema().fields
    assert set(described["properties"]) == set(fields)
    assert described["required"] == sorted(name for name, field in fields.items() if field.required)
    assert described["additionalProperties"] is False
    defaults = {name: schema["default"] for name, schema in described["properties"].items() if "default" in schema}
    words = {"loss": "half_squared_error", "breakdown": "per_weight", "verify": False, "encoding": "json"}
    assert defaults == words
    assert SCHEMAS["Network"]["properties"]["weights_layout"]["default"] == "in_out"
    assert SCHEMAS["Step"]["properties"]["learning_rate"]["exclusiveMinimum"] == 0.0


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("an unknown member", {"more": 1}),
    ("a word that is none", {"breakdown": "all"}),
    ("a boolean in words", {"verify": "yes"}),
    ("an empty list", {"inputs": []}),
    ("a string for a number", {"inputs": ["1.5"]}),
    ("a boolean for a number", {"inputs": [True]}),
    ("three axes", {"inputs": [[[1.0]]]}),
    ("a rate of 0", {"step": {"learning_rate": 0}}),
    ("base64 of two axes for three", {"inputs": {"shape": [1, 1, 1], "base64": "AAAAAAAA8D8="}}),
    ("base64 that is none", {"inputs": {"shape": [1], "base64": "AAAAAAAA8D8"}}),
    ("a length of 0", {"inputs": {"shape": [0], "base64": "AAAAAAAA8D8="}}),
    ("no layer", {"network": {"layers": []}}),
]


@pytest.mark.parametrize(("what", "change"), WRONG, ids=[what for what, _ in WRONG])
def test_what_the_document_refuses_the_service_refuses(client: FlaskClient, what: str, change: dict[str, Any]) -> None:
    """The service accepts what the document allows, here one unit."""
    layers = [{"activation": "tanh", "weights": [[0.5]]}]
    right = {"network": {"layers": layers}, "inputs": {"shape": [1], "base64": "AAAAAAAA8D8="}, "targets": [1]}
    assert _complaints("GradientRequest", right) == []
    assert client.post("/v1/gradients", json=right).status_code == 200
    assert _complaints("GradientRequest", right | change)
    assert client.post("/v1/gradients", json=right | change).status_code == 422


def _id(part: Any) -> str:
    return part["name"] if isinstance(part, dict) else str(part)


@pytest.mark.parametrize(
    ("path", "examples"), [("/v1/gradients", EXAMPLES), ("/v1/gradient-checks", CHECK_EXAMPLES)], ids=_id
)
def test_every_example_runs_and_is_answered_as_shown(client: FlaskClient, path: str, examples: Any) -> None:
    """The numbers agree to the last digit."""
    post = DOCUMENT["paths"][path]["post"]
    requests = post["requestBody"]["content"]["application/json"]["examples"]
    answers = post["responses"]["200"]["content"]["application/json"]["examples"]
    assert list(requests) == list(answers) == [example["name"] for example in examples]
    for name, request in requests.items():
        answer = client.post(path, json=request["value"])
        assert (answer.status_code, answer.get_json()) == (200, answers[name]["value"])


def test_every_other_example_is_what_its_path_answers(client: FlaskClient) -> None:
    """Lists of the catalogue are cut to the first entry."""
    shown = 0
    for path, found in DOCUMENT["paths"].items():
        for example in found.get("get", {"responses": {}})["responses"].get("200", {"content": {}})["content"].values():
            for one in example.get("examples", {}).values():
                shown += 1
                assert re.fullmatch(path.replace("{name}", r"\w+") + r"(\?.*)?", one["summary"])
                answer = client.get(one["summary"]).get_json()
                short = {k: v[:1] if path in {"/v1/activations", "/v1/losses"} else v for k, v in answer.items()}
                assert one["value"] == short
    assert shown == sum(bool(operation.example) for operation in OPERATIONS.values())


def _schema_of(path: str, method: str, answer: TestResponse) -> Any:
    responses = DOCUMENT["paths"][path][method]["responses"]
    found = responses[str(answer.status_code)]
    if "$ref" in found:
        found = DOCUMENT["components"]["responses"][found["$ref"].rpartition("/")[2]]
    for name, header in found["headers"].items():
        if DOCUMENT["components"]["headers"][name].get("required"):
            assert name in answer.headers, header
    return found["content"][answer.mimetype]["schema"]


def _assert_told(path: str, method: str, answer: TestResponse) -> None:
    """Check that an answer is in the document, and valid by its schema."""
    schema = _schema_of(path, method, answer)
    components = {"components": {"schemas": SCHEMAS}}
    errors = Draft202012Validator(schema | components).iter_errors(answer.get_json(force=True))
    assert [f"{error.instance_path}: {error.message[:300]}" for error in errors] == []


CASES = list(product(EXAMPLES, BREAKDOWNS, ENCODINGS, (False, True)))


def _batch(request: dict[str, Any]) -> dict[str, Any]:
    """A request of one sample as a batch of two, and one of a batch as its first sample."""
    inputs, targets = request["inputs"], request["targets"]
    if isinstance(inputs[0], list):
        return request | {"inputs": inputs[0], "targets": targets[0]}
    return request | {"inputs": [inputs, inputs], "targets": [targets, targets]}


@pytest.mark.parametrize(("example", "breakdown", "encoding", "other"), CASES, ids=_id)
def test_every_form_of_the_answer_is_documented(
    client: FlaskClient, example: Any, breakdown: str, encoding: str, other: bool
) -> None:
    """One sample and a batch, each breakdown and encoding, with a step and a verification.

    Each answer fits exactly one schema.
    """
    more = {"breakdown": breakdown, "encoding": encoding, "step": {"learning_rate": 0.1}, "verify": True}
    request = example["request"] | more
    request = _batch(request) if other else request
    assert _complaints("GradientRequest", request) == []
    answer = client.post("/v1/gradients", json=request)
    _assert_told("/v1/gradients", "post", answer)
    batch = "OfBatch" if isinstance(request["inputs"][0], list) else "OfSample"
    forms = [form for form in SCHEMAS if re.fullmatch(r"Gradients(?!$).*", form)]
    word = "".join(part.capitalize() for part in breakdown.split("_"))
    form = f"Gradients{word}{batch}{'Base64' if encoding == 'base64' else ''}"
    assert form in forms
    assert _complaints(form, answer.get_json()) == []
    others = [name for name in forms if name != form and word in name]
    assert all(_complaints(name, answer.get_json()) for name in others)


PATHS = [
    *(("/v1/activations/{name}", f"/v1/activations/{name}") for name in ACTIVATIONS),
    *(("/v1/losses/{name}", f"/v1/losses/{name}") for name in LOSSES),
    *(
        ("/v1/activations/{name}/curve", f"/v1/activations/{name}/curve?points=9")
        for name, row in ACTIVATIONS.items()
        if row.elementwise
    ),
    *((path, path) for path in ("/v1", "/", "/v1/limits", "/v1/examples", "/v1/activations", "/v1/losses")),
]


@pytest.mark.parametrize(("path", "asked"), PATHS, ids=[asked for _, asked in PATHS])
def test_every_other_answer_is_documented(client: FlaskClient, path: str, asked: str) -> None:
    """Every row of the catalogue, every curve, limits, examples, links."""
    answer = client.get(asked)
    assert answer.status_code == 200
    _assert_told(path, "get", answer)


def test_a_factor_beyond_float64_and_warnings_are_documented(client: FlaskClient) -> None:
    """A null factor, and each kind of warning with a code of the document."""
    saturated = {"activation": "sigmoid", "weights": [[-1000.0]]}
    factor = {"network": {"layers": [saturated]}, "inputs": [1.0], "targets": [1.0], "loss": "binary_cross_entropy"}
    kink = {"network": {"layers": [{"activation": "relu", "weights": [[1.0] * 25]}]}, "inputs": [0.0]}
    odd = {"network": {"layers": [{"activation": "sigmoid", "weights": [[0.0]]}]}, "inputs": [0.0], "targets": [2.0]}
    codes = set()
    for request in (factor, kink | {"targets": [0.0] * 25}, odd | {"loss": "binary_cross_entropy"}):
        answer = client.post("/v1/gradients", json=request)
        _assert_told("/v1/gradients", "post", answer)
        codes |= {warning["code"] for warning in answer.get_json()["warnings"]}
    assert codes == set(CODES)


def _refused(client: FlaskClient) -> Iterator[tuple[str, str, TestResponse]]:
    post, network = "/v1/gradients", {"layers": [{"activation": "exp", "weights": [[1000.0]]}]}
    right = {"network": network, "inputs": [1.0], "targets": [1.0]}
    much = Asked(GRADIENTS, (100, 100), ("softmax",), 600, breakdown="per_unit").document  # 6 million derivatives
    yield post, "post", client.post(post, data=b"{", content_type="application/json")
    yield post, "post", client.post(post, data=b"[" * 100, content_type="application/json")
    yield post, "post", client.post(post, json={})
    yield post, "post", client.post(post, json=right)
    yield post, "post", client.post(post, json=much)
    yield post, "post", client.post(post, data=b"{}", content_type="text/plain")
    yield post, "post", client.post(post, json=right, headers={"Accept": "text/html"})
    yield post, "post", client.get(post)
    yield (
        post,
        "post",
        client.post(post, data=b"x", headers={"Content-Type": "application/json", "Content-Encoding": "gzip"}),
    )
    yield "/v1/losses/{name}", "get", client.get("/v1/losses/none")
    yield "/problems/{name}", "get", client.get("/problems/none")
    yield "/v1/activations/{name}/curve", "get", client.get("/v1/activations/tanh/curve?points=1&from=x")
    too_much = b" " * (32 * 2**20 + 1)
    yield post, "post", client.post(post, data=too_much, content_type="application/json")


def test_every_refusal_is_documented(client: FlaskClient) -> None:
    """Problems with their own members, among them those of a result that is not finite."""
    seen = set()
    for path, method, answer in _refused(client):
        assert answer.status_code >= 400
        _assert_told(path, method, answer)
        seen.add(answer.get_json(force=True)["type"].removeprefix("/problems/"))
    assert seen >= {
        *("malformed-json", "invalid-request", "non-finite-result", "limit-exceeded", "unsupported-media-type"),
        *("not-acceptable", "method-not-allowed", "not-found", "too-large", "bad-request"),
    }


def test_the_refusal_without_a_key_is_documented(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In a deployment that requires keys. The document itself needs no key."""
    keys = tmp_path / "keys"
    keys.write_text(f"lesson:sha256${'0' * 64}\n", "utf-8")
    monkeypatch.setenv("CHAINRULE_API_KEYS_FILE", str(keys))
    guarded = create_app().test_client()
    answer = guarded.get("/v1/limits")
    assert answer.status_code == 401
    _assert_told("/v1/limits", "get", answer)
    assert guarded.get("/openapi.json").get_json() == DOCUMENT


def test_what_a_client_has_is_not_sent_again(client: FlaskClient) -> None:
    """304 for every operation that lists it: all except health and computed answers."""
    for path, operations in DOCUMENT["paths"].items():
        if "get" in operations:
            asked = path.replace(
                "{name}", "tanh" if "activations" in path else "huber" if "losses" in path else "not-found"
            )
            tag = client.get(asked).headers.get("ETag")
            assert (tag is not None) == ("304" in operations["get"]["responses"]) == (path not in {"/livez", "/readyz"})
            if tag:
                assert client.get(asked, headers={"If-None-Match": tag}).status_code == 304


def test_base64_of_a_number_is_as_short_as_the_document_says() -> None:
    """8 bytes are 12 characters."""
    one = base64.b64encode(struct.pack("<d", 1.0)).decode()
    assert len(one) == SCHEMAS["NumberBase64"]["properties"]["base64"]["minLength"]
