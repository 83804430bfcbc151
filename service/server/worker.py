"""A worker process for gunicorn: an event loop that serves connections.

The base class is `gunicorn.workers.base.Worker`: gunicorn's master forks the worker, watches its heartbeat, and ends
it by signals. This module defines what the worker does in between.
"""

import asyncio
import contextlib
import itertools
import os
import signal
import sys
from collections.abc import Awaitable
from typing import Any

from gunicorn.workers.base import Worker as BaseWorker

from service.server.connection import Connection
from service.server.connections import Connections

_ACCEPTED = 8  # connections accepted at a time: quick enough for a burst, and the other workers get their share
_LINGER = 2.0  # seconds in which a stopping worker still takes requests on open connections
_ROUNDS = 5  # of the loop: asyncio needs 3 to set up an accepted connection, and drops it if its server closes earlier
_TICK = 0.25  # seconds between two checks for connections that have timed out
_HEARTBEAT_TICKS = 4  # ticks between two heartbeats


class Worker(BaseWorker):  # type: ignore[misc]  # gunicorn has no types
    """A gunicorn worker that serves HTTP on an event loop, and answers the open requests before it stops."""

    def init_process(self) -> None:
        """Create the event loop first, because the signal handlers need it. Then gunicorn sets up the process."""
        self._runner = asyncio.Runner(loop_factory=asyncio.SelectorEventLoop)
        self._loop = self._runner.get_loop()
        self._stopping = asyncio.Event()
        self._at_once = False
        super().init_process()

    def init_signals(self) -> None:
        """Handle the master's signals on the event loop."""
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        handlers = {
            signal.SIGTERM: self._stop,
            signal.SIGINT: self._stop_at_once,
            signal.SIGQUIT: self._stop_at_once,
            signal.SIGABRT: self._abort,
            signal.SIGUSR1: self.log.reopen_files,
            signal.SIGWINCH: lambda: None,
        }
        for number, handler in handlers.items():
            self._loop.add_signal_handler(number, handler)

    def load_wsgi(self) -> None:
        """Create the connections and the front, with the application that was loaded before the fork."""
        shared = self.app.shared
        self._connections = Connections(self.app.front(), self.app.settings, lambda: shared.draining)

    def run(self) -> None:
        """Serve until the end."""
        with self._runner:
            self._runner.run(self._serve())

    def _stop(self) -> None:
        self.alive = False
        self._stopping.set()

    def _stop_at_once(self) -> None:
        """Stop without answering the open requests."""
        self._at_once = True
        self._stop()

    def _abort(self) -> None:
        """Exit: the master has seen no heartbeat for too long."""
        sys.exit(1)

    async def _serve(self) -> None:
        servers = [await self._listen(listener) for listener in self.sockets]
        self.app.shared.register_worker(self.age)
        for tick in itertools.count():
            if not self.alive or self.ppid != os.getppid():
                break
            self._connections.close_late()
            if tick % _HEARTBEAT_TICKS == 0:
                self.notify()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK):
                    await self._stopping.wait()
        self.app.shared.unregister_worker(os.getpid())
        await self._close(servers)
        await self._wait_for_clients()

    async def _listen(self, listener: Any) -> asyncio.Server:
        """Accept connections on one of gunicorn's listening sockets."""
        server = await self._loop.create_server(self._connection, sock=listener.sock, backlog=_ACCEPTED)
        listener.sock.listen(self.cfg.backlog)  # asyncio has set the kernel's backlog to _ACCEPTED
        return server

    def _connection(self) -> asyncio.BufferedProtocol:
        return Connection(self._connections)

    async def _close(self, servers: list[asyncio.Server]) -> None:
        """Accept the connections in the kernel's queue, then close the sockets, so that later ones are refused."""
        for listener in self.sockets:
            self._loop.remove_reader(listener.sock)
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)
        for listener, server in zip(self.sockets, servers, strict=True):
            accepted = self._accept_all(listener)
            server.close()  # without an await since accepting, so that no connection is lost in between
            await asyncio.gather(*accepted)

    def _accept_all(self, listener: Any) -> list[Awaitable[Any]]:
        """Accept all connections in the kernel's queue; the results await their set-up."""
        accepted: list[Awaitable[Any]] = []
        with contextlib.suppress(BlockingIOError):
            while True:
                with contextlib.suppress(ConnectionAbortedError):
                    sock, _ = listener.sock.accept()
                    accepted.append(self._loop.connect_accepted_socket(self._connection, sock))
        return accepted

    async def _wait_for_clients(self) -> None:
        """Answer the open requests and close the idle connections, until gunicorn's graceful_timeout."""
        now = self._loop.time()
        grace, linger = now + self.cfg.graceful_timeout, now + _LINGER
        while len(self._connections) and now < grace and not self._at_once:
            self.notify()
            self._connections.close_late()
            if now > linger:
                self._connections.close_idle()
            await asyncio.sleep(0.05)
            now = self._loop.time()
