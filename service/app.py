"""The application factory: joins, decides nothing."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from flask import Flask, Request
from werkzeug.routing import MapAdapter
from werkzeug.wsgi import get_host

from service import problems
from service.api import openapi, routes
from service.api.health import health
from service.configuration.limits import BODY_BYTES, MEMORY_BYTES
from service.configuration.settings import Settings, read_settings
from service.middleware import compression, context, cors, etags, keys, logs, security
from service.pages import explorer, pages
from service.resources.ledger import largest_body, largest_request

# What is done before a request is done in this order, and what is done to its answer in the opposite one:
#   requests     first, so that everything has an id; last, so that it sees the answer as it is sent
#   logs         has no part in either: requests tells it
#   cors         answers a preflight, which cannot have a key, before keys asks for one; opens refusals to other origins
#   compression  works on what etags leaves: of a 304 nothing, of a document with a tag its compressed form
#   problems     turns into an answer what any of these, or a view, raises
AROUND = (context, logs, security, cors, keys, compression, etags, problems)


class _Service(Flask):
    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """As it is: no view is a coroutine here, and Flask would look anew at each view and hook of every request."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """The router for a request. Flask's own reads the host twice, and looks at subdomains, which are not used."""
        if request is None or "HTTP_UPGRADE" in request.environ or not request.environ["PATH_INFO"]:
            return super().create_url_adapter(request)
        request.host = get_host(request.environ)
        return self.url_map.bind(
            request.host,
            request.root_path,
            subdomain="",
            url_scheme=request.scheme,
            default_method=request.method,
            path_info=request.path,
            query_args=request.query_string.decode(errors="replace"),
        )


def create_app(settings: Settings | None = None) -> Flask:
    """The WSGI application, with the settings of the environment unless others are given. Raises BadSettings."""
    app = _Service(__name__)
    app.url_map.merge_slashes = False  # a redirect to another path would lose the body of a request
    app.config["SETTINGS"] = _within_budget(settings or read_settings())
    for part in AROUND:
        part.register(app)
    for blueprint in (routes.v1, routes.root, health, pages.pages, explorer.explorer, openapi.openapi):
        app.register_blueprint(blueprint)
    return app


def _within_budget(settings: Settings) -> Settings:
    """The settings, with limits that the memory budget of the service allows."""
    most = {BODY_BYTES: largest_body(settings.memory_bytes), MEMORY_BYTES: largest_request(settings.memory_bytes)}
    limits = {name: min(limit, most.get(name, limit)) for name, limit in settings.limits.items()}
    return replace(settings, limits=limits)
