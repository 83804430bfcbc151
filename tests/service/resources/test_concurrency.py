"""Slots: how many requests have one, how many wait, which are refused, and the share for small work."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from chainrule.checkpoint import unlimited
from service.problems import OVERLOADED, Refusal
from service.resources.concurrency import Slots, Work

SOON = 0.05
SMALL, BIG = Work.SMALL, Work.BIG


class Stop(Exception):
    """An exception that a checkpoint raises."""


def _play(scene: Callable[[Slots], Awaitable[None]], seconds: float = SOON, queue: int = 1) -> list[tuple[int, int]]:
    """Run a scene with two slots, one of them for big work, and a short queue.

    Record the numbers of busy slots and waiting requests.
    """
    reported: list[tuple[int, int]] = []

    async def play() -> None:
        async with asyncio.timeout(10):
            await scene(Slots(2, queue, seconds, lambda small, big, waiting: reported.append((small + big, waiting))))

    asyncio.run(play())
    return reported


def _stop() -> None:
    raise Stop


def test_no_more_requests_have_a_slot_than_there_are_slots() -> None:
    """The third request times out in the queue. The refusal gives the reason and Retry-After."""

    async def scene(slots: Slots) -> None:
        assert await slots.take(SMALL, asyncio.Event())
        assert await slots.take(BIG, asyncio.Event())
        with pytest.raises(Refusal) as caught:
            await slots.take(SMALL, asyncio.Event())
        assert caught.value.problem is OVERLOADED
        assert caught.value.headers == {"Retry-After": "1"}
        assert "no slot was free within 0.05 s; 2 are computed at a time" in caught.value.detail

    assert _play(scene)[-1] == (2, 0)


@pytest.mark.parametrize(("concurrency", "big", "total"), [(1, 1, 2), (2, 1, 2), (4, 3, 4), (8, 6, 8)])
def test_a_share_of_the_slots_is_never_given_to_big_work(concurrency: int, big: int, total: int) -> None:
    """A quarter of the slots, at least one, is free for small work while as much big work as allowed is computed."""

    async def play() -> None:
        slots = Slots(concurrency, 1, SOON)
        assert slots.total == total
        for _ in range(big):
            await slots.take(BIG, asyncio.Event())
        with pytest.raises(Refusal):
            await slots.take(BIG, asyncio.Event())
        for _ in range(total - big):
            slots.check()
            await slots.take(SMALL, asyncio.Event())
        with pytest.raises(Refusal):
            await slots.take(SMALL, asyncio.Event())

    asyncio.run(play())


def test_a_freed_slot_goes_to_the_next_request_in_the_queue() -> None:
    """It gets the slot at once."""

    async def scene(slots: Slots) -> None:
        await slots.take(SMALL, asyncio.Event())
        await slots.take(SMALL, asyncio.Event())
        waiting = asyncio.create_task(slots.take(SMALL, asyncio.Event()))
        await asyncio.sleep(0)
        assert (slots.busy, slots.waiting) == (2, 1)
        slots.give_back(SMALL)
        assert await waiting

    assert _play(scene, 10)[-1] == (2, 0)


def test_big_work_that_waits_does_not_delay_small_work() -> None:
    """The free slot goes to the small request, although the big one came first."""

    async def scene(slots: Slots) -> None:
        await slots.take(BIG, asyncio.Event())
        big = asyncio.create_task(slots.take(BIG, asyncio.Event()))
        await asyncio.sleep(0)
        async with asyncio.timeout(1):
            await slots.take(SMALL, asyncio.Event())
        assert not big.done()
        slots.give_back(BIG)
        assert await big

    _play(scene, 10)


def test_small_work_behind_big_work_in_the_queue_is_not_delayed() -> None:
    """Both wait, the big request first.

    The slot that becomes free is reserved for small work, and goes to the small request.
    """

    async def scene(slots: Slots) -> None:
        await slots.take(BIG, asyncio.Event())
        await slots.take(SMALL, asyncio.Event())
        big = asyncio.create_task(slots.take(BIG, asyncio.Event()))
        small = asyncio.create_task(slots.take(SMALL, asyncio.Event()))
        await asyncio.sleep(0)
        assert slots.waiting == 2
        slots.give_back(SMALL)
        assert slots.waiting == 1
        assert await small
        slots.give_back(BIG)
        assert await big

    _play(scene, 10, queue=2)


def test_if_the_queue_is_full_a_request_is_refused_at_once() -> None:
    """Two requests are computed and one waits. The next is refused at once, until one has ended."""

    async def scene(slots: Slots) -> None:
        await slots.take(SMALL, asyncio.Event())
        await slots.take(SMALL, asyncio.Event())
        slots.check()
        waiting = asyncio.create_task(slots.take(SMALL, asyncio.Event()))
        await asyncio.sleep(0)
        with pytest.raises(Refusal, match="2 requests are being computed and 1 wait"):
            slots.check()
        with pytest.raises(Refusal, match="2 requests are being computed and 1 wait"):
            await slots.take(SMALL, asyncio.Event())
        slots.give_back(SMALL)
        await waiting
        slots.check()

    _play(scene, 10)


def test_a_cancelled_request_leaves_the_queue_and_takes_no_slot() -> None:
    """Its wait ends at once, and the slot that becomes free goes to the next request."""

    async def scene(slots: Slots) -> None:
        gone = asyncio.Event()
        await slots.take(SMALL, asyncio.Event())
        await slots.take(SMALL, asyncio.Event())
        waiting = asyncio.create_task(slots.take(SMALL, gone))
        await asyncio.sleep(0)
        gone.set()
        assert not await waiting
        slots.give_back(SMALL)
        assert (slots.busy, slots.waiting) == (1, 0)

    _play(scene, 10)


def test_a_request_that_turns_out_to_be_big_passes_on_to_the_share_for_big_work() -> None:
    """In its thread, it first frees its slot for small work, then waits."""

    async def scene(slots: Slots) -> None:
        await slots.take(BIG, asyncio.Event())
        await slots.take(SMALL, asyncio.Event())
        with ThreadPoolExecutor(1) as pool:
            waiting = asyncio.get_running_loop().run_in_executor(pool, slots.move_to_big, unlimited)
            while not slots.waiting:
                await asyncio.sleep(0.001)
            await slots.take(SMALL, asyncio.Event())
            slots.give_back(BIG)
            assert 0 < await waiting < 10
        assert (slots.busy, slots.waiting) == (2, 0)

    _play(scene, 10)


@pytest.mark.parametrize("ended", ["in vain", "by its checkpoint", "at the full queue"])
def test_a_request_that_gets_no_slot_for_big_work_has_none(ended: str) -> None:
    """It has neither its earlier slot, nor one that becomes free later."""

    async def scene(slots: Slots) -> None:
        await slots.take(BIG, asyncio.Event())
        await slots.take(SMALL, asyncio.Event())
        if ended == "at the full queue":
            other = asyncio.create_task(slots.take(BIG, asyncio.Event()))
            await asyncio.sleep(0)
        with pytest.raises(Stop if ended == "by its checkpoint" else Refusal):
            slots.move_to_big(_stop if ended == "by its checkpoint" else unlimited)
        assert slots.busy == 1
        slots.give_back(BIG)
        if ended == "at the full queue":
            await other
        assert (slots.busy, slots.waiting) == (int(ended == "at the full queue"), 0)

    _play(scene)


def test_slots_used_by_many_threads_are_all_free_at_the_end() -> None:
    """12 threads run 600 requests that turn out to be big. Never do two of them have the slot at the same time."""
    slots = Slots(2, 100, 10)
    lock, most, inside = threading.Lock(), [0], [0]

    def work() -> None:
        for _ in range(50):
            asyncio.run(slots.take(SMALL, asyncio.Event()))
            slots.move_to_big(unlimited)
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            time.sleep(0)
            with lock:
                inside[0] -= 1
            slots.give_back(BIG)

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (slots.busy, slots.waiting, most) == (0, 0, [1])
