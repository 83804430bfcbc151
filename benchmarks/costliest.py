"""Search for the request that costs most for its predicted cost: `python -m benchmarks.costliest [ROUNDS] [SEED]`.

A random walk over shapes, activations, losses, breakdowns, endpoints and kinds of numbers. It keeps a change if the
ratio of measured to predicted cost grows. It prints the request with the largest ratio of time, the one with the
smallest, then the one with the largest ratio of memory. A ratio over 3 or under 1/3 shows that the model is wrong:
correct it, and add the request to TIMES in tests/costs.py or MEMORY in tests/chainrule/test_cost.py. For a check, the
predicted time is that of the portions that were admitted.
"""

import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from chainrule.functions.losses import LOSSES
from service.configuration.limits import DEFAULTS, MEMORY_BYTES
from service.problems import Refusal
from service.resources.malloc import keep_freed
from tests.costs import (
    CANDIDATES,
    CHECKS,
    COUPLED,
    ELEMENTWISE,
    ENDPOINTS,
    EXPLANATIONS,
    GRADIENTS,
    NUMBERS,
    Asked,
    random_request,
)

_MOST_SECONDS = 1.0  # predicted; larger ones take the search too long
_LEAST_SECONDS = 1e-3
_WHOLE_BATCH = 0.5
_RESTART = 0.2
_SIZES = {GRADIENTS: 1e4, EXPLANATIONS: 100.0, CHECKS: 100.0}  # numbers in one array of a request


def changed(asked: Asked, random: np.random.Generator) -> Asked:
    """The request with one random change."""
    changes = (_sizes, _samples, _activations, _loss, _answer, _numbers, _place, _depth)
    return changes[random.integers(0, len(changes))](asked, random)


def _sizes(asked: Asked, random: np.random.Generator) -> Asked:
    widths = tuple(max(1, round(width * float(random.choice([0.5, 1.0, 1.0, 2.0])))) for width in asked.widths)
    plain = tuple(a if isinstance(a, str) else "tanh" for a in asked.activations)  # a list fits one width
    return replace(asked, widths=widths, activations=plain)


def _samples(asked: Asked, random: np.random.Generator) -> Asked:
    return replace(asked, samples=max(1, round(asked.samples * float(random.choice([0.25, 0.5, 2.0, 4.0])))))


def _activations(asked: Asked, random: np.random.Generator) -> Asked:
    names = ELEMENTWISE + COUPLED
    return replace(asked, activations=tuple(str(random.choice(names)) for _ in asked.activations))


def _loss(asked: Asked, random: np.random.Generator) -> Asked:
    fits = [name for name, row in LOSSES.items() if asked.widths[-1] % row.outputs_per_target == 0]
    return replace(asked, loss=str(random.choice(fits)))


def _answer(asked: Asked, random: np.random.Generator) -> Asked:
    return replace(asked, breakdown=str(random.choice(["none", "per_unit", "per_weight"])), verify=not asked.verify)


def _numbers(asked: Asked, random: np.random.Generator) -> Asked:
    numbers, candidate = (str(random.choice(list(table))) for table in (NUMBERS, CANDIDATES))
    return replace(asked, numbers=numbers, candidate=candidate)


def _place(asked: Asked, random: np.random.Generator) -> Asked:
    sample = None if random.random() < _WHOLE_BATCH else 0
    return replace(asked, layer=int(random.integers(0, len(asked.activations))), sample=sample)


def _depth(asked: Asked, _: np.random.Generator) -> Asked:
    widths, activations = asked.widths, asked.activations
    return replace(asked, widths=(*widths, widths[-1]), activations=(*activations, activations[-1]))


def costliest(
    ratio: Callable[[Asked], float], random: np.random.Generator, rounds: int, endpoint: str = GRADIENTS
) -> Asked:
    """The request with the largest ratio found in so many rounds."""
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
    """The ratio of measured to predicted time of a request; 0 if it is invalid or takes too long."""
    try:
        cost = asked.predicted()
        if cost.first_seconds > _MOST_SECONDS or cost.memory > DEFAULTS[MEMORY_BYTES]:
            return 0.0
        admitted = asked.admitted()
        return asked.seconds(3) / admitted if admitted < _MOST_SECONDS else 0.0
    except (Refusal, ValueError):
        return 0.0


def for_little(asked: Asked) -> float:
    """The ratio of predicted to measured time of a request; 0 if the request takes almost no time."""
    ratio = in_time(asked)
    return 1.0 / ratio if ratio and asked.predicted().first_seconds > _LEAST_SECONDS else 0.0


def in_memory(asked: Asked) -> float:
    """The ratio of measured to predicted bytes of a request."""
    try:
        predicted = asked.predicted()
        return asked.memory() / predicted.memory if predicted.seconds < _MOST_SECONDS else 0.0
    except (Refusal, ValueError):
        return 0.0


def main() -> None:
    """Print the worst of each endpoint."""
    keep_freed()  # as the service
    rounds, seed = (int(word) for word in [*sys.argv[1:], "200", "1"][:2])
    for endpoint in ENDPOINTS:
        for ratio in (in_time, for_little, in_memory):
            worst = costliest(ratio, np.random.default_rng(seed), rounds, endpoint)
            print(f"{endpoint}, {ratio.__name__}: {ratio(worst):.2f} times: {worst}", flush=True)


if __name__ == "__main__":
    main()
