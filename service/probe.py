"""`chainrule health`: whether the service on this machine is ready.

It imports only the standard library, so that a check every few seconds costs little.
"""

import contextlib
import os
from http.client import HTTPConnection, HTTPException

from service.configuration.addresses import ADMIN_BIND

_SECONDS = 3.0
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]", "": "127.0.0.1"}  # noqa: S104  an address to listen on, not to call


def probe(address: str | None = None) -> tuple[bool, str]:
    """Whether /readyz on the admin address answers 200, and its text or the reason of the failure."""
    address = address or os.environ.get("CHAINRULE_ADMIN_BIND", ADMIN_BIND)
    host, _, port = address.rpartition(":")
    called = f"{_EVERYWHERE.get(host, host)}:{port}"
    try:
        with contextlib.closing(HTTPConnection(called, timeout=_SECONDS)) as connection:
            connection.request("GET", "/readyz")
            response = connection.getresponse()
            word = response.read(100).decode("utf-8", "replace").strip()
    except (OSError, HTTPException) as error:
        return False, f"no answer from {called}: {error}"
    return response.status == 200, word
