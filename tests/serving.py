"""`chainrule serve` as a subprocess, and clients that check every digit of its answers."""

import contextlib
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from service.configuration.settings import SETTINGS

SECONDS = 30.0  # seconds: a timeout for everything here, long enough for busy machines
COMMAND = [str(Path(sys.executable).parent / "chainrule"), "serve"]
DEFAULTS = {row.name: row.default for row in SETTINGS}
JSON = {"Content-Type": "application/json"}
HEAD = b"POST /v1/gradients HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
REQUEST = {
    "network": {"layers": [{"activation": "identity", "weights": [[2.0]]}]},
    "inputs": [3.0],
    "targets": [1.0],
    "breakdown": "none",
}
BODY = json.dumps(REQUEST).encode()  # E = ½ (6 - 1)² = 12.5


def slow_body(samples: int) -> bytes:
    """A request that takes at least 3 ms for each sample: every derivative of a 40-40 layer is verified."""
    layer = {"activation": "tanh", "weights": [[0.01] * 40] * 40}
    batch = {"inputs": [[0.1] * 40] * samples, "targets": [[0.0] * 40] * samples}
    return json.dumps({"network": {"layers": [layer]}, **batch, "breakdown": "none", "verify": True}).encode()


def environment(**settings: object) -> dict[str, str]:
    """The current environment, with exactly these settings of the service."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CHAINRULE_")}
    return kept | {f"CHAINRULE_{name}": str(value) for name, value in settings.items()}


def free_port() -> int:
    """A free port of the loopback interface."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_until(true: Callable[[], bool], what: str, seconds: float = 3 * SECONDS) -> None:
    """Wait until a condition holds that must come true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(0.02)


@dataclass(frozen=True)
class Server:
    """A running service: its process, its ports, and its log file."""

    process: subprocess.Popen[bytes]
    port: int
    admin_port: int
    log: Path

    def connection(self) -> contextlib.closing[HTTPConnection]:
        """A connection that is closed at the end of the `with` block."""
        return contextlib.closing(HTTPConnection("127.0.0.1", self.port, timeout=SECONDS))

    def socket(self) -> socket.socket:
        """A raw socket, for requests that http.client would not send."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS)

    def admin(self, path: str) -> tuple[int, str]:
        """The status and text of an answer of the admin address; 0 if it does not answer."""
        connection = HTTPConnection("127.0.0.1", self.admin_port, timeout=SECONDS)
        with contextlib.suppress(OSError, HTTPException), contextlib.closing(connection):
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        return 0, ""

    def metric(self, name: str, **labels: str) -> float:
        """The sum of all samples of a metric that have these labels."""
        families = text_string_to_metric_families(self.admin("/metrics")[1])
        samples = (sample for family in families for sample in family.samples)
        return sum(
            sample.value for sample in samples if sample.name == name and labels.items() <= sample.labels.items()
        )

    @property
    def children(self) -> set[int]:
        """The ids of the service's child processes."""
        pid = self.process.pid
        return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}

    @property
    def workers(self) -> set[int]:
        """The ids of its workers, from the lines that they log when they start."""
        booted = {int(pid) for pid in re.findall(r"Booting worker with pid: (\d+)", self.log.read_text())}
        return booted & self.children

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.process.send_signal(signal.SIGTERM)


@contextlib.contextmanager
def serving(log: Path, command: Sequence[str] = COMMAND, **settings: object) -> Iterator[Server]:
    """Start a service, wait until it is ready, and stop it at the end. A setting that is None keeps its default."""
    ports = {"BIND": f"127.0.0.1:{free_port()}", "ADMIN_BIND": f"127.0.0.1:{free_port()}"}
    asked = ports | {"WORKERS": 1, "DRAIN_SECONDS": 0} | settings
    given = {name: value for name, value in asked.items() if value is not None}
    port, admin_port = (int(str(given[name]).rpartition(":")[2]) for name in ports)
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=environment(**given), stdout=file, stderr=subprocess.STDOUT)
    with process:
        try:
            server = Server(process, port, admin_port, log)
            workers = int(str(given.get("WORKERS", DEFAULTS["WORKERS"])))
            wait_until(lambda: _is_up(server, workers), "the service to be ready")
            yield server
        finally:
            end(process)


def _is_up(server: Server, workers: int) -> bool:
    assert server.process.poll() is None, server.log.read_text()
    return server.admin("/readyz")[0] == 200 and server.metric("chainrule_workers") == workers


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill the process."""
    process.terminate()
    try:
        process.wait(SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def post(connection: HTTPConnection, body: bytes | Iterator[bytes], path: str = "/v1/gradients") -> tuple[int, dict]:
    """The status and document of the answer. An iterator is sent in chunks, one for each piece."""
    connection.request("POST", path, body, JSON)
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def received(sock: socket.socket) -> tuple[int, dict]:
    """The status and document of the answer on a raw socket."""
    with contextlib.closing(HTTPResponse(sock)) as response:
        response.begin()
        return response.status, json.loads(response.read())


@dataclass
class Load:
    """Clients, each of which posts numbers of its own and checks the answer's, on kept connections or on new ones.

    If a kept connection ends without an answer, the request is sent again on a new one, as every HTTP client does: the
    server may close a connection while the request is being sent. Any other wrong or missing answer is a failure.
    """

    port: int
    clients: int = 4
    pause: float = 0.0  # seconds between the requests of a client
    keep: bool = True
    patience: float = SECONDS  # how long a client waits for each step of an answer
    answered: int = 0
    slowest: float = 0.0  # seconds of an exchange
    repeated: int = 0
    failures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._threads = [threading.Thread(target=self._run) for _ in range(self.clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(3 * SECONDS)
            assert not thread.is_alive()

    def wait_for(self, more: int) -> None:
        """Wait for `count` further answers."""
        enough = self.answered + more
        wait_until(lambda: self.answered >= enough or bool(self.failures), f"{more} answers", 6 * SECONDS)

    def _run(self) -> None:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=self.patience)
        while not self._stop.is_set():
            with self._lock:
                number = next(self._numbers)
            start = time.monotonic()
            failure = self._exchange(connection, float(number))
            with self._lock:
                self.answered += failure is None
                self.slowest = max(self.slowest, time.monotonic() - start)
                if failure is not None:
                    self.failures.append(f"request {number}: {failure}")
            if not self.keep:
                connection.close()
            time.sleep(self.pause)
        connection.close()

    def _exchange(self, connection: HTTPConnection, number: float) -> str | None:
        """A complaint about the answer; empty if it is right.

        A sample has E = ½ (2 x - 1)² and dE/dw = (2 x - 1) x. For up to 50 equal samples, float64 is exact.
        """
        samples = 1 + number % 50
        batch = {"inputs": [[number]] * int(samples), "targets": [[1.0]] * int(samples)}
        body = json.dumps(REQUEST | batch).encode()
        kept = connection.sock is not None
        try:
            status, document = post(connection, body)
        except (OSError, HTTPException) as error:
            connection.close()
            if kept and isinstance(error, ConnectionError):
                with self._lock:
                    self.repeated += 1
                return self._exchange(connection, number)
            return repr(error)
        if status != 200:
            return f"{status} {document}"
        expected = samples * 0.5 * (2 * number - 1) ** 2, [[samples * (2 * number - 1) * number]]
        found = document["loss"], document["layers"][0]["dE_dw"]
        return None if found == expected else f"{found} instead of {expected}"
