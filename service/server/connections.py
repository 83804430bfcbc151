"""The open connections of one worker: read timeouts, and which connection is closed when there are too many."""

import asyncio
import math
from collections.abc import Callable
from typing import Protocol

from service.configuration.settings import Settings
from service.server.front import Front

_BUFFER = 256 * 1024  # bytes read from a socket at a time
_ROUND = 4 * 2**20  # bytes of bodies read in one iteration of the loop; the budget counts them in the next one
_LEAST = 4 * 1024  # bytes that a client may send even if those of the iteration are used up
SMALL = 4 * 1024  # bytes of a head or of pipelined requests that each client may have without being counted
_KEPT = 4 * 2**20  # bytes for all larger heads and pipelined requests together
_FLUSH = 10.0  # seconds that a client has to read the rest of an answer when its connection is closed
_LINGER = 2.0  # seconds that a client has to close its side after that


class Client(Protocol):
    """The methods that `Connections` needs of a connection."""

    def give_up(self) -> None:
        """Close the connection: the client has sent nothing for too long."""

    def is_idle(self) -> bool:
        """Whether no byte of a request has arrived yet."""


class Connections:
    """Counts the connections, closes those that time out, and makes room when there are too many.

    `_waiting` holds the connections whose client has to send something, the longest silent first. Only these are
    closed to make room, never a connection whose request is computed or whose answer is being sent.

    The memory budget counts bodies and answers. This class bounds the rest: large heads and pipelined requests.
    """

    def __init__(self, front: Front, settings: Settings, draining: Callable[[], bool]) -> None:
        self.front = front
        self.draining = draining
        self.buffer = bytearray(_BUFFER)  # shared: each read is copied out of it before the next read
        self.view = memoryview(self.buffer)
        self._most = settings.connections
        self._idle_seconds, self._head_seconds = settings.keepalive_seconds, settings.read_seconds
        self._open: set[Client] = set()
        self._waiting: dict[Client, float] = {}  # deadlines
        self._closing: dict[Client, float] = {}
        self._kept: dict[Client, int] = {}  # bytes kept for a client, if more than SMALL
        self._kept_in_all = 0
        self._round = 0  # bytes of bodies read in this iteration of the loop

    def __len__(self) -> int:
        return len(self._open)

    def add(self, client: Client) -> None:
        """Wait for a new connection's first request. If there are too many connections, close the longest silent."""
        self._open.add(client)
        self.expect_request(client)
        if len(self._open) > self._most:
            oldest = next(iter(self._waiting))
            self.remove(oldest)
            oldest.give_up()

    def keep(self, client: Client, size: int) -> bool:
        """Count `size` bytes as kept for a client. False, without counting them, if there is no room.

        To make room, close the longest silent of the connections that have a large head.
        """
        self._count(client, 0)
        while size > SMALL and self._kept_in_all + size > _KEPT:
            oldest = next((other for other in self._waiting if other in self._kept), None)
            if oldest is None:
                return False
            self.remove(oldest)
            oldest.give_up()
        self._count(client, size)
        return True

    def _count(self, client: Client, size: int) -> None:
        self._kept_in_all -= self._kept.pop(client, 0)
        if size > SMALL:
            self._kept[client] = size
            self._kept_in_all += size

    @property
    def round_left(self) -> int:
        """How many bytes of a body may be read now."""
        return max(_LEAST, _ROUND - self._round)

    def count_read(self, size: int) -> None:
        """Count bytes of a body that were read in this iteration of the loop."""
        if not self._round:
            asyncio.get_running_loop().call_soon(self._next_round)
        self._round += size

    def _next_round(self) -> None:
        self._round = 0

    def remove(self, client: Client) -> None:
        """Forget a closed connection."""
        self._count(client, 0)
        self._open.discard(client)
        self._waiting.pop(client, None)
        self._closing.pop(client, None)

    def head_deadline(self) -> float:
        """The time by which a head that begins now must be complete."""
        return _now() + self._head_seconds

    def expect_request(self, client: Client) -> None:
        """Wait for a new request."""
        self.expect(client, _now() + self._idle_seconds)

    def expect(self, client: Client, until: float = math.inf) -> None:
        """Wait for the rest of a head until `until`; without a time, for a body, whose timeout is the front's."""
        self._waiting.pop(client, None)  # moves it to the end of the order
        self._waiting[client] = until

    def serve(self, client: Client) -> None:
        """Wait no longer for this client: its request is complete, and we have to answer."""
        self._waiting.pop(client, None)

    def close(self, client: Client, unsent: int) -> None:
        """Wait until the client has read the rest of its answer and closed its side."""
        self._waiting.pop(client, None)
        if unsent:
            self._closing[client] = _now() + _FLUSH
        else:
            self._waiting[client] = _now() + _LINGER

    def close_late(self) -> None:
        """Close the connections that have timed out. The worker calls this several times a second."""
        now = _now()
        for clients in (self._waiting, self._closing):
            for client in [client for client, until in clients.items() if until < now]:
                client.give_up()

    def close_idle(self) -> None:
        """Close the connections on which no byte of a request has arrived."""
        for client in [client for client in self._waiting if client.is_idle()]:
            client.give_up()


def _now() -> float:
    return asyncio.get_running_loop().time()
