"""Who is computed now, who waits, and who is sent away: a bounded number of requests in flight."""

import asyncio
import math
from collections.abc import Callable

from service.problems import OVERLOADED, Refusal


class Turns:
    """At most `concurrency` requests at a time, and `queue` more that wait at most `seconds`, in their order."""

    def __init__(
        self,
        concurrency: int,
        queue: int,
        seconds: float,
        changed: Callable[[int, int], None] = lambda busy, waiting: None,
    ) -> None:
        self._concurrency, self._queue, self._seconds = concurrency, queue, seconds
        self._free = asyncio.Semaphore(concurrency)
        self._changed = changed
        self.busy = self.waiting = 0

    def check(self) -> None:
        """Raise Refusal where a request that comes now would have to be sent away: before its body is read."""
        if self.waiting >= self._queue and self._free.locked():
            raise self._refusal(f"{self.busy} requests are being computed and {self.waiting} wait")

    async def take(self) -> None:
        """Wait for a turn; `give_back` has to follow. Raises Refusal where it takes too long."""
        self.check()
        if self._free.locked():
            await self._wait()
        else:
            await self._free.acquire()
        self._count(busy=1)

    async def _wait(self) -> None:
        self._count(waiting=1)
        try:
            async with asyncio.timeout(self._seconds):
                await self._free.acquire()
        except TimeoutError as error:
            raise self._refusal(f"no turn came within {self._seconds:g} s") from error
        finally:
            self._count(waiting=-1)

    def give_back(self) -> None:
        """End a turn."""
        self._free.release()
        self._count(busy=-1)

    def _count(self, busy: int = 0, waiting: int = 0) -> None:
        self.busy += busy
        self.waiting += waiting
        self._changed(self.busy, self.waiting)

    def _refusal(self, why: str) -> Refusal:
        detail = f"{why}; {self._concurrency} are computed at a time (CHAINRULE_CONCURRENCY): try again"
        return Refusal(OVERLOADED, detail, headers={"Retry-After": str(max(1, math.ceil(self._seconds)))})
