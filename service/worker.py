"""gunicorn's threaded worker, except that stopping leaves nobody unanswered."""

import socket

from gunicorn.workers.gthread import ThreadWorker


class DrainingWorker(ThreadWorker):
    """Answers, while it stops, the connections that the kernel has already taken.

    gunicorn's own worker leaves those that wait to be accepted when SIGTERM comes, and they are reset.
    """

    def set_accept_enabled(self, enabled: bool | None) -> None:
        """As gunicorn's, but a stopping worker first accepts what waits, then lets the kernel refuse what comes."""
        if enabled or self.alive:
            super().set_accept_enabled(enabled)
            return
        for listener in self.sockets:
            self._accept_all(listener)
        super().set_accept_enabled(False)
        for listener in self.sockets:
            listener.close()

    def _accept_all(self, listener: socket.socket) -> None:
        before = -1
        while before < self.nr_conns:  # `accept` leaves the number as it is where nobody waits
            before = self.nr_conns
            self.accept(listener)
