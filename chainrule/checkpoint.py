"""A callback with which the caller can stop a long computation.

Loops of the core call the checkpoint at least about every 50 ms of CPU time. If it raises, the computation ends, and
the exception propagates to the caller. The core itself has no clock.
"""

from collections.abc import Callable

Checkpoint = Callable[[], None]


def unlimited() -> None:
    """Do nothing: the default checkpoint, without a time limit."""
