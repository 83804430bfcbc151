"""Requests of every endpoint by their shapes: what the cost model predicts of them, and what they take."""

import json
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from benchmarks.least import yardstick
from chainrule.checkpoint import unlimited
from chainrule.cost import Cost
from chainrule.cost.rates import RATES
from chainrule.functions.activations import ACTIVATIONS
from chainrule.functions.losses import LOSSES
from schemas.checks import check_answer
from schemas.cost import check_cost, check_portions, explanation_cost, gradients_cost, posted
from schemas.explanations import explanation
from schemas.fields.arrays import as_base64
from schemas.gradients_answer import answer
from schemas.known_costs import Known
from service.api import operations
from service.api.computing import checked_gradients, compute, compute_explanation
from service.api.routes import ARRAYS
from service.encoding.codec import decode, encode
from service.encoding.outline import Outline
from service.resources.malloc import keep_freed

GRADIENTS, EXPLANATIONS, CHECKS = "gradients", "explanations", "gradient-checks"


@dataclass(frozen=True)
class Endpoint:
    """How one endpoint reads a request, computes, and writes the answer."""

    schema: Any
    cost: Callable[..., Cost]
    answered: Callable[[Any], Any]


ENDPOINTS = {
    GRADIENTS: Endpoint(operations.GRADIENTS.schema, gradients_cost, lambda asked: answer(asked, compute(asked))),
    EXPLANATIONS: Endpoint(
        operations.EXPLANATION.schema, explanation_cost, lambda asked: explanation(asked, *compute_explanation(asked))
    ),
    CHECKS: Endpoint(operations.CHECK.schema, check_cost, lambda asked: check_answer(asked, checked_gradients(asked))),
}


NUMBERS: dict[str, Callable[[Any], Any]] = {
    "normal": lambda array: array,
    "zero": np.zeros_like,  # every relu on its kink, all maxima tied
    "whole": np.round,
    "equal": lambda array: np.full_like(array, 0.5),
    "subnormal": lambda array: 1e-310 * array,
    "large": lambda array: 30.0 * array,
}


def _uneven(array: Any) -> Any:
    """Wrong everywhere, and everywhere by another number."""
    return array + 0.1 * np.arange(1, array.size + 1).reshape(array.shape)


CANDIDATES: dict[str, Callable[[list[Any], list[Any]], list[Any]]] = {
    "weights": lambda right, weights: weights,  # not at all right
    "right": lambda right, weights: right,
    "negated": lambda right, weights: [-array for array in right],
    "scaled": lambda right, weights: [0.7 * array for array in right],
    "first layer": lambda right, weights: [
        right[0] + 0.1 * np.arange(right[0].size).reshape(right[0].shape),
        *right[1:],
    ],
    "last layer": lambda right, weights: [*right[:-1], right[-1] * 1.01 + 0.01],
    "halved above": lambda right, weights: [array * (0.5 if k else -1.0) for k, array in enumerate(right)],
    "rounded": lambda right, weights: [np.float64(np.float32(array)) for array in right],
}


