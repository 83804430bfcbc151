"""The pages that explain the types of problems: plain HTML, nothing from elsewhere."""

from flask import Blueprint, Response, render_template

from service.problems import NOT_FOUND, PROBLEMS, Refusal

POLICY = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

pages = Blueprint("pages", __name__, url_prefix="/problems")


@pages.get("")
def get_problems() -> str:
    """All types of problems."""
    return render_template("problems.html", problems=PROBLEMS.values())


@pages.get("/<name>")
def get_problem(name: str) -> str:
    """One type of problem: what it means, and what helps."""
    if name not in PROBLEMS:
        raise Refusal(NOT_FOUND, "no problem has this name; GET /problems lists them")
    return render_template("problem.html", problem=PROBLEMS[name])


@pages.after_request
def _secure(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
