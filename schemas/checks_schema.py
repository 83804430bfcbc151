"""The JSON Schema of the answer of POST /v1/gradient-checks, in either encoding."""

from collections.abc import Iterator

from chainrule.diagnosis.diagnose import MOST_DIAGNOSES
from chainrule.diagnosis.mistakes import MISTAKES
from schemas.fields.json_schema import (
    BOOLEAN,
    COUNT,
    NUMBER,
    NUMBER_OR_NULL,
    TEXT,
    JSONSchema,
    any_of,
    array,
    listed,
    ref,
    strict,
    word,
)
from schemas.gradients import ENCODINGS


def checks_schemas() -> Iterator[tuple[str, JSONSchema]]:
    """`GradientCheck`, the choice of encodings, and every schema that it is made of."""
    yield "GradientCheck", any_of(ref(f"CheckAnswer{_end(encoding)}") for encoding in ENCODINGS)
    for encoding in ENCODINGS:
        yield f"CheckAnswer{_end(encoding)}", _answer(encoding)
        yield f"Probe{_end(encoding)}", _probe(encoding)
    yield (
        "MistakeName",
        word(mistake.cause for mistake in MISTAKES) | {"description": "see docs/check-your-backprop.md"},
    )
    yield "LayerCheck", strict({"dE_dw": _verdict(2), "dE_db": _verdict(1)})
    yield "Diagnosis", _diagnosis()


def _end(encoding: str) -> str:
    return "Base64" if encoding == "base64" else ""


def _answer(encoding: str) -> JSONSchema:
    return strict(
        {
            "agrees": BOOLEAN,
            "verdict": TEXT,
            "layers": listed(ref("LayerCheck"), least=1),
            "first_wrong_layer": {"anyOf": [COUNT, {"type": "null"}]},
            "diagnoses": listed(ref("Diagnosis"), most=MOST_DIAGNOSES),
            "searched": strict(
                dict.fromkeys(("singles", "pairs", "pairs_left_out"), COUNT),
                dict.fromkeys(("singles_left_out", "blind_to_left_out"), COUNT),
            ),
            "tolerance": strict({"relative": NUMBER, "absolute": NUMBER}),
            "blind_to": listed(ref("MistakeName")),
        },
        {"better_probe": ref(f"Probe{_end(encoding)}"), "better_probe_blind_to": listed(ref("MistakeName"))},
    )


def _verdict(rank: int) -> JSONSchema:
    """The verdict on one array; null where the client does not give it. An error beyond float64 is null."""
    elements: JSONSchema = BOOLEAN
    for _ in range(rank):
        elements = listed(elements, least=1)
    place = strict(dict.fromkeys(("from", "to") if rank == 2 else ("to",), COUNT))
    verdict = strict(
        {
            "agrees": BOOLEAN,
            "max_absolute_error": NUMBER_OR_NULL,
            "max_absolute_error_at": place,
            "max_relative_error": NUMBER_OR_NULL,
            "max_relative_error_at": place,
            "elements": elements,
        }
    )
    return {"anyOf": [verdict, {"type": "null"}]}


def _diagnosis() -> JSONSchema:
    """`fitted` has the number that the mistake leaves open, by its name."""
    fitted = strict({}, dict.fromkeys(dict.fromkeys(mistake.fits for mistake in MISTAKES if mistake.fits), NUMBER))
    mistake = strict({"cause": ref("MistakeName"), "layers": listed(COUNT, least=1), "fitted": fitted})
    return strict({"cause": TEXT, "detail": TEXT, "residual": NUMBER, "mistakes": listed(mistake, most=2)})


def _probe(encoding: str) -> JSONSchema:
    """May be posted again; targets are class indices where the loss takes them."""
    return strict(
        {
            "network": ref(f"UpdatedNetwork{_end(encoding)}"),
            "inputs": array(2, encoding),
            "targets": any_of(array(rank, encoding) for rank in (1, 2)),
            "loss": ref("ResolvedLoss"),
        }
    )
