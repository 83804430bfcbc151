"""The total cost of a request to each endpoint, part by part: reading it, computing, and writing the answer."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from chainrule.checkpoint import Checkpoint
from chainrule.cost import Cost, Part, checks, cost_of, passes
from chainrule.cost.explanations import derivation
from chainrule.cost.passes import FLOAT, Shape, shapes_of
from chainrule.cost.rates import RATES
from chainrule.cost.verification import verification
from chainrule.diagnosis.budget import Portions
from chainrule.diagnosis.probes import usual_for_blind_spots
from schemas.checks import CheckRequest
from schemas.explanations import ExplanationRequest
from schemas.fields.arrays import is_packed
from schemas.fields.strict import Path
from schemas.fields.wording import counted
from schemas.gradients import GradientRequest

NUMBER_TEXT = 20  # bytes of a number in JSON, with its comma: 17 digits, sign, point
BASE64_TEXT = 32 / 3  # bytes of a number in base64
_LISTED = 40  # bytes of a number as an object of Python, with its place in a list
_RECORD_TEXT = 60  # bytes of a record without its numbers
_UNIT = 1200  # bytes of a listed unit's activation: objects, and text in the answer
_SMALL = 4096  # bytes; in a smaller body, it does not matter how its numbers were given
_FIXED = 30_000  # bytes of the smallest request and its answer

_WORK = RATES.work
_REQUEST, _REQUEST_LAYER, _UNIT_CALL = (_WORK[name].call for name in ("request", "request_layer", "unit"))
_JSON_BYTE, _ARRAY_NUMBER = _WORK["json_byte"].number, _WORK["array_number"].number
_LISTED_NUMBER, _BASE64_BYTE = _WORK["listed_number"].number, _WORK["base64_byte"].number
_WRITTEN, _RECORD, _LISTED_JSON = _WORK["written"].number, _WORK["record"], _WORK["listed_json"].number
_WRITTEN_JSON, _COPIED_JSON = _WORK["written_json"].number, _WORK["copied_json"].number
_WRITTEN_BASE64 = _WORK["written_base64"].number

FEWER_SAMPLES = "send the batch in parts and add the gradients up"
SMALLER_NETWORK = "send a smaller network"


@dataclass(frozen=True)
class Posted:
    """The body of a request: its bytes, its characters of base64, and its numbers read as lists of objects."""

    size: int = 0
    base64: int = 0
    listed: int = 0


def posted(document: Any, size: int = 0) -> Posted:
    """Count what was posted, from the document that was read from a body of `size` bytes."""
    if size < _SMALL:
        return Posted(size, 0, size // 8)
    base64, listed = _counted((document,))
    return Posted(size, base64, listed)


def _counted(values: Iterable[Any]) -> tuple[int, int]:
    """The number of characters of base64, and of numbers in lists, in some values and in the objects among them."""
    base64 = listed = 0
    for value in values:
        inner: Iterable[Any] = ()
        if is_packed(value):
            if "base64" in value:
                base64 += len(value["base64"])
            else:
                inner = value.values()
        elif type(value) is list and value:
            if type(value[0]) is dict:
                inner = value
            else:
                listed += len(value) * (len(value[0]) if type(value[0]) is list else 1)
        if inner:
            more = _counted(inner)
            base64, listed = base64 + more[0], listed + more[1]
    return base64, listed


def gradients_cost(request: GradientRequest, body: Posted) -> Cost:
    """The cost of POST /v1/gradients."""
    shapes = shapes_of(request.network)
    parts = [_reading(request, shapes, body), _passes(request, shapes)]
    if request.learning_rate is not None:
        parts.append(Part("the step", ("step",), 'leave out "step"', *passes.step(shapes)))
    if request.verify:
        parts.append(_verification(request, shapes))
    parts.append(_arrays(request, shapes))
    if request.breakdown == "per_weight":
        parts.append(_records(request, shapes))
    return cost_of(parts)


def explanation_cost(request: ExplanationRequest, body: Posted) -> Cost:
    """The cost of POST /v1/explanations, as JSON or Markdown."""
    gradients = request.gradients
    shapes = shapes_of(gradients.network)
    both, derived = _passes(gradients, shapes), _derivation(request)
    derived = derived._replace(peak=max(derived.peak, both.peak))  # warnings look for kinks again, after the derivation
    return cost_of([_reading(gradients, shapes, body), both, derived])


def _derivation(request: ExplanationRequest) -> Part:
    """The part for the lines of the derivation."""
    network, batch = request.gradients.network, len(request.gradients.inputs)
    samples = batch if request.sample is None else 1
    lines, work = derivation(network, request.place, samples)
    cause: Path = ("bias",) if request.place.unit_before is None else ("weight",)
    way_out = "explain a weight of a higher layer, or a smaller network"
    if samples > 1:
        cause, way_out = ("inputs",), 'name the "sample" to explain, or send fewer'
    return Part(f"{counted(lines, 'line')} of derivation", cause, way_out, *work)


def check_cost(request: CheckRequest, body: Posted) -> Cost:
    """The largest cost of POST /v1/gradient-checks, which is that of gradients that no mistake explains.

    All seconds of the search are optional, except those of its first portion.
    """
    shapes = shapes_of(request.network)
    cause, way_out = _cause_of_passes(request, shapes)
    network, samples = request.network, len(request.inputs)
    work = checks.search(network, samples)
    optional = work.seconds - checks.first_seconds(network, samples)
    search = Part("the search for mistakes", cause, way_out, *work, optional)
    return cost_of([_reading(request, shapes, body), _passes(request, shapes), search, _verdicts(request, shapes)])


def check_portions(
    request: CheckRequest, cost: Cost, checkpoint: Checkpoint, admit: Callable[[float], None]
) -> Portions:
    """A checkpoint that admits a check of this cost in portions.

    Before each portion except the first, `admit` is called with the seconds of the request up to the portion's end.
    """
    network, samples = request.network, len(request.inputs)
    first = usual_for_blind_spots(network, samples)

    def admit_operations(operations: float) -> None:
        admit(min(cost.seconds, cost.first_seconds + checks.seconds(operations - first)))

    return Portions(checkpoint, first, admit_operations)


def _verdicts(request: CheckRequest, shapes: Sequence[Shape]) -> Part:
    """The part for the answer of a check: a verdict on each number, and the network of the probe."""
    numbers = _numbers(shapes)
    kept, peak = _bytes_of(request, numbers, 0)
    verdicts = 24 * numbers  # objects and text
    seconds = _writing_seconds(request, 2 * numbers, 0)
    return Part("the answer", ("network",), SMALLER_NETWORK, seconds, kept + FLOAT * numbers + verdicts, peak + kept)


def _numbers(shapes: Sequence[Shape]) -> int:
    """The number of weights in all layers, and of biases as if every unit had one."""
    return sum([shape.n_in * shape.n_out + shape.n_out for shape in shapes])


def _reading(request: GradientRequest, shapes: Sequence[Shape], body: Posted) -> Part:
    """The part for reading and validating the body, and for what an answer has for each layer and unit anyway."""
    units = sum([len(layer.activation) for layer in request.network.layers if type(layer.activation) is tuple])
    numbers = _numbers(shapes) + request.inputs.size + request.targets.size
    seconds = (
        _REQUEST
        + len(shapes) * _REQUEST_LAYER
        + units * _UNIT_CALL
        + (body.size - body.base64) * _JSON_BYTE
        + body.listed * _LISTED_NUMBER
        + body.base64 * _BASE64_BYTE
        + numbers * _ARRAY_NUMBER
    )
    kept = body.size + FLOAT * numbers + _UNIT * units + _FIXED * (1 + len(shapes) / 8)
    peak = 1.2 * body.size + _LISTED * body.listed
    return Part("reading the request", (), "give the arrays as base64, or send fewer samples", seconds, kept, peak)


def _passes(request: GradientRequest, shapes: Sequence[Shape]) -> Part:
    """The part for the gradients."""
    work = passes.gradients(shapes, len(request.inputs), request.loss)
    return Part("the passes forward and backward", *_cause_of_passes(request, shapes), *work)


def _verification(request: GradientRequest, shapes: Sequence[Shape]) -> Part:
    """The part for the verification by differences."""
    parameters = [shape.n_in * shape.n_out + shape.n_out for shape in shapes]
    work = verification(shapes, parameters, len(request.inputs), request.loss)
    name = f"verifying {counted(sum(parameters), 'parameter')} by differences"
    return Part(name, ("verify",), 'leave out "verify", or verify a smaller network with fewer samples', *work)


def _cause_of_passes(request: GradientRequest, shapes: Sequence[Shape]) -> tuple[Path, str]:
    """The cause of the passes' cost, and the way out: the samples, or for a single sample the largest layer."""
    if len(request.inputs) > 1:
        return ("inputs",), FEWER_SAMPLES
    sizes = [shape.n_in * shape.n_out for shape in shapes]
    return ("network", "layers", sizes.index(max(sizes))), SMALLER_NETWORK


