"""Settings, from the environment alone: one row each. A bad value or an unknown name refuses to start.

The rows are the fields of `Settings` and the table of limits. The README's table, `chainrule config` and GET /v1/limits
follow from them.
"""

import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

from environs import Env, EnvValidationError, ValidationError, validate

from schemas.words import did_you_mean
from service import machine
from service.limits import LIMITS
from service.probe import ADMIN_BIND

PREFIX = "CHAINRULE_"

# What Kubernetes puts into every container beside a service of this name, such as CHAINRULE_PORT=tcp://10.0.0.1:80
_SERVICE_LINK = re.compile(r"CHAINRULE_(SERVICE_(HOST|PORT\w*)|PORT(_\w+)?)")


class BadSettings(ValueError):
    """The environment holds settings that cannot be used; the text names each, and what was expected."""


@dataclass(frozen=True)
class Kind:
    """What a setting must be: in words, environs' reader for it, and what else is checked."""

    expects: str
    reader: Callable[[Env], Callable[..., Any]]
    check: Callable[[Any], Any]


@dataclass(frozen=True)
class Setting:
    """One row: its name without the prefix, its default, what it must be, what it is for."""

    name: str
    kind: Kind
    default: Any
    meaning: str


def available_cores() -> int:
    """The cores this process may use: the cgroup's quota where there is one, not the host's count."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except OSError:  # no cgroup of version 2 here
        return cores
    return cores if quota == "max" else min(cores, math.ceil(int(quota) / int(period)))


def _address(value: str) -> None:
    host, colon, port = value.rpartition(":")
    if not (host and colon and re.fullmatch(r"[0-9]{1,5}", port) and int(port) < 2**16) or re.search(r"\s", value):
        raise ValidationError("no address and port")


def _origins(values: list[str]) -> None:
    if not all(value == "*" or re.fullmatch(r"https?://[A-Za-z0-9.\[\]:-]+", value) for value in values):
        raise ValidationError("no origin")


def _readable(value: str) -> None:
    if value and not (Path(value).is_file() and os.access(value, os.R_OK)):
        raise ValidationError("no file")


def _stripped(env: Env) -> Callable[..., Any]:
    return partial(env.list, subcast=str.strip)


LEVELS = ("debug", "info", "warning", "error")

ADDRESS = Kind("an address and a port, such as 127.0.0.1:8000", lambda env: env.str, _address)
COUNT = Kind("a whole number of at least 1", lambda env: env.int, validate.Range(min=1))
SECONDS = Kind(
    "a number of seconds from 0 to 86400", lambda env: env.float, validate.Range(min=0, max=86400)
)  # NaN is in no range
LEVEL = Kind(f"one of {', '.join(LEVELS)}", lambda env: env.str, validate.OneOf(LEVELS))
FILE = Kind("the path of a file that can be read", lambda env: env.str, _readable)
SWITCH = Kind("on or off", lambda env: env.bool, validate.OneOf((True, False)))
ORIGINS = Kind('"*", or origins such as https://example.org, with commas between', _stripped, _origins)


def _row(kind: Kind, default: Any, meaning: str) -> Any:
    return field(metadata={"kind": kind, "default": default, "meaning": meaning})


@dataclass(frozen=True)
class Settings:
    """What a deployment decides. Each field but the limits is a row; `bind` is read from CHAINRULE_BIND."""

    bind: str = _row(ADDRESS, "127.0.0.1:8000", "address and port of the service")
    admin_bind: str = _row(ADDRESS, ADMIN_BIND, "address and port of health and metrics")
    workers: int = _row(COUNT, available_cores(), "processes; by default one for each core")
    concurrency: int = _row(COUNT, 4, "requests that one process computes at a time, each in a thread")
    queue: int = _row(COUNT, 32, "further requests that wait in one process; beyond, 503")
    queue_seconds: float = _row(SECONDS, 1, "how long a request waits for its turn; then 503")
    connections: int = _row(COUNT, 1000, "open connections of one process; beyond, the longest idle one is closed")
    memory_bytes: int = _row(
        COUNT, machine.memory() * 3 // 5, "bytes that all processes take for requests; by default 60 % of the memory"
    )
    read_seconds: float = _row(SECONDS, 60, "how long the head, and then the body, of a request may take to arrive")
    work_seconds: float = _row(SECONDS, 60, "how long a request may be worked on; then 503")
    write_seconds: float = _row(SECONDS, 120, "how long an answer may take to be received")
    keepalive_seconds: float = _row(SECONDS, 75, "how long an idle connection stays open; longer than a proxy's")
    drain_seconds: float = _row(SECONDS, 5, "how long SIGTERM leaves the service open while /readyz says 503")
    stop_seconds: float = _row(SECONDS, 30, "how long requests in flight have to finish after that")
    api_keys_file: str = _row(FILE, "", "names and hashes of API keys; without it, none is asked for")
    cors_origins: tuple[str, ...] = _row(ORIGINS, (), "origins whose pages may call the service from a browser")
    explorer: bool = _row(SWITCH, True, "on or off: whether a browser gets the explorer page at /")
    log_level: str = _row(LEVEL, "info", "how much is logged: debug, info, warning or error")
    limits: Mapping[str, int] = field(default_factory=dict)

    def value(self, row: Setting) -> Any:
        """The value of one row."""
        limit = row.name.removeprefix("MAX_").lower()
        return self.limits[limit] if limit in self.limits else getattr(self, row.name.lower())


SETTINGS: tuple[Setting, ...] = (
    *(Setting(row.name.upper(), **row.metadata) for row in fields(Settings) if row.metadata),
    *(Setting(f"MAX_{limit.name.upper()}", COUNT, limit.default, f"limit: {limit.meaning}") for limit in LIMITS),
)


def read_settings() -> Settings:
    """The settings of this environment, defaults filled in. Raises BadSettings with everything that is wrong."""
    complaints = list(_unknown_names())
    env = Env(eager=False)  # every bad value is found before any is complained of
    values = {}
    with env.prefixed(PREFIX):
        for row in SETTINGS:
            values[row.name] = row.kind.reader(env)(row.name, row.default, validate=row.kind.check)
    try:
        env.seal()
    except EnvValidationError as error:
        bad = [row for row in SETTINGS if PREFIX + row.name in error.error_messages]
        complaints += [f"{PREFIX}{row.name}: must be {row.kind.expects}" for row in bad]
    if complaints:
        raise BadSettings("\n".join(complaints))
    limits = {limit.name: values.pop(f"MAX_{limit.name.upper()}") for limit in LIMITS}
    given: dict[str, Any] = {
        name.lower(): tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    return Settings(**given, limits=limits)


def _unknown_names() -> Iterator[str]:
    known = [PREFIX + row.name for row in SETTINGS]
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in known and not _SERVICE_LINK.fullmatch(name):
            yield f"{name} is not a setting{did_you_mean(name, known, likeness=0.85)}"  # they begin alike
