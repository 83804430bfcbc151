"""What the console command does, where it needs the service: each function's result is the exit code."""

import os
import sys

from chainrule import __version__
from service import logs
from service.keys import BadKeys, new_key
from service.server import serve as run_server
from service.settings import PREFIX, SETTINGS, BadSettings, Settings, read_settings


def serve() -> int:
    """Serve until a signal ends it."""
    settings = _settings()
    if settings is None:
        return 1
    logs.configure(settings.log_level)
    try:
        run_server(settings)
    except BadSettings as error:  # the file of keys, which is read with the application
        return _complain(error)
    return 0


def config() -> int:
    """The settings in force, as a shell could set them; those of the environment are marked."""
    settings = _settings()
    if settings is None:
        return 1
    for row in SETTINGS:
        name = PREFIX + row.name
        given = "set" if name in os.environ else "default"
        print(f"{name}={_shown(settings.value(row))}  # {given}; {row.meaning} ({row.kind.expects})")
    return 0


def version() -> int:
    """The version."""
    print(f"chainrule {__version__}")
    return 0


def key(name: str) -> int:
    """A new API key, which is shown this once, and its line for the file of keys."""
    try:
        made, line = new_key(name)
    except BadKeys as error:
        print(error, file=sys.stderr)
        return 1
    print(f"key:  {made}\nline: {line}")
    return 0


def _settings() -> Settings | None:
    try:
        return read_settings()
    except BadSettings as error:
        _complain(error)
        return None


def _complain(error: BadSettings) -> int:
    print(f"chainrule does not start:\n{error}", file=sys.stderr)
    return 1


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    text = ",".join(value) if isinstance(value, tuple) else str(value)
    return f"'{text}'" if not text or any(c in text for c in " *#$") else text
