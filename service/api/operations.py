"""The operations of the HTTP interface, one row each: what they read and answer, and their examples.

The key of a row is the endpoint of its view. Path and methods come from the route, summary and description from the
docstring, errors from the table of problems.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chainrule.checkpoint import Checkpoint, unlimited
from chainrule.cost import Cost
from chainrule.functions.activations import ACTIVATIONS
from chainrule.functions.losses import LOSSES
from schemas.checks import CheckRequestSchema, check_answer
from schemas.cost import Posted, check_cost, explanation_cost, gradients_cost
from schemas.curve import RANGE
from schemas.explanations import ExplanationRequestSchema, explanation
from schemas.fields.json_schema import JSONSchema, parameter_schema, ref, word
from schemas.fields.named_forms import parameters_by_name
from schemas.fields.strict import StrictSchema
from schemas.gradients import GradientRequest, GradientRequestSchema
from schemas.gradients_answer import answer
from service.api.computing import checked_gradients, compute, compute_explanation
from service.api.examples import CHECK_EXAMPLES, EXAMPLES, EXPLANATION_EXAMPLES
from service.problems import (
    INVALID_REQUEST,
    LIMIT_EXCEEDED,
    MALFORMED_JSON,
    NON_FINITE_RESULT,
    NOT_FOUND,
    PROBLEMS,
    REQUEST_TIMEOUT,
    TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    Problem,
)

TAGS: Mapping[str, str] = {
    "gradients": "Outputs, loss and every derivative in its factors.",
    "catalogue": "Activations and losses: formulas, parameters, kinks, references.",
    "service": "Limits, examples, links, this document.",
    "problems": "Pages that explain the types of errors, and troubleshooting for operators.",
    "health": "For probes.",
}

_BODY_PROBLEMS = {MALFORMED_JSON, REQUEST_TIMEOUT, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, LIMIT_EXCEEDED, NON_FINITE_RESULT}

_ANYWHERE = {400, 405, 406, 414, 431, 500, 501}  # every operation can answer these: invalid HTTP, faults of the server


@dataclass(frozen=True)
class Body:
    """The request body of an operation, and what becomes of it."""

    schema: StrictSchema
    examples: list[dict[str, Any]]
    cost: Callable[[Any, Posted], Cost]  # of the core values that the schema reads
    compute: Callable[[Any, Checkpoint], Any]
    document: Callable[[Any, Any, Checkpoint], Any]  # of the answer, from the core values and what was computed
    gradients: Callable[[Any], GradientRequest] = lambda asked: asked  # the part that says which network and samples
    most_on_loop: int = 0  # bytes of the largest body that the event loop reads; larger ones are read in a thread

    @property
    def name(self) -> str:
        """The name of the schema in the OpenAPI document."""
        return type(self.schema).__name__.removesuffix("Schema")

    def answered(self, request: Any) -> Any:
        """The answer to a request, both as JSON documents."""
        asked = self.schema.load(request)
        return self.document(asked, self.compute(asked, unlimited), unlimited)


@dataclass(frozen=True)
class Operation:
    """One row. `example` is a path; the document shows its answer. With a `body`, it shows those of its examples."""

    tag: str
    answer: JSONSchema
    example: str = ""
    media_type: str = "application/json"
    parameters: tuple[JSONSchema, ...] = ()
    also_as: Mapping[str, JSONSchema] = field(default_factory=dict)  # alternative forms of the answer by media type
    body: Body | None = None
    of_the_contract: bool = True  # False for pages and probes: no API key, no content negotiation
    also: Mapping[int, str] | None = None  # descriptions of other statuses with the same form

    @property
    def cached(self) -> bool:
        """Whether the answer has an ETag and may be a 304. Computed answers and health have none."""
        return not self.body and self.tag != "health"

    def may_answer(self, problem: Problem) -> bool:
        """Whether a problem can occur here. By default it can occur in every operation of the contract."""
        if problem in _BODY_PROBLEMS:
            return self.body is not None
        if problem is INVALID_REQUEST:
            return self.body is not None or any(parameter["in"] == "query" for parameter in self.parameters)
        if problem is NOT_FOUND:
            return any(parameter["in"] == "path" for parameter in self.parameters)
        return self.of_the_contract or problem.status in _ANYWHERE

    def problems(self) -> dict[int, list[Problem]]:
        """The problems that can occur here, by status."""
        found: dict[int, list[Problem]] = {}
        for problem in sorted(filter(self.may_answer, PROBLEMS.values()), key=lambda problem: problem.status):
            found.setdefault(problem.status, []).append(problem)
        return found


def _name(names: Iterable[str], example: str) -> JSONSchema:
    return {"name": "name", "in": "path", "required": True, "schema": word(names), "example": example}


def _query(name: str, schema: JSONSchema) -> JSONSchema:
    form = {key: value for key, value in schema.items() if key != "description"}
    return {"name": name, "in": "query", "schema": form, "description": schema["description"]}


def _curve_query() -> Iterable[JSONSchema]:
    """The query parameters of a curve: its range, and the parameters of every elementwise activation."""
    for parameter in RANGE:
        yield _query(parameter.name, parameter_schema(parameter))
    drawn = [row for row in ACTIVATIONS.values() if row.elementwise]
    for name, schema in parameters_by_name(drawn).items():
        yield _query(name, schema)


_DRAWN = [name for name in ACTIVATIONS.all_names if ACTIVATIONS[name].elementwise]
_CONTENT_ENCODING: JSONSchema = {
    "name": "Content-Encoding",
    "in": "header",
    "schema": word(("gzip", "zstd")),
    "description": "how the body is compressed, if it is",
}
HTML: JSONSchema = {"type": "string", "contentMediaType": "text/html"}
_LINKS = ref("Service")

GRADIENTS = Body(
    GradientRequestSchema(),
    EXAMPLES,
    gradients_cost,
    compute,
    lambda asked, computed, _: answer(asked, computed),
    most_on_loop=16 * 1024,
)
EXPLANATION = Body(
    ExplanationRequestSchema(),
    EXPLANATION_EXAMPLES,
    explanation_cost,
    compute_explanation,
    lambda asked, computed, checkpoint: explanation(asked, computed[0], computed[1], checkpoint),
    lambda asked: asked.gradients,
)
CHECK = Body(
    CheckRequestSchema(),
    CHECK_EXAMPLES,
    check_cost,
    checked_gradients,
    lambda asked, checked, _: check_answer(asked, checked),
)

OPERATIONS: Mapping[str, Operation] = {
    "v1.post_gradients": Operation("gradients", ref("Gradients"), body=GRADIENTS, parameters=(_CONTENT_ENCODING,)),
    "v1.post_explanations": Operation(
        "gradients",
        ref("Explanation"),
        also_as={"text/markdown": {"type": "string", "contentMediaType": "text/markdown"}},
        body=EXPLANATION,
        parameters=(_CONTENT_ENCODING,),
    ),
    "v1.post_gradient_checks": Operation(
        "gradients", ref("GradientCheck"), body=CHECK, parameters=(_CONTENT_ENCODING,)
    ),
    "v1.get_activations": Operation("catalogue", ref("ActivationList"), "/v1/activations"),
    "v1.get_activation": Operation(
        "catalogue",
        ref("ActivationEntry"),
        "/v1/activations/leaky_relu",
        parameters=(_name(ACTIVATIONS.all_names, "leaky_relu"),),
    ),
    "v1.get_curve": Operation(
        "catalogue",
        ref("Curve"),
        "/v1/activations/leaky_relu/curve?from=-2&to=2&points=5&negative_slope=0.1",
        parameters=(_name(_DRAWN, "leaky_relu"), *_curve_query()),
    ),
    "v1.get_losses": Operation("catalogue", ref("LossList"), "/v1/losses"),
    "v1.get_loss": Operation(
        "catalogue",
        ref("LossEntry"),
        "/v1/losses/huber",
        parameters=(_name(LOSSES.all_names, "huber"),),
    ),
    "v1.get_limits": Operation("service", ref("Limits"), "/v1/limits"),
    "v1.get_examples": Operation("service", ref("Examples"), "/v1/examples"),
    "v1.get_v1": Operation("service", _LINKS, "/v1"),
    "root.get_root": Operation("service", _LINKS, "/", also_as={"text/html": HTML}, of_the_contract=False),
    "openapi.get_openapi": Operation("service", {"type": "object"}, of_the_contract=False),
    "pages.get_docs": Operation("service", HTML, media_type="text/html", of_the_contract=False),
    "pages.get_problems": Operation("problems", HTML, media_type="text/html", of_the_contract=False),
    "pages.get_problem": Operation(
        "problems",
        HTML,
        media_type="text/html",
        parameters=(_name(PROBLEMS, INVALID_REQUEST.name),),
        of_the_contract=False,
    ),
    "pages.get_troubleshooting": Operation("problems", HTML, media_type="text/html", of_the_contract=False),
    "health.get_livez": Operation("health", {"const": "ok\n"}, media_type="text/plain", of_the_contract=False),
    "health.get_readyz": Operation(
        "health",
        word(("ok\n", "draining\n", "starting\n")),
        media_type="text/plain",
        of_the_contract=False,
        also={503: "No requests should be sent here: the service is starting, or draining."},
    ),
}
