"""Refusals are cheap: a body of up to 100 kB takes at most 50 ms of CPU, and no answer is over 64 kB."""

import json
import random
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from flask.testing import FlaskClient

from benchmarks.least import least, yardstick
from chainrule.cost.rates import RATES
from service.encoding.content_codings import CODINGS
from service.encoding.outline import Outline
from tests.service.encoding.test_content_codings import bomb

MB = 2**20
WIRE = 100_000  # bytes of a body as it is sent
SECONDS = 0.05  # of CPU, of the reference core
TRIES = 8  # only the fastest counts, because other processes use the machine
MOST = 64_000  # bytes of an answer
URLS = ("/v1/gradients", "/v1/gradient-checks", "/v1/explanations")


Body = Callable[[], bytes]  # made when it is posted: all bodies together are over a gigabyte


def _filled(piece: bytes, size: int, before: bytes = b'{"inputs":[', behind: bytes = b"0]}") -> bytes:
    return before + piece * ((size - len(before) - len(behind)) // len(piece)) + behind


def _filler(piece: bytes, size: int, before: bytes = b'{"inputs":[', behind: bytes = b"0]}") -> Body:
    return partial(_filled, piece, size, before, behind)


def _layers() -> bytes:
    layers = [{"activation": f"sigmiod{k}", "weights": [[1]], "bais": 1} for k in range(2000)]
    return json.dumps({"network": {"layers": layers}, "inputs": [1], "targets": [1]}).encode()


def _own_keys() -> bytes:
    return ("{" + ",".join(f'"k{k}":1' for k in range(40_000)) + "}").encode()


def _own_parameters() -> bytes:
    return ('{"loss":{' + ",".join(f'"nam{k}":1' for k in range(40_000)) + "}}").encode()


PIECES = {
    **{
        text: text.encode() for text in ("0,", "0.5,", "1e400,", ",", " ", "[", "[],", "[1],", "{},", '{"a":0},', '"",')
    },
    **{text: text.encode() for text in ('"', ":", "[[", "\\", '"ab",', "true,", "null,", "9" * 299 + ",", "1", "\t\n")},
    "not UTF-8": b"\xff",
    "NUL": b"\0",
    "emoji": "😀".encode(),
}
IN_STRINGS = {
    "escapes": b"\\u0041",
    "wide escapes": b"\\ud83d\\ude00",
    "backslashes": b"\\\\",
    "brackets": b"[",
    "k": b"k",
}
LARGE = 32 * MB - 1000
LAYER = b'{"activation":"tanh","weights":[[1]]}'


def _bodies() -> Iterator[tuple[str, Body]]:
    yield "2,000 layers of unknown names", _layers
    yield "100 kB of unknown keys", _filler(b'"sigmiod":1,', 6 * MB, b"{", b'"x":1}')
    yield "unknown keys, each its own", _own_keys
    for size in (98_000, 300_000, MB):
        yield (
            f"{size} bytes of layers without inputs",
            _filler(LAYER + b",", size, b'{"network":{"layers":[', LAYER + b"]}}"),
        )
        yield f"a key {size // 6} times", _filler(b'"a":0,', size, b"{", b'"a":0}')
    yield "unknown units", _filler(b'"sigmiod",', MB, b'{"network":{"layers":[{"activation":[', b'"a"]}]}}')
    yield "a loss without a name", _own_parameters
    yield "candidates", _filler(b'{"x":1},', MB, b'{"candidate":{"layers":[', b"{}]}}")
    for size in (300_000, 700_000, 2 * MB, LARGE):
        for name, piece in PIECES.items():
            yield f"{size} bytes of {name!r}", _filler(piece, size)
        for name, piece in IN_STRINGS.items():
            yield f"a key of {size} bytes of {name}", _filler(piece, size, b'{"', b'":1}')
            yield f"a name of {size} bytes of {name}", _filler(piece, size, b'{"loss":"', b'"}')
        yield f"{size} bytes deep in strings", _filler(b'"[",', size, b'{"inputs":' + b"[" * 9, b"1" + b"]" * 9 + b"}")
    for size in (100_000, 300_000, 560_000):
        for name, behind in {"null": b"null]}", "1e400": b"1e400]}", "a key twice": b'0],"a":1,"a":2}'}.items():
            yield f"{name} behind {size} bytes", _filler(b"0.5,", size, behind=behind)
            yield f"{name} behind {size} bytes of whole numbers", _filler(b"0,", size, behind=behind)
            yield f"{name} behind {size} bytes of rows", _filler(b"[1],", size, behind=behind)


BODIES = dict(_bodies())


def _sent(body: bytes) -> Iterator[tuple[str, bytes]]:
    """A body in each form (plain, compressed) in which it is short enough."""
    for coding, sent in (("identity", body), *((name, coding.compress(body)) for name, coding in CODINGS.items())):
        if len(sent) <= WIRE:
            yield coding, sent


def _post(client: FlaskClient, url: str, coding: str, sent: bytes) -> tuple[float, Any]:
    start = time.thread_time()
    answer = client.post(url, data=sent, content_type="application/json", headers={"Content-Encoding": coding})
    return time.thread_time() - start, answer


def _refused_in(client: FlaskClient, url: str, coding: str, sent: bytes) -> float:
    """The CPU seconds of the refusal: the minimum of a few tries, scaled to the reference core."""
    fastest = float("inf")
    for _ in range(TRIES):
        seconds, answer = _post(client, url, coding, sent)
        assert answer.status_code in {400, 413, 422}
        assert len(answer.get_data()) <= MOST
        fastest = min(fastest, seconds)
        if fastest < SECONDS:
            return fastest
    return fastest / max(1.0, 1e-9 * least(yardstick) / RATES.work["yardstick"].call)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_hostile_body_is_refused_quickly(client: FlaskClient, body: Body) -> None:
    """With any content and any expansion, at the endpoint with the longest contract."""
    for coding, sent in _sent(body()):
        assert _refused_in(client, URLS[1], coding, sent) < SECONDS, coding


@pytest.mark.parametrize("url", URLS)
def test_unknown_names_are_refused_quickly_at_every_endpoint(client: FlaskClient, url: str) -> None:
    """2,000 layers with unknown names in 4 kB had taken ten seconds of comparing spellings."""
    coding, sent = list(_sent(_layers()))[-1]
    assert _refused_in(client, url, coding, sent) < SECONDS
    errors = _post(client, url, coding, sent)[1].get_json(force=True)["errors"]
    assert [error["pointer"] for error in errors[:3]] == [
        "#/network/layers/0/activation",
        "#/network/layers/0/bais",
        "#/network/layers/1/activation",
    ]
    assert len(errors) == 20


@pytest.mark.parametrize("coding", CODINGS)
def test_what_a_body_expands_to_is_bounded_by_what_was_sent(client: FlaskClient, coding: str) -> None:
    """16 million numbers in 33 kB are refused with little memory, and so are 256 MB of zeros."""
    for sent in (CODINGS[coding].compress(_filled(b"0,", LARGE)), bomb(coding, 256 * MB)):
        tracemalloc.start()
        try:
            _, answer = _post(client, URLS[0], coding, sent)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        document = answer.get_json(force=True)
        assert (answer.status_code, document["type"]) == (413, "/problems/too-large")
        assert "send it without Content-Encoding" in document["detail"]
        assert peak < 25 * MB


def test_ordinary_bodies_expand_as_far_as_they_like(client: FlaskClient) -> None:
    """600 pictures of 28 × 28 whole numbers, four fifths of them 0, are accepted: they compress well."""
    chance = random.Random(1)
    inputs = [[chance.choice([0, 0, 0, 0, chance.randrange(256)]) for _ in range(784)] for _ in range(600)]
    network = {"layers": [{"activation": "tanh", "weights": [[0.001]] * 784}]}
    body = {"network": network, "inputs": inputs, "targets": [[0.5]] * 600, "breakdown": "none"}
    text = json.dumps(body, separators=(",", ":")).encode()
    assert Outline(text).memory > 20 * MB
    for coding in CODINGS.values():
        assert len(coding.compress(text)) < len(text) / 2
    for name, coding in CODINGS.items():
        assert _post(client, URLS[0], name, coding.compress(text))[1].status_code == 200


# Nothing that a client wrote is repeated at length.


def _echoes() -> Iterator[tuple[str, dict[str, Any]]]:
    long = "q" * 30_000
    yield "path", {"path": f"/v1/{long}"}
    yield "name", {"path": f"/v1/activations/{long}"}
    yield "wide name", {"path": "/v1/losses/" + "%F0%9F%98%80" * 5000}
    yield "query", {"path": f"/v1/activations/tanh/curve?{long}=1&" + "&".join(f"k{k}=1" for k in range(2000))}
    yield "method", {"path": "/v1/limits", "method": "Q" * 30_000}
    yield "accept", {"path": "/v1/limits", "headers": {"Accept": f"text/{long}"}}
    yield "accepted coding", {"path": "/v1/limits", "headers": {"Accept-Encoding": f"*;q=0, {long}"}}
    yield "media type", {"path": URLS[0], "method": "POST", "headers": {"Content-Type": f"text/{long}"}}
    json_type = {"Content-Type": "application/json"}
    yield "coding", {"path": URLS[0], "method": "POST", "headers": json_type | {"Content-Encoding": long}}
    yield "id", {"path": "/v1/none", "headers": {"X-Request-ID": long}}
    yield "key", {"path": "/v1/none", "headers": {"X-API-Key": long}}
    for name, body in {
        "key of an object": {long: 1},
        "many keys": {f"{long}{k}": 1 for k in range(30)},
        "wide keys": {"😀" * 10_000 + str(k): 1 for k in range(30)},
        "word": {"loss": long},
        "parameter": {"loss": {"name": "mse", long: 1}},
        "words of units": {"network": {"layers": [{"activation": [long] * 30}]}},
        "keys of a path": {"network": {"layers": [{"activation": {"name": "elu", "é" * 9999: 1}}] * 30}},
        "shape": {"inputs": {"shape": [10**300] * 2, "base64": ""}},
        "control characters": {"\0" * 9999 + str(k): 1 for k in range(30)},
    }.items():
        yield name, {"path": URLS[0], "method": "POST", "json": body}
    nested = "1"
    for _ in range(30):
        nested = f'{{"{"😀" * 500}": {nested}, "a": 1}}'
    twice = nested.replace("1,", '{"b": 1, "b": 2},', 1).encode()
    yield "path to a key twice", {"path": URLS[0], "method": "POST", "data": twice, "headers": json_type}


@pytest.mark.parametrize(("asked"), dict(_echoes()).values(), ids=dict(_echoes()))
def test_no_text_of_a_client_is_repeated_at_length(client: FlaskClient, asked: dict[str, Any]) -> None:
    """Pointers, names, paths, media types and codings are cut, with an ellipsis."""
    answer = client.open(**asked)
    assert 400 <= answer.status_code < 500
    document = answer.get_json(force=True)
    assert len(answer.get_data()) <= MOST
    assert len(document["detail"]) < 4000
    assert len(str(answer.headers)) < 4000
    assert all(len(error["pointer"]) < 1100 and len(error["detail"]) < 2000 for error in document.get("errors", []))


def test_a_truncated_pointer_leads_to_the_object_with_the_long_key(client: FlaskClient) -> None:
    """It leads to the object with the long key; the rest of the key is an ellipsis."""
    body = {"network": {"layers": [{"k" * 1_000_000: 1}]}}
    [error] = [e for e in client.post(URLS[0], json=body).get_json(force=True)["errors"] if "kk" in e["pointer"]]
    assert error["pointer"] == f"#/network/layers/0/{'k' * 128}%E2%80%A6"
    assert error["detail"].startswith(f'unknown key "{"k" * 60}…"')
