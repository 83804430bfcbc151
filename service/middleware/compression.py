"""Compression of answers, as negotiated by Accept-Encoding."""

from flask import Flask, Response, request
from werkzeug.datastructures import Accept

from schemas.fields.wording import LONGEST_SHOWN, cut
from service.document import Document
from service.encoding.content_codings import CODINGS, IDENTITY
from service.problems import NOT_ACCEPTABLE, Refusal

SMALLEST = 4096  # bytes; below, compression saves less than one packet

_TEXT = {"application/json", "application/problem+json", "application/javascript", "image/svg+xml"}  # and text/*


def register(app: Flask) -> None:
    """Make the app compress its answers."""
    app.before_request(_refuse_unacceptable)
    app.after_request(_compress)


def coding_for(accepted: Accept, small: bool = False) -> str | None:
    """The coding that Accept-Encoding prefers, among equals the cheapest; None if no coding is acceptable.

    Identity (no compression) is acceptable unless Accept-Encoding excludes it, by name or by `*;q=0`. If it is not
    named, it has the lowest preference (RFC 9110, section 12.5.3). Small answers are compressed only if they must be.
    """
    if not accepted:
        return IDENTITY
    qualities = {coding.lower(): quality for coding, quality in reversed(accepted)}
    other = qualities.get("*")
    best = max(CODINGS, key=lambda coding: qualities.get(coding, other or 0))
    quality, identity = qualities.get(best, other or 0), qualities.get(IDENTITY, other)
    if quality > 0 and quality >= (identity or 0) and (identity == 0 or not small):
        return best
    return None if identity == 0 else IDENTITY


def _accepts_identity(given: str) -> bool:
    """Whether an Accept-Encoding accepts identity for certain: only a quality, after a `;`, can exclude it."""
    return ";" not in given


def _refuse_unacceptable() -> None:
    if _accepts_identity(request.environ.get("HTTP_ACCEPT_ENCODING", "")):
        return
    accepted = request.accept_encodings
    if coding_for(accepted) is None:
        known = ", ".join(CODINGS)
        given = cut(str(accepted), LONGEST_SHOWN)
        detail = f"the answer can be sent as it is, or as {known}, all of which Accept-Encoding: {given} rules out"
        raise Refusal(NOT_ACCEPTABLE, detail)


def _compress(response: Response) -> Response:
    if not _compressible(response):
        return response
    _vary(response)
    _weaken_etag(response)
    size = _size(response)
    if size < SMALLEST and _accepts_identity(request.environ.get("HTTP_ACCEPT_ENCODING", "")):
        return response
    coding = coding_for(accepted_codings(), size < SMALLEST)
    if response.status_code != 304 and size and coding is not None and coding in CODINGS:
        response.direct_passthrough = False  # a file is read here
        response.set_data(CODINGS[coding].compress(response.get_data()))
        response.headers.add("Content-Encoding", coding)
        if not isinstance(response, Document):
            response.headers.pop("Accept-Ranges", None)  # ranges of the file are no ranges of the answer
    return response


def _compressible(response: Response) -> bool:
    """Whether an answer is complete text and not compressed yet; a 304 counts, because it has the same headers."""
    if isinstance(response, Document):
        return True
    kind = response.mimetype or ""
    return (
        (kind in _TEXT or kind.startswith("text/"))
        and response.status_code not in {204, 206}
        and not response.content_encoding
    )


def accepted_codings() -> Accept:
    """The parsed Accept-Encoding. A list of names without qualities is split here, which is faster."""
    given = request.environ.get("HTTP_ACCEPT_ENCODING", "")
    if '"' in given or not _accepts_identity(given):
        return request.accept_encodings
    return Accept([(name.strip(), 1) for name in given.split(",")])


def _vary(response: Response) -> None:
    """Tell caches that the answer depends on Accept-Encoding, even if this one is not compressed."""
    if "Vary" in [name for name, _ in response.headers]:
        response.vary.add("Accept-Encoding")
    else:
        response.headers.add("Vary", "Accept-Encoding")


def _size(response: Response) -> int:
    """The bytes of the body, as far as they are known."""
    if isinstance(response, Document):
        return response.size
    return response.content_length or response.calculate_content_length() or 0


def _weaken_etag(response: Response) -> None:
    """Make the ETag weak: all encodings of a document share it, and their bytes differ."""
    if isinstance(response, Document) and request.method == "POST":  # a computed answer has no ETag
        return
    tag, weak = response.get_etag()
    if tag is not None and not weak:
        response.set_etag(tag, weak=True)
