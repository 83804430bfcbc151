"""Every mistake of a client: its status, its pointer and its sentence. Never a 5xx."""

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder, TestResponse
from werkzeug.wrappers import Response

from service.app import create_app
from service.configuration.limits import BODY_BYTES
from service.configuration.settings import read_settings
from service.problems import PROBLEMS
from tests.wrong_requests import (
    CLASSES,
    JSON,
    LAYER,
    NOT_JSON,
    ROWS,
    TEXT,
    URL,
    VALID,
    Row,
    packed,
    put,
    spec,
)

Body = dict[str, Any]


def post(client: FlaskClient, text: str | bytes, **more: Any) -> TestResponse:
    """The answer to a body as it is."""
    return client.post(URL, data=text, content_type=JSON, **more)


def problem_in(answer: Response, status: int, name: str) -> Body:
    """The problem document of an answer, after checks that hold for every problem."""
    document: Body = json.loads(answer.get_data())
    assert answer.status_code == status, document
    assert answer.content_type == "application/problem+json"
    assert document["type"] == f"/problems/{name}"
    assert document["title"] == PROBLEMS[name].title
    assert document["status"] == status
    assert document["detail"]
    assert document["instance"] == answer.headers["X-Request-ID"] != ""
    return document


def refused(client: FlaskClient, body: Any) -> list[dict[str, str]]:
    """The errors of an invalid request."""
    text = body if isinstance(body, str) else json.dumps(body)
    errors: list[dict[str, str]] = problem_in(post(client, text), 422, "invalid-request")["errors"]
    assert all(set(error) == {"pointer", "detail"} for error in errors)
    return errors


def test_the_request_that_all_mistakes_start_from_is_valid(client: FlaskClient) -> None:
    """Otherwise a row could be refused for another reason than its mistake."""
    assert post(client, json.dumps(VALID)).status_code == 200


def test_no_two_mistakes_have_one_name() -> None:
    """So a failure identifies its row."""
    names = [row.mistake for row in ROWS]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.mistake)
def test_a_mistake_is_refused_once_at_its_place_and_in_words(client: FlaskClient, row: Row) -> None:
    """One mistake, one complaint: status, type, a pointer down to the element, and what was expected there."""
    document = problem_in(post(client, row.change(deepcopy(VALID))), row.status, row.type)
    assert [error["pointer"] for error in document["errors"]] == [row.pointer], document["errors"]
    assert row.words in document["errors"][0]["detail"]
    assert row.pointer in document["detail"]
    assert row.words in document["detail"]


# Several mistakes, and mistakes that could be reported in more than one way.


def test_a_result_not_finite_points_to_the_array_if_it_is_base64(client: FlaskClient) -> None:
    """E = ½·1e200² is beyond float64. The target is base64, so the pointer leads to the whole array."""
    layer = {"activation": "identity", "weights": [[1.0]]}
    body = {"network": {"layers": [layer]}, "inputs": [[1.0]], "targets": packed([1, 1], [1e200])}
    document = problem_in(post(client, json.dumps(body)), 422, "non-finite-result")
    assert document["errors"][0]["pointer"] == "#/targets"


def test_all_mistakes_of_a_request_are_reported_at_once(client: FlaskClient) -> None:
    """Nine mistakes in nine places, one answer; the detail names the first and how many more there are."""
    body = {
        "netwrok": {},
        "inputs": [["a", None], [1]],
        "targets": "x",
        "loss": "mes",
        "step": {},
        "verify": "yes",
        "encoding": 64,
    }
    document = problem_in(post(client, json.dumps(body)), 422, "invalid-request")
    assert {error["pointer"] for error in document["errors"]} == {
        "#/network",
        "#/netwrok",
        "#/inputs/0/0",
        "#/inputs/0/1",
        "#/inputs/1",
        "#/targets",
        "#/loss",
        "#/step/learning_rate",
        "#/verify",
        "#/encoding",
    }
    first = document["errors"][0]
    assert document["detail"] == f"{first['pointer']} {first['detail']}, and 9 more"


