"""Turns: how many are taken at a time, how many wait, who is sent away."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from service.problems import OVERLOADED, Refusal
from service.turns import Turns

SOON = 0.05


def _with_turns(scene: Callable[[Turns], Awaitable[None]], seconds: float = SOON) -> list[tuple[int, int]]:
    """A scene with two turns and a queue of one: the numbers busy and waiting as they were told."""
    told: list[tuple[int, int]] = []

    async def play() -> None:
        async with asyncio.timeout(10):
            await scene(Turns(2, 1, seconds, lambda busy, waiting: told.append((busy, waiting))))

    asyncio.run(play())
    return told


def test_so_many_turns_are_taken_at_a_time_and_no_more() -> None:
    """The third waits in vain, and is told what was in the way and when to come again."""

    async def scene(turns: Turns) -> None:
        await turns.take()
        await turns.take()
        with pytest.raises(Refusal) as caught:
            await turns.take()
        assert caught.value.problem is OVERLOADED
        assert caught.value.headers == {"Retry-After": "1"}
        assert "no turn came within 0.05 s; 2 are computed at a time" in caught.value.detail

    assert _with_turns(scene)[-1] == (2, 0)


def test_who_waits_comes_next() -> None:
    """As soon as a turn is given back."""

    async def scene(turns: Turns) -> None:
        await turns.take()
        await turns.take()
        waiting = asyncio.create_task(turns.take())
        await asyncio.sleep(0)
        assert (turns.busy, turns.waiting) == (2, 1)
        turns.give_back()
        await waiting

    assert _with_turns(scene, 10)[-1] == (2, 0)


def test_beyond_the_queue_nobody_waits() -> None:
    """Two are computed, one waits: who comes now is sent away at once, and may come when one has ended."""

    async def scene(turns: Turns) -> None:
        await turns.take()
        await turns.take()
        turns.check()
        waiting = asyncio.create_task(turns.take())
        await asyncio.sleep(0)
        with pytest.raises(Refusal, match="2 requests are being computed and 1 wait"):
            turns.check()
        turns.give_back()
        await waiting
        turns.check()

    _with_turns(scene, 10)


def test_a_free_turn_is_taken_without_a_queue() -> None:
    """Where nobody may wait, whoever finds a turn free is no queue."""

    async def play() -> None:
        turns = Turns(1, 0, SOON)
        turns.check()
        await turns.take()
        with pytest.raises(Refusal):
            turns.check()

    asyncio.run(play())
