"""Problem details (RFC 9457): every error answer, and the pages that explain each type."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from schemas import ValidationError
from schemas.problem import errors_of
from schemas.words import shown
from service.codec import MalformedJSON, encode

MEDIA_TYPE = "application/problem+json"

log = logging.getLogger(__name__)


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
    "The body is not JSON",
    "The body could not be read as one JSON document in UTF-8. NaN, Infinity, comments and trailing commas are not "
    "JSON; a key given twice in one object is refused, as it is not clear which value was meant; so is nesting far "
    "beyond what a request needs.",
    "The detail names the line and column, or the place as a JSON Pointer.",
)
BAD_REQUEST = Problem(
    "bad-request",
    400,
    "The request is not HTTP as it should be",
    "The body is shorter than its Content-Length says, or the framing of the request is broken.",
    "Send the request again, whole.",
)
NOT_FOUND = Problem(
    "not-found",
    404,
    "There is nothing here",
    "The path names no endpoint, or no entry of the catalogue.",
    "GET /v1 lists the endpoints, GET /v1/activations and GET /v1/losses what the catalogue holds.",
)
METHOD_NOT_ALLOWED = Problem(
    "method-not-allowed",
    405,
    "The method is not allowed here",
    "The path exists, but does not take this method.",
    "The Allow header of the answer lists the methods that it takes.",
)
NOT_ACCEPTABLE = Problem(
    "not-acceptable",
    406,
    "No acceptable form of the answer",
    "The Accept header of the request rules out every form that the answer has.",
    "Send Accept: application/json, or no Accept header.",
)
TOO_LARGE = Problem(
    "too-large",
    413,
    "The body is too large",
    "The body is over the limit of this deployment.",
    "Send fewer samples a request and add the gradients up, or give the arrays as base64. "
    "GET /v1/limits tells the limits beforehand.",
)
UNSUPPORTED_MEDIA_TYPE = Problem(
    "unsupported-media-type",
    415,
    "The body is not announced as JSON",
    "The Content-Type of the request is not application/json.",
    "Send Content-Type: application/json. curl sends another type with -d unless told otherwise: "
    "-H 'Content-Type: application/json'.",
)
INVALID_REQUEST = Problem(
    "invalid-request",
    422,
    "The request does not say what it should",
    "The JSON was read, but a field is missing, unknown, of the wrong type or shape, or out of range.",
    "Each entry of errors has a pointer to the offending value and says what was expected there.",
)
LIMIT_EXCEEDED = Problem(
    "limit-exceeded",
    422,
    "The request is over a limit of this deployment",
    "The request is right, but asks for more than this deployment allows one request.",
    "Each entry of errors says which limit, how much was asked, and what to change. "
    "GET /v1/limits tells the limits beforehand.",
)
NON_FINITE_RESULT = Problem(
    "non-finite-result",
    422,
    "The result is not finite",
    "The loss, an output or a derivative is beyond float64, or undefined for these numbers (the logarithm of a "
    "negative output, say). No part of the result is given, as none could be trusted.",
    "The detail names the first quantity, layer, unit and sample where it happened. Smaller weights or inputs, or an "
    "activation whose outputs lie in the loss's domain, help.",
)
INTERNAL_ERROR = Problem(
    "internal-error",
    500,
    "Something went wrong in the service",
    "This is a fault of the service, not of the request.",
    "Please report it with the request's id, the instance of the problem.",
)

PROBLEMS: Mapping[str, Problem] = {
    problem.name: problem
    for problem in (
        MALFORMED_JSON,
        BAD_REQUEST,
        NOT_FOUND,
        METHOD_NOT_ALLOWED,
        NOT_ACCEPTABLE,
        TOO_LARGE,
        UNSUPPORTED_MEDIA_TYPE,
        INVALID_REQUEST,
        LIMIT_EXCEEDED,
        NON_FINITE_RESULT,
        INTERNAL_ERROR,
    )
}
_BY_STATUS = {
    problem.status: problem
    for problem in (BAD_REQUEST, NOT_FOUND, METHOD_NOT_ALLOWED, NOT_ACCEPTABLE, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE)
}


@dataclass(eq=False)
class Refusal(Exception):
    """A request refused with a problem. `members` are further members of the document (RFC 9457, section 3.2)."""

    problem: Problem
    detail: str
    errors: list[dict[str, str]] = field(default_factory=list)
    members: dict[str, Any] = field(default_factory=dict)


def register(app: Flask) -> None:
    """Have every error of the app answered as a problem."""
    app.register_error_handler(Refusal, _answer)
    app.register_error_handler(MalformedJSON, _malformed)
    app.register_error_handler(ValidationError, _invalid)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def _answer(refusal: Refusal) -> Response:
    problem = refusal.problem
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
    return Response(encode(document), problem.status, content_type=MEDIA_TYPE)


def _malformed(error: MalformedJSON) -> Response:
    return _answer(Refusal(MALFORMED_JSON, str(error)))


def _invalid(error: ValidationError) -> Response:
    errors = errors_of(error)
    first = errors[0]
    more = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
    return _answer(Refusal(INVALID_REQUEST, f"{first['pointer']} {first['detail']}{more}", errors))


def _http(error: HTTPException) -> Response:
    """Flask's and werkzeug's own errors; what they put into headers (Allow, say) is kept."""
    status = error.code or INTERNAL_ERROR.status
    problem = _BY_STATUS.get(status, BAD_REQUEST if status < INTERNAL_ERROR.status else INTERNAL_ERROR)
    answer = _answer(Refusal(problem, _words(error) or problem.explanation))
    for name, value in error.get_response().headers:
        if name not in {"Content-Type", "Content-Length"}:  # those of the page that is not sent
            answer.headers[name] = value
    return answer


def _words(error: HTTPException) -> str | None:
    """What is wrong, in words that name the path and the method where werkzeug's do not."""
    if isinstance(error, NotFound):
        return f"there is nothing at {shown(request.path)}; GET /v1 lists what there is"
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        return f"{request.method} is not allowed at {shown(request.path)}, which takes {allowed}"
    return error.description


def _unexpected(error: Exception) -> Response:
    """A fault of ours: logged with its trace, told without it."""
    log.error("request %s failed", g.get("request_id", ""), exc_info=error)
    return _answer(Refusal(INTERNAL_ERROR, INTERNAL_ERROR.explanation))