def test_mistakes_in_different_layers_are_reported_at_once(client: FlaskClient) -> None:
    """A misspelt key, a misspelt activation and a bad number, in two layers."""
    body = deepcopy(VALID)
    first, second = body["network"]["layers"]
    first["bias"] = [1, 2, 3]
    first["weights"][1][2] = None
    second["activation"] = "tahn"
    assert {error["pointer"] for error in refused(client, body)} == {
        f"#/{LAYER}/bias",
        f"#/{LAYER}/weights/1/2",
        "#/network/layers/1/activation",
    }


def test_misfits_are_reported_beside_other_mistakes(client: FlaskClient) -> None:
    """The valid parts are compared with each other, even if another part is invalid."""
    body = deepcopy(VALID) | {"targets": [[1, 0]] * 3, "verify": 1}
    body["network"]["layers"][0]["biases"] = [1, 2]
    assert {error["pointer"] for error in refused(client, body)} == {f"#/{LAYER}/biases", "#/targets", "#/verify"}


@pytest.mark.parametrize("wrong", [20, 21, 1000])
def test_at_most_twenty_mistakes_of_one_array_are_reported(client: FlaskClient, wrong: int) -> None:
    """The first 20, in the order of the document."""
    body = deepcopy(VALID) | {"inputs": [[1, True]] * wrong}
    body["targets"] = [[1, 0]] * wrong
    expected = [f"#/inputs/{sample}/1" for sample in range(20)]
    assert [error["pointer"] for error in refused(client, body)] == expected


def test_at_most_twenty_mistakes_of_a_request_are_reported(client: FlaskClient) -> None:
    """15 wrong elements in each of two arrays and 15 unknown keys are 45 mistakes, and 20 complaints."""
    body = deepcopy(VALID) | {"inputs": [[1, None]] * 15, "targets": [[None, 1]] * 15}
    body |= {f"unknown {number}": 1 for number in range(15)}
    errors = refused(client, body)
    assert len(errors) == 20
    assert len({error["pointer"] for error in errors}) == 20


@pytest.mark.parametrize("place", ["activation", "loss"])
def test_a_misspelt_name_key_is_reported_beside_the_missing_one(client: FlaskClient, place: str) -> None:
    """`{"nmae": "tanh"}`: the answer says that "name" is missing and that "nmae" is unknown."""
    path = f"{LAYER}/activation" if place == "activation" else "loss"
    errors = refused(client, put(path, {"nmae": "tanh"})(deepcopy(VALID)))
    assert {error["pointer"] for error in errors} == {f"#/{path}/name", f"#/{path}/nmae"}
    assert 'did you mean "name"?' in next(e["detail"] for e in errors if e["pointer"].endswith("nmae"))


@pytest.mark.parametrize("inputs", [[1, 2, 3], [[1, 2, 3]] * 4], ids=["one sample", "a batch"])
def test_inputs_of_the_wrong_width_are_one_mistake(client: FlaskClient, inputs: Any) -> None:
    """3 numbers a sample for a network of 2 inputs. Biases, the next layer and the targets all fit to 2-3-2."""
    body = deepcopy(VALID) | {"inputs": inputs}
    if inputs[0] == 1:
        body["targets"] = [1, 0]
    errors = refused(client, body)
    assert len(errors) == 1, errors
    assert errors[0]["pointer"] in {"#/inputs", f"#/{LAYER}/weights"}
    assert "2" in errors[0]["detail"]
    assert "3" in errors[0]["detail"]
    assert "transposed" not in errors[0]["detail"]


@pytest.mark.parametrize("beyond", ["", "1e400"], ids=["alone", "beside 1e400"])
@pytest.mark.parametrize("place", ["key", "name", "label"])
def test_a_lone_surrogate_never_breaks_the_answer(client: FlaskClient, place: str, beyond: str) -> None:
    r"""A lone \ud800 has no UTF-8 encoding. It is refused, in valid UTF-8, without a 500."""
    activation = {
        "key": '"tanh", "\\ud800": 1',
        "name": '"\\ud800tanh"',
        "label": '{"name": "softmax", "group": "\\ud800"}',
    }[place]
    text = json.dumps(VALID).replace('"tanh"', activation).replace("0.5", beyond or "0.5")
    answer = post(client, text)
    assert answer.status_code in {400, 422}
    problem_in(answer, answer.status_code, "malformed-json" if answer.status_code == 400 else "invalid-request")


