"""The explorer: a page at / on which a network's gradients are seen, and the files that it is made of.

The page asks the same endpoints as every other client, and computes nothing that they answer.
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
    """The page, under a policy that lets in what comes from this service alone."""
    answer = _asked_for_anew(make_response(render_template("explorer.html")))
    answer.headers["Content-Security-Policy"] = POLICY
    return answer


def wants_page() -> bool:
    """Whether the explorer is on, and a page is liked better than JSON: a browser's case, not curl's `*/*`."""
    accepted = request.accept_mimetypes
    return is_on() and accepted["text/html"] > accepted["application/json"]


def is_on() -> bool:
    """Whether this deployment has the page."""
    return bool(current_app.config["SETTINGS"].explorer)


@explorer.get("/static/explorer/<path:file>")
def get_file(file: str) -> Response:
    """A script or a style of the page."""
    if not is_on():
        raise Refusal(NOT_FOUND, "the explorer is switched off here")
    return _asked_for_anew(send_from_directory(FILES, file))


def _asked_for_anew(answer: Response) -> Response:
    """Kept, but asked for each time by its tag: modules of two versions must never be mixed."""
    answer.headers["Cache-Control"] = "no-cache"
    return answer
