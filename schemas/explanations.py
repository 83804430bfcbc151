"""The request of POST /v1/explanations, read into core values, and its answer as a document."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from marshmallow import fields

from chainrule.checkpoint import Checkpoint, unlimited
from chainrule.derivation.explain import Derivation, Place, Step, Term
from chainrule.functions.tables import Array
from chainrule.graph.backprop import Gradients
from schemas.fields.kinds import MESSAGES, IndexField, resolved_loss
from schemas.fields.strict import Complaints, StrictSchema
from schemas.fields.wording import counted
from schemas.gradients import GradientRequest, GradientRequestSchema
from schemas.network import as_in_out
from schemas.notices import warnings

_OBJECT = {**MESSAGES, "type": "must be an object"}


@dataclass(frozen=True, eq=False)
class ExplanationRequest:
    """A validated request: the gradients, and the parameter whose derivative is explained."""

    gradients: GradientRequest
    place: Place
    sample: int | None


# "from" is a keyword of Python, so the members are given as a mapping.
_LAYER = {"layer": IndexField(required=True, metadata={"description": "of the network, from 0"})}
_TO = {"to": IndexField(required=True, metadata={"description": "the unit of that layer"})}
_FROM = {"from": IndexField(required=True, metadata={"description": "the unit of the layer before, or the input"})}

WeightPlaceSchema = StrictSchema.from_dict({**_LAYER, **_FROM, **_TO}, name="WeightPlaceSchema")
BiasPlaceSchema = StrictSchema.from_dict({**_LAYER, **_TO}, name="BiasPlaceSchema")
WeightPlaceSchema.__doc__ = "A weight in either layout: from a unit of the layer before to a unit of this layer."
BiasPlaceSchema.__doc__ = "A bias."


class ExplanationRequestSchema(GradientRequestSchema):
    """The body of POST /v1/explanations: that of /v1/gradients, and the weight or the bias.

    `breakdown`, `step`, `verify` and `encoding` are validated, but have no effect here.
    """

    weight = fields.Nested(
        WeightPlaceSchema, error_messages=_OBJECT, metadata={"description": "the weight whose derivative is derived"}
    )
    bias = fields.Nested(BiasPlaceSchema, error_messages=_OBJECT, metadata={"description": "or the bias"})
    sample = IndexField(metadata={"description": "the sample of a batch whose share is derived; without it, all are"})

    def misfits(self, loaded: dict[str, Any], posted: dict[str, Any]) -> Complaints:
        """Yield (path, complaint), also for a weight, bias or sample that does not exist, among what could be read."""
        yield from super().misfits(loaded, posted)
        yield from _choice(posted)
        yield from _sample_misfits(loaded)
        for key in ("weight", "bias"):
            for path, words in _place_misfits(loaded, key):
                yield (key, *path), words

    def parsed(self, loaded: dict[str, Any], posted: dict[str, Any]) -> Any:
        """The request in core values. Options without an effect on explanations are set to what costs least."""
        asked: GradientRequest = super().parsed(loaded, posted)
        place = loaded.get("weight") or loaded["bias"]
        return ExplanationRequest(
            gradients=replace(asked, breakdown="none", learning_rate=None, verify=False, encoding="json"),
            place=Place(place["layer"], place["to"], place.get("from")),
            sample=loaded.get("sample"),
        )


def _choice(posted: dict[str, Any]) -> Complaints:
    """Yield a complaint unless exactly one of weight and bias is given."""
    given = [key for key in ("weight", "bias") if key in posted]
    if not given:
        yield ("weight",), 'is required, unless "bias" is given: one of them names the derivative to explain'
    elif len(given) > 1:
        yield ("bias",), "must be left out if a weight is given: one derivative is explained at a time"


def _sample_misfits(loaded: dict[str, Any]) -> Complaints:
    inputs, sample = loaded.get("inputs"), loaded.get("sample")
    if inputs is None or sample is None:
        return
    if inputs.ndim == 1:
        yield ("sample",), "must be left out if the inputs are one sample and not a batch"
    elif sample >= len(inputs):
        yield ("sample",), _range(len(inputs), f"the inputs have {counted(len(inputs), 'sample')}")


def _place_misfits(loaded: dict[str, Any], key: str) -> Complaints:
    """Yield (path, complaint) for a weight or bias outside the network."""
    network, place = loaded.get("network", {}), loaded.get(key)
    layers = network.get("layers")
    if place is None or not layers or "layer" not in place:
        return
    k = place["layer"]
    if k >= len(layers):
        yield ("layer",), _range(len(layers), f"the network has {counted(len(layers), 'layer')}")
    elif key == "bias" and "weights" in layers[k] and "biases" not in layers[k]:
        yield ("layer",), f"must be a layer with biases; layer {k} has none"
    elif "weights" in layers[k]:
        yield from _unit_misfits(place, as_in_out(layers[k]["weights"], network.get("weights_layout", "in_out")))


def _unit_misfits(place: Mapping[str, int], weights: Array) -> Complaints:
    n_in, n_out = weights.shape
    layer = f"layer {place['layer']}"
    given, units = f"{layer} is given {counted(n_in, 'number')}", f"{layer} has {counted(n_out, 'unit')}"
    ends = {"from": (n_in, given), "to": (n_out, units)}
    for end, (count, why) in ends.items():
        if end in place and place[end] >= count:
            yield (end,), _range(count, why)


def _range(count: int, why: str) -> str:
    return f"must be a whole number from 0 to {count - 1}: {why}"


# The answer.


def explanation(
    asked: ExplanationRequest, result: Gradients, derivation: Derivation, checkpoint: Checkpoint = unlimited
) -> dict[str, Any]:
    """The answer to a request. The checkpoint is called before each step."""
    request = asked.gradients
    return {
        **place_document(asked),
        **({} if asked.sample is None else {"sample": asked.sample}),
        "value": derivation.value,
        "loss": result.loss,
        "loss_function": resolved_loss(request.loss),
        "steps": list(_step_documents(derivation, request.one_sample, checkpoint)),
        "warnings": warnings(request, result),
    }


def place_document(asked: ExplanationRequest) -> dict[str, Any]:
    """The requested weight or bias, and its value."""
    place, layer = asked.place, asked.gradients.network.layers[asked.place.layer]
    if place.unit_before is not None:
        ends = {"layer": place.layer, "from": place.unit_before, "to": place.unit}
        return {"weight": {**ends, "value": float(layer.weights[place.unit_before, place.unit])}}
    assert layer.biases is not None, "a bias that is not there was refused"  # noqa: S101
    return {"bias": {"layer": place.layer, "to": place.unit, "value": float(layer.biases[place.unit])}}


def _step_documents(derivation: Derivation, one_sample: bool, checkpoint: Checkpoint) -> Iterator[dict[str, Any]]:
    for step in derivation.steps:
        checkpoint()
        yield _step_document(step, one_sample)


def _step_document(step: Step, one_sample: bool) -> dict[str, Any]:
    where = {"layer": step.layer, "unit": step.unit, "sample": None if one_sample else step.sample}
    document: dict[str, Any] = {
        "section": step.section,
        "quantity": step.quantity,
        "title": step.title,
        **{name: index for name, index in where.items() if index is not None},
        "symbols": step.symbols,
        "numbers": step.numbers,
        "value": step.value,
    }
    if step.terms:
        document["terms"] = [dict(_term_members(term)) for term in step.terms]
    return document if step.note is None else document | {"note": step.note}


def _term_members(term: Term) -> Iterator[tuple[str, Any]]:
    yield term.over, term.index
    yield from term.factors.items()
    yield from (("numbers", term.numbers), ("value", term.value))
