"""zstd and gzip: exact round trips, bombs are stopped, and broken streams are refused."""

import gzip
import io
import sys
import time
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.encoding.content_codings import CODINGS, BadCoding, TooMuch, expand

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MB = 2**20
each_coding = pytest.mark.parametrize("coding", CODINGS)


def bomb(coding: str, size: int) -> bytes:
    """Zeros, compressed as far as possible, without the memory of the zeros."""
    zeros = bytes(16 * MB)
    compressor = zlib.compressobj(9, wbits=31) if coding == "gzip" else zstd.ZstdCompressor(level=19)
    parts = [compressor.compress(zeros) for _ in range(size // len(zeros))]
    return b"".join([*parts, compressor.flush()])


@each_coding
@settings(max_examples=50, deadline=None)
@given(data=st.binary(max_size=5000), repeated=st.integers(1, 300))
def test_compressed_data_is_decompressed_to_the_original(coding: str, data: bytes, repeated: int) -> None:
    """With several slices and pieces."""
    whole = data * repeated
    assert expand(coding, CODINGS[coding].compress(whole), len(whole)) == whole


@each_coding
@pytest.mark.parametrize("size", [0, 1, MB - 1, MB, MB + 1, 5 * MB])
def test_output_up_to_exactly_the_limit_is_returned(coding: str, size: int) -> None:
    """Even if the limit is the end of a piece. One byte more is refused."""
    assert len(expand(coding, CODINGS[coding].compress(bytes(size)), size)) == size
    with pytest.raises(TooMuch):
        expand(coding, CODINGS[coding].compress(bytes(size + 1)), size)


@each_coding
def test_a_bomb_is_stopped_with_little_memory_and_time(coding: str) -> None:
    """256 MB within 256 kB of gzip, or within a few kB of zstd: no more is output than allowed.

    The time is that of the allowed 16 MB; expanding the whole bomb would take 16 times as long.
    """
    size = 256 * MB
    compressed = bomb(coding, size)
    assert len(compressed) < size / 900
    most = 8 * MB
    allowed = bomb(coding, 2 * most)
    yardstick = min(_seconds(lambda: expand(coding, allowed, 2 * most)) for _ in range(3))

    def refuse() -> None:
        with pytest.raises(TooMuch):
            expand(coding, compressed, most)

    assert min(_seconds(refuse) for _ in range(3)) < 4 * yardstick
    tracemalloc.start()
    try:
        refuse()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < most + 3 * MB


def _seconds(act: Callable[[], object]) -> float:
    """The CPU time that this thread takes for a call."""
    start = time.thread_time()
    act()
    return time.thread_time() - start


def test_a_stream_of_many_empty_parts_is_refused_at_once() -> None:
    """300,000 empty gzip members are refused at the second member."""
    member = gzip.compress(b"")
    stream = member * 300_000

    def refuse() -> None:
        with pytest.raises(BadCoding, match="bytes follow behind its end"):
            expand("gzip", stream, MB)

    assert _seconds(refuse) < _seconds(lambda: gzip.decompress(member * 30_000))


def test_a_window_that_takes_more_memory_than_the_output_is_refused() -> None:
    """A zstd frame can ask for a window of gigabytes; every decoder must support 8 MiB."""
    for log, fine in ((23, True), (27, False)):
        options = {zstd.CompressionParameter.window_log: log, zstd.CompressionParameter.content_size_flag: 0}
        buffer = io.BytesIO()
        with zstd.ZstdFile(buffer, "w", options=options) as file:
            file.write(b"x" * 1000)
        if fine:
            assert expand("zstd", buffer.getvalue(), MB) == b"x" * 1000
        else:
            with pytest.raises(BadCoding, match="too much memory"):
                expand("zstd", buffer.getvalue(), MB)


@each_coding
def test_a_stream_that_is_cut_short_is_refused_wherever_it_ends(coding: str) -> None:
    """At every byte, even if the received part is a complete document."""
    compressed = CODINGS[coding].compress(b"[1, 2, 3]")
    for length in range(len(compressed)):
        with pytest.raises(BadCoding, match=f"cut short after {length} bytes"):
            expand(coding, compressed[:length], MB)


@each_coding
@pytest.mark.parametrize("far", [False, True], ids=["soon", "slices later"])
def test_data_behind_the_end_of_a_stream_is_refused(coding: str, far: bool) -> None:
    """Garbage, zeros, another member or frame."""
    compressed = CODINGS[coding].compress(b"[1, 2, 3]")
    for behind in (b"\0", b"garbage", compressed):
        followed = behind * (100_000 if far else 1)
        with pytest.raises(BadCoding, match=f"^{len(followed)} bytes follow behind its end"):
            expand(coding, compressed + followed, MB)


@each_coding
def test_a_changed_byte_never_causes_another_exception(coding: str) -> None:
    """No other exception is raised, for any stream."""
    compressed = bytearray(CODINGS[coding].compress(b"[1, 2, 3]" * 50))
    refused = 0
    for at in range(len(compressed)):
        compressed[at] ^= 0x5A
        try:
            expand(coding, bytes(compressed), MB)
        except BadCoding:
            refused += 1
        compressed[at] ^= 0x5A
    assert refused > len(compressed) / 2


def test_the_checksum_of_gzip_is_verified() -> None:
    """Without the check of the last eight bytes, a changed number would be computed with."""
    compressed = bytearray(gzip.compress(b"[1, 2, 3]"))
    compressed[-8] ^= 1
    with pytest.raises(BadCoding, match="incorrect data check"):
        expand("gzip", bytes(compressed), MB)


def test_other_libraries_read_what_we_compress() -> None:
    """The standard library reads our gzip, and the zstd library our zstd."""
    assert gzip.decompress(CODINGS["gzip"].compress(b"x" * 9999)) == b"x" * 9999
    assert zstd.decompress(CODINGS["zstd"].compress(b"x" * 9999)) == b"x" * 9999
