"""JSON Schema (draft 2020-12) in small pieces, from which requests and answers are described.

Arrays have names, of which one for each rank and way of writing is made: `Matrix`, `MatrixBase64`, `VectorOrNulls`.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from chainrule.functions.tables import Parameter

JSONSchema = dict[str, Any]

NUMBER: JSONSchema = {"type": "number"}
NUMBER_OR_NULL: JSONSchema = {"type": ["number", "null"]}
COUNT: JSONSchema = {"type": "integer", "minimum": 0}
TEXT: JSONSchema = {"type": "string"}
BOOLEAN: JSONSchema = {"type": "boolean"}
POINTER: JSONSchema = {
    "type": "string",
    "pattern": "^#(/.*)?$",
    "description": "a JSON Pointer, as a URI fragment",
    "examples": ["#/inputs/3/1"],
}

_RANKS = ("Number", "Vector", "Matrix", "Tensor")
_BASE64 = "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
_SHORTEST = 12  # characters of base64 for the 8 bytes of one number


def ref(name: str) -> JSONSchema:
    """The schema of that name among the components."""
    return {"$ref": f"#/components/schemas/{name}"}


def strict(required: Mapping[str, JSONSchema], optional: Mapping[str, JSONSchema] | None = None) -> JSONSchema:
    """An object with these members and no others."""
    properties = {**required, **(optional or {})}
    needed = {"required": list(required)} if required else {}
    return {"type": "object", "properties": properties, **needed, "additionalProperties": False}


def listed(items: JSONSchema, least: int = 0, most: int | None = None) -> JSONSchema:
    """A list of such items."""
    bounds = {"minItems": least} if least else {}
    return {"type": "array", "items": items, **bounds, **({} if most is None else {"maxItems": most})}


def word(choices: Iterable[str]) -> JSONSchema:
    """One of a few words."""
    return {"type": "string", "enum": list(choices)}


def any_of(forms: Iterable[JSONSchema]) -> JSONSchema:
    """One form or another."""
    forms = list(forms)
    return forms[0] if len(forms) == 1 else {"anyOf": forms}


def parameter_schema(parameter: Parameter) -> JSONSchema:
    """What a parameter of either table takes: a word, or a number within its bounds; with its default."""
    bounds = {
        "minimum": parameter.minimum,
        "exclusiveMinimum": parameter.exclusive_minimum,
        "maximum": parameter.maximum,
        "default": parameter.default,
        "description": parameter.meaning,
    }
    kind = word(parameter.choices) if parameter.choices else {"type": "integer" if parameter.whole else "number"}
    return kind | {name: bound for name, bound in bounds.items() if bound is not None}


def array(rank: int, encoding: str = "json", *, nulls: bool = False) -> JSONSchema:
    """An array of that rank, by its name; in JSON a factor may hold null where float64 holds no finite number."""
    if encoding == "base64":
        return ref(f"{_RANKS[rank]}Base64")
    return ref(f"{_RANKS[rank]}{'OrNulls' if nulls else ''}") if rank else NUMBER_OR_NULL if nulls else NUMBER


def posted_array(ranks: Iterable[int]) -> JSONSchema:
    """An array of a request: of one of these ranks, as lists or base64."""
    return any_of(form for rank in ranks for form in (array(rank), array(rank, "base64")))


def arrays() -> Iterator[tuple[str, JSONSchema]]:
    """The named schema of every array: lists within lists, with nulls or without, and base64."""
    for rank, name in enumerate(_RANKS):
        if rank:
            yield name, listed(array(rank - 1), least=1)
            yield f"{name}OrNulls", listed(array(rank - 1, nulls=True), least=1)
        yield f"{name}Base64", _base64(rank)


def _base64(rank: int) -> JSONSchema:
    return {
        "description": "an array as the base64 of its numbers: little-endian float64, row by row",
        **strict(
            {
                "shape": listed({"type": "integer", "minimum": 1}, rank, rank),
                "base64": {"type": "string", "contentEncoding": "base64", "pattern": _BASE64, "minLength": _SHORTEST},
            }
        ),
    }
