"""The ASGI scope of a request, and the WSGI environment (PEP 3333) made from it."""

import asyncio
import io
import sys
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from service.resources.handover import RECEIVED, RECEIVED_BYTES, STAGES
from service.server.request_head import Head

_WITHOUT_PREFIX = {"CONTENT_TYPE", "CONTENT_LENGTH"}

Scope = dict[str, Any]
Environ = dict[str, Any]


def scope_of(head: Head, transport: asyncio.BaseTransport) -> Scope:
    """The scope of a request, as in ASGI."""
    target, _, query = head.target.partition(b"?")
    path = target.decode("latin-1")
    return {
        "type": "http",
        "method": head.method,
        "path": unquote(path) if "%" in path else path,
        "query_string": query,
        "http_version": head.version or "1.1",
        "scheme": "http",
        "headers": head.headers,
        "server": transport.get_extra_info("sockname"),
        "client": transport.get_extra_info("peername"),
    }


def environ_of(scope: Scope) -> Environ:
    """The WSGI environment of a request, without its body."""
    host, port, *_ = scope.get("server") or ("", 0)
    return {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode("utf-8").decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": (scope.get("client") or ("",))[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        RECEIVED: time.perf_counter(),
        RECEIVED_BYTES: 0,
        STAGES: {},
        **_header_variables(scope["headers"]),
    }


def _header_variables(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """The headers under their CGI names; the values of repeated headers are joined by commas."""
    variables: dict[str, str] = {}
    for name, value in headers:
        if b"_" in name:
            continue  # X_Y would get the same variable as X-Y, and Content_Length that of Content-Length
        key = _variable(name)
        text = value.decode("latin-1")
        variables[key] = f"{variables[key]},{text}" if key in variables else text
    return variables


@lru_cache(maxsize=256)
def _variable(name: bytes) -> str:
    """The CGI name of a header."""
    key = name.decode("latin-1").upper().replace("-", "_")
    return key if key in _WITHOUT_PREFIX else f"HTTP_{key}"
