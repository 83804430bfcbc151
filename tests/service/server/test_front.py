"""What is computed where: the work of a moment on the event loop, everything else in a thread."""

import asyncio
import gzip
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from flask import Response

from service.app import create_app
from service.configuration.settings import read_settings
from service.middleware.context import OBSERVERS, Exchange
from service.resources.concurrency import Slots, Work
from service.resources.ledger import Ledger
from service.resources.memory_budget import Budget
from service.server.front import CONNECTION, Front

LAYER = {"weights": [[0.5] * 2] * 2, "activation": "tanh"}
SMALL = {"network": {"layers": [LAYER]}, "inputs": [1.0, 2.0], "targets": [0.0, 0.0]}
WIDE = {"network": {"layers": [{"weights": [[0] * 60] * 60, "activation": "tanh"}]}, "inputs": [0] * 60} | {
    "targets": [1] * 60,
    "breakdown": "none",
}
DEEP = SMALL | {"network": {"layers": [LAYER] * 64}}

ON_LOOP: dict[str, tuple[str, Any, int]] = {
    "small": ("/v1/gradients", SMALL, 200),
    "malformed": ("/v1/gradients", b"{", 400),
    "invalid": ("/v1/gradients", {}, 422),
}
IN_A_THREAD: dict[str, tuple[str, Any, int]] = {
    "a large body": ("/v1/gradients", json.dumps(SMALL).encode() + b" " * 16_384, 200),
    "compressed": ("/v1/gradients", gzip.compress(json.dumps(SMALL).encode()), 200),
    "a long answer": ("/v1/gradients", WIDE | {"breakdown": "per_weight"}, 200),
    "many layers": ("/v1/gradients", DEEP, 200),
    "verified": ("/v1/gradients", WIDE | {"verify": True}, 200),
    "an explanation": ("/v1/explanations", {}, 422),
    "a check": ("/v1/gradient-checks", {}, 422),
}


class Fall(BaseException):
    """What Flask does not turn into an answer."""


class Asked:
    """A front of its own with two slots, and what came of the one request that it was asked."""

    def __init__(self, path: str, body: bytes, behind: Callable[[Response], Response] = lambda answer: answer) -> None:
        self.app = create_app()
        self.app.after_request(behind)
        self.threads: list[threading.Thread] = []
        self.exchanges: list[Exchange] = []
        self.sent: list[dict[str, Any]] = []
        self.app.extensions[OBSERVERS].append(self._observe)
        asyncio.run(self._ask(path, body))

    def _observe(self, exchange: Exchange) -> None:
        self.threads.append(threading.current_thread())
        self.exchanges.append(exchange)

    async def _ask(self, path: str, body: bytes) -> None:
        self.slots, self.budget = Slots(2, 2, 1.0), Budget(Ledger(64 * 2**20))
        front = Front(self.app, read_settings(), self.slots, self.budget)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        if body.startswith(b"\x1f\x8b"):
            headers.append((b"content-encoding", b"gzip"))
        scope = {
            "method": "POST",
            "path": path,
            "query_string": b"",
            "http_version": "1.1",
            "scheme": "http",
            "headers": headers,
            CONNECTION: type("Connected", (), {"cut_short": False, "gone": asyncio.Event()})(),
        }
        await front(scope, self._receive(body), self._send)
        self.left = self.slots.busy, self.slots.waiting, self.budget.used

    @staticmethod
    def _receive(body: bytes) -> Any:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        return receive

    async def _send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        """The answer's."""
        return int(self.sent[0]["status"])


@pytest.mark.parametrize("kind", [*ON_LOOP, *IN_A_THREAD])
def test_only_the_work_of_a_moment_is_done_on_the_loop(kind: str) -> None:
    """Each request is answered once, told of once, and gives back its slot and memory, wherever it is computed."""
    path, body, status = (ON_LOOP | IN_A_THREAD)[kind]
    asked = Asked(path, body if isinstance(body, bytes) else json.dumps(body).encode())
    assert asked.status == status
    assert [exchange.status for exchange in asked.exchanges] == [status]
    assert (asked.threads == [threading.main_thread()]) == (kind in ON_LOOP)
    assert asked.left == (0, 0, 0)


