"""POST /v1/explanations: the answers in JSON and in Markdown, and every mistake of a request."""

import json
import re
from copy import deepcopy
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from markdown_it import MarkdownIt
from markdown_it.token import Token
from werkzeug.test import TestResponse

from chainrule.derivation.explain import explain
from chainrule.graph.backprop import gradients
from schemas.cost import explanation_cost, posted
from schemas.explanations import ExplanationRequestSchema, explanation
from schemas.explanations_markdown import markdown
from service.api.examples import EXAMPLES
from service.api.openapi import openapi_document
from service.api.operations import EXPLANATION
from service.app import create_app
from service.configuration.limits import DEFAULTS
from service.configuration.settings import read_settings
from tests.fuzz import mutator
from tests.judges.derivations import complaint

Body = dict[str, Any]

URL = "/v1/explanations"
MARKDOWN = "text/markdown; charset=utf-8; variant=GFM"
DOCUMENT = openapi_document(create_app())
PARSER = MarkdownIt("commonmark").enable("table")

# 2 inputs, 3 hidden units with biases, 2 outputs without; 3 samples.
BATCH: Body = {
    "network": {
        "layers": [
            {"weights": [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], "biases": [0.01, 0.02, 0.03], "activation": "tanh"},
            {"weights": [[1, -2], [0.3, 0.4], [-0.6, 0.7]], "activation": "softmax"},
        ]
    },
    "inputs": [[1, 2], [3, -4], [0.6, 0.7]],
    "targets": [[1, 0], [0, 1], [0.5, 0.5]],
    "loss": {"name": "categorical_cross_entropy", "reduction": "mean"},
    "weight": {"layer": 0, "from": 1, "to": 2},
}
ONE: Body = {**BATCH, "inputs": [1, 2], "targets": [1, 0]}


def ask(client: FlaskClient, body: Body, accept: str = "") -> TestResponse:
    """The answer to a request, which must not be changed by it."""
    return client.post(URL, json=body, headers={"Accept": accept} if accept else {})


def explained(answer: TestResponse) -> Any:
    """The document of a successful answer, validated by its schema in the OpenAPI document."""
    assert answer.status_code == 200, answer.text
    schemas = {"components": {"schemas": DOCUMENT["components"]["schemas"]}}
    errors = Draft202012Validator({"$ref": "#/components/schemas/Explanation"} | schemas).iter_errors(answer.get_json())
    assert [f"{error.instance_path}: {error.message[:200]}" for error in errors] == []
    return answer.get_json()


def derivative(client: FlaskClient, body: Body) -> float:
    """dE/dw of the weight, from /v1/gradients, in either layout."""
    place = body["weight"]
    asked = {key: value for key, value in body.items() if key not in ("weight", "sample")}
    matrix = np.array(client.post("/v1/gradients", json=asked).get_json()["layers"][place["layer"]]["dE_dw"])
    if body["network"].get("weights_layout") == "out_in":
        matrix = matrix.T
    return float(matrix[place["from"], place["to"]])


def test_one_weight_of_one_sample(client: FlaskClient) -> None:
    """The value of the weight, its derivative, the loss, and steps without a sample: there is only one."""
    found = explained(ask(client, ONE))
    assert found["weight"] == {"layer": 0, "from": 1, "to": 2, "value": 0.6}
    assert found["value"] == derivative(client, ONE) == found["steps"][-1]["value"]
    assert (
        found["loss"]
        == client.post("/v1/gradients", json={k: v for k, v in ONE.items() if k != "weight"}).get_json()["loss"]
    )
    assert found["loss_function"]["reduction"] == "mean"
    assert not any("sample" in step for step in found["steps"])
    assert "sample" not in found
    assert [step["quantity"] for step in found["steps"][-2:]] == ["da_dw", "dE_dw"]


def test_the_whole_batch_and_one_sample_of_it(client: FlaskClient) -> None:
    """The batch lists the shares of all samples; a sample's share is of the same loss, divided by 3."""
    whole = explained(ask(client, BATCH))
    assert whole["value"] == derivative(client, BATCH)
    assert [term["sample"] for term in whole["steps"][-1]["terms"]] == [0, 1, 2]
    share = explained(ask(client, BATCH | {"sample": 1}))
    assert share["sample"] == 1
    assert {step["sample"] for step in share["steps"]} == {1}
    assert share["value"] == whole["steps"][-1]["terms"][1]["value"]
    assert share["loss"] == whole["loss"]


