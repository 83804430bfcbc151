"""Chainrule, its alternatives and the floors on every workload: `python -m benchmarks.compare`.

All services run at the same time and take turns, round by round, so that other load on the machine affects all of them
alike. The cost of a request is its CPU time; ratios are computed within a round.
"""

import argparse
import base64
import contextlib
import itertools
import json
import math
import statistics
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.client import latencies, post_of
from benchmarks.contenders import CONTENDERS, OURS, WORKERS, Running, running
from benchmarks.workloads import WORKLOADS, Workload

_TOLERANCE = 1e-9  # relative to the largest number of an array: alternatives lose digits, but keep nine
_WARM_UP = 4 * WORKERS  # connections, so that every worker has seen every workload


@dataclass
class Cell:
    """The measurements of one service on one workload with so many connections, round by round."""

    cpu_ms: list[float] = field(default_factory=list)
    per_second: list[float] = field(default_factory=list)
    latency_ms: list[float] = field(default_factory=list)  # of all rounds

    @property
    def p99(self) -> float:
        """The 99th percentile of the latency."""
        return sorted(self.latency_ms)[math.ceil(0.99 * len(self.latency_ms)) - 1]


Cells = dict[tuple[str, int, str], Cell]  # workload, connections, service


@dataclass
class Comparison:
    """All cells, and the memory of the idle services."""

    cells: Cells
    start_seconds: dict[str, float]
    resting_megabytes: dict[str, float]
    loaded_megabytes: dict[str, float]
    answer_bytes: dict[str, int] = field(default_factory=dict)  # of each workload

    def ratios(self, workload: str, connections: int, service: str, to: str = OURS) -> list[float]:
        """CPU per request of `to` over that of the service, round by round: below 1, `to` is cheaper."""
        ours, theirs = (self.cells[workload, connections, name].cpu_ms for name in (to, service))
        return [a / b for a, b in zip(ours, theirs, strict=True)]


def compare(workloads: Sequence[Workload], names: Iterable[str], rounds: int, seconds: float) -> Comparison:
    """Start the services, check that their answers agree, and measure them in turns."""
    wanted = [contender for contender in CONTENDERS if contender.name in names]
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        services = [
            stack.enter_context(running(contender, Path(folder) / f"{at}.log")) for at, contender in enumerate(wanted)
        ]
        resting = {service.contender.name: service.resident_megabytes() for service in services}
        sizes = {workload.name: _warm_up(workload, services) for workload in workloads}
        cells: Cells = {}
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
            _one_round(
                workloads, services[number % len(services) :] + services[: number % len(services)], seconds, cells
            )
        loaded = {service.contender.name: service.resident_megabytes() for service in services}
        starts = {service.contender.name: service.seconds for service in services}
    return Comparison(cells, starts, resting, loaded, sizes)


def _one_round(workloads: Sequence[Workload], services: list[Running], seconds: float, cells: Cells) -> None:
    for workload in workloads:
        request = post_of(workload.body())
        for connections, service in itertools.product(workload.connections, _able(workload, services)):
            before = service.cpu_seconds()
            taken, _ = latencies(service.port, request, connections, seconds, least=3 * connections)
            cpu = service.cpu_seconds() - before
            cell = cells.setdefault((workload.name, connections, service.contender.name), Cell())
            cell.cpu_ms.append(1e3 * cpu / len(taken))
            steady = taken[
                connections:
            ]  # the first answer of each connection wakes processes that have slept since the last round
            cell.per_second.append(connections / statistics.fmean(steady))
            cell.latency_ms += [1e3 * t for t in steady]


def _able(workload: Workload, services: Iterable[Running]) -> Iterator[Running]:
    return (service for service in services if service.contender.base64 or workload.encoding == "json")


def _warm_up(workload: Workload, services: Iterable[Running]) -> int:
    """Have every worker compile what it compiles, and hold the answers against each other. Returns their bytes."""
    request, first, body = post_of(workload.body()), None, b""
    for service in _able(workload, services):
        _, body = latencies(service.port, request, _WARM_UP, 0.0, _WARM_UP)
        answer = json.loads(body)
        first = first or answer
        for found in differences(first, answer):
            raise RuntimeError(f"{workload.name}, {service.contender.name}: {found}")
    return len(body)


