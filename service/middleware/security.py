"""Headers by which a browser takes no answer for something else than it is. The pages' own policy stands with them."""

from flask import Flask, Response

from service.document import Document


def register(app: Flask) -> None:
    """Have every answer of the app carry them."""
    app.after_request(_secure)


def _secure(response: Response) -> Response:
    add = response.headers.add  # nothing else sets these
    add("Server", "chainrule")  # not what gunicorn or werkzeug would put there, with a version
    add("X-Content-Type-Options", "nosniff")
    # For what a page embeds without asking (an image, a script). What it fetches is the matter of CORS.
    add("Cross-Origin-Resource-Policy", "same-origin")
    if not isinstance(response, Document) and response.mimetype == "text/html":
        response.headers["Referrer-Policy"] = "no-referrer"
    return response
