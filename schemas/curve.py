"""The query and the answer of GET /v1/activations/{name}/curve: an activation of single units, for drawing."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import numpy as np
from marshmallow import ValidationError

from chainrule.functions.activations import Activation, ActivationSpec
from chainrule.functions.tables import Array, Parameter
from schemas.catalogue import kink_documents
from schemas.fields.kinds import activation_of, complaints, resolved_activation
from schemas.fields.strict import MOST_COMPLAINTS, as_messages

MOST_POINTS = 10_000
_FARTHEST = 1e300  # so that the way between two ends is a float64 too
RANGE = (
    Parameter("from", -6.0, "the first a", minimum=-_FARTHEST, maximum=_FARTHEST),
    Parameter("to", 6.0, "the last a", minimum=-_FARTHEST, maximum=_FARTHEST),
    Parameter("points", 121, "how many a, both ends included", minimum=2, maximum=MOST_POINTS, whole=True),
)
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True, eq=False)
class CurveRequest:
    """An activation with its parameters, and the a to draw it at, (p,)."""

    activation: ActivationSpec
    a: Array


def read_curve(activation: Activation, query: Mapping[str, Sequence[str]]) -> CurveRequest:
    """The curve that a query asks for: `from`, `to`, `points`, and the activation's parameters, each given once.

    Raises ValidationError with every complaint.
    """
    if not activation.elementwise:
        raise ValidationError(f"{activation.name} acts on a group of units, and has no curve")
    twice = (((key,), f"is given {len(values)} times") for key, values in query.items() if len(values) > 1)
    given: dict[str, Any] = {key: _read(values[0]) for key, values in query.items() if len(values) == 1}
    checks = {parameter.name: parameter for parameter in (*activation.parameters, *RANGE)}
    if found := list(islice(chain(twice, complaints(activation, given, checks)), MOST_COMPLAINTS)):
        raise ValidationError(as_messages(found))
    first, last, points = (float(given.pop(parameter.name, parameter.default)) for parameter in RANGE)
    if not first < last:
        raise ValidationError({"to": [f"must be greater than from, which is {first:g}"]})
    return CurveRequest(activation_of(activation, given), np.linspace(first, last, int(points)))


def _read(text: str) -> float | str:
    """A number as JSON writes it, else the text itself: Python's own float takes "1_000" and "nan"."""
    return float(text) if _NUMBER.fullmatch(text) else text


def curve(request: CurveRequest) -> dict[str, Any]:
    """a, o and do/da, (p,) each, with the kinks between the ends; what float64 cannot hold is null."""
    phi, a = request.activation, request.a[:, None]
    return {
        "activation": resolved_activation(phi),
        "a": request.a,
        "o": phi.value(a)[:, 0],
        "do_da": phi.jacobian(a).array()[:, 0],
        "kinks": [kink for kink in kink_documents(phi) if request.a[0] <= kink["at"] <= request.a[-1]],
    }
