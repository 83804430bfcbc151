"""Problem details (RFC 9457): every error answer, and the pages that explain each type."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from traceback import clear_frames
from typing import Any

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException, InternalServerError, MethodNotAllowed, NotFound

from schemas import ValidationError
from schemas.fields.wording import LONGEST_SHOWN, cut, shown
from schemas.problem import errors_of
from service.document import Document
from service.encoding.codec import MalformedJSON, encode

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class Problem:
    """One type of problem: `/problems/<name>` explains it."""

    name: str
    status: int
    title: str
    explanation: str
    remedy: str


MALFORMED_JSON = Problem(
    "malformed-json",
    400,
    "Malformed JSON",
    "The body could not be read as one JSON document in UTF-8. NaN, Infinity, comments and trailing commas are not "
    "JSON. A key given twice in one object is refused, because it is not clear which value was meant. Lists and "
    "objects nested deeper than the limit json_depth are refused, too.",
    "The detail names the line and column, or the place as a JSON Pointer.",
)
BAD_REQUEST = Problem(
    "bad-request",
    400,
    "Bad request",
    "The body is shorter than its Content-Length says, not compressed as its Content-Encoding says, or the framing of "
    "the request is broken.",
    "Send the request again, whole. A compressed body is one gzip member or one zstd frame, with nothing behind it.",
)
UNAUTHORIZED = Problem(
    "unauthorized",
    401,
    "Unauthorized",
    "This deployment requires an API key. The request has no key, or an unknown one.",
    "Send the key in the header Authorization, after the word Bearer, or in the header X-API-Key. The operator of the "
    "service issues the keys.",
)
NOT_FOUND = Problem(
    "not-found",
    404,
    "Not found",
    "The path matches no endpoint, or it names an activation, a loss or a problem type that does not exist.",
    "GET /v1 lists the endpoints, GET /v1/activations the activations, GET /v1/losses the losses.",
)
METHOD_NOT_ALLOWED = Problem(
    "method-not-allowed",
    405,
    "Method not allowed",
    "The path exists, but does not take this method.",
    "The Allow header of the answer lists the methods that it takes.",
)
NOT_ACCEPTABLE = Problem(
    "not-acceptable",
    406,
    "Not acceptable",
    "The Accept header of the request excludes every media type of the answer, or its Accept-Encoding header excludes "
    "every coding.",
    "Send Accept: application/json, or no Accept header. Allow at least one of zstd, gzip and identity in "
    "Accept-Encoding.",
)
REQUEST_TIMEOUT = Problem(
    "request-timeout",
    408,
    "Request timeout",
    "The body took longer to arrive than this deployment allows. Or other requests needed the memory, and this body "
    "was among the slowest to arrive.",
    "Send the request again: compressed, over a faster connection, or as several smaller batches whose gradients you "
    "add up.",
)
TOO_LARGE = Problem(
    "too-large",
    413,
    "Content too large",
    "The body is over the limit of this deployment, as it was sent or once it is decompressed. Or a compressed "
    "body takes more memory to decode than its size allows: 28 MiB, and 600 bytes for each byte sent beyond 100 kB.",
    "Send fewer samples a request and add the gradients up, or give the arrays as base64. Send a body that compresses "
    "extremely well without Content-Encoding. GET /v1/limits lists the limits.",
)
URI_TOO_LONG = Problem(
    "uri-too-long",
    414,
    "URI too long",
    "The path and the query together are longer than the server accepts.",
    "Only the curve of an activation takes a query, and its parameters are short.",
)
UNSUPPORTED_MEDIA_TYPE = Problem(
    "unsupported-media-type",
    415,
    "Unsupported media type",
    "The Content-Type of the request is not application/json, or its Content-Encoding is neither gzip nor zstd.",
    "Send Content-Type: application/json. curl sends another type with -d unless told otherwise: "
    "-H 'Content-Type: application/json'. Leave Content-Encoding out for a body that is not compressed.",
)
INVALID_REQUEST = Problem(
    "invalid-request",
    422,
    "Invalid request",
    "The JSON was read, but a field is missing, unknown, of the wrong type or shape, or out of range.",
    "Each entry of errors has a pointer to the offending value and says what was expected there. At most 20 mistakes "
    "are listed; there may be more.",
)
LIMIT_EXCEEDED = Problem(
    "limit-exceeded",
    422,
    "Limit exceeded",
    "The request is valid, but needs more work or memory than this deployment allows for one request.",
    "Each entry of errors names a limit, how much the request needs, and what to change. "
    "GET /v1/limits lists the limits.",
)
NON_FINITE_RESULT = Problem(
    "non-finite-result",
    422,
    "Result not finite",
    "The loss, an output or a derivative is beyond float64, or undefined for these numbers (the logarithm of a "
    "negative output, say). No part of the result is given, because no part could be trusted.",
    "The detail names the first quantity, layer, unit and sample where it happened. Smaller weights or inputs, or an "
    "activation whose outputs lie in the loss's domain, help.",
)
HEADERS_TOO_LARGE = Problem(
    "headers-too-large",
    431,
    "Request header fields too large",
    "A header of the request is too large, or all headers together are, or there are too many of them.",
    "Send fewer and shorter headers. The service needs no long ones.",
)
INTERNAL_ERROR = Problem(
    "internal-error",
    500,
    "Internal server error",
    "This is a fault of the service, not of the request.",
    "Please report it with the id of the request, which is the instance of the problem.",
)
NOT_IMPLEMENTED = Problem(
    "not-implemented",
    501,
    "Not implemented",
    "The request names a Transfer-Encoding that the server does not support.",
    "Send the body with a Content-Length, or with Transfer-Encoding: chunked.",
)
OVERLOADED = Problem(
    "overloaded",
    503,
    "Service overloaded",
    "All slots and the queue are full, or other requests use the whole memory budget.",
    "Send the request again after the number of seconds in the Retry-After header.",
)
WORK_TIMED_OUT = Problem(
    "work-timed-out",
    503,
    "Work timed out",
    "The request was not finished within the time that this deployment allows.",
    'Send fewer samples a request and add the gradients up, or ask for less: "breakdown": "per_unit", no '
    '"verify". If the service was busy, the same request may succeed later.',
)

PROBLEMS: Mapping[str, Problem] = {
    problem.name: problem
    for problem in (
        MALFORMED_JSON,
        BAD_REQUEST,
        UNAUTHORIZED,
        NOT_FOUND,
        METHOD_NOT_ALLOWED,
        NOT_ACCEPTABLE,
        REQUEST_TIMEOUT,
        TOO_LARGE,
        URI_TOO_LONG,
        UNSUPPORTED_MEDIA_TYPE,
        INVALID_REQUEST,
        LIMIT_EXCEEDED,
        NON_FINITE_RESULT,
        HEADERS_TOO_LARGE,
        INTERNAL_ERROR,
        NOT_IMPLEMENTED,
        OVERLOADED,
        WORK_TIMED_OUT,
    )
}
_NEVER_FLASK = (MALFORMED_JSON, INVALID_REQUEST, LIMIT_EXCEEDED, NON_FINITE_RESULT, WORK_TIMED_OUT)
_BY_STATUS = {  # the problems of Flask's and werkzeug's errors
    problem.status: problem for problem in PROBLEMS.values() if problem not in _NEVER_FLASK
}


@dataclass(eq=False)
class Refusal(Exception):
    """A request refused with a problem.

    `members` are extension members of the document (RFC 9457, section 3.2), `headers` are added to the answer.
    The metrics count the refusal under its `reason`, or else under the name of the problem.
    """

    problem: Problem
    detail: str
    errors: list[dict[str, str]] = field(default_factory=list)
    members: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    reason: str = ""


def register(app: Flask) -> None:
    """Make the app answer every error with a problem."""
    app.register_error_handler(Refusal, _releasing(_answer))
    app.register_error_handler(MalformedJSON, _releasing(_malformed))
    app.register_error_handler(ValidationError, _releasing(_invalid))
    app.register_error_handler(HTTPException, _releasing(_http))
    app.register_error_handler(Exception, _releasing(_unexpected))


def _releasing(handler: Callable[[Any], Response]) -> Callable[[Any], Response]:
    """The handler, followed by `free_frames`.

    marshmallow assigns the exception to a local variable, so the exception and its frame form a reference cycle. Until
    the next garbage collection the cycle would keep the refused request, up to half a gigabyte.
    """

    def answer(error: BaseException) -> Response:
        response = handler(error)
        free_frames(error)
        return response

    return answer


def free_frames(error: BaseException) -> None:
    """Clear the frames of an exception's traceback, which hold the request with all its numbers."""
    link: BaseException | None = error
    while link is not None:
        clear_frames(link.__traceback__)
        link = link.__context__


