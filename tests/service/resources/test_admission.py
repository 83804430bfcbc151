"""Admission: which requests the event loop computes, what a request in a thread waits for, and what it frees."""

import asyncio

import pytest
from flask import Flask, g

from chainrule.cost import Part, cost_of
from service.app import create_app
from service.problems import OVERLOADED, Refusal
from service.resources.admission import (
    ADMISSION,
    LOOP_MEMORY,
    LOOP_SECONDS,
    MOST_IN_PORTIONS,
    SMALL_SECONDS,
    InThread,
    OnLoop,
    Postponed,
    admit,
    first_seconds,
    kind_of,
    reserve,
)
from service.resources.concurrency import Slots, Work
from service.resources.deadline import Deadline
from service.resources.ledger import COMPUTING, Ledger
from service.resources.memory_budget import Budget, Holding
from tests.costs import CHECKS, Asked

MIB = 2**20
TOTAL = 160 * MIB


class Place:
    """A request in a thread, with two slots (one for big work) and a budget of 160 MiB."""

    def __init__(self, work: Work = Work.SMALL) -> None:
        self.slots = Slots(2, 1, 0.1)
        self.budget = Budget(Ledger(TOTAL), 5)
        self.holding, self.deadline = Holding(self.budget), Deadline(100)
        asyncio.run(self.slots.take(work, asyncio.Event()))
        self.thread = InThread(self.slots, work, self.budget, self.holding, self.deadline)

    def take(self, work: Work) -> None:
        """Take a slot for another request."""
        asyncio.run(self.slots.take(work, asyncio.Event()))


def test_the_loop_lets_through_what_is_small() -> None:
    """Up to and including two milliseconds and four megabytes."""
    OnLoop().reserve(LOOP_MEMORY)
    OnLoop().admit(LOOP_SECONDS, LOOP_MEMORY)


@pytest.mark.parametrize(
    ("seconds", "memory", "work"),
    [
        (2 * LOOP_SECONDS, 0, Work.SMALL),
        (0, LOOP_MEMORY + 1, Work.SMALL),
        (2 * SMALL_SECONDS, 0, Work.BIG),
    ],
)
def test_the_loop_postpones_larger_requests_with_their_kind_of_work(seconds: float, memory: int, work: Work) -> None:
    """So the request then waits for a slot of the right kind."""
    with pytest.raises(Postponed) as caught:
        OnLoop().admit(seconds, memory)
    assert caught.value.work is work


def test_the_loop_postpones_a_body_that_is_expensive_to_decode() -> None:
    """The work is not known before the body is decoded."""
    with pytest.raises(Postponed) as caught:
        OnLoop().reserve(LOOP_MEMORY + 1)
    assert caught.value.work is Work.SMALL


def test_big_work_passes_on_to_a_slot_of_its_kind() -> None:
    """Then it takes its memory. At the end it frees the slot, and all memory except that of the answer."""
    place = Place()
    place.thread.reserve(MIB)
    place.thread.admit(2 * SMALL_SECONDS, 20 * MIB)
    with pytest.raises(Refusal):
        place.take(Work.BIG)
    assert place.holding.size == 20 * MIB
    place.thread.end(1000)
    assert (place.slots.busy, place.holding.size) == (0, 1000)


def test_small_work_keeps_its_slot() -> None:
    """Work up to a tenth of a second is small."""
    place = Place()
    place.take(Work.BIG)
    assert place.thread.admit(SMALL_SECONDS, MIB) == 0
    assert place.slots.busy == 2


def test_work_already_known_to_be_big_does_not_wait_for_a_second_slot() -> None:
    """It already has a slot for big work, because the loop had postponed it."""
    place = Place(Work.BIG)
    assert place.thread.admit(2 * SMALL_SECONDS, MIB) == 0
    place.thread.end(0)
    assert place.slots.busy == 0


def test_a_request_that_gets_no_slot_frees_none() -> None:
    """Its answer is a refusal, which takes almost no work."""
    place = Place()
    place.take(Work.BIG)
    with pytest.raises(Refusal) as caught:
        place.thread.admit(2 * SMALL_SECONDS, MIB)
    assert caught.value.problem is OVERLOADED
    place.thread.end(500)
    assert place.slots.busy == 1


