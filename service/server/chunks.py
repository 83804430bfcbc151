"""The chunked coding of a body: section 7.1 of RFC 9112, read by ourselves."""

import re
from collections.abc import Callable

from service.problems import BAD_REQUEST, Refusal

_LONGEST_SIZE = 16  # digits of the size of a chunk
_DIGITS = re.compile(rb"[0-9A-Fa-f]*")
_TEXT = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")  # of an extension, or of the value of a trailer
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]*")  # of a trailer
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[\t\x20-\x7e\x80-\xff]*+)?\r\n")
_SMALL = b"|".join(rb"(?<=%x\r\n).{%d}" % (size, size) for size in range(1, 16))  # behind a size of one digit
_SMALL_CHUNK = re.compile(rb"(?is)0{0,15}+[1-9a-f]\r\n(" + _SMALL + rb")\r\n")
_SMALL_CHUNKS = re.compile(rb"(?is)(?:0{0,15}+[1-9a-f]\r\n(?:" + _SMALL + rb")\r\n)++")
_TRAILERS = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]++:[\t\x20-\x7e\x80-\xff]*+\r\n)+")
_CR, _LF, _SEMICOLON, _COLON = b"\r\n;:"


class ChunkReader:
    """Adds the content of chunks to a buffer, in whatever pieces they come. Extensions and trailers are passed over.

    Nothing is kept between two pieces but the digits of a size and what is expected next.
    """

    def __init__(self, content: bytearray) -> None:
        self.ended = False
        self._content = content
        self._digits = b""
        self._left = 0  # bytes of the chunk that are still to come
        self._expected: _Step = ChunkReader._size
        self._after_line: _Step = ChunkReader._size

    def feed(self, data: bytes) -> int:
        """Read up to the end of the body; return how many bytes belong to it. Raises Refusal where it is broken."""
        at = 0
        while at < len(data) and not self.ended:
            at = self._expected(self, data, at)
        return at

    # What can be expected. Each takes in what it can of `data` from `at` on, and returns where the next one goes on.

    def _size(self, data: bytes, at: int) -> int:
        if not self._digits:
            at = self._whole_chunks(data, at)
        end = _end(_DIGITS, data, at)
        self._digits += data[at : min(end, at + _LONGEST_SIZE + 1)]
        if len(self._digits) > _LONGEST_SIZE:
            raise _broken(f"a size has over {_LONGEST_SIZE} digits")
        if end == len(data):
            return end
        if not self._digits or data[end] not in (_CR, _SEMICOLON):
            raise _broken("a size must be hexadecimal digits, and a line of its own but for extensions")
        self._left, self._digits = int(self._digits, 16), b""
        self._after_line = ChunkReader._content_of_chunk if self._left else ChunkReader._trailer
        self._expected = ChunkReader._text
        return end

    def _whole_chunks(self, data: bytes, at: int) -> int:
        """Only for speed: chunks that are whole in `data`, but for the last one of the body.

        Runs of small ones are read by two expressions: one by one they would take 2 microseconds each, now a fifth.
        """
        content = self._content
        if run := _SMALL_CHUNKS.match(data, at):
            content += b"".join(_SMALL_CHUNK.findall(data, at, run.end()))
            at = run.end()
        while found := _SIZE_LINE.match(data, at):
            start = found.end()
            end = start + int(found[1], 16)
            if end == start or data[end : end + 2] != b"\r\n":
                break
            content += data[start:end]
            at = end + 2
        return at

    def _text(self, data: bytes, at: int) -> int:
        """The rest of a line, whatever it says."""
        end = _end(_TEXT, data, at)
        if end < len(data):
            self._expected = ChunkReader._carriage_return
        return end

    def _carriage_return(self, data: bytes, at: int) -> int:
        if data[at] != _CR:
            raise _broken("a line must end with CR LF, and have no control characters")
        self._expected = ChunkReader._line_feed
        return at + 1

    def _line_feed(self, data: bytes, at: int) -> int:
        if data[at] != _LF:
            raise _broken("behind CR there must be LF")
        self._expected = self._after_line
        return at + 1

    def _content_of_chunk(self, data: bytes, at: int) -> int:
        piece = data[at : at + self._left]
        self._content += piece
        self._left -= len(piece)
        if not self._left:
            self._expected = ChunkReader._end_of_chunk
        return at + len(piece)

    def _end_of_chunk(self, data: bytes, at: int) -> int:
        if data[at] != _CR:
            raise _broken("a chunk is longer than its size")
        self._after_line = ChunkReader._size
        self._expected = ChunkReader._line_feed
        return at + 1

    def _trailer(self, data: bytes, at: int) -> int:
        """A line behind the last chunk. An empty one is the end of the body."""
        if found := _TRAILERS.match(data, at):
            return found.end()
        if data[at] == _CR:
            self._expected = ChunkReader._last_line_feed
            return at + 1
        if _end(_NAME, data, at) == at:
            raise _broken("a trailer has no name")
        self._expected = ChunkReader._name
        return at

    def _name(self, data: bytes, at: int) -> int:
        end = _end(_NAME, data, at)
        if end < len(data):
            if data[end] != _COLON:
                raise _broken("behind the name of a trailer there must be a colon")
            self._after_line = ChunkReader._trailer
            self._expected = ChunkReader._text
        return end

    def _last_line_feed(self, data: bytes, at: int) -> int:
        at = self._line_feed(data, at)
        self.ended = True
        return at


_Step = Callable[[ChunkReader, bytes, int], int]  # not bound: a reader that held its own methods would be a circle


def _end(pattern: "re.Pattern[bytes]", data: bytes, at: int) -> int:
    """Where the longest piece of `data` from `at` on ends that is of the pattern."""
    found = pattern.match(data, at)
    return found.end() if found else at


def _broken(why: str) -> Refusal:
    return Refusal(BAD_REQUEST, f"the chunks of the body cannot be read: {why}")
