"""How the cost of a request grows over samples, width and depth: `python -m benchmarks.growth`.

Measured in process, through the whole application. The order is the binary logarithm of the factor of the last
doubling: 1 is linear, 2 quadratic. In theory JSON grows like its numbers, and the products like samples × width² ×
depth.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a waiting second thread would count as CPU time

import math
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from flask.testing import FlaskClient

from benchmarks.workloads import Workload
from service.app import create_app
from service.configuration.settings import read_settings
from service.resources.malloc import give_back, keep_freed

_MEGA = 2**20
_TIMES = 5


def _square(samples: int, width: int, depth: int) -> Workload:
    widths, activations = (width,) * (depth + 1), ("tanh",) * depth
    return Workload("", widths, activations, samples, "per_unit", ())


SERIES = {
    "samples": [_square(samples, 64, 2) for samples in (256, 512, 1024, 2048)],
    "width": [_square(64, width, 2) for width in (64, 128, 256, 512)],
    "depth": [_square(64, 64, depth) for depth in (8, 16, 32, 64)],
    "samples, base64": [replace(_square(samples, 64, 2), encoding="base64") for samples in (1024, 2048, 4096, 8192)],
}


def measured(client: FlaskClient, body: bytes) -> tuple[float, float, int]:
    """The CPU milliseconds, the peak in megabytes above the memory before, and the bytes of the answer."""
    seconds = []
    for _ in range(_TIMES):
        start = time.process_time()
        _answered(client, body)
        seconds.append(time.process_time() - start)
    give_back()  # otherwise freed memory would hide the peak
    Path("/proc/self/clear_refs").write_text("5")  # reset the peak (proc(5))
    before = _resident("VmRSS")
    size = _answered(client, body)
    return 1e3 * statistics.median(seconds), _resident("VmHWM") - before, size


def _answered(client: FlaskClient, body: bytes) -> int:
    response = client.post("/v1/gradients", data=body, content_type="application/json")
    if response.status_code != 200:
        raise RuntimeError(response.text[:500])
    return len(response.data)


def _resident(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def table() -> Iterator[str]:
    """The figures as Markdown."""
    keep_freed()  # as the service
    client = create_app(read_settings()).test_client()
    header = ("grows", "samples × width × layers", "MB body + answer", "CPU, ms", "order", "order of bytes", "MB peak")
    yield f"| {' | '.join(header)} | times body + answer |\n|{'---|' * 8}"
    for name, workloads in SERIES.items():
        last: tuple[float, float] | None = None
        for workload in workloads:
            body = workload.body()
            milliseconds, peak, size = measured(client, body)
            megabytes = (len(body) + size) / _MEGA
            now = milliseconds, megabytes
            orders = ["", ""] if last is None else [f"{math.log2(a / b):.2f}" for a, b in zip(now, last, strict=True)]
            shape = f"{workload.samples} × {workload.widths[0]} × {len(workload.activations)}"
            cells = [name, shape, f"{megabytes:.1f}", f"{milliseconds:.1f}", *orders, f"{peak:.1f}"]
            yield f"| {' | '.join([*cells, f'{peak / megabytes:.1f}'])} |"
            last = now


if __name__ == "__main__":
    for line in table():
        print(line)