def test_a_bias(client: FlaskClient) -> None:
    """Of unit 2 of layer 0: dE/da, as da/db is 1."""
    body = {key: value for key, value in ONE.items() if key != "weight"} | {"bias": {"layer": 0, "to": 2}}
    found = explained(ask(client, body))
    assert found["bias"] == {"layer": 0, "to": 2, "value": 0.03}
    answered = client.post("/v1/gradients", json={k: v for k, v in ONE.items() if k != "weight"}).get_json()
    assert found["value"] == answered["layers"][0]["dE_db"][2]


def test_from_and_to_mean_the_same_in_both_layouts(client: FlaskClient) -> None:
    """Transposed matrices, the same weight, the same answer."""
    transposed = deepcopy(ONE)
    transposed["network"]["weights_layout"] = "out_in"
    for layer in transposed["network"]["layers"]:
        layer["weights"] = np.transpose(layer["weights"]).tolist()
    assert explained(ask(client, transposed)) == explained(ask(client, ONE))
    assert derivative(client, transposed) == derivative(client, ONE)


def test_unused_members_make_no_difference(client: FlaskClient) -> None:
    """Any request of /v1/gradients can be sent unchanged."""
    more = {"breakdown": "per_unit", "verify": True, "step": {"learning_rate": 0.1}, "encoding": "base64"}
    assert explained(ask(client, ONE | more)) == explained(ask(client, ONE))


def test_the_answer_has_the_warnings_of_the_gradients(client: FlaskClient) -> None:
    """The warnings are those of /v1/gradients; here a relu at 0."""
    layer = {"weights": [[0.0]], "activation": "relu"}
    body = {"network": {"layers": [layer]}, "inputs": [1], "targets": [1], "weight": {"layer": 0, "from": 0, "to": 0}}
    (warning,) = explained(ask(client, body))["warnings"]
    assert (warning["code"], warning["pointer"]) == ("kink", "#/network/layers/0/activation")
    assert "kink" in ask(client, body, "text/markdown").text


@pytest.mark.parametrize("seed", range(30))
def test_every_kind_of_request_is_answered_as_documented(client: FlaskClient, seed: int) -> None:
    """Random networks of the whole catalogue; the lines of numbers have come through JSON as they were."""
    rng = Random(seed)
    body = mutator.request(rng) | {"weight": {"layer": 0, "from": 0, "to": 0}}
    if "shape" not in body["inputs"] and isinstance(body["inputs"][0], list):
        body["sample"] = rng.randrange(len(body["inputs"]))
    answer = ask(client, body)
    if answer.status_code != 200:
        assert answer.get_json(force=True)["type"] == "/problems/non-finite-result"
        return
    found = explained(answer)
    for step in found["steps"]:
        for part in (step, *step.get("terms", [])):
            if part["numbers"] is not None:
                assert complaint(part["numbers"], part["value"]) == ""
    page = ask(client, body, "text/markdown")
    assert page.status_code == 200
    check_page(page.text, found)


# Markdown.


def check_page(page: str, found: Any) -> None:
    """Check that a Markdown renderer leaves all LaTeX unchanged, and shows every line and every table."""
    displays, spans, emphasis = [], [], 0
    for token in PARSER.parse(page):
        if token.type != "inline":
            assert not token.type.startswith(("html", "code", "fence", "hr", "lheading"))
            continue
        text = _text(token)
        emphasis += sum(child.type in ("em_open", "link_open", "html_inline") for child in token.children or [])
        if text.startswith("$$"):
            displays.append(text.removeprefix("$$\n").removesuffix("\n$$"))
        else:
            spans += re.findall(r"\$([^$]+)\$", text)
    assert emphasis == 0
    steps = found["steps"]
    lines = [text for step in steps for text in (step["symbols"], step["numbers"]) if text is not None]
    assert displays[1:] == lines
    assert spans == [t["numbers"] for step in steps for t in step.get("terms", []) if t["numbers"] is not None]
    assert page.count("\n|--:|:--|--:|\n") == sum("terms" in step for step in steps)


