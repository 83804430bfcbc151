"""The adapter between the clients' connections and the Flask application, on the event loop of a worker.

The front first receives the whole body. Then the request waits for a slot, is computed in a thread, and its answer is
sent. So a client that sends or reads slowly takes no thread. Requests without a body and small requests are computed
on the event loop: a thread switch would add up to a sixth to their time. They need no slot, and are answered even
while all slots are taken. The Flask application also answers every refusal, so that all refusals are logged and
counted in the same way.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from flask import Flask

from service.api.operations import OPERATIONS
from service.configuration.limits import BODY_BYTES
from service.configuration.settings import Settings
from service.middleware.context import report_disconnect
from service.middleware.keys import ADMITS
from service.problems import REQUEST_TIMEOUT, Refusal, free_frames
from service.resources.admission import ADMISSION, InThread, OnLoop, Postponed
from service.resources.concurrency import Slots, Work
from service.resources.deadline import DEADLINE, Deadline
from service.resources.handover import BODY, CONNECTION, REFUSAL, REPORTED, STAGES
from service.resources.memory_budget import Budget, Holding
from service.resources.stages import Timed
from service.server.environ import Environ, Scope, environ_of
from service.server.request_body import ClientGone, Receive, RequestBody
from service.server.transfers import Transfer

_AT_ONCE = OnLoop()
_SMALL_ANSWER = 64 * 1024  # bytes of memory that must be free before a small request is computed
_SMALL_LOADED = 256 * 1024  # bytes of the values of a small body, at most: 400 layers of one unit
_PIECE = 256 * 1024  # bytes of an answer written at a time: the transport copies what it cannot send at once
_LATE = 0.25  # seconds after the deadline in which work can still end by itself; then its client gets a timeout

Send = Callable[[dict[str, Any]], Awaitable[None]]


class Connection(Protocol):
    """The members that the front needs of a request's connection."""

    cut_short: bool  # the client has closed its sending side within the body
    gone: asyncio.Event  # set when the connection is lost

    def stop_receiving(self) -> None: ...

    def abort(self) -> None: ...


