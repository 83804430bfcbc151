"""Bodies as they come over a connection: by length and in chunks, to the byte, and without an object for each piece."""

import random
import time
import tracemalloc

import pytest

from service.incoming import BodyOfLength, ChunkedBody, Incoming, incoming_body
from service.problems import BAD_REQUEST, Refusal

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
    """The body and what stands behind it."""
    content = b""
    for at in range(0, len(raw), step):
        used = body.feed(raw[at : at + step])
        while body.held:
            content += body.take()
        if body.ended:
            return content, raw[at + used :]
    raise AssertionError("the body never ended")


@pytest.mark.parametrize("step", [1, 2, 3, 4, 7, 1000])
@pytest.mark.parametrize("trailer", [b"", b"X: y\r\n", b"X: y\r\nZ: \r\n"])
def test_a_chunked_body_ends_where_it_ends(step: int, trailer: bytes) -> None:
    """Also where it holds empty lines, which end other things; the next request behind it is left alone."""
    body = b"\r\n\r\n0\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n\r\n"
    raw = _chunked(body, [2, 2, 1, len(body) - 5], b";a=b", trailer)
    assert _fed(ChunkedBody(), raw + NEXT, step) == (body, NEXT)


def test_chunks_of_any_sizes_in_pieces_of_any_sizes_are_read_alike() -> None:
    """500 bodies drawn with a seed."""
    draw = random.Random(7)
    for _ in range(500):
        sizes = [draw.randint(1, 9) for _ in range(draw.randint(0, 6))]
        body = bytes(draw.choices(b"\r\n0a", k=sum(sizes)))
        raw = _chunked(body, sizes)
        assert _fed(ChunkedBody(), raw + NEXT, draw.randint(1, len(raw) + len(NEXT))) == (body, NEXT)


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_a_body_of_a_length_ends_where_it_ends(step: int) -> None:
    """The rest belongs to the next request; one of no length has ended."""
    assert _fed(BodyOfLength(11), b"hello world" + NEXT, step) == (b"hello world", NEXT)
    assert incoming_body(None, False).ended
    assert incoming_body(0, False).ended


def test_no_more_is_read_than_a_body_has_left() -> None:
    """So that nothing of the next request is kept while this one is answered."""
    body = BodyOfLength(300_000)
    assert body.room == 256 * 1024
    body.feed(bytes(299_995))
    assert body.room == 5


@pytest.mark.parametrize(
    "raw", [b"zz\r\n", b"5\r\nhello!\r\n", b"-1\r\n", b"5\n", b"0x5\r\n", b"\r\n", b"1" * 20 + b"\r\n"]
)
def test_broken_chunks_are_refused(raw: bytes) -> None:
    """Whatever follows could not be told from them."""
    with pytest.raises(Refusal) as caught:
        ChunkedBody().feed(raw)
    assert caught.value.problem is BAD_REQUEST
    assert caught.value.detail.startswith("the chunks of the body cannot be read: ")


def _feed_for_ever(body: ChunkedBody, piece: bytes) -> None:
    for _ in range(1000):
        body.feed(piece)


@pytest.mark.parametrize("endless", [b"1;" + b"x" * 1000, b"0\r\n" + b"X: y\r\n" * 200], ids=["extension", "trailers"])
def test_framing_without_a_body_is_not_read_for_ever(endless: bytes) -> None:
    """An extension, or trailers, that never end are refused after 64 kB, and nothing of them is kept."""
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
    """300,000 of them: at most three times their bytes, and no piece of the reading takes a tenth of a second."""
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
    assert body.held == count
    assert peak < 3 * count
    assert longest < 0.1


def test_one_read_of_chunks_takes_the_loop_a_moment() -> None:
    """Of the worst: chunks full of empty lines, each of which could end the body."""
    body = ChunkedBody()
    body.feed(b"100000\r\n")
    piece = b"\r\n\r\n" * (body.room // 4)
    seconds = []
    for _ in range(5):
        start = time.process_time()
        body.feed(piece)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.05
    assert body.held == 5 * len(piece)
