"""The health endpoints: liveness and readiness."""

from flask import Blueprint, Response, current_app

from service.resources.shared import SHARED, Shared

health = Blueprint("health", __name__)


@health.get("/livez")
def get_livez() -> Response:
    """200 while the process is alive."""
    return _text("ok", 200)


@health.get("/readyz")
def get_readyz() -> Response:
    """200 while the service accepts requests; 503 before the first worker is ready, and after SIGTERM."""
    shared: Shared | None = current_app.extensions.get(SHARED)
    if shared is None or shared.ready:
        return _text("ok", 200)
    return _text("draining" if shared.draining else "starting", 503)


def _text(word: str, status: int) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(f"{word}\n", status, headers, content_type="text/plain; charset=utf-8")
