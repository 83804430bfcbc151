"""Compressed bodies: which codings are accepted, and how invalid ones are refused."""

import gzip
import json
import time
import tracemalloc
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from chainrule.functions.tables import Array
from service.app import create_app
from service.configuration.limits import BODY_BYTES
from service.configuration.settings import read_settings
from service.encoding.content_codings import CODINGS

URL = "/v1/gradients"
MB = 2**20
REQUEST = {
    "network": {"layers": [{"activation": "tanh", "weights": [[0.5]]}]},
    "inputs": [1.0],
    "targets": [0.0],
}
BODY = json.dumps(REQUEST).encode()
each_coding = pytest.mark.parametrize("coding", CODINGS)


def _post(client: FlaskClient, body: bytes, coding: str) -> TestResponse:
    return client.post(URL, data=body, content_type="application/json", headers={"Content-Encoding": coding})


def _problem(answer: TestResponse, status: int, name: str) -> dict[str, Any]:
    document: dict[str, Any] = answer.get_json(force=True)
    assert (answer.status_code, document["type"]) == (status, f"/problems/{name}")
    assert "errors" not in document
    return document


def _limited(most: int) -> FlaskClient:
    defaults = read_settings()
    return create_app(replace(defaults, limits={**defaults.limits, BODY_BYTES: most})).test_client()


@pytest.mark.parametrize("spelt", ["{}", " {} ", "upper"])
@each_coding
def test_a_compressed_body_is_answered_like_a_plain_one(client: FlaskClient, coding: str, spelt: str) -> None:
    """The name of the coding is case-insensitive."""
    name = coding.upper() if spelt == "upper" else spelt.format(coding)
    answer = _post(client, CODINGS[coding].compress(BODY), name)
    assert answer.get_json() == client.post(URL, json=REQUEST).get_json()


@pytest.mark.parametrize("pictures", [50, 300, 380, 420, 500, 650, 1500])
@each_coding
def test_compressed_batches_of_handwritten_digits_are_accepted(client: FlaskClient, coding: str, pictures: int) -> None:
    """Any number of pictures is accepted: the allowed expansion grows with the bytes sent."""
    request = {
        "network": {"layers": [{"activation": "sigmoid", "weights": np.full((784, 1), 1e-4).tolist()}]},
        "inputs": _handwritten(pictures).tolist(),
        "targets": np.zeros((pictures, 1)).tolist(),
        "breakdown": "none",
    }
    assert _post(client, CODINGS[coding].compress(json.dumps(request).encode()), coding).status_code == 200


def _handwritten(pictures: int) -> Array:
    """Strokes on 28 x 28 pixels: 17 % are not 0 (of MNIST 19 %), and gzip writes a picture in 230 bytes."""
    rng = np.random.default_rng(1)
    strokes = rng.normal(0.0, 1.8, (pictures, 2, 26)).cumsum(axis=2)
    strokes += 14 - strokes.mean(axis=2, keepdims=True)
    pixels = np.indices((28, 28)).reshape(2, 784, 1)
    away = np.stack([((pixels - stroke[:, np.newaxis]) ** 2).sum(axis=0).min(axis=1) for stroke in strokes])
    ink = 400 * np.exp(-away / 2.2) - 50 + rng.normal(0.0, 20.0, away.shape) * (away < 4.4)
    return np.clip(ink, 0, 255).astype(int)


def test_identity_is_no_coding(client: FlaskClient) -> None:
    """It is treated like no Content-Encoding."""
    assert _post(client, BODY, "identity").status_code == 200


@pytest.mark.parametrize("coding", ["br", "deflate", "gzip, gzip", "compress", "zstd,gzip", ""])
def test_another_coding_is_a_415_that_says_which_are_read(client: FlaskClient, coding: str) -> None:
    """The header Accept-Encoding (RFC 9110) and the sentence list the codings. Two codings at once are refused, too."""
    answer = _post(client, BODY, coding)
    document = _problem(answer, 415, "unsupported-media-type")
    assert answer.headers["Accept-Encoding"] == "gzip, zstd"
    assert document["detail"] == f'the body must have one of the Content-Encodings gzip, zstd, or none; not "{coding}"'


@each_coding
def test_the_limit_applies_to_the_decompressed_body(coding: str) -> None:
    """A body of exactly the limit is accepted, and one byte more is not.

    The sentence says that it is the decompressed body.
    """
    client = _limited(1000)
    assert _post(client, CODINGS[coding].compress(BODY.ljust(1000)), coding).status_code == 200
    document = _problem(_post(client, CODINGS[coding].compress(BODY.ljust(1001)), coding), 413, "too-large")
    assert document["limit"] == 1000
    for words in ("the decompressed body is over 1000 bytes", "body_bytes", "CHAINRULE_MAX_BODY_BYTES"):
        assert words in document["detail"]


@each_coding
def test_the_limit_applies_to_the_compressed_body(coding: str) -> None:
    """A compressed body can be longer than its content."""
    compressed = CODINGS[coding].compress(b"{}")
    document = _problem(_post(_limited(len(compressed) - 1), compressed, coding), 413, "too-large")
    assert document["detail"].startswith(f"{len(compressed)} bytes asked, {len(compressed) - 1} allowed")


def test_ten_gigabytes_in_ten_megabytes_are_refused_with_the_memory_of_the_limit() -> None:
    """A gzip bomb of the highest ratio, within the limit as sent, is refused fast.

    No more bytes than the limit are decompressed.
    """
    compressor = zlib.compressobj(9, wbits=31)
    once = compressor.compress(bytes(64 * MB)) + compressor.flush(zlib.Z_FULL_FLUSH)
    again = compressor.compress(bytes(64 * MB)) + compressor.flush(zlib.Z_FULL_FLUSH)
    body = once + again * 160  # after a full flush the same bytes compress to the same
    assert 9 * MB < len(body) < 12 * MB
    client = _limited(32 * MB)
    tracemalloc.start()
    try:
        start = time.process_time()
        answer = _post(client, body, "gzip")
        seconds, (_, peak) = time.process_time() - start, tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    _problem(answer, 413, "too-large")
    assert seconds < 2.0
    received = 2 * len(body)  # by the test's client, and by the service
    assert peak - received < 32 * MB + 4 * MB


@each_coding
def test_a_body_that_is_not_in_its_coding_is_a_400_with_the_reason(client: FlaskClient, coding: str) -> None:
    """It is no complaint about JSON, because the client has mixed up its headers."""
    compressed = CODINGS[coding].compress(BODY)
    for body, why in (
        (BODY, "it cannot be read ("),
        (compressed[:-3], f"it is cut short after {len(compressed) - 3} bytes"),
        (compressed + b"!", "1 bytes follow behind its end"),
        (b"", "it is cut short after 0 bytes"),
    ):
        document = _problem(_post(client, body, coding), 400, "bad-request")
        assert document["detail"].startswith(f"the body is not {coding}, as its Content-Encoding says: {why}")


def test_a_compressed_body_that_no_header_announces_is_not_json(client: FlaskClient) -> None:
    """The coding is not guessed from the first bytes."""
    answer = client.post(URL, data=gzip.compress(BODY), content_type="application/json")
    _problem(answer, 400, "malformed-json")
