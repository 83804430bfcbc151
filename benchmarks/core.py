"""The core in process, beside torch.autograd, torch.func, JAX and bare products: `python -m benchmarks.core`.

All get arrays and give every derivative by weights, biases and inputs; the core gives the factors too. One thread.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from benchmarks.alternatives.bare_numpy import Given
from benchmarks.alternatives.bare_numpy import gradients as bare_gradients
from chainrule import Layer, Network, activation_spec, gradients, loss_spec
from service.resources.malloc import keep_freed

SIZES = (((2, 2, 2), 1), ((8, 16, 4), 32), ((64, 64, 10), 1), ((784, 128, 64, 10), 64), ((1024, 1024, 1024, 10), 256))
SECONDS = 1.0  # for each size, shared by all

Run = Callable[[], Any]

torch.set_num_threads(1)
jax.config.update("jax_enable_x64", True)


def _core(parameters: Any, x: np.ndarray, t: np.ndarray) -> Run:
    tanh, loss = activation_spec("tanh"), loss_spec("half_squared_error")
    network = Network(tuple(Layer.dense(weights, biases, tanh) for weights, biases in parameters))
    return lambda: [layer.dE_dw for layer in gradients(network, x, t, loss).layers]


def _loss(parameters: Any, x: Any, t: Any, tanh: Callable[[Any], Any]) -> Any:
    for weights, biases in parameters:
        x = tanh(x @ weights + biases)
    return 0.5 * ((x - t) ** 2).sum()


def _autograd(parameters: Any, x: np.ndarray, t: np.ndarray) -> Run:
    given = [tuple(torch.from_numpy(p).requires_grad_() for p in layer) for layer in parameters]
    inputs, targets = torch.from_numpy(x).requires_grad_(), torch.from_numpy(t)
    wanted = [*(weights for weights, _ in given), *(biases for _, biases in given), inputs]
    return lambda: torch.autograd.grad(_loss(given, inputs, targets, torch.tanh), wanted)[: len(given)]


def _func(parameters: Any, x: np.ndarray, t: np.ndarray) -> Run:
    given = [tuple(map(torch.from_numpy, layer)) for layer in parameters]
    inputs, targets = torch.from_numpy(x), torch.from_numpy(t)
    derive = torch.func.grad(lambda p, x: _loss(p, x, targets, torch.tanh), argnums=(0, 1))
    return lambda: [weights for weights, _ in derive(given, inputs)[0]]


def _jax(parameters: Any, x: np.ndarray, t: np.ndarray) -> Run:
    given, inputs, targets = jax.tree.map(jnp.asarray, (parameters, x, t))
    derive = jax.jit(jax.grad(lambda p, x, t: _loss(p, x, t, jnp.tanh), argnums=(0, 1)))
    return lambda: [np.asarray(weights) for weights, _ in jax.block_until_ready(derive(given, inputs, targets))[0]]


def _products(parameters: Any, x: np.ndarray, _t: np.ndarray) -> Run:
    """The three matrix products of each layer and nothing else: the minimum of every backpropagation."""
    shapes = [weights for weights, _ in parameters]
    outputs = [x] + [np.ones((len(x), weights.shape[1])) for weights in shapes]

    def run() -> None:
        for weights, below, above in zip(shapes, outputs, outputs[1:], strict=False):
            np.dot(below, weights)
            np.dot(below.T, above)
            np.dot(above, weights.T)

    return run


def _bare_numpy(parameters: Any, x: np.ndarray, t: np.ndarray) -> Run:
    """Backpropagation as it is usually written: with the factors, and slopes from the outputs."""
    layers = [Given("tanh", weights, biases) for weights, biases in parameters]
    return lambda: [parts.dE_dw for parts in bare_gradients(layers, x, t)[0]]


RUNNERS: dict[str, Callable[..., Run]] = {
    "Chainrule's core": _core,
    "torch.autograd": _autograd,
    "torch.func": _func,
    "JAX, compiled": _jax,
    "bare NumPy": _bare_numpy,
    "bare products": _products,
}


def measured(widths: tuple[int, ...], samples: int) -> dict[str, float]:
    """The median CPU milliseconds of each, measured in turns. Raises if their results differ."""
    random = np.random.default_rng(3)
    parameters = [(random.normal(0, n**-0.5, (n, m)), random.normal(0, 0.1, m)) for n, m in itertools.pairwise(widths)]
    x, t = random.normal(size=(samples, widths[0])), random.normal(size=(samples, widths[-1]))
    runs = {name: make(parameters, x, t) for name, make in RUNNERS.items()}
    first = runs["Chainrule's core"]()
    for name, run in runs.items():
        found = run()
        for one, other in zip(first, found or first, strict=True):
            np.testing.assert_allclose(np.asarray(other), one, rtol=1e-9, atol=1e-12, err_msg=name)
    taken: dict[str, list[float]] = {name: [] for name in runs}
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(taken["bare products"]) < 5:
        for name, run in runs.items():
            start = time.process_time()
            run()
            taken[name].append(1e3 * (time.process_time() - start))
    return {name: statistics.median(times) for name, times in taken.items()}


def table() -> Iterator[str]:
    """The figures as Markdown."""
    keep_freed()  # as the service
    yield f"| network | samples | {' | '.join(RUNNERS)} |\n|---|---|{'---|' * len(RUNNERS)}"
    for widths, samples in SIZES:
        found = measured(widths, samples)
        yield f"| {'-'.join(map(str, widths))} | {samples} | {' | '.join(f'{ms:.3g}' for ms in found.values())} |"


if __name__ == "__main__":
    for line in table():
        print(line)
