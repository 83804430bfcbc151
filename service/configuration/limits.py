"""How much one request may ask of this deployment: one row a limit, checked before the work is done.

Time and memory are limited as what they are: seconds of a reference core and bytes, which the cost model predicts from
the shapes of a request. The same request is within the limits, or over them, on every machine with the same settings.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from chainrule.cost import Cost, Part
from schemas.fields.wording import counted
from schemas.problem import pointer
from service.encoding.codec import Outline
from service.problems import LIMIT_EXCEEDED, MALFORMED_JSON, Problem, Refusal

BODY_BYTES, MEMORY_BYTES = "body_bytes", "memory_bytes"


@dataclass(frozen=True)
class Limit:
    """One limit: its default, in which unit, what of a request it measures, and the way out."""

    name: str
    default: int
    noun: str  # the unit, in the singular
    meaning: str
    way_out: str = ""
    measure_body: Callable[[Outline], int] | None = None  # of the body, before it is parsed
    bound_body: Callable[[Outline], int] | None = None  # what measure_body gives at most, for less work
    measure: Callable[[Cost], float] | None = None
    part: Callable[[Part], float] = lambda part: 0.0  # how much of it one part of the request takes
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
        MEMORY_BYTES,  # of a body before its depth, which takes longer to find
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
        problem=MALFORMED_JSON,  # as from every parser, each of which has a depth of its own
    ),
)

DEFAULTS: Mapping[str, int] = {limit.name: limit.default for limit in LIMITS}


def enforce_on_body(limits: Mapping[str, float], outline: Outline) -> None:
    """Refuse a body that would take too much memory when it is parsed, by the first limit that it is over."""
    for limit in LIMITS:
        allowed = limits[limit.name]
        if limit.measure_body is None or (limit.bound_body and limit.bound_body(outline) <= allowed):
            continue
        asked = limit.measure_body(outline)
        if asked > allowed:
            detail = words(limit, asked, allowed)
            raise Refusal(limit.problem, detail, [{"pointer": pointer(()), "detail": detail}])


def enforce(limits: Mapping[str, float], cost: Cost) -> Cost:
    """The cost of a request, if it is within all limits. Raises Refusal with every limit that it is over."""
    over = [limit for limit in LIMITS if limit.measure and limit.measure(cost) > limits[limit.name]]
    if over:
        errors = [_complaint(limit, limits[limit.name], cost) for limit in over]
        raise Refusal(LIMIT_EXCEEDED, errors[0]["detail"], errors)
    return cost


def allows(limits: Mapping[str, float], cost: Cost, body: int) -> bool:
    """Whether a request of this cost, with a body of so many bytes, is within all limits."""
    within = all(limit.measure(cost) <= limits[limit.name] for limit in LIMITS if limit.measure)
    return within and body <= limits[BODY_BYTES]


def _complaint(limit: Limit, allowed: float, cost: Cost) -> dict[str, str]:
    """Where the part stands that takes most of what is limited, and the limit in words, with the way out."""
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
    """The limit of a body, its value, what was asked, the setting, and the way out, in one sentence."""
    return (
        f"{counted(asked, limit.noun)} asked, {allowed} allowed ({limit.meaning}; the limit {limit.name}, "
        f"set by {limit.setting}): {limit.way_out}"
    )
