"""The body of a request as it comes over a connection: by its length, or in chunks."""

from collections import deque
from typing import Protocol

from service.problems import BAD_REQUEST, Refusal
from service.server.chunks import ChunkReader

_PIECE = 256 * 1024  # bytes of a body that are read at a time
_CHUNKS = 16 * 1024  # bytes of chunks that are read at a time: the worst, with extensions, take 5 ms of the event loop
_FRAMING = 16  # bytes on the wire for each byte of the body; a chunk of one byte has 6
_SPARE = 64 * 1024  # bytes of framing that every chunked body may have beyond that, such as trailers


class Incoming(Protocol):
    """A body on its way."""

    ended: bool  # no more of it comes

    @property
    def held(self) -> int:
        """The bytes that have come and were not taken yet."""

    @property
    def room(self) -> int:
        """How many bytes to read from the connection next."""

    def feed(self, data: bytes) -> int:
        """Take in what belongs to the body; return how many bytes that is. Raises Refusal where it is broken."""

    def take(self) -> bytes:
        """Hand over what has come."""


class BodyOfLength:
    """A body of so many bytes; its pieces are handed on as they were read."""

    def __init__(self, length: int) -> None:
        self._left = length
        self._pieces: deque[bytes] = deque()
        self.ended = length == 0
        self.held = 0

    @property
    def room(self) -> int:
        """Never more than is left, so that nothing is read of the next request."""
        return min(self._left, _PIECE)

    def feed(self, data: bytes) -> int:
        """Take in a piece, uncopied where all of it belongs to the body."""
        piece = data if len(data) <= self._left else data[: self._left]
        self._pieces.append(piece)
        self.held += len(piece)
        self._left -= len(piece)
        self.ended = self._left == 0
        return len(piece)

    def take(self) -> bytes:
        """The oldest piece."""
        piece = self._pieces.popleft() if self._pieces else b""
        self.held -= len(piece)
        return piece


class ChunkedBody:
    """A chunked body, in one buffer whatever the size of its chunks. Its extensions and trailers are passed over."""

    def __init__(self) -> None:
        self._content = bytearray()
        self._reader = ChunkReader(self._content)
        self._received = self._taken = 0
        self.ended = False

    @property
    def held(self) -> int:
        """The bytes in the buffer."""
        return len(self._content)

    @property
    def room(self) -> int:
        """A share of the loop's time: each chunk costs some, however small it is."""
        return _CHUNKS

    def feed(self, data: bytes) -> int:
        """Read chunks up to the end of the body. Raises Refusal where they are broken, or mostly framing."""
        used = self._reader.feed(data)
        self.ended = self._reader.ended
        self._received += used
        if self._received > _FRAMING * (self._taken + self.held) + _SPARE:
            raise Refusal(BAD_REQUEST, f"the chunks have over {_FRAMING} bytes of framing for each byte of the body")
        return used

    def take(self) -> bytes:
        """All that is in the buffer."""
        content = bytes(self._content)
        self._taken += len(content)
        self._content.clear()
        return content


def incoming_body(length: int | None, chunked: bool) -> Incoming:
    """The body that a head announces; one of length 0 where it announces none."""
    return ChunkedBody() if chunked else BodyOfLength(length or 0)
