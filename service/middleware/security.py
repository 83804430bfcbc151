"""Security headers of all answers. The Content-Security-Policy of each page is set in `service/pages`."""

from flask import Flask, Response

from service.document import Document


def register(app: Flask) -> None:
    """Make the app add the headers to every answer."""
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
