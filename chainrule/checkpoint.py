"""A way for the caller to end a computation that takes too long.

Loops of the core call a checkpoint at least every 50 ms or so of CPU time. A checkpoint that raises ends the work: the
exception goes to the caller. The core itself has no clock.
"""

from collections.abc import Callable

Checkpoint = Callable[[], None]


def unlimited() -> None:
    """Do nothing: the work may take as long as it needs."""
