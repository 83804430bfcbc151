"""The JSON answer: one piece of bytes in memory."""

from collections.abc import Iterable
from typing import Any

from flask import Response

_WITHOUT_BODY = {204, 304}


class Document(Response):
    """A JSON answer whose body is one piece of bytes, with its length in the headers."""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Send the answer as a WSGI application. Its headers are complete, so Flask's work on them is skipped."""
        if self.status_code in _WITHOUT_BODY or environ["REQUEST_METHOD"] == "HEAD":
            return super().__call__(environ, start_response)
        start_response(self.status, self.headers.to_wsgi_list())
        return self.response  # type: ignore[return-value]

    @property
    def size(self) -> int:
        """The bytes of the body."""
        (body,) = self.response
        return len(body)