def _text(token: Token) -> str:
    """The text of a paragraph as a browser shows it."""
    return "".join("\n" if child.type == "softbreak" else child.content for child in token.children or [])


def test_the_page_has_the_whole_derivation(client: FlaskClient) -> None:
    """Headings for samples and sections, every line, every exact value, the tables of the sums."""
    page, found = ask(client, BATCH, "text/markdown"), explained(ask(client, BATCH))
    assert page.content_type == MARKDOWN
    check_page(page.text, found)
    headings = re.findall(r"^#+ .*$", page.text, re.MULTILINE)
    sections = ["### Forward, to the outputs", "### The loss", "### Backward, from the loss", "### The derivative"]
    assert headings == [
        "# The derivative of the loss by the weight from input 1 to unit 2 of layer 0",
        *[heading for sample in range(3) for heading in (f"## Sample {sample}", *sections)],
        "## All samples",
        "### The derivative",
    ]
    for step in found["steps"]:
        assert f"**{step['title']}**" in page.text
        assert f"`{step['value']!r}`" in page.text
    assert f"It is `{found['value']!r}`, where the loss E is `{found['loss']!r}`." in page.text


def test_the_page_of_one_sample_names_it(client: FlaskClient) -> None:
    """And its share."""
    page = ask(client, BATCH | {"sample": 2, "weight": {"layer": 1, "from": 0, "to": 1}}, "text/markdown").text
    assert page.startswith(
        "# The derivative of the loss by the weight from unit 0 of layer 0 to unit 1 of layer 1, "
        "the share of sample 2\n"
    )
    bias = {key: value for key, value in ONE.items() if key != "weight"} | {"bias": {"layer": 0, "to": 2}}
    page = ask(client, bias, "text/markdown").text
    assert page.startswith("# The derivative of the loss by the bias of unit 2 of layer 0\n")
    assert "## Sample" not in page


JSON = "application/json"
ACCEPTED = {
    "": JSON,
    "*/*": JSON,
    "text/*": MARKDOWN,
    "text/markdown": MARKDOWN,
    "text/markdown, application/json": JSON,
    "text/markdown, application/json;q=0.9": MARKDOWN,
    "text/markdown;q=0.5, application/json;q=0.4": MARKDOWN,
    "text/markdown;q=0.4, application/json;q=0.5": JSON,
    "text/markdown, */*;q=0.1": MARKDOWN,
    "application/json;q=0, */*": MARKDOWN,
    "text/html, */*;q=0.1": JSON,
}


@pytest.mark.parametrize(("accept", "form"), ACCEPTED.items())
def test_the_client_chooses_the_form(client: FlaskClient, accept: str, form: str) -> None:
    """RFC 9110, section 12.5.1, with weights and wildcards; JSON if both are equal. Vary names Accept."""
    answer = ask(client, ONE, accept)
    assert (answer.status_code, answer.content_type) == (200, form)
    assert "Accept" in answer.headers["Vary"].split(", ")


@pytest.mark.parametrize("accept", ["text/html", "image/*", "text/*, text/markdown;q=0", "*/*;q=0"])
def test_an_unavailable_media_type_is_a_406(client: FlaskClient, accept: str) -> None:
    """The answer names both media types. Other endpoints have no Markdown."""
    answer = ask(client, ONE, accept)
    assert (answer.status_code, answer.content_type) == (406, "application/problem+json")
    assert "the answer is application/json or text/markdown, which" in answer.get_json(force=True)["detail"]
    assert client.get("/v1/losses", headers={"Accept": "text/markdown"}).status_code == 406


def test_errors_are_problem_documents_for_any_accept_header(client: FlaskClient) -> None:
    """Even for a client that accepts only Markdown."""
    answer = ask(client, ONE | {"weight": {"layer": 9, "from": 0, "to": 0}}, "text/markdown")
    assert (answer.status_code, answer.content_type) == (422, "application/problem+json")


# What can be asked wrongly.

