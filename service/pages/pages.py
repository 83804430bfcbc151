"""The pages: the API reference, and those that explain the types of problems. Nothing comes from elsewhere."""

from pathlib import Path

import flask_swagger_ui  # type: ignore[import-untyped]  # its files alone are used
from flask import Blueprint, Response, render_template, request, send_from_directory

from chainrule import __version__
from service.pages.troubleshooting import TROUBLES, troubles_of
from service.problems import NOT_FOUND, PROBLEMS, Refusal

_POLICY = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

# Found by trial in Chromium: Swagger UI sets its styles from script, which style-src does not mind, and draws its icons
# inline, but for a few in its style sheet, which are data: images. What is tried out goes to our own address.
_REFERENCE_POLICY = _POLICY + "; script-src 'self'; connect-src 'self'; img-src data:"

SWAGGER_UI = Path(flask_swagger_ui.__file__).parent / "dist"
ASSETS = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}  # all that the reference needs
_VERSION = (SWAGGER_UI / "VERSION").read_text("utf-8").strip()  # in the address of an asset, so that it can be kept
_YEAR = 365 * 24 * 60 * 60

pages = Blueprint("pages", __name__)


@pages.get("/docs")
def get_docs() -> str:
    """The API reference, for people: every operation, to be tried out."""
    return render_template("docs.html", version=__version__, assets_version=_VERSION)


@pages.get("/docs/assets/<file>")
def get_asset(file: str) -> Response:
    """A file of Swagger UI that the reference needs."""
    if file not in ASSETS:
        raise Refusal(NOT_FOUND, "the API reference has no file of this name")
    answer = send_from_directory(SWAGGER_UI, file, mimetype=ASSETS[file], max_age=_YEAR)
    answer.cache_control.public = True
    answer.cache_control.immutable = True
    return answer


@pages.get("/problems")
def get_problems() -> str:
    """All types of problems, as a page."""
    return render_template("problems.html", problems=PROBLEMS.values())


@pages.get("/problems/<name>")
def get_problem(name: str) -> str:
    """One type of problem, as a page: what it means, and what helps."""
    if name not in PROBLEMS:
        raise Refusal(NOT_FOUND, "no problem has this name; GET /problems lists them")
    problem = PROBLEMS[name]
    return render_template("problem.html", problem=problem, troubles=troubles_of(problem))


@pages.get("/troubleshooting")
def get_troubleshooting() -> str:
    """Troubleshooting for operators, as a page: what is seen, why, and what to do."""
    return render_template("troubleshooting.html", troubles=TROUBLES)


@pages.after_request
def _secure(response: Response) -> Response:
    policy = _REFERENCE_POLICY if request.endpoint == "pages.get_docs" else _POLICY
    response.headers["Content-Security-Policy"] = policy
    return response