def _arrays(request: GradientRequest, shapes: Sequence[Shape]) -> Part:
    """The part for the arrays of the answer, as JSON or base64. An array that occurs twice in it is written once."""
    samples, last = len(request.inputs), shapes[-1].n_out
    written = _numbers(shapes) * (1 if request.learning_rate is None else 2) + samples * (last + 1)
    copied = matrices = largest = 0
    if request.breakdown != "none":
        written += 2 * request.inputs.size
        for _, n_out, _, coupled in shapes:
            numbers = samples * n_out
            copied += numbers
            written += 5 * numbers
            if coupled:
                matrix = numbers * n_out
                written, matrices, largest = written + matrix, matrices + matrix, max(largest, matrix)
    kept, peak = _bytes_of(request, written, copied)
    seconds = _writing_seconds(request, written, copied) + matrices * _WRITTEN
    cause = _cause_of_arrays(request, shapes)
    return Part("the arrays of the answer", *cause, seconds, kept + FLOAT * matrices, peak + FLOAT * largest)


def _cause_of_arrays(request: GradientRequest, shapes: Sequence[Shape]) -> tuple[Path, str]:
    if request.breakdown == "none":
        return _cause_of_passes(request, shapes)
    less = '"none"' if request.breakdown == "per_unit" else '"per_unit" or "none"'
    return ("breakdown",), f'ask for "breakdown": {less}, or send a smaller batch'


