"""The deadline of the work on one request: a checkpoint that ends it (see `chainrule.checkpoint`).

Work ends after CHAINRULE_WORK_SECONDS, or when its client has disconnected. In the second case no answer is sent. The
log and the metrics record the request with the status 499, as nginx does: it is neither a success nor an error of the
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
    "The client closed its connection before its request was answered. Only the log has this problem.",
    "Wait for the answer.",
)


class Deadline:
    """A checkpoint for one request: raises Refusal when it is called after the deadline."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._client_gone = False

    def __call__(self) -> None:
        """Raise Refusal if the deadline is over or the client has disconnected."""
        if self._client_gone:
            raise client_gone()
        if time.monotonic() > self._end:
            raise self.refusal()

    @property
    def left(self) -> float:
        """The seconds until the deadline."""
        return self._end - time.monotonic()

    def extend(self, seconds: float) -> None:
        """Move the deadline by `seconds`, which the work has waited for its slot or its memory."""
        self._end += seconds

    def cancel(self) -> None:
        """End the work at its next checkpoint: the client has disconnected, or has got a timeout."""
        self._client_gone = True

    def refusal(self) -> Refusal:
        """The refusal of work that took too long."""
        detail = f"the request was worked on for {self._seconds:g} s (CHAINRULE_WORK_SECONDS)"
        return Refusal(WORK_TIMED_OUT, detail)


def client_gone() -> Refusal:
    """The refusal that is logged and counted, but not sent, when the client has disconnected."""
    return Refusal(CLIENT_GONE, "the client closed its connection before it was answered")


def checkpoint() -> Checkpoint:
    """The deadline of the current request; an unlimited checkpoint if the server has set none."""
    found: Checkpoint = request.environ.get(DEADLINE, unlimited)
    return found
