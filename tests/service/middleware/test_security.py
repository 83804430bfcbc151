"""The security headers of all answers."""

import pytest
from flask.testing import FlaskClient

PATHS = ("/v1", "/nothing", "/problems", "/troubleshooting", "/static/pages.css", "/livez", "/openapi.json", "/docs")


@pytest.mark.parametrize("path", PATHS)
def test_no_answer_may_be_sniffed_or_embedded_elsewhere(client: FlaskClient, path: str) -> None:
    """This includes errors and files. No header reveals the server software."""
    with client.get(path) as answer:
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer.headers["Server"] == "chainrule"
        assert answer.headers.get("Referrer-Policy") == ("no-referrer" if answer.mimetype == "text/html" else None)
        assert answer.mimetype != "text/html" or "Content-Security-Policy" in answer.headers
