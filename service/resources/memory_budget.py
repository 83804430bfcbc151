"""One memory budget for all processes of the service; when it runs out, the slowest client is dropped.

A request takes memory in stages: its body arrives, the body is decoded, the request is computed and answered.
Each stage may fill the budget up to a ceiling, together with the stages before it:

    arriving                              1/4 of the budget
    ... and decoding                      3/8
    ... and computing                     15/16
    ... and answers, and small requests   all of it

So there is no deadlock between requests that hold memory while they wait for more. A request that is computed waits for
no memory, and ends. When no request is computed, at least 9/16 of the budget is free: the largest request allowed. So
one of the requests that wait for computing can begin, and frees all its memory when it ends. When no request waits for
computing, 1/8 of the budget is free for decoding. A request that needs more than this for decoding counts as computing
from the start, with the most that any request may take. Arriving bodies and answers that are sent make room for each
other: the slowest client is dropped. CHAINRULE_QUEUE_SECONDS bounds each wait, too.

Processes share a `Ledger`. Each process claims memory from it in chunks, so that a small request needs no lock between
processes. A process keeps its claim as long as the C library may still hold the freed memory (`malloc`).
"""

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import accumulate
from operator import add, gt, sub
from typing import Protocol

from chainrule.checkpoint import Checkpoint
from service.problems import OVERLOADED, Refusal
from service.resources import malloc
from service.resources.ledger import ARRIVING, COMPUTING, DECODING, LAST, STAGES, Ledger, largest_body, largest_request

_GRACE = 1.0  # seconds after the start of a transfer in which its client does not count as slow
_PAUSE = 0.02  # seconds between two attempts of a request that waits for memory
_TICK = 0.1  # seconds between two checks whether clients are late, or requests wait for memory
_TICKS = 50  # ticks between two returns of freed memory to the system
_SMALLEST_CHUNK, _LARGEST_CHUNK = 64 * 1024, 4 * 2**20
_SMALL_DOCUMENT = 256 * 1024  # bytes; decoding up to this takes its memory in the last stage
_SMALL_REQUEST = 4 * 2**20  # bytes; requests and answers up to this take their memory in the last stage
_NOTHING = (0,) * len(STAGES)


