"""The ledger that processes share: concurrent claims stay within the budget, and end with their process."""

import os
import signal
import threading
from collections.abc import Callable

import pytest

from service.resources.ledger import ARRIVING, STAGES, Ledger, ceilings, largest_body, largest_request

# JAX, where another test has loaded it, warns of every fork.
pytestmark = pytest.mark.filterwarnings(r"ignore:os\.fork\(\) was called:RuntimeWarning")

TOTAL = 1600
MIB = 2**20


def _child(scene: Callable[[], None]) -> int:
    """Run a function in a separate process, which must exit with code 0."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            scene()
            code = 0
        finally:
            os._exit(code)
    return pid


def _code(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("total", [16 * MIB, 307 * MIB, 14 * 1024 * MIB])
def test_the_ceilings_leave_room_for_the_largest_request(total: int) -> None:
    """When nothing is computed, the largest request fits beside everything decoded. `memory_budget` relies on that."""
    arriving, decoding, computing, last = ceilings(total)
    assert 0 < arriving < decoding < computing < last == total
    assert largest_request(total) <= computing - decoding
    assert largest_body(total) <= arriving
    assert largest_request(total) > total / 2


@pytest.mark.parametrize("stage", STAGES)
def test_a_claim_fits_up_to_the_ceiling_of_its_stage(stage: int) -> None:
    """It may reach the ceiling exactly. A larger claim changes nothing, and a claim can always shrink."""
    ledger = Ledger(TOTAL)
    row, most = ledger.enter(), ceilings(TOTAL)[stage]
    full = [most if each >= stage else 0 for each in STAGES]
    over = [most + 1 if each == stage else 0 for each in STAGES]
    assert ledger.claim(row, full)
    assert not ledger.claim(row, [max(pair) for pair in zip(full, over, strict=True)])
    assert ledger.claimed(stage) == most
    assert ledger.claim(row, over, beyond=True)
    assert ledger.claim(row, [most] * 4 if stage == ARRIVING else [0] * 4)
    assert ledger.claimed(stage) == (most if stage == ARRIVING else 0)


def test_claims_of_all_processes_count() -> None:
    """A child claims half of the budget. Its parent can claim the other half, and not a byte more."""
    ledger = Ledger(TOTAL, 2)
    row = ledger.enter()
    pid = _child(lambda: _claim_or_fail(ledger, TOTAL // 2))
    assert _code(pid) == 0
    assert not ledger.claim(row, [0, 0, 0, TOTAL // 2 + 1])
    assert ledger.claim(row, [0, 0, 0, TOTAL // 2])
    ledger.leave(pid)
    assert ledger.claimed() == TOTAL // 2


def _claim_or_fail(ledger: Ledger, size: int) -> None:
    assert ledger.claim(ledger.enter(), [0, 0, 0, size])


def test_a_claim_ends_with_the_process_that_was_killed() -> None:
    """The kernel releases its lock, and the master frees its claims."""
    ledger = Ledger(TOTAL, 1)

    def hang() -> None:
        _claim_or_fail(ledger, TOTAL)
        with ledger._locked():
            signal.pause()

    pid = _child(hang)
    while not ledger.claimed():
        pass
    os.kill(pid, signal.SIGKILL)
    assert _code(pid) == -signal.SIGKILL
    ledger.leave(pid)
    assert ledger.claimed() == 0
    assert ledger.claim(ledger.enter(), [0, 0, 0, TOTAL])


def test_a_claim_waits_for_that_of_another_process() -> None:
    """A child holds the lock, so the claim of its parent is made only after the child has ended."""
    ledger = Ledger(TOTAL, 2)
    row, (read, write) = ledger.enter(), os.pipe()

    def hang() -> None:
        with ledger._locked():
            os.write(write, b"!")
            signal.pause()

    pid = _child(hang)
    assert os.read(read, 1) == b"!"
    claim = threading.Thread(target=ledger.claim, args=(row, [0, 0, 0, 1]))
    claim.start()
    claim.join(0.2)
    assert claim.is_alive()
    assert ledger.claimed() == 0
    os.kill(pid, signal.SIGKILL)
    assert _code(pid) == -signal.SIGKILL
    claim.join(10)
    assert ledger.claimed() == 1
    os.close(read)
    os.close(write)


def test_processes_that_claim_at_the_same_time_never_claim_too_much() -> None:
    """Four processes make 2,000 claims each, of a third of the budget. Never are more than three of them in force."""
    ledger = Ledger(3, 4)
    ours = Ledger(1 << 40)  # of which a column counts what is wrong

    def compete() -> None:
        row = ledger.enter()
        for _ in range(2000):
            if ledger.claim(row, [0, 0, 0, 1]):
                if ledger.claimed() > 3:
                    ours.want(0, 1)
                ledger.claim(row, [0, 0, 0, 0])

    pids = [_child(compete) for _ in range(4)]
    assert [_code(pid) for pid in pids] == [0] * 4
    assert not ours.others_want(1)
    assert ledger.claimed() == 0


def test_a_process_sees_whether_requests_of_another_one_wait() -> None:
    """Its own waiting requests do not count."""
    ledger = Ledger(TOTAL, 2)
    one, other = ledger.enter(), ledger.enter()
    ledger.want(one, 2)
    assert ledger.others_want(other)
    assert not ledger.others_want(one)


def test_rows_are_reused_and_their_number_is_bounded() -> None:
    """There are two for each worker and 16 more, so all workers can be replaced at the same time."""
    ledger = Ledger(TOTAL, 2)
    assert [ledger.enter() for _ in range(20)] == list(range(20))
    with pytest.raises(RuntimeError, match="no room for more than 20 processes"):
        ledger.enter()
    ledger.leave(os.getpid())
    assert ledger.enter() == 0
