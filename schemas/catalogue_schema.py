"""The JSON Schemas of the catalogue's answers, and of the curve."""

from collections.abc import Iterator

from chainrule.functions.activations import ACTIVATIONS
from chainrule.functions.losses import LOSSES, REDUCTIONS
from schemas.curve import MOST_POINTS
from schemas.fields.json_schema import (
    BOOLEAN,
    COUNT,
    NUMBER,
    NUMBER_OR_NULL,
    TEXT,
    JSONSchema,
    listed,
    ref,
    strict,
    word,
)

_VALUE: JSONSchema = {"type": ["number", "string", "null"]}


def catalogue_schemas() -> Iterator[tuple[str, JSONSchema]]:
    """Lists and entries of both tables, and what an entry is made of."""
    yield "ActivationList", strict({"activations": listed(ref("ActivationEntry"), least=1)})
    yield "ActivationEntry", _activation()
    yield "LossList", strict({"losses": listed(ref("LossEntry"), least=1)})
    yield "LossEntry", _loss()
    yield "Curve", _curve()
    yield "Parameter", _parameter()
    yield "Elsewhere", _elsewhere()
    yield "Kink", strict(dict.fromkeys(("at", "left", "right", "jump", "taken"), NUMBER))
    yield "Border", strict(dict.fromkeys(("where", "below", "above", "taken"), _latex()))


def _latex() -> JSONSchema:
    return TEXT | {"description": "LaTeX"}


def _shared() -> dict[str, JSONSchema]:
    return {
        "title": TEXT,
        "formula": _latex(),
        "derivative": _latex(),
        "parameters": listed(ref("Parameter")),
        "value_ulps": COUNT | {"description": "the largest error of the value, in units in the last place"},
        "derivative_ulps": COUNT | {"description": "the largest error of the derivative, in units in the last place"},
        "elsewhere": listed(ref("Elsewhere")),
        "reference": TEXT,
        "note": TEXT,
    }


def _activation() -> JSONSchema:
    kinks = {
        "description": "numbers for an activation of single units, LaTeX for one of a group",
        "anyOf": [listed(ref("Kink")), listed(ref("Border"))],
    }
    return strict(
        {
            "name": word(ACTIVATIONS),
            "aliases": listed(TEXT),
            **_shared(),
            "elementwise": BOOLEAN | {"description": "whether each output depends only on its own pre-activation"},
            "kinks": kinks,
        }
    )


def _loss() -> JSONSchema:
    bounds = listed(NUMBER_OR_NULL, 2, 2) | {"type": ["array", "null"], "description": "targets outside get a warning"}
    allowed = "the only targets allowed; null if all are allowed"
    values = listed(NUMBER, 1) | {"type": ["array", "null"], "description": allowed}
    return strict(
        {
            "name": word(LOSSES),
            "aliases": listed(strict({"name": TEXT, "reduction": word(REDUCTIONS)})),
            **_shared(),
            "per": word(("element", "sample")) | {"description": "what the reduction `mean` counts"},
            "targets": word(("class_indices", "like_outputs", "one_for_each_pair_of_outputs")),
            "target_range": bounds,
            "target_values": values,
            "kinks": listed(ref("Border")),
            "stable_with": listed(word(ACTIVATIONS)) | {"description": "activations that it has a closed form with"},
        }
    )


def _parameter() -> JSONSchema:
    return strict(
        {"name": TEXT, "symbol": _latex(), "default": _VALUE, "meaning": TEXT},
        {
            "minimum": NUMBER,
            "exclusive_minimum": NUMBER,
            "maximum": NUMBER,
            "whole": {"const": True},
            "choices": listed(TEXT, least=1),
        },
    )


def _elsewhere() -> JSONSchema:
    """A default of another library; it may be of any JSON type."""
    default = {"type": ["number", "string", "boolean", "null"]}
    return strict({"library": TEXT, "function": TEXT, "parameter": TEXT, "default": default})


def _curve() -> JSONSchema:
    points = listed(NUMBER, 2, MOST_POINTS)
    beyond = listed(NUMBER_OR_NULL, 2, MOST_POINTS) | {"description": "null where it is beyond float64"}
    return strict(
        {
            "activation": ref("ResolvedActivation"),
            "a": points,
            "o": beyond,
            "do_da": beyond,
            "kinks": listed(ref("Kink")),
        }
    )
