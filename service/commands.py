"""The commands of the console script that need the service. Each function returns the exit code.

It raises CannotStart if the settings are invalid.
"""

import os
import socket
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from chainrule import __version__
from service.configuration.settings import PREFIX, SETTINGS, read_settings, retired_settings
from service.middleware.keys import BadKeys, new_key, read_keys


def serve(listeners: Sequence[socket.socket]) -> int:
    """Serve on the sockets of `addresses.bind` until a signal."""
    settings = read_settings()
    if settings.api_keys_file:
        read_keys(Path(settings.api_keys_file))
    # Imported this late because it loads slowly, and bad settings are refused without it.
    import_module("service.server.server").serve(settings, listeners)
    return 0


def config() -> int:
    """Print the settings in force in shell syntax, each marked as set or default."""
    settings = read_settings()
    for row in SETTINGS:
        name = PREFIX + row.name
        given = "set" if name in os.environ else "default"
        print(f"{name}={_shown(settings.value(row))}  # {given}; {row.meaning} ({row.kind.expects})")
    for sentence in retired_settings():
        print(f"# {sentence}")
    return 0


def version() -> int:
    """Print the version."""
    print(f"chainrule {__version__}")
    return 0


def key(name: str) -> int:
    """Print a new API key, which is stored nowhere, and its line for the file of keys."""
    try:
        made, line = new_key(name)
    except BadKeys as error:
        print(error, file=sys.stderr)
        return 1
    print(f"key:  {made}\nline: {line}")
    return 0


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    text = ",".join(value) if isinstance(value, tuple) else str(value)
    return f"'{text}'" if not text or any(c in text for c in " *#$") else text
