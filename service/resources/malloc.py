"""Settings of the C library's malloc: how much freed memory it keeps, and when it returns memory to the system."""

import ctypes

_LIBC = ctypes.CDLL(None)
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # of mallopt(3)
KEPT = 128 * 2**20  # bytes
_MAPPED = 32 * 2**20  # bytes; the most that glibc takes


def keep_freed(most: int = KEPT) -> None:
    """Let glibc keep up to `most` freed bytes for the next arrays, until `give_back`. Does nothing without glibc.

    By default glibc maps each large array anew and unmaps it at once. The kernel then clears every page at its first
    use, which takes a third of the CPU time of a request with large arrays. All threads share one heap: they allocate
    while they hold the interpreter's lock anyway, and each further heap would keep as much memory again.
    """
    if mallopt := getattr(_LIBC, "mallopt", None):
        mallopt(_MMAP_THRESHOLD, min(_MAPPED, most))
        mallopt(_TRIM_THRESHOLD, most)
        mallopt(_ARENA_MAX, 1)


def give_back() -> None:
    """Return every unused page to the system, see malloc_trim(3): 2 ms for 60 MB, microseconds for none."""
    if trim := getattr(_LIBC, "malloc_trim", None):
        trim(0)
