"""Requests a second and memory of one worker, by the size of the request: `python -m benchmarks.capacity [seconds]`.

One worker, as a replica has; clients on kept connections, each of which sends its next request when it has the last
answer. A row takes so many seconds for each number of clients.
"""

import platform
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path

from benchmarks.memory import MEGA, _json, _resident, batch, in_base64, network
from tests.serving import REQUEST, post, serving

CLIENTS = (1, 4)
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


class Clients:
    """So many clients that post one body over and over until they are stopped."""

    def __init__(self, port: int, body: bytes, clients: int) -> None:
        self.seconds: list[float] = []
        self._port, self._body = port, body
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def run(self, duration: float) -> float:
        """Answers a second. Raises RuntimeError where there was another than 200."""
        start = time.monotonic()
        for thread in self._threads:
            thread.start()
        time.sleep(duration)
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if 0.0 in self.seconds:
            raise RuntimeError("a request was refused")
        return len(self.seconds) / (time.monotonic() - start)

    def _run(self) -> None:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=60)
        while not self._stop.is_set():
            start = time.monotonic()
            status = post(connection, self._body)[0]
            self.seconds.append(time.monotonic() - start if status == 200 else 0.0)
        connection.close()


def _measure(kind: str, duration: float) -> str:
    """A row: in a service of its own, whose peak is that of these requests."""
    body = KINDS[kind]()
    cells = [kind, f"{len(body) / MEGA:.3f}"]
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "log", WORKERS=1) as server:
        (worker,) = server.workers
        for clients in CLIENTS:
            load = Clients(server.port, body, clients)
            rate = load.run(duration)
            cells += [f"{rate:.3g}", f"{1e3 * statistics.median(load.seconds):.3g}"]
        cells.append(f"{_resident('VmHWM', worker):.0f}")
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    duration = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    print(f"One worker, Python {platform.python_version()}, {duration:g} s for each figure\n")
    heads = [
        f"{clients} client{'s' if clients > 1 else ''}: {what}"
        for clients in CLIENTS
        for what in ("a second", "median ms")
    ]
    print(f"| request | MB body | {' | '.join(heads)} | MB resident, peak |\n|{'---|' * (len(heads) + 3)}")
    for kind in KINDS:
        print(_measure(kind, duration), flush=True)


if __name__ == "__main__":
    main()
