"""The performance targets of the service and their results: one table for each target, from a comparison.

Each table also has the ratios of floors, which are services without any checks. A target below their ratio cannot be
reached.
"""

import statistics
import time
from collections.abc import Iterator, Mapping

import numpy as np

from benchmarks.alternatives.bare_numpy import Given, gradients
from benchmarks.compare import Cell, Comparison
from benchmarks.contenders import CONTENDERS, OURS
from benchmarks.workloads import WORKLOADS, Workload

ALTERNATIVES = [contender.name for contender in CONTENDERS if contender.name != OURS and not contender.floor]
MOST_OF_BEST = {
    "W1": 0.75,
    "W2": 0.75,
    "W3": 0.6,
    "W4": 0.6,
    "W5": 0.6,
    "W6": 0.7,
}  # CPU, as a ratio to the best alternative
MOST_OF_FLOOR = {"W1": ("bare gunicorn", 1.5)} | dict.fromkeys(("W3", "W4", "W5", "W6"), ("bare socket", 1.25))
_TIMES = 50


def beside_the_best(found: Comparison) -> Iterator[str]:
    """Our ratios to the best alternative, for each measure separately, as Markdown."""
    heads = "workload", "connections", "best alternative", "target", "CPU", "bare Flask", "bare socket"
    yield f"| {' | '.join(heads)} | p99 | time for each answer |\n|{'---|' * 9}"
    for workload, connections in _rows(found):
        if workload not in MOST_OF_BEST:
            continue
        cells = {name: found.cells[workload, connections, name] for name in ALTERNATIVES}
        best = min(cells, key=lambda name: statistics.median(cells[name].cpu_ms))
        cpu = [
            statistics.median(found.ratios(workload, connections, best, to))
            for to in (OURS, "bare Flask", "bare socket")
        ]
        ours = found.cells[workload, connections, OURS]
        p99 = ours.p99 / min(cell.p99 for cell in cells.values())
        rate = max(map(_rate, cells.values())) / _rate(ours)
        figures = " | ".join(f"{ratio:.2f}" for ratio in (MOST_OF_BEST[workload], *cpu, p99, rate))
        yield f"| {workload} | {connections} | {best} | {figures} |"


def beside_the_floor(found: Comparison, checks_ms: Mapping[str, float]) -> Iterator[str]:
    """The CPU ratios to a floor of our service, of bare Flask, and of bare Flask with our checks, as Markdown.

    `checks_ms` are the milliseconds that the checks of a request take in each workload.
    """
    heads = "workload", "connections", "floor", "target", "CPU", "bare Flask", "bare Flask with our checks"
    yield f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}"
    for workload, connections in _rows(found):
        if workload in MOST_OF_FLOOR:
            floor, most = MOST_OF_FLOOR[workload]
            ours, flasks = (
                statistics.median(found.ratios(workload, connections, floor, to)) for to in (OURS, "bare Flask")
            )
            checked = flasks + checks_ms[workload] / statistics.median(found.cells[workload, connections, floor].cpu_ms)
            figures = " | ".join(f"{ratio:.2f}" for ratio in (most, ours, flasks, checked))
            yield f"| {workload} | {connections} | {floor} | {figures} |"


def in_base64(found: Comparison) -> Iterator[str]:
    """The CPU of JSON in comparison with base64, and of base64 with arithmetic and copies alone, as Markdown."""
    heads = "workload", "CPU of JSON / base64", "the same of the bare socket", "base64, ms", "arithmetic and copies, ms"
    yield f"| {' | '.join(heads)} |\n|{'---|' * 5}"
    for workload in WORKLOADS:
        name = workload.name.removesuffix(" base64")
        if name == workload.name or (workload.name, 1, OURS) not in found.cells:
            continue
        saved = [_cpu(found, name, to) / _cpu(found, workload.name, to) for to in (OURS, "bare socket")]
        least = 1e3 * least_seconds(workload, found.answer_bytes[workload.name])
        figures = f"{saved[0]:.1f} | {saved[1]:.1f} | {_cpu(found, workload.name, OURS):.3g} | {least:.3g}"
        yield f"| {name} | {figures} |"


def least_seconds(workload: Workload, answer_bytes: int) -> float:
    """CPU seconds of the bare arithmetic, one copy of the body and one of the answer."""
    random = np.random.default_rng(0)
    layers = [
        Given(activation, random.normal(size=(n_in, n_out)), random.normal(size=n_out))
        for n_in, n_out, activation in zip(workload.widths, workload.widths[1:], workload.activations, strict=False)
    ]
    x, t = (random.normal(size=(workload.samples or 1, width)) for width in (workload.widths[0], workload.widths[-1]))
    body, answer = workload.body(), bytes(answer_bytes)
    taken = []
    for _ in range(_TIMES):
        start = time.process_time()
        gradients(layers, x, t)
        bytearray(body), bytearray(answer)
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def _rows(found: Comparison) -> list[tuple[str, int]]:
    return list(dict.fromkeys((workload, connections) for workload, connections, _ in found.cells))


def _cpu(found: Comparison, workload: str, service: str) -> float:
    return statistics.median(found.cells[workload, 1, service].cpu_ms)


def _rate(cell: Cell) -> float:
    return statistics.median(cell.per_second)
