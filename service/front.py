"""What stands between the clients' connections and the Flask application, on the event loop of a worker.

A request with a body is taken in whole, waits for its turn, is computed in a thread, and its answer is sent. So a
client who sends or reads slowly holds up nobody: it has no thread. Everything else is answered on the loop at once; so
is a small request that is the work of a moment, of which the way to a thread and back would take up to a sixth.
What cannot be taken is refused by the application itself, as every other refusal: answer, log line, count are alike.
"""

import asyncio
import io
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from flask import Flask

from service.body import over_limit
from service.held import Held, Transfer
from service.limits import BODY_BYTES
from service.problems import BAD_REQUEST, REQUEST_TIMEOUT, WORK_TIMED_OUT, Refusal
from service.requests import Postponed, Timed
from service.settings import Settings
from service.turns import Turns

CONNECTION = "chainrule.connection"  # the key of a scope
RECEIVED, REFUSAL, STAGES = "chainrule.received", "chainrule.refusal", "chainrule.stages"  # keys of an environ
TOLD, ON_LOOP = "chainrule.told", "chainrule.on_loop"  # so too

_SMALL = 16 * 1024  # bytes of a body that is looked at on the loop, to see whether the rest is the work of a moment
_PIECE = 256 * 1024  # of an answer, handed to the connection at a time: it copies what it cannot send at once
_DROPPED = 8  # times the limit of a body: a client still sending would see a broken connection instead of the refusal
_DROP_SECONDS = 10.0

Scope = dict[str, Any]
Environ = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Connection(Protocol):
    """What is asked of the connection that a request came by."""

    cut_short: bool  # the client has ended its side within the body

    def abort(self) -> None: ...


class ClientGone(Exception):
    """Nobody waits for the answer."""


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
        body = _Body(receive, environ, scope[CONNECTION], self._body_limit)
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

    async def _answer(self, environ: Environ, body: "_Body", transfer: Transfer) -> Answer:
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

    async def _receive(self, body: "_Body", transfer: Transfer) -> bytes:
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


class _Body:
    """The body of one request, as it comes."""

    def __init__(self, receive: Receive, environ: Environ, connection: Connection, limit: int) -> None:
        self._receive, self._connection, self._limit = receive, connection, limit
        announced = environ.get("CONTENT_LENGTH")
        self._announced = None if announced is None else int(announced)
        self.ended = self._announced is None and "HTTP_TRANSFER_ENCODING" not in environ
        self._expected = "HTTP_EXPECT" in environ  # the client waits to be asked for the body
        self._dropped = 0

    async def read(self, transfer: Transfer) -> bytes:
        """All of it. Raises Refusal where it is over the limit or cut short, ClientGone where nobody is left."""
        if self._announced is not None and self._announced > self._limit:
            raise over_limit(self._announced, self._limit)
        chunks = []
        size = 0
        while not self.ended:
            chunk = await self._next()
            size += len(chunk)
            if size > self._limit:
                raise over_limit(size, self._limit)
            transfer.take_in(len(chunk))
            chunks.append(chunk)
        if self._connection.cut_short:
            of = "" if self._announced is None else f" of its {self._announced}"
            raise Refusal(BAD_REQUEST, f"the body ended after {size}{of} bytes")
        return b"".join(chunks)

    async def drop(self) -> None:
        """Take in what a refused client still sends, within bounds, and keep nothing: it then reads the answer."""
        try:
            async with asyncio.timeout(_DROP_SECONDS):
                while not (self.ended or self._expected) and self._dropped < _DROPPED * self._limit:
                    self._dropped += len(await self._next())
        except (TimeoutError, ClientGone):
            self.ended = True

    async def _next(self) -> bytes:
        self._expected = False
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        self.ended = not message.get("more_body", False)
        return bytes(message.get("body", b""))


def environ_of(scope: Scope) -> Environ:
    """The WSGI environment of a request (PEP 3333), without its body."""
    host, port = scope.get("server") or ("", 0)
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode("utf-8").decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": (scope.get("client") or ("",))[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        RECEIVED: time.perf_counter(),
        STAGES: {},
    }
    for name, value in scope["headers"]:
        key = "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
        text = value.decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    for key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if f"HTTP_{key}" in environ:
            environ[key] = environ.pop(f"HTTP_{key}")
    return environ
