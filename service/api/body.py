"""Reads the body of a request: complete, decompressed, and within the limit."""

from collections.abc import Iterator
from typing import Any, BinaryIO

from flask import Request, g
from werkzeug.wsgi import get_content_length

from schemas.fields.wording import shown
from service.configuration.limits import BODY_BYTES, LIMITS, words
from service.encoding.content_codings import CODINGS, IDENTITY, BadCoding, TooMuch, announced_size, pieces
from service.encoding.outline import Outline
from service.problems import BAD_REQUEST, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, Refusal
from service.resources.admission import reserve
from service.resources.handover import BODY

_LIMIT = next(limit for limit in LIMITS if limit.name == BODY_BYTES)

# How far a compressed body may expand, in bytes of memory that decoding it takes. JSON of random numbers takes 10 times
# the bytes of its gzip, handwritten digits (MNIST, as whole numbers) some 250 times, zeros 35,000 times.
_EXPANSION = 28 * 2**20  # bytes, for a body of 100 kB or less as sent: its mistakes are found within 50 ms
_SHORT = 100_000  # bytes
_EXPANSION_OF_A_BYTE = 600  # more bytes for each byte sent beyond 100 kB

# Bytes that count beside the memory, because these parts take longer to read and check than numbers of equal memory.
_PER_LIST, _PER_STRING, _PER_OBJECT, _PER_MEMBER = 300, 60, 8000, 1200

_EXPANDED = 8  # bytes reserved for each announced decompressed byte: itself, its piece, and decoding in most cases


def read_body(request: Request, allowed: int) -> bytes:
    """The bytes of a JSON body. Raises Refusal: wrong type or coding (415), over the limit (413), cut short (400).

    The limit applies to the body as sent, and to the decompressed body.
    """
    environ = request.environ
    if environ.get("CONTENT_TYPE") != "application/json" and request.mimetype != "application/json":
        given = f"not {shown(request.mimetype)}" if request.mimetype else "but the request names none"
        raise Refusal(UNSUPPORTED_MEDIA_TYPE, f"the body must have the Content-Type application/json, {given}")
    coding = _coding(environ.get("HTTP_CONTENT_ENCODING"))
    body = environ.pop(BODY, None)
    if body is None:
        body = _received(environ, allowed)
    return body if coding == IDENTITY else _expanded(coding, body, allowed)


def _received(environ: dict[str, Any], allowed: int) -> bytes:
    """The whole body, received here: the application runs without our server, which would have received it."""
    announced = get_content_length(environ)
    body = _read_up_to(environ["wsgi.input"], allowed + 1 if announced is None else min(allowed + 1, announced))
    g.request_bytes = len(body)
    if len(body) > allowed:
        raise over_limit(max(announced or 0, len(body)), allowed)
    if announced is not None and len(body) < announced:
        raise Refusal(BAD_REQUEST, f"the body ended after {len(body)} of its {announced} bytes")
    return body


def over_limit(asked: int, allowed: int, close: bool = False) -> Refusal:
    """The refusal of a body of `asked` bytes; `close` tells the client that no further request is read."""
    headers = {"Connection": "close"} if close else {}
    return Refusal(TOO_LARGE, words(_LIMIT, asked, allowed), members={"limit": allowed}, headers=headers)


def _coding(given: str | None) -> str:
    """The Content-Encoding of the body. One coding at most: a bomb within a bomb would be twice as hard to bound."""
    if given is None:
        return IDENTITY
    coding = given.strip().lower()
    if coding not in {IDENTITY, *CODINGS}:
        known = ", ".join(sorted(CODINGS))
        detail = f"the body must have one of the Content-Encodings {known}, or none; not {shown(coding)}"
        raise Refusal(UNSUPPORTED_MEDIA_TYPE, detail, headers={"Accept-Encoding": known})
    return coding


def _expanded(coding: str, body: bytes, allowed: int) -> bytes:
    try:
        return b"".join(_within_bounds(pieces(coding, body, allowed), len(body), announced_size(coding, body)))
    except BadCoding as error:
        raise Refusal(BAD_REQUEST, f"the body is not {coding}, as its Content-Encoding says: {error}") from error
    except TooMuch as error:
        detail = (
            f"the decompressed body is over {allowed} bytes, which are allowed ({_LIMIT.meaning}; the limit "
            f"{_LIMIT.name}, set by {_LIMIT.setting}): {_LIMIT.way_out}"
        )
        raise Refusal(TOO_LARGE, detail, members={"limit": allowed}) from error


def _within_bounds(parts: Iterator[bytes], sent: int, announced: int | None) -> Iterator[bytes]:
    """The parts of a decompressed body. Raises Refusal once decoding them takes too much memory for the bytes sent.

    A hundred kilobytes could expand to 32 MB, and refusing these would take half a second. This reserves memory for the
    announced size first. If that is not enough, it reserves all the memory allowed.
    """
    allowed, taken = _EXPANSION + _EXPANSION_OF_A_BYTE * max(0, sent - _SHORT), 0
    reserved = allowed if announced is None else min(allowed, _EXPANDED * announced)
    reserve(reserved)
    for part in parts:
        taken += len(part) + _weight(Outline(part))
        if taken > allowed:
            detail = (
                f"the decompressed body holds more than {allowed} bytes worth of numbers, lists and objects, which are "
                f"allowed to one that was sent as {sent} bytes: send it without Content-Encoding"
            )
            raise Refusal(TOO_LARGE, detail)
        if taken > reserved:
            reserved = allowed
            reserve(reserved)
        yield part


def _weight(outline: Outline) -> int:
    """The bytes that decoding a text takes, with extra bytes for parts that take long to decode."""
    return (
        outline.memory
        + _PER_LIST * outline.lists
        + _PER_STRING * outline.strings
        + _PER_OBJECT * outline.objects
        + _PER_MEMBER * outline.colons
    )


def _read_up_to(stream: BinaryIO, left: int) -> bytes:
    """At most `left` bytes of the server's stream. Flask's own stream silently cuts a chunked body at the limit."""
    parts = []
    while left > 0 and (part := stream.read(left)):  # one read, because then a complete body is not copied
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
