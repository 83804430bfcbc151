"""Bodies as they arrive, with a length or in chunks: exact ends, and no object for each chunk."""

import random
import time
import tracemalloc

import pytest
from httptools import HttpParserError, HttpRequestParser

from service.problems import BAD_REQUEST, Refusal
from service.server.incoming import BodyOfLength, ChunkedBody, Incoming, incoming_body

NEXT = b"GET / HTTP/1.1\r\n\r\n"


def _chunked(body: bytes, sizes: list[int], extension: bytes = b"", trailer: bytes = b"") -> bytes:
    parts = []
    at = 0
    for size in sizes:
        parts.append(b"%x%s\r\n%s\r\n" % (size, extension, body[at : at + size]))
        at += size
    assert at == len(body)
    return b"".join(parts) + b"0\r\n" + trailer + b"\r\n"


def _fed(body: Incoming, raw: bytes, step: int) -> tuple[bytes, bytes]:
    """The body, and the bytes behind it."""
    content = b""
    for at in range(0, len(raw), step):
        used = body.feed(raw[at : at + step])
        while body.buffered:
            content += body.take()
        if body.ended:
            return content, raw[at + used :]
    raise AssertionError("the body never ended")


@pytest.mark.parametrize("step", [1, 2, 3, 4, 7, 1000])
@pytest.mark.parametrize("trailer", [b"", b"X: y\r\n", b"X: y\r\nZ: \r\n"])
def test_a_chunked_body_ends_with_its_last_chunk(step: int, trailer: bytes) -> None:
    """Empty lines within the body do not end it, and the next request behind it is not read."""
    body = b"\r\n\r\n0\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n\r\n"
    raw = _chunked(body, [2, 2, 1, len(body) - 5], b";a=b", trailer)
    assert _fed(ChunkedBody(), raw + NEXT, step) == (body, NEXT)


def test_the_sizes_of_chunks_and_pieces_do_not_matter() -> None:
    """1,000 random bodies from a seed."""
    draw = random.Random(7)
    for _ in range(1000):
        sizes = [draw.choice((draw.randint(1, 9), draw.randint(1, 40))) for _ in range(draw.randint(0, 6))]
        body = bytes(draw.choices(b"\r\n0a", k=sum(sizes)))
        raw = _chunked(body, sizes)
        assert _fed(ChunkedBody(), raw + NEXT, draw.randint(1, len(raw) + len(NEXT))) == (body, NEXT)


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_a_body_with_a_content_length_ends_after_that_many_bytes(step: int) -> None:
    """The rest belongs to the next request. A body of length 0 has ended at once."""
    assert _fed(BodyOfLength(11), b"hello world" + NEXT, step) == (b"hello world", NEXT)
    assert incoming_body(None, False).ended
    assert incoming_body(0, False).ended


def test_no_more_is_read_than_a_body_has_left() -> None:
    """So the next request is not buffered while this one is answered."""
    body = BodyOfLength(300_000)
    assert body.room == 256 * 1024
    body.feed(bytes(299_995))
    assert body.room == 5


BROKEN = {
    "no size": b"\r\n",
    "no number": b"zz\r\n",
    "a sign": b"-1\r\n",
    "a prefix": b"0x5\r\n",
    "a space": b"5 \r\nhello\r\n",
    "20 digits": b"1" * 20 + b"\r\n",
    "LF behind a size": b"5\nhello\r\n",
    "CR behind a size": b"5\rhello\r\n",
    "too long a chunk": b"5\r\nhello!\r\n",
    "too long a chunk, and LF": b"5\r\nhello!\n0\r\n\r\n",
    "LF behind a chunk": b"5\r\nhello\n0\r\n\r\n",
    "CR behind a chunk": b"5\r\nhello\r0\r\n\r\n",
    "LF in an extension": b"5;a\nb\r\nhello\r\n",
    "CR in an extension": b"5;a\rb\r\nhello\r\n",
    "NUL in an extension": b"5;a\0b\r\nhello\r\n",
    "a trailer without a name": b"0\r\n: y\r\n\r\n",
    "a trailer without a colon": b"0\r\nX\r\n\r\n",
    "a trailer with a space in its name": b"0\r\nX : y\r\n\r\n",
    "a folded trailer": b"0\r\nX: y\r\n z\r\n\r\n",
    "LF in a trailer": b"0\r\nX: y\nZ: z\r\n\r\n",
    "no LF at the end": b"0\r\n\r\r",
}


@pytest.mark.parametrize("step", [1, 2, 3, 1000])
@pytest.mark.parametrize("kind", BROKEN)
def test_broken_chunks_are_refused(kind: str, step: int) -> None:
    """After an invalid chunk, the end of the body cannot be found."""
    with pytest.raises(Refusal) as caught:
        _fed(ChunkedBody(), BROKEN[kind], step)
    assert caught.value.problem is BAD_REQUEST
    assert caught.value.detail.startswith("the chunks of the body cannot be read: ")


