"""A network on the wire, and whether its shapes fit each other, the inputs and the targets."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from marshmallow import fields, validate

from chainrule.functions.tables import Array
from chainrule.graph.network import Layer, Network
from schemas.fields.kinds import MESSAGES, ActivationField, ArrayField, ChoiceField
from schemas.fields.strict import Complaints, StrictSchema
from schemas.fields.wording import counted

OUT_IN = "out_in"
LAYOUTS = ("in_out", OUT_IN)


class LayerSchema(StrictSchema):
    """One dense layer."""

    activation = ActivationField(required=True)
    weights = ArrayField(2, required=True, metadata={"description": "`weights[i][j]` goes from unit i below to unit j"})
    biases = ArrayField(1, metadata={"description": "one for each unit; without it, the layer has none"})


class NetworkSchema(StrictSchema):
    """Layers first to last, and how their matrices are laid out."""

    layers = fields.Nested(
        LayerSchema,
        many=True,
        required=True,
        validate=validate.Length(min=1, error="must not be empty"),
        error_messages={**MESSAGES, "type": "must be a list of layers"},
        metadata={"description": "first to last"},
    )
    weights_layout = ChoiceField(
        LAYOUTS,
        load_default=LAYOUTS[0],
        metadata={"description": "`out_in`: matrices are n_out × n_in, as in PyTorch; the answer's too"},
    )


def to_network(loaded: dict[str, Any]) -> Network:
    """The core's network, from a loaded `network` whose shapes fit."""
    return Network(tuple([_layer(layer, loaded["weights_layout"]) for layer in loaded["layers"]]))


def _layer(loaded: dict[str, Any], layout: str) -> Layer:
    return Layer.dense(as_in_out(loaded["weights"], layout), loaded.get("biases"), loaded["activation"])


def as_in_out(matrix: Array, layout: str) -> Array:
    """Convert a matrix from the layout of the wire to n_in × n_out, or back: both are the same transposition."""
    return matrix.T if layout == OUT_IN else matrix


def misfits(loaded: dict[str, Any], inputs: Array | None) -> Complaints:
    """Yield (path, complaint) for each layer that does not fit the layer before it, or its own units.

    Parts that could not be read are missing in `loaded`, and are not compared with others.
    """
    layout = loaded.get("weights_layout", LAYOUTS[0])
    width = None if inputs is None else inputs.shape[-1]
    for k, layer in enumerate(loaded.get("layers", [])):
        units = _fitting_units(layer, width, layout)
        if units is None:
            for path, words in _layer_misfits(layer, width, _giver(k, width), layout):
                yield ("layers", k, *path), words
            units = _units(layer, width, layout)
        width = units


def _giver(k: int, width: int | None) -> str:
    """The source of layer k's inputs and their number, in words."""
    if not width:
        return ""
    return (
        f"layer {k - 1} has {counted(width, 'unit')}" if k else f"the inputs have {counted(width, 'number')} a sample"
    )


def _fitting_units(layer: dict[str, Any], width: int | None, layout: str) -> int | None:
    """The number of units of a loaded layer; None if the layer may have a misfit."""
    if "weights" not in layer:
        return None
    n_in, n_out = layer["weights"].shape if layout != OUT_IN else layer["weights"].shape[::-1]
    biases, activation = layer.get("biases"), layer.get("activation")
    fits = (
        n_in == width
        and (biases is None or len(biases) == n_out)
        and (type(activation) is not tuple or len(activation) == n_out)
    )
    return int(n_out) if fits else None


def outputs_of(loaded: dict[str, Any], inputs: Array) -> int | None:
    """The number of outputs of a loaded network; None if it is unknown."""
    units: int | None = None
    width: int | None = inputs.shape[-1]
    for layer in loaded.get("layers", []):
        layout = loaded.get("weights_layout", LAYOUTS[0])
        units = _fitting_units(layer, width, layout)
        width = units = _units(layer, width, layout) if units is None else units
    return units


def _units(layer: dict[str, Any], width: int | None, layout: str) -> int | None:
    """The number of a loaded layer's units, or None if unknown; a clearly transposed matrix is read as intended."""
    if "weights" not in layer:
        return None
    n_in, n_out = as_in_out(layer["weights"], layout).shape
    return int(n_in if _is_transposed(layer, width, layout) else n_out)


def _is_transposed(layer: dict[str, Any], width: int | None, layout: str) -> bool:
    """Whether a matrix fits the layer before it, and its own biases and activations, only if transposed."""
    n_in, n_out = as_in_out(layer["weights"], layout).shape
    return n_in != width == n_out and all(entries == n_in for _, entries in _lists_of_units(layer))


def _lists_of_units(layer: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield (key, length) of each list with one entry for every unit of the layer."""
    for key in ("biases", "activation"):
        if isinstance(layer.get(key), np.ndarray | tuple):
            yield key, len(layer[key])


def _layer_misfits(layer: dict[str, Any], width: int | None, giver: str, layout: str) -> Complaints:
    if "weights" not in layer:
        return
    n_in, n_out = as_in_out(layer["weights"], layout).shape
    transposed = _is_transposed(layer, width, layout)
    if width is not None and n_in != width:
        yield ("weights",), _wrong_matrix(n_in, giver, layout, transposed)
    units = n_in if transposed else n_out
    for key, entries in _lists_of_units(layer):
        if entries != units:
            noun = "number" if key == "biases" else "activation"
            yield (key,), f"has {counted(entries, noun)}, but the weights lead to {counted(units, 'unit')}"


def _wrong_matrix(n_in: int, giver: str, layout: str, transposed: bool) -> str:
    side, other = ("column", LAYOUTS[0]) if layout == OUT_IN else ("row", OUT_IN)
    words = f"has {counted(n_in, side)}, but {giver}: one {side} for each is needed"
    if not transposed:
        return words
    form = "n_out × n_in" if other == OUT_IN else "n_in × n_out"
    return f'{words}. It looks transposed; "weights_layout": "{other}" takes matrices as {form}'
