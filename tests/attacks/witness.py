"""Good clients and measurements of the memory, in a separate process that the attackers do not slow down.

`python -m tests.attacks.witness PORT PID` runs until its standard input ends, then prints its report as JSON.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.attacks.processes import memory
from tests.serving import Load, Server

PATIENCE = 5.0  # seconds; a good client that waits longer for an answer gives up, and that is a failure
_PAUSE = 0.1  # seconds between two requests of a client
_POLL = 0.05  # seconds between two measurements of the memory
_TICK = 0.01
_TREE = Path(__file__).parents[2]


@dataclass
class Report:
    """The observations of the good clients, and of the memory."""

    answered: int = 0
    slowest: float = 0.0  # seconds of an exchange
    failures: list[str] = field(default_factory=list)
    peak: int = 0  # bytes
    late: float = 0.0  # longest delay of this process in seconds: the machine delays answers by as much


def watch(port: int, pid: int, stop: threading.Event) -> Report:
    """Post on kept and new connections, and measure the memory, until `stop` is set."""
    seen = Report()
    delays = threading.Thread(target=_measure_delay, args=(seen, stop))
    delays.start()
    kept = Load(port, clients=2, pause=_PAUSE, patience=PATIENCE)
    new = Load(port, clients=2, pause=_PAUSE, patience=PATIENCE, keep=False)
    with kept, new:
        while not stop.is_set():
            seen.peak = max(seen.peak, memory(pid))
            stop.wait(_POLL)
    delays.join()
    seen.answered = kept.answered + new.answered
    seen.slowest = max(kept.slowest, new.slowest)
    seen.failures = (kept.failures + new.failures)[:10]
    return seen


def _measure_delay(seen: Report, stop: threading.Event) -> None:
    while not stop.is_set():
        start = time.monotonic()
        time.sleep(_TICK)
        seen.late = max(seen.late, time.monotonic() - start - _TICK)


@contextmanager
def witness(server: Server) -> Iterator[Report]:
    """Run the good clients and measure the memory within this context; fill the report at its end."""
    command = [sys.executable, "-m", "tests.attacks.witness", str(server.port), str(server.process.pid)]
    report = Report()
    with subprocess.Popen(command, cwd=_TREE, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it has begun
        try:
            yield report
        finally:
            reported, _ = process.communicate()
            for name, value in json.loads(reported).items():
                setattr(report, name, value)


def main() -> None:
    """Watch until the standard input ends."""
    port, pid = map(int, sys.argv[1:])
    stop = threading.Event()
    print("watching", flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    print(json.dumps(asdict(watch(port, pid, stop))))


if __name__ == "__main__":
    main()
