"""How much one request may ask of this deployment: one row a limit, checked before the work is done."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from chainrule.verification import MOST_PASSES
from schemas.explanations import ExplanationRequest
from schemas.gradients import GradientRequest
from schemas.problem import pointer
from schemas.strict import Path
from schemas.words import counted
from service.codec import Outline
from service.problems import LIMIT_EXCEEDED, MALFORMED_JSON, Problem, Refusal

BODY_BYTES = "body_bytes"


@dataclass(frozen=True)
class Limit:
    """One limit: its default, what of a request it counts, where that stands, and the way out."""

    name: str
    default: int
    noun: str  # what is counted, in the singular
    meaning: str
    way_out: str
    where: Path | Callable[[GradientRequest], Path] = ()
    measure: Callable[[GradientRequest], int] | None = None  # None: checked before the request is read
    measure_body: Callable[[Outline], int] | None = None  # of the body, before it is parsed
    measure_explanation: Callable[[ExplanationRequest], int] | None = None
    problem: Problem = LIMIT_EXCEEDED

    def place(self, request: GradientRequest) -> Path:
        """The path to what is too much."""
        return self.where(request) if callable(self.where) else self.where

    @property
    def setting(self) -> str:
        """The environment variable that sets it."""
        return f"CHAINRULE_MAX_{self.name.upper()}"


def _activity_numbers(request: GradientRequest) -> int:
    """The numbers of one array over all samples and units, of which the passes keep several."""
    return int(request.inputs.size) + len(request.inputs) * sum(layer.units for layer in request.network.layers)


def _widths(request: GradientRequest) -> list[int]:
    """The longer side of every layer's matrix."""
    return [max(layer.weights.shape) for layer in request.network.layers]


def _parameters(request: GradientRequest) -> int:
    layers = request.network.layers
    return sum(layer.weights.size + (0 if layer.biases is None else layer.biases.size) for layer in layers)


def _multiply_adds(request: GradientRequest) -> int:
    """Three products of matrices a layer, one for each mistake replayed, and the most passes for what is verified."""
    passes = 3 + request.replays + (MOST_PASSES * _parameters(request) if request.verify else 0)
    return passes * len(request.inputs) * sum(layer.weights.size for layer in request.network.layers)


def _answer_numbers(request: GradientRequest) -> int:
    """The numbers of every array and record of the answer."""
    samples, steps = len(request.inputs), 1 if request.learning_rate is None else 2
    layers = request.network.layers
    total = steps * _parameters(request) + samples * (layers[-1].units + 1)
    if request.breakdown == "none":
        return total
    total += request.inputs.size
    for layer in layers:
        n_in, n_out = layer.weights.shape
        coupled = sum(not spec.activation.elementwise for spec in layer.activations)
        total += samples * (n_in + 4 * n_out + (n_out * n_out if coupled else n_out))
        if request.breakdown == "per_weight":
            factors_to_all_units = n_out - coupled + coupled * n_out
            total += n_in * (4 * n_out + samples * (n_out + 2 * factors_to_all_units))
    return total


