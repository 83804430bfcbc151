"""POST /v1/gradient-checks: the request, read into core values, and the answer, as a document with arrays in it."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from dataclasses import fields as fields_of
from typing import Any

from marshmallow import fields, validate

from chainrule.diagnosis.checking import Check
from chainrule.diagnosis.diagnose import ROUNDING, Diagnosis
from chainrule.diagnosis.probes import Probe
from chainrule.diagnosis.tolerance import Agreement, Given, Tolerance
from chainrule.functions.tables import Array
from chainrule.graph.network import Network
from schemas.fields.arrays import as_base64
from schemas.fields.kinds import MESSAGES, ArrayField, NumberField, resolved_loss
from schemas.fields.strict import Complaints, StrictSchema
from schemas.fields.wording import counted
from schemas.gradients import GradientRequest, GradientRequestSchema
from schemas.gradients_answer import network_document
from schemas.network import LAYOUTS, OUT_IN, as_in_out

_OBJECT = {**MESSAGES, "type": "must be an object"}
_DEFAULT = Tolerance()


@dataclass(frozen=True, eq=False)
class CheckRequest(GradientRequest):
    """A request with the client's own gradients, first layer to last, in the form that the core takes."""

    given: tuple[Given, ...]
    tolerance: Tolerance


class CandidateLayerSchema(StrictSchema):
    """A client's own gradients of one layer."""

    dE_dw = ArrayField(2, allow_none=True, metadata={"description": "in the layout of the weights; null if not given"})
    dE_db = ArrayField(1, allow_none=True, metadata={"description": "one for each unit; null if not given"})


class CandidateSchema(StrictSchema):
    """A client's own gradients."""

    layers = fields.Nested(
        CandidateLayerSchema,
        many=True,
        required=True,
        validate=validate.Length(min=1, error="must not be empty"),
        error_messages={**MESSAGES, "type": "must be a list of layers"},
        metadata={"description": "first to last, one for each layer of the network; arrays may be left out"},
    )


class ToleranceSchema(StrictSchema):
    """How far a number may be from the right one: absolute + relative · |right|."""

    relative = NumberField(minimum=0.0, load_default=_DEFAULT.relative)
    absolute = NumberField(minimum=0.0, load_default=_DEFAULT.absolute)


class CheckRequestSchema(GradientRequestSchema):
    """The body of POST /v1/gradient-checks: that of POST /v1/gradients, and a client's own gradients.

    `breakdown`, `step` and `verify` are read, and change nothing here.
    """

    candidate = fields.Nested(CandidateSchema, required=True, error_messages=_OBJECT)
    tolerance = fields.Nested(ToleranceSchema, error_messages=_OBJECT, metadata={"default": asdict(_DEFAULT)})

    def misfits(self, loaded: dict[str, Any], posted: dict[str, Any]) -> Complaints:
        """(path, what is wrong) also where gradients are not of the shapes of the weights and biases."""
        yield from super().misfits(loaded, posted)
        network, candidate = loaded.get("network", {}), loaded.get("candidate", {})
        fits = True
        for path, words in _misfits(network, candidate) if "layers" in network and "layers" in candidate else ():
            fits = False
            yield ("candidate", *path), words
        if fits and candidate.get("layers") and _gives_nothing(posted["candidate"]["layers"]):
            yield ("candidate", "layers"), "must give at least one array, dE_dw or dE_db of some layer"

    def parsed(self, loaded: dict[str, Any], posted: dict[str, Any]) -> CheckRequest:
        """The request in core values."""
        asked = replace(super().parsed(loaded, posted), breakdown="none", learning_rate=None, verify=False)
        return CheckRequest(
            **{field.name: getattr(asked, field.name) for field in fields_of(asked)},
            given=tuple(_given(layer, asked.weights_layout) for layer in loaded["candidate"]["layers"]),
            tolerance=Tolerance(**loaded.get("tolerance", {})),
        )