@dataclass(frozen=True)
class Asked:
    """A request in shapes: networks of these widths, one activation for each layer, or a list for its units."""

    endpoint: str = GRADIENTS
    widths: tuple[int, ...] = (2, 2)
    activations: tuple[Any, ...] = ("tanh",)
    samples: int = 1
    loss: str = "half_squared_error"
    breakdown: str = "none"
    encoding: str = "json"
    step: bool = False
    verify: bool = False
    packed: bool = False
    biases: bool = True
    sample: int | None = None  # of a batch, the one that is explained
    layer: int = 0  # whose first weight is explained
    numbers: str = "normal"  # what weights and inputs are, a row of NUMBERS
    candidate: str = "weights"  # the gradients that are checked, a row of CANDIDATES

    @cached_property
    def document(self) -> dict[str, Any]:
        """The request as it is posted."""
        random, kind = np.random.default_rng(7), NUMBERS[self.numbers]
        write = (lambda array: array) if self.packed else np.ndarray.tolist
        layers = [
            {"activation": activation, "weights": write(kind(random.normal(0.0, i**-0.5, (i, j))))}
            | ({"biases": write(kind(random.normal(0.0, 0.1, j)))} if self.biases else {})
            for i, j, activation in zip(self.widths, self.widths[1:], self.activations, strict=False)
        ]
        document = {
            "network": {"layers": layers},
            "inputs": write(kind(random.normal(size=(self.samples, self.widths[0])))),
            "targets": write(self._targets(random)),
            "loss": self.loss,
            "breakdown": self.breakdown,
            "encoding": self.encoding,
            "verify": self.verify,
        }
        if self.step:
            document["step"] = {"learning_rate": 0.1}
        if self.endpoint == EXPLANATIONS:
            document["weight"] = {"layer": self.layer, "from": 0, "to": 0}
            document |= {} if self.sample is None else {"sample": self.sample}
        if self.endpoint == CHECKS:
            arrays = CANDIDATES[self.candidate](self._gradients(document), [layer["weights"] for layer in layers])
            document["candidate"] = {"layers": [{"dE_dw": write(np.asarray(array))} for array in arrays]}
        return as_base64(document) if self.packed else document

    def _gradients(self, document: dict[str, Any]) -> list[Any]:
        """The right dE/dw of all layers."""
        posted_alone = as_base64(document) if self.packed else document
        asked = operations.GRADIENTS.schema.load(decode(json.dumps(posted_alone).encode(), ARRAYS))
        return [layer.dE_dw for layer in compute(asked).result.layers]

    def _targets(self, random: np.random.Generator) -> np.ndarray:
        loss, outputs = LOSSES[self.loss], self.widths[-1]
        if loss.class_indices:
            return random.integers(0, outputs, self.samples).astype(float)
        if loss.target_values:
            return random.choice(np.array(loss.target_values), (self.samples, outputs))
        numbers = random.uniform(0.1, 0.9, (self.samples, outputs // loss.outputs_per_target))
        return numbers / numbers.sum(axis=1, keepdims=True) if loss.per == "sample" else numbers

    @cached_property
    def body(self) -> bytes:
        """The same in bytes."""
        return json.dumps(self.document).encode()

    def predicted(self) -> Cost:
        """What the cost model says."""
        endpoint, document = ENDPOINTS[self.endpoint], decode(self.body, ARRAYS)
        return endpoint.cost(endpoint.schema.load(document), posted(document, len(self.body)))

    def admitted(self) -> float:
        """The seconds that have been admitted when the request is answered; those of a check in portions."""
        cost = self.predicted()
        if self.endpoint != CHECKS:
            return cost.seconds
        asked, seconds = operations.CHECK.schema.load(decode(self.body, ARRAYS)), [cost.first_seconds]
        checked_gradients(asked, check_portions(asked, cost, unlimited, seconds.append))
        return seconds[-1]

    def run(self) -> bytes:
        """The request answered, as the views do it."""
        endpoint, outline = ENDPOINTS[self.endpoint], Outline(self.body)
        asked = endpoint.schema.load(decode(self.body, ARRAYS, outline))
        return encode(endpoint.answered(asked))

    def seconds(self, repeats: int = 5) -> float:
        """The least CPU time of several runs, as on the reference core.

        Beside each run a fixed piece of work is timed. It tells how fast this core is now, as others share it.
        """
        assert self.body
        taken = []
        for _ in range(repeats):
            before = _thread_seconds(yardstick, 3)
            seconds = _thread_seconds(self.run)
            taken.append(seconds / max(before, _thread_seconds(yardstick, 3)))
        return min(taken) * RATES.work["yardstick"].call

    def memory(self) -> int:
        """The bytes of one run at its peak, the body included, without those that are reserved and never written to.

        orjson reserves eight bytes for each character of a string, and so of base64.
        """
        endpoint = ENDPOINTS[self.endpoint]
        self.run()
        tracemalloc.start()
        document = endpoint.answered(endpoint.schema.load(decode(self.body, ARRAYS, Outline(self.body))))
        if self.encoding == "base64":
            held, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            return max(peak, held + len(encode(document))) + len(self.body)
        encode(document)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak + len(self.body)


def _thread_seconds(run: Callable[[], Any], repeats: int = 1) -> float:
    """The least CPU seconds of a run."""
    taken = []
    for _ in range(repeats):
        start = time.thread_time()
        run()
        taken.append(time.thread_time() - start)
    return min(taken)


ELEMENTWISE = [name for name, row in ACTIVATIONS.items() if row.elementwise]
COUPLED = [name for name, row in ACTIVATIONS.items() if not row.elementwise]
SOMETIMES_UNDEFINED = {"gaussian_nll", "squared_log_error", "poisson", "kl_divergence"}  # for outputs of any sign


def random_request(random: np.random.Generator, endpoint: str = GRADIENTS, most: float = 1e6) -> Asked:
    """A request of random shapes: numbers of units and samples over all magnitudes, `most` numbers in one array."""
    layers = int(random.choice([1, 1, 2, 2, 3, 5, 10, 30]))
    samples = _magnitude(random, min(5000.0, most))
    widths = tuple(_magnitude(random, min(600, most / samples)) for _ in range(layers + 1))
    losses = [name for name in LOSSES if name not in SOMETIMES_UNDEFINED and "log_likelihood" not in name]
    fits = [name for name in losses if widths[-1] % LOSSES[name].outputs_per_target == 0]
    breakdown = str(random.choice(["none", "per_unit", "per_weight"]))
    return Asked(
        endpoint,
        widths,
        tuple(_activation(random, units) for units in widths[1:]),
        samples,
        str(random.choice(fits)),
        breakdown,
        "json" if breakdown == "per_weight" else str(random.choice(["json", "base64"])),
        step=bool(random.random() < 0.3),
        packed=bool(random.random() < 0.3),
        biases=bool(random.random() < 0.7),
    )


def _magnitude(random: np.random.Generator, most: float) -> int:
    return max(1, round(float(np.exp(random.uniform(0.0, np.log(max(most, 1.0)))))))


def _activation(random: np.random.Generator, units: int) -> Any:
    kind = random.random()
    if kind < 0.7 or units == 1:
        return str(random.choice(ELEMENTWISE if kind < 0.5 else COUPLED))
    names = [str(name) for name in random.choice(ELEMENTWISE + COUPLED, 4)]
    return [names[k] for k in random.integers(0, 4, units)]


TIMES = {  # of every kind: small, wide, deep, many groups, many samples, verified, explained
    "the smallest": Asked(),
    "W3": Asked(GRADIENTS, (784, 128, 64, 10), ("relu", "tanh", "sigmoid"), 64, breakdown="per_unit"),
    "W5": Asked(GRADIENTS, (64, 64, 10), ("tanh", "sigmoid"), 1, breakdown="per_weight"),
    "softmax pair": Asked(GRADIENTS, (8, 16, 4), ("relu", "softmax"), 32, "categorical_cross_entropy"),
    "deep": Asked(GRADIENTS, (4,) * 41, ("tanh",) * 40, 3),
    "deep groups": Asked(GRADIENTS, (4,) * 31, (["softmax", "tanh", "gelu", "sparsemax"],) * 30, 3),
    "rows of two": Asked(GRADIENTS, (2, 2), ("sparsemax",), 5000, encoding="base64", packed=True),
    "products": Asked(GRADIENTS, (400, 400, 400), ("relu", "relu"), 500, encoding="base64", packed=True),
    "verified": Asked(GRADIENTS, (8, 16, 4), ("tanh", "sigmoid"), 32, verify=True),
    "verified, groups": Asked(GRADIENTS, (4,) * 16, ("sparsemax",) * 15, 3, verify=True),
    "explained": Asked(EXPLANATIONS, (4, 20, 3), ("tanh", "softmax"), 5),
    "explained, softmax": Asked(EXPLANATIONS, (4, 80), ("softmax",), 1, "categorical_cross_entropy"),
}

CHECKED = Asked(CHECKS, (60, 40), ("tanh",), 1)
TIMES |= {  # the time of a check depends on what is found
    "a tiny right check": Asked(CHECKS, (2, 2, 2), ("sigmoid", "sigmoid"), 1, candidate="right"),
    "a right check of digits": Asked(
        CHECKS, (784, 128, 64, 10), ("relu", "relu", "softmax"), 64, "categorical_cross_entropy", candidate="right"
    ),
    "a right check of many samples": Asked(CHECKS, (4, 20, 2), ("gelu", "tanh"), 2000, candidate="right"),
    "a right check with probes": Asked(CHECKS, (8, 8, 3), ("identity", "identity"), 1, candidate="right"),
    # found by benchmarks/costliest.py: the highest and the lowest ratios of real to predicted cost
    "costly values": Asked(
        GRADIENTS, (2, 3, 1), ("relu6", "squareplus"), 205, "dot_product", "per_unit", "base64", True, numbers="zero"
    ),
    "cheap verification": Asked(
        GRADIENTS, (4, 12, 1), ("gelu", "scaled_tanh"), 800, "dot_product", "per_unit", "base64", True, verify=True
    ),
    "costly explanation": Asked(
        EXPLANATIONS,
        (1, 1, 1, 1),
        ("hard_shrink", "softmax", "silu"),
        320,
        "categorical_focal",
        sample=0,
        layer=2,
        numbers="equal",
    ),
    "cheap explanation": Asked(EXPLANATIONS, (1, 1, 1), ("relu", "hard_tanh"), 80, "dot_product", layer=1),
    "a check that one mistake explains": replace(CHECKED, candidate="negated"),
    "a check that nothing explains": CHECKED,
}

BOUNDED = {  # what is predicted of a check is the most
    "a tiny check": Asked(CHECKS, (2, 2, 2), ("sigmoid", "sigmoid"), 1),
    "a wide check": Asked(CHECKS, (60, 40), ("tanh",), 1),
}


def main() -> None:
    """Print predicted and measured seconds of each of these requests, as JSON."""
    keep_freed()  # as the service
    found = {name: [asked.admitted(), asked.seconds()] for name, asked in TIMES.items()}
    found |= {name: [asked.predicted().seconds, asked.seconds(1)] for name, asked in BOUNDED.items()}
    print(json.dumps(found))


if __name__ == "__main__":
    main()


def ordinary(known: Known, samples: int) -> Asked:
    """A request of which GET /v1/limits tells, as it is posted: with numbers of all digits."""
    hidden = len(known.units) - 2
    return Asked(
        known.path.removeprefix("/v1/"),
        known.units,
        ("relu",) * hidden + ("softmax",),
        samples,
        "categorical_cross_entropy",
        known.breakdown,
        verify=known.verify,
        layer=hidden,
    )
