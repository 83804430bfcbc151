"""The log: JSON lines on the standard output, one for each request, and one for whatever else is told by `logging`.

Of a request, a line says what an Exchange holds, so nothing that a client sent: no path or query, no key, no input.
"""

import logging
import os
import select
import traceback
from datetime import UTC, datetime
from typing import Any

from flask import Flask
from gunicorn.glogging import Logger

from service.encoding.codec import encode
from service.middleware.context import OBSERVERS, Exchange

_STDOUT = 1
_PROBES = {"/livez", "/readyz", "/metrics"}
_SAID = "said"  # the attribute of a record with the fields of its line
_LONGEST = select.PIPE_BUF - 1024  # bytes of the longest text: longer lines of several processes could mingle in a pipe

_log = logging.getLogger("chainrule.requests")  # without `configure` its lines go nowhere


def register(app: Flask) -> None:
    """Have every request of the app logged."""
    app.extensions.setdefault(OBSERVERS, []).append(log_exchange)
    app.logger.disabled = True  # Flask would log a failed request once more, with its path, which is the client's text


def configure(level: str) -> None:
    """Send everything that is logged in this process, warnings too, to the standard output as JSON lines."""
    logging.basicConfig(level=level.upper(), handlers=[_Lines()], force=True)
    logging.captureWarnings(True)


class GunicornLogger(Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's own messages go the way of all others, and it has no line for a request: that is ours."""

    def setup(self, cfg: Any) -> None:
        """Nothing but to let the messages through."""
        self.cfg = cfg
        self._access_log_enabled = False
        self.error_log.setLevel(logging.NOTSET)
        self.error_log.propagate = True


def log_exchange(exchange: Exchange) -> None:
    """One line: at level error with the trace for a fault of ours, at level debug for a health check."""
    level = _level(exchange)
    if not _log.isEnabledFor(level):
        return
    fields = {
        "method": exchange.method,
        "route": exchange.route,
        "status": exchange.status,
        "problem": exchange.problem,
        "request_bytes": exchange.request_bytes,
        "response_bytes": exchange.response_bytes,
        "duration_ms": _milliseconds(exchange.seconds),
        "stages_ms": {name: _milliseconds(seconds) for name, seconds in exchange.stages.items()},
        "request_id": exchange.request_id,
        "key": exchange.key,
        "exception": exchange.exception and trace(exchange.exception),
    }
    said = {name: value for name, value in fields.items() if value is not None}
    _log.handle(
        _log.makeRecord(_log.name, level, "", 0, "request", (), None, extra={_SAID: said})
    )  # from no line of code


def trace(error: BaseException) -> str:
    """Where an exception was raised, and the one that it came of: lines of code and types, but not the messages.

    A message may quote the request: ValueError("could not convert string to float: '...'").
    """
    parts = []
    link: BaseException | None = error
    while link is not None:
        parts.append("".join(traceback.format_tb(link.__traceback__)) + type(link).__name__)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return "\n\nwhich led to\n\n".join(reversed(parts))


def _level(exchange: Exchange) -> int:
    if exchange.status == 500:
        return logging.ERROR
    if exchange.route in _PROBES:
        return logging.DEBUG
    return logging.WARNING if exchange.status > 500 else logging.INFO


def _milliseconds(seconds: float) -> float:
    return round(1e3 * seconds, 3)


class _Lines(logging.Handler):
    """Writes each line at once, so that those of several processes do not mingle. What fails is told on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        try:
            line = _line(record)
            while line:
                line = line[os.write(_STDOUT, line) :]
        except (OSError, TypeError, ValueError):  # never the request's business
            self.handleError(record)


def _line(record: logging.LogRecord) -> bytes:
    """A record as JSON: first what every line has, then what this one says."""
    said: dict[str, Any] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "event": record.getMessage(),
        "logger": record.name,
        "pid": record.process,
        **getattr(record, _SAID, {}),
    }
    if record.exc_info:
        said["exception"] = "".join(traceback.format_exception(*record.exc_info))
    return encode({name: _fitting(value) if type(value) is str else value for name, value in said.items()})


def _fitting(value: str) -> str:
    """A text in what JSON and a pipe can take; of a long one the end, where the cause stands."""
    if value.isascii() and len(value) <= _LONGEST:
        return value
    data = value.encode("utf-8", "backslashreplace")
    return data[-_LONGEST:].decode("utf-8", "ignore")
