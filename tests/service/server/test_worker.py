"""A worker as a separate process: the connections that it accepts, and the requests that it answers when it stops."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config

from service.configuration.settings import read_settings
from service.server.front import Answer
from service.server.worker import Worker

# JAX, where another test has loaded it, warns of every fork.
pytestmark = pytest.mark.filterwarnings(r"ignore:os\.fork\(\) was called:RuntimeWarning")

BACKLOG = 64  # connections that may wait to be accepted
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class _Front:
    """A front that answers with the id of the process, after a delay if requested."""

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["path"] == "/slow":
            await asyncio.sleep(0.5)
        if scope["path"] == "/busy":
            time.sleep(0.2)  # the loop is held up
        body = str(os.getpid()).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [("Content-Length", str(len(body)))]})
        await send({"type": "http.response.body", "body": body})

    def refuse(self, _: Any, refusal: Any) -> Answer:
        """Answer with the detail alone."""
        return Answer(refusal.problem.status, [], refusal.detail.encode())


class _App:
    """The application's interface for a worker."""

    def __init__(self) -> None:
        self.settings = read_settings()
        self.shared = SimpleNamespace(
            draining=False, register_worker=lambda age: None, unregister_worker=lambda pid: None
        )

    def front(self) -> _Front:
        """The front."""
        return _Front()


@contextlib.contextmanager
def _worker(*listeners: socket.socket, stop_seconds: int = 10) -> Iterator[int]:
    """The id of a forked worker that serves these sockets. At the end it must have exited by itself with code 0."""
    config = Config()
    config.set("graceful_timeout", stop_seconds)
    config.set("backlog", BACKLOG)
    log = SimpleNamespace(close_on_exec=lambda: None, reopen_files=lambda: None)
    given = [SimpleNamespace(sock=listener, fileno=listener.fileno) for listener in listeners]
    for listener in listeners:
        listener.setblocking(False)
    worker = Worker(1, os.getpid(), given, _App(), 30, config, log)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            worker.pid = os.getpid()
            worker.init_process()
            code = 0
        finally:
            os._exit(code)
    worker.tmp.close()
    watchdog = threading.Timer(30, os.kill, (pid, signal.SIGKILL))
    watchdog.start()
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGTERM)
        _, status = os.waitpid(pid, 0)
        watchdog.cancel()
    assert os.waitstatus_to_exitcode(status) == 0


def _listener() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)


def _client(listener: socket.socket) -> socket.socket:
    return socket.create_connection(listener.getsockname(), timeout=20)


def _answered(client: socket.socket, pid: int) -> bool:
    text = client.recv(65536)
    return text.startswith(b"HTTP/1.1 200 OK\r\n") and text.endswith(b"\r\n\r\n%d" % pid)


def test_a_worker_answers_on_every_socket_that_it_was_given() -> None:
    """It exits after a signal."""
    with _listener() as first, _listener() as second, _worker(first, second) as pid:
        for listener in (first, second):
            with _client(listener) as client:
                client.sendall(REQUEST)
                assert _answered(client, pid)


def test_clients_connected_before_the_stop_are_answered() -> None:
    """Twenty connections are still in the kernel's queue when the signal arrives. They are accepted and answered."""
    with _listener() as listener, contextlib.ExitStack() as stack, _worker(listener) as pid:
        with _client(listener) as client:
            client.sendall(REQUEST)
            assert _answered(client, pid)
        os.kill(pid, signal.SIGSTOP)
        clients = [stack.enter_context(_client(listener)) for _ in range(20)]
        for client in clients:
            client.sendall(REQUEST)
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGCONT)
        assert all(_answered(client, pid) for client in clients)


def test_a_stopping_worker_waits_for_its_answers_and_closes_what_is_idle() -> None:
    """The slow request is answered. The connection without a request is closed after two seconds."""
    with _listener() as listener, _worker(listener) as pid, _client(listener) as idle, _client(listener) as slow:
        slow.sendall(REQUEST.replace(b"/ ", b"/slow "))
        time.sleep(0.2)
        start = time.monotonic()
        os.kill(pid, signal.SIGTERM)
        assert _answered(slow, pid)
        assert idle.recv(100) == b""
        assert 1.5 < time.monotonic() - start < 9


@pytest.mark.parametrize(("number", "stop_seconds"), [(signal.SIGQUIT, 20), (signal.SIGINT, 20), (signal.SIGTERM, 1)])
def test_a_worker_ends_at_once_after_sigquit_or_sigint(number: signal.Signals, stop_seconds: int) -> None:
    """SIGQUIT and SIGINT end it at once, SIGTERM after the graceful timeout."""
    with _listener() as listener, _client(listener) as client:
        start = time.monotonic()
        with _worker(listener, stop_seconds=stop_seconds) as pid:
            client.sendall(REQUEST)
            assert _answered(client, pid)
            client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
            os.kill(pid, number)
        assert time.monotonic() - start < 10


def test_a_worker_accepts_a_few_connections_at_a_time() -> None:
    """It leaves the other connections of a burst to idle workers. The kernel's queue stays as long as configured."""
    most = 60
    with _listener() as listener, contextlib.ExitStack() as stack, _worker(listener) as pid:
        with _client(listener) as client:
            client.sendall(REQUEST)
            assert _answered(client, pid)
        reported = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)  # of a listener, its backlog (tcp(7))
        assert reported[28:32] == BACKLOG.to_bytes(4, sys.byteorder)
        os.kill(pid, signal.SIGSTOP)
        for _ in range(most):
            stack.enter_context(_client(listener)).sendall(REQUEST.replace(b"/ ", b"/busy "))
        assert _waiting(listener) == most
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.3)  # the worker is busy with the first, for 0.2 s of it or more
        assert 0 < _waiting(listener) < most


def _waiting(listener: socket.socket) -> int:
    """How many connections wait in the kernel's queue."""
    reported = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return int.from_bytes(reported[24:28], sys.byteorder)
