"""The pages for people: API reference, types of problems, troubleshooting. They load nothing from other sites."""

from pathlib import Path

import flask_swagger_ui  # type: ignore[import-untyped]  # used only for its files
from flask import Blueprint, Response, render_template, request, send_from_directory

from chainrule import __version__
from service.pages.troubleshooting import ENTRIES, entries_of
from service.problems import NOT_FOUND, PROBLEMS, Refusal

_POLICY = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

# Tested in Chromium: Swagger UI sets its styles by script, which style-src allows. Most of its icons are inline SVG, a
# few in its style sheet are data: images. "Try it out" sends requests to our own address.
_REFERENCE_POLICY = _POLICY + "; script-src 'self'; connect-src 'self'; img-src data:"

SWAGGER_UI = Path(flask_swagger_ui.__file__).parent / "dist"
ASSETS = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}  # the files that the reference needs
_VERSION = (SWAGGER_UI / "VERSION").read_text("utf-8").strip()  # in the URL of an asset, so that it can be cached
_YEAR = 365 * 24 * 60 * 60

pages = Blueprint("pages", __name__)


@pages.get("/docs")
def get_docs() -> str:
    """The API reference: a page on which every operation can be tried out."""
    return render_template("docs.html", version=__version__, assets_version=_VERSION)


@pages.get("/docs/assets/<file>")
def get_asset(file: str) -> Response:
    """A file of Swagger UI, for the API reference."""
    if file not in ASSETS:
        raise Refusal(NOT_FOUND, "the API reference has no file of this name")
    answer = send_from_directory(SWAGGER_UI, file, mimetype=ASSETS[file], max_age=_YEAR)
    answer.cache_control.public = True
    answer.cache_control.immutable = True
    return answer


@pages.get("/problems")
def get_problems() -> str:
    """A page that lists all types of problems."""
    return render_template("problems.html", problems=PROBLEMS.values())


@pages.get("/problems/<name>")
def get_problem(name: str) -> str:
    """A page about one type of problem: what it means, and what helps."""
    if name not in PROBLEMS:
        raise Refusal(NOT_FOUND, "no problem has this name; GET /problems lists them")
    problem = PROBLEMS[name]
    return render_template("problem.html", problem=problem, entries=entries_of(problem))


@pages.get("/troubleshooting")
def get_troubleshooting() -> str:
    """A page for operators: symptoms, their causes, and what to do."""
    return render_template("troubleshooting.html", entries=ENTRIES)


@pages.after_request
def _secure(response: Response) -> Response:
    policy = _REFERENCE_POLICY if request.endpoint == "pages.get_docs" else _POLICY
    response.headers["Content-Security-Policy"] = policy
    return response