def _given(layer: dict[str, Any], layout: str) -> Given:
    dE_dw = layer.get("dE_dw")
    return Given(None if dE_dw is None else as_in_out(dE_dw, layout), layer.get("dE_db"))


def _misfits(network: dict[str, Any], candidate: dict[str, Any]) -> Complaints:
    """(path, what is wrong) wherever a client's array is not of the shape of what it is the derivative by."""
    layers, given = network["layers"], candidate["layers"]
    if len(layers) != len(given):
        yield ("layers",), f"has {counted(len(given), 'layer')}, but the network has {len(layers)}"
        return
    layout = network.get("weights_layout", LAYOUTS[0])
    for k, (layer, own) in enumerate(zip(layers, given, strict=True)):
        if own.get("dE_dw") is not None and "weights" in layer:
            for words in _wrong_matrix(own["dE_dw"], layer["weights"], layout):
                yield ("layers", k, "dE_dw"), words
        if own.get("dE_db") is not None and "weights" in layer:
            for words in _wrong_list(own["dE_db"], layer.get("biases"), k):
                yield ("layers", k, "dE_db"), words


def _gives_nothing(layers: list[Any]) -> bool:
    """Whether a posted candidate has no array at all, nor anything that may have been meant as one."""
    return all(type(layer) is dict and all(array is None for array in layer.values()) for layer in layers)


def _wrong_matrix(given: Array, weights: Array, layout: str) -> Iterable[str]:
    if given.shape == weights.shape:
        return
    words = f"is {_shape(given)}, but the weights are {_shape(weights)}"
    if given.shape == weights.shape[::-1]:
        other = LAYOUTS[0] if layout == OUT_IN else OUT_IN
        words += f'. It looks transposed: give weights and derivatives in one layout, here "{layout}"; "{other}" is the'
        words += ' other ("weights_layout")'
    yield words


def _wrong_list(given: Array, biases: Array | None, k: int) -> Iterable[str]:
    if biases is None:
        yield f"cannot be, as layer {k} has no biases"
    elif given.shape != biases.shape:
        yield f"has {counted(len(given), 'number')}, but the layer has {len(biases)} bias{'es' * (len(biases) > 1)}"


def _shape(matrix: Array) -> str:
    return " × ".join(map(str, matrix.shape))


def check_answer(request: CheckRequest, checked: Check) -> dict[str, Any]:
    """The answer to a request, as a document with arrays in it."""
    probe = checked.better_probe
    document: dict[str, Any] = {
        "agrees": checked.agrees,
        "verdict": _verdict(checked),
        "layers": [
            {
                "dE_dw": _array_document(layer.dE_dw, request.weights_layout),
                "dE_db": _array_document(layer.dE_db, request.weights_layout),
            }
            for layer in checked.layers
        ],
        "first_wrong_layer": checked.first_wrong_layer,
        "diagnoses": [
            _diagnosis_document(diagnosis, checked.search.diagnoses, request.network)
            for diagnosis in checked.search.diagnoses
        ],
        "searched": _searched(checked),
        "tolerance": asdict(request.tolerance),
        "blind_to": [mistake.cause for mistake in checked.blind_to],
    }
    if probe is not None:
        document["better_probe"] = _probe_document(probe, request)
        document["better_probe_blind_to"] = [mistake.cause for mistake in probe.blind_to]
    return as_base64(document) if request.encoding == "base64" else document


def _verdict(checked: Check) -> str:
    """What was found, in one sentence."""
    diagnoses = checked.search.diagnoses
    if checked.agrees:
        return "Everything given agrees with the right gradient."
    if not diagnoses:
        singles, pairs = checked.search.singles_left_out, checked.search.pairs_left_out
        both = f"{counted(singles, 'mistake')} and {counted(pairs, 'pair')}"
        rest = f" ({both if singles else f'{pairs} pairs'} were not tried)" if pairs else ""
        return f"No known mistake reproduces these numbers, neither alone nor in a pair{rest}."
    if not diagnoses[0].variant.parts:
        return "The numbers are the right ones but for rounding, which is coarser than the tolerance."
    named = {diagnosis.variant.causes for diagnosis in diagnoses}
    what = "One mistake" if len(diagnoses[0].variant.parts) == 1 else "A pair of mistakes"
    others = f"; {len(named) - 1} more cannot be told from it here" if len(named) > 1 else ""
    return f"{what} reproduces these numbers: {_name(diagnoses[0])}{others}."


