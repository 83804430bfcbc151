"""A cost as the sum of its parts, each of which knows what of the request causes it."""

from collections.abc import Iterable
from typing import NamedTuple


class Part(NamedTuple):
    """One part of the work on a request.

    `work` names it in words. `cause` is the path in the request to what causes it, and `way_out` says what to change.
    `seconds` are those of the reference core. `kept` are the bytes that stay until the answer is sent; `peak` are the
    further bytes that are needed only while this part is worked on.
    """

    work: str
    cause: tuple[str | int, ...]
    way_out: str
    seconds: float = 0.0
    kept: float = 0.0
    peak: float = 0.0


class Cost(NamedTuple):
    """What a request costs: seconds of the reference core, and bytes at the peak.

    The parts stand in the order in which they are worked on. At the peak there is what all parts so far keep, and what
    the part that is worked on needs beside it.
    """

    seconds: float
    memory: int
    parts: tuple[Part, ...]


def cost_of(parts: Iterable[Part]) -> Cost:
    """The cost of these parts, one after the other."""
    parts = tuple(parts)
    seconds = kept = most = 0.0
    for part in parts:
        seconds += part.seconds
        kept += part.kept
        most = max(most, kept + part.peak)
    return Cost(seconds, round(most), parts)
