"""What every request gets: an id, a look at what it accepts, and the times of its stages."""

import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask, Response, g, request

from service.problems import NOT_ACCEPTABLE, Refusal

_SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def register(app: Flask) -> None:
    """Have the app give every request an id and every answer its headers."""
    app.before_request(_begin)
    app.after_request(_end)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Time a stage of the request, for the header Server-Timing."""
    start = time.perf_counter()
    try:
        yield
    finally:
        g.stages[name] = time.perf_counter() - start


def accept_json() -> None:
    """Refuse a request that does not want JSON."""
    accepted = request.accept_mimetypes
    if accepted and accepted["application/json"] <= 0:  # no header accepts everything
        raise Refusal(NOT_ACCEPTABLE, f"the answer is application/json, which Accept: {accepted} rules out")


def _begin() -> None:
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if _SANE_ID.fullmatch(given) else uuid.uuid4().hex
    g.stages = {}


def _end(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    if g.stages:
        response.headers["Server-Timing"] = ", ".join(f"{name};dur={1e3 * t:.3f}" for name, t in g.stages.items())
    return response
