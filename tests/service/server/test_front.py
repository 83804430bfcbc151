"""Small requests are computed on the event loop, all others in a thread."""

import asyncio
import gc
import gzip
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from flask import Response

from schemas.fields.strict import StrictSchema
from service.api import routes
from service.app import create_app
from service.configuration.settings import read_settings
from service.middleware.context import OBSERVERS, Exchange
from service.problems import Refusal
from service.resources.concurrency import Slots, Work
from service.resources.ledger import Ledger
from service.resources.memory_budget import Budget
from service.server.connection import Connection
from service.server.connections import Connections
from service.server.environ import Environ
from service.server.front import CONNECTION, Answer, Front
from service.server.request_body import Pieces
from service.server.transfers import Transfer

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
    """An exception that Flask does not turn into an answer."""


class Connected:
    """A client's connection that stays open."""

    def __init__(self, cut_short: bool) -> None:
        self.cut_short = cut_short
        self.gone = asyncio.Event()

    def stop_receiving(self) -> None:
        """Nothing here takes long."""

    def abort(self) -> None:
        """Nothing here takes long."""


class Asked:
    """A front with two slots, and the result of one request to it."""

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
            CONNECTION: Connected(cut_short=False),
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
        """The status of the answer."""
        return int(self.sent[0]["status"])


@pytest.mark.parametrize("kind", [*ON_LOOP, *IN_A_THREAD])
def test_only_small_work_is_computed_on_the_loop(kind: str) -> None:
    """Each request is answered and reported once, and frees its slot and memory.

    This holds on the loop and in a thread.
    """
    path, body, status = (ON_LOOP | IN_A_THREAD)[kind]
    asked = Asked(path, body if isinstance(body, bytes) else json.dumps(body).encode())
    assert asked.status == status
    assert [exchange.status for exchange in asked.exchanges] == [status]
    assert (asked.threads == [threading.main_thread()]) == (kind in ON_LOOP)
    assert asked.left == (0, 0, 0)


def test_a_postponed_request_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread takes over what the loop has read: the values, and the times of the stages."""
    calls: list[str] = []

    def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            calls.append(name)
            return function(*arguments)

        return call

    monkeypatch.setattr(routes, "read_body", counted("read", routes.read_body))
    monkeypatch.setattr(routes, "decode", counted("decode", routes.decode))
    monkeypatch.setattr(StrictSchema, "load", counted("load", StrictSchema.load))
    asked = Asked("/v1/gradients", json.dumps(SMALL | {"network": {"layers": [LAYER] * 9}, "verify": True}).encode())
    assert (asked.status, calls) == (200, ["read", "decode", "load"])
    (exchange,) = asked.exchanges
    assert list(exchange.stages) == ["receive", "decode", "validate", "queue", "compute", "encode"]
    assert asked.threads != [threading.main_thread()]


def test_a_postponed_request_that_ends_late_keeps_its_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line of its 503 says how long it took to read."""
    monkeypatch.setenv("CHAINRULE_WORK_SECONDS", "0.1")
    (exchange,) = Late("/v1/gradients", json.dumps(WIDE | {"verify": True}).encode()).exchanges
    assert (exchange.status, list(exchange.stages)) == (503, ["receive", "decode", "validate", "queue"])


def test_the_values_of_a_postponed_request_are_counted_while_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen kilobytes with a layer in every forty bytes have 300 kB of values."""
    rooms: list[int] = []
    make_room = Transfer.make_room

    def counted(transfer: Transfer, size: int) -> None:
        rooms.append(size)
        make_room(transfer, size)

    monkeypatch.setattr(Transfer, "make_room", counted)
    layers = [{"weights": [[1]], "activation": "relu"}] * 340
    body = json.dumps({"network": {"layers": layers}, "inputs": [1], "targets": [0], "breakdown": "none"}).encode()
    asked = Asked("/v1/gradients", body)
    assert asked.threads != [threading.main_thread()]
    assert len(body) + sum(rooms) > 300_000


@pytest.mark.parametrize("request_body", [SMALL, WIDE | {"verify": True}], ids=["on the loop", "in a thread"])
def test_slot_and_memory_are_freed_if_the_application_raises(
    monkeypatch: pytest.MonkeyPatch, request_body: Any
) -> None:
    """Otherwise each exception would cost a slot for good."""
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
    """A request whose work ends only after its client has got a timeout."""

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
    """It is counted as the 503 that its client got, not as the late answer of the thread.

    It keeps its slot until it ends.
    """
    monkeypatch.setenv("CHAINRULE_WORK_SECONDS", "0.1")
    asked = Late("/v1/gradients", json.dumps(WIDE | {"verify": True}).encode())
    assert asked.status == 503
    assert [exchange.problem for exchange in asked.exchanges] == ["work-timed-out"]
    assert asked.left[0] == 1
    assert asked.budget.used == 0


@pytest.mark.parametrize("work", Work)
def test_a_small_request_needs_no_slot(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is answered while all slots are taken."""

    async def never(*_: object) -> bool:
        raise AssertionError(work)

    monkeypatch.setattr(Slots, "take", never)
    assert Asked("/v1/gradients", json.dumps(SMALL).encode()).status == 200


