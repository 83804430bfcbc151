"""ETags: documents have one, with a lifetime, and an unchanged document is answered with 304."""

from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from service.app import create_app
from service.configuration.settings import read_settings
from service.middleware.keys import new_key

CURVE = "/v1/activations/tanh/curve?points=5"
DOCUMENTS = (
    "/v1",
    "/v1/activations",
    "/v1/activations/tanh",
    CURVE,
    "/v1/losses",
    "/v1/losses/huber",
    "/v1/limits",
    "/v1/examples",
    "/problems",
    "/problems/not-found",
    "/troubleshooting",
    "/openapi.json",
)
REQUEST = {"network": {"layers": [{"activation": "tanh", "weights": [[0.5]]}]}, "inputs": [1.0], "targets": [0.0]}


@pytest.mark.parametrize("path", DOCUMENTS)
def test_an_unchanged_document_is_not_sent_again(client: FlaskClient, path: str) -> None:
    """304 without a body, with the headers that a cache updates: ETag, Cache-Control and Vary."""
    first = client.get(path)
    assert first.headers["ETag"].startswith('W/"')
    assert first.headers["Cache-Control"] == "public, max-age=300"
    again = client.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    for name in ("ETag", "Cache-Control", "Vary"):
        assert again.headers[name] == first.headers[name]
    for name in ("Content-Type", "Content-Length", "Content-Encoding"):
        assert name not in again.headers


@pytest.mark.parametrize("form", ['{}, W/"x"', 'W/"x",{}', "*", "strong"])
def test_every_form_of_if_none_match_is_understood(client: FlaskClient, form: str) -> None:
    """Several ETags, any ETag (*), and the ETag without the prefix of a weak one."""
    tag = client.get("/v1/losses").headers["ETag"]
    asked = tag.removeprefix("W/") if form == "strong" else form.format(tag)
    assert client.get("/v1/losses", headers={"If-None-Match": asked}).status_code == 304


def test_another_etag_gets_the_document(client: FlaskClient) -> None:
    """The complete document."""
    for asked in ('W/"x"', '"x"', client.get("/v1/losses").headers["ETag"], "rubbish"):
        answer = client.get("/v1/activations", headers={"If-None-Match": asked})
        assert answer.status_code == 200
        assert answer.get_json()["activations"]


def test_each_document_has_its_own_tag_and_keeps_it(client: FlaskClient) -> None:
    """It depends only on the content, so it is the same in every worker.

    A query that changes the content changes it.
    """
    first = {path: client.get(path).headers["ETag"] for path in DOCUMENTS}
    assert len(set(first.values())) == len(DOCUMENTS)
    other = create_app().test_client()
    assert {path: other.get(path).headers["ETag"] for path in DOCUMENTS} == first
    assert client.get(CURVE + "0").headers["ETag"] != first[CURVE]


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@pytest.mark.parametrize("path", ["/v1/losses", "/static/pages.css", "/problems"])
def test_the_tag_is_one_for_all_forms(client: FlaskClient, path: str, coding: str) -> None:
    """It is weak, so that a client with one encoding of the document need not load another.

    A 304 has no Content-Encoding.
    """
    with client.get(path, headers={"Accept-Encoding": coding}) as packed, client.get(path) as plain:
        assert packed.headers["ETag"] == plain.headers["ETag"]
        assert packed.headers["ETag"].startswith('W/"')
        asked = {"If-None-Match": packed.headers["ETag"], "Accept-Encoding": coding}
    with client.get(path, headers=asked) as again:
        assert (again.status_code, again.data) == (304, b"")
        assert "Content-Encoding" not in again.headers
        assert again.headers["Vary"] == "Accept-Encoding"
        assert again.headers["ETag"] == packed.headers["ETag"]


def test_head_has_the_headers_of_get(client: FlaskClient) -> None:
    """HEAD understands If-None-Match, too."""
    head, get = client.head("/v1/losses"), client.get("/v1/losses")
    for name in ("ETag", "Cache-Control", "Vary", "Content-Length", "Content-Type"):
        assert head.headers[name] == get.headers[name]
    assert head.data == b""
    assert client.head("/v1/losses", headers={"If-None-Match": get.headers["ETag"]}).status_code == 304


def test_other_answers_are_not_cached(client: FlaskClient) -> None:
    """Gradients, errors and health have no ETag, but no-store."""
    answers = [
        client.post("/v1/gradients", json=REQUEST, headers={"If-None-Match": "*"}),
        client.post("/v1/gradients", json={}),
        client.get("/nothing"),
        client.delete("/v1"),
        client.get("/livez", headers={"If-None-Match": "*"}),
    ]
    assert [answer.status_code for answer in answers] == [200, 422, 404, 405, 200]
    for answer in answers:
        assert answer.headers["Cache-Control"] == "no-store"
        assert "ETag" not in answer.headers


def test_with_keys_documents_are_private(tmp_path: Path) -> None:
    """Shared caches must not store them, and a withdrawn key takes effect at once.

    Documents that need no key stay public.
    """
    key, line = new_key("alice")
    file = tmp_path / "keys"
    file.write_text(line)
    client = create_app(replace(read_settings(), api_keys_file=str(file))).test_client()
    given = {"X-API-Key": key}
    answer = client.get("/v1/losses", headers=given)
    assert answer.headers["Cache-Control"] == "private, no-cache"
    asked = given | {"If-None-Match": answer.headers["ETag"]}
    assert client.get("/v1/losses", headers=asked).status_code == 304
    assert client.get("/v1/losses", headers={"If-None-Match": answer.headers["ETag"]}).status_code == 401
    assert client.get("/problems").headers["Cache-Control"] == "public, max-age=300"


def test_a_file_keeps_its_own_tag(client: FlaskClient) -> None:
    """Flask makes it from time and size, without reading the file."""
    with client.get("/static/pages.css") as first:
        tag = first.headers["ETag"]
        assert "max-age=300" not in first.headers["Cache-Control"]
    with client.get("/static/pages.css", headers={"If-None-Match": tag}) as again:
        assert again.status_code == 304
