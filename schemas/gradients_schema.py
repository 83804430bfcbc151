"""The JSON Schema of the answer of POST /v1/gradients: one for each form that a request can ask for.

A form is a breakdown, one sample or a batch, and an encoding. The answer mirrors the request: for one sample, every
array lacks the axis of the samples.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from chainrule.verification import METHOD
from schemas.fields.json_schema import (
    COUNT,
    NUMBER,
    NUMBER_OR_NULL,
    POINTER,
    TEXT,
    JSONSchema,
    any_of,
    array,
    listed,
    ref,
    strict,
    word,
)
from schemas.gradients import BREAKDOWNS, ENCODINGS
from schemas.network import LAYOUTS
from schemas.notices import CODES, MOST_WARNINGS


@dataclass(frozen=True)
class Form:
    """One form of the answer."""

    breakdown: str
    batch: bool
    encoding: str

    @property
    def name(self) -> str:
        """The end of the name of its schemas: "PerWeightOfBatchBase64"."""
        breakdown = "".join(part.capitalize() for part in self.breakdown.split("_"))
        return f"{breakdown}{'OfBatch' if self.batch else 'OfSample'}{'Base64' if self.encoding == 'base64' else ''}"

    def over_samples(self, rank: int, *, nulls: bool = False) -> JSONSchema:
        """An array with so many axes for each sample."""
        if rank == 0 and not self.batch:
            return NUMBER
        return array(rank + self.batch, self.encoding, nulls=nulls)

    def fixed(self, rank: int) -> JSONSchema:
        """An array without an axis of the samples, in the form's encoding."""
        return array(rank, self.encoding)


FORMS = tuple(
    Form(breakdown, batch, encoding) for breakdown, batch, encoding in product(BREAKDOWNS, (False, True), ENCODINGS)
)


def gradients_schemas() -> Iterator[tuple[str, JSONSchema]]:
    """`Gradients`, the choice of all forms, and every schema that they are made of."""
    yield "Gradients", any_of(ref(f"Gradients{form.name}") for form in FORMS)
    for form in FORMS:
        yield f"Gradients{form.name}", _answer(form)
        yield f"Layer{form.name}", _layer(form)
    for encoding in ENCODINGS:
        yield f"UpdatedNetwork{'Base64' if encoding == 'base64' else ''}", _network(encoding)
    for batch in (False, True):
        yield f"WeightRecordOf{'Batch' if batch else 'Sample'}", _record(batch)
    yield "Verification", _verification()
    yield "Warning", strict({"code": word(CODES), "detail": TEXT, "pointer": POINTER})


def _answer(form: Form) -> JSONSchema:
    required = {
        "loss": NUMBER,
        "sample_losses": form.over_samples(0),
        "outputs": form.over_samples(1),
        "layers": listed(ref(f"Layer{form.name}"), least=1),
        "loss_function": ref("ResolvedLoss"),
        "warnings": listed(ref("Warning"), most=MOST_WARNINGS + 1),
    }
    if form.breakdown != "none":
        required["dE_dx"] = form.over_samples(1)
    network = ref(f"UpdatedNetwork{'Base64' if form.encoding == 'base64' else ''}")
    return strict(required, {"updated_network": network, "verification": ref("Verification")})


def _layer(form: Form) -> JSONSchema:
    required = {"activation": ref("ResolvedActivations"), "dE_dw": form.fixed(2)}
    if form.breakdown != "none":
        required |= {name: form.over_samples(1) for name in ("a", "o", "dE_da")}
        required["factors"] = strict(
            {
                "dE_do": form.over_samples(1, nulls=True),
                "do_da": any_of(form.over_samples(rank, nulls=True) for rank in (1, 2)),
                "da_dw": form.over_samples(1),
            }
        )
    if form.breakdown == "per_weight":
        required["weights"] = listed(ref(f"WeightRecordOf{'Batch' if form.batch else 'Sample'}"), least=1)
    return strict(required, {"dE_db": form.fixed(1)})


def _record(batch: bool) -> JSONSchema:
    """Lists also where the arrays are base64. The factors of a unit of a group have an axis over the units."""
    factor = any_of(array(rank + batch, nulls=True) for rank in (0, 1))
    return strict(
        {
            "from": COUNT,
            "to": COUNT,
            "value": NUMBER,
            "dE_do": factor,
            "do_da": factor,
            "da_dw": array(int(batch)),
            "dE_dw": NUMBER,
        }
    )


def _network(encoding: str) -> JSONSchema:
    layer = strict(
        {"activation": ref("ResolvedActivations"), "weights": array(2, encoding)}, {"biases": array(1, encoding)}
    )
    return strict({"layers": listed(layer, least=1), "weights_layout": word(LAYOUTS)})


def _verification() -> JSONSchema:
    """Nothing is worst where nothing could be checked; an error or a noise beyond float64 is null."""
    numbers = {"analytic": NUMBER, "numeric": NUMBER, "relative_error": NUMBER_OR_NULL, "noise": NUMBER_OR_NULL}
    comparison = {"anyOf": [strict({"layer": COUNT, "to": COUNT, **numbers}, {"from": COUNT}), {"type": "null"}]}
    return strict(
        {
            "method": TEXT | {"examples": [METHOD]},
            "checked": COUNT,
            "left_out": COUNT,
            "max_relative_error": NUMBER_OR_NULL,
            "worst": comparison,
            "agrees": {"type": "boolean"},
            "disagreeing": COUNT,
            "worst_beyond_noise": comparison,
        }
    )
