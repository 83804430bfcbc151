"""The memory budget of one process: which requests get memory, which wait, and that there is no deadlock."""

import asyncio
import random
import threading
import time
from collections.abc import Callable

import pytest

from chainrule.checkpoint import unlimited
from service.problems import OVERLOADED, Refusal
from service.resources import malloc
from service.resources.ledger import ARRIVING, COMPUTING, DECODING, LAST, Ledger, largest_request
from service.resources.memory_budget import Budget, Holding, kept_bytes

MIB = 2**20
TOTAL = 160 * MIB


class Stop(Exception):
    """An exception that a checkpoint raises."""


def _budget(seconds: float = 0.1, total: int = TOTAL, workers: int = 1) -> tuple[Budget, Ledger]:
    ledger = Ledger(total, workers)
    return Budget(ledger, seconds), ledger


def _refusal(act: Callable[[], object]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        act()
    return caught.value


def test_a_request_waits_for_memory_until_there_is_some() -> None:
    """Another request frees it a tenth of a second later, and the result is the time waited."""
    budget, _ = _budget(10)
    first, second = Holding(budget), Holding(budget)
    first.admit(80 * MIB, unlimited)
    timer = threading.Timer(0.1, first.release)
    timer.start()
    assert 0.05 < second.admit(80 * MIB, unlimited) < 5
    assert budget.used == second.size == 80 * MIB
    timer.join()


def test_a_request_without_memory_gets_503_with_retry_after() -> None:
    """The answer is 503 with Retry-After, counted under the reason memory.

    The request keeps its memory until it ends.
    """
    budget, ledger = _budget()
    Holding(budget).admit(80 * MIB, unlimited)
    waiting = Holding(budget)
    assert waiting.add(ARRIVING, MIB)
    refusal = _refusal(lambda: waiting.admit(80 * MIB, unlimited))
    assert (refusal.problem, refusal.reason, refusal.headers) == (OVERLOADED, "memory", {"Retry-After": "1"})
    assert "CHAINRULE_MEMORY_BYTES" in refusal.detail
    assert waiting.size == MIB
    assert not ledger.others_want(-1)


def test_a_request_that_waits_for_memory_obeys_its_deadline() -> None:
    """A request whose client has disconnected stops waiting."""
    budget, _ = _budget(10)
    Holding(budget).admit(80 * MIB, unlimited)

    def stop() -> None:
        raise Stop

    with pytest.raises(Stop):
        Holding(budget).admit(80 * MIB, stop)


def test_requests_get_memory_in_the_order_of_their_arrival() -> None:
    """This holds even if a later request would fit at once: otherwise a big request could wait for ever."""
    budget, _ = _budget(10)
    first = Holding(budget)
    first.admit(70 * MIB, unlimited)
    order: list[str] = []

    def ask(name: str, size: int) -> None:
        holding = Holding(budget)
        holding.admit(size, unlimited)
        order.append(name)
        holding.release()

    threads = [threading.Thread(target=ask, args=case) for case in (("big", 90 * MIB), ("small", 20 * MIB))]
    for thread in threads:
        thread.start()
        time.sleep(0.1)
    first.release()
    for thread in threads:
        thread.join(10)
    assert order == ["big", "small"]


def test_the_admitted_memory_is_all_memory_of_the_request() -> None:
    """It includes the body and the decoded document, so that these are not counted twice."""
    budget, _ = _budget()
    holding = Holding(budget)
    holding.add(ARRIVING, 10 * MIB)
    holding.reserve(15 * MIB, unlimited)
    assert holding.size == 25 * MIB
    holding.admit(90 * MIB, unlimited)
    assert budget.used == 90 * MIB
    holding.become(LAST, MIB)
    assert budget.used == MIB
    holding.release()
    assert budget.used == 0


def test_expensive_decoding_counts_as_the_largest_request() -> None:
    """So it never waits again. Otherwise two such requests would wait for each other."""
    budget, _ = _budget()
    holding = Holding(budget)
    holding.reserve(budget.largest_decoding + 1, unlimited)
    assert holding.size == largest_request(TOTAL)
    assert _refusal(lambda: Holding(budget).reserve(budget.largest_decoding + 1, unlimited))
    assert holding.reserve(50 * MIB, unlimited) == 0
    holding.admit(50 * MIB, unlimited)
    assert budget.used == 50 * MIB


def test_requests_up_to_the_largest_get_memory_beside_all_that_is_decoded() -> None:
    """Bodies and documents fill their stages. Each request can still be computed, one after the other."""
    budget, _ = _budget(0.2)
    holdings = [Holding(budget) for _ in range(3)]
    for holding in holdings:
        assert holding.add(ARRIVING, 40 * MIB // 3)
        holding.reserve(20 * MIB // 3, unlimited)
    assert not Holding(budget).add(ARRIVING, MIB)
    for holding in holdings:
        holding.admit(largest_request(TOTAL), unlimited)
        holding.release()


def test_small_requests_find_memory_while_big_ones_take_all_of_theirs() -> None:
    """A sixteenth of the budget is reserved for small requests."""
    budget, _ = _budget()
    for size in (90 * MIB, 60 * MIB):
        Holding(budget).admit(size, unlimited)
    assert _refusal(lambda: Holding(budget).admit(5 * MIB, unlimited))
    assert Holding(budget).admit(4 * MIB, unlimited) == 0


@pytest.mark.parametrize("seed", range(3))
def test_requests_that_hold_memory_and_wait_for_more_never_block_each_other(seed: int) -> None:
    """Forty requests at once, each with any decoding and computing that is allowed. All of them finish."""
    budget, ledger = _budget(30, 8 * MIB)
    failures: list[BaseException] = []

    def ask(choose: random.Random) -> None:
        holding = Holding(budget)
        try:
            size = choose.randint(1, MIB // 2)
            while not holding.add(ARRIVING, size):
                time.sleep(0.001)
            holding.reserve(choose.randint(1, 3 * MIB // 2), unlimited)
            time.sleep(0.001)
            holding.admit(choose.choice([size, largest_request(8 * MIB)]), unlimited)
            time.sleep(0.001)
        except Refusal as refusal:
            failures.append(refusal)
        holding.release()

    threads = [threading.Thread(target=ask, args=(random.Random(100 * seed + k),)) for k in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert budget.used == 0
    budget.settle()
    assert ledger.claimed() == 0


def test_processes_claim_in_chunks_and_give_back_what_they_do_not_need() -> None:
    """A small request does not touch the ledger. Freed memory first returns to the system."""
    budget, ledger = _budget()
    holding = Holding(budget)
    holding.add(LAST, 1000)
    claimed = ledger.claimed()
    assert claimed > 10_000
    holding.add(LAST, 1000)
    assert ledger.claimed() == claimed
    budget.settle(claimed)
    assert ledger.claimed() == claimed
    budget.settle()
    assert ledger.claimed() == 2000


def test_a_claim_ends_only_when_the_memory_is_back_with_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that is freed meanwhile keeps its claim, because the C library may still hold it."""
    budget, ledger = _budget()
    holding = Holding(budget)
    holding.add(COMPUTING, 20 * MIB)
    holding.add(COMPUTING, -10 * MIB)
    spare = ledger.claimed() - budget.used
    monkeypatch.setattr(malloc, "give_back", lambda: holding.add(COMPUTING, -5 * MIB))
    before = ledger.claimed()
    budget.settle()
    assert ledger.claimed() == before - spare == budget.used + 5 * MIB


@pytest.mark.parametrize("kept", [True, False])
def test_freed_memory_above_the_share_is_returned_at_once(kept: bool) -> None:
    """Each of two processes may keep an eighth of the budget."""
    budget, ledger = _budget(workers=2)
    holding = Holding(budget)
    holding.admit(10 * MIB if kept else 60 * MIB, unlimited)
    holding.release()
    budget.settle_after_work()
    assert (ledger.claimed() > 0) == kept
    assert kept_bytes(TOTAL, 2) == 20 * MIB


def test_unused_memory_is_returned_when_another_process_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process returns its unused claim at once, long before it would do so by itself."""
    monkeypatch.setattr("service.resources.memory_budget._TICKS", 10**9)
    ledger = Ledger(TOTAL, 2)
    idle, busy = Budget(ledger, 10), Budget(ledger, 10)
    holding = Holding(idle)
    holding.admit(90 * MIB, unlimited)
    holding.release()
    assert not Holding(busy).become(COMPUTING, 90 * MIB)

    async def wait() -> float:
        idle.watch(asyncio.get_running_loop())
        return await asyncio.to_thread(Holding(busy).admit, 90 * MIB, unlimited)

    assert 0 < asyncio.run(wait()) < 10


def test_the_stage_of_decoding_has_a_ceiling() -> None:
    """A request that exceeds it keeps what it already holds."""
    budget, _ = _budget()
    holding = Holding(budget)
    assert holding.add(DECODING, 60 * MIB)
    assert not holding.add(DECODING, 1)
    assert not holding.add(ARRIVING, 1)
    assert holding.size == 60 * MIB
    assert holding.add(COMPUTING, 1)