@dataclass(frozen=True)
class Answer:
    """The application's answer."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Front:
    """The ASGI application of a worker."""

    def __init__(self, app: Flask, settings: Settings, slots: Slots, budget: Budget) -> None:
        self._app = app
        self._settings = settings
        self._body_limit = min(settings.limits[BODY_BYTES], budget.largest_body)
        self._slots = slots
        self._budget = budget
        self._watching = False
        self._refusing = asyncio.Lock()
        self._pool = ThreadPoolExecutor(slots.threads)
        rows = ((rule.rule, OPERATIONS.get(rule.endpoint)) for rule in app.url_map.iter_rules())
        self._bodies = {("POST", path): row.body for path, row in rows if row is not None and row.body is not None}
        self._admits = app.extensions.get(ADMITS, lambda environ: True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if not self._watching:
            self._watching = True
            self._budget.watch(asyncio.get_running_loop())
        environ, connection = environ_of(scope), scope[CONNECTION]
        transfer = Transfer(self._budget)
        body = RequestBody(transfer.paced(receive), environ, connection, self._body_limit)
        try:
            answer = await self._answer(environ, body, transfer, connection)
        except Refusal as refusal:
            free_frames(refusal)  # they hold the body, and this refusal may have to wait for others
            transfer.holding.release()
            answer = await self.refuse(environ, refusal)
        except ClientGone:
            report_disconnect(self._app, environ, _path(environ))
            return
        finally:
            transfer.holding.release()
        scope["headers"].clear()  # while a slow client reads, only its answer stays in memory
        environ.clear()
        await self._send(answer, send, transfer, connection)
        if not body.ended:
            await body.drop()

    async def refuse(self, environ: Environ, refusal: Refusal) -> Answer:
        """The application's answer with this refusal, without running a view.

        At most one in each iteration of the event loop, so that a thousand refusals at once do not delay other clients.
        """
        async with self._refusing:
            await asyncio.sleep(0)
            return self._run(environ | {REFUSAL: refusal})

    async def _answer(self, environ: Environ, body: RequestBody, transfer: Transfer, connection: Connection) -> Answer:
        expected = self._bodies.get((environ["REQUEST_METHOD"], _path(environ)))
        if expected is None or not self._admits(environ):
            return self._run(environ)
        most = 0 if "HTTP_CONTENT_ENCODING" in environ else expected.most_on_loop  # it can expand a thousandfold
        if body.announced is None or body.announced > most:
            self._slots.check()
        with Timed(environ[STAGES], "receive"):
            content = await self._receive(body, transfer, connection)
        given = environ | {BODY: content, ADMISSION: _AT_ONCE}
        work = Work.SMALL  # as far as is known
        if len(content) <= most:
            transfer.make_room(_SMALL_ANSWER)
            try:
                return self._run(given)
            except Postponed as postponed:  # the thread takes over what was loaded into `given`
                work = postponed.work
                free_frames(postponed)
            environ[STAGES] = given[STAGES]
            transfer.make_room(_SMALL_LOADED)
        with Timed(environ[STAGES], "queue"):
            if not await self._slots.take(work, connection.gone):
                raise ClientGone
        return await self._compute(given, work, transfer, connection)

    async def _receive(self, body: RequestBody, transfer: Transfer, connection: Connection) -> bytes:
        seconds = self._settings.read_seconds
        transfer.begin(seconds, connection.stop_receiving)
        try:
            return await body.read(transfer)
        except TimeoutError as error:
            body.ended = True  # do not wait for the rest
            detail = f"the body took over {seconds:g} s to arrive (CHAINRULE_READ_SECONDS), or was the slowest of many"
            raise Refusal(REQUEST_TIMEOUT, detail, headers={"Connection": "close"}) from error
        finally:
            transfer.end()

    async def _compute(self, environ: Environ, work: Work, transfer: Transfer, connection: Connection) -> Answer:
        """Compute in a pool thread. The slot is freed when the thread ends, even if the client has got a timeout."""
        deadline, reported = Deadline(self._settings.work_seconds), threading.Lock()
        place = InThread(self._slots, work, self._budget, transfer.holding, deadline)
        given = environ | {REPORTED: reported, ADMISSION: place, DEADLINE: deadline}
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(self._pool, self._run_in, place, given)
        gone = loop.create_task(connection.gone.wait())
        try:
            while not running.done() and not gone.done() and deadline.left + _LATE > 0:
                either = (running, gone)
                await asyncio.wait(either, timeout=deadline.left + _LATE, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            if not running.done():
                deadline.cancel()
                running.add_done_callback(partial(_forget, transfer.hand_over_holding()))
        if running.done():
            return running.result()
        if not reported.acquire(blocking=False):  # the thread has already logged its answer, and ends soon
            return await running
        raise ClientGone if gone.done() else deadline.refusal()

    def _run_in(self, place: InThread, environ: Environ) -> Answer:
        size = 0
        try:
            answer = self._run(environ)
            size = len(answer.body)
        finally:
            place.end(size)
        return answer

    def _run(self, environ: Environ) -> Answer:
        """The WSGI application's answer."""
        started: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> Callable[[bytes], None]:
            started[:] = [int(status[:3]), headers]
            return lambda _: None

        chunks: Iterable[bytes] = self._app(environ, start_response)
        body = b"".join(chunks)
        if close := getattr(chunks, "close", None):
            close()
        return Answer(started[0], started[1], body)

    async def _send(self, answer: Answer, send: Send, transfer: Transfer, connection: Connection) -> None:
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        size = len(answer.body)
        transfer.hold_answer(size + min(size, _PIECE))
        view = memoryview(answer.body)
        transfer.begin(self._settings.write_seconds, connection.abort)
        try:
            for at in range(0, max(size, 1), _PIECE):
                more = at + _PIECE < size
                await send({"type": "http.response.body", "body": view[at : at + _PIECE], "more_body": more})
                transfer.moved = at
        finally:
            transfer.end()
            transfer.holding.release()


def _path(environ: Environ) -> str:
    """The path as Flask reads it. For endpoints that take a body, it is the route too."""
    return "/" + str(environ["PATH_INFO"]).lstrip("/")


def _forget(holding: Holding, running: "asyncio.Future[Answer]") -> None:
    """Free the memory of work whose answer is no longer needed."""
    holding.release()
    if not running.cancelled():
        running.exception()  # retrieve it, or asyncio logs "exception was never retrieved"
