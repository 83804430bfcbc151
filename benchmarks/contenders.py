"""The compared services, each started as its documentation recommends, with two workers."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.client import latencies, post_of
from benchmarks.workloads import WORKLOADS
from tests.serving import environment, free_port

WORKERS = 2
_PROGRAMS = Path(sys.executable).parent
_PATIENCE = 60.0  # seconds within which a service must answer; PyTorch takes ten
FIRST = post_of(WORKLOADS[0].body())  # the first request to a service
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}  # as `chainrule serve` sets it for itself


@dataclass(frozen=True)
class Contender:
    """One service: its libraries, and the command that starts it on a port."""

    name: str
    words: str
    command: Callable[[int], list[str]]
    settings: dict[str, str]
    floor: bool = False  # checks nothing: a bound, no alternative
    base64: bool = False  # takes arrays as base64, too


def _uvicorn(module: str) -> Callable[[int], list[str]]:
    return lambda port: [
        str(_PROGRAMS / "uvicorn"),
        f"benchmarks.alternatives.{module}:app",
        *("--port", str(port), "--workers", str(WORKERS), "--no-access-log", "--log-level", "warning"),
    ]


def _gunicorn(module: str) -> Callable[[int], list[str]]:
    return lambda port: [
        str(_PROGRAMS / "gunicorn"),
        f"benchmarks.alternatives.{module}:app",
        *("--bind", f"127.0.0.1:{port}", "--workers", str(WORKERS), "--threads", "8", "--keep-alive", "75"),
        "--no-control-socket",
    ]


def _socket(port: int) -> list[str]:
    return [sys.executable, "-m", "benchmarks.alternatives.floor_socket", str(port), str(WORKERS)]


def _chainrule(_port: int) -> list[str]:
    return [str(_PROGRAMS / "chainrule"), "serve"]


OURS = "Chainrule"
CONTENDERS: tuple[Contender, ...] = (
    Contender(OURS, "all checks, log and metrics", _chainrule, {}, base64=True),
    Contender("FastAPI + PyTorch", "pydantic and autograd, as in their manuals", _uvicorn("fastapi_torch"), {}),
    Contender("FastAPI + PyTorch, tuned", "the same, optimized with a profiler", _uvicorn("fastapi_torch_tuned"), {}),
    Contender("FastAPI + JAX", "tuned, and compiled", _uvicorn("fastapi_jax"), {}),
    Contender("Flask, plain", "marshmallow and NumPy, under gunicorn", _gunicorn("flask_marshmallow"), _ONE_THREAD),
    Contender("bare Flask", "no checks, under gunicorn", _gunicorn("flask_bare"), _ONE_THREAD, floor=True, base64=True),
    Contender("bare gunicorn", "no framework", _gunicorn("floor"), _ONE_THREAD, floor=True, base64=True),
    Contender("bare socket", "neither framework nor web server", _socket, _ONE_THREAD, floor=True, base64=True),
)


@dataclass(frozen=True)
class Running:
    """A contender that accepts requests."""

    contender: Contender
    port: int
    process: subprocess.Popen[bytes]
    seconds: float  # from its start to its first answer

    @property
    def processes(self) -> list[int]:
        """The contender's process and all its descendants."""
        found, left = [], [self.process.pid]
        while left:
            pid = left.pop()
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                left += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
                found.append(pid)
        return found

    def cpu_seconds(self) -> float:
        """The CPU time of all its processes, to the nanosecond: clock 4·~pid + 2 of Linux is that of a process."""
        return sum(time.clock_gettime((~pid << 3) | 2) for pid in self.processes)

    def resident_megabytes(self) -> float:
        """The proportional memory (PSS): a page that processes share counts once in all."""
        lines = [
            line
            for pid in self.processes
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            if line.startswith("Pss:")
        ]
        return sum(int(line.split()[1]) for line in lines) / 1024


@contextlib.contextmanager
def running(contender: Contender, log: Path) -> Iterator[Running]:
    """Start a contender, wait until it answers, and stop all its processes at the end."""
    port, admin_port = free_port(), free_port()
    own = {
        "BIND": f"127.0.0.1:{port}",
        "ADMIN_BIND": f"127.0.0.1:{admin_port}",
        "WORKERS": WORKERS,
        "DRAIN_SECONDS": 0,
    }
    given = environment(**own) if contender.name == OURS else environment() | contender.settings
    start = time.monotonic()
    with log.open("wb") as file:
        process = subprocess.Popen(  # noqa: S603  the commands above
            contender.command(port), env=given, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
    with process:
        try:
            _wait_for(process, port, log)
            latencies(port, FIRST, 1, 0.0, 1)
            yield Running(contender, port, process, time.monotonic() - start)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)  # the group that it began: itself and its workers
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{process.args} does not answer:\n{log.read_text()}")
        time.sleep(0.02)