LAST_BIAS = "must be a layer with biases; layer 1 has none"
WRONG: dict[str, tuple[Body, dict[str, str]]] = {
    "neither": (
        {"weight": ...},
        {"#/weight": 'is required, unless "bias" is given: one of them names the derivative to explain'},
    ),
    "both": (
        {"bias": {"layer": 0, "to": 0}},
        {"#/bias": "must be left out if a weight is given: one derivative is explained at a time"},
    ),
    "null": ({"weight": None}, {"#/weight": "must not be null"}),
    "a list": ({"weight": [0, 1, 2]}, {"#/weight": "must be an object, not a list"}),
    "members missing": ({"weight": {"layer": 0}}, {"#/weight/from": "is required", "#/weight/to": "is required"}),
    "a member misspelt": (
        {"weight": {"layer": 0, "form": 1, "to": 2}},
        {"#/weight/from": "is required", "#/weight/form": 'unknown key "form"; did you mean "from"?'},
    ),
    "a layer too many": (
        {"weight": {"layer": 2, "from": 0, "to": 0}},
        {"#/weight/layer": "must be a whole number from 0 to 1: the network has 2 layers"},
    ),
    "an input too many": (
        {"weight": {"layer": 0, "from": 2, "to": 0}},
        {"#/weight/from": "must be a whole number from 0 to 1: layer 0 is given 2 numbers"},
    ),
    "units too many": (
        {"weight": {"layer": 1, "from": 3, "to": 2}},
        {
            "#/weight/from": "must be a whole number from 0 to 2: layer 1 is given 3 numbers",
            "#/weight/to": "must be a whole number from 0 to 1: layer 1 has 2 units",
        },
    ),
    "numbers that are no index": (
        {"weight": {"layer": -1, "from": 0.5, "to": True}},
        dict.fromkeys(("#/weight/layer", "#/weight/from", "#/weight/to"), "must be a whole number from 0 on"),
    ),
    "words": ({"weight": {"layer": "0", "from": 0, "to": 0}}, {"#/weight/layer": "must be a whole number from 0 on"}),
    "no biases": ({"weight": ..., "bias": {"layer": 1, "to": 0}}, {"#/bias/layer": LAST_BIAS}),
    "a bias from somewhere": (
        {"weight": ..., "bias": {"layer": 0, "from": 1, "to": 0}},
        {"#/bias/from": 'unknown key "from"; known here: layer, to'},
    ),
    "a sample too many": (
        {"sample": 3},
        {"#/sample": "must be a whole number from 0 to 2: the inputs have 3 samples"},
    ),
    "a sample of no batch": (
        {"inputs": [1, 2], "targets": [1, 0], "sample": 0},
        {"#/sample": "must be left out if the inputs are one sample and not a batch"},
    ),
    "a sample that is no index": ({"sample": -1}, {"#/sample": "must be a whole number from 0 on"}),
    "mistakes of both kinds": (
        {"inputs": [[1, 2]], "weight": {"layer": 5, "from": 0, "to": 0}},
        {
            "#/targets": "has 3 samples, but the inputs have 1",
            "#/weight/layer": "must be a whole number from 0 to 1: the network has 2 layers",
        },
    ),
}


@pytest.mark.parametrize(("change", "wanted"), WRONG.values(), ids=WRONG)
def test_a_mistake_is_refused_at_its_place_and_in_words(
    client: FlaskClient, change: Body, wanted: dict[str, str]
) -> None:
    """All mistakes of a request are in one answer."""
    body = {key: value for key, value in (BATCH | change).items() if value is not ...}
    answer = ask(client, body)
    assert (answer.status_code, answer.content_type) == (422, "application/problem+json")
    document = answer.get_json(force=True)
    assert document["type"] == "/problems/invalid-request"
    assert {error["pointer"]: error["detail"] for error in document["errors"]} == wanted


def test_a_whole_number_may_be_written_as_a_fraction(client: FlaskClient) -> None:
    """In JSON, 1.0 is the same as 1."""
    assert explained(ask(client, BATCH | {"sample": 1.0})) == explained(ask(client, BATCH | {"sample": 1}))


@pytest.mark.parametrize("broken", ["network", "inputs", "targets", "loss"])
def test_broken_parts_of_the_request_never_cause_a_500(client: FlaskClient, broken: str) -> None:
    """Each part of the request is replaced by nonsense. The answers are complaints, never a 500."""
    for nonsense in (None, [], {}, "x", {"layers": [{}]}, {"layers": [{"weights": [[1.0]]}]}, [[[1]]], 7):
        answer = ask(client, BATCH | {broken: nonsense, "sample": 2})
        assert answer.status_code == 422, (broken, nonsense)
        assert all(error["pointer"].startswith("#/") for error in answer.get_json(force=True)["errors"])