class _Judge:
    """The result of httptools for chunks, fed byte by byte."""

    def __init__(self) -> None:
        self.ended = False
        self.content = b""

    def on_body(self, piece: bytes) -> None:
        self.content += piece

    def on_message_complete(self) -> None:
        self.ended = True

    def read(self, raw: bytes) -> tuple[bytes, bytes] | None:
        parser = HttpRequestParser(self)
        parser.feed_data(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        for at in range(len(raw)):
            try:
                parser.feed_data(raw[at : at + 1])
            except HttpParserError:
                return None
            if self.ended:
                return self.content, raw[at + 1 :]
        return None


def test_chunks_are_read_as_httptools_reads_them() -> None:
    """3,000 random bodies from a seed, without extensions. Two thirds have a byte changed, lost or added."""
    draw = random.Random(11)
    whole = 0
    for _ in range(3000):
        sizes = [draw.randint(1, 20) for _ in range(draw.randint(0, 4))]
        content = bytes(draw.choices(b"\r\n0a:", k=sum(sizes)))
        raw = bytearray(_chunked(content, sizes, trailer=draw.choice((b"", b"X: y\r\n", b"X:\r\nZ: a b\r\n"))))
        at = draw.randrange(len(raw))
        raw[at : at + draw.randint(0, 1)] = draw.choice((b"", b"", bytes([draw.choice(b"\r\n\t 01aF:-\x00\xff")])))
        expected = _Judge().read(bytes(raw) + NEXT)
        try:
            found = _fed(ChunkedBody(), bytes(raw) + NEXT, draw.choice((1, 2, 5, 1000)))
        except (Refusal, AssertionError):
            assert expected is None
        else:
            assert found == expected
            whole += 1
    assert 500 < whole < 2500


def _feed_for_ever(body: ChunkedBody, piece: bytes) -> None:
    for _ in range(1000):
        body.feed(piece)


@pytest.mark.parametrize("endless", [b"1;" + b"x" * 1000, b"0\r\n" + b"X: y\r\n" * 200], ids=["extension", "trailers"])
def test_endless_framing_without_content_is_refused(endless: bytes) -> None:
    """Endless extensions or trailers are refused after 64 kB, and none of their bytes are kept."""
    body = ChunkedBody()
    body.feed(endless)
    tracemalloc.start()
    try:
        with pytest.raises(Refusal) as caught:
            _feed_for_ever(body, b"X: y\r\n" * 100 if endless.startswith(b"0") else b"x" * 600)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "framing" in caught.value.detail
    assert peak < 64 * 1024


def test_chunks_of_one_byte_cost_little_memory_and_never_much_time_at_once() -> None:
    """300,000 chunks take at most three times the memory of their bytes. No single read takes a tenth of a second."""
    count = 300_000
    body = ChunkedBody()
    piece = b"1\r\nx\r\n" * (body.room // 6)
    longest, left = 0.0, count
    tracemalloc.start()
    try:
        while left > 0:
            part = piece[: 6 * left]
            start = time.thread_time()
            body.feed(part)
            longest = max(longest, time.thread_time() - start)
            left -= len(part) // 6
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert body.buffered == count
    assert peak < 3 * count
    assert longest < 0.1


def _seconds(head: bytes, piece: bytes) -> float:
    """The time to read a chunked body that repeats a piece: the minimum of twenty runs."""
    body = ChunkedBody()
    body.feed(head)
    piece *= body.room // len(piece)
    seconds = []
    for _ in range(20):
        start = time.thread_time()
        body.feed(piece)
        seconds.append(time.thread_time() - start)
    return min(seconds)


def test_the_content_of_a_chunk_is_not_parsed() -> None:
    """16 kB of empty lines, or of content that looks like chunks, are skipped at once; httptools takes 20 ms."""
    for piece in (b"\r\n\r\n", b"1\r\nx\r\n", b"0\r\n\r\n"):
        assert _seconds(b"100000\r\n", piece) < 0.001


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"", b"1\r\nx\r\n"),
        (b"", b"f\r\n0123456789abcde\r\n"),
        (b"", b"1;a\r\nx\r\n"),
        (b"", b"1;\r\nx\r\n01\r\nx\r\n"),
        (b"40000\r\n" + bytes(0x40000) + b"\r\n0\r\n", b"a:\r\n"),
    ],
    ids=["one byte", "15 bytes", "extensions", "both", "trailers"],
)
def test_one_read_of_chunks_takes_milliseconds(head: bytes, piece: bytes) -> None:
    """One read takes some milliseconds, for any chunks."""
    assert _seconds(head, piece) < 0.03
