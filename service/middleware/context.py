"""The context of every request: an id, the times of its stages, and an Exchange for logs, metrics and traces.

The server's front passes values on in the WSGI environ (see `service.resources.handover`): `RECEIVED`, when the head
had arrived (by time.perf_counter), `STAGES`, the seconds that the stages so far took, and `REFUSAL`, a Refusal.
`REPORTED` is a lock: only the thread that acquires it logs and counts the request. So a request that times out is
counted once: either with its late answer, or with the refusal sent in its place.
"""

import re
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from flask import Flask, Request, Response, current_app, g, request

from service.document import Document
from service.problems import Refusal
from service.resources.deadline import CLIENT_GONE
from service.resources.handover import RECEIVED, RECEIVED_BYTES, REFUSAL, REPORTED, STAGES

OBSERVERS = "chainrule.observers"  # key of an app's extensions: functions that are called with every Exchange
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})  # clients could invent any others

_SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_VARIABLE = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")  # of a Flask rule: <name>, or <path:name>


class Exchange(NamedTuple):
    """A request and its answer, in what may be logged and counted: nothing that a client could choose freely."""

    method: str  # "other" for unknown methods
    route: str  # "/v1/activations/{name}", or "unmatched" if the path matches no route
    status: int
    problem: str | None  # the name of its type
    rejected: str | None  # why it was refused: the name of the problem, or "memory" if memory was short
    request_bytes: int  # of the bodies, as they were sent
    response_bytes: int
    seconds: float
    stages: Mapping[str, float]
    request_id: str
    key: str | None  # the name of the API key
    parameters: int | None  # of the network
    multiply_adds: int | None
    work_seconds: float | None  # as the cost model predicts them
    exception: BaseException | None  # behind a 500


Observer = Callable[[Exchange], None]


def register(app: Flask) -> None:
    """Make the app give every request an id and every answer its headers, and call the observers."""
    app.extensions.setdefault(OBSERVERS, [])
    app.before_request(_begin)
    app.after_request(_end)


def report_disconnect(app: Flask, environ: Mapping[str, Any], route: str) -> None:
    """Call the observers for a request whose client has disconnected before its answer.

    The application does not run, because no answer is needed: running it would take ten times as long, and a thousand
    clients can disconnect at once.
    """
    exchange = Exchange(
        method=environ["REQUEST_METHOD"],
        route=route,
        status=CLIENT_GONE.status,
        problem=CLIENT_GONE.name,
        rejected=CLIENT_GONE.name,
        request_bytes=environ.get(RECEIVED_BYTES, 0),
        response_bytes=0,
        seconds=time.perf_counter() - environ[RECEIVED],
        stages=environ[STAGES],
        request_id=_id_of(environ),
        key=None,
        parameters=None,
        multiply_adds=None,
        work_seconds=None,
        exception=None,
    )
    for observe in app.extensions[OBSERVERS]:
        observe(exchange)


def _id_of(environ: Mapping[str, Any]) -> str:
    given = environ.get("HTTP_X_REQUEST_ID", "")
    return given if _SANE_ID.fullmatch(given) else secrets.token_hex(16)


def _begin() -> None:
    """Give the request its id. Raise a refusal of the front here, before Flask answers 404 to an unknown path."""
    environ, known = request.environ, g._get_current_object()
    known.request_id = _id_of(environ)
    known.received = environ.get(RECEIVED) or time.perf_counter()
    known.stages = environ[STAGES] = dict(environ.get(STAGES, {}))
    refusal: Refusal | None = environ.get(REFUSAL)
    if refusal is not None:
        raise refusal


def _end(response: Response) -> Response:
    asked: Request = request._get_current_object()  # type: ignore[attr-defined]  # once: each look by a proxy costs
    known = g._get_current_object()
    response.headers.add("X-Request-ID", known.request_id)
    if known.stages:
        times = [f"{name};dur={1e3 * seconds:.3f}" for name, seconds in known.stages.items()]
        response.headers.add("Server-Timing", ", ".join(times))
    reported = asked.environ.get(REPORTED)
    if reported is not None and not reported.acquire(blocking=False):  # answered already, as work that took too long
        return response
    exchange = _exchange(asked, known, response)
    for observe in current_app.extensions[OBSERVERS]:
        observe(exchange)
    return response


def _exchange(asked: Request, known: Any, response: Response) -> Exchange:
    return Exchange(
        method=asked.method if asked.method in METHODS else "other",
        route=_route(asked),
        status=response.status_code,
        problem=known.get("problem"),
        rejected=known.get("rejected"),
        request_bytes=known.get("request_bytes", asked.environ.get(RECEIVED_BYTES, 0)),
        response_bytes=_size(asked, response),
        seconds=time.perf_counter() - known.received,
        stages=known.stages,
        request_id=known.request_id,
        key=known.get("key"),
        parameters=known.get("parameters"),
        multiply_adds=known.get("multiply_adds"),
        work_seconds=known.get("work_seconds"),
        exception=known.get("exception"),
    )


def _route(asked: Request) -> str:
    """The route in OpenAPI's notation: /v1/activations/{name}."""
    return _VARIABLE.sub(r"{\1}", asked.url_rule.rule) if asked.url_rule else "unmatched"


def _size(asked: Request, response: Response) -> int:
    """The bytes of the body that is sent. The size of a file is in its Content-Length: it is not read yet."""
    if asked.method == "HEAD" or response.status_code in {204, 304}:
        return 0
    if isinstance(response, Document):
        return response.size
    if response.is_sequence:
        return response.calculate_content_length() or 0
    return response.content_length or 0
