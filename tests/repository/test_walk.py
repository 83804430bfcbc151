"""The table "How a request is processed" in CONTRIBUTING.md: a real request calls its functions in their order."""

import asyncio
import re
import sys
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from service.app import create_app
from service.configuration.settings import read_settings
from service.resources.concurrency import Slots
from service.resources.ledger import Ledger
from service.resources.memory_budget import Budget
from service.server.connection import Connection
from service.server.connections import Connections
from service.server.front import Front
from tests.serving import BODY, HEAD

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| \d+ \| `([\w/]+\.py)` \| `([\w.]+)` \|", re.MULTILINE)
MOST = 15
REQUEST = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY


class Trace:
    """The first call of each function of the repository, in order."""

    def __init__(self) -> None:
        self.calls: dict[tuple[str, str], int] = {}

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """Record a call, as the function of sys.setprofile."""
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(ROOT):
            self.calls.setdefault((str(path.relative_to(ROOT)), _name(frame.f_code)), len(self.calls))


def _name(code: CodeType) -> str:
    return code.co_qualname


async def _post(trace: Trace) -> bytes:
    """The status line of a small request for gradients, on a connection that has already answered one."""
    settings = read_settings()
    front = Front(create_app(), settings, Slots(2, 2, 1.0), Budget(Ledger(64 * 2**20)))
    connections = Connections(front, settings, lambda: False)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(connections), "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        line = b""
        for profile in (None, trace):
            sys.setprofile(profile)
            writer.write(REQUEST)
            line = await reader.readline()
            await reader.readuntil(b"}\n")  # the end of the answer
            sys.setprofile(None)
        writer.close()
        await writer.wait_closed()
    return line


def test_a_request_calls_the_functions_that_contributing_lists() -> None:
    """At most 15 rows, each called by a request for gradients, in the order of the table."""
    rows = ROW.findall((ROOT / "CONTRIBUTING.md").read_text("utf-8"))
    assert 10 <= len(rows) <= MOST
    trace = Trace()
    assert asyncio.run(_post(trace)).startswith(b"HTTP/1.1 200")
    order = [trace.calls.get(row, -1) for row in rows]
    assert [row for row, at in zip(rows, order, strict=True) if at < 0] == []
    assert order == sorted(order)
