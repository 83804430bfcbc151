"""The log: JSON lines on the standard output, one for each request, and one for each other record of `logging`.

The line of a request contains the fields of its Exchange, so no text of a client: no path or query, key or input.
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
_FIELDS = "chainrule_fields"  # the attribute of a record that holds the fields of its line
_LONGEST = select.PIPE_BUF - 1024  # bytes of the longest text: longer lines of several processes could mix in a pipe

_log = logging.getLogger("chainrule.requests")  # silent until `configure` is called


def register(app: Flask) -> None:
    """Log every request of the app."""
    app.extensions.setdefault(OBSERVERS, []).append(log_exchange)
    app.logger.disabled = True  # Flask would log a failed request again, with its path, which is a client's text


def configure(level: str) -> None:
    """Write all log records and warnings of this process to the standard output, as JSON lines."""
    logging.basicConfig(level=level.upper(), handlers=[_Lines()], force=True)
    logging.captureWarnings(True)


class GunicornLogger(Logger):  # type: ignore[misc]  # gunicorn has no types
    """Passes gunicorn's messages on to our log. Its access log is off by default, and we log the requests."""

    def setup(self, cfg: Any) -> None:
        """Let messages of all levels propagate to the root logger."""
        self.cfg = cfg
        self.error_log.setLevel(logging.NOTSET)
        self.error_log.propagate = True


def log_exchange(exchange: Exchange) -> None:
    """Log one line: at level error with a trace for status 500, at level debug for a health check."""
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
        "duration_ms": round(1e3 * exchange.seconds, 3),
        "stages_ms": {name: round(1e3 * seconds, 3) for name, seconds in exchange.stages.items()},
        "request_id": exchange.request_id,
        "key": exchange.key,
        "exception": exchange.exception and _fitting(trace(exchange.exception)),
    }
    given = {name: value for name, value in fields.items() if value is not None}
    record = _log.makeRecord(_log.name, level, "", 0, "request", (), None, extra={_FIELDS: given})
    _log.handle(record)  # not `_log.log`: it would look up the caller, which no line shows


def trace(error: BaseException) -> str:
    """The traceback of an exception and of its causes: lines of code and types, without the messages.

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


class _Lines(logging.Handler):
    """Writes each line in one call, so that lines of several processes do not mix. Reports failures on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        try:
            line = _line(record)
            while line:
                line = line[os.write(_STDOUT, line) :]
        except (OSError, TypeError, ValueError):  # a failed log line must not fail the request
            self.handleError(record)


def _line(record: logging.LogRecord) -> bytes:
    """A record as JSON: the fields of every line, followed by the record's own fields."""
    document: dict[str, Any] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "event": _fitting(record.getMessage()),
        "logger": record.name,
        "pid": record.process,
        **getattr(record, _FIELDS, {}),
    }
    if record.exc_info:
        document["exception"] = _fitting("".join(traceback.format_exception(*record.exc_info)))
    return encode(document)


def _fitting(value: str) -> str:
    """A text as JSON and a pipe can take it. Only the end of a long text is kept, because it has the cause."""
    if value.isascii() and len(value) <= _LONGEST:
        return value
    data = value.encode("utf-8", "backslashreplace")
    return data[-_LONGEST:].decode("utf-8", "ignore")
