"""The command `chainrule` as a subprocess: it refuses bad settings, and it leaves no process or folder behind."""

import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.serving import BODY, COMMAND, SECONDS, environment, free_port, post, serving, wait_until

BAD_SETTINGS = 2
MEMORY_DISK = Path("/dev/shm")


def _addresses() -> dict[str, object]:
    return {"BIND": f"127.0.0.1:{free_port()}", "ADMIN_BIND": f"127.0.0.1:{free_port()}"}


def _ended(command: list[str], **settings: object) -> tuple[subprocess.CompletedProcess[str], float]:
    """The result of a command that exits by itself without leaving a process, and its CPU time in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(
        command,
        env=environment(**settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=SECONDS)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
            pytest.fail("a process was left")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return subprocess.CompletedProcess(command, process.returncode, out, err), seconds


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("CONCURRENCY", "0", "CHAINRULE_CONCURRENCY: must be a whole number from 1 to 64"),
        ("WORKERS", "99999999999", "CHAINRULE_WORKERS: must be a whole number from 1 to 128"),
        ("BNID", "x", "CHAINRULE_BNID is not a setting; did you mean"),
        ("BIND", "here", "CHAINRULE_BIND: must be an address and a port, such as 127.0.0.1:8000"),
        ("API_KEYS_FILE", "/nowhere", "CHAINRULE_API_KEYS_FILE: must be the path of a file that can be read"),
        ("API_KEYS_FILE", __file__, "CHAINRULE_API_KEYS_FILE: line 1 of"),
    ],
)
def test_with_a_bad_setting_the_service_does_not_start(setting: str, value: str, sentence: str) -> None:
    """One sentence on stderr, exit code 2, and the port is never opened."""
    given = _addresses() | {setting: value}
    ended, _ = _ended(COMMAND, **given)
    assert ended.returncode == BAD_SETTINGS
    assert ended.stderr.startswith(f"chainrule does not start: {sentence}")
    assert (ended.stderr.count("\n"), ended.stdout) == (1, "")
    port = str(given["BIND"]).rpartition(":")[2]
    if port.isdecimal():
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", int(port)))


def test_every_bad_setting_has_its_line() -> None:
    """The lines follow the sentence that the troubleshooting page quotes."""
    ended, _ = _ended(COMMAND, **_addresses() | {"WORKERS": 0, "QUEUE": "many", "BIND": "here"})
    first, *lines = ended.stderr.splitlines()
    assert (ended.returncode, first) == (BAD_SETTINGS, "chainrule does not start:")
    assert [line.partition(":")[0] for line in lines] == ["CHAINRULE_BIND", "CHAINRULE_WORKERS", "CHAINRULE_QUEUE"]


@pytest.mark.parametrize("setting", ["BIND", "ADMIN_BIND"])
def test_a_port_in_use_is_refused_at_once(setting: str) -> None:
    """The refusal takes no more CPU time than any other bad setting.

    NumPy and Flask are not loaded, and gunicorn does not retry.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        ended, seconds = _ended(COMMAND, **_addresses() | {setting: address})
    assert (ended.returncode, ended.stdout) == (BAD_SETTINGS, "")
    sentence = f"{address} is in use by another process: stop that process, or choose another port"
    assert ended.stderr == f"chainrule does not start: CHAINRULE_{setting}: {sentence}\n"
    assert seconds < 1.5 * _ended(COMMAND, WORKERS="-1")[1]


def test_equal_addresses_are_refused_at_once() -> None:
    """The admin process would have no address."""
    address = f"127.0.0.1:{free_port()}"
    ended, seconds = _ended(COMMAND, BIND=address, ADMIN_BIND=address)
    assert (ended.returncode, ended.stderr.count("\n"), ended.stdout) == (BAD_SETTINGS, 1, "")
    assert ended.stderr.startswith("chainrule does not start: CHAINRULE_BIND and CHAINRULE_ADMIN_BIND: must differ")
    assert seconds < 1.5 * _ended(COMMAND, WORKERS="-1")[1]


def test_config_refuses_what_serve_refuses() -> None:
    """The exit code is the same, so a deployment can be checked before it starts."""
    ended, _ = _ended([COMMAND[0], "config"], WORKERS="-1")
    assert (ended.returncode, ended.stdout) == (BAD_SETTINGS, "")
    assert "CHAINRULE_WORKERS: must be a whole number from 1 to 128" in ended.stderr