def test_waiting_does_not_count_as_work() -> None:
    """The deadline moves by the time in which the request waits for memory."""
    place = Place()
    other = Holding(place.budget)
    other.become(COMPUTING, 140 * MIB)
    place.thread.reserve(MIB)
    before = place.deadline.left
    asyncio.run(_release_soon(other, place))
    assert place.deadline.left > before - 0.2


async def _release_soon(other: Holding, place: Place) -> None:
    asyncio.get_running_loop().call_later(0.4, other.release)
    assert await asyncio.to_thread(place.thread.admit, 0.0, 20 * MIB) > 0.2


def test_work_is_classified_by_its_seconds() -> None:
    """The threshold is a tenth of a second of the reference core."""
    assert [kind_of(seconds) for seconds in (0, SMALL_SECONDS, 1.01 * SMALL_SECONDS)] == [
        Work.SMALL,
        Work.SMALL,
        Work.BIG,
    ]


def test_without_a_server_everything_is_admitted() -> None:
    """As in tests and notebooks."""
    with Flask("app").test_request_context():
        reserve(10**12)
        admit(1e6, 10**12)


def test_a_request_with_much_memory_gets_its_slot_before_its_work() -> None:
    """Else it could wait, during its work, for the slot of a request that waits for its memory."""
    for memory, seconds in ((MOST_IN_PORTIONS, 1.0), (MOST_IN_PORTIONS + 1, 3.0)):
        cost = cost_of([Part("", (), "", 1.0), Part("", (), "", 2.0, memory, optional=2.0)])
        assert first_seconds(cost) == seconds


def test_work_that_grows_passes_on_to_a_slot_for_big_work() -> None:
    """Small portions keep their slot. If there is no slot for big work in time, the work ends with a refusal."""
    place = Place()
    place.take(Work.BIG)
    for seconds in (0.25 * SMALL_SECONDS, SMALL_SECONDS):
        assert place.thread.admit(seconds, MIB) == 0
    with pytest.raises(Refusal):
        place.thread.admit(2 * SMALL_SECONDS, MIB)
    free = Place()
    for times in (0.5, 2, 4):
        assert free.thread.admit(times * SMALL_SECONDS, MIB) == 0
    with pytest.raises(Refusal):
        free.take(Work.BIG)


@pytest.mark.parametrize("candidate", ["right", "weights"])
def test_a_check_is_admitted_in_portions(candidate: str) -> None:
    """Right gradients need no slot for big work. Others get one in the middle, for less than the largest cost."""
    admitted: list[tuple[float, int]] = []

    class Recording:
        def reserve(self, memory: int) -> float:
            return 0.0

        def admit(self, seconds: float, memory: int) -> float:
            admitted.append((seconds, memory))
            return 0.0

    asked = Asked(CHECKS, (2, 3, 2), ("sigmoid", "sigmoid"), candidate=candidate)
    app = create_app()
    recorded: list[float] = []
    app.teardown_request(lambda _: recorded.append(g.work_seconds))
    answer = app.test_client().post(
        "/v1/gradient-checks",
        data=asked.body,
        content_type="application/json",
        environ_overrides={ADMISSION: Recording()},
    )
    seconds, memory = zip(*admitted, strict=True)
    assert answer.status_code == 200
    assert seconds[0] == asked.predicted().first_seconds < SMALL_SECONDS
    assert list(seconds) == sorted(set(seconds))
    assert set(memory) == {asked.predicted().memory}
    big = [kind_of(each) is Work.BIG for each in seconds]
    assert any(big) == (candidate == "weights")
    assert seconds[-1] == recorded[-1] == asked.admitted() < asked.predicted().seconds


def test_the_wait_in_a_thread_is_part_of_the_stage_queue() -> None:
    """It is added to the wait on the event loop."""

    class Waiting:
        def reserve(self, memory: int) -> float:
            return 0.25

        def admit(self, seconds: float, memory: int) -> float:
            return 0.5

    with Flask("app").test_request_context(environ_overrides={ADMISSION: Waiting()}):
        g.stages = {"queue": 1.0}
        reserve(1)
        admit(1, 1)
        assert g.stages == {"queue": 1.75}
