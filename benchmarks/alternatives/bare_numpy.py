"""Backpropagation as it is usually written in NumPy: without checks, and inaccurate for saturated units."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.alternatives.answer import LayerParts

ACTIVATIONS = {
    "identity": (lambda a: a, lambda a, o: np.ones_like(a)),
    "relu": (lambda a: np.maximum(a, 0.0), lambda a, o: (a > 0.0).astype(float)),
    "sigmoid": (lambda a: 1.0 / (1.0 + np.exp(-a)), lambda a, o: o * (1.0 - o)),
    "tanh": (np.tanh, lambda a, o: 1.0 - o * o),
}


@dataclass
class Given:
    """One layer of a request, as arrays."""

    activation: str
    weights: np.ndarray
    biases: np.ndarray


def gradients(network: list[Given], x: np.ndarray, t: np.ndarray) -> tuple[list[LayerParts], np.ndarray, np.ndarray]:
    """The parts of every layer, the losses of the samples, and dE/dx."""
    passed: list[tuple[Given, Any, Any, Any]] = []
    for layer in network:
        a = x @ layer.weights + layer.biases
        o = ACTIVATIONS[layer.activation][0](a)
        passed.append((layer, x, a, o))
        x = o
    losses = 0.5 * ((x - t) ** 2).sum(axis=1)
    dE_do, parts = x - t, []
    for layer, below, a, o in reversed(passed):
        do_da = ACTIVATIONS[layer.activation][1](a, o)
        dE_da = dE_do * do_da
        dE_dw, dE_db = below.T @ dE_da, dE_da.sum(axis=0)
        parts.append(LayerParts(layer.activation, layer.weights, a, o, dE_da, dE_do, do_da, below, dE_dw, dE_db))
        dE_do = dE_da @ layer.weights.T
    return parts[::-1], losses, dE_do
