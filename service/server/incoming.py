"""The body of a request as it arrives on a connection: with a Content-Length, or chunked."""

from collections import deque
from typing import Protocol

from service.problems import BAD_REQUEST, Refusal
from service.server.chunks import ChunkReader

_PIECE = 256 * 1024  # bytes of a body that are read at a time
_CHUNKS = 16 * 1024  # bytes of chunks that are read at a time: the worst, with extensions, take 5 ms of the event loop
_FRAMING = 16  # the most bytes on the wire for each byte of the body; a chunk of one byte has 6
_SPARE = 64 * 1024  # bytes on the wire that every chunked body may have beyond that, for trailers


class Incoming(Protocol):
    """A body that is arriving."""

    ended: bool  # no further bytes are expected

    @property
    def buffered(self) -> int:
        """The number of buffered bytes: arrived, but not taken yet."""

    @property
    def room(self) -> int:
        """How many bytes to read from the connection next."""

    def feed(self, data: bytes) -> int:
        """Append data to the body; return how many bytes belong to it. Raises Refusal if the data is invalid."""

    def take(self) -> bytes:
        """Remove bytes from the buffer, and return them."""


class BodyOfLength:
    """A body with a known length; its pieces are passed on as they were read."""

    def __init__(self, length: int) -> None:
        self._left = length
        self._pieces: deque[bytes] = deque()
        self.ended = length == 0
        self.buffered = 0

    @property
    def room(self) -> int:
        """The bytes to read next: never more than are left, so that the next request is not read."""
        return min(self._left, _PIECE)

    def feed(self, data: bytes) -> int:
        """Append a piece, without a copy if all of it belongs to the body."""
        piece = data if len(data) <= self._left else data[: self._left]
        self._pieces.append(piece)
        self.buffered += len(piece)
        self._left -= len(piece)
        self.ended = self._left == 0
        return len(piece)

    def take(self) -> bytes:
        """Remove the oldest piece, and return it."""
        piece = self._pieces.popleft() if self._pieces else b""
        self.buffered -= len(piece)
        return piece


class ChunkedBody:
    """A chunked body: the content of its chunks in one buffer. Extensions and trailers are skipped."""

    def __init__(self) -> None:
        self._content = bytearray()
        self._reader = ChunkReader(self._content)
        self._received = self._taken = 0
        self.ended = False

    @property
    def buffered(self) -> int:
        """The number of bytes in the buffer."""
        return len(self._content)

    @property
    def room(self) -> int:
        """The bytes to read next: few, because even tiny chunks take the event loop's time."""
        return _CHUNKS

    def feed(self, data: bytes) -> int:
        """Parse chunks up to the end of the body. Raises Refusal if they are invalid or mostly framing."""
        used = self._reader.feed(data)
        self.ended = self._reader.ended
        self._received += used
        if self._received > _FRAMING * (self._taken + self.buffered) + _SPARE:
            raise Refusal(BAD_REQUEST, f"the chunks have over {_FRAMING} bytes of framing for each byte of the body")
        return used

    def take(self) -> bytes:
        """Empty the buffer, and return its content."""
        content = bytes(self._content)
        self._taken += len(content)
        self._content.clear()
        return content


def incoming_body(length: int | None, chunked: bool) -> Incoming:
    """The body that a head announces; a body of length 0 if it announces none."""
    return ChunkedBody() if chunked else BodyOfLength(length or 0)