def _searched(checked: Check) -> dict[str, int]:
    """How much was tried; what was left out beside pairs is there only where something was."""
    search = checked.search
    document = {"singles": search.singles, "pairs": search.pairs, "pairs_left_out": search.pairs_left_out}
    left_out = {"singles_left_out": search.singles_left_out, "blind_to_left_out": checked.blind_to_left_out}
    return document | {name: count for name, count in left_out.items() if count}


def _array_document(verdict: Agreement | None, layout: str) -> dict[str, Any] | None:
    if verdict is None:
        return None
    return {
        "agrees": verdict.agrees,
        "max_absolute_error": verdict.absolute_error,
        "max_absolute_error_at": _place(verdict.absolute_at),
        "max_relative_error": verdict.relative_error,
        "max_relative_error_at": _place(verdict.relative_at),
        "elements": (verdict.elements.T if layout == OUT_IN else verdict.elements).tolist(),
    }


def _place(index: tuple[int, ...]) -> dict[str, int]:
    """Which weight or bias, named as elsewhere in the contract."""
    return dict(zip(("from", "to") if len(index) == 2 else ("to",), index, strict=True))


def _diagnosis_document(diagnosis: Diagnosis, diagnoses: tuple[Diagnosis, ...], network: Network) -> dict[str, Any]:
    mistakes = []
    for mistake, layers in diagnosis.variant.parts:
        fitted = {mistake.fits: diagnosis.theta} if mistake.fits else {}
        mistakes.append({"cause": mistake.cause, "layers": sorted(layers), "fitted": fitted})
    return {
        "cause": _name(diagnosis),
        "detail": _detail(diagnosis, [other for other in diagnoses if other is not diagnosis], network),
        "residual": diagnosis.residual,
        "mistakes": mistakes,
    }


def _name(diagnosis: Diagnosis) -> str:
    return " + ".join(diagnosis.variant.causes) or ROUNDING


def _detail(diagnosis: Diagnosis, others: list[Diagnosis], network: Network) -> str:
    """What goes wrong, where, with which number, and what cannot be told from it."""
    if not diagnosis.variant.parts:
        return "Nothing is wrong but the last digits: the right gradient, rounded as these numbers are, gives them."
    count = len(network.layers)
    words = "; and ".join(f"{_where(layers, count)}: {mistake.words}" for mistake, layers in diagnosis.variant.parts)
    fitted = diagnosis.variant.fitted
    if fitted is not None:
        words += f"; with a {fitted.fits.replace('_', ' ')} of {diagnosis.theta:.4g}, fitted to the numbers"
    twins = f" Gives the same numbers here: {', '.join(map(_name, others))}." if others else ""
    return f"{words[0].upper()}{words[1:]}.{twins}"


def _where(layers: frozenset[int], count: int) -> str:
    if len(layers) == count > 1:
        return "in every layer"
    if layers == {count - 1}:
        return "at the output layer"
    numbers = list(map(str, sorted(layers)))
    return f"in layer {numbers[0]}" if len(numbers) == 1 else f"in layers {', '.join(numbers[:-1])} and {numbers[-1]}"


def _probe_document(probe: Probe, request: CheckRequest) -> dict[str, Any]:
    """A request as it may be posted again, to either endpoint."""
    return {
        "network": network_document(probe.network, request.weights_layout),
        "inputs": probe.inputs,
        "targets": probe.targets,
        "loss": resolved_loss(request.loss),
    }
