"""GET /openapi.json: the OpenAPI 3.1 document, generated from the code of the service.

Paths and methods come from the routes, summaries and descriptions from the docstrings of the views. Request bodies come
from the marshmallow schemas; activations, losses and parameters from the core's tables; errors from the table of
problems. Examples are real answers of the service. This is the only module that imports apispec.
"""

import inspect
import re
from itertools import chain
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from flask import Blueprint, Flask, Response, current_app
from werkzeug.routing import Rule

from chainrule import __version__
from schemas.catalogue_schema import catalogue_schemas
from schemas.checks import CandidateLayerSchema, CandidateSchema, CheckRequestSchema, ToleranceSchema
from schemas.checks_schema import checks_schemas
from schemas.explanations import BiasPlaceSchema, ExplanationRequestSchema, WeightPlaceSchema
from schemas.explanations_schema import explanations_schemas
from schemas.fields.json_schema import JSONSchema, arrays, ref
from schemas.fields.kinds import LONGEST_LABEL
from schemas.fields.named_forms import named_forms
from schemas.gradients import GradientRequestSchema, StepSchema
from schemas.gradients_schema import gradients_schemas
from schemas.network import LayerSchema, NetworkSchema
from service.api.answer_schemas import service_schemas
from service.api.operations import OPERATIONS, TAGS, Body, Operation
from service.api.responses import header_components, problem_responses, responses
from service.api.routes import DESCRIPTION, LINKS
from service.encoding.codec import decode, encode

openapi = Blueprint("openapi", __name__)

_BUILT = "chainrule.openapi"  # key of an app's extensions: the encoded document
_LISTS = ("activations", "losses")  # lists of which an example shows only the first entry

_ABOUT = f"""{DESCRIPTION}.

Arrays are float64; numbers are written so that they read back to the same float64. Unknown keys are refused. Every
error is `application/problem+json` (RFC 9457), with a JSON Pointer to each mistake of a request. If `Accept` excludes
every media type of the answer, that is an error, too. Clients must tolerate new members in answers, and new values of
enumerated members.
"""

_PARAMETERS: dict[str, JSONSchema] = {
    "X-Request-ID": {
        "description": "an id of your own: 1 to 128 of A-Z a-z 0-9 . _ : -; anything else is replaced",
        "example": "lesson-7",
    },
    "If-None-Match": {"description": "the ETag of a stored answer; 304 if that is still valid"},
}
_READ = (  # nested schemas first
    *(StepSchema, LayerSchema, NetworkSchema, GradientRequestSchema),
    *(WeightPlaceSchema, BiasPlaceSchema, ExplanationRequestSchema),
    *(CandidateLayerSchema, CandidateSchema, ToleranceSchema, CheckRequestSchema),
)
_SECURITY: dict[str, JSONSchema] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "if the deployment requires a key"},
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "if the deployment requires a key",
    },
}


@openapi.get("/openapi.json")
def get_openapi() -> Response:
    """This document, in OpenAPI 3.1."""
    kept = current_app.extensions
    if _BUILT not in kept:
        kept[_BUILT] = encode(openapi_document(current_app))
    return Response(kept[_BUILT], content_type="application/json")


def _own_schema(_converter: OpenAPIConverter, field: Any, **_: Any) -> JSONSchema:
    """The JSON Schema of a field class of our own, which apispec does not know."""
    schema: JSONSchema = getattr(field, "json_schema", {})
    return schema


class _Converter(OpenAPIConverter):
    def init_attribute_functions(self) -> None:
        super().init_attribute_functions()  # type: ignore[no-untyped-call]
        self.add_attribute_function(_own_schema)  # type: ignore[no-untyped-call]


class _Marshmallow(MarshmallowPlugin):
    Converter = _Converter


def openapi_document(app: Flask) -> dict[str, Any]:
    """The OpenAPI document of an app, with the limits in force there."""
    spec = APISpec(
        title="Chainrule",
        version=__version__,
        openapi_version="3.1.0",
        plugins=[_Marshmallow()],
        info={"description": _ABOUT, "license": {"name": "MIT", "identifier": "MIT"}},
        tags=[{"name": name, "description": description} for name, description in TAGS.items()],
    )
    _add_components(spec)
    rules = {rule.endpoint: rule for rule in app.url_map.iter_rules()}
    for endpoint, operation in OPERATIONS.items():
        spec.path(_path(rules[endpoint]), operations=_operations(app, rules[endpoint], operation))
    return spec.to_dict()


def _add_components(spec: APISpec) -> None:
    for read in _READ:
        spec.components.schema(read.__name__.removesuffix("Schema"), {"description": inspect.getdoc(read)}, schema=read)
    own = (arrays(), named_forms(LONGEST_LABEL))
    answers = (gradients_schemas(), explanations_schemas(), checks_schemas(), catalogue_schemas())
    for name, schema in chain(*own, *answers, service_schemas(LINKS)):
        spec.components.schema(name, schema)
    for name, response in problem_responses(list(OPERATIONS.values())).items():
        spec.components.response(name, response)
    for name, header in header_components().items():
        spec.components.header(name, header)
    for name, parameter in _PARAMETERS.items():
        spec.components.parameter(name, "header", {"name": name, "schema": {"type": "string"}, **parameter})
    for name, scheme in _SECURITY.items():
        spec.components.security_scheme(name, scheme)


def _path(rule: Rule) -> str:
    """A path as OpenAPI writes it: /v1/losses/{name}."""
    return re.sub(r"<(\w+)>", r"{\1}", rule.rule)


def _operations(app: Flask, rule: Rule, operation: Operation) -> dict[str, Any]:
    view = app.view_functions[rule.endpoint]
    summary, _, description = (inspect.getdoc(view) or "").partition("\n\n")
    shared = ["X-Request-ID", *(["If-None-Match"] if operation.cached else [])]
    document = {
        "operationId": _camel(view.__name__),
        "tags": [operation.tag],
        "summary": summary.rstrip("."),
        "description": description or summary,
        "parameters": [*operation.parameters, *shared],
        **({"requestBody": _request_body(operation.body)} if operation.body else {}),
        "responses": responses(operation, _answer_examples(app, operation)),
        **({"security": [{}, *({name: []} for name in _SECURITY)]} if operation.of_the_contract else {}),
    }
    methods = (rule.methods or set()) - {"HEAD", "OPTIONS"}
    return {method.lower(): document for method in methods}


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


def _request_body(body: Body) -> JSONSchema:
    examples = {entry["name"]: {"summary": entry["title"], "value": entry["request"]} for entry in body.examples}
    content = {"schema": ref(body.name), "examples": examples}
    return {"required": True, "content": {"application/json": content}}


def _answer_examples(app: Flask, operation: Operation) -> dict[str, Any]:
    """The service's answers to the example requests of an operation, or to GET of its example path."""
    if body := operation.body:
        shown = [(entry["name"], entry["title"], body.answered(entry["request"])) for entry in body.examples]
        return {name: {"summary": title, "value": decode(encode(answer))} for name, title, answer in shown}
    if not operation.example:
        return {}
    with app.test_request_context(operation.example):  # runs the view only: no API key, no log line
        document = decode(app.make_response(app.dispatch_request()).get_data())
    value = {key: entries[:1] if key in _LISTS else entries for key, entries in document.items()}
    return {"shown": {"summary": operation.example, "value": value}}