def kept_bytes(total: int, processes: int) -> int:
    """The bytes of freed memory that each process may keep for its next request."""
    return min(malloc.KEPT, total // (4 * processes))


class Client(Protocol):
    """A client that is sending a body or reading an answer."""

    holding: "Holding"
    began: float  # by the clock of the event loop
    until: float  # when the client gets a timeout

    def rate(self, now: float) -> float: ...

    def drop(self) -> None: ...


class Budget:
    """This process's part of the memory budget."""

    def __init__(self, ledger: Ledger, wait_seconds: float = 1.0) -> None:
        self._ledger, self._row = ledger, ledger.enter()
        self._seconds = wait_seconds
        self._chunk = max(_SMALLEST_CHUNK, min(_LARGEST_CHUNK, ledger.total // (64 * ledger.processes)))
        self._kept = kept_bytes(ledger.total, ledger.processes)
        self._lock = threading.Lock()
        self._used, self._claimed = [0] * len(STAGES), [0] * len(STAGES)  # bytes of each stage and those before it
        self._lines: tuple[deque[object], ...] = tuple(deque() for _ in STAGES)  # a queue of requests for each stage
        self._wanting = self._ticks = 0
        self.transfers: set[Client] = set()  # clients that are sending a body or reading an answer

    @property
    def used(self) -> int:
        """The bytes that the requests of this process use."""
        return self._used[LAST]

    @property
    def largest_body(self) -> int:
        """The size in bytes of the largest body that can be received."""
        return largest_body(self._ledger.total)

    @property
    def largest_request(self) -> int:
        """The most bytes that one request can take."""
        return largest_request(self._ledger.total)

    @property
    def largest_decoding(self) -> int:
        """The most bytes that decoding may take in its own stage. Larger requests count as computing from the start."""
        return self._ledger.ceilings[DECODING] - self._ledger.ceilings[ARRIVING]

    @property
    def overdrawn(self) -> bool:
        """Whether bodies or all requests exceed their ceiling by over 1/16 of the budget.

        They may exceed it a little: each request may take one piece of a body beyond it.
        """
        over = (self._ledger.claimed(stage) - self._ledger.ceilings[stage] for stage in (ARRIVING, LAST))
        return max(over) > self._ledger.total // 16

    def change(self, deltas: Sequence[int], beyond: bool = False) -> bool:
        """Change the bytes used up to each stage. False, without a change, if there is no room.

        With `beyond` the ceilings are ignored: for memory that is already in use.
        """
        with self._lock:
            used = list(map(add, self._used, deltas))
            if any(map(gt, used, self._claimed)) and not self._claim_for(used, beyond):
                return False
            self._used = used
        return True

    def _claim_for(self, used: list[int], beyond: bool) -> bool:
        """Claim the bytes of `used`, plus a spare chunk if the budget has room for it."""
        tight = list(map(max, self._claimed, used))
        roomy = [most + self._chunk * (most > before) for most, before in zip(tight, self._claimed, strict=True)]
        return self._claim(roomy) or self._claim(tight) or (beyond and self._claim(tight, beyond))

    def _claim(self, amounts: list[int], beyond: bool = False) -> bool:
        if done := self._ledger.claim(self._row, amounts, beyond):
            self._claimed = amounts
        return done

    def settle(self, most: int = 0) -> None:
        """If over `most` claimed bytes are unused, return freed memory to the system, and then reduce the claim.

        The claim on memory that other threads free in the meantime stays: the C library may not have returned it yet.
        """
        spare = self._claimed[LAST] - self._used[LAST]
        if spare <= most:
            return
        malloc.give_back()
        with self._lock:
            last = max(self._claimed[LAST] - spare, self._used[LAST])
            self._claim([*self._used[:LAST], last])

    def settle_after_work(self) -> None:
        """Settle if more is unused than may be kept for the next request."""
        self.settle(self._kept)

    def wait(self, stage: int, attempt: Callable[[], bool], checkpoint: Checkpoint) -> float:
        """Wait in a thread until an attempt to take memory succeeds; return the seconds waited.

        Requests of one process are served first in, first out. Raises Refusal if the wait takes too long.
        """
        line = self._lines[stage]
        if not line and attempt():
            return 0.0
        began, ticket = time.monotonic(), object()
        line.append(ticket)
        self._want(1)
        try:
            while not (line[0] is ticket and attempt()):
                if time.monotonic() - began > self._seconds:
                    raise self.refusal()
                checkpoint()
                time.sleep(_PAUSE)
        finally:
            line.remove(ticket)
            self._want(-1)
        return time.monotonic() - began

    async def wait_on_loop(self, attempt: Callable[[], bool]) -> None:
        """Wait on the event loop until an attempt to take memory succeeds, in no particular order.

        Raises Refusal if the wait takes too long.
        """
        deadline = time.monotonic() + self._seconds
        self._want(1)
        try:
            while not attempt():
                if time.monotonic() > deadline:
                    raise self.refusal()
                await asyncio.sleep(_PAUSE)
        finally:
            self._want(-1)

    def _want(self, more: int) -> None:
        with self._lock:
            self._wanting += more
            self._ledger.want(self._row, self._wanting)

    def refusal(self) -> Refusal:
        """The refusal of a request for which no memory is free now."""
        detail = "other requests take all the memory that requests may take (CHAINRULE_MEMORY_BYTES): try again"
        headers = {"Retry-After": str(max(1, math.ceil(self._seconds)))}
        return Refusal(OVERLOADED, detail, headers=headers, reason="memory")

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Every tick, drop late clients, and make room if requests of any process wait for memory.

        Every 5 s, return freed memory.
        """
        loop.call_later(_TICK, self.watch, loop)
        self._ticks += 1
        now = loop.time()
        for late in [client for client in self.transfers if client.until <= now]:
            late.drop()
        if self._wanting or self._ledger.others_want(self._row):
            self.drop_slowest()
            self.settle()
        elif self._ticks % _TICKS == 0:
            self.settle(self._chunk)

    def drop_slowest(self) -> bool:
        """Drop the slowest client, in bytes a second, of those that hold memory. False if there is none."""
        now = asyncio.get_running_loop().time()
        slow = [found for found in self.transfers if found.holding.size and now - found.began > _GRACE]
        if slow:
            min(slow, key=lambda transfer: transfer.rate(now)).drop()
        return bool(slow)


class Holding:
    """The bytes that one request holds of the budget, by stage."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._amounts = _NOTHING
        self._document = 0  # bytes of a small document, included in those of the last stage

    @property
    def size(self) -> int:
        """The bytes of all stages."""
        return sum(self._amounts)

    def add(self, stage: int, size: int, beyond: bool = False) -> bool:
        """Hold `size` more bytes in a stage. False if there is no room; `beyond` ignores the ceilings."""
        amounts = list(self._amounts)
        amounts[stage] += size
        return self._become(tuple(amounts), beyond)

    def become(self, stage: int, size: int, beyond: bool = False) -> bool:
        """Hold `size` bytes in one stage, and none in the others. False and `beyond` as in `add`."""
        amounts = list(_NOTHING)
        amounts[stage] = size
        return self._become(tuple(amounts), beyond)

    def hold_answer(self, size: int, beyond: bool = False) -> bool:
        """Hold only an answer of `size` bytes. A large one counts as computing, and leaves room for small requests."""
        return self.become(LAST if size <= _SMALL_REQUEST else COMPUTING, size, beyond)

    def release(self) -> None:
        """Free everything."""
        if self._amounts != _NOTHING:
            self._become(_NOTHING)

    def reserve(self, memory: int, checkpoint: Checkpoint) -> float:
        """Hold the `memory` bytes that decoding the body takes in all; return the seconds waited.

        The request counts as computing from now on if `memory` is more than `largest_decoding`, or more than an earlier
        call reserved. Otherwise it could wait for other decoding requests, while these wait for what it holds.
        """
        budget, (arriving, decoding, computing, last) = self._budget, self._amounts
        if computing or memory <= max(decoding, self._document):
            return 0.0
        last -= self._document
        if memory <= _SMALL_DOCUMENT and self._become((arriving, decoding, computing, last + memory)):
            self._document = memory
            return 0.0
        self._document = 0
        if memory <= budget.largest_decoding and not decoding:
            return budget.wait(DECODING, lambda: self._become((arriving, memory, 0, last)), checkpoint)
        return budget.wait(COMPUTING, lambda: self.become(COMPUTING, budget.largest_request), checkpoint)

    def admit(self, memory: int, checkpoint: Checkpoint) -> float:
        """Hold `memory` bytes in place of everything held so far; return the seconds waited."""
        stage = LAST if memory <= _SMALL_REQUEST else COMPUTING
        most = min(memory, self._budget.largest_request)  # the limits refuse more than this
        if most <= self.size:  # must not queue: it could wait for a request that waits for memory held here
            self.become(stage, most)
            return 0.0
        return self._budget.wait(stage, lambda: self.become(stage, most), checkpoint)

    def _become(self, amounts: tuple[int, ...], beyond: bool = False) -> bool:
        deltas = tuple(accumulate(map(sub, amounts, self._amounts)))
        if done := self._budget.change(deltas, beyond):
            self._amounts = amounts
        return done
