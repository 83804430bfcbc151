"""The application factory."""

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

# The middleware handles requests in this order, and answers in the reverse order:
#   context      first for requests, so that every request has an id; last for answers, so that it logs what is sent
#   logs         handles neither: context calls it
#   cors         before keys, because a preflight cannot have a key; after keys for answers, so refusals get its headers
#   compression  after etags for answers, so that a 304 stays empty and a document is compressed after it has its ETag
#   problems     turns exceptions of the middleware and of the views into answers
MIDDLEWARE = (context, logs, security, cors, keys, compression, etags, problems)


class _Service(Flask):
    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return `func` unchanged: all views are synchronous, so skip Flask's check on every call."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Return the router for a request. Flask's own reads the host twice, and matches subdomains."""
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
    """Create the WSGI application, by default with the settings of the environment. Raises BadSettings."""
    app = _Service(__name__, static_folder="pages/static", template_folder="pages/templates")
    app.url_map.merge_slashes = False  # a redirect to another path would lose the body of a request
    app.config["SETTINGS"] = _within_budget(settings or read_settings())
    for part in MIDDLEWARE:
        part.register(app)
    for blueprint in (routes.v1, routes.root, health, pages.pages, explorer.explorer, openapi.openapi):
        app.register_blueprint(blueprint)
    return app


def _within_budget(settings: Settings) -> Settings:
    """The settings, with limits no larger than the memory budget allows."""
    most = {BODY_BYTES: largest_body(settings.memory_bytes), MEMORY_BYTES: largest_request(settings.memory_bytes)}
    limits = {name: min(limit, most.get(name, limit)) for name, limit in settings.limits.items()}
    return replace(settings, limits=limits)
