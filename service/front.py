"""What stands between the clients' connections and the Flask application, on the event loop of a worker.

A request with a body is taken in whole, waits for its turn, is computed in a thread, and its answer is sent. So a
client who sends or reads slowly holds up nobody: it has no thread. Everything else is answered on the loop at once; so
is a small request that is the work of a moment, of which the way to a thread and back would take up to a sixth.
What cannot be taken is refused by the application itself, as every other refusal: answer, log line, count are alike.
"""

import asyncio
import io
import threading
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from flask import Flask

from service.environ import CONNECTION, REFUSAL, STAGES, Environ, Scope, environ_of
from service.held import Held, Transfer
from service.limits import BODY_BYTES
from service.problems import REQUEST_TIMEOUT, WORK_TIMED_OUT, Refusal
from service.request_body import ClientGone, Receive, RequestBody
from service.requests import Postponed, Timed
from service.settings import Settings
from service.turns import Turns

TOLD, ON_LOOP = "chainrule.told", "chainrule.on_loop"  # keys of an environ

_SMALL = 16 * 1024  # bytes of a body that is looked at on the loop, to see whether the rest is the work of a moment
_PIECE = 256 * 1024  # of an answer, handed to the connection at a time: it copies what it cannot send at once

Send = Callable[[dict[str, Any]], Awaitable[None]]


class Connection(Protocol):
    """What is asked of the connection that a request came by."""

    cut_short: bool  # the client has ended its side within the body

    def abort(self) -> None: ...


@dataclass(frozen=True)
class Answer:
    """What the application answers."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Front:
    """The ASGI application of a worker."""

    def __init__(self, app: Flask, settings: Settings, turns: Turns) -> None:
        self._app = app
        self._settings = settings
        self._body_limit = settings.limits[BODY_BYTES]
        self._turns = turns
        self._held = Held(settings.memory_bytes // settings.workers)
        self._pool = ThreadPoolExecutor(settings.concurrency)
        rules = (rule for rule in app.url_map.iter_rules() if "POST" in (rule.methods or ()))
        self._with_body = {("POST", rule.rule) for rule in rules}
        self._admits = app.extensions.get("chainrule.admits", lambda environ: True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        environ = environ_of(scope)
        transfer = Transfer(self._held)
        body = RequestBody(receive, environ, scope[CONNECTION], self._body_limit)
        try:
            answer = await self._answer(environ, body, transfer)
        except Refusal as refusal:
            answer = self.refuse(environ, refusal)
        except ClientGone:
            return
        finally:
            transfer.release()
        await self._send(answer, send, transfer, scope[CONNECTION])
        if not body.ended:
            await body.drop()

    def refuse(self, environ: Environ, refusal: Refusal) -> Answer:
        """The application's answer to a request that it need not look at."""
        return self._run(environ | {REFUSAL: refusal})

    async def _answer(self, environ: Environ, body: RequestBody, transfer: Transfer) -> Answer:
        asked = environ["REQUEST_METHOD"], "/" + environ["PATH_INFO"].lstrip("/")  # as Flask reads a path
        if asked not in self._with_body or not self._admits(environ):
            return self._run(environ)
        self._turns.check()
        with Timed(environ[STAGES], "receive"):
            content = await self._receive(body, transfer)
        with Timed(environ[STAGES], "queue"):
            await self._turns.take()
        try:
            self._held.make_room()  # for an answer: nobody may be reading the earlier ones
        except Refusal:
            self._turns.give_back()
            raise
        return self._compute_at_once(environ, content) or await self._compute(environ, content)

    async def _receive(self, body: RequestBody, transfer: Transfer) -> bytes:
        seconds = self._settings.read_seconds
        try:
            async with transfer.clients_part(seconds):
                return await body.read(transfer)
        except TimeoutError as error:
            body.ended = True  # what may still come is not waited for
            detail = f"the body took over {seconds:g} s to arrive (CHAINRULE_READ_SECONDS), or was the slowest of many"
            raise Refusal(REQUEST_TIMEOUT, detail, headers={"Connection": "close"}) from error

    def _compute_at_once(self, environ: Environ, content: bytes) -> Answer | None:
        """The answer, where it is the work of a moment: the turn ends with it. Else nothing, and the turn goes on."""
        if len(content) > _SMALL or "HTTP_CONTENT_ENCODING" in environ:  # compressed, it can be a thousandfold
            return None
        postponed = False
        try:
            return self._run(environ | {"wsgi.input": io.BytesIO(content), ON_LOOP: True})
        except Postponed:
            postponed = True
            return None
        finally:
            if not postponed:
                self._turns.give_back()

    async def _compute(self, environ: Environ, content: bytes) -> Answer:
        """The answer of a thread. The turn ends when the work does, also where nobody waits for it any more."""
        told = threading.Lock()
        given = environ | {"wsgi.input": io.BytesIO(content), TOLD: told}
        work = asyncio.get_running_loop().run_in_executor(self._pool, self._run, given)
        work.add_done_callback(self._end)
        done, _ = await asyncio.wait([work], timeout=self._settings.work_seconds)
        if not done and told.acquire(blocking=False):
            detail = f"the request was worked on for {self._settings.work_seconds:g} s (CHAINRULE_WORK_SECONDS)"
            raise Refusal(WORK_TIMED_OUT, detail)
        return await work  # done, or about to be

    def _end(self, work: "asyncio.Future[Answer]") -> None:
        self._turns.give_back()
        if not work.cancelled():
            work.exception()  # asked for here: nobody may be left to do so

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
        transfer.hold(size)
        with suppress(Refusal):  # it is made; the next one is not
            self._held.make_room()
        view = memoryview(answer.body)
        try:
            async with transfer.clients_part(self._settings.write_seconds):
                for at in range(0, max(size, 1), _PIECE):
                    more = at + _PIECE < size
                    await send({"type": "http.response.body", "body": view[at : at + _PIECE], "more_body": more})
                    transfer.moved = at
        except TimeoutError:
            connection.abort()
        finally:
            transfer.release()
