"""What is held for clients: where it is too much, the slowest loses, and nobody who has just come."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from service.held import Held, Transfer
from service.problems import OVERLOADED, Refusal


class Clock(asyncio.SelectorEventLoop):
    """A loop on which time passes as the test says."""

    later = 0.0

    def time(self) -> float:
        """The real time, and what was added."""
        return super().time() + self.later


def _play(scene: Callable[[Held, Clock], Coroutine[Any, Any, None]]) -> None:
    """A scene with room for 100 bytes."""
    clock = Clock()
    with asyncio.Runner(loop_factory=lambda: clock) as runner:
        runner.run(asyncio.wait_for(scene(Held(100), clock), 20))


async def _transfer(held: Held, size: int, moved: int) -> tuple[Transfer, asyncio.Task[str]]:
    """A client's part under way that has moved so many bytes; its task says how it ended."""
    transfer = Transfer(held)
    transfer.hold(size)

    async def part() -> str:
        try:
            async with transfer.clients_part(1000):
                await asyncio.sleep(500)
        except TimeoutError:
            return "given up"
        return "ended"

    task = asyncio.create_task(part())
    await asyncio.sleep(0)
    transfer.moved = moved
    return transfer, task


def test_the_slowest_is_given_up() -> None:
    """Of two who hold 120 bytes of 100, the one who has moved less in the same time; the other goes on."""

    async def scene(held: Held, clock: Clock) -> None:
        _, fast = await _transfer(held, 60, 50)
        _, slow = await _transfer(held, 60, 5)
        clock.later = 2.0
        held.make_room()
        assert held.size == 60
        assert await slow == "given up"
        assert not fast.done()
        fast.cancel()

    _play(scene)


def test_nobody_is_called_slow_within_a_second() -> None:
    """Then what comes more is refused, with a word about when to come again."""

    async def scene(held: Held, clock: Clock) -> None:
        _, first = await _transfer(held, 60, 0)
        with pytest.raises(Refusal) as caught:
            Transfer(held).take_in(60)
        assert caught.value.problem is OVERLOADED
        assert caught.value.headers == {"Retry-After": "1"}
        assert not first.done()
        first.cancel()

    _play(scene)


def test_what_is_released_is_free() -> None:
    """Also where more was taken in and less is held in the end."""

    async def scene(held: Held, clock: Clock) -> None:
        transfer = Transfer(held)
        transfer.take_in(70)
        transfer.hold(20)
        assert held.size == 90
        transfer.release()
        transfer.release()
        assert held.size == 0

    _play(scene)
