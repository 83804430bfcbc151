"""A plain backpropagation with a switch for each mistake, as people write it. It shares no code with the core.

All computations have the precision of the given numbers. A switch is a word in `bugs`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Numbers = Any  # an array of float64 or float32
SLOPE = 0.2  # of leaky_relu for a < 0
RATE, DECAY, CONSTANT = 0.4, 0.3, 0.7


def logistic(a: Numbers) -> Numbers:
    return 1 / (1 + np.exp(-a))


def softmax(a: Numbers) -> Numbers:
    e = np.exp(a - a.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


FORWARD: dict[str, Callable[[Numbers], Numbers]] = {
    "identity": lambda a: a,
    "sigmoid": logistic,
    "tanh": np.tanh,
    "relu": lambda a: np.maximum(a, 0),
    "leaky_relu": lambda a: np.where(a > 0, a, a.dtype.type(SLOPE) * a),
    "softmax": softmax,
}
PRIME: dict[str, Callable[[Numbers], Numbers]] = {
    "identity": np.ones_like,
    "sigmoid": lambda a: logistic(a) * (1 - logistic(a)),
    "tanh": lambda a: 1 - np.tanh(a) ** 2,
    "relu": lambda a: (a > 0).astype(a.dtype),
    "leaky_relu": lambda a: np.where(a > 0, 1, SLOPE).astype(a.dtype),
    "softmax": lambda a: softmax(a) * (1 - softmax(a)),
}


@dataclass(frozen=True)
class Net:
    """A network, inputs, targets, and the loss with its reduction and label smoothing."""

    layers: tuple[tuple[Numbers, Numbers, str], ...]  # weights n_in × n_out, biases, activation
    x: Numbers
    t: Numbers
    loss: str
    reduction: str
    smoothing: float = 0.0

    def cast(self, kind: type) -> "Net":
        """The same in another precision."""
        layers = tuple((w.astype(kind), b.astype(kind), act) for w, b, act in self.layers)
        return Net(layers, self.x.astype(kind), self.t.astype(kind), self.loss, self.reduction, self.smoothing)


def gradients(net: Net, bugs: Sequence[str] = ()) -> list[tuple[Numbers, Numbers]]:
    """(dE/dw, dE/db) of every layer, first to last, with the mistakes named in `bugs`."""
    outs, pres = [net.x], []
    for w, b, act in net.layers:
        pres.append(outs[-1] @ w + b)
        outs.append(FORWARD[act](pres[-1]))
    e = _loss_derivative(net, outs[-1], bugs)
    found = []
    for k in reversed(range(len(net.layers))):
        delta = _delta(net, k, e, pres, outs, bugs)
        found.append((_weights(net, k, delta, pres, outs, bugs), _biases(net, k, delta, e, outs, bugs)))
        e = _down(net.layers[k][0], delta, e, found[-1][0], bugs)
    return found[::-1]


def _divisor(net: Net, bugs: Sequence[str]) -> float:
    n, m = net.t.shape
    per_sample = net.loss == "categorical_cross_entropy"
    d = {"sum": 1, "batch_mean": n, "mean": n if per_sample else n * m}[net.reduction]
    for bug, factor in (("no 1/n", 1 / n), ("1/n twice", n), ("no 1/(n m)", 1 / (n * m)), ("1/(n m) twice", n * m)):
        d *= factor if bug in bugs else 1
    d *= m if "1/m twice" in bugs else 1
    return d / m if "no 1/m" in bugs else d


def _loss_derivative(net: Net, o: Numbers, bugs: Sequence[str]) -> Numbers:
    t = net.t
    if net.smoothing and "no smoothing" not in bugs:
        t = (1 - net.smoothing) * t + net.smoothing / t.shape[1]
    if "no targets" in bugs:
        t = 0 * t
    error = o - t
    if net.loss == "half_squared_error" or "o - t" in bugs:
        e = error
    elif net.loss == "squared_error":
        e = error if "2 lost" in bugs else 2 * error
    else:
        e = -t / o
    if "loss as derivative" in bugs:
        e = error**2 / 2 if net.loss == "half_squared_error" else error**2
    if "no dE/do" in bugs:
        return np.ones_like(e)
    if "absolute" in bugs:
        e = abs(e)
    if "sign" in bugs:
        e = -e
    if "times 2" in bugs:
        e = 2 * e
    if "times 1/2" in bugs:
        e = e / 2
    if "constant" in bugs:
        e = e.dtype.type(CONSTANT) * e
    if "first sample" in bugs:
        e = e * (np.arange(len(e)) == 0)[:, None]
    if "last sample" in bugs:
        e = e * (np.arange(len(e)) == len(e) - 1)[:, None]
    return (e / _divisor(net, bugs)).astype(o.dtype)


def _prime(net: Net, k: int, pres: list[Numbers], outs: list[Numbers], bugs: Sequence[str]) -> Numbers:
    act, a, o = net.layers[k][2], pres[k], outs[k + 1]
    if "phi'(o)" in bugs:
        return PRIME[act](o)
    if "all o(1-o)" in bugs and act != "softmax":
        return o * (1 - o)
    if "all 1-o^2" in bugs:
        return 1 - o * o
    if "all relu" in bugs and act != "softmax":
        return PRIME["relu"](a)
    if "all sigmoid'" in bugs:
        return PRIME["sigmoid"](a)
    if "all as first" in bugs:
        return PRIME[net.layers[0][2]](a)
    if "all as last" in bugs:
        return PRIME[net.layers[-1][2]](a)
    if "a(1-a)" in bugs and act == "sigmoid":
        return a * (1 - a)
    if "1-a^2" in bugs and act == "tanh":
        return 1 - a * a
    if "no slope" in bugs and act == "leaky_relu":
        return np.where(a > 0, 1, 0.01).astype(a.dtype)
    if "a below" in bugs and k and pres[k - 1].shape == a.shape:
        return PRIME[act](pres[k - 1])
    return PRIME[act](a)


def _delta(net: Net, k: int, e: Numbers, pres: list[Numbers], outs: list[Numbers], bugs: Sequence[str]) -> Numbers:
    act, last = net.layers[k][2], k == len(net.layers) - 1
    prime = _prime(net, k, pres, outs, bugs)
    if "no do/da" in bugs or ("no do/da at the output" in bugs and last) or ("no do/da below" in bugs and not last):
        return e
    if "o - t as delta" in bugs and last:
        return ((outs[-1] - net.t) / _divisor(net, bugs)).astype(e.dtype)
    if "mask by e" in bugs:
        return np.where(e > 0, e, 0)
    elementwise = {"softmax diagonal", "all 1-o^2", "all sigmoid'", "all as first", "phi'(o)"} & set(bugs)
    if "phi'(o)" in bugs and act == "softmax":
        p = softmax(outs[k + 1])
        return p * (e - (e * p).sum(axis=1, keepdims=True))
    if act == "softmax" and not (elementwise and not ("all as first" in bugs and net.layers[0][2] == "softmax")):
        p = outs[k + 1]
        others = (e * p).sum(axis=1, keepdims=True)
        if "softmax sign" in bugs:
            return e * p * (1 - p) + p * (others - e * p)
        delta = p * (e - others)
        if "shortcut times prime" in bugs:
            return delta * p * (1 - p)
        return p * (delta - (delta * p).sum(axis=1, keepdims=True)) if "prime twice" in bugs else delta
    return e * prime * prime if "prime twice" in bugs else e * prime


def _weights(
    net: Net, k: int, delta: Numbers, pres: list[Numbers], outs: list[Numbers], bugs: Sequence[str]
) -> Numbers:
    w, given, n = net.layers[k][0], outs[k], len(delta)
    if "no da/dw" in bugs:
        given = np.ones_like(given)
    if "a for o" in bugs and k:
        given = pres[k - 1]
    if "own o" in bugs and outs[k + 1].shape == given.shape:
        given = outs[k + 1]
    if "layer below" in bugs and k and outs[k - 1].shape == given.shape:
        given = outs[k - 1]
    g = sum(np.outer(given[b], delta[b]) for b in range(n))
    if "means" in bugs:
        g = np.outer(given.mean(axis=0), delta.sum(axis=0))
    if "transposed" in bugs and min(g.shape) > 1:
        g = g.T.ravel().reshape(g.shape)
    if "first input" in bugs:
        g[0] = 0
    if "last input" in bugs:
        g[-1] = 0
    if "w / n" in bugs:
        g = g / n
    if "w * n" in bugs:
        g = g * n
    if "w zero" in bugs and k == 0:
        g = 0 * g
    if "l2" in bugs:
        g = g + g.dtype.type(DECAY) * w
    if "l1" in bugs:
        g = g + g.dtype.type(DECAY) * np.sign(w)
    if "one dw times 1.7" in bugs and k == 0:
        g = g.dtype.type(1.7) * g
    return _squashed(g, bugs)


def _biases(net: Net, k: int, delta: Numbers, e: Numbers, outs: list[Numbers], bugs: Sequence[str]) -> Numbers:
    n = len(delta)
    g = delta.sum(axis=0)
    if "b from dw" in bugs:
        g = (outs[k].T @ delta).sum(axis=0)
    if "b from e" in bugs:
        g = e.sum(axis=0)
    if "one b" in bugs:
        g = np.full_like(g, delta.sum())
    if "b first" in bugs:
        g = delta[0]
    if "b last" in bugs:
        g = delta[-1]
    if "b / n" in bugs:
        g = g / n
    if "b * n" in bugs:
        g = g * n
    if "b zero" in bugs:
        g = 0 * g
    if "b times 3.7" in bugs and k == 0:
        g = g.dtype.type(3.7) * g
    return _squashed(g, bugs)


def _squashed(g: Numbers, bugs: Sequence[str]) -> Numbers:
    if "clipped" in bugs:
        return np.clip(g, -0.02, 0.02).astype(g.dtype)
    return np.sign(g) * g.dtype.type(CONSTANT) if "signs" in bugs else g


def _down(w: Numbers, delta: Numbers, e: Numbers, g: Numbers, bugs: Sequence[str]) -> Numbers:
    if "nothing down" in bugs:
        return np.ones((len(delta), len(w)), delta.dtype)
    if "e down" in bugs:
        delta = e
    if "updated weights" in bugs:
        w = w - w.dtype.type(RATE) * g
    if "w not transposed" in bugs and w.shape[0] == w.shape[1]:
        return delta @ w
    if "w reshaped" in bugs:
        return delta @ w.ravel().reshape(w.shape[::-1])
    if "no w" in bugs:
        return delta.sum(axis=1, keepdims=True) * np.ones((1, len(w)), delta.dtype)
    if "first unit" in bugs:
        return np.outer(delta[:, 0], w[:, 0])
    if "last unit" in bugs:
        return np.outer(delta[:, -1], w[:, -1])
    if "same unit" in bugs:
        down = np.zeros((len(delta), len(w)), delta.dtype)
        for j in range(min(w.shape)):
            down[:, j] = delta[:, j] * w[j, j]
        return down
    return delta @ w.T / w.shape[1] if "mean down" in bugs else delta @ w.T
