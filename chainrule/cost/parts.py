"""A cost as the sum of its parts. Each part names the member of the request that causes it."""

from collections.abc import Iterable
from typing import NamedTuple


class Part(NamedTuple):
    """One part of the work on a request.

    `work` describes it. `cause` is the path to the member of the request that causes it, and `way_out` says what to
    change. `seconds` are those of the reference core. `kept` bytes stay allocated until the answer is sent. `peak`
    bytes are needed in addition while this part is computed. Of the seconds, `optional` depend on the numbers of the
    request. They are admitted only when the work needs them.
    """

    work: str
    cause: tuple[str | int, ...]
    way_out: str
    seconds: float = 0.0
    kept: float = 0.0
    peak: float = 0.0
    optional: float = 0.0


class Cost(NamedTuple):
    """What a request costs: seconds of the reference core, and bytes at the peak.

    The parts are in the order of their execution. `memory` is the largest sum of two numbers: the bytes kept by the
    parts up to one of them, and the peak of that part.
    """

    seconds: float
    memory: int
    parts: tuple[Part, ...]

    @property
    def first_seconds(self) -> float:
        """The seconds that are admitted at first: all except those that depend on the numbers of the request."""
        return self.seconds - sum(part.optional for part in self.parts)


def cost_of(parts: Iterable[Part]) -> Cost:
    """The cost of parts that are executed one after the other."""
    parts = tuple(parts)
    seconds = kept = most = 0.0
    for part in parts:
        seconds += part.seconds
        kept += part.kept
        most = max(most, kept + part.peak)
    return Cost(seconds, round(most), parts)
