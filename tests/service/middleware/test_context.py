"""The context of every request: an id on every answer, the stages, and the Exchange that observers get."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient

from service.app import create_app
from service.middleware.context import OBSERVERS, Exchange
from service.problems import OVERLOADED, Refusal

REQUEST = {
    "network": {"layers": [{"activation": "tanh", "weights": [[0.5]]}]},
    "inputs": [1.0],
    "targets": [0.0],
}


class Broken(RuntimeError):
    """The exception of a view with a fault."""


@dataclass
class Watched:
    """An app, a client for it, and the exchanges that its observer got."""

    app: Flask = field(default_factory=create_app)
    reported: list[Exchange] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.app.extensions[OBSERVERS].append(self.reported.append)
        self.client: FlaskClient = self.app.test_client()

    def fail(self) -> str:
        """Raise an exception."""
        raise Broken("a fault of ours")


@pytest.fixture
def watched() -> Watched:
    """A new app, whose path /fail raises."""
    found = Watched()
    found.app.add_url_rule("/fail", view_func=found.fail)
    return found


ASKED = {
    "a view": ("GET", "/v1", 200),
    "a head": ("HEAD", "/v1/activations", 200),
    "the options of a path": ("OPTIONS", "/v1/gradients", 200),
    "an unknown path": ("GET", "/nothing", 404),
    "a wrong method": ("DELETE", "/v1", 405),
    "no body": ("POST", "/v1/gradients", 415),
    "a page": ("GET", "/problems", 200),
    "a file": ("GET", "/static/pages.css", 200),
    "an unknown file": ("GET", "/static/nothing.css", 404),
    "a fault": ("GET", "/fail", 500),
    "health": ("GET", "/livez", 200),
}


@pytest.mark.parametrize(("method", "path", "status"), ASKED.values(), ids=ASKED)
def test_every_answer_has_the_id_and_is_reported_once(watched: Watched, method: str, path: str, status: int) -> None:
    """This includes files, pages, unknown paths and faults."""
    with watched.client.open(path, method=method, headers={"X-Request-ID": "lesson-7"}) as answer:
        assert (answer.status_code, answer.headers["X-Request-ID"]) == (status, "lesson-7")
    (reported,) = watched.reported
    assert (reported.method, reported.status, reported.request_id) == (method, status, "lesson-7")


def test_a_gradient_is_reported_with_sizes_stages_and_time(watched: Watched) -> None:
    """Bytes as they were sent, seconds from the first byte to the last, and the four stages within them."""
    answer = watched.client.post("/v1/gradients", json=REQUEST)
    (reported,) = watched.reported
    assert (reported.method, reported.route, reported.status, reported.problem) == ("POST", "/v1/gradients", 200, None)
    assert reported.request_bytes == int(answer.request.headers["Content-Length"])
    assert reported.response_bytes == len(answer.data)
    assert list(reported.stages) == ["decode", "validate", "compute", "encode"]
    assert 0 < sum(reported.stages.values()) < reported.seconds < 60
    assert reported.key is reported.exception is None


def test_a_body_without_a_length_is_counted(watched: Watched) -> None:
    """The length of a chunked body is not known beforehand."""
    environ = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}
    with watched.app.test_request_context("/v1/gradients", method="POST", data=b"{}   ") as context:
        asked = context.request.environ | environ
        del asked["CONTENT_LENGTH"]
    asked["CONTENT_TYPE"] = "application/json"
    Response.from_app(watched.app.wsgi_app, asked, buffered=True)
    assert (watched.reported[0].request_bytes, watched.reported[0].problem) == (5, "invalid-request")


ROUTES = {
    "/v1/activations/tanh": "/v1/activations/{name}",
    "/v1/activations/nothing": "/v1/activations/{name}",
    "/static/pages.css": "/static/{filename}",
    "/v1": "/v1",
    "/nothing/at/all": "unmatched",
}


@pytest.mark.parametrize(("path", "route"), ROUTES.items(), ids=ROUTES)
def test_the_route_is_reported_and_not_the_path(watched: Watched, path: str, route: str) -> None:
    """The exchange has the route in OpenAPI's notation, or "unmatched". So the number of labels is bounded."""
    with watched.client.get(path):
        assert watched.reported[0].route == route


def test_an_unknown_method_is_reported_as_other(watched: Watched) -> None:
    """A client must not be able to create new labels."""
    watched.client.open("/v1", method="BREW")
    assert watched.reported[0].method == "other"


def test_an_answer_without_a_body_has_zero_bytes(watched: Watched) -> None:
    """Answers to HEAD and 304 have the length of the document in their headers, but no body."""
    tag = watched.client.head("/v1/losses").headers["ETag"]
    answer = watched.client.get("/v1/losses", headers={"If-None-Match": tag})
    assert (answer.status_code, answer.data) == (304, b"")
    assert [reported.response_bytes for reported in watched.reported] == [0, 0]