def test_no_changed_request_causes_a_500(client: FlaskClient) -> None:
    """300 right requests with up to two changes, some of other weights than there are: in both forms, never a 500."""
    seen = set()
    for seed in range(300):
        rng = Random(f"changed {seed}")
        body = mutator.request(rng) | {"weight": {end: rng.randrange(3) for end in ("layer", "from", "to")}}
        for _ in range(rng.choice((0, 1, 2))):
            path = rng.choice([key for key in body if key != "loss"])
            body[path] = rng.choice(mutator.ODD_VALUES)
        accept = rng.choice(["text/markdown", "application/json"])
        data = json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
        answer = client.post(URL, data=data, content_type="application/json", headers={"Accept": accept})
        seen.add(answer.status_code)
    assert seen == {200, 400, 422}


def test_a_result_that_is_not_finite_is_refused(client: FlaskClient) -> None:
    """As in /v1/gradients."""
    body = deepcopy(ONE)
    body["network"]["layers"][0] |= {"activation": "exponential", "biases": [0, 800, 0]}
    document = ask(client, body).get_json(force=True)
    assert (document["status"], document["type"]) == (422, "/problems/non-finite-result")


# Limits.


def test_a_derivation_of_too_many_lines_is_refused_and_one_sample_of_it_is_not() -> None:
    """The batch of three costs over half as much again as one sample of it; a limit in between tells them apart."""
    whole, one = (_seconds(body) for body in (BATCH, BATCH | {"sample": 0}))
    assert whole > 1.5 * one
    client = create_app(replace(read_settings(), limits={**DEFAULTS, "work_seconds": (whole + one) / 2})).test_client()
    document = ask(client, BATCH).get_json(force=True)
    assert (document["status"], document["type"]) == (422, "/problems/limit-exceeded")
    (error,) = document["errors"]
    assert error["pointer"] == "#/inputs"
    for words in ("lines of derivation", "CHAINRULE_MAX_WORK_SECONDS", 'name the "sample" to explain'):
        assert words in error["detail"]
    assert ask(client, BATCH | {"sample": 0}).status_code == 200


def _seconds(body: Any) -> float:
    text = json.dumps(body).encode()
    return explanation_cost(EXPLANATION.schema.load(deepcopy(body)), posted(body, len(text))).seconds


def test_verify_does_not_change_the_cost_of_an_explanation() -> None:
    """An explanation does not verify, so `verify` does not change its cost."""
    assert _seconds(BATCH | {"verify": True}) == pytest.approx(_seconds(BATCH), rel=0.01)


# The document.


def test_the_example_is_answered_as_shown(client: FlaskClient) -> None:
    """The first of all examples, with a weight."""
    post = DOCUMENT["paths"][URL]["post"]
    requests = post["requestBody"]["content"]["application/json"]["examples"]
    answers = post["responses"]["200"]["content"]["application/json"]["examples"]
    assert list(requests) == list(answers) == [EXAMPLES[0]["name"]]
    for name, request in requests.items():
        assert explained(ask(client, request["value"])) == json.loads(json.dumps(answers[name]["value"]))


def test_both_media_types_are_documented() -> None:
    """The document has JSON, and a string of Markdown."""
    content = DOCUMENT["paths"][URL]["post"]["responses"]["200"]["content"]
    assert list(content) == ["application/json", "text/markdown"]
    assert content["text/markdown"]["schema"]["type"] == "string"


def test_a_checkpoint_is_called_for_each_step_of_an_answer() -> None:
    """In JSON and in Markdown; what it raises goes to the caller."""
    asked = ExplanationRequestSchema().load(BATCH)
    request = asked.gradients
    result = gradients(request.network, request.inputs, request.targets, request.loss)
    derivation = explain(request.network, result, request.targets, request.loss, asked.place)

    def end() -> None:
        raise TimeoutError

    for answer in (explanation, markdown):
        calls: list[int] = []
        answer(asked, result, derivation, lambda calls=calls: calls.append(1))
        assert len(calls) == len(derivation.steps)
        with pytest.raises(TimeoutError):
            answer(asked, result, derivation, end)
