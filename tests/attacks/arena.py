"""The service with default settings in a cgroup of 512 MiB, and the conditions that must hold under an attack."""

import contextlib
import itertools
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.attacks.processes import Cgroup, cpu_seconds, memory, memory_cgroup
from tests.attacks.senders import Answer, Sender
from tests.attacks.witness import Report, witness
from tests.serving import COMMAND, Server, serving

MEMORY = 512 * 2**20  # bytes of all processes of the service
BUDGET = MEMORY * 6 // 10  # CHAINRULE_MEMORY_BYTES, which must be set if there is no cgroup
SLOWEST = 1.0  # seconds that a small valid request may take during an attack
LARGEST_REFUSAL = 64 * 1024  # bytes
REFUSED = frozenset({400, 408, 413, 415, 422, 431, 501, 503})
_SETTLED = 10.0  # seconds after an attack, within which everything must be freed
NOISE = 1.5  # seconds of CPU: the variation of good clients, health checks and freed memory
KEPT = 112 * 2**20  # bytes that two workers may keep after attacks: freed, or in pages that small objects share
_STATE = "chainrule_requests_in_flight"


@dataclass(frozen=True)
class Attack:
    """One row: the attack, and its bounds for CPU time and memory."""

    name: str
    send: Sender
    cpu: float  # most CPU seconds of all processes of the service, without those for good clients
    statuses: frozenset[int] = REFUSED
    growth: int = MEMORY  # most bytes in addition to those of the idle service
    seconds: float = 30.0  # most seconds that the attackers wait
    alike: bool = False  # whether all answers must be equal, apart from their form
    problems: frozenset[str] = frozenset()  # the allowed types of refusals; empty allows all


@dataclass
class Measured:
    """The measurements of an attack."""

    name: str
    answers: list[Answer]
    seen: Report
    cpu: float
    log_lines: int
    kept: int = 0  # bytes that the service takes some seconds after the attack

    def __str__(self) -> str:
        statuses = ", ".join(f"{len(list(some))} x {status}" for status, some in itertools.groupby(self.statuses))
        return (
            f"{self.cpu:6.2f} s CPU, {self.seen.peak / 2**20:4.0f} MiB, {self.kept / 2**20:4.0f} after it, "
            f"{self.seen.answered:4} good answers, "
            f"slowest {self.seen.slowest:5.2f} s, {len(self.seen.failures)} failed: {self.name} [{statuses}]"
        )

    @property
    def statuses(self) -> list[int]:
        """The statuses of all answers, in order."""
        return sorted(answer.status for answer in self.answers)


@dataclass
class Arena:
    """A running service, its consumption when idle, and the measurements of all attacks."""

    server: Server
    cgroup: Cgroup | None
    workers: set[int]
    rest: int = 0  # bytes
    good_cpu: float = 0.0  # seconds of one good request
    measured: list[Measured] = field(default_factory=list)
    sound: bool = True  # whether no attack has succeeded yet

    def measure_baseline(self) -> None:
        """Measure the consumption of good clients alone, after the service has answered a few requests."""
        with witness(self.server):
            time.sleep(0.5)
        before = self._cpu
        with witness(self.server) as seen:
            time.sleep(1.5)
        assert not seen.failures, seen
        self.good_cpu = (self._cpu - before) / seen.answered
        self.rest = seen.peak

    def run(self, attack: Attack) -> list[str]:
        """Run an attack; return every condition that it violates, during it or afterwards."""
        self.sound = False  # until the conditions have been checked
        found = self._measure(attack)
        self.measured.append(found)
        complaints = [
            *about_answers(attack, found.answers),
            *about_good_clients(found.seen),
            *about_cost(attack, found, self.rest),
            *about_log(found),
            *self._about_the_end(),
        ]
        found.kept = memory(self.server.process.pid)
        self.sound = not complaints
        return complaints

    @property
    def _cpu(self) -> float:
        return cpu_seconds(self.server.process.pid)

    @property
    def _log_lines(self) -> int:
        return self.server.log.read_bytes().count(b'"event":"request"')

    def _measure(self, attack: Attack) -> Measured:
        cpu, lines = self._cpu, self._log_lines
        with witness(self.server) as seen:
            answers = attack.send(self.server, time.monotonic() + attack.seconds)
            time.sleep(0.3)  # the good clients need some time, even if the attack ends at once
        cpu = self._cpu - cpu - self.good_cpu * seen.answered
        return Measured(attack.name, answers, seen, cpu, self._log_lines - lines)

    def _about_the_end(self) -> Iterator[str]:
        """Complaints about what is left some seconds after an attack."""
        until = time.monotonic() + _SETTLED
        while left := list(self._left()):
            if time.monotonic() > until:
                yield from left
                return
            time.sleep(0.1)

    def _left(self) -> Iterator[str]:
        if self.cgroup is not None and self.cgroup.kills:
            yield f"{self.cgroup.kills} processes killed for lack of memory"
        if self.server.workers != self.workers:
            yield f"the workers are {self.server.workers}, no longer {self.workers}"
        if in_flight := self.server.metric(_STATE):
            yield f"{in_flight:g} requests are still in flight"
        if (taken := memory(self.server.process.pid)) > self.rest + KEPT:
            yield f"{taken / 2**20:.0f} MiB are taken still, of {self.rest / 2**20:.0f} before"


