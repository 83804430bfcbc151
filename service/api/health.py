"""Whether the service lives, and whether requests should be sent to it."""

from flask import Blueprint, Response, current_app

from service.resources.shared import Shared

health = Blueprint("health", __name__)


@health.get("/livez")
def get_livez() -> Response:
    """200 as long as there is somebody to answer."""
    return _text("ok", 200)


@health.get("/readyz")
def get_readyz() -> Response:
    """200 while requests should be sent here; 503 before the first worker serves, and from SIGTERM on."""
    shared: Shared | None = current_app.extensions.get("chainrule.shared")
    if shared is None or shared.ready:
        return _text("ok", 200)
    return _text("draining" if shared.draining else "starting", 503)


def _text(word: str, status: int) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(f"{word}\n", status, headers, content_type="text/plain; charset=utf-8")
