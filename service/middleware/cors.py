"""Which pages of other origins a browser lets call the service: none, unless the settings name some."""

from flask import Flask, Response, current_app, request

_ANY = "*"
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST",
    "Access-Control-Allow-Headers": (
        "Content-Type, Content-Encoding, Authorization, X-API-Key, X-Request-ID, If-None-Match"
    ),
    "Access-Control-Max-Age": "7200",  # seconds, the most that Chromium keeps it (MDN)
}
_EXPOSED = "X-Request-ID, Server-Timing, Retry-After, ETag"


def register(app: Flask) -> None:
    """Have the app tell browsers which origins may read its answers, errors too. Without any set, it tells nothing."""
    if app.config["SETTINGS"].cors_origins:
        app.before_request(_answer_preflight)
        app.after_request(_allow)


def _is_preflight() -> bool:
    """Whether a browser asks before it sends what a page wants to send."""
    return request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers and _origin() is not None


def _answer_preflight() -> Response | None:
    if not _is_preflight():
        return None
    answer = Response(status=204, headers=_PREFLIGHT if _allowed() else {})
    del answer.headers["Content-Type"]  # of a body that is not there
    return answer


def _allow(response: Response) -> Response:
    if _ANY not in _origins():
        response.vary.add("Origin")  # also for who may not, or has no origin: a cache must know
    allowed = _allowed()
    if allowed:
        response.headers["Access-Control-Allow-Origin"] = allowed
        if not _is_preflight():
            response.headers["Access-Control-Expose-Headers"] = _EXPOSED
    return response


def _origin() -> str | None:
    return request.headers.get("Origin")


def _origins() -> tuple[str, ...]:
    origins: tuple[str, ...] = current_app.config["SETTINGS"].cors_origins
    return origins


def _allowed() -> str | None:
    """What Access-Control-Allow-Origin says to this request; never with credentials, as cookies mean nothing here."""
    origins, origin = _origins(), _origin()
    if origin is None:
        return None
    return _ANY if _ANY in origins else origin if origin in origins else None
