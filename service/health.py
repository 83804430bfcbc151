"""Whether the service lives, and whether it takes requests."""

from flask import Blueprint, Response

health = Blueprint("health", __name__)


@health.get("/livez")
@health.get("/readyz")
def get_health() -> Response:
    """200 from the moment on that requests are answered."""
    return Response("ok\n", content_type="text/plain; charset=utf-8")
