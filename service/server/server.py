"""gunicorn, configured for this service: a master, its workers, and an admin process for health and metrics."""

import contextlib
import gc
import logging
import math
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.sock import TCP6Socket, TCPSocket

from service.api.routes import known_costs
from service.app import create_app
from service.configuration.addresses import listen
from service.configuration.settings import Settings, retired_settings
from service.middleware import logs, tracing
from service.middleware.context import OBSERVERS
from service.middleware.logs import GunicornLogger
from service.middleware.metrics import Metrics, new_directory, remove_directory
from service.resources.concurrency import Slots
from service.resources.ledger import Ledger
from service.resources.malloc import keep_freed
from service.resources.memory_budget import Budget, kept_bytes
from service.resources.shared import SHARED, Shared
from service.server.admin import create_admin_app
from service.server.front import Front
from service.server.worker import Worker

_log = logging.getLogger(__name__)

_MEMORY_DISK = Path("/dev/shm")  # noqa: S108  a worker's heartbeat touches a file, which can block on a real disk
_SWITCH_SECONDS = 0.001  # thread switch interval; with Python's default of 0.005 the event loop waits twice as long
_ADMIN_MEMORY = 16 * 2**20  # bytes of the admin process's own budget; it takes no bodies
_BACKLOG = 1024  # connections that the kernel queues until a worker accepts them
_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
_HEARTBEAT = 60  # seconds without a heartbeat after which a worker is killed; its event loop never waits for work


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """The service as a gunicorn application. The Flask application is loaded once, before the workers are forked."""

    def __init__(self, settings: Settings, listeners: Sequence[socket.socket], directory: Path) -> None:
        self.settings = settings
        self.listeners = listeners
        self.files = [listener.fileno() for listener in listeners]
        self.shared = Shared(settings.memory_bytes, settings.workers)
        self.directory = directory
        self.metrics = Metrics(directory)
        super().__init__()

    def load_config(self) -> None:
        """Pass our settings to gunicorn, under gunicorn's names."""
        settings = self.settings
        options: dict[str, Any] = {
            "bind": f"fd://{self.files[0]}",  # already bound: gunicorn would retry a taken address for five seconds
            "workers": settings.workers,
            "worker_class": Worker,
            "preload_app": True,
            "pre_fork": lambda _server, _worker: gc.freeze(),  # else the collector writes to shared pages
            "post_fork": lambda _server, _worker: _exit_on_signal(),
            "child_exit": lambda _server, worker: self.shared.remove_worker(worker.pid),
            "control_socket_disable": True,  # it wants a home directory to write to
            "keepalive": math.ceil(settings.keepalive_seconds),
            "graceful_timeout": math.ceil(settings.stop_seconds),
            "timeout": _HEARTBEAT,
            "worker_tmp_dir": str(_MEMORY_DISK) if _MEMORY_DISK.is_dir() else None,
            "proc_name": "chainrule",
            "backlog": _BACKLOG,
            "logger_class": GunicornLogger,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """The application that every worker runs. Raises BadSettings."""
        tracing.check()
        app = create_app(self.settings)
        app.extensions[SHARED] = self.shared
        app.extensions[OBSERVERS].append(self.metrics.observe)
        known_costs(app)  # before the fork: else the first GET /v1/limits would delay each worker
        return app

    def front(self) -> Front:
        """The front that a worker serves."""
        settings = self.settings
        slots = Slots(settings.concurrency, settings.queue, settings.queue_seconds, self.metrics.in_flight)
        self.metrics.start_worker(slots.total)
        sys.setswitchinterval(_SWITCH_SECONDS)
        tracing.start(self.wsgi())
        return Front(self.wsgi(), settings, slots, Budget(self.shared.memory, settings.queue_seconds))

    def run(self) -> None:
        """Serve until a signal ends it. Raises CannotStart."""
        master = Master(self)
        listen(self.listeners, _BACKLOG)
        for listener in self.listeners:
            listener.detach()  # the master closes the files
        master.run()


class Admin:
    """The admin application, in the form that `Worker` expects."""

    def __init__(self, server: Server) -> None:
        self.settings = server.settings
        self.shared = Shared()  # a dummy: the admin process must not register as a serving worker
        self._app = create_admin_app(server.shared, server.directory)

    def front(self) -> Front:
        """The front of the admin process."""
        return Front(self._app, self.settings, Slots(1, 1, 1.0), Budget(Ledger(_ADMIN_MEMORY)))


class Master(Arbiter):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's master, which also supervises the admin process and drains the service before it stops."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._admin_pid = 0
        self._stop_at: float | None = None
        super().__init__(server)

    def start(self) -> None:
        """Listen on both addresses."""
        super().start()
        address, file = self._server.settings.admin_bind, self._server.files[1]
        kind = TCP6Socket if address.startswith("[") else TCPSocket
        self._admin_listener = kind(address, self.cfg, self.log, fd=file)

    def manage_workers(self) -> None:
        """Restart processes that have died; stop at the end of draining."""
        if self._stop_at is not None and time.monotonic() >= self._stop_at:
            raise StopIteration  # gunicorn's signal for a graceful stop
        if not self._admin_is_alive():
            self._spawn_admin()
        super().manage_workers()

    def wait_for_signals(self, timeout: float = 1.0) -> list[int]:
        """Wait as gunicorn does, but not beyond the end of draining."""
        if self._stop_at is not None:
            timeout = min(timeout, max(self._stop_at - time.monotonic(), 0.001))
        signals: list[int] = super().wait_for_signals(timeout)
        return signals

    def handle_term(self) -> None:
        """On SIGTERM, answer 503 on /readyz, serve for drain_seconds, then stop. A second SIGTERM ends the draining."""
        seconds = self._server.settings.drain_seconds
        if self._server.shared.draining or not seconds:
            raise StopIteration
        self._server.shared.drain()
        self._stop_at = time.monotonic() + seconds
        self.log.info("Draining for %g s", seconds)

    def stop(self, graceful: bool = True) -> None:
        """Stop the workers after they have answered their requests, then the admin process."""
        self._server.shared.drain()
        super().stop(graceful)
        self._admin_listener.close()
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self._admin_pid, signal.SIGQUIT)
            os.waitpid(self._admin_pid, 0)

    def spawn_worker(self) -> Any:
        """Fork a worker as gunicorn does, without losing a signal that arrives during the fork."""
        with _signals_blocked():
            return super().spawn_worker()

    def _admin_is_alive(self) -> bool:
        try:
            os.kill(self._admin_pid, 0)
        except ProcessLookupError:
            return False
        return self._admin_pid > 0

    def _spawn_admin(self) -> None:
        worker = Worker(0, self.pid, [self._admin_listener], Admin(self._server), _HEARTBEAT, self.cfg, self.log)
        with _signals_blocked():
            pid = os.fork()
            if not pid:
                _exit_on_signal()
        if pid:
            worker.tmp.close()
            self._admin_pid = pid
            return
        for sibling in self.WORKERS.values():
            sibling.tmp.close()
        for listener in self.LISTENERS:  # or they would stay open after the last worker has ended
            listener.close()
        worker.pid = os.getpid()
        worker.init_process()
        sys.exit(0)


@contextlib.contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block the terminating signals: a forked process starts with the master's handlers, which only queue a signal."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)


def _exit_on_signal() -> None:
    """Let a terminating signal, even a pending one, end this forked process until the worker installs its handlers."""
    for number in _ENDING:
        signal.signal(number, lambda _number, _frame: os._exit(0))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)


def serve(settings: Settings, listeners: Sequence[socket.socket]) -> None:
    """Serve until SIGTERM or SIGINT, then answer the requests in flight. Raises CannotStart."""
    logs.configure(settings.log_level)
    for sentence in retired_settings():
        _log.warning(sentence)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each connection needs a file descriptor
    keep_freed(kept_bytes(settings.memory_bytes, settings.workers))
    directory = new_directory()
    master = os.getpid()
    try:
        Server(settings, listeners, directory).run()
    finally:
        if os.getpid() == master:
            remove_directory(directory)
