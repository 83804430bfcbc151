"""Content codings (RFC 9110, section 8.4.1): zstd and gzip, there and back. The only module that knows zlib and zstd.

What a client has compressed is expanded piece by piece, and never beyond what may come out: ten megabytes of gzip can
hold ten gigabytes of zeros, and a few hundred bytes of zstd as much.
"""

import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

IDENTITY = "identity"

_LEVEL = 1  # of both: for 1.25 MB of JSON, zstd takes 1.6 ms (to 158 kB), gzip 6.6 ms (234 kB), gzip 6 25 ms (172 kB)
_GZIP = 31  # zlib's way to say: gzip's head and checksum, and the largest window
_WINDOW = {int(zstd.DecompressionParameter.window_log_max): 23}  # 8 MiB at most, which RFC 9659 asks of a client
_SLICE = 64 * 1024  # of what is compressed, given at a time: zlib copies what it did not get to
_PIECE = 256 * 1024  # of what comes out


class Decompressor(Protocol):
    """What the standard library's decompressors have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes | memoryview, /, max_length: int) -> bytes: ...


@dataclass(frozen=True)
class Coding:
    """One way to compress, and back."""

    compress: Callable[[bytes], bytes]
    decompressor: Callable[[], Decompressor]


CODINGS: Mapping[str, Coding] = {  # the one that costs less comes first
    "zstd": Coding(lambda data: zstd.compress(data, _LEVEL), lambda: zstd.ZstdDecompressor(options=_WINDOW)),
    "gzip": Coding(lambda data: zlib.compress(data, _LEVEL, _GZIP), lambda: zlib.decompressobj(_GZIP)),
}


class BadCoding(ValueError):
    """Bytes that are not in the coding which they are said to be in; the text says why."""


class TooMuch(ValueError):
    """More comes out than may."""


def expand(coding: str, data: bytes, most: int) -> bytes:
    """What was compressed. Raises TooMuch as soon as it is over `most` bytes, and BadCoding."""
    return b"".join(pieces(coding, data, most))


def pieces(coding: str, data: bytes, most: int) -> Iterator[bytes]:
    """What was compressed, a piece at a time. Raises as `expand`.

    One gzip member, or one frame of zstd: more of them could be empty, and a million of them cost seconds.
    """
    decompressor = CODINGS[coding].decompressor()
    left, given = most + 1, 0
    try:
        while left > 0 and given < len(data) and not decompressor.eof:
            part = memoryview(data)[given : given + _SLICE]
            given += len(part)
            for piece in _pieces(decompressor, part, left):
                yield piece
                left -= len(piece)
    except (zlib.error, zstd.ZstdError) as error:
        raise BadCoding(f"it cannot be read ({error})") from error
    if left == 0:
        raise TooMuch(f"more than {most} bytes come out")
    if not decompressor.eof:
        raise BadCoding(f"it is cut short after {len(data)} bytes")
    if behind := len(data) - given + len(decompressor.unused_data):
        raise BadCoding(f"{behind} bytes follow behind its end")


def announced_size(coding: str, data: bytes) -> int | None:
    """How many bytes come out, as what was compressed says itself: gzip at its end, zstd at its beginning or nowhere.

    What is not in the coding can say anything.
    """
    if coding == "gzip":
        return int.from_bytes(data[-4:], "little")
    try:
        return zstd.get_frame_info(data).decompressed_size
    except zstd.ZstdError:
        return None


def _pieces(decompressor: Decompressor, part: memoryview, most: int) -> Iterator[bytes]:
    """What comes out of a part, up to so many bytes."""
    given: bytes | memoryview = part
    while most > 0 and not decompressor.eof:  # to zlib, a max_length of 0 is none
        asked = min(most, _PIECE)
        piece = decompressor.decompress(given, max_length=asked)
        yield piece
        if len(piece) < asked:
            return
        most -= asked
        given = getattr(decompressor, "unconsumed_tail", b"")  # zlib hands back what it did not get to, zstd keeps it
