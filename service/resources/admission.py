"""Admission of a request: memory for decoding its body, then a slot and memory for its work.

A view calls `reserve` before it decodes a body and `admit` before it computes. On the event loop both pass only small
requests, and raise Postponed for larger ones; the front then computes these in a thread. In the thread both wait:
`admit` first for a slot of the right kind, then for memory. A request that has a slot for big work waits for memory
only; `memory_budget` explains why it gets it. Work whose size depends on the numbers is admitted in portions: `admit`
is called again with the seconds so far and of the next portion. Without a server, as in tests of the application, all
of this does nothing.
"""

from typing import Protocol

from flask import g, request

from chainrule.cost import Cost
from service.resources.concurrency import Slots, Work
from service.resources.deadline import Deadline
from service.resources.memory_budget import Budget, Holding

ADMISSION = "chainrule.admission"  # the key of an environ

LOOP_SECONDS = 0.002  # of a reference core: work up to this stays on the event loop, as a thread would add a tenth
LOOP_MEMORY = 4 * 2**20
SMALL_SECONDS = 0.1  # of a reference core: work up to this may use the slots reserved for small work
MOST_IN_PORTIONS = 4 * 2**20  # bytes; a request that waits for a slot during its work may hold no more than this


class Postponed(BaseException):
    """Raised if a request is too big for the event loop: the front calls the application again, in a thread.

    A BaseException, so that no error handler of Flask answers it.
    """

    def __init__(self, work: Work) -> None:
        super().__init__()
        self.work = work


class Admission(Protocol):
    """The object under `ADMISSION` in the environ of a request that the server computes."""

    def reserve(self, memory: int) -> float: ...

    def admit(self, seconds: float, memory: int) -> float: ...


def reserve(memory: int) -> None:
    """Reserve the bytes that decoding the body takes. Raises Refusal if they are not free in time."""
    found: Admission | None = request.environ.get(ADMISSION)
    if found is not None:
        _account(found.reserve(memory))


def admit(seconds: float, memory: int) -> None:
    """Get a slot and memory for work of this size; `memory` includes the body and the answer.

    Raises Refusal if no slot or no memory is free in time.
    """
    found: Admission | None = request.environ.get(ADMISSION)
    if found is not None:
        _account(found.admit(seconds, memory))


def first_seconds(cost: Cost) -> float:
    """The seconds to admit at first: without the optional ones, if the request may wait for a slot during its work.

    A request with more memory may not: the request that has the slot could wait for this memory.
    """
    return cost.first_seconds if cost.memory <= MOST_IN_PORTIONS else cost.seconds


def kind_of(seconds: float) -> Work:
    """The kind of work that takes `seconds` of a reference core."""
    return Work.SMALL if seconds <= SMALL_SECONDS else Work.BIG


def _account(waited: float) -> None:
    if waited:
        g.stages["queue"] = g.stages.get("queue", 0.0) + waited


class OnLoop:
    """The admission of a request on the event loop."""

    def reserve(self, memory: int) -> float:
        """Raise Postponed if decoding takes more than LOOP_MEMORY."""
        if memory > LOOP_MEMORY:
            raise Postponed(Work.SMALL)
        return 0.0

    def admit(self, seconds: float, memory: int) -> float:
        """Raise Postponed if the work takes more than LOOP_SECONDS or LOOP_MEMORY."""
        if seconds > LOOP_SECONDS or memory > LOOP_MEMORY:
            raise Postponed(kind_of(seconds))
        return 0.0


class InThread:
    """The admission of a request in a thread: its slot, its memory, its deadline. Call `end` at the end."""

    def __init__(self, slots: Slots, work: Work, budget: Budget, holding: Holding, deadline: Deadline) -> None:
        self._slots, self._budget, self._holding, self._deadline = slots, budget, holding, deadline
        self._work: Work | None = work  # the kind of slot that the request has

    def reserve(self, memory: int) -> float:
        """Wait for the memory that decoding takes."""
        return self._waited(self._holding.reserve(memory, self._deadline))

    def admit(self, seconds: float, memory: int) -> float:
        """Wait for a slot for big work if this work is big, then for memory."""
        waited = 0.0
        if self._work is Work.SMALL and kind_of(seconds) is Work.BIG:
            self._work = None
            waited = self._slots.move_to_big(self._deadline)
            self._work = Work.BIG
        return self._waited(waited + self._holding.admit(memory, self._deadline))

    def end(self, answer_bytes: int) -> None:
        """Free the slot, and all memory except that of the answer."""
        self._holding.hold_answer(answer_bytes, beyond=True)
        if self._work is not None:
            self._slots.give_back(self._work)
        self._budget.settle_after_work()

    def _waited(self, seconds: float) -> float:
        self._deadline.extend(seconds)
        return seconds