def _answer(refusal: Refusal) -> Response:
    problem = refusal.problem
    g.problem = problem.name
    g.rejected = refusal.reason or problem.name
    document = {
        "type": f"/problems/{problem.name}",
        "title": problem.title,
        "status": problem.status,
        "detail": refusal.detail,
        "instance": g.get("request_id", ""),
        **refusal.members,
    }
    if refusal.errors:
        document["errors"] = refusal.errors
    return Document(encode(document), problem.status, refusal.headers, content_type=MEDIA_TYPE)


def _malformed(error: MalformedJSON) -> Response:
    return _answer(Refusal(MALFORMED_JSON, str(error)))


def _invalid(error: ValidationError) -> Response:
    errors = errors_of(error)
    first = errors[0]
    more = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
    return _answer(Refusal(INVALID_REQUEST, f"{first['pointer']} {first['detail']}{more}", errors))


def _http(error: HTTPException) -> Response:
    """Answer an error of Flask or werkzeug with a problem, and keep its headers, such as Allow."""
    if isinstance(error, InternalServerError) and isinstance(error.original_exception, Exception):
        return _unexpected(error.original_exception)  # raised in an after_request function
    status = error.code or INTERNAL_ERROR.status
    problem = _BY_STATUS.get(status, BAD_REQUEST if status < INTERNAL_ERROR.status else INTERNAL_ERROR)
    answer = _answer(Refusal(problem, _words(error) or problem.explanation))
    for name, value in error.get_response().headers:
        if name not in {"Content-Type", "Content-Length"}:  # these belong to werkzeug's HTML page, which is not sent
            answer.headers[name] = value
    return answer


def _words(error: HTTPException) -> str | None:
    """The detail of the problem: werkzeug's text, or one with the path and the method for 404 and 405."""
    if isinstance(error, NotFound):
        return f"there is nothing at {shown(request.path)}; GET /v1 lists what there is"
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        return f"{cut(request.method, LONGEST_SHOWN)} is not allowed at {shown(request.path)}, which takes {allowed}"
    return error.description


def _unexpected(error: Exception) -> Response:
    """Answer 500. The observers of requests, such as the log, get the exception; the client does not."""
    g.exception = error
    return _answer(Refusal(INTERNAL_ERROR, INTERNAL_ERROR.explanation))
