"""The admin application: health and metrics. Its own address and process let it answer while every worker is busy."""

from pathlib import Path

from flask import Blueprint, Flask, Response, current_app

from service import problems
from service.api.health import health
from service.middleware import context, logs, security
from service.middleware.metrics import CONTENT_TYPE, exposition
from service.resources.shared import SHARED, Shared

admin = Blueprint("admin", __name__)


def create_admin_app(shared: Shared, directory: Path) -> Flask:
    """Create the Flask app with /livez, /readyz and /metrics."""
    app = Flask(__name__, static_folder=None)
    app.extensions[SHARED] = shared
    app.config["METRICS"] = directory
    for part in (context, logs, security, problems):
        part.register(app)
    app.register_blueprint(health)
    app.register_blueprint(admin)
    return app


@admin.get("/metrics")
def get_metrics() -> Response:
    """The metrics of all workers."""
    text = exposition(current_app.config["METRICS"], current_app.extensions[SHARED])
    return Response(text, content_type=CONTENT_TYPE)
