"""Compression of answers: the negotiated coding, its headers, and no double compression."""

import gzip
import json
import sys
from typing import Any

import numpy as np
import pytest
from flask import Response
from flask.testing import FlaskClient
from werkzeug.datastructures import Accept
from werkzeug.http import parse_accept_header
from werkzeug.test import TestResponse

from service.app import create_app
from service.middleware.compression import SMALLEST, accepted_codings, coding_for
from service.problems import INVALID_REQUEST, Refusal

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LARGE, SMALL = "/v1/losses", "/v1"
READERS = {"gzip": gzip.decompress, "zstd": zstd.decompress, None: bytes}

ACCEPTED = {  # Accept-Encoding, and the codings of a large and a small answer
    "no header": (None, "identity", "identity"),
    "nothing": ("", "identity", "identity"),
    "gzip": ("gzip", "gzip", "identity"),
    "zstd": ("zstd", "zstd", "identity"),
    "both": ("gzip, zstd", "zstd", "identity"),
    "what browsers say": ("gzip, deflate, br, zstd", "zstd", "identity"),
    "others only": ("br, deflate", "identity", "identity"),
    "capitals": ("GZIP", "gzip", "identity"),
    "gzip more": ("zstd;q=0.5, gzip;q=0.8", "gzip", "identity"),
    "zstd more": ("zstd;q=0.8, gzip;q=0.5", "zstd", "identity"),
    "equal": ("gzip;q=0.5, zstd;q=0.5", "zstd", "identity"),
    "gzip ruled out": ("gzip;q=0, zstd", "zstd", "identity"),
    "zstd ruled out": ("zstd;q=0, *", "gzip", "identity"),
    "both ruled out": ("gzip;q=0, zstd;q=0", "identity", "identity"),
    "identity more": ("identity, gzip;q=0.5", "identity", "identity"),
    "identity less": ("identity;q=0.1, gzip;q=0.5", "gzip", "identity"),
    "identity as much": ("identity, gzip", "gzip", "identity"),
    "anything": ("*", "zstd", "identity"),
    "anything, gzip more": ("*;q=0.1, gzip", "gzip", "identity"),
    "identity ruled out": ("identity;q=0, gzip", "gzip", "gzip"),
    "identity ruled out, anything else": ("identity;q=0, *", "zstd", "zstd"),
    "all else ruled out": ("gzip, *;q=0", "gzip", "gzip"),
    "all but identity ruled out": ("identity, *;q=0", "identity", "identity"),
    "everything ruled out": ("*;q=0", None, None),
    "identity ruled out, no other": ("identity;q=0", None, None),
    "identity ruled out, one that is not known": ("identity;q=0, br", None, None),
    "a quality that is none": ("gzip;q=2, zstd;q=x", "identity", "identity"),
}
each_header = pytest.mark.parametrize(("header", "large", "small"), ACCEPTED.values(), ids=ACCEPTED)


@each_header
def test_the_coding_with_the_highest_quality_is_chosen(
    header: str | None, large: str | None, small: str | None
) -> None:
    """The highest q-value wins, zstd among equals.

    Identity is last unless it is named, and never chosen if it is excluded.
    """
    accepted = parse_accept_header(header, Accept)
    assert (coding_for(accepted), coding_for(accepted, small=True)) == (large, small)


def _get(client: FlaskClient, path: str, header: str | None, method: str = "GET") -> TestResponse:
    return client.open(path, method=method, headers={} if header is None else {"Accept-Encoding": header})


@each_header
def test_an_answer_has_the_coding_that_the_client_prefers(
    client: FlaskClient, header: str | None, large: str | None, small: str | None
) -> None:
    """It is complete and has its length. Vary names Accept-Encoding in every case."""
    for path, coding in ((LARGE, large), (SMALL, small)):
        answer = _get(client, path, header)
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert answer.content_length == len(answer.data)
        if coding is None:
            assert (answer.status_code, "Content-Encoding" in answer.headers) == (406, False)
            assert "Accept-Encoding" in answer.get_json(force=True)["detail"]
        else:
            sent = None if coding == "identity" else coding
            assert answer.headers.get("Content-Encoding") == sent
            assert json.loads(READERS[sent](answer.data)) == client.get(path).get_json()


def _app_with(path: str, answer: Any) -> FlaskClient:
    app = create_app()
    app.add_url_rule(path, view_func=answer)
    return app.test_client()


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_compression_begins_at_4096_bytes(coding: str) -> None:
    """A smaller answer fits into the packets that are sent anyway."""
    assert SMALLEST == 4096
    for size in (4095, 4096):
        client = _app_with("/text", lambda size=size: Response("x" * size, content_type="text/plain"))
        answer = _get(client, "/text", coding)
        assert ("Content-Encoding" in answer.headers) == (size == 4096)
        assert (len(answer.data) < 100) == (size == 4096)


KINDS = {
    "application/json": True,
    "application/problem+json": True,
    "text/html": True,
    "text/css": True,
    "image/svg+xml": True,
    "image/png": False,
    "application/octet-stream": False,
}


