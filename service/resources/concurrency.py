"""A concurrency limiter: slots for requests that are computed, a queue for those that wait, a share for small work."""

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from chainrule.checkpoint import Checkpoint
from service.problems import OVERLOADED, Refusal

_MOST_IN_THREADS = 64  # the most requests that wait in a thread, each with its decoded body
_LOOK = 0.1  # seconds between two checks of the deadline while a request waits in a thread


class Work(Enum):
    """The kinds of work. A request counts as small until its body is decoded and its work is predicted."""

    SMALL = "small"
    BIG = "big"


@dataclass(eq=False)
class _Waiter:
    work: Work
    slot: Future[None] = field(default_factory=Future)


class Slots:
    """Slots for `concurrency` requests, and a first-in-first-out queue for `queue` more, each for `seconds` at most.

    A quarter of the slots, at least one, is reserved for small work, so that it need not wait for big work to end.
    With a `concurrency` of 1 there is a second slot, for small work only.
    """

    def __init__(
        self,
        concurrency: int,
        queue: int,
        seconds: float,
        changed: Callable[[int, int, int], None] = lambda small, big, waiting: None,
    ) -> None:
        big = max(1, concurrency - max(1, concurrency // 4))
        self.total = max(concurrency, big + 1)
        self._most = {Work.SMALL: self.total, Work.BIG: big}
        self._busy = {Work.SMALL: 0, Work.BIG: 0}
        self._queue, self._seconds = queue, seconds
        self._waiters: deque[_Waiter] = deque()
        self._in_threads = 0  # requests that wait in a thread for a slot
        self._changed = changed
        self._lock = threading.Lock()  # slots are taken on the event loop and in threads

    @property
    def threads(self) -> int:
        """The number of threads needed: one for each slot, and one for each request that waits there for a slot."""
        return self.total + min(self._queue, _MOST_IN_THREADS)

    @property
    def busy(self) -> int:
        """The number of requests that have a slot."""
        return sum(self._busy.values())

    @property
    def waiting(self) -> int:
        """The number of requests that wait for a slot."""
        return len(self._waiters)

    def check(self) -> None:
        """Raise Refusal if a new request would find neither a slot nor a place in the queue."""
        if len(self._waiters) >= self._queue and not self._is_free(Work.SMALL):
            raise self._queue_is_full()

    async def take(self, work: Work, gone: asyncio.Event) -> bool:
        """Wait for a slot on the event loop; `give_back` must follow. False, without a slot, if the client disconnects.

        Raises Refusal if the queue is full, or if no slot is free in time.
        """
        waiter = self._take_or_queue(work)
        if waiter is None:
            return True
        left = asyncio.ensure_future(gone.wait())
        either: list[asyncio.Future[Any]] = [asyncio.wrap_future(waiter.slot), left]
        with self._queued(waiter):
            try:
                await asyncio.wait(either, timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED)
            finally:
                left.cancel()
        granted = self._leave_queue(waiter)
        if not granted and not gone.is_set():
            raise self._too_late()
        return granted

    def move_to_big(self, checkpoint: Checkpoint) -> float:
        """Exchange a slot for small work for a slot for big work, in a thread; return the seconds waited.

        Raises Refusal if no slot is free in time, and whatever the checkpoint raises. The request then has no slot.
        """
        with self._lock:
            self._busy[Work.SMALL] -= 1
            self._grant()
        if self._in_threads >= _MOST_IN_THREADS:
            raise self._queue_is_full()
        waiter = self._take_or_queue(Work.BIG)
        if waiter is None:
            return 0.0
        began = time.monotonic()
        with self._queued(waiter), self._in_thread():
            while not waiter.slot.done() and time.monotonic() - began < self._seconds:
                checkpoint()
                _wait(waiter.slot, min(_LOOK, self._seconds))
        if not self._leave_queue(waiter):
            raise self._too_late()
        return time.monotonic() - began

    def give_back(self, work: Work) -> None:
        """Free a slot, and give it to the next waiting request."""
        with self._lock:
            self._busy[work] -= 1
            self._grant()
            self._report()

    def _take_or_queue(self, work: Work) -> _Waiter | None:
        """Take a free slot and return None, or else return a place in the queue."""
        with self._lock:
            if self._is_free(work):
                self._busy[work] += 1
                waiter = None
            elif len(self._waiters) >= self._queue:
                self._report()
                raise self._queue_is_full()
            else:
                waiter = _Waiter(work)
                self._waiters.append(waiter)
            self._report()
        return waiter

    @contextmanager
    def _in_thread(self) -> Iterator[None]:
        with self._lock:
            self._in_threads += 1
        try:
            yield
        finally:
            with self._lock:
                self._in_threads -= 1

    @contextmanager
    def _queued(self, waiter: _Waiter) -> Iterator[None]:
        """Free the waiter's slot, and its place in the queue, if the wait ends with an exception."""
        ended = False
        try:
            yield
            ended = True
        finally:
            if not ended and self._leave_queue(waiter):
                self.give_back(waiter.work)

    def _leave_queue(self, waiter: _Waiter) -> bool:
        """Stop waiting. True if the waiter has got a slot."""
        with self._lock:
            if waiter not in self._waiters:
                return True
            self._waiters.remove(waiter)
            self._report()
        waiter.slot.cancel()
        return False

    def _grant(self) -> None:
        """Give free slots to the waiting requests in their order; skip big work if all its slots are busy."""
        for waiter in list(self._waiters):
            if self._is_free(waiter.work):
                self._waiters.remove(waiter)
                self._busy[waiter.work] += 1
                waiter.slot.set_result(None)

    def _is_free(self, work: Work) -> bool:
        return self.busy < self.total and self._busy[work] < self._most[work]

    def _report(self) -> None:
        self._changed(self._busy[Work.SMALL], self._busy[Work.BIG], self.waiting)

    def _queue_is_full(self) -> Refusal:
        return self._refusal(f"{self.busy} requests are being computed and {self.waiting} wait")

    def _too_late(self) -> Refusal:
        return self._refusal(f"no slot was free within {self._seconds:g} s")

    def _refusal(self, why: str) -> Refusal:
        detail = f"{why}; {self.total} are computed at a time (CHAINRULE_CONCURRENCY): try again"
        return Refusal(OVERLOADED, detail, headers={"Retry-After": str(max(1, math.ceil(self._seconds)))})


def _wait(slot: Future[None], seconds: float) -> None:
    """Wait for a slot for `seconds` at most."""
    try:
        slot.result(seconds)
    except FutureTimeoutError:
        return
