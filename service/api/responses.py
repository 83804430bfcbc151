"""The OpenAPI responses of an operation: every status with its headers and the schema of its body."""

from collections.abc import Mapping, Sequence
from typing import Any

from schemas.fields.json_schema import JSONSchema, any_of, ref
from service.api.answer_schemas import problem_name
from service.api.operations import Operation
from service.problems import MEDIA_TYPE, Problem

HEADERS: Mapping[str, JSONSchema] = {
    "X-Request-ID": {"description": "the id of the request: the client's own, if that is valid", "required": True},
    "Server-Timing": {"description": "milliseconds of each stage: receive, queue, decode, validate, compute, encode"},
    "Retry-After": {"description": "seconds to wait before the next attempt"},
    "ETag": {"description": "identifies this version of the answer, for If-None-Match"},
    "Allow": {"description": "the methods that the path takes", "required": True},
    "WWW-Authenticate": {"description": "how to send a key", "required": True},
}
_HEADERS_OF_STATUS = {401: ("WWW-Authenticate",), 405: ("Allow",), 503: ("Retry-After",)}
_TEXT: JSONSchema = {"schema": {"type": "string"}}


def header_components() -> dict[str, JSONSchema]:
    """The header components of the OpenAPI document, by name."""
    return {name: header | _TEXT for name, header in HEADERS.items()}


def responses(operation: Operation, examples: Mapping[str, Any]) -> dict[str, JSONSchema]:
    """The responses of an operation, by status; `examples` belong to the 200."""
    found: dict[str, JSONSchema] = {"200": _right(operation, examples)}
    if operation.cached:
        found["304"] = {"description": "The stored answer is still valid.", **_headers("ETag")}
    for status, problems in operation.problems().items():
        found[str(status)] = {"$ref": f"#/components/responses/{response_name(problems)}"}
    for status, words in (operation.also or {}).items():
        found[str(status)] = {"description": words, **_headers(), **_body(operation)}
    return found


def problem_responses(operations: Sequence[Operation]) -> dict[str, JSONSchema]:
    """The responses that are problems, by name."""
    kinds = [problems for operation in operations for problems in operation.problems().values()]
    return {response_name(problems): _wrong(problems) for problems in kinds}


def response_name(problems: Sequence[Problem]) -> str:
    """The name of the response with one of these problems: "MalformedJsonOrBadRequest"."""
    return "Or".join(problem_name(problem).removesuffix("Problem") for problem in problems)


def _right(operation: Operation, examples: Mapping[str, Any]) -> JSONSchema:
    more = [name for name, has in (("ETag", operation.cached), ("Server-Timing", bool(operation.body))) if has]
    body = _body(operation)
    if examples:
        body["content"][operation.media_type]["examples"] = dict(examples)
    return {"description": "The answer.", **_headers(*more), **body}


def _wrong(problems: Sequence[Problem]) -> JSONSchema:
    more = _HEADERS_OF_STATUS.get(problems[0].status, ())
    content = {MEDIA_TYPE: {"schema": any_of(ref(problem_name(problem)) for problem in problems)}}
    words = "; or ".join(problem.title for problem in problems)
    return {"description": f"{words}.", **_headers(*more), "content": content}


def _headers(*more: str) -> JSONSchema:
    return {"headers": {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-ID", *more)}}


def _body(operation: Operation) -> JSONSchema:
    forms = {operation.media_type: operation.answer, **operation.also_as}
    return {"content": {media_type: {"schema": schema} for media_type, schema in forms.items()}}
