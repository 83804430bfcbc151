"""Content codings (RFC 9110, section 8.4.1): compress and decompress zstd and gzip. Only this module imports them.

Bodies are decompressed piece by piece, and never beyond a limit: ten megabytes of gzip can expand to ten gigabytes of
zeros, and so can a few hundred bytes of zstd.
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
_GZIP = 31  # the wbits of zlib for gzip's header and checksum, and the largest window
_WINDOW = {int(zstd.DecompressionParameter.window_log_max): 23}  # 8 MiB at most, which RFC 9659 asks of a client
_SLICE = 64 * 1024  # compressed bytes passed to the decompressor at a time: zlib copies those that it did not use
_PIECE = 256 * 1024  # decompressed bytes of a piece


class Decompressor(Protocol):
    """The common interface of the standard library's decompressors."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes | memoryview, /, max_length: int) -> bytes: ...


@dataclass(frozen=True)
class Coding:
    """One content coding: its compression and its decompressor."""

    compress: Callable[[bytes], bytes]
    decompressor: Callable[[], Decompressor]


CODINGS: Mapping[str, Coding] = {  # the cheaper coding first
    "zstd": Coding(lambda data: zstd.compress(data, _LEVEL), lambda: zstd.ZstdDecompressor(options=_WINDOW)),
    "gzip": Coding(lambda data: zlib.compress(data, _LEVEL, _GZIP), lambda: zlib.decompressobj(_GZIP)),
}


class BadCoding(ValueError):
    """The bytes are not valid in the given coding; the message says why."""


class TooMuch(ValueError):
    """More bytes come out than are allowed."""


def expand(coding: str, data: bytes, most: int) -> bytes:
    """The decompressed bytes. Raises TooMuch once they are over `most` bytes, and BadCoding."""
    return b"".join(pieces(coding, data, most))


def pieces(coding: str, data: bytes, most: int) -> Iterator[bytes]:
    """The decompressed bytes, a piece at a time. Raises the same as `expand`.

    Only one gzip member or one zstd frame is allowed: a million empty ones would cost seconds.
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
    """The decompressed size that the data announces: gzip at its end, zstd at its beginning or not at all (None).

    The size is not checked: invalid data can announce anything.
    """
    if coding == "gzip":
        return int.from_bytes(data[-4:], "little")
    try:
        return zstd.get_frame_info(data).decompressed_size
    except zstd.ZstdError:
        return None


def _pieces(decompressor: Decompressor, part: memoryview, most: int) -> Iterator[bytes]:
    """The decompressed bytes of a part, `most` at most."""
    given: bytes | memoryview = part
    while most > 0 and not decompressor.eof:  # for zlib, a max_length of 0 means no limit
        asked = min(most, _PIECE)
        piece = decompressor.decompress(given, max_length=asked)
        yield piece
        if len(piece) < asked:
            return
        most -= asked
        given = getattr(decompressor, "unconsumed_tail", b"")  # zlib returns unused bytes, zstd keeps them
