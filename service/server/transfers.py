"""Clients that send a body or read an answer: how fast they are, and what is held for them meanwhile.

A client that sends or reads slowly costs no thread, only memory. Where that runs out, the client that moves the fewest
bytes a second is given up, so that whoever is fast enough is never held up by those who are not.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from service.resources.ledger import ARRIVING, LAST
from service.resources.memory_budget import Budget, Holding

_SMALL_BODY = 16 * 1024  # bytes; they do not count with the bodies that arrive


class Transfer:
    """One client that sends a body or reads an answer, and what is held for it meanwhile."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._deadline: asyncio.Timeout | None = None
        self._short = False  # the last bytes that arrived found no room
        self.holding = Holding(budget)
        self.moved = 0
        self.began = 0.0

    def rate(self, now: float) -> float:
        """Bytes a second since the client's part began."""
        return self.moved / (now - self.began)

    def take_in(self, size: int) -> None:
        """Hold so many bytes more, which the client has sent. Without room, nothing more is received until there is.

        Raises Refusal where many clients have sent more than there is room for.
        """
        self.moved += size
        held, stage = self.holding.size + size, LAST if self.moved <= _SMALL_BODY else ARRIVING
        if self._become(stage, held):
            return
        if self._budget.overdrawn:
            raise self._budget.refusal()
        self.holding.become(stage, held, beyond=True)
        self._short = True

    def paced(self, receive: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[Any]]:
        """`receive`, which first waits for room in the budget where there was none. Raises Refusal then."""

        async def receive_with_room() -> Any:
            if self._short:
                stage = LAST if self.moved <= _SMALL_BODY else ARRIVING
                await self._budget.wait_on_loop(lambda: self.holding.add(stage, 1))
                self._short = False
            return await receive()

        return receive_with_room

    def make_room(self, size: int) -> None:
        """Hold so many bytes more, for a small request. Raises Refusal where there is no room."""
        if not self._become(LAST, self.holding.size + size):
            raise self._budget.refusal()

    def part_with_holding(self) -> Holding:
        """What is held until now: work holds it further that nobody waits for."""
        holding, self.holding = self.holding, Holding(self._budget)
        return holding

    def hold_answer(self, size: int) -> None:
        """Hold an answer that is there already, and nothing else."""
        hold = self.holding.hold_answer
        if not (hold(size) or (self._budget.give_up_slowest() and hold(size))):
            hold(size, beyond=True)

    def _become(self, stage: int, size: int) -> bool:
        """Hold so many bytes, at the cost of the slowest client if need be. False where there is no room."""
        become = self.holding.become
        return become(stage, size) or (self._budget.give_up_slowest() and become(stage, size))

    def give_up(self) -> None:
        """End the client's part now, as if its time were over."""
        self.holding.release()
        self._budget.transfers.discard(self)
        if self._deadline is not None:
            self._deadline.reschedule(0)

    @asynccontextmanager
    async def clients_part(self, seconds: float) -> AsyncIterator[None]:
        """While the client sends or reads, for so long at most. Raises TimeoutError after that, or when given up."""
        self.moved, self.began = 0, asyncio.get_running_loop().time()
        self._budget.transfers.add(self)
        try:
            async with asyncio.timeout(seconds) as self._deadline:
                yield
        finally:
            self._budget.transfers.discard(self)
            self._deadline = None
