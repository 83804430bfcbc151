"""The bytes held for clients, bodies that come in and answers that go out: bounded, at the cost of the slowest.

A client that sends or reads slowly costs no thread, only memory. Where that runs out, the client who moves the fewest
bytes a second is given up, so that whoever is fast enough is never held up by those who are not.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.problems import OVERLOADED, Refusal

_GRACE = 1.0  # seconds in which nobody is called slow


class Held:
    """How many bytes are held, of how many that may be."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.size = 0
        self.waiting: set[Transfer] = set()

    def make_room(self) -> None:
        """Give up the slowest clients until no more is held than may be. Raises Refusal where that cannot be done."""
        now = asyncio.get_running_loop().time()
        while self.size > self._most:
            slow = [transfer for transfer in self.waiting if now - transfer.began > _GRACE]
            if not slow:
                detail = "other requests and answers take all the room there is (CHAINRULE_MEMORY_BYTES): try again"
                raise Refusal(OVERLOADED, detail, headers={"Retry-After": "1"})
            min(slow, key=lambda transfer: transfer.rate(now)).give_up()


class Transfer:
    """One request's share: the bytes of its body, then those of its answer."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self._deadline: asyncio.Timeout | None = None
        self.size = self.moved = 0
        self.began = 0.0

    def rate(self, now: float) -> float:
        """Bytes a second since the client's part began."""
        return self.moved / (now - self.began)

    def take_in(self, size: int) -> None:
        """Hold so many bytes more, which the client has sent. Raises Refusal where there is no room for them."""
        self.moved += size
        self.hold(size)
        self._held.make_room()

    def hold(self, size: int) -> None:
        """Hold so many bytes more, or fewer, that are there already."""
        self.size += size
        self._held.size += size

    def give_up(self) -> None:
        """Let the client's part end now, as if its time were over."""
        self.release()
        self._held.waiting.discard(self)
        if self._deadline is not None:
            self._deadline.reschedule(0)

    def release(self) -> None:
        """Hold nothing any more."""
        self.hold(-self.size)

    @asynccontextmanager
    async def clients_part(self, seconds: float) -> AsyncIterator[None]:
        """While the client sends or reads, for so long at most. Raises TimeoutError after that, or when given up."""
        self.moved, self.began = 0, asyncio.get_running_loop().time()
        self._held.waiting.add(self)
        try:
            async with asyncio.timeout(seconds) as self._deadline:
                yield
        finally:
            self._held.waiting.discard(self)
            self._deadline = None
