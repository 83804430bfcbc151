"""The open connections of one worker: which of them owe us bytes, until when, and which one makes room for another."""

import asyncio
import math
from collections.abc import Callable
from typing import Protocol

from service.configuration.settings import Settings
from service.server.front import Front

_BUFFER = 256 * 1024  # bytes read from a socket at a time
_FLUSH = 10.0  # seconds that a client has to read the rest of an answer when its connection is closed
_LINGER = 2.0  # seconds that a client has to close its side after that


class Client(Protocol):
    """What is asked of a connection."""

    def give_up(self) -> None:
        """Close: the client has sent nothing for too long."""

    def is_idle(self) -> bool:
        """Whether nothing of a request has come yet."""


class Connections:
    """Counts the connections, closes those whose time is over, and makes room where there are too many.

    `waiting` are those whose client has to send something, the one longest silent first: the only ones that are closed
    to make room. A client whose request is computed, or who reads an answer, is not among them.
    """

    def __init__(self, front: Front, settings: Settings, draining: Callable[[], bool]) -> None:
        self.front = front
        self.draining = draining
        self.buffer = bytearray(_BUFFER)  # shared: what is read into it is taken out before anything else is read
        self.view = memoryview(self.buffer)
        self._most = settings.connections
        self._idle_seconds, self._head_seconds = settings.keepalive_seconds, settings.read_seconds
        self._open: set[Client] = set()
        self._waiting: dict[Client, float] = {}  # until when
        self._closing: dict[Client, float] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, client: Client) -> None:
        """Wait for a new connection's first request. If it is one too many, close the one silent for longest."""
        self._open.add(client)
        self.expect_request(client)
        if len(self._open) > self._most:
            oldest = next(iter(self._waiting))
            self.remove(oldest)
            oldest.give_up()

    def remove(self, client: Client) -> None:
        """Forget a connection that is closed."""
        self._open.discard(client)
        self._waiting.pop(client, None)
        self._closing.pop(client, None)

    def head_deadline(self) -> float:
        """Until when a head that begins now has to be whole."""
        return _now() + self._head_seconds

    def expect_request(self, client: Client) -> None:
        """Wait for a new request."""
        self.expect(client, _now() + self._idle_seconds)

    def expect(self, client: Client, until: float = math.inf) -> None:
        """Wait for the rest of a head; without a time, for the rest of a body, whose time the front watches."""
        self._waiting.pop(client, None)  # so that it goes to the end
        self._waiting[client] = until

    def serve(self, client: Client) -> None:
        """Nothing is expected of this client before it has its answer."""
        self._waiting.pop(client, None)

    def close(self, client: Client, unsent: int) -> None:
        """Wait for the client to read what is left of its answer, and to close its side."""
        self._waiting.pop(client, None)
        if unsent:
            self._closing[client] = _now() + _FLUSH
        else:
            self._waiting[client] = _now() + _LINGER

    def close_late(self) -> None:
        """Close the connections whose time is over. To be called every now and then."""
        now = _now()
        for clients in (self._waiting, self._closing):
            for client in [client for client, until in clients.items() if until < now]:
                client.give_up()

    def close_idle(self) -> None:
        """Close the connections from which nothing of a request has come."""
        for client in [client for client in self._waiting if client.is_idle()]:
            client.give_up()


def _now() -> float:
    return asyncio.get_running_loop().time()
