"""The cost of a check in comparison with the gradient: a 784-128-64-10 net, 64 samples, single mistakes, then pairs.

    python -m benchmarks.checks

There are three candidates, each with noise in one layer. No mistake reproduces noise, so every single mistake is
tried. The times are the best of several runs, all in one process.
"""

import time
from collections.abc import Callable

import numpy as np

from chainrule import Network, dense, gradients, loss_spec
from chainrule.diagnosis.diagnose import MOST_PAIRS, diagnose
from chainrule.diagnosis.tolerance import Given
from chainrule.diagnosis.wrong_rules import Case

SIZES = (784, 128, 64, 10)
SAMPLES = 64
RUNS = 10


def best(work: Callable[[], object], runs: int = RUNS) -> float:
    """The minimum time of several runs, in milliseconds."""
    times = []
    for _ in range(runs):
        begun = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - begun))
    return min(times)


def main() -> None:
    """Print the times and their ratio."""
    random = np.random.default_rng(0)
    acts = ("relu", "relu", "softmax")
    layers = [
        dense(random.normal(0.0, 1.0 / np.sqrt(i), (i, j)), act, random.normal(0.0, 0.1, j))
        for i, j, act in zip(SIZES, SIZES[1:], acts, strict=False)
    ]
    network, loss = Network(tuple(layers)), loss_spec("cce", "batch_mean")
    inputs, targets = random.random((SAMPLES, SIZES[0])), np.eye(SIZES[-1])[random.integers(0, SIZES[-1], SAMPLES)]
    result = gradients(network, inputs, targets, loss)
    case = Case([layer.activity for layer in result.layers], result.top, targets, loss)
    for k in reversed(range(len(layers))):
        given = [Given(layer.dE_dw, layer.dE_db) for layer in result.layers]
        noise = random.uniform(0.5, 2.0, result.layers[k].dE_dw.shape)
        given[k] = Given(result.layers[k].dE_dw * noise, result.layers[k].dE_db)
        own = best(lambda: gradients(network, inputs, targets, loss), 3 * RUNS)
        singles = best(lambda given=given: diagnose(case, result.layers, given, most_pairs=0))  # type: ignore[misc]
        pairs = best(lambda given=given: diagnose(case, result.layers, given, most_pairs=MOST_PAIRS), 1)  # type: ignore[misc]
        print(
            f"layer {k}: gradient {own:.2f} ms, single mistakes {singles:.2f} ms: {singles / own:.1f} times; ", end=""
        )
        print(f"with all pairs {pairs:.0f} ms")


if __name__ == "__main__":
    main()
