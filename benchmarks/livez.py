"""The latency of /livez while every worker computes the largest bodies: `python -m benchmarks.livez [seconds]`."""

import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from http.client import HTTPConnection
from multiprocessing import Event, Process, SimpleQueue
from pathlib import Path
from typing import Any

from tests.serving import post, serving

CLIENTS = 8
SAMPLES, INPUTS, UNITS = 9_000, 96, 8


def body() -> bytes:
    """A request of nearly 20 MB."""
    layer = {"activation": "tanh", "weights": [[0.125] * UNITS] * INPUTS}
    batch = {"inputs": [[0.12345678901234567] * INPUTS] * SAMPLES, "targets": [[0.0] * UNITS] * SAMPLES}
    return json.dumps({"network": {"layers": [layer]}, **batch, "breakdown": "none"}).encode()


def _saturate(port: int, stop: Any, answers: Any) -> None:
    """Load the service from a separate process, as the probe does: threads of one process would measure each other."""
    os.nice(10)  # real clients would not use the service's cores
    content = body()
    connection = HTTPConnection("127.0.0.1", port, timeout=120)
    while not stop.is_set():
        answers.put(post(connection, content)[0])
    connection.close()


def percentiles(seconds: list[float]) -> str:
    """Median, 99th percentile and maximum, in milliseconds."""
    p99 = statistics.quantiles(seconds, n=100)[98]
    return f"{1e3 * statistics.median(seconds):.1f} | {1e3 * p99:.1f} | {1e3 * max(seconds):.1f}"


def _seconds_of_livez(port: int, duration: float) -> list[float]:
    """The latencies of /livez, called 20 times a second, each on a new connection as probes do."""
    taken = []
    end = time.monotonic() + duration
    while time.monotonic() < end:
        start = time.monotonic()
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/livez")
        if connection.getresponse().status != 200:
            raise RuntimeError("/livez did not answer 200")
        connection.close()
        taken.append(time.monotonic() - start)
        time.sleep(0.05)
    return taken


def main() -> None:
    """Print the figures of the admin address, and of the workers' own /livez."""
    duration = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    stop, answers = Event(), SimpleQueue()
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "log", WORKERS=2) as server:
        clients = [Process(target=_saturate, args=(server.port, stop, answers)) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        with contextlib.suppress(PermissionError):  # the client must not wait for CPU time itself
            os.setpriority(os.PRIO_PROCESS, 0, -10)
        time.sleep(5)
        print(f"{CLIENTS} clients, bodies of {len(body()) / 1e6:.1f} MB, 2 workers, {os.cpu_count()} cores\n")
        print("| /livez of | median, ms | p99, ms | longest, ms |\n|---|---|---|---|")
        print(f"| the admin address | {percentiles(_seconds_of_livez(server.admin_port, duration))} |")
        print(f"| the workers | {percentiles(_seconds_of_livez(server.port, duration))} |")
        stop.set()
        statuses = []
        for client in clients:
            client.join()
        while not answers.empty():
            statuses.append(answers.get())
    print(f"\n{statuses.count(200)} of {len(statuses)} requests answered with 200 meanwhile")


if __name__ == "__main__":
    main()
