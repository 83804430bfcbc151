"""The body of a request, taken in whole before anything is computed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from service.api.body import over_limit
from service.problems import BAD_REQUEST, Refusal
from service.server.environ import RECEIVED_BYTES, Environ

_SMALL = 16 * 1024  # bytes of a piece that is not kept as an object of its own
_DROPPED = 8  # times the limit of a body: a client still sending would see a broken connection instead of the refusal
_DROP_SECONDS = 10.0

Receive = Callable[[], Awaitable[dict[str, Any]]]


class ClientGone(Exception):
    """Nobody waits for the answer."""


class Sender(Protocol):
    """What is asked of the connection that a body comes by."""

    cut_short: bool  # the client has ended its side within the body


class Account(Protocol):
    """Counts the bytes that are held. Raises Refusal where there is no room for them."""

    def take_in(self, size: int) -> None: ...


class Pieces:
    """Bytes that come in pieces: large ones are kept as they are, small ones are put together."""

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
        """All of them. Nothing is copied where there is one large piece."""
        return (
            self._pieces[0] if len(self._pieces) == 1 and isinstance(self._pieces[0], bytes) else b"".join(self._pieces)
        )


class RequestBody:
    """The body of one request, as it comes."""

    def __init__(self, receive: Receive, environ: Environ, sender: Sender, limit: int) -> None:
        self._receive, self._environ, self._sender, self._limit = receive, environ, sender, limit
        announced = environ.get("CONTENT_LENGTH")
        self.announced = None if announced is None else int(announced)
        self.ended = not self.announced and "HTTP_TRANSFER_ENCODING" not in environ
        self._expected = "HTTP_EXPECT" in environ  # the client waits to be asked for the body
        self._dropped = 0

    async def read(self, account: Account) -> bytes:
        """All of it. Raises Refusal where it is over the limit or cut short, ClientGone where nobody is left."""
        if self.announced is not None and self.announced > self._limit:
            raise over_limit(self.announced, self._limit)
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
        """Take in what a refused client still sends, within bounds, and keep nothing: it then reads the answer."""
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
