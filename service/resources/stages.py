"""The stages of a request, timed for its log line and the header Server-Timing."""

import time

from flask import g

from service.resources.deadline import checkpoint


class Timed:
    """Times what stands under it: one stage of a request, in seconds, for its log line and the header Server-Timing."""

    def __init__(self, stages: dict[str, float], name: str) -> None:
        self._stages, self._name = stages, name

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._stages[self._name] = time.perf_counter() - self._start


def stage(name: str) -> Timed:
    """A stage of the request. Raises Refusal where its deadline is over when the stage begins."""
    checkpoint()()
    return Timed(g.stages, name)
