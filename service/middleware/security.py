"""Security headers of all answers. The Content-Security-Policy of each page is set in `service/pages`."""

from flask import Flask, Response


def register(app: Flask) -> None:
    """Make the app add the headers to every answer."""
    app.after_request(_secure)


def _secure(response: Response) -> Response:
    response.headers["Server"] = "chainrule"  # gunicorn and werkzeug would add their versions
    response.headers["X-Content-Type-Options"] = "nosniff"
    # No page of another origin may embed an answer (as an image or a script). For fetch there is CORS.
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    if response.mimetype == "text/html":
        response.headers["Referrer-Policy"] = "no-referrer"
    return response