def test_config_shows_every_setting_with_its_bounds() -> None:
    """Values from the environment are marked. A retired setting is a comment, so that a shell can read the output."""
    ended, _ = _ended([COMMAND[0], "config"], WORKERS=3, HELD_BYTES=5)
    lines = ended.stdout.splitlines()
    assert ended.returncode == 0
    assert "CHAINRULE_WORKERS=3  # set; processes that compute" in ended.stdout
    assert "(a whole number from 1 to 128)" in ended.stdout
    assert lines[-1].startswith("# CHAINRULE_HELD_BYTES has no effect any more")
    assert "CHAINRULE_HELD_BYTES=" not in ended.stdout


def test_a_retired_setting_is_logged(tmp_path: Path) -> None:
    """The log has one warning, and the service runs."""
    with serving(tmp_path / "log", HELD_BYTES="64M") as server, server.connection() as connection:
        assert post(connection, BODY)[0] == 200
        lines = [line for line in server.log.read_text().splitlines() if "CHAINRULE_HELD_BYTES" in line]
    assert len(lines) == 1
    assert '"level":"warning"' in lines[0]
    assert "CHAINRULE_MEMORY_BYTES" in lines[0]


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="there is no IPv6 here")
def test_both_addresses_may_be_ipv6(tmp_path: Path) -> None:
    """IPv6 addresses are in brackets. `chainrule health` finds the admin address, too."""
    given = {name: address.replace("127.0.0.1", "[::1]") for name, address in _addresses().items()}
    log = tmp_path / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(COMMAND, env=environment(**given, WORKERS=1), stdout=file, stderr=file)
    with process:
        try:
            wait_until(lambda: _ended([COMMAND[0], "health"], **given)[0].returncode == 0, "health", SECONDS)
            port = int(given["BIND"].rpartition(":")[2])
            with socket.create_connection(("::1", port), timeout=SECONDS) as sock:
                sock.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert sock.recv(1024).startswith(b"HTTP/1.1 200")
        finally:
            process.terminate()
            process.wait(SECONDS)
    assert f"Listening at: http://{given['BIND']}" in log.read_text()


def _left_of(pid: int) -> list[str]:
    """The folders with a process's metrics, which it must remove at its end."""
    parents = (MEMORY_DISK, Path(tempfile.gettempdir()))
    return [str(found) for parent in parents for found in parent.glob(f"chainrule-metrics-{pid}-*")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
@pytest.mark.parametrize("delay", [0.3, 0.6, 0.9, 1.2])
def test_a_signal_during_the_start_leaves_no_process_and_no_folder(
    tmp_path: Path, number: signal.Signals, delay: float
) -> None:
    """At any moment of the start, a signal ends all processes, removes the folder, and prints nothing unexpected."""
    log = tmp_path / "log"
    given = _addresses() | {"WORKERS": 4, "DRAIN_SECONDS": 0, "STOP_SECONDS": 2 * SECONDS}
    with log.open("wb") as file:
        process = subprocess.Popen(
            COMMAND, env=environment(**given), stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
    time.sleep(delay)
    process.send_signal(number)
    try:
        code = process.wait(SECONDS / 2)
    finally:
        left = _kill_group(process.pid)
    if code != -number:  # that is how Python itself ends before the command begins
        assert code == 0, log.read_text()
        assert "Traceback" not in log.read_text()
    assert left is False
    assert _left_of(process.pid) == []


def _kill_group(group: int) -> bool:
    """Kill the remaining processes of a group; return whether there were any."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def test_a_signal_right_after_the_fork_is_not_lost(tmp_path: Path) -> None:
    """A forked process starts with the master's handlers, which would only queue the signal."""
    log = tmp_path / "log"
    given = _addresses() | {"WORKERS": 4, "DRAIN_SECONDS": 0, "STOP_SECONDS": 2 * SECONDS}
    for _ in range(3):
        with log.open("wb") as file:
            process = subprocess.Popen(
                COMMAND, env=environment(**given), stdout=file, stderr=subprocess.STDOUT, start_new_session=True
            )
        wait_until(lambda: "Booting worker" in log.read_text(), "a worker to boot", SECONDS)
        process.terminate()
        try:
            assert process.wait(SECONDS / 2) == 0, log.read_text()
        finally:
            left = _kill_group(process.pid)
        assert left is False


def test_health_loads_neither_numpy_nor_flask() -> None:
    """So a check every few seconds costs little, and so does the refusal of a port."""
    code = "import sys, service.cli; print({'numpy', 'flask', 'gunicorn', 'marshmallow'} & sys.modules.keys())"
    ended, _ = _ended([sys.executable, "-c", code])
    assert ended.stdout == "set()\n"
