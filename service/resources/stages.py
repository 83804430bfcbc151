"""The stages of a request, timed for its log line and the header Server-Timing."""

import time

from flask import Request, g, request

from service.resources.deadline import checkpoint


class Timed:
    """A context manager that times one stage of a request in seconds, and stores the result in `stages`."""

    def __init__(self, stages: dict[str, float], name: str) -> None:
        self._stages, self._name = stages, name

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._stages[self._name] = time.perf_counter() - self._start


class Current:
    """The current request and what is known of it, looked up once: Flask's proxies look it up at every access."""

    def __init__(self) -> None:
        self.request: Request = request._get_current_object()  # type: ignore[attr-defined]
        self.known = g._get_current_object()
        self.checkpoint = checkpoint()

    def stage(self, name: str) -> Timed:
        """Time a stage of the request. Raises Refusal if its deadline is over when the stage begins."""
        self.checkpoint()
        return Timed(self.known.stages, name)
