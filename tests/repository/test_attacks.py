"""The code that measures attacks detects every violation of their bounds."""

import json
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from tests.attacks import hostile
from tests.attacks.arena import (
    KEPT,
    LARGEST_REFUSAL,
    MEMORY,
    NOISE,
    SLOWEST,
    Attack,
    Measured,
    about_answers,
    about_cost,
    about_good_clients,
    about_log,
)
from tests.attacks.processes import cpu_seconds, memory, memory_cgroup, session, tree
from tests.attacks.rows import ATTACKS
from tests.attacks.senders import Answer
from tests.attacks.witness import Report

PROBLEM = json.dumps({"type": "/problems/invalid-request", "status": 422}).encode()
ROW = Attack(
    "a row",
    lambda server, until: [],
    cpu=1.0,
    growth=10,
    alike=True,
    problems=frozenset({"invalid-request", "limit-exceeded"}),
)
SOUND = Measured("a row", [Answer(422, 0.1, 100, PROBLEM)] * 2, Report(answered=3, slowest=0.1, peak=105), 0.9, 5)

WAIT = "import sys; print('ready', flush=True); sys.stdin.read()"
BURN = f"import time\nwhile time.process_time() < 0.4: pass\n{WAIT}"
HOLD = f"held = bytearray(b'x') * 40_000_000\n{WAIT}"
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]], check=False)"


def _child(code: str, measured: Callable[[int], float]) -> float:
    """The measurements of a process whose child runs this code."""
    command = [sys.executable, "-c", PARENT, code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = measured(process.pid)
        process.communicate()
    return found


def test_the_cost_of_a_tree_of_processes_includes_its_children() -> None:
    """A child takes 0.4 s of CPU and 40 MB, measured by its parent's id."""
    assert _child(WAIT, lambda pid: len(tree(pid))) == 2
    assert 0.4 <= _child(BURN, cpu_seconds) < 2
    assert 40e6 < _child(HOLD, memory) < 100e6
    assert _child(WAIT, memory) < 40e6


def test_the_processes_of_a_session_are_those_that_still_run() -> None:
    """A zombie process does not count."""
    command = [sys.executable, "-c", PARENT, WAIT]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        assert len(session(process.pid)) == 2
        assert process.stdin is not None
        process.stdin.close()
        deadline = time.monotonic() + 20
        while session(process.pid):
            assert time.monotonic() < deadline


def test_a_cgroup_bounds_the_memory_and_counts_the_killed_processes() -> None:
    """100 MB in 50 MiB. If no cgroup can be created, the attacks add up the memory of the processes."""
    with memory_cgroup(50 * 2**20) as cgroup:
        if cgroup is None:
            return
        assert cgroup.kills == 0
        command = cgroup.command([sys.executable, "-c", "held = bytearray(b'x') * 100_000_000"])
        assert subprocess.run(command, check=False).returncode != 0
        assert cgroup.kills == 1
    assert not cgroup.folder.exists()


def test_an_attack_within_its_bounds_is_not_reported() -> None:
    """Otherwise the tests below would show nothing."""
    assert _complaints(SOUND) == []


def _complaints(found: Measured) -> list[str]:
    """All complaints that need no server, with 100 bytes at rest."""
    parts = about_answers(ROW, found.answers), about_good_clients(found.seen), about_cost(ROW, found, 100)
    return [text for part in (*parts, about_log(found)) for text in part]


LARGE = Answer(422, 0.1, LARGEST_REFUSAL + 1, PROBLEM)
OTHER = json.dumps({"type": "/problems/limit-exceeded", "status": 422}).encode()
UNSOUND = {
    "a 500": Measured("", [Answer(500, 0.1, 100, PROBLEM)], SOUND.seen, 0.9, 5),
    "no answer": Measured("", [Answer(0, 0.1)], SOUND.seen, 0.9, 5),
    "a large refusal": Measured("", [LARGE], SOUND.seen, 0.9, 5),
    "another status in the document": Measured("", [Answer(400, 0.1, 100, PROBLEM)], SOUND.seen, 0.9, 5),
    "another problem": Measured("", [Answer(422, 0.1, 99, OTHER.replace(b"limit-e", b"e"))], SOUND.seen, 0.9, 5),
    "another answer to another form": Measured("", [*SOUND.answers, Answer(422, 0.1, 99, OTHER)], SOUND.seen, 0.9, 6),
    "a good client that failed": Measured("", [], Report(answered=3, failures=["503"]), 0.9, 5),
    "nobody answered": Measured("", [], Report(), 0.9, 5),
    "a slow answer": Measured("", [], Report(answered=3, slowest=SLOWEST + 0.2, late=0.1), 0.9, 5),
    "too much CPU": Measured("", [], SOUND.seen, 1.1 + NOISE, 5),
    "too much memory": Measured("", [], Report(answered=3, peak=111 + KEPT), 0.9, 5),
    "an answer without a line in the log": Measured("", SOUND.answers, SOUND.seen, 0.9, 4),
}


@pytest.mark.parametrize("found", UNSOUND.values(), ids=UNSOUND)
def test_every_violated_condition_is_reported(found: Measured) -> None:
    """Each violation gives one complaint."""
    assert len(_complaints(found)) == 1


def test_no_attack_may_use_more_memory_than_the_cgroup_has() -> None:
    """For any bound of its row, and any memory of the idle service."""
    found = Measured("", [], Report(answered=3, peak=MEMORY + 1), 0.9, 5)
    assert len(list(about_cost(Attack("", ROW.send, 1.0), found, MEMORY))) == 1


def test_each_attack_has_a_unique_name() -> None:
    """All kinds of attacks occur."""
    names = [attack.name for attack in ATTACKS]
    assert len(set(names)) == len(names) > 60


def test_a_hostile_stream_can_be_made_again() -> None:
    """It depends only on its seed and index."""
    assert hostile.stream(3, 5) == hostile.stream(3, 5)
    assert hostile.stream(3, 5) != hostile.stream(3, 6)
    assert hostile.stream(3, 5) != hostile.stream(4, 5)


HEAD = b"HTTP/1.1 422 X\r\nContent-Length: %d\r\nContent-Type: application/%b\r\n\r\n"


@pytest.mark.parametrize(
    ("received", "statuses"),
    [
        (2 * (HEAD % (len(PROBLEM), b"problem+json") + PROBLEM), [422, 422]),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD % (0, b"problem+json"), [422]),
        (HEAD % (0, b"problem+json") + 2 * hostile.INTERIM, [422]),
        (HEAD % (2, b"json") + b"{}", [hostile.UNREADABLE]),
        (HEAD % (9, b"problem+json") + b"{}", [hostile.UNREADABLE]),
        (b"<html>", [hostile.UNREADABLE]),
    ],
    ids=["two", "after a 100", "before a 100", "no problem document", "cut short", "no HTTP"],
)
def test_an_answer_that_is_not_the_services_is_reported(received: bytes, statuses: list[int]) -> None:
    """The answers are read one after the other from the received bytes."""
    assert [answer.status for answer in hostile.answers(received, 0.0)] == statuses
