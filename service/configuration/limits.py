"""The limits of one request, one row each, checked before the work is done.

Time is limited in seconds of a reference core, memory in bytes. The cost model predicts both from the shapes of a
request. So with the same settings, a request is within the limits on every machine, or on none.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from chainrule.cost import Cost, Part
from schemas.fields.wording import counted
from schemas.known_costs import Text
from schemas.problem import pointer
from service.encoding.outline import Outline, memory_of_numbers
from service.problems import LIMIT_EXCEEDED, MALFORMED_JSON, Problem, Refusal

BODY_BYTES, MEMORY_BYTES = "body_bytes", "memory_bytes"


@dataclass(frozen=True)
class Limit:
    """One limit: its default, its unit, what it measures of a request, and what a client can do."""

    name: str
    default: int
    noun: str  # the unit, in the singular
    meaning: str
    way_out: str = ""
    measure_body: Callable[[Outline], int] | None = None  # of the body, before it is parsed
    bound_body: Callable[[Outline], int] | None = None  # an upper bound of measure_body, for less work
    measure: Callable[[Cost], float] | None = None
    part: Callable[[Part], float] = lambda part: 0.0  # the measure of one part of the request
    problem: Problem = LIMIT_EXCEEDED

    @property
    def setting(self) -> str:
        """The environment variable that sets it."""
        return f"CHAINRULE_MAX_{self.name.upper()}"


LIMITS: tuple[Limit, ...] = (
    Limit(
        BODY_BYTES,
        32 * 2**20,
        "byte",
        "the body of a request",
        "send fewer samples, or give the arrays as base64",
    ),
    Limit(
        "work_seconds",
        10,
        "second",
        "the work on one request, in seconds of the reference core",
        measure=lambda cost: cost.seconds,
        part=lambda part: part.seconds,
    ),
    Limit(
        MEMORY_BYTES,  # before json_depth: the depth of a body takes longer to find than its memory
        256 * 2**20,
        "byte",
        "the memory that one request takes, body and answer included",
        "give the arrays as base64, or send fewer samples",
        measure_body=lambda outline: outline.memory,
        measure=lambda cost: cost.memory,
        part=lambda part: part.kept + part.peak,
    ),
    Limit(
        "json_depth",
        32,
        "level",
        "lists, or objects, within each other",
        "send a request as docs/request.md has it: none needs more than six",
        measure_body=lambda outline: outline.depth,
        bound_body=lambda outline: outline.most_depth,
        problem=MALFORMED_JSON,  # as with any JSON parser: each has a maximum depth
    ),
)

DEFAULTS: Mapping[str, int] = {limit.name: limit.default for limit in LIMITS}


def enforce_on_body(limits: Mapping[str, float], outline: Outline) -> None:
    """Raise Refusal, with the first limit exceeded, if parsing the body would take too much memory or is too deep."""
    for limit in LIMITS:
        allowed = limits[limit.name]
        if limit.measure_body is None or (limit.bound_body and limit.bound_body(outline) <= allowed):
            continue
        asked = limit.measure_body(outline)
        if asked > allowed:
            detail = words(limit, asked, allowed)
            raise Refusal(limit.problem, detail, [{"pointer": pointer(()), "detail": detail}])


def enforce(limits: Mapping[str, float], cost: Cost) -> Cost:
    """Return the cost of a request if it is within all limits. Raises Refusal with every limit exceeded."""
    over = [limit for limit in LIMITS if limit.measure and limit.measure(cost) > limits[limit.name]]
    if over:
        errors = [_complaint(limit, limits[limit.name], cost) for limit in over]
        raise Refusal(LIMIT_EXCEEDED, errors[0]["detail"], errors)
    return cost


def allows(limits: Mapping[str, float], cost: Cost, body: Text) -> bool:
    """Whether a request with this cost and this body is within all limits."""
    within = all(limit.measure(cost) <= limits[limit.name] for limit in LIMITS if limit.measure)
    return within and body.size <= limits[BODY_BYTES] and memory_of_numbers(*body) <= limits[MEMORY_BYTES]


def _complaint(limit: Limit, allowed: float, cost: Cost) -> dict[str, str]:
    """The entry of `errors` for one limit: a pointer to the costliest part, and the limit with the way out in words."""
    assert limit.measure is not None, "a limit of the body"  # noqa: S101
    most = max(cost.parts, key=limit.part)
    detail = (
        f"{_shown(limit.measure(cost), limit)} asked, {_shown(allowed, limit)} allowed ({limit.meaning}; the limit "
        f"{limit.name}, set by {limit.setting}). Most of it goes into {most.work}, "
        f"{_shown(limit.part(most), limit)}: {most.way_out}"
    )
    return {"pointer": pointer(most.cause), "detail": detail}


def _shown(amount: float, limit: Limit) -> str:
    """An amount with its unit: whole bytes, seconds to three digits."""
    if limit.noun == "byte":
        return counted(round(amount), limit.noun)
    rounded = f"{amount:.3g}" if amount < 1000 else f"{amount:.0f}"
    return f"{rounded} {limit.noun}{'' if rounded == '1' else 's'}"


def words(limit: Limit, asked: int, allowed: float) -> str:
    """One sentence about a limit of the body: what was asked, what is allowed, the setting, and the way out."""
    return (
        f"{counted(asked, limit.noun)} asked, {allowed} allowed ({limit.meaning}; the limit {limit.name}, "
        f"set by {limit.setting}): {limit.way_out}"
    )
