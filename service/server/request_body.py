"""Receives the whole body of a request before anything is computed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from service.api.body import over_limit
from service.problems import BAD_REQUEST, Refusal
from service.resources.handover import RECEIVED_BYTES
from service.server.environ import Environ

_SMALL = 16 * 1024  # bytes; smaller pieces are joined
_DROPPED = 8  # times the body limit that are read and dropped: a client still sending would get a reset, no refusal
_DROP_SECONDS = 10.0

Receive = Callable[[], Awaitable[dict[str, Any]]]


class ClientGone(Exception):
    """The client has closed its connection."""


class Sender(Protocol):
    """The connection that sends a body."""

    cut_short: bool  # the client has closed its sending side within the body


class Account(Protocol):
    """Counts received bytes. Raises Refusal if there is no memory for them."""

    def take_in(self, size: int) -> None: ...


class Pieces:
    """Bytes that arrive in pieces: large pieces are kept as they are, small pieces are joined."""

    def __init__(self) -> None:
        self.size = 0
        self._pieces: list[bytes | bytearray] = []

    def add(self, piece: bytes) -> None:
        """Add a piece at the end."""
        self.size += len(piece)
        last = self._pieces[-1] if self._pieces else b""
        if len(piece) >= _SMALL:
            self._pieces.append(piece)
        elif isinstance(last, bytearray):
            last += piece
        else:
            self._pieces.append(bytearray(piece))

    def joined(self) -> bytes:
        """All bytes, without a copy if there is only one large piece."""
        return (
            self._pieces[0] if len(self._pieces) == 1 and isinstance(self._pieces[0], bytes) else b"".join(self._pieces)
        )


class RequestBody:
    """The body of one request, as it arrives."""

    def __init__(self, receive: Receive, environ: Environ, sender: Sender, limit: int) -> None:
        self._receive, self._environ, self._sender, self._limit = receive, environ, sender, limit
        announced = environ.get("CONTENT_LENGTH")
        self.announced = None if announced is None else int(announced)
        self.ended = not self.announced and "HTTP_TRANSFER_ENCODING" not in environ
        self._expected = "HTTP_EXPECT" in environ  # the client waits for 100 (Continue) before it sends the body
        self._dropped = 0

    async def read(self, account: Account) -> bytes:
        """Receive the whole body. Raises Refusal if it is over the limit or cut short, ClientGone on a disconnect."""
        if self.announced is not None and self.announced > self._limit:
            raise over_limit(self.announced, self._limit, close=self.announced > _DROPPED * self._limit)
        pieces = Pieces()
        while not self.ended:
            piece = await self._next()
            pieces.add(piece)
            self._environ[RECEIVED_BYTES] = pieces.size
            if pieces.size > self._limit:
                raise over_limit(pieces.size, self._limit)
            account.take_in(len(piece))
        if self._sender.cut_short:
            of = "" if self.announced is None else f" of its {self.announced}"
            raise Refusal(BAD_REQUEST, f"the body ended after {pieces.size}{of} bytes")
        return pieces.joined()

    async def drop(self) -> None:
        """Read and drop what a refused client still sends, within bounds, so that the client reads the answer."""
        try:
            async with asyncio.timeout(_DROP_SECONDS):
                while not (self.ended or self._expected) and self._dropped < _DROPPED * self._limit:
                    self._dropped += len(await self._next())
        except (TimeoutError, ClientGone):
            self.ended = True

    async def _next(self) -> bytes:
        self._expected = False
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        self.ended = not message.get("more_body", False)
        return bytes(message.get("body", b""))