def _writing_seconds(request: GradientRequest, written: int, copied: int) -> float:
    if request.encoding == "base64":
        return (written + copied) * _WRITTEN_BASE64
    return written * _WRITTEN_JSON + copied * _COPIED_JSON


def _bytes_of(request: GradientRequest, written: int, copied: int) -> tuple[float, float]:
    """The bytes of the text of so many numbers, and the bytes needed in addition while it is written."""
    if request.encoding == "base64":
        text = BASE64_TEXT * (written + copied)
        return text, text
    text = NUMBER_TEXT * (written + copied)
    return text, text + NUMBER_TEXT * copied


def _records(request: GradientRequest, shapes: Sequence[Shape]) -> Part:
    """The part for the records, one for each weight."""
    samples = len(request.inputs)
    records = text = listed = 0
    for n_in, n_out, _, coupled in shapes:
        of_units = samples * 2 * (n_out - coupled + coupled * n_out)  # dE/do and do/da of all units
        records += n_in * n_out
        text += n_in * (n_out * _RECORD_TEXT + NUMBER_TEXT * (2 * n_out + samples * n_out + of_units))
        listed += of_units + samples * n_in
    return Part(
        "a record for each weight",
        ("breakdown",),
        'ask for "breakdown": "per_unit" or "none"',
        seconds=_RECORD.seconds(records, 0, text) + listed * _LISTED_JSON,
        kept=text,
        peak=2.5 * text + _LISTED * listed,
    )
