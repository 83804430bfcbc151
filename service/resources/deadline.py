"""The deadline of one request's work: a checkpoint that ends it, see `chainrule.checkpoint`.

Work ends when it has taken CHAINRULE_WORK_SECONDS, or when its client has gone. Nobody gets the answer then, but the
log and the metrics tell of it with the status 499, as those of nginx do: it is neither a success nor an error of the
service.
"""

import time

from flask import request

from chainrule.checkpoint import Checkpoint, unlimited
from service.problems import WORK_TIMED_OUT, Problem, Refusal

DEADLINE = "chainrule.deadline"  # the key of an environ

CLIENT_GONE = Problem(
    "client-gone",
    499,
    "Client gone",
    "The client closed its connection before its request was answered. No client sees this: it stands in the log.",
    "Wait for the answer.",
)


class Deadline:
    """Raises Refusal when it is called after the end: a checkpoint for one request."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._client_gone = False

    def __call__(self) -> None:
        """Return, or raise Refusal where the work is to end."""
        if self._client_gone:
            raise client_gone()
        if time.monotonic() > self._end:
            raise self.refusal()

    @property
    def left(self) -> float:
        """The seconds until the end."""
        return self._end - time.monotonic()

    def postpone(self, seconds: float) -> None:
        """Leave so many seconds more: the work had to wait for its slot or its memory."""
        self._end += seconds

    def end_for_nobody(self) -> None:
        """End the work at its next look: the client has gone."""
        self._client_gone = True

    def refusal(self) -> Refusal:
        """The refusal of work that took too long."""
        detail = f"the request was worked on for {self._seconds:g} s (CHAINRULE_WORK_SECONDS)"
        return Refusal(WORK_TIMED_OUT, detail)


def client_gone() -> Refusal:
    """What is logged and counted in place of an answer that nobody waits for."""
    return Refusal(CLIENT_GONE, "the client closed its connection before it was answered")


def checkpoint() -> Checkpoint:
    """The deadline of the request that is computed here; one that never ends where the server has set none."""
    found: Checkpoint = request.environ.get(DEADLINE, unlimited)
    return found
