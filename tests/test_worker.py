"""The worker's own loop, where what has to be seen happens between two of its turns."""

import asyncio
import contextlib
import os
import socket
import sys
from types import SimpleNamespace

import pytest

from service import worker as module
from service.worker import Connection, Worker

BACKLOG = 64  # connections that may wait to be accepted


class _Greeter(asyncio.Protocol):
    """Says something to everybody who is let in."""

    greeted = 0

    def __init__(self, worker: Worker) -> None:
        pass

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        _Greeter.greeted += 1
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"welcome")
        transport.close()


def _worker(listener: socket.socket) -> Worker:
    worker: Worker = object.__new__(Worker)
    worker.loop = asyncio.get_running_loop()
    worker.sockets = [SimpleNamespace(sock=listener)]
    worker.servers = []
    worker.nr_conns = 0
    worker.idle = {}
    worker.notify = lambda: None
    worker.cfg = SimpleNamespace(graceful_timeout=1, backlog=BACKLOG)
    worker.alive, worker.ppid, worker.age, worker._quick_shutdown = True, os.getppid(), 1, False
    worker.shared = SimpleNamespace(come=lambda age: None, go=lambda pid: None)
    return worker


async def _stopping_worker(listener: socket.socket) -> Worker:
    worker = _worker(listener)
    worker.servers = [await worker.loop.create_server(lambda: _Greeter(worker), sock=listener)]
    return worker


@pytest.mark.parametrize("accepted", [True, False], ids=["just accepted", "not accepted yet"])
def test_who_has_connected_before_the_stop_is_let_in(accepted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also who was accepted in the very turn of the loop in which the worker stops: asyncio alone would drop those."""
    monkeypatch.setattr(module, "Connection", _Greeter)

    async def connect_and_stop() -> bytes:
        loop = asyncio.get_running_loop()
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        worker = await _stopping_worker(listener)
        with socket.create_connection(listener.getsockname(), timeout=10) as client:
            if accepted:  # what the loop calls when the listener has somebody
                loop._selector.get_key(listener).data[0]._run()  # type: ignore[attr-defined]
            await worker._shutdown()
            client.setblocking(False)
            async with asyncio.timeout(10):
                return await loop.sock_recv(client, 100)

    assert asyncio.run(connect_and_stop()) == b"welcome"


def test_a_worker_takes_one_connection_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many that come at once it leaves the others to whoever is free; and as many as before may wait for that."""
    monkeypatch.setattr(module, "Connection", _Greeter)
    most = 5
    made: list[int] = []

    async def take_all() -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as listener, contextlib.ExitStack() as stack:
            for _ in range(most):
                stack.enter_context(socket.create_connection(listener.getsockname(), timeout=10))
            listener.setblocking(False)
            worker = _worker(listener)
            serving = asyncio.create_task(worker._serve())
            while sum(made) < most:
                before = _Greeter.greeted
                await asyncio.sleep(0)
                made.append(_Greeter.greeted - before)
            told = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)  # of a listener, its backlog (tcp(7))
            assert told[28:32] == BACKLOG.to_bytes(4, sys.byteorder)
            worker.handle_exit_signal()
            await serving

    asyncio.run(asyncio.wait_for(take_all(), 10))
    assert max(made) <= 2  # asyncio of later Pythons accepts one more than it is told


@pytest.mark.parametrize("full", [True, False])
def test_a_piece_of_a_body_that_finds_no_room_is_the_last_for_now(full: bool) -> None:
    """It goes on when the pieces before it have been taken: a body that nobody reads is not collected."""
    taken: list[bytes] = []
    paused: list[bool] = []
    connection: Connection = object.__new__(Connection)
    connection._callback_parser = SimpleNamespace(_state="body", _body_remaining=10)
    connection._reading_paused = False
    connection._on_body = taken.append
    connection._is_buffer_full = lambda: full
    connection._pause_reading = lambda: paused.append(True)
    connection.data_received(b"12345")
    assert taken == [b"12345"]
    assert connection._callback_parser._body_remaining == 5
    assert bool(paused) == full
