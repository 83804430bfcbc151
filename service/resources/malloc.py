"""How the C library keeps memory that was freed, and when it gives it back; neither is Python's to say."""

import ctypes

_LIBC = ctypes.CDLL(None)
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # of mallopt(3)
KEPT = 128 * 2**20  # bytes
_MAPPED = 32 * 2**20  # bytes; the most that glibc takes


def keep_freed(most: int = KEPT) -> None:
    """Have glibc keep up to `most` bytes that an array leaves for the next one, until `give_back`.

    By itself it asks the system for each large array and returns it at once, and every page of it is cleared when it is
    first touched: a third of the CPU time of a request with large arrays. One heap serves all threads, since a thread
    has it while it holds the interpreter's lock anyway, and since each further one would keep as much again. Elsewhere
    than on glibc nothing is done.
    """
    if mallopt := getattr(_LIBC, "mallopt", None):
        mallopt(_MMAP_THRESHOLD, min(_MAPPED, most))
        mallopt(_TRIM_THRESHOLD, most)
        mallopt(_ARENA_MAX, 1)


def give_back() -> None:
    """Return to the system every page that holds nothing, see malloc_trim(3): 2 ms for 60 MB, microseconds for none."""
    if trim := getattr(_LIBC, "malloc_trim", None):
        trim(0)
