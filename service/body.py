"""The body of a request, whole and within the limit."""

from flask import Request

from service.limits import BODY_BYTES, LIMITS, words
from service.problems import BAD_REQUEST, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, Refusal

_CHUNK = 64 * 1024
_READ_AND_DROPPED = 8  # times the limit: a client still sending would see a broken connection instead of the 413

_LIMIT = next(limit for limit in LIMITS if limit.name == BODY_BYTES)


def read_body(request: Request, allowed: int) -> bytes:
    """The bytes of a JSON body. Raises Refusal: another type (415), over the limit (413), cut short (400)."""
    if request.mimetype != "application/json":
        given = f'not "{request.mimetype}"' if request.mimetype else "but the request names none"
        raise Refusal(UNSUPPORTED_MEDIA_TYPE, f"the body must have the Content-Type application/json, {given}")
    body = _read_up_to(request, allowed + 1)
    if len(body) > allowed:
        asked = max(request.content_length or 0, len(body))
        _drop(request, _READ_AND_DROPPED * allowed)
        detail = words(_LIMIT, asked, allowed)
        raise Refusal(TOO_LARGE, detail, members={"limit": allowed})
    if request.content_length is not None and len(body) < request.content_length:
        raise Refusal(BAD_REQUEST, f"the body ended after {len(body)} of its {request.content_length} bytes")
    return body


def _read_up_to(request: Request, most: int) -> bytes:
    """At most so many bytes, from the server's own stream: Flask's cuts a chunked body at the limit without a word."""
    stream = request.environ["wsgi.input"]
    left = most if request.content_length is None else min(most, request.content_length)
    parts = []
    while left > 0 and (part := stream.read(min(left, 16 * _CHUNK))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _drop(request: Request, most: int) -> None:
    """Read on without keeping anything, so that the client gets to reading the answer."""
    stream = request.environ["wsgi.input"]
    unread = most if request.content_length is None else request.content_length
    for _ in range(min(unread, most) // _CHUNK):
        if not stream.read(_CHUNK):
            return