def about_answers(attack: Attack, answers: list[Answer]) -> Iterator[str]:
    """Complaints about the answers that the attackers got."""
    for answer in answers:
        if answer.status not in attack.statuses:
            yield f"an answer is {answer}"
        elif attack.problems and answer.problem and answer.problem not in attack.problems:
            yield f"a refusal of another type is {answer}"
        elif answer.status >= 400 and answer.size > LARGEST_REFUSAL:
            yield f"a refusal has {answer.size} bytes: {answer}"
        elif answer.status >= 400 and answer.size and answer.document["status"] != answer.status:
            yield f"a refusal is no problem document: {answer}"
    if attack.alike and len({answer.said for answer in answers}) > 1:
        yield "not all answers say the same: " + "; ".join(map(str, answers))


def about_good_clients(seen: Report) -> Iterator[str]:
    """Complaints about the answers that good clients got."""
    if seen.failures or not seen.answered:
        yield f"of good clients {len(seen.failures)} failed, {seen.answered} did not: {seen.failures[:1]}"
    if seen.slowest > SLOWEST + seen.late:
        yield f"a good client waited {seen.slowest:.2f} s (the machine let it wait {seen.late:.2f} s)"


def about_cost(attack: Attack, found: Measured, rest: int) -> Iterator[str]:
    """Complaints about CPU time and memory beyond the bounds."""
    if found.cpu > attack.cpu + NOISE:
        yield f"{found.cpu:.2f} s of CPU, {attack.cpu:g} s allowed"
    if found.seen.peak > min(MEMORY, rest + attack.growth + KEPT):
        yield f"{found.seen.peak / 2**20:.0f} MiB, of which {rest / 2**20:.0f} at rest"


def about_log(found: Measured) -> Iterator[str]:
    """A complaint if an answered request is missing in the log."""
    answered = sum(status > 0 for status in found.statuses) + found.seen.answered
    if found.log_lines < answered:
        yield f"{found.log_lines} lines in the log for {answered} answers"


@contextlib.contextmanager
def arena(log: Path, **settings: object) -> Iterator[Arena]:
    """Start the service with default settings, except for addresses and these, in a cgroup if one can be created."""
    with memory_cgroup(MEMORY) as cgroup:
        defaults: dict[str, object] = {"WORKERS": None, "DRAIN_SECONDS": None}
        if cgroup is None:
            defaults["MEMORY_BYTES"] = BUDGET
        command = cgroup.command(COMMAND) if cgroup else COMMAND
        with serving(log, command, **defaults | settings) as server:
            try:
                yield Arena(server, cgroup, server.workers)
            finally:
                end_at_once(server)


def end_at_once(server: Server) -> None:
    """Kill the service and its workers, without draining."""
    with contextlib.suppress(ProcessLookupError):
        workers = server.workers
        server.process.send_signal(signal.SIGQUIT)
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
