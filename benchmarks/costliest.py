"""Search for the request that costs most for its predicted cost: `python -m benchmarks.costliest [ROUNDS] [SEED]`.

A random walk over shapes, activations, losses, breakdowns and endpoints that keeps a change where it makes the ratio of
measured and predicted larger. Prints the worst in time, then in memory. What is over 3 shows that the model is wrong:
mend it, and add the request to TIMES in tests/costs.py or MEMORY in tests/chainrule/test_cost.py.
"""

import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from chainrule.functions.losses import LOSSES
from service.problems import Refusal
from tests.costs import CHECKS, COUPLED, ELEMENTWISE, ENDPOINTS, EXPLANATIONS, GRADIENTS, Asked, random_request

_MOST_SECONDS = 1.0  # predicted; larger ones take the search too long
_RESTART = 0.2
_SIZES = {GRADIENTS: 1e4, EXPLANATIONS: 100.0, CHECKS: 100.0}  # numbers in one array of a request


def changed(asked: Asked, random: np.random.Generator) -> Asked:
    """The request with one thing changed."""
    kind = random.integers(0, 6)
    if kind == 0:
        widths = tuple(max(1, round(width * float(random.choice([0.5, 1.0, 1.0, 2.0])))) for width in asked.widths)
        return replace(
            asked, widths=widths, activations=tuple(a if isinstance(a, str) else "tanh" for a in asked.activations)
        )
    if kind == 1:
        return replace(asked, samples=max(1, round(asked.samples * float(random.choice([0.25, 0.5, 2.0, 4.0])))))
    if kind == 2:
        names = ELEMENTWISE + COUPLED
        return replace(asked, activations=tuple(str(random.choice(names)) for _ in asked.activations))
    if kind == 3:
        fits = [name for name, row in LOSSES.items() if asked.widths[-1] % row.outputs_per_target == 0]
        return replace(asked, loss=str(random.choice(fits)))
    if kind == 4:
        return replace(asked, breakdown=str(random.choice(["none", "per_unit", "per_weight"])), verify=not asked.verify)
    widths, activations = asked.widths, asked.activations
    return replace(asked, widths=(*widths, widths[-1]), activations=(*activations, activations[-1]))


def costliest(
    ratio: Callable[[Asked], float], random: np.random.Generator, rounds: int, endpoint: str = GRADIENTS
) -> Asked:
    """The request with the largest ratio that so many rounds find."""
    best = here = random_request(random, endpoint, _SIZES[endpoint])
    highest = level = ratio(here)
    for _ in range(rounds):
        fresh = random.random() < _RESTART and level < highest
        there = random_request(random, endpoint, _SIZES[endpoint]) if fresh else changed(here, random)
        found = ratio(there)
        if found >= level or fresh:
            here, level = there, found
        if found > highest:
            best, highest = there, found
    return best


def in_time(asked: Asked) -> float:
    """How many times longer a request takes than predicted; 0 for one that cannot be asked, or takes too long."""
    try:
        predicted = asked.predicted().seconds
        return asked.seconds(3) / predicted if predicted < _MOST_SECONDS else 0.0
    except (Refusal, ValueError):
        return 0.0


def in_memory(asked: Asked) -> float:
    """How many times more bytes a request takes than predicted."""
    try:
        predicted = asked.predicted()
        return asked.memory() / predicted.memory if predicted.seconds < _MOST_SECONDS else 0.0
    except (Refusal, ValueError):
        return 0.0


def main() -> None:
    """Print the worst of each endpoint."""
    rounds, seed = (int(word) for word in [*sys.argv[1:], "200", "1"][:2])
    for endpoint in ENDPOINTS:
        for ratio in (in_time, in_memory):
            worst = costliest(ratio, np.random.default_rng(seed), rounds, endpoint)
            print(f"{endpoint}, {ratio.__name__}: {ratio(worst):.2f} of what is predicted: {worst}", flush=True)


if __name__ == "__main__":
    main()
