"""The measured requests: from the smallest reasonable one to megabytes of numbers."""

import base64
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Workload:
    """One kind of request, and the numbers of connections that send it."""

    name: str
    widths: tuple[int, ...]  # units from the inputs to the outputs
    activations: tuple[str, ...]
    samples: int | None  # None: one sample, posted without an axis of the samples
    breakdown: str
    connections: tuple[int, ...]
    encoding: str = "json"

    @property
    def network(self) -> str:
        """The network in words: "8-16-4, tanh, sigmoid"."""
        return f"{'-'.join(map(str, self.widths))}, {', '.join(self.activations)}"

    def request(self) -> dict[str, Any]:
        """The document of the request, always with the same numbers."""
        random = np.random.default_rng(7)
        write = _packed if self.encoding == "base64" else np.ndarray.tolist
        shape = () if self.samples is None else (self.samples,)
        layers = [
            {
                "activation": activation,
                "weights": write(random.normal(0.0, n_in**-0.5, (n_in, n_out))),
                "biases": write(random.normal(0.0, 0.1, n_out)),
            }
            for (n_in, n_out), activation in zip(itertools.pairwise(self.widths), self.activations, strict=True)
        ]
        arrays = {
            "inputs": write(random.normal(size=(*shape, self.widths[0]))),
            "targets": write(random.uniform(size=(*shape, self.widths[-1]))),
        }
        return {"network": {"layers": layers}, **arrays, "breakdown": self.breakdown, "encoding": self.encoding}

    def body(self) -> bytes:
        """The document as JSON."""
        return json.dumps(self.request()).encode()


def _packed(array: np.ndarray) -> dict[str, Any]:
    return {"shape": array.shape, "base64": base64.b64encode(array.astype("<f8").tobytes()).decode()}


_DIGITS = (784, 128, 64, 10), ("relu", "tanh", "sigmoid"), 64

_IN_JSON = (
    Workload("W1", (2, 2, 2), ("sigmoid", "sigmoid"), None, "per_weight", (1, 8, 32)),
    Workload("W2", (8, 16, 4), ("tanh", "sigmoid"), 32, "per_unit", (1, 8)),
    Workload("W3", *_DIGITS, "per_unit", (1, 2)),
    Workload("W4", *_DIGITS, "none", (1, 2)),
    Workload("W5", (64, 64, 10), ("tanh", "sigmoid"), None, "per_weight", (1, 8)),
    Workload("W6", (32, 32, 1), ("tanh", "identity"), 4096, "per_unit", (1,)),
)


def _with_base64() -> Iterator[Workload]:
    for workload in _IN_JSON:
        yield workload
        if workload.name in {"W3", "W4", "W6"}:
            yield replace(workload, name=f"{workload.name} base64", encoding="base64")


WORKLOADS: tuple[Workload, ...] = tuple(_with_base64())
