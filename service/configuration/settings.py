"""Settings, read from environment variables, one row each. The service does not start with a bad or unknown setting.

The rows are the fields of `Settings` and the table of limits. The table in docs/configuration.md, `chainrule config`
and GET /v1/limits are made from them.
"""

import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from schemas.fields.wording import did_you_mean
from service.configuration import addresses, machine
from service.configuration.addresses import CannotStart
from service.configuration.limits import LIMITS, Limit

PREFIX = "CHAINRULE_"

# Variables that Kubernetes adds if a Service has our name, such as CHAINRULE_PORT=tcp://10.0.0.1:80
_SERVICE_LINK = re.compile(r"CHAINRULE_(SERVICE_(HOST|PORT\w*)|PORT(_\w+)?)")

_MIB = 2**20
_DAY = 86400  # seconds
_MOST_WORKERS = 128
_BUDGET = 0.6  # of the memory: the default of CHAINRULE_MEMORY_BYTES
_LEAST_BUDGET = 64 * _MIB  # with 48, some examples of GET /v1/limits would be refused even with one sample
# Memory of the processes, in addition to the budget. Measured in a control group on Python 3.11: 51 MiB for master and
# admin, 21 MiB for each worker after requests of every kind, 17 more while all its connections have large heads.
_MASTER_BYTES, _WORKER_BYTES = 52 * _MIB, 38 * _MIB
_OWN_FILES = 100  # files and sockets of a process, in addition to the connections of clients

_WORK_AND_MEMORY = "CHAINRULE_MAX_WORK_SECONDS and CHAINRULE_MAX_MEMORY_BYTES bound what a request costs"
_RETIRED_LIMITS = (
    *("JSON_PARTS", "LAYERS", "UNITS", "PARAMETERS", "SAMPLES", "ACTIVITY_NUMBERS", "MULTIPLY_ADDS"),
    *("VERIFIED_PARAMETERS", "ANSWER_NUMBERS", "EXPLANATION_LINES"),
)
# Settings of earlier versions, accepted without effect until the next minor version: name, and what replaces it.
RETIRED: Mapping[str, str] = {
    "HELD_BYTES": "CHAINRULE_MEMORY_BYTES bounds the memory of all processes together",
    **{f"MAX_{name}": _WORK_AND_MEMORY for name in _RETIRED_LIMITS},
}


class BadSettings(CannotStart):
    """The environment contains invalid settings; the message names each, and what was expected."""


@dataclass(frozen=True)
class Kind:
    """A type of settings: what is expected, in words, and a function that parses the text or raises ValueError."""

    expects: str
    read: Callable[[str], Any]
    allowed: str  # the words of docs/configuration.md, without numbers of this machine
    most: float = math.inf


@dataclass(frozen=True)
class Setting:
    """One setting: its name without the prefix, its type, its default, what it is for."""

    name: str
    kind: Kind
    default: Any
    meaning: str
    default_words: str = ""  # for docs/configuration.md, if the default depends on the machine


def default_workers(cores: int, memory: int) -> int:
    """One worker for each core, or fewer if the memory beside the budget is not enough for them."""
    beside_budget = (1 - _BUDGET) * memory - _MASTER_BYTES
    return max(1, min(cores, _MOST_WORKERS, int(beside_budget / _WORKER_BYTES)))


