"""Kinds of attacks: what they send, on how many connections, and what they do with the answers.

All take bounded time.
"""

import contextlib
import json
import resource
import select
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import Any

from tests.attacks.bodies import Body, chunked, coded, padded
from tests.serving import Server

READ = 65536  # bytes read at a time, and the most that is kept of an answer
PATHS = ("/v1/gradients", "/v1/explanations", "/v1/gradient-checks")


@dataclass(frozen=True)
class Answer:
    """The answer that an attacker got; the status is 0 if the connection ended without one."""

    status: int
    seconds: float
    size: int = 0  # bytes of the body
    text: bytes = b""  # the beginning of the body

    @property
    def document(self) -> Any:
        """The answer's JSON."""
        return json.loads(self.text)

    @property
    def said(self) -> str:
        """The parts of an answer that do not depend on time and form."""
        if self.size > READ or not self.text.startswith(b"{"):
            return f"{self.status}"
        return f"{self.status} { ({k: v for k, v in self.document.items() if k != 'instance'}) }"

    @property
    def problem(self) -> str:
        """The name of the problem, if the answer is one."""
        is_whole = 0 < self.size <= READ and self.status >= 400
        return str(self.document["type"]).removeprefix("/problems/") if is_whole else ""

    def __str__(self) -> str:
        return f"{self.status} after {self.seconds:.1f} s, {self.size} bytes: {self.text[:300].decode('latin-1')}"


Sender = Callable[[Server, float], list[Answer]]  # the second argument is the end of the attack, by time.monotonic


def head(path: str, *lines: str) -> bytes:
    """The head of a POST."""
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: a", "Content-Type: application/json", *lines, "", ""]).encode()


def long_head(path: str, *lines: str, size: int = 65_000) -> bytes:
    """The head of a POST with 90 more headers, of almost `size` bytes in all."""
    each = (size - len(head(path, *lines))) // 90 - len("x-00: \r\n")
    return head(path, *lines, *(f"x-{number:02}: {'a' * each}" for number in range(90)))


def message(path: str, body: bytes, coding: str | None = None, chunk: int = 0) -> Iterator[bytes]:
    """A request in pieces; chunked if a chunk size is given."""
    sent = coded(body, coding)
    lines = ["Connection: close"] + ([f"Content-Encoding: {coding}"] if coding else [])
    framing = "Transfer-Encoding: chunked" if chunk else f"Content-Length: {len(sent)}"
    yield head(path, *lines, framing)
    yield from chunked(sent, chunk) if chunk else [sent]


def exchange(server: Server, pieces: Iterable[bytes], until: float) -> Answer:
    """Send a request and read its answer; keep only the beginning of a long one."""
    start = time.monotonic()
    try:
        with server.socket() as sock:
            sock.settimeout(max(until - start, 0.1))
            with contextlib.suppress(ConnectionError):  # the server may have refused it already
                for piece in pieces:
                    sock.sendall(piece)
            return _read(sock, start)
    except (OSError, HTTPException) as error:
        return Answer(0, time.monotonic() - start, text=repr(error).encode())


def _read(sock: socket.socket, start: float) -> Answer:
    with contextlib.closing(HTTPResponse(sock)) as response:
        response.begin()
        text = response.read(READ + 1)
        size = len(text)
        while part := response.read(READ):
            size += len(part)
        return Answer(response.status, time.monotonic() - start, size, text)


@dataclass(frozen=True)
class Posts:
    """The same request many times, concurrently or one after the other."""

    path: str
    body: Body
    times: int = 1
    coding: str | None = None
    chunk: int = 0
    at_once: bool = True

    def __call__(self, server: Server, until: float) -> list[Answer]:
        """Send the requests; return the answers."""
        body = self.body()

        def post(_: int) -> Answer:
            return exchange(server, message(self.path, body, self.coding, self.chunk), until)

        with ThreadPoolExecutor(self.times if self.at_once else 1) as pool:
            return list(pool.map(post, range(self.times)))


