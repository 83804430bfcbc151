"""State that the master, its workers and the admin process share: a page of memory, mapped before they are forked."""

import mmap
import os
import struct

from service.resources.ledger import Ledger

SHARED = "chainrule.shared"  # key of an app's extensions: the Shared of the service

_DRAINING, _FIRST = 0, 1
_SLOTS = 255  # for process ids, behind the flag
_INT = struct.Struct("=i")


class Shared:
    """Whether the service is draining, which workers take requests, and how much memory the processes have claimed.

    Only one process at a time writes each number, and it writes it atomically.
    """

    def __init__(self, memory_bytes: int = 0, workers: int = 1) -> None:
        self.memory = Ledger(memory_bytes, workers)
        self._page = mmap.mmap(-1, (_FIRST + _SLOTS) * _INT.size)  # without a file: the root may be read-only

    @property
    def draining(self) -> bool:
        """Whether SIGTERM has arrived: requests are still answered, but clients should send no more."""
        return self._read(_DRAINING) != 0

    def drain(self) -> None:
        """Mark the service as draining."""
        self._write(_DRAINING, 1)

    @property
    def workers(self) -> list[int]:
        """The process ids of the workers that take requests."""
        return [pid for pid in map(self._read, range(_FIRST, _FIRST + _SLOTS)) if pid]

    @property
    def ready(self) -> bool:
        """Whether the service should receive requests."""
        return not self.draining and bool(self.workers)

    def register_worker(self, age: int) -> None:
        """Register this process, worker number `age`, as ready."""
        self._write(_FIRST + age % _SLOTS, os.getpid())

    def unregister_worker(self, pid: int) -> None:
        """Remove a worker from the ready workers."""
        for slot in range(_FIRST, _FIRST + _SLOTS):
            if self._read(slot) == pid:
                self._write(slot, 0)

    def remove_worker(self, pid: int) -> None:
        """Remove a worker whose process has ended, and free the memory that it had claimed."""
        self.unregister_worker(pid)
        self.memory.leave(pid)

    def _read(self, slot: int) -> int:
        return int(_INT.unpack_from(self._page, slot * _INT.size)[0])

    def _write(self, slot: int, value: int) -> None:
        at = slot * _INT.size
        self._page[at : at + _INT.size] = _INT.pack(value)  # pack_into writes zeros first, which others would read
