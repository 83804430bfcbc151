"""How a request gets what it needs of the service: memory for decoding its body, then a slot and memory for its work.

A view calls `reserve` before it decodes a body and `admit` before it computes. On the event loop both let through only
what is small, and raise Postponed for the rest, which the front then has computed in a thread. There both wait: `admit`
first for a slot of the kind of work, then for memory. A request with a slot for big work waits for nothing but memory,
and `memory_budget` says why that comes. In process, without a server, both do nothing.
"""

from typing import Protocol

from flask import g, request

from service.resources.concurrency import Slots, Work
from service.resources.deadline import Deadline
from service.resources.memory_budget import Budget, Holding

ADMISSION = "chainrule.admission"  # the key of an environ

LOOP_SECONDS = 0.002  # of a reference core: work that is done on the event loop, as the way to a thread costs a tenth
LOOP_MEMORY = 4 * 2**20
SMALL_SECONDS = 0.1  # of a reference core: work that may use the slots which are kept for small work


class Postponed(BaseException):
    """A request is too big for the event loop: it is taken up again in a thread. No error, so nothing answers it."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        self.work = work


class Admission(Protocol):
    """What stands in the environ of a request that the server has computed."""

    def reserve(self, memory: int) -> float: ...

    def admit(self, seconds: float, memory: int) -> float: ...


def reserve(memory: int) -> None:
    """Get the bytes that decoding the body takes. Raises Refusal where there are none in time."""
    found: Admission | None = request.environ.get(ADMISSION)
    if found is not None:
        _account(found.reserve(memory))


def admit(seconds: float, memory: int) -> None:
    """Get a slot and memory for work that takes so many seconds and bytes, those of body and answer included.

    Raises Refusal where there is no slot or no memory in time.
    """
    found: Admission | None = request.environ.get(ADMISSION)
    if found is not None:
        _account(found.admit(seconds, memory))


def kind_of(seconds: float) -> Work:
    """The kind of work that takes so many seconds of a reference core."""
    return Work.SMALL if seconds <= SMALL_SECONDS else Work.BIG


def _account(waited: float) -> None:
    if waited:
        g.stages["queue"] = g.stages.get("queue", 0.0) + waited


class OnLoop:
    """A request that is looked at on the event loop."""

    def reserve(self, memory: int) -> float:
        """Raise Postponed where decoding takes much."""
        if memory > LOOP_MEMORY:
            raise Postponed(Work.SMALL)
        return 0.0

    def admit(self, seconds: float, memory: int) -> float:
        """Raise Postponed where the work is more than a moment's."""
        if seconds > LOOP_SECONDS or memory > LOOP_MEMORY:
            raise Postponed(kind_of(seconds))
        return 0.0


class InThread:
    """A request that is computed in a thread: its slot, its memory, its deadline. `end` has to follow."""

    def __init__(self, slots: Slots, work: Work, budget: Budget, holding: Holding, deadline: Deadline) -> None:
        self._slots, self._budget, self._holding, self._deadline = slots, budget, holding, deadline
        self._work: Work | None = work  # that of the slot which it has

    def reserve(self, memory: int) -> float:
        """Wait for the memory of decoding."""
        return self._waited(self._holding.reserve(memory, self._deadline))

    def admit(self, seconds: float, memory: int) -> float:
        """Wait for a slot for big work where this is big, then for the memory."""
        waited = 0.0
        if self._work is Work.SMALL and kind_of(seconds) is Work.BIG:
            self._work = None
            waited = self._slots.pass_on(self._deadline)
            self._work = Work.BIG
        return self._waited(waited + self._holding.admit(memory, self._deadline))

    def end(self, answer_bytes: int) -> None:
        """Free the slot, and all memory but that of the answer."""
        self._holding.hold_answer(answer_bytes, beyond=True)
        if self._work is not None:
            self._slots.give_back(self._work)
        self._budget.settle_after_work()

    def _waited(self, seconds: float) -> float:
        self._deadline.postpone(seconds)
        return seconds
