"""Headers by which a browser takes no answer for something else than it is. The pages' own policy stands with them."""

from flask import Flask, Response


def register(app: Flask) -> None:
    """Have every answer of the app carry them."""
    app.after_request(_secure)


def _secure(response: Response) -> Response:
    response.headers["Server"] = "chainrule"  # not what gunicorn or werkzeug would put there, with a version
    response.headers["X-Content-Type-Options"] = "nosniff"
    # For what a page embeds without asking (an image, a script). What it fetches is the matter of CORS.
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    if response.mimetype == "text/html":
        response.headers["Referrer-Policy"] = "no-referrer"
    return response
