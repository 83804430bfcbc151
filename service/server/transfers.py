"""Transfers: clients that are sending a body or reading an answer, with their rates and their memory.

A client that sends or reads slowly costs no thread, only memory. When memory runs out, the transfer with the fewest
bytes a second is dropped, so that slow clients never block fast clients.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from service.resources.ledger import ARRIVING, LAST
from service.resources.memory_budget import Budget, Holding

_SMALL_BODY = 16 * 1024  # bytes; bodies up to this size may use the last stage of the budget


class Transfer:
    """One client that is sending a body or reading an answer, with the memory that it takes."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._short = False  # the budget had no room for the last bytes that arrived
        self.holding = Holding(budget)
        self.moved = 0
        self.began = self.until = 0.0
        self._interrupt: Callable[[], None]

    def rate(self, now: float) -> float:
        """Bytes a second since the transfer began."""
        return self.moved / (now - self.began)

    def take_in(self, size: int) -> None:
        """Count `size` more bytes from the client. If the budget has no room, `paced` waits before it receives more.

        Raises Refusal if the bodies of all clients together exceed the budget by far.
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
        """`receive`, preceded by a wait if the budget had no room. Raises Refusal if the wait takes too long."""

        async def receive_with_room() -> Any:
            if self._short:
                stage = LAST if self.moved <= _SMALL_BODY else ARRIVING
                await self._budget.wait_on_loop(lambda: self.holding.add(stage, 1))
                self._short = False
            return await receive()

        return receive_with_room

    def make_room(self, size: int) -> None:
        """Take `size` more bytes of the budget for a small request. Raises Refusal if there is no room."""
        if not self._become(LAST, self.holding.size + size):
            raise self._budget.refusal()

    def hand_over_holding(self) -> Holding:
        """Hand the memory over to work that continues after its client got a timeout or has left."""
        holding, self.holding = self.holding, Holding(self._budget)
        return holding

    def hold_answer(self, size: int) -> None:
        """Count an answer that is already in memory, and nothing else."""
        hold = self.holding.hold_answer
        if not (hold(size) or (self._budget.drop_slowest() and hold(size))):
            hold(size, beyond=True)

    def _become(self, stage: int, size: int) -> bool:
        """Take `size` bytes of the budget, and drop the slowest client if necessary. False if there is no room."""
        become = self.holding.become
        return become(stage, size) or (self._budget.drop_slowest() and become(stage, size))

    def drop(self) -> None:
        """End the transfer now, as if it had timed out."""
        self.holding.release()
        self.end()
        self._interrupt()

    def begin(self, seconds: float, interrupt: Callable[[], None]) -> None:
        """Begin to send or to read. After `seconds`, or when the client is dropped, `interrupt` is called."""
        self.moved, self.began = 0, asyncio.get_running_loop().time()
        self.until, self._interrupt = self.began + seconds, interrupt
        self._budget.transfers.add(self)

    def end(self) -> None:
        """End sending or reading."""
        self._budget.transfers.discard(self)
