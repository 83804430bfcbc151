"""gunicorn's asynchronous worker, except that nobody is left unanswered when it stops, nor waited for without end."""

import asyncio
import contextlib
import io
import itertools
import os
import socket
import struct
from collections.abc import Awaitable
from typing import Any

from gunicorn.asgi.protocol import ASGIProtocol
from gunicorn.workers.gasgi import ASGIWorker

from service.front import CONNECTION, STAGES, Answer, Front, Scope
from service.malloc import give_back
from service.problems import BAD_REQUEST, HEADERS_TOO_LARGE, INTERNAL_ERROR, NOT_IMPLEMENTED, URI_TOO_LONG, Refusal

_ACCEPTED = 1  # connections at a time: who is free takes the next, not whoever woke first all of them
_LINGER = 2.0  # seconds that a stopping worker leaves to requests which are on their way by an open connection
_ROUNDS = 5  # of the loop: asyncio takes 3 to make what it has accepted a connection, and drops it if its server closes
_FLUSH = 10.0  # seconds that a client has to read the rest of an answer when its connection is closed
_UNSENT = 256 * 1024  # bytes that the kernel takes of an answer beyond what is on its way; else megabytes, uncounted
_KEPT = 5  # seconds that freed memory is kept for the next request
_NO_LINGERING = struct.pack("ii", 1, 0)  # of SO_LINGER: a reset instead of what waits to be sent
_PROBLEMS = {414: URI_TOO_LONG, 431: HEADERS_TOO_LARGE, 500: INTERNAL_ERROR, 501: NOT_IMPLEMENTED}


class Connection(ASGIProtocol):  # type: ignore[misc]  # gunicorn has no types
    """A client's connection: every error of it a problem document, and every wait of it bounded."""

    def __init__(self, worker: "Worker") -> None:
        super().__init__(worker)
        self.gone = asyncio.Event()  # set when the connection is lost
        self.cut_short = False  # the client has ended its side before the body was whole
        self._flush: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Wait for the first request, as long as for any other; where too many wait, the one longest idle goes."""
        super().connection_made(transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)
        self._arm_keepalive_timer()
        if self.worker.nr_conns > self.worker.most_connections:
            next(iter(self.worker.idle))._keepalive_timeout()

    def data_received(self, data: bytes) -> None:
        """A piece from the midst of a body goes where it belongs at once: gunicorn's parser copies it three times."""
        parser = self._callback_parser
        if parser is None or parser._state != "body" or len(data) >= parser._body_remaining:
            super().data_received(data)
            return
        parser._body_remaining -= len(data)
        self._on_body(data)
        if not self._reading_paused and self._is_buffer_full():
            self._pause_reading()

    def abort(self) -> None:
        """Close at once; what was not received yet is dropped, by the kernel too, which would keep it for a client."""
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGERING)
        self.transport.abort()
        self._closed = True
        self._request_ready.set()

    def eof_received(self) -> bool:
        """A client that has ended its side is still owed the answer to what it has sent."""
        if self._current_request is None or self._awaiting_request:
            return False
        if self._body_receiver is not None and not self._body_receiver._complete:
            self.cut_short = True
            self._body_receiver.set_complete()
        self._keepalive = 0
        return True

    def _arm_keepalive_timer(self) -> None:
        super()._arm_keepalive_timer()
        self.worker.idle[self] = None

    def _cancel_keepalive_timer(self) -> None:
        super()._cancel_keepalive_timer()
        self.worker.idle.pop(self, None)

    def _close_transport(self) -> None:
        """As gunicorn's, but a client that does not read is not waited for without end."""
        if self.transport and not self._closed:
            self._flush = self.worker.loop.call_later(_FLUSH, self.transport.abort)
            super()._close_transport()
            self.transport.close()  # gunicorn does not get to it where the client is gone: write_eof raises then

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self.gone.set()
        if self._flush is not None:
            self._flush.cancel()
        super().connection_lost(exc)

    async def _serve_http_request(self, request: Any, sockname: Any, peername: Any) -> bool:
        """In the task of the connection: gunicorn has one more for what an application does after its answer."""
        return bool(await self._handle_http_request(request, sockname, peername))

    def _is_websocket_upgrade(self, request: Any) -> bool:
        return False  # a request like any other

    def _will_close(self, request: Any, response_requires_close: bool) -> bool:
        """Also while the service is draining, so that clients come back by a new connection, elsewhere."""
        return self.worker.shared.draining or bool(super()._will_close(request, response_requires_close))

    def _build_http_scope(self, *args: Any) -> Scope:
        scope: Scope = super()._build_http_scope(*args)
        scope[CONNECTION] = self
        return scope

    def _send_error_response(self, status: int, message: str, extra_headers: Any = ()) -> None:
        """What gunicorn refuses before there is a request, in the form of every other refusal."""
        if self._closed:  # the client is gone
            return
        problem = _PROBLEMS.get(status, BAD_REQUEST)
        detail = problem.explanation if problem is INTERNAL_ERROR else message
        answer = self.worker.asgi.refuse(_no_request(), Refusal(problem, detail))
        self._safe_write(_bytes_of(answer))


