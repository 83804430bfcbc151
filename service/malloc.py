"""How the C library gives memory back, which is not Python's to say."""

import ctypes

_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of mallopt(3)
_BYTES = 128 * 1024  # what glibc begins with


def keep_threshold() -> None:
    """Have glibc give every array of more than 128 kB back to the system when it is freed, today as on the first day.

    Else it raises the threshold when a larger one is freed, up to 32 MB, and its heap stays as large as it ever was: a
    worker then grows for some 50,000 requests. Elsewhere than on glibc nothing is done. See mallopt(3).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _BYTES)
