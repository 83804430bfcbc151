"""CORS: pages of other origins are excluded unless the settings name their origins; then they see errors, too."""

from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from service.app import create_app
from service.configuration.settings import read_settings
from service.middleware.keys import new_key
from service.problems import OVERLOADED, Refusal

PAGE, OTHER = "https://course.example", "https://elsewhere.example"
URL = "/v1/gradients"


def _client(*origins: str, api_keys_file: str = "") -> FlaskClient:
    settings = replace(read_settings(), cors_origins=origins, api_keys_file=api_keys_file)
    return create_app(settings).test_client()


def _preflight(client: FlaskClient, origin: str = PAGE, path: str = URL) -> TestResponse:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,x-api-key",
    }
    return client.options(path, headers=asked)


def _words(answer: TestResponse, name: str) -> set[str]:
    return {word.strip() for word in answer.headers[name].split(",")}


def _allowances(answer: TestResponse) -> dict[str, str]:
    return {name: value for name, value in answer.headers if name.startswith("Access-Control-")}


def test_without_the_setting_no_origin_is_allowed(client: FlaskClient) -> None:
    """There are no CORS headers, and Vary does not name Origin."""
    for answer in (_preflight(client), client.get("/v1", headers={"Origin": PAGE})):
        assert _allowances(answer) == {}
        assert "Origin" not in answer.headers.get("Vary", "")


def test_a_preflight_from_an_allowed_origin_lists_methods_and_headers() -> None:
    """204, with every method and header that a page needs here."""
    answer = _preflight(_client(OTHER, PAGE))
    assert (answer.status_code, answer.data) == (204, b"")
    assert "Content-Type" not in answer.headers
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert _words(answer, "Access-Control-Allow-Methods") == {"GET", "HEAD", "POST"}
    assert _words(answer, "Access-Control-Allow-Headers") == {
        "Content-Type",
        "Content-Encoding",
        "Authorization",
        "X-API-Key",
        "X-Request-ID",
        "If-None-Match",
    }
    assert answer.headers["Access-Control-Max-Age"] == "7200"
    assert "Access-Control-Expose-Headers" not in answer.headers
    assert "Origin" in _words(answer, "Vary")
    assert "X-Request-ID" in answer.headers


@pytest.mark.parametrize(
    "origin", [OTHER, PAGE.upper(), f"{PAGE}:443", f"{PAGE}.evil.example", "http://course.example", "null"]
)
def test_an_origin_is_compared_exactly(origin: str) -> None:
    """A different scheme, port or letter is a different origin. The browser then hides the answer from the page."""
    client = _client(PAGE)
    for answer in (_preflight(client, origin), client.get("/v1", headers={"Origin": origin})):
        assert _allowances(answer) == {}
        assert "Origin" in _words(answer, "Vary")


def test_an_answer_to_an_allowed_origin_exposes_its_headers() -> None:
    """The headers that a page cannot read otherwise are exposed.

    Credentials are never allowed, because we use no cookies.
    """
    answer = _client(PAGE).get("/v1", headers={"Origin": PAGE})
    assert answer.status_code == 200
    assert set(_allowances(answer)) == {"Access-Control-Allow-Origin", "Access-Control-Expose-Headers"}
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    shown = {"X-Request-ID", "Server-Timing", "Retry-After", "ETag"}
    assert _words(answer, "Access-Control-Expose-Headers") == shown


def test_vary_names_origin_even_for_a_request_without_an_origin() -> None:
    """Otherwise a cache could serve a page the answer to a request without an origin."""
    answer = _client(PAGE).get("/v1")
    assert _allowances(answer) == {}
    assert "Origin" in _words(answer, "Vary")


def test_a_star_allows_every_origin() -> None:
    """The value is the star itself, so the answer is the same for all origins."""
    client = _client("*")
    for answer in (_preflight(client, OTHER), client.get("/v1", headers={"Origin": OTHER})):
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Origin" not in answer.headers.get("Vary", "")
        assert "Access-Control-Allow-Credentials" not in answer.headers


def test_a_page_may_read_why_it_was_refused(tmp_path: Path) -> None:
    """The page can read a 401, 404, 405, 413 and 503."""
    file = tmp_path / "keys"
    file.write_text(new_key("alice")[1])
    client, from_page = _client(PAGE), {"Origin": PAGE}
    refusal = {"chainrule.refusal": Refusal(OVERLOADED, "too many", headers={"Retry-After": "1"})}
    answers = {
        401: _client(PAGE, api_keys_file=str(file)).get("/v1", headers=from_page),
        404: client.get("/nothing", headers=from_page),
        405: client.delete("/v1", headers=from_page),
        415: client.post(URL, headers=from_page),
        503: client.post(URL, headers=from_page, environ_overrides=refusal),
    }
    for status, answer in answers.items():
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (status, PAGE)


def test_a_preflight_needs_no_key(tmp_path: Path) -> None:
    """A browser cannot send a key with it. Other OPTIONS requests need one."""
    file = tmp_path / "keys"
    file.write_text(new_key("alice")[1])
    client = _client(PAGE, api_keys_file=str(file))
    assert _preflight(client).status_code == 204
    assert client.options(URL, headers={"Origin": PAGE}).status_code == 401
    assert client.options(URL, headers={"Access-Control-Request-Method": "POST"}).status_code == 401


def test_an_ordinary_options_request_lists_the_methods_of_the_path() -> None:
    """An ordinary OPTIONS request is answered as HTTP specifies."""
    answer = _client(PAGE).options(URL, headers={"Origin": PAGE})
    assert (answer.status_code, _words(answer, "Allow")) == (200, {"OPTIONS", "POST"})
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