def _scope() -> dict[str, Any]:
    """A request for gradients with a body of ten bytes."""
    return {
        "method": "POST",
        "path": "/v1/gradients",
        "query_string": b"",
        "http_version": "1.1",
        "scheme": "http",
        "headers": [(b"content-type", b"application/json"), (b"content-length", b"10"), (b"x-request-id", b"mine")],
        CONNECTION: Connected(cut_short=True),
    }


def test_a_disconnected_client_is_logged_without_calling_the_application() -> None:
    """A thousand clients can disconnect at once, so each costs only one log line and one count."""
    exchanges: list[Exchange] = []
    app = create_app()
    app.extensions[OBSERVERS].append(exchanges.append)
    app.before_request(lambda: pytest.fail("the application ran"))

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def go() -> None:
        front = Front(app, read_settings(), Slots(2, 2, 1.0), Budget(Ledger(64 * 2**20)))
        await front(_scope(), receive, lambda _: pytest.fail("something was sent"))

    asyncio.run(go())
    (reported,) = exchanges
    assert (reported.method, reported.route, reported.status, reported.problem) == (
        "POST",
        "/v1/gradients",
        499,
        "client-gone",
    )
    assert (reported.request_id, reported.request_bytes, reported.response_bytes, reported.key) == ("mine", 0, 0, None)


def test_a_waiting_refusal_keeps_no_body_in_memory() -> None:
    """At most one refusal is written at a time: a thousand waiting ones had kept 250 kB each, which nothing counted."""
    kept: list[Pieces] = []

    class Watched(Front):
        """A front that checks at each refusal what is still in memory."""

        async def refuse(self, environ: Environ, refusal: Refusal) -> Answer:
            """Refuse as the front does."""
            kept.extend(found for found in gc.get_objects() if type(found) is Pieces)
            return await super().refuse(environ, refusal)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b" " * 70_000, "more_body": True}

    async def send(_: dict[str, Any]) -> None:
        pass

    async def go() -> None:
        front = Watched(create_app(), read_settings(), Slots(2, 2, 1.0), Budget(Ledger(2**20)))
        async with asyncio.timeout(20):
            await front(_scope(), receive, send)

    gc.collect()  # what other tests have left
    gc.disable()
    try:
        asyncio.run(go())
    finally:
        gc.enable()
    assert kept == []


def test_one_iteration_of_the_loop_writes_at_most_one_refusal() -> None:
    """No two refusals are written in the same round of the event loop, so other clients are answered in between."""
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
        await asyncio.gather(count(), *(front(_scope(), receive, send) for _ in range(20)))

    asyncio.run(refuse())
    assert len(set(turns)) == 20


@pytest.mark.parametrize("expect", [b"Expect: 100-continue\r\n", b""], ids=["asks first", "does not ask"])
@pytest.mark.parametrize("framing", [b"Content-Length: 100000\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_an_overloaded_service_refuses_before_it_reads_the_body(expect: bytes, framing: bytes) -> None:
    """A client that sends only a head gets 503 at once. When a slot is free, the service waits for its body."""
    head = b"POST /v1/gradients HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n" + framing + expect + b"\r\n"

    async def scene() -> None:
        slots, budget, settings = Slots(2, 1, 60.0), Budget(Ledger(64 * 2**20)), read_settings()
        connections = Connections(Front(create_app(), settings, slots, budget), settings, lambda: False)
        listening = await asyncio.get_running_loop().create_server(lambda: Connection(connections), "127.0.0.1", 0)
        for _ in range(2):
            await slots.take(Work.SMALL, asyncio.Event())
        waiting = asyncio.create_task(slots.take(Work.SMALL, asyncio.Event()))
        await asyncio.sleep(0)
        async with listening:
            refused = await _begun(listening, head)
            assert refused.startswith(b"HTTP/1.1 503 ")
            assert b"retry-after: 60\r\n" in refused.lower()
            assert budget.used == 0
            slots.give_back(Work.SMALL)
            assert await waiting
            if expect:
                assert (await _begun(listening, head)).startswith(b"HTTP/1.1 100 ")

    asyncio.run(asyncio.wait_for(scene(), 60))


async def _begun(listening: asyncio.Server, head: bytes) -> bytes:
    """The answer to a client that sends only a head."""
    reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
    writer.write(head)
    reported = await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()
    return reported