LIMITS: tuple[Limit, ...] = (
    Limit(
        BODY_BYTES,
        32 * 2**20,
        "byte",
        "the body of a request",
        "send fewer samples, or give the arrays as base64",
    ),
    Limit(
        "json_parts",
        1_000_000,
        "list, object or string",
        "lists, objects and strings in a body, counted by their brackets and quotes",
        "give the arrays as base64, or send fewer samples",
        measure_body=lambda outline: outline.parts,
    ),
    Limit(
        "json_depth",
        32,
        "level",
        "lists, or objects, within each other",
        "send a request as docs/request.md has it: none needs more than six",
        measure_body=lambda outline: outline.depth,
        problem=MALFORMED_JSON,  # as from every parser, each of which has a depth of its own
    ),
    Limit(
        "layers",
        64,
        "layer",
        "layers of a network",
        "send a network of fewer layers",
        ("network", "layers"),
        lambda request: len(request.network.layers),
    ),
    Limit(
        "units",
        4096,
        "unit",
        "units of one layer, or numbers of one sample",
        "send narrower layers",
        lambda request: ("network", "layers", _widths(request).index(max(_widths(request))), "weights"),
        lambda request: max(_widths(request)),
    ),
    Limit(
        "parameters",
        4_000_000,
        "parameter",
        "weights and biases of a network",
        "send a smaller network",
        ("network",),
        _parameters,
    ),
    Limit(
        "samples",
        16_384,
        "sample",
        "samples of a batch",
        "send the batch in parts and add the gradients up",
        ("inputs",),
        lambda request: len(request.inputs),
    ),
    Limit(
        "activity_numbers",
        4_000_000,
        "number",
        "samples times inputs and units of all layers",
        "send the batch in parts and add the gradients up",
        ("inputs",),
        _activity_numbers,
    ),
    Limit(
        "multiply_adds",
        20_000_000_000,
        "multiply-add",
        "multiply-adds that the matrix products take",
        'send the batch in parts and add the gradients up; leave out "verify", which takes many passes',
        ("inputs",),
        _multiply_adds,
    ),
    Limit(
        "verified_parameters",
        2_000,
        "parameter",
        "weights and biases whose derivatives are verified by differences",
        'leave out "verify", or verify a smaller network',
        ("verify",),
        lambda request: _parameters(request) if request.verify else 0,
    ),
    Limit(
        "answer_numbers",
        8_000_000,
        "number",
        "numbers in the answer",
        'ask for "breakdown": "per_unit" or "none", or send a smaller batch',
        ("breakdown",),
        _answer_numbers,
    ),
    Limit(
        "explanation_lines",
        10_000,
        "line",
        "steps of a derivation, and terms of the sums in them",
        "explain one sample of the batch, a weight of a higher layer, or a smaller network",
        ("network",),
        measure_explanation=lambda asked: asked.lines,
    ),
)

_LITTLE: Mapping[str, int] = {"multiply_adds": 1_000_000, "answer_numbers": 10_000, "layers": 8}

DEFAULTS: Mapping[str, int] = {limit.name: limit.default for limit in LIMITS}


def enforce_on_body(limits: Mapping[str, int], outline: Outline) -> None:
    """Refuse a body that would take too much memory when it is parsed, by the first limit that it is over."""
    for limit in LIMITS:
        allowed = limits[limit.name]
        if limit.measure_body is None or len(outline.body) <= allowed:  # a body has no more of anything than bytes
            continue
        asked = limit.measure_body(outline)
        if asked > allowed:
            detail = words(limit, asked, allowed)
            raise Refusal(limit.problem, detail, [{"pointer": pointer(()), "detail": detail}])


def enforce(limits: Mapping[str, int], request: GradientRequest) -> dict[str, int]:
    """What the request asks for, by the names of the limits. Raises Refusal with every limit that it is over."""
    measured = [(limit, limit.measure(request)) for limit in LIMITS if limit.measure]
    errors = [
        {
            "pointer": pointer(limit.place(request)),
            "detail": words(limit, asked, limits[limit.name]),
        }
        for limit, asked in measured
        if asked > limits[limit.name]
    ]
    if errors:
        raise Refusal(LIMIT_EXCEEDED, errors[0]["detail"], errors)
    return {limit.name: asked for limit, asked in measured}


def is_little(size: Mapping[str, int]) -> bool:
    """Whether a request of this size, as from `enforce`, is the work of some milliseconds at most."""
    return all(size[name] <= little for name, little in _LITTLE.items())


def enforce_on_explanation(limits: Mapping[str, int], asked: ExplanationRequest) -> dict[str, int]:
    """What the gradients ask for that are explained. Raises Refusal for them, or where the explanation is too long."""
    size = enforce(limits, asked.gradients)
    for limit in LIMITS:
        lines = limit.measure_explanation(asked) if limit.measure_explanation else 0
        if lines > limits[limit.name]:
            detail = words(limit, lines, limits[limit.name])
            raise Refusal(
                LIMIT_EXCEEDED, detail, [{"pointer": pointer(limit.place(asked.gradients)), "detail": detail}]
            )
    return size


def words(limit: Limit, asked: int, allowed: int) -> str:
    """The limit, its value, what was asked, the setting, and the way out, in one sentence."""
    return (
        f"{counted(asked, limit.noun)} asked, {allowed} allowed ({limit.meaning}; the limit {limit.name}, "
        f"set by {limit.setting}): {limit.way_out}"
    )