@pytest.mark.parametrize(("kind", "packed"), KINDS.items(), ids=KINDS)
def test_only_text_is_compressed(kind: str, packed: bool) -> None:
    """Pictures are already compressed."""
    answer = _get(_app_with("/x", lambda: Response(b"x" * 9999, content_type=kind)), "/x", "gzip")
    assert ("Content-Encoding" in answer.headers) == ("Vary" in answer.headers) == packed


def test_a_compressed_body_is_not_compressed_again() -> None:
    """No client could read a body that is compressed twice."""
    body = gzip.compress(bytes(99_999), mtime=0).ljust(9999)
    packed = Response(body, content_type="text/plain", headers={"Content-Encoding": "gzip"})
    answer = _get(_app_with("/x", lambda: packed), "/x", "zstd")
    assert (answer.data, answer.headers["Content-Encoding"]) == (body, "gzip")


@pytest.mark.parametrize("status", [204, 206])
def test_empty_and_partial_answers_are_not_compressed(status: int) -> None:
    """The range of a partial answer counts the bytes of the file."""
    body = b"" if status == 204 else b"x" * 9999
    answer = _get(_app_with("/x", lambda: Response(body, status, content_type="text/plain")), "/x", "gzip")
    assert (answer.data, "Content-Encoding" in answer.headers) == (body, False)


def test_a_large_problem_is_compressed_too() -> None:
    """A problem with twenty mistakes can be large."""

    def refuse() -> None:
        raise Refusal(INVALID_REQUEST, "much is wrong", [{"pointer": f"#/{n}", "detail": "x" * 300} for n in range(20)])

    answer = _get(_app_with("/wrong", refuse), "/wrong", "gzip")
    assert (answer.status_code, answer.mimetype) == (422, "application/problem+json")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(json.loads(gzip.decompress(answer.data))["errors"]) == 20


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_gradient_is_compressed(client: FlaskClient, coding: str) -> None:
    """To less than half its size, with the same numbers."""
    weights = np.random.default_rng(0).normal(size=(20, 20)).tolist()
    body = {
        "network": {"layers": [{"activation": "tanh", "weights": weights}]},
        "inputs": [1.0] * 20,
        "targets": [0] * 20,
    }
    plain = client.post("/v1/gradients", json=body)
    packed = client.post("/v1/gradients", json=body, headers={"Accept-Encoding": coding})
    assert packed.headers["Content-Encoding"] == coding
    assert len(packed.data) < len(plain.data) / 2
    assert READERS[coding](packed.data) == plain.data


@pytest.mark.parametrize("coding", ["gzip", "zstd", "identity"])
def test_head_has_the_content_length_of_get(client: FlaskClient, coding: str) -> None:
    """The length is that of the compressed body."""
    head, get = _get(client, LARGE, coding, "HEAD"), _get(client, LARGE, coding)
    for name in ("Content-Length", "Content-Encoding", "Vary", "ETag"):
        assert head.headers.get(name) == get.headers.get(name)
    assert head.data == b""


def test_a_file_is_compressed_and_no_part_of_it_offered(tmp_path: Any) -> None:
    """A range of the file would not be a range of the compressed body."""
    (tmp_path / "large.css").write_text("a { color: red }\n" * 1000)
    app = create_app()
    app.static_folder = str(tmp_path)
    with app.test_client().get("/static/large.css", headers={"Accept-Encoding": "gzip"}) as packed:
        assert gzip.decompress(packed.data) == (tmp_path / "large.css").read_bytes()
        assert packed.content_length == len(packed.data)
        assert packed.headers.get("Accept-Ranges", "none") == "none"
    asked = {"Accept-Encoding": "gzip", "Range": "bytes=0-4999"}
    with app.test_client().get("/static/large.css", headers=asked) as part:
        assert (part.status_code, len(part.data), "Content-Encoding" in part.headers) == (206, 5000, False)


def test_a_request_without_an_acceptable_coding_is_not_computed() -> None:
    """If no coding is acceptable, the client gets an uncompressed 406 before the work is done."""
    worked: list[bool] = []
    client = _app_with("/labour", lambda: worked.append(True) or "x" * 9999)  # type: ignore[func-returns-value]
    assert _get(client, "/labour", "*;q=0").status_code == 406
    assert worked == []


@pytest.mark.parametrize(
    "names", ["", "gzip", "gzip, deflate, br, zstd", " GZIP ,zstd", "*", "identity, gzip", ",", "a,,gzip"]
)
def test_a_plain_list_of_codings_is_read_as_by_werkzeug(names: str) -> None:
    """It is split at its commas; werkzeug's parser is there for qualities and quotes."""
    app = create_app()
    with app.test_request_context(headers={"Accept-Encoding": names}):
        found = accepted_codings()
    for small in (True, False):
        assert coding_for(found, small) == coding_for(parse_accept_header(names, Accept), small)