@dataclass(frozen=True)
class Forms:
    """One request plain, padded, compressed and chunked. The answers must be equal."""

    path: str
    body: Body

    def __call__(self, server: Server, until: float) -> list[Answer]:
        """Send the requests; return the answers."""
        plain, large = self.body(), padded(self.body)()
        forms = [(plain, None, 0), (plain, "gzip", 0), (plain, None, 7)]
        forms += [(large, None, 0), (large, "gzip", 0), (large, "zstd", 1000), (large, None, 1000)]
        return [exchange(server, message(self.path, *form), until) for form in forms]


@dataclass(frozen=True)
class Raw:
    """Raw bytes, each piece on its own connection."""

    pieces: tuple[bytes, ...]

    def __call__(self, server: Server, until: float) -> list[Answer]:
        """Send the requests; return the answers."""
        return [exchange(server, [piece], until) for piece in self.pieces]


_BETWEEN = 0.001  # seconds between two connections of a crowd; their number matters, not their rate


@dataclass(frozen=True)
class Crowd:
    """Connections that send the beginning of a request and then nothing, all open for some seconds."""

    beginning: bytes
    per_worker: int = 1100
    seconds: float = 2.0

    def __call__(self, server: Server, until: float) -> list[Answer]:
        """Send the beginnings. No request is complete, so there are no answers."""
        with contextlib.ExitStack() as stack:
            for _ in connections(server, self.per_worker * len(server.workers), stack, self.beginning):
                time.sleep(_BETWEEN)
            time.sleep(self.seconds)
        return []


def connections(server: Server, count: int, stack: contextlib.ExitStack, beginning: bytes) -> Iterator[socket.socket]:
    """Many connections with some bytes sent, closed with the exit stack."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for _ in range(count):
        sock = stack.enter_context(server.socket())
        with contextlib.suppress(ConnectionError):  # the server may have closed it already
            sock.sendall(beginning)
        yield sock


@dataclass(frozen=True)
class SlowReaders:
    """Clients that request a large answer and read some bytes of it now and then."""

    path: str
    body: Body
    count: int
    seconds: float = 8.0

    def __call__(self, server: Server, until: float) -> list[Answer]:
        """Read slowly. No answer is read to its end, so none is returned."""
        request = b"".join(message(self.path, self.body()))
        with contextlib.ExitStack() as stack:
            socks = []
            for sock in connections(server, self.count, stack, b""):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                sock.setblocking(True)
                with contextlib.suppress(ConnectionError):
                    sock.sendall(request)
                socks.append(sock)
            self._read_a_little(socks, min(until, time.monotonic() + self.seconds))
        return []

    def _read_a_little(self, socks: list[socket.socket], until: float) -> None:
        poll = select.poll()
        by_number = {sock.fileno(): sock for sock in socks}
        for sock in socks:
            sock.setblocking(False)
            poll.register(sock, select.POLLIN)
        while time.monotonic() < until:
            for number, _ in poll.poll(100):
                with contextlib.suppress(OSError):
                    if not by_number[number].recv(64):
                        poll.unregister(number)
            time.sleep(0.1)


@dataclass(frozen=True)
class Leavers:
    """Clients that reset their connections while their requests are computed."""

    path: str
    body: Body
    times: int
    stay: float = 1.0  # seconds
    coding: str | None = None

    def __call__(self, server: Server, until: float) -> list[Answer]:
        """Send, wait and reset. The clients do not wait for answers, so there are none."""
        request = b"".join(message(self.path, self.body(), self.coding))
        with contextlib.ExitStack() as stack:
            for sock in connections(server, self.times, stack, request):
                reset_at_the_end(sock)
            time.sleep(self.stay)
        return []


def reset_at_the_end(sock: socket.socket) -> None:
    """Make closing the connection send a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


@dataclass(frozen=True)
class Together:
    """Several attacks at the same time."""

    senders: tuple[Sender, ...]

    def __call__(self, server: Server, until: float) -> list[Answer]:
        """Run all attacks; return all answers."""
        with ThreadPoolExecutor(len(self.senders)) as pool:
            return [answer for answers in pool.map(lambda s: s(server, until), self.senders) for answer in answers]
