"""gunicorn, set up for this service."""

import gc
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication

from service.app import create_app
from service.settings import Settings
from service.worker import DrainingWorker

_MEMORY_DISK = Path("/dev/shm")  # noqa: S108  workers tell of life by touching a file; on a disk that can block


class Server(BaseApplication):
    """Workers of several threads each; the application is loaded once, before they are forked."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        super().__init__()

    def load_config(self) -> None:
        """Our settings in gunicorn's names."""
        options: dict[str, Any] = {
            "bind": self.settings.bind,
            "workers": self.settings.workers,
            "threads": self.settings.threads,
            "worker_class": DrainingWorker,
            "preload_app": True,
            "pre_fork": lambda _server, _worker: gc.freeze(),  # pages that the workers share stay shared
            "control_socket_disable": True,  # it wants a home directory to write to
            "keepalive": 75,  # longer than a proxy's, so that the proxy is the one to close
            "worker_tmp_dir": str(_MEMORY_DISK) if _MEMORY_DISK.is_dir() else None,
            "proc_name": "chainrule",
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """The application that every worker runs."""
        return create_app(self.settings)


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; what is in flight is answered first."""
    Server(settings).run()