# Not JSON.


@pytest.mark.parametrize(("body", "words"), NOT_JSON.values(), ids=NOT_JSON)
def test_invalid_json_is_refused_with_its_place(client: FlaskClient, body: str | bytes, words: str) -> None:
    """400, with the line and column, or with a pointer for a key given twice."""
    document = problem_in(post(client, body), 400, "malformed-json")
    assert words in document["detail"]
    assert "errors" not in document


@pytest.mark.parametrize("spaced", [" \n\t{} \r\n", TEXT + "\n"], ids=["around", "after"])
def test_white_space_around_a_document_is_json(client: FlaskClient, spaced: str) -> None:
    """RFC 8259, section 2: `JSON-text = ws value ws`."""
    body = spaced.replace("{}", TEXT)
    assert post(client, body).status_code == 200


# HTTP.


@pytest.mark.parametrize("path", ["/nothing", "/v1/nothing", "/v1/gradients/1", "/problems/nothing", "/static/../x"])
def test_an_unknown_path_is_a_404(client: FlaskClient, path: str) -> None:
    """It is a problem document, not an HTML page, for browsers too."""
    problem_in(client.get(path, headers={"Accept": "text/html"}), 404, "not-found")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/v1/activations/thanh", 'there is no activation "thanh"; did you mean "tanh"?'),
        ("/v1/activations/swihs", 'there is no activation "swihs"; did you mean "swish"?'),
        ("/v1/losses/hubert", 'there is no loss "hubert"; did you mean "huber"?'),
        ("/v1/losses/zzz", 'there is no loss "zzz"; known here: half_squared_error'),
        ("/v1/activations/%ff", "there is no activation"),
        ("/v1/activations/__class__", 'there is no activation "__class__"'),
        ("/v1/losses/" + "x" * 3000, f'there is no loss "{"x" * 60}…"'),
    ],
)
def test_an_unknown_entry_of_the_catalogue_is_a_404_with_suggestion(client: FlaskClient, path: str, words: str) -> None:
    """The detail suggests the nearest name, or lists all names."""
    assert words in problem_in(client.get(path), 404, "not-found")["detail"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", URL, {"POST", "OPTIONS"}),
        ("PUT", URL, {"POST", "OPTIONS"}),
        ("DELETE", "/v1/activations/tanh", {"GET", "HEAD", "OPTIONS"}),
        ("POST", "/v1/limits", {"GET", "HEAD", "OPTIONS"}),
        ("PATCH", "/", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_a_wrong_method_is_a_405_that_lists_the_right_methods(
    client: FlaskClient, method: str, path: str, allowed: set[str]
) -> None:
    """RFC 9110, section 15.5.6: the answer MUST have an Allow header."""
    answer = client.open(path, method=method)
    problem_in(answer, 405, "method-not-allowed")
    assert set(answer.headers["Allow"].split(", ")) == allowed


@pytest.mark.parametrize("accept", ["text/html", "image/*", "*/*;q=0", "application/json;q=0, */*"])
@pytest.mark.parametrize("path", [URL, "/v1/activations"])
def test_an_accept_header_that_rules_json_out_is_a_406(client: FlaskClient, path: str, accept: str) -> None:
    """The 406 comes before anything is read or computed."""
    answer = client.open(path, method="POST" if path == URL else "GET", data="{", headers={"Accept": accept})
    assert "application/json" in problem_in(answer, 406, "not-acceptable")["detail"]


@pytest.mark.parametrize("accept", ["application/json", "*/*", "application/*", "text/html, */*;q=0.1", ""])
def test_an_accept_header_that_allows_json_gets_json(client: FlaskClient, accept: str) -> None:
    """RFC 9110, section 12.5.1, with wildcards and weights."""
    answer = post(client, TEXT, headers={"Accept": accept})
    assert (answer.status_code, answer.content_type) == (200, JSON)


@pytest.mark.parametrize(
    ("content_type", "words"),
    [
        (None, "the request names none"),
        ("text/plain", 'not "text/plain"'),
        ("application/x-www-form-urlencoded", 'not "application/x-www-form-urlencoded"'),
        ("multipart/form-data; boundary=x", 'not "multipart/form-data"'),
        ("application/jsonp", 'not "application/jsonp"'),
    ],
)
def test_another_content_type_is_a_415(client: FlaskClient, content_type: str | None, words: str) -> None:
    """curl -d sends a form by default. The answer says what to send."""
    document = problem_in(client.post(URL, data=TEXT, content_type=content_type), 415, "unsupported-media-type")
    assert words in document["detail"]
    assert JSON in document["detail"]


@pytest.mark.parametrize("content_type", [f"{JSON}; charset=utf-8", f'{JSON};charset="UTF-8"', JSON.upper()])
def test_parameters_and_case_of_the_content_type_do_not_matter(client: FlaskClient, content_type: str) -> None:
    """Many clients send a charset, though JSON has only one."""
    assert client.post(URL, data=TEXT, content_type=content_type).status_code == 200


def _wsgi(allowed: int, body: bytes, length: str | None) -> Response:
    """The answer to a body with this Content-Length, or to a chunked one if None.

    Flask's test client would correct the length.
    """
    app = create_app(_with_body_limit(allowed))
    environ = EnvironBuilder(URL, method="POST", input_stream=BytesIO(body), content_type=JSON).get_environ()
    environ.pop("CONTENT_LENGTH", None)
    if length is None:
        environ |= {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    else:
        environ["CONTENT_LENGTH"] = length
    return Response.from_app(app.wsgi_app, environ, buffered=True)


def _with_body_limit(allowed: int) -> Any:
    defaults = read_settings()
    return replace(defaults, limits={**defaults.limits, BODY_BYTES: allowed})


@pytest.mark.parametrize("chunked", [False, True], ids=["with Content-Length", "chunked"])
def test_a_body_of_exactly_the_limit_is_accepted(chunked: bool) -> None:
    """The limit itself is allowed."""
    body = TEXT.encode()
    assert _wsgi(len(body), body, None if chunked else str(len(body))).status_code == 200


@pytest.mark.parametrize("chunked", [False, True], ids=["with Content-Length", "chunked"])
@pytest.mark.parametrize("over", [1, 100_000])
def test_a_body_over_the_limit_is_a_413(over: int, chunked: bool) -> None:
    """One byte over the limit is refused, even without a Content-Length. The sentence names limit, setting, way out."""
    body = TEXT.encode() + b" " * over
    answer = _wsgi(len(TEXT), body, None if chunked else str(len(body)))
    document = problem_in(answer, 413, "too-large")
    assert document["limit"] == len(TEXT)
    for words in (f"{len(TEXT)} allowed", "body_bytes", "CHAINRULE_MAX_BODY_BYTES", "base64"):
        assert words in document["detail"]
    if not chunked:
        assert f"{len(body)} bytes" in document["detail"]


def test_a_body_shorter_than_its_content_length_is_a_400() -> None:
    """This holds even if the received part is a complete document: the connection was cut."""
    body = TEXT.encode()
    document = problem_in(_wsgi(2**20, body, str(len(body) + 1)), 400, "bad-request")
    assert f"ended after {len(body)} of its {len(body) + 1} bytes" in document["detail"]


def test_a_body_longer_than_its_content_length_ends_there() -> None:
    """The bytes behind it are the next request."""
    body = TEXT.encode()
    assert _wsgi(2**20, body + b"GET / HTTP/1.1", str(len(body))).status_code == 200


@pytest.mark.parametrize("length", ["-5", "abc", "1e3", ""])
def test_an_invalid_content_length_is_a_400(length: str) -> None:
    """Our server refuses these before the application. With another server it is still no 500."""
    assert _wsgi(2**20, TEXT.encode(), length).status_code == 400


# The problem document itself.


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_type_of_problem_is_a_page(client: FlaskClient, name: str) -> None:
    """The `type` of a problem is a URL that explains it, in HTML."""
    answer = client.get(f"/problems/{name}")
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    for words in (PROBLEMS[name].title, str(PROBLEMS[name].status), name):
        assert words in answer.text
    assert f"/problems/{name}" in client.get("/problems").text


IDS = {"req-1.a:B_2": True, "a" * 128: True, "a" * 129: False, "a b": False, "": False}


@pytest.mark.parametrize(("given", "kept"), IDS.items(), ids=lambda value: str(value)[:12])
def test_the_instance_of_a_problem_is_the_requests_id(client: FlaskClient, given: str, kept: bool) -> None:
    """The client's own id if it is valid, otherwise a new one."""
    document = problem_in(post(client, "{", headers={"X-Request-ID": given}), 400, "malformed-json")
    assert (document["instance"] == given) == kept


@pytest.mark.parametrize(("length", "status"), [(0, 422), (1, 200), (64, 200), (65, 422)])
def test_a_label_has_1_to_64_characters(client: FlaskClient, length: int, status: int) -> None:
    """Both bounds are allowed."""
    label = json.dumps({"name": "softmax", "group": "g" * length})
    assert post(client, TEXT.replace('"tanh"', label)).status_code == status


# Results that float64 cannot hold.


def _network(*layers: tuple[Any, ...]) -> Body:
    return {"layers": [dict(zip(("weights", "activation", "biases"), layer, strict=False)) for layer in layers]}


def _one_weight(weight: float, inputs: Any, targets: Any, **more: Any) -> Body:
    return {"network": _network(([[weight]], "identity")), "inputs": inputs, "targets": targets, **more}


NON_FINITE: dict[str, tuple[Body, Body, str, str]] = {
    "a pre-activation": (
        {"network": _network(([[1, 1], [1, 1e308]], "tanh")), "inputs": [[1, 1], [0, 2]], "targets": [[0, 0]] * 2},
        {"quantity": "a", "layer": 0, "unit": 1, "sample": 1},
        "#/network/layers/0",
        "the pre-activation a of unit 1 of layer 0 in sample 1 is infinite in float64",
    ),
    "a pre-activation of a later layer": (
        {"network": _network(([[1e200]], "identity"), ([[0, 1e200]], "relu")), "inputs": [1], "targets": [0, 0]},
        {"quantity": "a", "layer": 1, "unit": 1},
        "#/network/layers/1",
        "the pre-activation a of unit 1 of layer 1 is infinite in float64",
    ),
    "an output": (
        {
            "network": _network(([[1]], {"name": "leaky_relu", "negative_slope": 1e200})),
            "inputs": [[1], [1], [-1e200]],
            "targets": [[0]] * 3,
        },
        {"quantity": "o", "layer": 0, "unit": 0, "sample": 2},
        "#/network/layers/0",
        "the output o of unit 0 of layer 0 in sample 2 is infinite in float64",
    ),
    "the logarithm of a negative output": (
        _one_weight(-1, [[-0.5], [0.5]], [[1], [1]], loss="binary_cross_entropy"),
        {"quantity": "loss", "layer": 0, "unit": 0, "sample": 1},
        "#/targets/1",
        "the loss of unit 0 of layer 0 in sample 1 is undefined (NaN)",
    ),
    "the logarithm of 0": (
        _one_weight(1, [0], [1], loss="binary_cross_entropy"),
        {"quantity": "loss", "layer": 0, "unit": 0},
        "#/targets",
        "the loss of unit 0 of layer 0 is infinite in float64",
    ),
    "a square": (
        _one_weight(1, [[1], [1e200]], [[0], [0]]),
        {"quantity": "loss", "layer": 0, "unit": 0, "sample": 1},
        "#/targets/1",
        "the loss of unit 0 of layer 0 in sample 1 is infinite in float64",
    ),
    "the sum over the samples": (
        _one_weight(1, [[1e154]] * 2, [[0]] * 2, loss="sse"),
        {"quantity": "loss"},
        "#/targets",
        "the loss, summed over the samples, is infinite in float64",
    ),
    "dE/da of a hidden unit": (
        {
            "network": _network(([[1]], "identity"), ([[1e200]], "identity"), ([[1e200]], "identity")),
            "inputs": [[0], [0]],
            "targets": [[0], [1]],
        },
        {"quantity": "dE_da", "layer": 0, "unit": 0, "sample": 1},
        "#/network/layers/0",
        "the derivative dE/da of unit 0 of layer 0 in sample 1 is infinite in float64",
    ),
    "dE/dw": (
        _one_weight(1e-200, [[1e200], [1]], [[1e150], [0]]),
        {"quantity": "dE_dw", "layer": 0, "unit": 0, "unit_before": 0},
        "#/network/layers/0",
        "the derivative dE/dw from unit 0 to unit 0 of layer 0 is infinite in float64",
    ),
    "dE/dx": (
        _one_weight(1e200, [[0], [0]], [[0], [1e150]]),
        {"quantity": "dE_dx", "unit": 0, "sample": 1},
        "#/inputs/1",
        "the derivative dE/dx of input 0 in sample 1 is infinite in float64",
    ),
    "dE/db": (
        {"network": _network(([[1]], "identity", [0])), "inputs": [[0]] * 2, "targets": [[1e308]] * 2}
        | {"loss": "dot_product"},
        {"quantity": "dE_db", "layer": 0, "unit": 0},
        "#/network/layers/0",
        "the derivative dE/db of unit 0 of layer 0 is infinite in float64",
    ),
    "an updated weight": (
        _one_weight(1, [[1]], [[10]], step={"learning_rate": 1e308}),
        {"quantity": "weight", "layer": 0, "unit": 0, "unit_before": 0},
        "#/network/layers/0",
        "the updated weight from unit 0 to unit 0 of layer 0 is infinite in float64",
    ),
    "an updated bias": (
        {"network": _network(([[1]], "identity", [0])), "inputs": [[0]], "targets": [[10]]}
        | {"step": {"learning_rate": 1e308}},
        {"quantity": "bias", "layer": 0, "unit": 0},
        "#/network/layers/0",
        "the updated bias of unit 0 of layer 0 is infinite in float64",
    ),
}


@pytest.mark.parametrize("breakdown", ["per_weight", "per_unit", "none"])
@pytest.mark.parametrize(("body", "members", "pointer", "words"), NON_FINITE.values(), ids=NON_FINITE)
def test_a_result_that_is_not_finite_names_its_place(
    client: FlaskClient, body: Body, members: Body, pointer: str, words: str, breakdown: str
) -> None:
    """Quantity, layer, unit and sample are members and are named in the sentence, for every breakdown."""
    answer = post(client, json.dumps(body | {"breakdown": breakdown}))
    document = problem_in(answer, 422, "non-finite-result")
    assert {key: document.get(key) for key in members} == members
    assert document["errors"] == [{"pointer": pointer, "detail": words}]
    assert document["detail"] == words


def test_a_loss_that_is_not_finite_names_the_output(client: FlaskClient) -> None:
    """The contract: a loss that is not finite "names the first layer, unit and sample". Here unit 1, in sample 1."""
    body = {
        "network": _network(([[1, 1], [0, -1]], "identity")),
        "inputs": [[0.5, 0.25], [0.5, 1]],
        "targets": [[0, 1], [0, 1]],
        "loss": "binary_cross_entropy",
    }
    document = problem_in(post(client, json.dumps(body)), 422, "non-finite-result")
    assert (document["sample"], document.get("unit"), document.get("layer")) == (1, 1, 0), document


# Never a 5xx.


def _places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to all values in a document."""
    yield path
    for step, inner in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from _places(inner, (*path, step))


EVERYTHING: Body = {
    "network": {
        "layers": [
            {
                "weights": [[0.1, 0.2], [0.3, 0.4]],
                "biases": [0, 1],
                "activation": ["tanh", {"name": "elu", "alpha": 2}],
            },
            {
                "weights": packed([2, 2], [1, 2, 3, 4]),
                "activation": {"name": "softmax", "group": "a", "temperature": 2},
            },
        ],
        "weights_layout": "out_in",
    },
    "inputs": [[1, 2], [3, 4]],
    "targets": [[0, 1], [1, 0]],
    "loss": spec("huber", delta=1.5, reduction="mean"),
    "breakdown": "per_weight",
    "step": {"learning_rate": 0.1},
    "verify": False,
    "encoding": "json",
}
WORDS = [
    "tanh",
    "softmax",
    "mse",
    CLASSES,
    "shape",
    "base64",
    "name",
    "group",
    "sum",
    "out_in",
    "_schema",
    "AAAA",
    "é",
    "\ud800",
]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(-(10**20), 10**20),
    st.just(10**400),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(WORDS),
    st.text(max_size=5),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(st.lists(st.integers(-2, 2), min_size=2, max_size=2), min_size=2, max_size=2)
        | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
CHANGES = st.lists(st.tuples(st.sampled_from(list(_places(EVERYTHING))), VALUES), min_size=1, max_size=3)


def _changed(changes: list[tuple[tuple[Any, ...], Any]]) -> Any:
    document: Any = deepcopy(EVERYTHING)
    for path, value in changes:
        node = document
        try:
            for step in path[:-1]:
                node = node[step]
            node[path[-1]] = value
        except (
            IndexError,
            KeyError,
            TypeError,
        ):  # an earlier change has removed the place, or the path is the whole document
            document = value if not path else document
    return document


def test_the_request_that_is_changed_at_random_is_valid(client: FlaskClient) -> None:
    """Otherwise the test below would see only one refusal."""
    assert post(client, json.dumps(EVERYTHING)).status_code == 200


@settings(max_examples=300, derandomize=True, deadline=None, database=None)
@given(changes=CHANGES)
def test_no_replaced_value_causes_a_500(client: FlaskClient, changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    """Up to three values of a request with every field are replaced by any JSON. The answer is 200 or a 4xx problem."""
    answer = post(client, json.dumps(_changed(changes)))
    assert answer.status_code in {200, 400, 422}
    if answer.status_code != 200:
        name = answer.get_json(force=True)["type"].removeprefix("/problems/")
        document = problem_in(answer, answer.status_code, name)
        errors = document.get("errors", [])
        assert (len(errors) in range(1, 21)) == (answer.status_code == 422)
        assert all(error["pointer"].startswith("#") and error["detail"] for error in errors)


EXTREME = st.sampled_from([0, -0.0, 1, -1, 0.5, 40, -800, 5e-324, 1e-160, 1e154, -1e200, 1.7e308, -1.7e308, 2**63])
NETS = st.tuples(
    st.lists(
        st.sampled_from(["tanh", "relu", "gelu", "elu", "softplus", "softmax", "log_softmax"]), min_size=2, max_size=2
    ),
    st.sampled_from(["mse", "bce", "cce", "mae", "huber", "dot_product"]),
    st.sampled_from(["per_weight", "per_unit", "none"]),
    st.lists(EXTREME, min_size=14, max_size=14),
)


@settings(max_examples=300, derandomize=True, deadline=None, database=None)
@given(net=NETS)
def test_no_numbers_cause_a_500(client: FlaskClient, net: tuple[list[str], str, str, list[float]]) -> None:
    """Zeros, subnormals and numbers near the end of float64, in every place. The answer is 200 or a problem."""
    activations, loss, breakdown, n = net
    body = {
        "network": _network(([n[0:2], n[2:4]], activations, n[4:6]), ([n[6:8], n[8:10]], activations[0])),
        "inputs": n[10:12],
        "targets": n[12:14],
        "loss": loss,
        "breakdown": breakdown,
    }
    answer = post(client, json.dumps(body))
    if answer.status_code == 200:
        document = json.loads(answer.get_data())
        assert None not in (document["loss"], *document["outputs"])
    else:
        assert problem_in(answer, 422, "non-finite-result")["errors"]
