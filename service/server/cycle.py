"""One request and its answer on a connection, with `receive` and `send` as in ASGI."""

import asyncio
import time
from typing import Any, Protocol

from service.problems import Refusal
from service.server.incoming import incoming_body
from service.server.request_head import Head
from service.server.response_head import response_head

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_MOST_BUFFERED = 4 * 1024  # bytes of a body that are buffered before the front awaits the body; then reading pauses
_JOINED = 64 * 1024  # bytes of a body that are sent in one piece with the head


class Wire(Protocol):
    """The methods that a cycle needs of its connection."""

    gone: asyncio.Event

    def write(self, data: bytes | memoryview) -> None: ...

    async def drain(self) -> None: ...

    def read_on(self) -> None: ...

    def is_last(self) -> bool: ...

    def forget_head(self) -> None: ...


class Cycle:
    """Receives the body of one request and sends its answer."""

    def __init__(self, head: Head, wire: Wire) -> None:
        self.head = head
        self.body = incoming_body(head.length, head.chunked)
        self.keep_alive = head.keep_alive and not (head.chunked and head.version == "1.0")  # section 6.1 of RFC 9112
        self.started = self.answered = False
        self._wire = wire
        self._expects = head.expects_continue and head.version == "1.1" and not self.body.ended
        self._broken: Refusal | None = None
        self._arrival: asyncio.Future[None] | None = None
        self._asked = False  # the front awaits the body, or is about to take the bytes that have arrived
        self._late = False  # the client has taken too long to send the body
        self._status = 0
        self._headers: list[tuple[str, str]] = []

    @property
    def full(self) -> bool:
        """Whether the buffer of the body is full. The memory budget counts only bytes that the front has taken."""
        return not self._asked and self.body.buffered >= _MOST_BUFFERED

    @property
    def room(self) -> int:
        """How many bytes of the body may be read next."""
        return self.body.room if self._asked else min(self.body.room, _MOST_BUFFERED)

    def feed(self, data: bytes) -> int:
        """Append data to the body; return how many bytes belong to it."""
        self._expects = False
        try:
            used = self.body.feed(data)
        except Refusal as refusal:
            self._broken = refusal
            self.end()
            used = len(data)
        self.wake()
        return used

    def end(self) -> None:
        """End the body here, and take no further request on this connection."""
        self.body.ended = True
        self.keep_alive = False
        self.wake()

    def give_up(self) -> None:
        """Let `receive` raise TimeoutError from now on."""
        self._late = True
        self.wake()

    def wake(self) -> None:
        """Wake `receive` if it waits."""
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    async def receive(self) -> dict[str, Any]:
        """The next piece of the body, as in ASGI. Raises Refusal if it cannot be read, TimeoutError after `give_up`."""
        body, gone = self.body, self._wire.gone
        if self._expects:
            self._expects = False
            self._wire.write(CONTINUE)
        while not (body.buffered or body.ended or gone.is_set() or self._late):
            self._asked = True
            self._arrival = asyncio.get_running_loop().create_future()
            await self._arrival
        if self._broken is not None and not self.started:
            raise self._broken
        if gone.is_set() or self._broken is not None:
            return {"type": "http.disconnect"}
        if self._late:
            raise TimeoutError
        piece = body.take()
        self._asked = False
        self._wire.read_on()  # also after the end of the body: else a client that closes would not be noticed
        return {"type": "http.request", "body": piece, "more_body": not body.ended or body.buffered > 0}

    async def send(self, message: dict[str, Any]) -> None:
        """Send a part of the answer, as in ASGI; wait while the client does not read (backpressure)."""
        if message["type"] == "http.response.start":
            self._begin(message["status"], message["headers"])
            return
        more = message.get("more_body", False)
        body = b"" if self.head.method == "HEAD" else message.get("body", b"")
        if not self.started:
            self._send_first(body, None if more else len(body))
        elif body:
            self._wire.write(body)
        self.answered = not more
        await self._wire.drain()

    def answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """Send a small answer at once."""
        self._begin(status, headers)
        self._send_first(b"" if self.head.method == "HEAD" else body, len(body))
        self.answered = True

    def _begin(self, status: int, headers: list[tuple[str, str]]) -> None:
        self._status, self._headers = status, headers
        if ("Connection", "close") in headers:
            self.keep_alive = False

    def _send_first(self, body: bytes | memoryview, length: int | None) -> None:
        """Send the head with the first part of the body."""
        self.started = True
        if self._expects or self._wire.is_last():  # a client that waits for 100 may still send the body, or may not
            self.keep_alive = False
        connection = ("keep-alive" if self.head.version == "1.0" else "") if self.keep_alive else "close"
        version = self.head.version or "1.1"
        head = response_head(version, self._status, self._headers, time.time(), length, connection)
        self._wire.forget_head()
        if len(body) <= _JOINED:
            self._wire.write(b"".join((head, body)))
        else:
            self._wire.write(head)
            self._wire.write(body)
