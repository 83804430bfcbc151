"""The head of an answer: status line and headers."""

from collections.abc import Sequence
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_WITHOUT_BODY = frozenset({204, 304})


def response_head(
    version: str, status: int, headers: Sequence[tuple[str, str]], now: float, length: int | None, connection: str
) -> bytes:
    """The bytes of the head. Adds Date and Content-Length if the application set none, and Connection unless ""."""
    given = {name.lower() for name, _ in headers}
    lines = [f"HTTP/{version} {status} {_PHRASES.get(status, '')}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if length is not None and status not in _WITHOUT_BODY and "content-length" not in given:
        lines.append(f"Content-Length: {length}")
    if "date" not in given:
        lines.append(_date(int(now)))
    if connection and "connection" not in given:
        lines.append(f"Connection: {connection}")
    lines.append("\r\n")
    return "\r\n".join(lines).encode("latin-1")


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    """The Date header of this second."""
    return f"Date: {formatdate(second, usegmt=True)}"
