"""Which connections are closed to make room for others, and which are closed by a timeout."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from service.configuration.settings import read_settings
from service.server.connections import Connections


class _Client:
    def __init__(self, idle: bool = True) -> None:
        self.given_up = 0
        self._idle = idle

    def give_up(self) -> None:
        """Count the calls."""
        self.given_up += 1

    def is_idle(self) -> bool:
        """Return what the test has set."""
        return self._idle


def _connections(most: int = 3, **seconds: float) -> Connections:
    settings = replace(read_settings(), connections=most, **seconds)  # type: ignore[arg-type]
    return Connections(None, settings, lambda: False)  # type: ignore[arg-type]  # no request is made


def _run(test: Callable[[], Awaitable[Any]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 30))  # type: ignore[arg-type]


def test_the_client_that_is_silent_for_the_longest_makes_room() -> None:
    """Only the time of its last bytes matters, whether it is idle or has sent a part of a head or body."""

    async def test() -> None:
        connections = _connections()
        idle, head, body = _Client(), _Client(idle=False), _Client(idle=False)
        for client in (head, body, idle):
            connections.add(client)
        connections.expect(body)
        connections.expect(head, time.monotonic() + 60)
        for expected in ([1, 0, 0], [1, 1, 0], [1, 1, 1]):
            connections.add(_Client())
            assert [idle.given_up, body.given_up, head.given_up] == expected
        assert len(connections) == 3

    _run(test)


def test_a_connection_being_served_is_not_closed_to_make_room() -> None:
    """If there are no other connections, the new one is closed."""

    async def test() -> None:
        connections = _connections()
        computed, reading, quick = _Client(), _Client(), _Client()
        for client in (computed, reading, quick):
            connections.add(client)
        connections.serve(computed)
        connections.close(reading, unsent=1)
        connections.serve(quick)
        newcomer = _Client()
        connections.add(newcomer)
        assert [computed.given_up, reading.given_up, quick.given_up, newcomer.given_up] == [0, 0, 0, 1]

    _run(test)


def test_a_connection_that_takes_too_long_is_closed() -> None:
    """Heads and idle connections have timeouts here; the front has the timeout of bodies."""

    async def test() -> None:
        connections = _connections(10, keepalive_seconds=0.2, read_seconds=0.05)
        idle, head, body, served = _Client(), _Client(), _Client(), _Client()
        for client in (idle, head, body, served):
            connections.add(client)
        connections.expect(head, connections.head_deadline())
        connections.expect(body)
        connections.serve(served)
        clients = (idle, head, body, served)
        connections.close_late()
        assert [client.given_up for client in clients] == [0, 0, 0, 0]
        await asyncio.sleep(0.1)
        connections.close_late()
        assert [client.given_up for client in clients] == [0, 1, 0, 0]
        await asyncio.sleep(0.15)
        connections.close_late()
        assert [client.given_up > 0 for client in clients] == [True, True, False, False]

    _run(test)


def test_only_idle_connections_are_closed_for_a_stop() -> None:
    """A request that has begun to arrive is still answered."""

    async def test() -> None:
        connections = _connections()
        idle, begun, served = _Client(), _Client(idle=False), _Client()
        for client in (idle, begun, served):
            connections.add(client)
        connections.serve(served)
        connections.close_idle()
        assert [idle.given_up, begun.given_up, served.given_up] == [1, 0, 0]

    _run(test)


def test_a_closed_connection_is_forgotten() -> None:
    """This holds in every state of the connection."""

    async def test() -> None:
        connections = _connections()
        client = _Client()
        connections.add(client)
        connections.close(client, unsent=5)
        connections.remove(client)
        connections.remove(client)
        assert len(connections) == 0

    _run(test)


_LARGE = 64 * 1024  # bytes of a head
_ROOM = 4 * 2**20  # bytes of all large heads


def test_the_client_silent_for_longest_makes_room_for_a_large_head() -> None:
    """Only connections with a large head are closed for this. There is room for 64 of them."""

    async def test() -> None:
        connections = _connections(1000)
        little, *large = (_Client() for _ in range(67))
        for client in (little, *large):
            connections.add(client)
        assert connections.keep(little, 4096)
        for client in large:
            assert connections.keep(client, _LARGE)
        given_up = [client.given_up for client in large]
        assert (sum(given_up), given_up[:3], little.given_up) == (2, [1, 1, 0], 0)
        assert _ROOM == 64 * _LARGE

    _run(test)


def test_a_large_head_gets_no_memory_while_all_others_are_being_served() -> None:
    """The result is False. There is room again once one of them is answered, has disconnected, or keeps less."""

    async def test() -> None:
        connections = _connections(1000)
        served = [_Client() for _ in range(64)]
        newcomer = _Client()
        for client in (*served, newcomer):
            connections.add(client)
        for client in served:
            assert connections.keep(client, _LARGE)
            connections.serve(client)
        assert not connections.keep(newcomer, _LARGE)
        assert connections.keep(newcomer, 4096)
        for free in (lambda: connections.remove(served[0]), lambda: connections.keep(served[1], 100)):
            free()
            assert connections.keep(newcomer, _LARGE)
            connections.keep(served[2], 0)
            connections.keep(served[2], _LARGE)
            assert sum(client.given_up for client in served) == 0
            connections.keep(newcomer, 0)

    _run(test)


def test_one_iteration_of_the_loop_reads_a_bounded_number_of_body_bytes() -> None:
    """The budget counts bodies only in the next round, and a thousand clients may send at once."""

    async def test() -> None:
        connections = _connections()
        assert connections.round_left == 4 * 2**20
        connections.count_read(3 * 2**20)
        assert connections.round_left == 2**20
        connections.count_read(2**20)
        assert connections.round_left == 4096  # nobody is shut out
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert connections.round_left == 4 * 2**20

    _run(test)
