"""The request of POST /v1/gradients, read into core values."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from marshmallow import fields

from chainrule.functions.losses import LossSpec
from chainrule.functions.tables import Array
from chainrule.graph.network import Network
from schemas.fields.arrays import as_posted, first_places, is_packed
from schemas.fields.kinds import (
    MESSAGES,
    ArrayField,
    BooleanField,
    ChoiceField,
    LossField,
    NumberField,
)
from schemas.fields.strict import Complaints, Path, StrictSchema
from schemas.fields.wording import counted
from schemas.network import NetworkSchema, misfits, outputs_of, to_network

BREAKDOWNS = ("per_weight", "per_unit", "none")
ENCODINGS = ("json", "base64")
DEFAULT_LOSS = "half_squared_error"

_OBJECT = {**MESSAGES, "type": "must be an object"}


@dataclass(frozen=True, eq=False)
class GradientRequest:
    """A validated request, in the form that the core takes."""

    network: Network
    inputs: Array  # (s, i), even if one sample was posted without a batch
    targets: Array  # (s, j), or (s,) class indices
    loss: LossSpec
    breakdown: str
    learning_rate: float | None
    verify: bool
    weights_layout: str
    one_sample: bool  # the answer then has no samples axis
    encoding: str
    packed: frozenset[str]  # which of inputs and targets came as base64

    def path(self, name: str, *index: str | int) -> Path:
        """The path to an element of the inputs or targets; to the whole array if it was posted as base64."""
        return (name,) if name in self.packed else (name, *index)


class StepSchema(StrictSchema):
    """One step of gradient descent."""

    learning_rate = NumberField(exclusive_minimum=0.0, required=True)


class GradientRequestSchema(StrictSchema):
    """The body of POST /v1/gradients."""

    network = fields.Nested(NetworkSchema, required=True, error_messages=_OBJECT)
    inputs = ArrayField(1, 2, required=True, metadata={"description": "one sample, or a batch: samples × n_in"})
    targets = ArrayField(
        0,
        1,
        2,
        required=True,
        metadata={"description": "of the shape of the outputs; or one class index for each sample"},
    )
    loss = LossField(load_default=LossField().deserialize(DEFAULT_LOSS), metadata={"default": DEFAULT_LOSS})
    breakdown = ChoiceField(
        BREAKDOWNS, load_default=BREAKDOWNS[0], metadata={"description": "how far the derivatives are broken down"}
    )
    step = fields.Nested(
        StepSchema,
        error_messages=_OBJECT,
        metadata={"description": "also return the network after one step of gradient descent"},
    )
    verify = BooleanField(
        load_default=False, metadata={"description": "also compare the gradients with central differences of the loss"}
    )
    encoding = ChoiceField(
        ENCODINGS, load_default=ENCODINGS[0], metadata={"description": "how the arrays of the answer are written"}
    )

    def misfits(self, loaded: dict[str, Any], posted: dict[str, Any]) -> Complaints:
        """Yield (path, complaint) for shapes that do not fit each other, among the parts that could be read."""
        network, inputs = loaded.get("network", {}), loaded.get("inputs")
        for path, words in misfits(network, inputs):
            yield as_posted(posted, ("network", *path), words)
        if inputs is not None and "targets" in loaded and "loss" in loaded:
            for path, words in _target_misfits(loaded["loss"], loaded["targets"], inputs, outputs_of(network, inputs)):
                yield as_posted(posted, ("targets", *path), words)

    def parsed(self, loaded: dict[str, Any], posted: dict[str, Any]) -> GradientRequest:
        """The request in core values."""
        one_sample = loaded["inputs"].ndim == 1
        targets = loaded["targets"]
        if loaded["loss"].loss.class_indices:
            targets = targets.reshape(-1)
        elif one_sample:
            targets = targets[None]
        return GradientRequest(
            network=to_network(loaded["network"]),
            inputs=loaded["inputs"][None] if one_sample else loaded["inputs"],
            targets=targets,
            loss=loaded["loss"],
            breakdown=loaded["breakdown"],
            learning_rate=loaded["step"]["learning_rate"] if "step" in loaded else None,
            verify=loaded["verify"],
            weights_layout=loaded["network"]["weights_layout"],
            one_sample=one_sample,
            encoding=loaded["encoding"],
            packed=frozenset(name for name in ("inputs", "targets") if is_packed(posted[name])),
        )


def _target_misfits(loss: LossSpec, targets: Array, inputs: Array, outputs: int | None) -> Complaints:
    """Yield (path, complaint) for targets whose shape or values do not fit the loss, the inputs or the network."""
    samples = () if inputs.ndim == 1 else (len(inputs),)
    if loss.loss.class_indices:
        yield from _class_misfits(loss, targets, samples, outputs)
        return
    if targets.ndim != inputs.ndim:
        form = "one list for each sample" if samples else "one list of numbers"
        yield (), f"must be {form}, like the outputs"
        return
    if samples and len(targets) != len(inputs):
        yield (), f"has {counted(len(targets), 'sample')}, but the inputs have {len(inputs)}"
    yield from _width_misfits(loss, targets, bool(samples), outputs)
    yield from _value_misfits(loss, targets)


def _width_misfits(loss: LossSpec, targets: Array, batch: bool, outputs: int | None) -> Complaints:
    """Yield a complaint unless a sample has as many targets as the loss takes for that many outputs."""
    if not targets.ndim or outputs is None:
        return
    wanted, odd = divmod(outputs, loss.loss.outputs_per_target)
    has = f"the network has {counted(outputs, 'output')}"
    if odd:
        yield (), f"cannot fit: {loss.loss.name} takes the outputs in pairs, but {has}"
    elif targets.shape[-1] != wanted:
        given = f"has {counted(targets.shape[-1], 'number')}{' a sample' if batch else ''}"
        pairs = f", of which {loss.loss.name} takes {counted(wanted, 'pair')}"
        yield (), f"{given}, but {has}{pairs if wanted != outputs else ''}"


def _value_misfits(loss: LossSpec, targets: Array) -> Complaints:
    if loss.loss.target_values:
        words = " or ".join(f"{value:g}" for value in loss.loss.target_values)
        for place in first_places(~np.isin(targets, loss.loss.target_values)):
            yield place, f"must be {words} for {loss.loss.name}"


def _class_misfits(loss: LossSpec, targets: Array, samples: tuple[int, ...], outputs: int | None) -> Complaints:
    if targets.ndim > max(1, len(samples)):
        yield (), f"must hold one class index for each sample; {loss.loss.name} does not take rows of numbers"
        return
    if targets.shape not in {samples, samples or (1,)}:  # for one sample, [2] is taken as well as 2
        wanted = f"one class index for each of the {counted(samples[0], 'sample')}" if samples else "one class index"
        yield (), f"must be {wanted}, not {counted(targets.size, 'number') if targets.ndim else 'a number'}"
        return
    last = np.inf if outputs is None else outputs - 1
    ignored = loss.ignored(targets)
    wrong = ((targets < 0) | (targets > last) | (targets != np.floor(targets))) & ~ignored
    words = "must be a class index, a whole number" + ("" if outputs is None else f" from 0 to {last}")
    ignore_index = loss.parameter("ignore_index")
    also = "" if ignore_index is None else f", or {ignore_index}, which is ignored"
    for place in first_places(wrong):
        yield place, words + also
    if ignored.all() and loss.reduction == "mean":
        yield (), f"must not all be {ignore_index}, the ignored class: the mean over no samples is undefined"
