"""Slots: how many requests are computed at a time, how many wait for it, and the share that is kept for small work."""

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

_MOST_IN_THREADS = 64  # requests that wait in a thread, each with its decoded body
_LOOK = 0.1  # seconds between two looks at the deadline of a request that waits in a thread


class Work(Enum):
    """The kinds of work: known to be big, or small; what is not known yet counts as small, as long as it is decoded."""

    SMALL = "small"
    BIG = "big"


@dataclass(eq=False)
class _Waiter:
    work: Work
    slot: Future[None] = field(default_factory=Future)


class Slots:
    """At most `concurrency` requests at a time, and `queue` more that wait at most `seconds`, in their order.

    A quarter of the slots, at least one, is never given to big work, so that small work need not wait for its end. A
    single slot has another one for small work beside it.
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
        self._in_threads = 0  # requests that wait in a thread
        self._changed = changed
        self._lock = threading.Lock()  # slots are taken on the event loop and in threads

    @property
    def threads(self) -> int:
        """The threads that are needed: some hold no slot, as they wait to do big work."""
        return self.total + min(self._queue, _MOST_IN_THREADS)

    @property
    def busy(self) -> int:
        """The requests that have a slot."""
        return sum(self._busy.values())

    @property
    def waiting(self) -> int:
        """The requests that wait for one."""
        return len(self._waiters)

    def check(self) -> None:
        """Raise Refusal where a request that comes now would find no slot and no place in the queue."""
        if len(self._waiters) >= self._queue and not self._is_free(Work.SMALL):
            raise self._queue_is_full()

    async def take(self, work: Work, gone: asyncio.Event) -> bool:
        """Wait for a slot on the event loop; `give_back` has to follow. False, without a slot, if the client goes.

        Raises Refusal where the queue is full, or no slot is free in time.
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

    def pass_on(self, checkpoint: Checkpoint) -> float:
        """Give back a slot for small work and wait, in a thread, for one for big work: the seconds that it took.

        Raises Refusal where there is none in time, or what the checkpoint raises. The request then has no slot.
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
        """Free a slot: the next request that waits has it."""
        with self._lock:
            self._busy[work] -= 1
            self._grant()
            self._tell()

    def _take_or_queue(self, work: Work) -> _Waiter | None:
        """A place in the queue, or None where a slot was free and is taken."""
        with self._lock:
            if self._is_free(work):
                self._busy[work] += 1
                waiter = None
            elif len(self._waiters) >= self._queue:
                self._tell()
                raise self._queue_is_full()
            else:
                waiter = _Waiter(work)
                self._waiters.append(waiter)
            self._tell()
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
        """While a request waits. Where that ends by an exception, a slot that came meanwhile is given back."""
        ended = False
        try:
            yield
            ended = True
        finally:
            if not ended and self._leave_queue(waiter):
                self.give_back(waiter.work)

    def _leave_queue(self, waiter: _Waiter) -> bool:
        """Wait no longer: whether there is a slot."""
        with self._lock:
            if waiter not in self._waiters:
                return True
            self._waiters.remove(waiter)
            self._tell()
        waiter.slot.cancel()
        return False

    def _grant(self) -> None:
        """Give free slots to those that wait, in their order; big work is passed over where its share is taken."""
        for waiter in list(self._waiters):
            if self._is_free(waiter.work):
                self._waiters.remove(waiter)
                self._busy[waiter.work] += 1
                waiter.slot.set_result(None)

    def _is_free(self, work: Work) -> bool:
        return self.busy < self.total and self._busy[work] < self._most[work]

    def _tell(self) -> None:
        self._changed(self._busy[Work.SMALL], self._busy[Work.BIG], self.waiting)

    def _queue_is_full(self) -> Refusal:
        return self._refusal(f"{self.busy} requests are being computed and {self.waiting} wait")

    def _too_late(self) -> Refusal:
        return self._refusal(f"no slot was free within {self._seconds:g} s")

    def _refusal(self, why: str) -> Refusal:
        detail = f"{why}; {self.total} are computed at a time (CHAINRULE_CONCURRENCY): try again"
        return Refusal(OVERLOADED, detail, headers={"Retry-After": str(max(1, math.ceil(self._seconds)))})


def _wait(slot: Future[None], seconds: float) -> None:
    """Wait for a slot, for so long at most."""
    try:
        slot.result(seconds)
    except FutureTimeoutError:
        return
