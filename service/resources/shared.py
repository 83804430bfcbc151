"""What the master, its workers and the admin process know together: a page of memory, mapped before they are forked."""

import mmap
import os
import struct

from service.resources.ledger import Ledger

_DRAINING, _FIRST = 0, 1
_SLOTS = 255  # one for each process id, beside the flag
_INT = struct.Struct("=i")


class Shared:
    """Whether the service is draining, which workers take requests, and how much memory they have claimed.

    Each number is written by one process at a time, and whole.
    """

    def __init__(self, memory_bytes: int = 0, workers: int = 1) -> None:
        self.memory = Ledger(memory_bytes, workers)
        self._page = mmap.mmap(-1, (_FIRST + _SLOTS) * _INT.size)  # of no file: the root may be read-only

    @property
    def draining(self) -> bool:
        """Whether SIGTERM has come: requests are answered, but no more should be sent here."""
        return self._read(_DRAINING) != 0

    def drain(self) -> None:
        """Tell everybody that the service is to stop."""
        self._write(_DRAINING, 1)

    @property
    def workers(self) -> list[int]:
        """The process ids of the workers that take requests."""
        return [pid for pid in map(self._read, range(_FIRST, _FIRST + _SLOTS)) if pid]

    @property
    def ready(self) -> bool:
        """Whether requests should be sent here."""
        return not self.draining and bool(self.workers)

    def come(self, age: int) -> None:
        """This process, the so-manieth worker, takes requests from now on."""
        self._write(_FIRST + age % _SLOTS, os.getpid())

    def go(self, pid: int) -> None:
        """A worker takes requests no longer."""
        for slot in range(_FIRST, _FIRST + _SLOTS):
            if self._read(slot) == pid:
                self._write(slot, 0)

    def ended(self, pid: int) -> None:
        """A worker has ended, or died: its memory is free."""
        self.go(pid)
        self.memory.leave(pid)

    def _read(self, slot: int) -> int:
        return int(_INT.unpack_from(self._page, slot * _INT.size)[0])

    def _write(self, slot: int, value: int) -> None:
        at = slot * _INT.size
        self._page[at : at + _INT.size] = _INT.pack(value)  # pack_into writes zeros first, which others would see
