"""CORS: browsers let pages of other origins call the service only if CHAINRULE_CORS_ORIGINS lists them."""

from flask import Flask, Response, current_app, request

_ANY = "*"
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST",
    "Access-Control-Allow-Headers": (
        "Content-Type, Content-Encoding, Authorization, X-API-Key, X-Request-ID, If-None-Match"
    ),
    "Access-Control-Max-Age": "7200",  # seconds, the maximum in Chromium (MDN)
}
_EXPOSED = "X-Request-ID, Server-Timing, Retry-After, ETag"


def register(app: Flask) -> None:
    """Make the app add CORS headers to all answers, errors included. Without CORS origins it adds none."""
    if app.config["SETTINGS"].cors_origins:
        app.before_request(_answer_preflight)
        app.after_request(_allow)


def _is_preflight() -> bool:
    """Whether a request is a browser's CORS preflight."""
    return request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers and _origin() is not None


def _answer_preflight() -> Response | None:
    if not _is_preflight():
        return None
    answer = Response(status=204, headers=_PREFLIGHT if _allowed() else {})
    del answer.headers["Content-Type"]  # the answer has no body
    return answer


def _allow(response: Response) -> Response:
    if _ANY not in _origins():
        response.vary.add("Origin")  # for caches, even if this origin is missing or not allowed
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
    """The value of Access-Control-Allow-Origin for this request. Credentials are never allowed: we use no cookies."""
    origins, origin = _origins(), _origin()
    if origin is None:
        return None
    return _ANY if _ANY in origins else origin if origin in origins else None