def whole(least: int, most: int, of: str = "") -> Kind:
    """Whole numbers in ASCII digits. `of` explains the upper bound if it depends on the machine."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,20}", text) or not least <= int(text) <= most:
            raise ValueError(f"{text!r} is no whole number from {least} to {most}")
        return int(text)

    words = f"a whole number from {least} to {most}{of and f' ({of})'}"
    return Kind(words, read, f"{least} to {of or most}", most)


def seconds(least: float) -> Kind:
    """Seconds up to a day, as a decimal number: no exponent, no infinity."""

    def read(text: str) -> float:
        if not re.fullmatch(r"[0-9]{1,20}(\.[0-9]{1,20})?", text) or not least <= float(text) <= _DAY:
            raise ValueError(f"{text!r} is no number of seconds from {least} to {_DAY}")
        return float(text)

    return Kind(f"a number of seconds from {least:g} to {_DAY}", read, f"{least:g} to {_DAY}", _DAY)


def _address(text: str) -> str:
    addresses.split(text)
    return text


def _level(text: str) -> str:
    if text not in LEVELS:
        raise ValueError(f"{text!r} is no level")
    return text


def _file(text: str) -> str:
    try:
        readable = not text or (Path(text).is_file() and os.access(text, os.R_OK))
    except OSError as error:  # a folder without permission, a name that is too long
        raise ValueError(f"{text!r} cannot be looked at") from error
    if not readable:
        raise ValueError(f"{text!r} is no file that can be read")
    return text


def _switch(text: str) -> bool:
    if text.lower() not in (*_ON, *_OFF):
        raise ValueError(f"{text!r} is no switch")
    return text.lower() in _ON


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(origin.strip() for origin in text.split(",")) if text else ()
    if not all(origin == "*" or re.fullmatch(r"https?://[A-Za-z0-9.\[\]:-]+", origin) for origin in origins):
        raise ValueError(f"{text!r} is no list of origins")
    return origins


LEVELS = ("debug", "info", "warning", "error")
_ON, _OFF = ("on", "true", "yes", "1", "t", "y"), ("off", "false", "no", "0", "f", "n")

_MEMORY, _FILES = machine.memory(), max(1, machine.open_files() - _OWN_FILES)
_LEVELS = f"one of {', '.join(LEVELS)}"

ADDRESS = Kind("an address and a port, such as 127.0.0.1:8000", _address, "address:port")
BYTES = whole(1, _MEMORY, "the memory available")
WAIT, TIMEOUT = seconds(0), seconds(0.01)
LEVEL = Kind(_LEVELS, _level, _LEVELS)
FILE = Kind("the path of a file that can be read", _file, "a file that can be read")
SWITCH = Kind("on or off", _switch, "on or off")
ORIGINS = Kind('"*", or origins such as https://example.org, with commas between', _origins, "*, or origins")

# The last word of a limit's name is its unit.
_KINDS_OF_LIMITS = {
    "bytes": BYTES,
    "seconds": TIMEOUT,
    "depth": whole(1, 500),  # parsers recurse, and Python ends them near 1000
}
_OTHER_LIMIT = whole(1, 10**12)


def _row(kind: Kind, default: Any, meaning: str, default_words: str = "") -> Any:
    return field(metadata={"kind": kind, "default": default, "meaning": meaning, "default_words": default_words})


@dataclass(frozen=True)
class Settings:
    """The settings of a deployment. Each field except `limits` is a row; `bind` is read from CHAINRULE_BIND."""

    bind: str = _row(ADDRESS, addresses.BIND, "address and port of the service")
    admin_bind: str = _row(ADDRESS, addresses.ADMIN_BIND, "address and port of health and metrics")
    workers: int = _row(
        whole(1, _MOST_WORKERS),
        default_workers(machine.cores(), _MEMORY),
        "processes that compute; by default one for each core, fewer if memory is short",
        "the cores",
    )
    concurrency: int = _row(whole(1, 64), 4, "requests that one process computes at a time, each in a thread")
    queue: int = _row(whole(1, 10_000), 32, "requests that may wait for a slot in one process; further ones get 503")
    queue_seconds: float = _row(WAIT, 1, "how long a request may wait for a slot; then 503")
    connections: int = _row(
        whole(1, _FILES, f"the open files allowed, less {_OWN_FILES}"),
        min(1000, _FILES),
        "open connections of one process; with more, the one silent for longest is closed",
        "1000",
    )
    memory_bytes: int = _row(
        whole(_LEAST_BUDGET, _MEMORY, "the memory available"),
        max(_LEAST_BUDGET, int(_BUDGET * _MEMORY)),
        "memory budget of all processes together, for bodies, computing and answers",
        "60 % of the memory available",
    )
    read_seconds: float = _row(TIMEOUT, 60, "how long the head, and then the body, of a request may take to arrive")
    work_seconds: float = _row(TIMEOUT, 60, "how long the work on a request may take; then 503")
    write_seconds: float = _row(TIMEOUT, 120, "how long a client may take to read an answer")
    keepalive_seconds: float = _row(WAIT, 75, "how long an idle connection stays open; set it longer than a proxy's")
    drain_seconds: float = _row(WAIT, 5, "how long the service serves on after SIGTERM, while /readyz answers 503")
    stop_seconds: float = _row(WAIT, 30, "how long requests in flight may take to finish after that")
    api_keys_file: str = _row(FILE, "", "file with names and hashes of API keys; without it, no key is required")
    cors_origins: tuple[str, ...] = _row(ORIGINS, (), "origins whose pages may call the service from a browser")
    explorer: bool = _row(SWITCH, True, "on or off: whether a browser gets the explorer page at /")
    log_level: str = _row(LEVEL, "info", "how much is logged: debug, info, warning or error")
    limits: Mapping[str, Any] = field(default_factory=dict)

    def value(self, row: Setting) -> Any:
        """The value of a setting. MAX_WORK_SECONDS is a limit, WORK_SECONDS is not."""
        limit = row.name.removeprefix("MAX_").lower()
        return self.limits[limit] if row.name.startswith("MAX_") else getattr(self, row.name.lower())


def _of_limit(limit: Limit) -> Setting:
    kind = _KINDS_OF_LIMITS.get(limit.name.rpartition("_")[2], _OTHER_LIMIT)
    # On a machine with less memory than a limit's default, the default is the whole memory.
    default = limit.default if limit.default <= kind.most else kind.most
    words = "" if default == limit.default else str(limit.default)
    return Setting(f"MAX_{limit.name.upper()}", kind, default, f"limit: {limit.meaning}", words)


SETTINGS: tuple[Setting, ...] = (
    *(Setting(row.name.upper(), **row.metadata) for row in fields(Settings) if row.metadata),
    *(_of_limit(limit) for limit in LIMITS),
)


def read_settings() -> Settings:
    """The settings from the environment, defaults filled in. Raises BadSettings with every mistake."""
    complaints = list(_unknown_names())
    values = {}
    for row in SETTINGS:
        text = os.environ.get(PREFIX + row.name)
        try:
            values[row.name] = row.default if text is None else row.kind.read(text)
        except ValueError:
            complaints.append(f"{PREFIX}{row.name}: must be {row.kind.expects}")
    if complaints:
        raise BadSettings("\n".join(complaints))
    limits = {limit.name: values.pop(f"MAX_{limit.name.upper()}") for limit in LIMITS}
    return Settings(**{name.lower(): value for name, value in values.items()}, limits=limits)


def retired_settings() -> Iterator[str]:
    """A sentence for each retired setting in the environment."""
    known = {row.name for row in SETTINGS}
    for name, instead in RETIRED.items():
        if PREFIX + name in os.environ and name not in known:
            yield f"{PREFIX}{name} has no effect any more, and the next minor version refuses it: {instead}"


def _unknown_names() -> Iterator[str]:
    known = [PREFIX + row.name for row in SETTINGS]
    accepted = {*known, *(PREFIX + name for name in RETIRED)}
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in accepted and not _SERVICE_LINK.fullmatch(name):
            yield f"{name} is not a setting{did_you_mean(name, known, likeness=0.85)}"  # all names have the same prefix
