"""The JSON Schemas of the service's own answers: limits, examples, links, problems."""

from collections.abc import Iterator, Mapping

from chainrule import __version__
from schemas.fields.json_schema import BOOLEAN, COUNT, NUMBER, POINTER, TEXT, JSONSchema, listed, ref, strict, word
from schemas.fields.strict import MOST_COMPLAINTS
from schemas.gradients import BREAKDOWNS
from schemas.non_finite import QUANTITIES
from service.configuration.limits import LIMITS
from service.problems import (
    INVALID_REQUEST,
    LIMIT_EXCEEDED,
    MALFORMED_JSON,
    NON_FINITE_RESULT,
    PROBLEMS,
    TOO_LARGE,
    Problem,
)

_PATH: JSONSchema = {"type": "string", "format": "uri-reference"}
_WITH_ERRORS = {INVALID_REQUEST, LIMIT_EXCEEDED, NON_FINITE_RESULT}

_COMPLAINTS: JSONSchema = listed(ref("Complaint"), 1, MOST_COMPLAINTS)

# The extension members of a problem (RFC 9457, section 3.2): the required ones, then the optional ones.
_MEMBERS: Mapping[str, tuple[dict[str, JSONSchema], dict[str, JSONSchema]]] = {
    MALFORMED_JSON.name: ({}, {"errors": _COMPLAINTS}),  # present if the body is nested too deep
    TOO_LARGE.name: ({}, {"limit": COUNT}),
    NON_FINITE_RESULT.name: (
        {"quantity": word(QUANTITIES)},
        dict.fromkeys(("layer", "unit", "unit_before", "sample"), COUNT),
    ),
}


def service_schemas(links: Mapping[str, str]) -> Iterator[tuple[str, JSONSchema]]:
    """`Service`, `Limits`, `Examples`, and one schema for each type of problem."""
    yield "Service", _service(links)
    limit = strict({"name": word(row.name for row in LIMITS), "value": COUNT, "meaning": TEXT, "setting": TEXT})
    yield "KnownCost", _known_cost()
    endpoint = strict({"path": _PATH, "examples": listed(ref("KnownCost"), least=1)})
    yield "Limits", strict({"limits": listed(limit), "endpoints": listed(endpoint, least=1)})
    example = strict({"name": TEXT, "title": TEXT, "request": ref("GradientRequest")})
    yield "Examples", strict({"examples": listed(example, least=1)})
    yield "Complaint", strict({"pointer": POINTER, "detail": TEXT})
    for problem in PROBLEMS.values():
        yield problem_name(problem), _problem(problem)


def _known_cost() -> JSONSchema:
    return strict(
        {
            "units": listed(COUNT, least=2) | {"description": "from the inputs to the outputs"},
            "samples": COUNT,
            "breakdown": word(BREAKDOWNS),
            "verify": BOOLEAN,
            "work_seconds": NUMBER | {"minimum": 0, "description": "seconds of the reference core"},
            "memory_bytes": COUNT | {"description": "at the peak, body and answer included"},
            "most_samples": COUNT | {"description": "the largest batch that the limits allow for such a request"},
        },
        {
            "first_work_seconds": NUMBER
            | {"minimum": 0, "description": "of a check: predicted for right gradients; work_seconds is the most"},
        },
    )


def problem_name(problem: Problem) -> str:
    """The name of a problem's schema: "InvalidRequestProblem"."""
    return "".join(part.capitalize() for part in problem.name.split("-")) + "Problem"


def _service(links: Mapping[str, str]) -> JSONSchema:
    return strict(
        {
            "name": {"const": "Chainrule"},
            "version": {"type": "string", "examples": [__version__]},
            "description": TEXT,
            "links": strict({name: _PATH | {"const": link} for name, link in links.items()}),
        }
    )


def _problem(problem: Problem) -> JSONSchema:
    """The schema of a problem: its type and status are constants, `detail` and `errors` say what is wrong and where."""
    always, sometimes = _MEMBERS.get(problem.name, ({}, {}))
    errors = {"errors": _COMPLAINTS} if problem in _WITH_ERRORS else {}
    members: dict[str, JSONSchema] = {
        "type": {"const": f"/problems/{problem.name}"},
        "title": TEXT | {"examples": [problem.title]},
        "status": {"const": problem.status},
        "detail": TEXT,
        "instance": TEXT | {"description": "the id of the request"},
    }
    return {"title": problem.title, "description": problem.explanation, **strict(members | errors | always, sometimes)}