def test_the_bytes_of_a_file_are_reported(watched: Watched) -> None:
    """The size is known although the file is read only while it is sent."""
    with watched.client.get("/static/pages.css") as answer:
        assert watched.reported[0].response_bytes == len(answer.data) > 0


def test_a_problem_is_reported_by_its_name(watched: Watched) -> None:
    """This includes the problems of Flask's own errors."""
    watched.client.get("/nothing")
    watched.client.post("/v1/gradients", json={})
    assert [reported.problem for reported in watched.reported] == ["not-found", "invalid-request"]


def test_an_internal_error_is_reported_with_its_exception(watched: Watched) -> None:
    """The log gets the exception; the client does not."""
    answer = watched.client.get("/fail")
    (reported,) = watched.reported
    assert (reported.status, reported.problem) == (500, "internal-error")
    assert isinstance(reported.exception, Broken)
    assert "fault of ours" not in answer.text


def test_an_error_after_the_view_is_answered_like_any_other(watched: Watched) -> None:
    """An after_request function may fail, too: the answer is a problem with an id, and the exception is reported."""
    failed: list[bool] = []

    def fail_once(response: Response) -> Response:
        if not failed:
            failed.append(True)
            raise Broken("behind the view")
        return response

    watched.app.after_request(fail_once)
    answer = watched.client.get("/v1", headers={"X-Request-ID": "lesson-8"})
    assert (answer.status_code, answer.mimetype) == (500, "application/problem+json")
    assert answer.headers["X-Request-ID"] == answer.get_json(force=True)["instance"] == "lesson-8"
    assert [type(reported.exception) for reported in watched.reported] == [Broken]


def test_the_size_of_the_network_is_reported(watched: Watched) -> None:
    """Two weights and two biases, and three matrix products over three samples. Other requests have no such size."""
    layer = {"activation": "relu", "weights": [[1.0, 2.0]], "biases": [0.0, 0.0]}
    batch = {"network": {"layers": [layer]}, "inputs": [[1.0]] * 3, "targets": [[0.0, 0.0]] * 3}
    watched.client.post("/v1/gradients", json=batch)
    watched.client.post("/v1/gradients", json=batch | {"inputs": []})
    watched.client.get("/v1")
    reported = [(reported.parameters, reported.multiply_adds) for reported in watched.reported]
    assert reported == [(4, 3 * 2 * 3), (None, None), (None, None)]


def _from_the_front(watched: Watched, path: str, method: str = "GET", **known: Any) -> Any:
    """A request with values from the server's front."""
    environ = {f"chainrule.{name}": value for name, value in known.items()}
    return watched.client.open(path, method=method, environ_overrides=environ)


def test_time_counts_from_when_the_head_had_arrived(watched: Watched) -> None:
    """If the front passes that time on."""
    _from_the_front(watched, "/v1", received=time.perf_counter() - 5)
    assert 5 < watched.reported[0].seconds < 65


def test_the_stages_of_the_front_come_first(watched: Watched) -> None:
    """In the header and in the exchange. The front's own stages are not changed."""
    stages = {"receive": 0.25, "queue": 0.5}
    answer = watched.client.post(
        "/v1/gradients", json=REQUEST, environ_overrides={"chainrule.stages": stages, "chainrule.received": 0.0}
    )
    assert answer.headers["Server-Timing"].startswith("receive;dur=250.000, queue;dur=500.000, decode;dur=")
    assert list(watched.reported[0].stages)[:3] == ["receive", "queue", "decode"]
    assert list(stages) == ["receive", "queue"]


REFUSED: dict[str, Callable[[Watched], Any]] = {
    "a gradient": lambda w: _from_the_front(w, "/v1/gradients", "POST", refusal=_overloaded()),
    "an unknown path": lambda w: _from_the_front(w, "/nothing", refusal=_overloaded()),
    "a wrong method": lambda w: _from_the_front(w, "/v1", "DELETE", refusal=_overloaded()),
    "a fault": lambda w: _from_the_front(w, "/fail", refusal=_overloaded()),
    "options": lambda w: _from_the_front(w, "/v1", "OPTIONS", refusal=_overloaded()),
}


def _overloaded() -> Refusal:
    return Refusal(OVERLOADED, "too many", headers={"Retry-After": "3"})


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED)
def test_refusals_of_the_front_are_answered_like_all_others(
    watched: Watched, refused: Callable[[Watched], Any]
) -> None:
    """It is answered before everything else, with the headers of the refusal, an id and an exchange."""
    answer = refused(watched)
    assert (answer.status_code, answer.mimetype) == (503, "application/problem+json")
    assert (answer.headers["Retry-After"], answer.get_json(force=True)["detail"]) == ("3", "too many")
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])
    assert [reported.problem for reported in watched.reported] == ["overloaded"]
