"""Settings, from the environment alone: one row each. A bad value or an unknown name refuses to start."""

import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from environs import Env, EnvValidationError, ValidationError, validate

from schemas.words import did_you_mean
from service.limits import LIMITS

PREFIX = "CHAINRULE_"

# What Kubernetes puts into every container beside a service of this name, such as CHAINRULE_PORT=tcp://10.0.0.1:80
_SERVICE_LINK = re.compile(r"CHAINRULE_(SERVICE_(HOST|PORT\w*)|PORT(_\w+)?)")


class BadSettings(ValueError):
    """The environment holds settings that cannot be used; the text names each, and what was expected."""


@dataclass(frozen=True)
class Settings:
    """What a deployment decides."""

    bind: str
    workers: int
    threads: int
    limits: Mapping[str, int]


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


ADDRESS = Kind("an address and a port, such as 127.0.0.1:8000", lambda env: env.str, _address)
COUNT = Kind("a whole number of at least 1", lambda env: env.int, validate.Range(min=1))

SETTINGS: tuple[Setting, ...] = (
    Setting("BIND", ADDRESS, "127.0.0.1:8000", "address and port of the service"),
    Setting("WORKERS", COUNT, available_cores(), "processes; by default one for each core"),
    Setting("THREADS", COUNT, 8, "threads of each process"),
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
    limits = {limit.name: values[f"MAX_{limit.name.upper()}"] for limit in LIMITS}
    return Settings(values["BIND"], values["WORKERS"], values["THREADS"], limits)


def _unknown_names() -> Iterator[str]:
    known = [PREFIX + row.name for row in SETTINGS]
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in known and not _SERVICE_LINK.fullmatch(name):
            yield f"{name} is not a setting{did_you_mean(name, known, likeness=0.85)}"  # they begin alike
