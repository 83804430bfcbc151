"""The CPU time of a function, with as little influence of other processes as possible."""

import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np

REPEATS = 9


def least(run: Callable[[], Any], repeats: int = REPEATS) -> float:
    """The minimum CPU time of one run, in nanoseconds, over several runs."""
    times, best = 1, float("inf")
    for _ in range(repeats):
        start = time.thread_time_ns()
        for _ in range(times):
            run()
        best = min(best, (time.thread_time_ns() - start) / times)
        times = max(1, min(1000, round(2e6 / max(best, 1.0))))
    return best


def cold(run: Callable[[], Any], repeats: int = 30) -> float:
    """The minimum CPU time of a run that follows other work, in nanoseconds.

    A loop of runs would have all caches warm.
    """
    best = float("inf")
    for _ in range(repeats):
        yardstick()
        start = time.thread_time_ns()
        run()
        best = min(best, time.thread_time_ns() - start)
    return best


def digits(number: float) -> float:
    """The number to three significant digits, which is more than such a measurement has."""
    return float(f"{number:.3g}")


def yardstick() -> None:
    """A fixed amount of work like that of requests: calls of Python and NumPy, exponentials, a matrix product."""
    small, large, square = np.ones(4), np.linspace(-3.0, 3.0, 20_000), np.ones((96, 96))
    for _ in range(200):
        small = small * 0.5 + small.max()
    np.exp(large)
    square @ square
    json.dumps(list(range(2_000)))
