"""The costs of a few example requests, for GET /v1/limits: clients see in advance what is allowed."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import prod
from typing import Any, NamedTuple

import numpy as np

from chainrule.cost import Cost
from chainrule.derivation.explain import Place
from chainrule.diagnosis.tolerance import Given, Tolerance
from chainrule.functions.activations import activation_spec
from chainrule.functions.losses import loss_spec
from chainrule.graph.network import Layer, Network
from schemas.checks import CheckRequest
from schemas.cost import NUMBER_TEXT, Posted, check_cost, explanation_cost, gradients_cost
from schemas.explanations import ExplanationRequest
from schemas.gradients import GradientRequest

_MOST_SAMPLES = 2**24
_POSTED = NUMBER_TEXT + 1  # bytes of a number in a body, as many programs put a space behind the comma
_WORDS = 500  # bytes of the names in a body, and of the brackets around its arrays


class Text(NamedTuple):
    """What a body consists of: its bytes, numbers and lists."""

    size: int
    numbers: int
    lists: int


Allows = Callable[[Cost, Text], bool]  # whether a request of this cost, with such a body, is allowed


@dataclass(frozen=True)
class Known:
    """An example request. `units` runs from inputs to outputs; hidden layers are relu, and the last is softmax."""

    path: str
    cost: Callable[[Any, Posted], Cost]
    units: tuple[int, ...]
    samples: int
    breakdown: str = "none"
    verify: bool = False

    def cost_of(self, samples: int) -> tuple[Cost, Text]:
        """The cost for so many samples, and the body where its numbers are written in full."""
        request = _FORMS[self.path](self._gradients(samples))
        text = _text(_arrays(request))
        return self.cost(request, Posted(text.size)), text

    @cached_property
    def network(self) -> Network:
        """The network. Its arrays take no memory: all their elements are one shared zero."""
        last = len(self.units) - 2
        return Network(
            tuple(
                Layer.dense(_zeros(i, j), _zeros(j), activation_spec("softmax" if k == last else "relu"))
                for k, (i, j) in enumerate(pairwise(self.units))
            )
        )

    def _gradients(self, samples: int) -> GradientRequest:
        return GradientRequest(
            network=self.network,
            inputs=_zeros(samples, self.units[0]),
            targets=_zeros(samples, self.units[-1]),
            loss=loss_spec("categorical_cross_entropy"),
            breakdown=self.breakdown,
            learning_rate=None,
            verify=self.verify,
            weights_layout="in_out",
            one_sample=False,
            encoding="json",
            packed=frozenset(),
        )

    def document(self, allows: Allows) -> dict[str, Any]:
        """The shapes, the cost, and how many samples are allowed at most."""
        cost, _ = self.cost_of(self.samples)
        first = cost.first_seconds
        at_first = {} if first == cost.seconds else {"first_work_seconds": float(f"{first:.3g}")}
        return {
            "units": list(self.units),
            "samples": self.samples,
            "breakdown": self.breakdown,
            "verify": self.verify,
            "work_seconds": float(f"{cost.seconds:.3g}"),
            "memory_bytes": cost.memory,
            "most_samples": self._most_samples(allows),
            **at_first,
        }

    def _most_samples(self, allows: Allows) -> int:
        """The largest batch that is allowed, by bisection."""
        within, beyond = 0, _MOST_SAMPLES
        while beyond - within > 1:
            middle = (within + beyond) // 2
            within, beyond = (middle, beyond) if allows(*self.cost_of(middle)) else (within, middle)
        return within


def _arrays(request: Any) -> Iterator[Any]:
    """Every array that is posted."""
    gradients = request.gradients if isinstance(request, ExplanationRequest) else request
    yield from (gradients.inputs, gradients.targets)
    for layer in gradients.network.layers:
        yield from (layer.weights, layer.biases)
    for given in getattr(gradients, "given", ()):
        yield from (given.dE_dw, given.dE_db)


def _text(arrays: Iterable[Any]) -> Text:
    """The size of a body with these arrays: numbers in full, a list for each row and array, and some names."""
    shapes = [array.shape for array in arrays]
    numbers, rows = sum(map(prod, shapes)), sum(prod(shape[:-1]) for shape in shapes)
    return Text(_WORDS + _POSTED * numbers + 2 * rows, numbers, rows + len(shapes))


def _zeros(*shape: int) -> Any:
    return np.broadcast_to(np.float64(0.0), shape)


def _as_explanation(request: GradientRequest) -> ExplanationRequest:
    """A request to explain the first weight of the last layer, over the whole batch."""
    return ExplanationRequest(request, Place(len(request.network.layers) - 1, 0, 0), None)


def _as_check(request: GradientRequest) -> CheckRequest:
    given = tuple(Given(layer.weights, layer.biases) for layer in request.network.layers)
    return CheckRequest(**vars(request), given=given, tolerance=Tolerance())


_FORMS: Mapping[str, Callable[[GradientRequest], Any]] = {
    "/v1/gradients": lambda request: request,
    "/v1/explanations": _as_explanation,
    "/v1/gradient-checks": _as_check,
}

_SMALL, _MIDDLE, _DIGITS = (2, 2, 2), (64, 64, 10), (784, 128, 64, 10)

KNOWN: tuple[Known, ...] = (
    Known("/v1/gradients", gradients_cost, _SMALL, 1, "per_weight"),
    Known("/v1/gradients", gradients_cost, _MIDDLE, 1, "per_weight"),
    Known("/v1/gradients", gradients_cost, (8, 16, 4), 32, verify=True),
    Known("/v1/gradients", gradients_cost, _DIGITS, 64, "per_unit"),
    Known("/v1/gradients", gradients_cost, _DIGITS, 64),
    Known("/v1/explanations", explanation_cost, _SMALL, 1),
    Known("/v1/explanations", explanation_cost, _DIGITS, 1),
    Known("/v1/gradient-checks", check_cost, _SMALL, 1),
    Known("/v1/gradient-checks", check_cost, _DIGITS, 64),
)


def endpoints_document(allows: Allows) -> list[dict[str, Any]]:
    """Every endpoint with limits, and the costs of its example requests."""
    return [
        {"path": path, "examples": [known.document(allows) for known in KNOWN if known.path == path]} for path in _FORMS
    ]
