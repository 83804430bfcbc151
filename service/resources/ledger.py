"""The ledger of the memory budget: what each process has claimed, in memory that all processes share.

Each stage of a request may fill the budget up to a ceiling, together with the stages before it. `memory_budget` says
what the stages are and why they have ceilings.
"""

import fcntl
import mmap
import os
import tempfile
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ARRIVING, DECODING, COMPUTING, LAST = STAGES = range(4)

_PID, _WANTED, _CLAIMS = range(3)  # columns of a process in the ledger; from _CLAIMS on, one column for each stage
_COLUMNS = _CLAIMS + len(STAGES)
_CELL = 8  # bytes
_SPARE_ROWS = 16  # for processes that start while others still stop


def ceilings(total: int) -> tuple[int, int, int, int]:
    """How far each stage may fill a budget of `total` bytes, together with the stages before it."""
    return total // 4, total * 3 // 8, total * 15 // 16, total


def largest_body(total: int) -> int:
    """The size in bytes of the largest body that a budget of `total` bytes allows."""
    return ceilings(total)[ARRIVING]


def largest_request(total: int) -> int:
    """The most bytes that one request, with its body and its answer, may take of a budget of `total` bytes."""
    return ceilings(total)[COMPUTING] - ceilings(total)[DECODING]


class Ledger:
    """A table in shared memory with the claims of each process. Create it before the processes are forked.

    A file lock guards it, because the kernel releases a file lock when its process dies. The master then calls `leave`.
    """

    def __init__(self, total: int, processes: int = 1) -> None:
        self.total, self.processes = total, processes
        self.ceilings = ceilings(total)
        self._rows = range(2 * processes + _SPARE_ROWS)
        self._file = _anonymous_file()
        weakref.finalize(self, os.close, self._file)
        os.truncate(self._file, len(self._rows) * _COLUMNS * _CELL)
        self._cells = memoryview(mmap.mmap(self._file, 0)).cast("q")  # a number is written atomically
        self._lock = threading.Lock()  # the file lock excludes other processes, but not other threads of this one

    def enter(self) -> int:
        """Take a free row for this process, and return its number. Raises RuntimeError if all rows are taken."""
        with self._locked():
            for row in self._rows:
                if not self._cells[row * _COLUMNS + _PID]:
                    self._cells[row * _COLUMNS + _PID] = os.getpid()
                    return row
        raise RuntimeError(f"the memory budget has no room for more than {len(self._rows)} processes")

    def leave(self, pid: int) -> None:
        """Free the row and the claims of a process that has ended."""
        with self._locked():
            for at in (row * _COLUMNS for row in self._rows):
                if self._cells[at + _PID] == pid:
                    for column in reversed(range(_COLUMNS)):
                        self._cells[at + column] = 0

    def claim(self, row: int, amounts: Sequence[int], beyond: bool = False) -> bool:
        """Set the claims of a process. False, without a change, if a growing claim would exceed its stage's ceiling.

        With `beyond` the ceilings are ignored: for memory that is already in use.
        """
        with self._locked():
            if not beyond and not all(self._fits(row, stage, amounts[stage]) for stage in STAGES):
                return False
            for stage in STAGES:
                self._cells[row * _COLUMNS + _CLAIMS + stage] = amounts[stage]
            return True

    def want(self, row: int, waiting: int) -> None:
        """Show the other processes how many requests of this process wait for memory."""
        self._cells[row * _COLUMNS + _WANTED] = waiting

    def others_want(self, row: int) -> bool:
        """Whether a request of another process waits for memory."""
        return sum(self._column(_WANTED)) > self._cells[row * _COLUMNS + _WANTED]

    def claimed(self, stage: int = LAST) -> int:
        """The bytes that all processes have claimed for a stage and the stages before it."""
        return sum(self._column(_CLAIMS + stage))

    def _fits(self, row: int, stage: int, amount: int) -> bool:
        own = self._cells[row * _COLUMNS + _CLAIMS + stage]
        return amount <= own or sum(self._column(_CLAIMS + stage)) - own + amount <= self.ceilings[stage]

    def _column(self, column: int) -> memoryview:
        return self._cells[column::_COLUMNS]

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._lock:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)


def _anonymous_file() -> int:
    """A file descriptor without a file name; in memory if the system supports it, as the root may be read-only."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("chainrule-memory-budget")
    file, name = tempfile.mkstemp()
    Path(name).unlink()
    return file
