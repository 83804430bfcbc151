"""CPU time and memory of one worker, by the size of the request: `python -m benchmarks.capacity [seconds]`.

One worker, as in a replica, and one client on a kept connection. The CPU time of a request shows how many requests a
core can answer in a second, even on a busy machine. Each row takes `seconds` seconds.
"""

import platform
import sys
import tempfile
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path

from benchmarks.memory import MEGA, _json, _resident, batch, in_base64, network
from tests.attacks.processes import cpu_seconds
from tests.serving import REQUEST, post, serving

KINDS: dict[str, Callable[[], bytes]] = {
    "1 weight, 1 sample": lambda: _json(REQUEST),
    "4-8-3, 1 sample, per_weight": lambda: _json(network(4, 8, 3, breakdown="per_weight")),
    "4-8-3, 150 samples, per_unit": lambda: _json(network(4, 8, 3, breakdown="per_unit") | batch(150, 4, 3)),
    "64-128-10, 32 samples, per_weight": lambda: _json(
        network(64, 128, 10, breakdown="per_weight") | batch(32, 64, 10)
    ),
    "784-128-10, 64 samples, none": lambda: _json(network(784, 128, 10) | batch(64, 784, 10)),
    "784-128-10, 64 samples, none, base64": lambda: _json(in_base64(network(784, 128, 10) | batch(64, 784, 10))),
    "784-512-512-10, 512 samples, none, base64": lambda: _json(
        in_base64(network(784, 512, 512, 10) | batch(512, 784, 10))
    ),
}


def _measure(kind: str, duration: float) -> str:
    """One row, measured in a new service, so that its peak is that of these requests."""
    body = KINDS[kind]()
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "log", WORKERS=1) as server:
        (worker,) = server.workers
        with server.connection() as connection:
            _post_for(connection, body, 0.5)  # so that one-time work is done
            before = cpu_seconds(worker)
            answers = _post_for(connection, body, duration)
            seconds = (cpu_seconds(worker) - before) / answers
        cells = [f"{len(body) / MEGA:.3f}", f"{1e3 * seconds:.3g}", f"{1 / seconds:.3g}"]
        return f"| {kind} | {' | '.join(cells)} | {_resident('VmHWM', worker):.0f} |"


def _post_for(connection: HTTPConnection, body: bytes, duration: float) -> int:
    """Post the same body until some seconds are over, at least once; return the number of answers.

    Raises RuntimeError if an answer is not a 200.
    """
    answers, end = 0, time.monotonic() + duration
    while not answers or time.monotonic() < end:
        if post(connection, body)[0] != 200:
            raise RuntimeError("a request was refused")
        answers += 1
    return answers


def main() -> None:
    """Print the table."""
    duration = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    print(f"One worker, Python {platform.python_version()}, {duration:g} s for each figure\n")
    heads = ("request", "MB body", "CPU ms a request", "requests a second and core", "MB resident, peak")
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for kind in KINDS:
        print(_measure(kind, duration), flush=True)


if __name__ == "__main__":
    main()