def differences(first: Any, other: Any, place: str = "") -> Iterator[str]:
    """The differences between two answers, in members or numbers. The spelling of a loss's name may differ."""
    if isinstance(first, dict) and isinstance(other, dict):
        if first.keys() != other.keys():
            yield f"{place}: {sorted(first)} and {sorted(other)}"
        elif "base64" in first:
            yield from differences(_unpacked(first), _unpacked(other), place)
        else:
            for key in first:
                yield from differences(first[key], other[key], f"{place}/{key}")
    elif isinstance(first, list) and isinstance(other, list) and len(first) == len(other):
        for index, (one, another) in enumerate(zip(first, other, strict=True)):
            yield from differences(one, another, f"{place}/{index}")
    elif isinstance(first, float) and isinstance(other, float):
        if not math.isclose(first, other, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE):
            yield f"{place}: {first} and {other}"
    elif first != other:
        yield f"{place}: {first!r:.100} and {other!r:.100}"


def _unpacked(array: dict[str, Any]) -> Any:
    return np.frombuffer(base64.b64decode(array["base64"])).reshape(array["shape"]).tolist()


def tables(found: Comparison) -> Iterator[str]:
    """The figures as Markdown."""
    names = list(dict.fromkeys(name for _, _, name in found.cells))
    names.sort(key=[contender.name for contender in CONTENDERS].index)
    rows = list(dict.fromkeys((workload, connections) for workload, connections, _ in found.cells))
    yield "CPU milliseconds for each request, the median of the rounds:\n"
    yield from _table(found, rows, names, lambda cell: f"{statistics.median(cell.cpu_ms):.3g}")
    yield f"\nCPU of {OURS} / CPU of the other service, median (lowest to highest) of the rounds:\n"
    yield _header(names[1:])
    for workload, connections in rows:
        cells = [
            _spread(found.ratios(workload, connections, name)) if (workload, connections, name) in found.cells else ""
            for name in names[1:]
        ]
        yield f"| {workload} | {connections} | {' | '.join(cells)} |"
    yield "\nLatency in milliseconds, median / 99th percentile of all rounds:\n"
    yield from _table(found, rows, names, lambda cell: f"{statistics.median(cell.latency_ms):.3g} / {cell.p99:.3g}")
    yield "\nRequests a second, the median of the rounds:\n"
    yield from _table(found, rows, names, lambda cell: f"{statistics.median(cell.per_second):.3g}")
    yield "\nMemory (PSS of all processes) and start:\n"
    yield "| | MB at rest | MB after all rounds | seconds to the first answer |\n|---|---|---|---|"
    for name in names:
        megabytes = f"{found.resting_megabytes[name]:.0f} | {found.loaded_megabytes[name]:.0f}"
        yield f"| {name} | {megabytes} | {found.start_seconds[name]:.1f} |"


def _header(names: Sequence[str]) -> str:
    return f"| workload | connections | {' | '.join(names)} |\n|---|---|{'---|' * len(names)}"


def _table(found: Comparison, rows: Sequence[tuple[str, int]], names: Sequence[str], shown: Any) -> Iterator[str]:
    yield _header(names)
    for workload, connections in rows:
        cells = [found.cells.get((workload, connections, name)) for name in names]
        yield f"| {workload} | {connections} | {' | '.join('' if cell is None else shown(cell) for cell in cells)} |"


def _spread(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workloads", nargs="+", default=[workload.name for workload in WORKLOADS])
    parser.add_argument("--services", nargs="+", default=[contender.name for contender in CONTENDERS])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3, help="for each cell of a round")
    given = parser.parse_args()
    chosen = [workload for workload in WORKLOADS if workload.name in given.workloads]
    for line in tables(compare(chosen, given.services, given.rounds, given.seconds)):
        print(line)


if __name__ == "__main__":
    main()
