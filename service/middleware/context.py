"""What every request gets: an id, a look at what it accepts, the times of its stages, and an account of it at the end.

The server's front may hand on what it knows, in the WSGI environment (`service.server.environ`): `RECEIVED`, when the head had
arrived (by time.perf_counter), `STAGES`, the seconds that its own stages took, and `REFUSAL`, a Refusal. `REPORTED` is
a lock, taken by what logs and counts the request. So it is counted once: as the answer that comes too late, or as the
refusal that was given in its place.
"""

import re
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from flask import Flask, Request, Response, current_app, g, request

from schemas.fields.wording import LONGEST_SHOWN, cut
from service.api.operations import OPERATIONS
from service.document import Document
from service.problems import NOT_ACCEPTABLE, Refusal
from service.resources.deadline import CLIENT_GONE, checkpoint
from service.server.environ import RECEIVED, RECEIVED_BYTES, REFUSAL, REPORTED, STAGES

OBSERVERS = "chainrule.observers"  # of an app's extensions: functions that are given every Exchange
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})  # others: a client could make up many

JSON = "application/json"
_ACCEPT_JSON = {"*/*", JSON}

_SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_VARIABLE = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")  # of a rule: <name>, or <path:name>


class Exchange(NamedTuple):
    """A request and its answer, in what may be logged and counted: nothing that a client could choose freely."""

    method: str  # "other" for what is no method of HTTP
    route: str  # "/v1/activations/{name}", or "unmatched" where the path leads nowhere
    status: int
    problem: str | None  # the name of its type
    rejected: str | None  # why it was refused: the name of the problem, or "memory" where there was too little of it
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
    """Have the app give every request an id and every answer its headers, and tell the observers of both."""
    app.extensions.setdefault(OBSERVERS, [])
    app.before_request(_begin)
    app.after_request(_end)


class Timed:
    """Times what stands under it: one stage of a request, in seconds, for its log line and the header Server-Timing."""

    def __init__(self, stages: dict[str, float], name: str) -> None:
        self._stages, self._name = stages, name

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._stages[self._name] = time.perf_counter() - self._start


class Context:
    """The request that is handled and what is known of it, looked up once: each look by a proxy of Flask's costs."""

    def __init__(self) -> None:
        self.request: Request = request._get_current_object()  # type: ignore[attr-defined]
        self.known = g._get_current_object()
        self.checkpoint = checkpoint()

    def stage(self, name: str) -> Timed:
        """A stage of the request. Raises Refusal where its deadline is over when the stage begins."""
        self.checkpoint()
        return Timed(self.known.stages, name)


def choose_form() -> None:
    """Negotiate the media type of the answer; 406 if none is acceptable."""
    given = request.environ.get("HTTP_ACCEPT")
    if given is None or given in _ACCEPT_JSON:  # which needs no parser
        g.form = JSON
        return
    operation = OPERATIONS.get(request.endpoint or "")
    forms = [JSON, *operation.also_as] if operation else [JSON]
    accepted = request.accept_mimetypes
    if accepted and not any(accepted[form] > 0 for form in forms):  # no header accepts everything
        shown = cut(str(accepted), LONGEST_SHOWN)
        raise Refusal(NOT_ACCEPTABLE, f"the answer is {' or '.join(forms)}, which Accept: {shown} rules out")
    g.form = accepted.best_match(forms, JSON)


def tell_of_gone(app: Flask, environ: Mapping[str, Any], route: str) -> None:
    """Tell the observers of a request whose client has gone before its answer.

    There is nobody to answer, so the application need not run: that would take ten times as long, and clients can go by
    the thousand at once.
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
    return given if _SANE_ID.fullmatch(given) else uuid.uuid4().hex


def _begin() -> None:
    """Runs first. So a refusal of the front is answered before Flask answers 404 to a path that leads nowhere."""
    environ, known = request.environ, g._get_current_object()
    known.request_id = _id_of(environ)
    known.received = environ.get(RECEIVED) or time.perf_counter()
    known.stages = dict(environ.get(STAGES, {}))
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
    """Flask's rule in OpenAPI's way of writing."""
    return _VARIABLE.sub(r"{\1}", asked.url_rule.rule) if asked.url_rule else "unmatched"


def _size(asked: Request, response: Response) -> int:
    """The bytes of the body that is sent: a file's from its header, as it is not read yet."""
    if asked.method == "HEAD" or response.status_code in {204, 304}:
        return 0
    if isinstance(response, Document):
        return response.size
    if response.is_sequence:
        return response.calculate_content_length() or 0
    return response.content_length or 0