def _no_request() -> dict[str, Any]:
    """The environment of a request that could not be read."""
    return {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "*",
        "SERVER_NAME": "",
        "SERVER_PORT": "0",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        STAGES: {},
    }


def _bytes_of(answer: Answer) -> bytes:
    headers = "".join(f"{name}: {value}\r\n" for name, value in answer.headers)
    return f"HTTP/1.1 {answer.status} \r\n{headers}Connection: close\r\n\r\n".encode("latin-1") + answer.body


class Worker(ASGIWorker):  # type: ignore[misc]  # gunicorn has no types
    """A process that serves on the sockets which it was given, until it is told to stop and has answered everybody."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.idle: dict[Connection, None] = {}  # in the order in which they became so
        self.shared = self.app.shared
        self.most_connections = self.app.settings.connections
        self.asgi: Front

    def load_wsgi(self) -> None:
        """The front of the application that was loaded before the fork."""
        self.asgi = self.app.front()

    def handle_exit_signal(self) -> None:
        """SIGTERM: stop, without waiting for the next beat of the heart."""
        super().handle_exit_signal()
        self._stopping.set()

    def handle_quit_signal(self) -> None:
        """SIGINT and SIGQUIT: stop, without waiting for anybody."""
        super().handle_quit_signal()
        self._stopping.set()

    async def _serve(self) -> None:
        self._stopping = asyncio.Event()
        for listener in self.sockets:
            server = await self.loop.create_server(lambda: Connection(self), sock=listener.sock, backlog=_ACCEPTED)
            listener.sock.listen(self.cfg.backlog)  # which asyncio has set to the other
            self.servers.append(server)
        self.shared.come(self.age)
        beats = itertools.cycle(range(_KEPT))
        while self.alive and self.ppid == os.getppid():
            self.notify()
            if next(beats) == 0:
                give_back()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._stopping.wait()
        self.shared.go(os.getpid())
        await self._shutdown()

    async def _shutdown(self) -> None:
        """Answer what has been sent here, also by connections that were not accepted yet; then close."""
        self.alive = False
        for listener in self.sockets:
            self.loop.remove_reader(listener.sock)
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)
        for listener, server in zip(self.sockets, self.servers, strict=True):
            accepted = self._accept_all(listener)
            server.close()  # at once: from here on the kernel refuses, before that nobody was
            await asyncio.gather(*accepted)
        loop = self.loop
        grace, linger = loop.time() + self.cfg.graceful_timeout, loop.time() + _LINGER
        while self.nr_conns and loop.time() < grace and not self._quick_shutdown:
            self.notify()
            if loop.time() > linger:
                for connection in list(self.idle):
                    connection._keepalive_timeout()
            await asyncio.sleep(0.05)

    def _accept_all(self, listener: Any) -> list[Awaitable[Any]]:
        """The connections that the kernel has taken and nobody has accepted: to be made."""
        accepted = []
        with contextlib.suppress(BlockingIOError):
            while True:
                with contextlib.suppress(ConnectionAbortedError):
                    sock, _ = listener.sock.accept()
                    accepted.append(self.loop.connect_accepted_socket(lambda: Connection(self), sock))
        return accepted
