"""The application factory: joins, decides nothing."""

from flask import Flask

from service import pages, problems, requests, routes
from service.health import health
from service.settings import Settings, read_settings


def create_app(settings: Settings | None = None) -> Flask:
    """The WSGI application, with the settings of the environment unless others are given."""
    app = Flask(__name__)
    app.config["SETTINGS"] = settings or read_settings()
    requests.register(app)
    problems.register(app)
    for blueprint in (routes.v1, routes.root, health, pages.pages):
        app.register_blueprint(blueprint)
    return app
