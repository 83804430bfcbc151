"""Settings, from the environment alone: one row each. A bad value or an unknown name refuses to start."""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from environs import Env, EnvValidationError, validate

from schemas.words import did_you_mean
from service.limits import LIMITS

PREFIX = "CHAINRULE_"

_WANTED_ADDRESS = "must be an address and a port, such as 127.0.0.1:8000"


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
class Setting:
    """One row: its name without the prefix, its default, what it must be, what it is for."""

    name: str
    read: Callable[[Env, str, Any], Any]
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


def _address(env: Env, name: str, default: str) -> str:
    return env.str(name, default, validate=validate.Regexp(r"^\S+:\d{1,5}$", error=_WANTED_ADDRESS))


def _count(env: Env, name: str, default: int) -> int:
    return env.int(name, default, validate=validate.Range(min=1, error="must be a whole number of at least 1"))


SETTINGS: tuple[Setting, ...] = (
    Setting("BIND", _address, "127.0.0.1:8000", "address and port of the service"),
    Setting("WORKERS", _count, available_cores(), "processes; by default one for each core"),
    Setting("THREADS", _count, 8, "threads of each process"),
    *(Setting(f"MAX_{limit.name.upper()}", _count, limit.default, f"limit: {limit.meaning}") for limit in LIMITS),
)


def read_settings() -> Settings:
    """The settings of this environment, defaults filled in. Raises BadSettings with everything that is wrong."""
    known = [PREFIX + setting.name for setting in SETTINGS]
    complaints = [
        f"{name} is not a setting{did_you_mean(name, known)}"
        for name in sorted(os.environ)
        if name.startswith(PREFIX) and name not in known
    ]
    env = Env(eager=False)
    with env.prefixed(PREFIX):
        values = {setting.name: setting.read(env, setting.name, setting.default) for setting in SETTINGS}
    try:
        env.seal()
    except EnvValidationError as error:
        found: Any = error.error_messages  # by name, as all of them were read before sealing
        complaints += [f"{name}: {' '.join(words)}" for name, words in sorted(found.items())]
    if complaints:
        raise BadSettings("\n".join(complaints))
    limits = {limit.name: values[f"MAX_{limit.name.upper()}"] for limit in LIMITS}
    return Settings(values["BIND"], values["WORKERS"], values["THREADS"], limits)