@pytest.mark.parametrize("request_body", [SMALL, WIDE | {"verify": True}], ids=["on the loop", "in a thread"])
def test_slot_and_memory_are_free_also_where_the_application_falls(
    monkeypatch: pytest.MonkeyPatch, request_body: Any
) -> None:
    """Else each such request would leave room for one less, until there is none."""
    made: list[Any] = []
    init = Front.__init__

    def kept(front: Front, app: Any, settings: Any, slots: Slots, budget: Budget) -> None:
        made.extend((slots, budget))
        init(front, app, settings, slots, budget)

    monkeypatch.setattr(Front, "__init__", kept)

    def fall(_: Response) -> Response:
        raise Fall

    with pytest.raises(Fall):
        Asked("/v1/gradients", json.dumps(request_body).encode(), fall)
    slots, budget = made
    assert (slots.busy, budget.used) == (0, 0)


class Late(Asked):
    """A request whose work ends only after its client has been answered."""

    def __init__(self, path: str, body: bytes) -> None:
        self.released = threading.Event()
        super().__init__(path, body, self._wait)

    def _wait(self, response: Response) -> Response:
        assert threading.current_thread() is threading.main_thread() or self.released.wait(30)
        return response

    async def _ask(self, path: str, body: bytes) -> None:
        await super()._ask(path, body)
        self.released.set()
        while self.slots.busy:
            await asyncio.sleep(0.01)


def test_work_that_ends_late_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the 503 that its client has got; what the thread would have answered is not counted. It keeps its slot."""
    monkeypatch.setenv("CHAINRULE_WORK_SECONDS", "0.1")
    asked = Late("/v1/gradients", json.dumps(WIDE | {"verify": True}).encode())
    assert asked.status == 503
    assert [exchange.problem for exchange in asked.exchanges] == ["work-timed-out"]
    assert asked.left[0] == 1
    assert asked.budget.used == 0


@pytest.mark.parametrize("work", Work)
def test_a_small_request_needs_no_slot(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is answered while all of them are taken."""

    async def never(*_: object) -> bool:
        raise AssertionError(work)

    monkeypatch.setattr(Slots, "take", never)
    assert Asked("/v1/gradients", json.dumps(SMALL).encode()).status == 200


def _scope(gone: asyncio.Event) -> dict[str, Any]:
    """A request for gradients with a body of ten bytes."""
    return {
        "method": "POST",
        "path": "/v1/gradients",
        "query_string": b"",
        "http_version": "1.1",
        "scheme": "http",
        "headers": [(b"content-type", b"application/json"), (b"content-length", b"10"), (b"x-request-id", b"mine")],
        CONNECTION: type("Connected", (), {"cut_short": True, "gone": gone})(),
    }


def test_a_client_that_has_gone_is_told_of_without_the_application() -> None:
    """A thousand can go at once: its line and its count are all that there is to do."""
    exchanges: list[Exchange] = []
    app = create_app()
    app.extensions[OBSERVERS].append(exchanges.append)
    app.before_request(lambda: pytest.fail("the application ran"))

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def go() -> None:
        front = Front(app, read_settings(), Slots(2, 2, 1.0), Budget(Ledger(64 * 2**20)))
        await front(_scope(asyncio.Event()), receive, lambda _: pytest.fail("something was sent"))

    asyncio.run(go())
    (told,) = exchanges
    assert (told.method, told.route, told.status, told.problem) == ("POST", "/v1/gradients", 499, "client-gone")
    assert (told.request_id, told.request_bytes, told.response_bytes, told.key) == ("mine", 0, 0, None)


def test_refusals_take_turns_on_the_loop() -> None:
    """Of many that are due at once, no two are written in the same turn: others are answered between them."""
    turn, turns = 0, []
    app = create_app()
    app.extensions[OBSERVERS].append(lambda _: turns.append(turn))

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_: dict[str, Any]) -> None:
        pass

    async def count() -> None:
        nonlocal turn
        while len(turns) < 20:
            turn += 1
            await asyncio.sleep(0)

    async def refuse() -> None:
        front = Front(app, read_settings(), Slots(2, 2, 1.0), Budget(Ledger(64 * 2**20)))
        await asyncio.gather(count(), *(front(_scope(asyncio.Event()), receive, send) for _ in range(20)))

    asyncio.run(refuse())
    assert len(set(turns)) == 20
