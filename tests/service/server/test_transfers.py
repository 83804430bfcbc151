"""Clients that send and read: when memory is short the slowest is dropped, but none within its first second."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from service.problems import OVERLOADED, Refusal
from service.resources.ledger import ARRIVING, Ledger, ceilings
from service.resources.memory_budget import Budget, Holding
from service.server.transfers import Transfer

MIB = 2**20
TOTAL = 160 * MIB  # 40 MiB of them for bodies


class Clock(asyncio.SelectorEventLoop):
    """An event loop whose clock the test can advance."""

    later = 0.0

    def time(self) -> float:
        """The real time plus the seconds that the test has added."""
        return super().time() + self.later


def _play(scene: Callable[[Budget, Clock], Coroutine[Any, Any, None]]) -> None:
    """Run a scene with a budget of 160 MiB, in which requests wait a fifth of a second for memory."""
    clock = Clock()
    with asyncio.Runner(loop_factory=lambda: clock) as runner:
        runner.run(asyncio.wait_for(scene(Budget(Ledger(TOTAL), 0.2), clock), 20))


async def _transfer(budget: Budget, size: int, moved: int) -> tuple[Transfer, asyncio.Task[str]]:
    """A running transfer that has moved so many bytes; its task returns how it ended."""
    transfer = Transfer(budget)
    transfer.holding.become(ARRIVING, size, beyond=True)

    given_up = asyncio.Event()

    async def part() -> str:
        transfer.begin(1000, given_up.set)
        await given_up.wait()
        transfer.end()
        return "given up"

    task = asyncio.create_task(part())
    await asyncio.sleep(0)
    transfer.moved = moved
    return transfer, task


def test_the_slowest_client_is_dropped() -> None:
    """Two clients hold bodies of 15 and 25 MiB. The slower one is dropped, and a third client has room."""

    async def scene(budget: Budget, clock: Clock) -> None:
        _, fast = await _transfer(budget, 25 * MIB, 50)
        _, slow = await _transfer(budget, 15 * MIB, 5)
        clock.later = 2.0
        new = Transfer(budget)
        new.take_in(10 * MIB)
        assert budget.used == 35 * MIB
        assert await slow == "given up"
        assert not fast.done()
        fast.cancel()

    _play(scene)


def test_a_client_is_given_up_when_its_time_is_over() -> None:
    """Not before, and not if it has ended."""

    async def scene(budget: Budget, clock: Clock) -> None:
        _, task = await _transfer(budget, 0, 0)
        ended, other = await _transfer(budget, 0, 0)
        ended.end()
        budget.watch(clock)
        assert len(budget.transfers) == 1
        clock.later = 1001.0
        budget.watch(clock)
        assert await task == "given up"
        assert not budget.transfers
        assert not other.done()
        other.cancel()

    _play(scene)


def test_a_client_without_memory_is_not_dropped() -> None:
    """Dropping it would free nothing: a client that has announced a body and sent none is slow, but takes no memory."""

    async def scene(budget: Budget, clock: Clock) -> None:
        _, idle = await _transfer(budget, 0, 0)
        _, slow = await _transfer(budget, MIB, 5)
        clock.later = 2.0
        assert budget.drop_slowest()
        assert await slow == "given up"
        assert not budget.drop_slowest()
        assert not idle.done()
        idle.cancel()

    _play(scene)


def test_no_client_counts_as_slow_within_its_first_second() -> None:
    """A body without room in the budget is then received no further, and refused after CHAINRULE_QUEUE_SECONDS."""

    async def scene(budget: Budget, clock: Clock) -> None:
        _, first = await _transfer(budget, 40 * MIB, 0)
        new = Transfer(budget)
        new.take_in(MIB)
        received: list[str] = []

        async def receive() -> None:
            received.append("more")

        with pytest.raises(Refusal) as caught:
            await new.paced(receive)()
        assert (caught.value.problem, caught.value.reason) == (OVERLOADED, "memory")
        assert caught.value.headers == {"Retry-After": "1"}
        assert received == []
        assert not first.done()
        first.cancel()

    _play(scene)


def test_a_waiting_body_continues_when_there_is_memory() -> None:
    """The bytes received before are counted although the budget had no room for them."""

    async def scene(budget: Budget, clock: Clock) -> None:
        first, task = await _transfer(budget, 40 * MIB, 0)
        new = Transfer(budget)
        new.take_in(MIB)
        assert budget.used == 41 * MIB
        asyncio.get_running_loop().call_later(0.05, first.holding.release)

        async def receive() -> str:
            return "more"

        assert await new.paced(receive)() == "more"
        assert await new.paced(receive)() == "more"
        task.cancel()

    _play(scene)


def test_bodies_exceed_their_part_of_the_budget_by_a_sixteenth_of_it_at_most() -> None:
    """Without this bound, a thousand clients could each send one more piece, which would double the memory."""

    async def scene(budget: Budget, clock: Clock) -> None:
        _, first = await _transfer(budget, 40 * MIB, 0)
        refused = 0
        for _ in range(100):
            try:
                Transfer(budget).take_in(MIB)
            except Refusal:
                refused += 1
        assert refused > 80
        assert budget.used <= ceilings(TOTAL)[ARRIVING] + TOTAL // 16 + MIB
        first.cancel()

    _play(scene)


def test_small_bodies_do_not_count_with_the_large_ones() -> None:
    """A small request is received while large bodies fill their part of the budget."""

    async def scene(budget: Budget, clock: Clock) -> None:
        _, first = await _transfer(budget, 40 * MIB, 0)
        small = Transfer(budget)
        small.take_in(16 * 1024)
        small.make_room(64 * 1024)

        async def receive() -> str:
            return "at once"

        assert await small.paced(receive)() == "at once"
        first.cancel()

    _play(scene)


def test_a_small_request_is_refused_if_no_memory_is_left() -> None:
    """Answers that clients read fill the budget, and none of them has taken a second yet."""

    async def scene(budget: Budget, clock: Clock) -> None:
        reader = Transfer(budget)
        reader.hold_answer(TOTAL)
        with pytest.raises(Refusal):
            Transfer(budget).make_room(1)
        new = Transfer(budget)
        new.hold_answer(MIB)
        assert budget.used == TOTAL + MIB

    _play(scene)


def test_memory_of_abandoned_work_stays_counted_until_it_ends() -> None:
    """The memory stays counted until the work ends, and not for the refusal that the client gets."""

    async def scene(budget: Budget, clock: Clock) -> None:
        transfer = Transfer(budget)
        transfer.take_in(MIB)
        held = transfer.hand_over_holding()
        transfer.holding.release()
        assert budget.used == held.size == MIB
        held.release()
        held.release()
        assert budget.used == 0

    _play(scene)


def test_a_dropped_client_holds_no_memory() -> None:
    """Its memory is free at once, before its task ends."""

    async def scene(budget: Budget, clock: Clock) -> None:
        transfer, task = await _transfer(budget, MIB, 1)
        transfer.drop()
        assert budget.used == 0
        assert not budget.transfers
        assert await task == "given up"
        assert isinstance(transfer.holding, Holding)

    _play(scene)
