"""The time of each stage of a request, from Server-Timing: `python -m benchmarks.stages`."""

import http.client
import re
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.contenders import CONTENDERS, OURS, running
from benchmarks.workloads import WORKLOADS, Workload
from service.configuration.limits import DEFAULTS, enforce_on_body
from service.encoding.outline import Outline

STAGES = ("receive", "queue", "decode", "validate", "compute", "encode")
_TIMES = 50
_WARM_UP = 10
_STAGE = re.compile(r"(\w+);dur=([\d.]+)")

Stages = Mapping[str, float]  # milliseconds; "CPU" is that of the whole request, "checks" that of all checks


def measured() -> dict[str, Stages]:
    """The median times of the stages of each workload, one request after the other."""
    ours = next(contender for contender in CONTENDERS if contender.name == OURS)
    with tempfile.TemporaryDirectory() as folder, running(ours, Path(folder) / "log") as service:
        found = {}
        for workload in WORKLOADS:
            for _ in _stages(service.port, workload, _WARM_UP):
                pass
            before = service.cpu_seconds()
            reported = list(_stages(service.port, workload, _TIMES))
            cpu = 1e3 * (service.cpu_seconds() - before) / _TIMES
            found[workload.name] = {name: statistics.median(stages[name] for stages in reported) for name in STAGES}
            found[workload.name] |= {
                "CPU": cpu,
                "checks": found[workload.name]["validate"] + _checks_ms(workload.body()),
            }
        return found


def _checks_ms(body: bytes) -> float:
    """The time of the checks of a body before it is parsed: limits, repeated keys, nested lists."""
    taken = []
    for _ in range(_TIMES):
        start = time.process_time()
        enforce_on_body(DEFAULTS, Outline(body))
        taken.append(1e3 * (time.process_time() - start))
    return statistics.median(taken)


def _stages(port: int, workload: Workload, times: int) -> Iterator[dict[str, float]]:
    """The stages in Server-Timing of so many answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    body = workload.body()
    for _ in range(times):
        connection.request("POST", "/v1/gradients", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        yield {name: float(ms) for name, ms in _STAGE.findall(answer.headers["Server-Timing"])}
    connection.close()


def table(found: Mapping[str, Stages]) -> Iterator[str]:
    """The figures as Markdown."""
    yield f"| workload | {' | '.join(STAGES)} | CPU of the request |\n|{'---|' * (len(STAGES) + 2)}"
    for name, stages in found.items():
        yield f"| {name} | {' | '.join(f'{stages[key]:.3g}' for key in (*STAGES, 'CPU'))} |"


if __name__ == "__main__":
    for line in table(measured()):
        print(line)
