"""The JSON Schema of the answer of POST /v1/explanations."""

from collections.abc import Iterator

from chainrule.derivation.explain import QUANTITIES, SECTIONS
from schemas.fields.json_schema import (
    COUNT,
    NUMBER,
    NUMBER_OR_NULL,
    TEXT,
    JSONSchema,
    any_of,
    listed,
    ref,
    strict,
    word,
)
from schemas.notices import MOST_WARNINGS

_LATEX_OR_NULL: JSONSchema = {"type": ["string", "null"], "description": "LaTeX; null where a note says why not"}
_LATEX: JSONSchema = {"type": "string", "description": "LaTeX"}


def explanations_schemas() -> Iterator[tuple[str, JSONSchema]]:
    """`Explanation`, and the schemas that it is made of."""
    yield "Explanation", any_of(_answer(name) for name in ("weight", "bias"))
    yield "DerivationStep", _step()
    yield "DerivationTerm", _term()


def _answer(asked: str) -> JSONSchema:
    ends = {"layer": COUNT, **({"from": COUNT} if asked == "weight" else {}), "to": COUNT, "value": NUMBER}
    return strict(
        {
            asked: strict(ends),
            "value": NUMBER | {"description": "the derivative of the loss by it; of one sample, its share"},
            "loss": NUMBER,
            "loss_function": ref("ResolvedLoss"),
            "steps": listed(ref("DerivationStep"), least=1),
            "warnings": listed(ref("Warning"), most=MOST_WARNINGS + 1),
        },
        {"sample": COUNT},
    )


def _step() -> JSONSchema:
    return strict(
        {
            "section": word(SECTIONS),
            "quantity": word(QUANTITIES),
            "title": TEXT,
            "symbols": _LATEX,
            "numbers": _LATEX_OR_NULL,
            "value": NUMBER_OR_NULL,
        },
        {
            "layer": COUNT,
            "unit": COUNT,
            "sample": COUNT,
            "terms": listed(ref("DerivationTerm"), least=1),
            "note": TEXT,
        },
    )


def _term() -> JSONSchema:
    """Of a unit or a sample, with the factors that the term is the product of."""
    factors = ("dE_da", "weight", "dE_do", "do_da", "da_dw", "da_db")
    return strict(
        {"numbers": _LATEX_OR_NULL, "value": NUMBER_OR_NULL},
        {"unit": COUNT, "sample": COUNT, **dict.fromkeys(factors, NUMBER_OR_NULL)},
    )
