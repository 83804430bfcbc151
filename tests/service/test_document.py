"""JSON documents as answers: what is sent is what werkzeug would send."""

from typing import Any

import pytest
from flask import Response
from werkzeug.test import create_environ

from service.document import Document


def _sent(answer: Response, method: str) -> tuple[str, set[tuple[str, str]], bytes]:
    """Status, headers and body, as a WSGI server gets them."""
    started: list[Any] = []
    chunks = answer(create_environ(method=method), lambda status, headers, _=None: started.extend([status, headers]))
    return started[0], set(started[1]), b"".join(chunks)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("status", [200, 204, 304, 422])
def test_a_document_is_sent_as_any_response_is(status: int, method: str) -> None:
    """Also where HTTP allows no body, or no Content-Length."""
    given: dict[str, Any] = {"status": status, "headers": {"ETag": 'W/"x"'}, "content_type": "application/json"}
    assert _sent(Document(b"{}\n", **given), method) == _sent(Response(b"{}\n", **given), method)


def test_a_document_knows_its_size() -> None:
    """Also after its body has been put in another form."""
    document = Document(b"{}\n", content_type="application/json")
    assert document.size == 3
    document.set_data(b"12345")
    assert document.size == 5
