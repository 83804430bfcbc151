"""The worker's own loop, where what has to be seen happens between two of its turns."""

import asyncio
import socket
from types import SimpleNamespace

import pytest

from service import worker as module
from service.worker import Connection, Worker


class _Greeter(asyncio.Protocol):
    """Says something to everybody who is let in."""

    def __init__(self, worker: Worker) -> None:
        pass

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"welcome")
        transport.close()


async def _stopping_worker(listener: socket.socket) -> Worker:
    worker: Worker = object.__new__(Worker)
    worker.loop = asyncio.get_running_loop()
    worker.sockets = [SimpleNamespace(sock=listener)]
    worker.servers = [await worker.loop.create_server(lambda: _Greeter(worker), sock=listener)]
    worker.nr_conns = 0
    worker.idle = {}
    worker.notify = lambda: None
    worker.cfg = SimpleNamespace(graceful_timeout=1)
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
