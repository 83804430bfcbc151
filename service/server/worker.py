"""A worker process: an event loop that serves connections, under gunicorn as the master.

It stands on `gunicorn.workers.base.Worker`, which is there to be built on: the master forks it, watches its sign of
life, and ends it by signals. What a worker does between its start and its end is said here.
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

from service.resources.malloc import give_back
from service.server.connection import Connection
from service.server.connections import Connections

_ACCEPTED = 8  # connections at a time: a burst is taken in quickly, and yet shared with the other workers
_LINGER = 2.0  # seconds that a stopping worker leaves to requests which are on their way by an open connection
_ROUNDS = 5  # of the loop: asyncio takes 3 to make what it has accepted a connection, and drops it if its server closes
_TICK = 0.25  # seconds between two looks at connections whose time is over
_BEAT = 4  # ticks between two signs of life
_KEPT = 20  # ticks that freed memory is kept for the next request


class Worker(BaseWorker):  # type: ignore[misc]  # gunicorn has no types
    """A process that serves on the sockets which it was given, until it is told to stop and has answered everybody."""

    def init_process(self) -> None:
        """Make the event loop, which the signals need, before gunicorn prepares the process and calls `run`."""
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
        """Take the front of the application that was loaded before the fork."""
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
        """Stop without waiting for anybody."""
        self._at_once = True
        self._stop()

    def _abort(self) -> None:
        """The master has seen no sign of life for too long."""
        sys.exit(1)

    async def _serve(self) -> None:
        servers = [await self._listen(listener) for listener in self.sockets]
        self.app.shared.come(self.age)
        for tick in itertools.count():
            if not self.alive or self.ppid != os.getppid():
                break
            self._connections.close_late()
            if tick % _BEAT == 0:
                self.notify()
            if tick % _KEPT == 0:
                give_back()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK):
                    await self._stopping.wait()
        self.app.shared.go(os.getpid())
        await self._close(servers)
        await self._wait_for_clients()

    async def _listen(self, listener: Any) -> asyncio.Server:
        """Accept the connections of a listening socket of gunicorn's."""
        server = await self._loop.create_server(self._connection, sock=listener.sock, backlog=_ACCEPTED)
        listener.sock.listen(self.cfg.backlog)  # which asyncio has set to the other
        return server

    def _connection(self) -> asyncio.BufferedProtocol:
        return Connection(self._connections)

    async def _close(self, servers: list[asyncio.Server]) -> None:
        """Accept the connections that the kernel has taken already; refuse those that come later."""
        for listener in self.sockets:
            self._loop.remove_reader(listener.sock)
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)
        for listener, server in zip(self.sockets, servers, strict=True):
            accepted = self._accept_all(listener)
            server.close()  # at once: from here on the kernel refuses, before that nobody was
            await asyncio.gather(*accepted)

    def _accept_all(self, listener: Any) -> list[Awaitable[Any]]:
        """The connections that the kernel has taken and nobody has accepted: to be made."""
        accepted: list[Awaitable[Any]] = []
        with contextlib.suppress(BlockingIOError):
            while True:
                with contextlib.suppress(ConnectionAbortedError):
                    sock, _ = listener.sock.accept()
                    accepted.append(self._loop.connect_accepted_socket(self._connection, sock))
        return accepted

    async def _wait_for_clients(self) -> None:
        """Answer what has been sent here, and close what is idle, within the seconds that there are."""
        now = self._loop.time()
        grace, linger = now + self.cfg.graceful_timeout, now + _LINGER
        while len(self._connections) and now < grace and not self._at_once:
            self.notify()
            self._connections.close_late()
            if now > linger:
                self._connections.close_idle()
            await asyncio.sleep(0.05)
            now = self._loop.time()
