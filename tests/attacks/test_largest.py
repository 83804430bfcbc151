"""The largest allowed requests: forty at once, over a deadline, and from clients that disconnect."""

import time
from collections.abc import Iterator

import pytest

from tests.attacks.arena import Arena, Attack, arena
from tests.attacks.bodies import Body
from tests.attacks.largest import DEADLINE, FAMILIES, largest
from tests.attacks.processes import cpu_seconds
from tests.attacks.rows import ANY, WORK
from tests.attacks.senders import Leavers, Posts, Together, exchange, message
from tests.serving import Server, wait_until

IN_FLIGHT = "chainrule_requests_in_flight"
FREE = 1.0  # seconds within which work ends after its deadline, or after its client has disconnected
NOISE = 0.3  # seconds more that a poll or a busy machine may add
Largest = dict[str, Body]


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """A service whose work ends after half a second."""
    with arena(tmp_path_factory.mktemp("hasty") / "log", WORK_SECONDS=DEADLINE) as made:
        yield made


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """A service with the default settings."""
    with arena(tmp_path_factory.mktemp("patient") / "log") as made:
        made.measure_baseline()
        yield made


@pytest.fixture(scope="module")
def bodies(hasty: Arena) -> Largest:
    """The largest request of each family."""
    return {name: largest(hasty.server, family) for name, family in FAMILIES.items()}


@pytest.mark.parametrize("name", FAMILIES)
def test_work_ends_within_a_second_of_its_deadline(hasty: Arena, bodies: Largest, name: str) -> None:
    """The answer is 503 work-timed-out, or a result. Then no request is in flight, and no process computes."""
    server = hasty.server
    wait_until(lambda: server.metric(IN_FLIGHT) == 0, "what came before to end")
    pieces = message(FAMILIES[name].path, bodies[name](), "gzip")
    start = time.monotonic()
    answer = exchange(server, pieces, start + 30)
    assert answer.status == 200 or answer.problem == "work-timed-out", answer
    assert answer.status == 503 or not FAMILIES[name].slow, answer
    wait_until(lambda: server.metric(IN_FLIGHT) == 0, "the work to end", FREE + NOISE)
    assert _cpu_of_a_second(server) < NOISE


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if family.slow])
def test_work_ends_when_its_clients_disconnect(patient: Arena, bodies: Largest, name: str) -> None:
    """A second after eight clients have disconnected, nothing computes for them."""
    server = patient.server
    Leavers(FAMILIES[name].path, bodies[name], 8, stay=1.5)(server, time.monotonic() + 30)
    time.sleep(FREE)
    assert _cpu_of_a_second(server) < NOISE
    assert server.metric(IN_FLIGHT) == 0


@pytest.mark.parametrize("name", ["samples of verified layers", "samples of checked layers"])
def test_small_requests_are_answered_while_eight_big_ones_run(patient: Arena, bodies: Largest, name: str) -> None:
    """Small requests are answered within a second meanwhile."""
    send = Posts(FAMILIES[name].path, bodies[name], 8, "gzip")
    assert patient.run(Attack(f"eight at once: {name}", send, 8 * WORK, ANY, seconds=60)) == []


@pytest.mark.parametrize("coding", [None, "gzip"])
def test_forty_of_the_largest_requests_at_once_kill_no_process(
    patient: Arena, bodies: Largest, coding: str | None
) -> None:
    """Some of every family. Most get 503 with Retry-After."""
    times = -(-40 // len(FAMILIES))
    senders = tuple(Posts(FAMILIES[name].path, body, times, coding) for name, body in bodies.items())
    attack = Attack(f"forty of the largest in {coding}", Together(senders), 40 * WORK, ANY, seconds=90)
    assert patient.run(attack) == []


def _cpu_of_a_second(server: Server) -> float:
    before = cpu_seconds(server.process.pid)
    time.sleep(1)
    return cpu_seconds(server.process.pid) - before
