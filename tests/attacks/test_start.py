"""Starts that fail: one sentence on stderr, exit code 2, at once, and no process left."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.attacks.arena import MEMORY
from tests.attacks.processes import memory_cgroup, session
from tests.serving import COMMAND, environment, free_port

SECONDS = 1.0  # in addition to those that `chainrule config` takes
LONGEST = 20.0  # seconds to wait for a start that does not end
CROWD = 40  # processes of a start that is not refused; more are not waited for
ENDED = 0.5  # seconds after the first process in which the others must have ended


def _taken(stack: ExitStack) -> str:
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    return f"127.0.0.1:{listener.getsockname()[1]}"


def _equal(stack: ExitStack) -> dict[str, object]:
    address = f"127.0.0.1:{free_port()}"
    return {"BIND": address, "ADMIN_BIND": address}


NUMBERS = ("WORKERS", "CONCURRENCY", "QUEUE", "CONNECTIONS", "MAX_BODY_BYTES", "MAX_JSON_DEPTH")
TIMES = ("QUEUE_SECONDS", "READ_SECONDS", "WORK_SECONDS", "WRITE_SECONDS", "KEEPALIVE_SECONDS", "DRAIN_SECONDS")
WRONG = ("99999999999", "9" * 400, "-1", "1_0", "٣", "1e3", " 7")
Made = Callable[[ExitStack], dict[str, object]]
STARTS: dict[str, Made] = {
    **{f"{name}={value:.12}": (lambda _, n=name, v=value: {n: v}) for name in NUMBERS for value in WRONG[:1]},
    **{f"WORKERS={value:.12}": (lambda _, v=value: {"WORKERS": v}) for value in WRONG[1:]},
    **{f"{name}={value}": (lambda _, n=name, v=value: {n: v}) for name in TIMES for value in ("1e9",)},
    **{f"WORK_SECONDS={value}": (lambda _, v=value: {"WORK_SECONDS": v}) for value in ("nan", "inf", "-1", "1_0")},
    "a taken port": lambda stack: {"BIND": _taken(stack)},
    "a taken port of the admin address": lambda stack: {"ADMIN_BIND": _taken(stack)},
    "equal addresses": _equal,
    "an address of another machine": lambda _: {"BIND": f"192.0.2.1:{free_port()}"},
    "a name that is no address": lambda _: {"BIND": f"chainrule.invalid:{free_port()}"},
    "a port that is too large": lambda _: {"BIND": "127.0.0.1:65536"},
    "no port": lambda _: {"BIND": "127.0.0.1"},
    "a file of keys that is not there": lambda _: {"API_KEYS_FILE": "/nonexistent/keys"},
    "an unknown setting": lambda _: {"WORKER": "2"},
}


@pytest.fixture(scope="module")
def usual() -> float:
    """The seconds that the command takes to read and print its settings, on this machine now."""
    start = time.monotonic()
    subprocess.run([COMMAND[0], "config"], env=environment(), capture_output=True, check=True)
    return time.monotonic() - start


@pytest.mark.parametrize("made", STARTS.values(), ids=STARTS)
def test_a_start_that_cannot_succeed_ends_with_the_reason(usual: float, tmp_path: Path, made: Made) -> None:
    """Numbers out of bounds are refused, too: 99999999999 workers must not be started."""
    error = tmp_path / "stderr"
    with ExitStack() as stack:
        cgroup = stack.enter_context(memory_cgroup(MEMORY))
        ports = {"BIND": f"127.0.0.1:{free_port()}", "ADMIN_BIND": f"127.0.0.1:{free_port()}"}
        given = environment(**(ports | made(stack)))
        begun = time.monotonic()
        with error.open("wb") as file:
            process = subprocess.Popen(
                cgroup.command(COMMAND) if cgroup else COMMAND,
                env=given,
                start_new_session=True,
                stdout=subprocess.DEVNULL,
                stderr=file,
            )
        try:
            most = _most_processes(process)
            took = time.monotonic() - begun
            time.sleep(ENDED)
            left = session(process.pid)
        finally:
            _end(process)
    reported = error.read_text()
    assert (process.returncode, left) == (2, []), f"{most} processes: {reported}"
    assert reported.count("\n") == 1, reported
    assert "Traceback" not in reported
    assert most <= 2
    assert took < SECONDS + 2 * usual


def _most_processes(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end within a time limit; return the largest number of processes."""
    until, most = time.monotonic() + LONGEST, 0
    while process.poll() is None and time.monotonic() < until and most <= CROWD:
        most = max(most, len(session(process.pid)))
        time.sleep(0.02)
    return most


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill all processes of the session that was started here."""
    while running := session(process.pid):
        for pid in running:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.poll()
        time.sleep(0.05)
    process.wait()
