"""The explorer: a page at / that shows the gradients of a network, and its files.

The page uses the same endpoints as every other client, and does not compute results itself.
"""

from pathlib import Path

from flask import Blueprint, Response, current_app, make_response, render_template, request, send_from_directory

from service.problems import NOT_FOUND, Refusal

FILES = Path(__file__).parent / "static" / "explorer"
POLICY = "; ".join(
    (
        *("default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'"),
        *("frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"),
        *("require-trusted-types-for 'script'", "trusted-types lit-html"),
    )
)

explorer = Blueprint("explorer", __name__)


def page() -> Response:
    """The explorer page, with a Content-Security-Policy that allows only content of this service."""
    answer = _revalidated(make_response(render_template("explorer.html")))
    answer.headers["Content-Security-Policy"] = POLICY
    return answer


def wants_page() -> bool:
    """Whether the explorer is on and Accept prefers HTML to JSON, as a browser's does, but not curl's `*/*`."""
    accepted = request.accept_mimetypes
    return is_on() and accepted["text/html"] > accepted["application/json"]


def is_on() -> bool:
    """Whether the explorer is switched on in this deployment."""
    return bool(current_app.config["SETTINGS"].explorer)


@explorer.get("/static/explorer/<path:file>")
def get_file(file: str) -> Response:
    """A script or a style sheet of the page."""
    if not is_on():
        raise Refusal(NOT_FOUND, "the explorer is switched off here")
    return _revalidated(send_from_directory(FILES, file))


def _revalidated(answer: Response) -> Response:
    """Let caches revalidate the answer at every use, so that the page never mixes modules of two versions."""
    answer.headers["Cache-Control"] = "no-cache"
    return answer
