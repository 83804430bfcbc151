"""Ways to attack: what is sent, on how many connections, and what is done with the answers. All are bounded in time."""

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

READ = 65536  # bytes at a time; of an answer no more is kept
PATHS = ("/v1/gradients", "/v1/explanations", "/v1/gradient-checks")


@dataclass(frozen=True)
class Answer:
    """What an attacker got: the status is 0 where the connection ended without an answer."""

    status: int
    seconds: float
    size: int = 0  # bytes of the body
    text: bytes = b""  # the beginning of it

    @property
    def document(self) -> Any:
        """The JSON of it."""
        return json.loads(self.text)

    @property
    def said(self) -> str:
        """What does not depend on when and how it was asked for."""
        if self.size > READ or not self.text.startswith(b"{"):
            return f"{self.status}"
        return f"{self.status} { ({k: v for k, v in self.document.items() if k != 'instance'}) }"

    @property
    def problem(self) -> str:
        """The name of the problem, where it is one."""
        is_whole = 0 < self.size <= READ and self.status >= 400
        return str(self.document["type"]).removeprefix("/problems/") if is_whole else ""

    def __str__(self) -> str:
        return f"{self.status} after {self.seconds:.1f} s, {self.size} bytes: {self.text[:300].decode('latin-1')}"


Sender = Callable[[Server, float], list[Answer]]  # until when, by time.monotonic


def head(path: str, *lines: str) -> bytes:
    """The head of a POST."""
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: a", "Content-Type: application/json", *lines, "", ""]).encode()


def long_head(path: str, *lines: str, size: int = 65_000) -> bytes:
    """The head of a POST with 90 headers more, of almost so many bytes in all."""
    each = (size - len(head(path, *lines))) // 90 - len("x-00: \r\n")
    return head(path, *lines, *(f"x-{number:02}: {'a' * each}" for number in range(90)))


def message(path: str, body: bytes, coding: str | None = None, chunk: int = 0) -> Iterator[bytes]:
    """A request in pieces; in chunks of so many bytes where one is given."""
    sent = coded(body, coding)
    lines = ["Connection: close"] + ([f"Content-Encoding: {coding}"] if coding else [])
    framing = "Transfer-Encoding: chunked" if chunk else f"Content-Length: {len(sent)}"
    yield head(path, *lines, framing)
    yield from chunked(sent, chunk) if chunk else [sent]


def exchange(server: Server, pieces: Iterable[bytes], until: float) -> Answer:
    """Send, and read the answer, of which the end need not be kept."""
    start = time.monotonic()
    try:
        with server.socket() as sock:
            sock.settimeout(max(until - start, 0.1))
            with contextlib.suppress(ConnectionError):  # it may have been refused already
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
    """The same request so many times, at once or one after the other."""

    path: str
    body: Body
    times: int = 1
    coding: str | None = None
    chunk: int = 0
    at_once: bool = True

    def __call__(self, server: Server, until: float) -> list[Answer]:
        """What the answers are."""
        body = self.body()

        def post(_: int) -> Answer:
            return exchange(server, message(self.path, body, self.coding, self.chunk), until)

        with ThreadPoolExecutor(self.times if self.at_once else 1) as pool:
            return list(pool.map(post, range(self.times)))


@dataclass(frozen=True)
class Forms:
    """One request in every form: as it is, padded, compressed, in chunks. The answers must be the same."""

    path: str
    body: Body

    def __call__(self, server: Server, until: float) -> list[Answer]:
        """What the answers are."""
        plain, large = self.body(), padded(self.body)()
        forms = [(plain, None, 0), (plain, "gzip", 0), (plain, None, 7)]
        forms += [(large, None, 0), (large, "gzip", 0), (large, "zstd", 1000), (large, None, 1000)]
        return [exchange(server, message(self.path, *form), until) for form in forms]


@dataclass(frozen=True)
class Raw:
    """Bytes as they are, each piece on a connection of its own."""

    pieces: tuple[bytes, ...]

    def __call__(self, server: Server, until: float) -> list[Answer]:
        """What the answers are."""
        return [exchange(server, [piece], until) for piece in self.pieces]


@dataclass(frozen=True)
class Crowd:
    """Connections that send the beginning of a request and then nothing, all open at a time for some seconds."""

    beginning: bytes
    per_worker: int = 1100
    seconds: float = 2.0
    pause: float = 0.001  # between two connections: how many are open is what counts, not how fast they come

    def __call__(self, server: Server, until: float) -> list[Answer]:
        """Nothing that is answered is asked."""
        with contextlib.ExitStack() as stack:
            for _ in connections(server, self.per_worker * len(server.workers), stack, self.beginning):
                time.sleep(self.pause)
            time.sleep(self.seconds)
        return []


def connections(server: Server, count: int, stack: contextlib.ExitStack, beginning: bytes) -> Iterator[socket.socket]:
    """So many connections, each with something sent, closed with the stack."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for _ in range(count):
        sock = stack.enter_context(server.socket())
        with contextlib.suppress(ConnectionError):  # it may be closed already
            sock.sendall(beginning)
        yield sock


@dataclass(frozen=True)
class SlowReaders:
    """Clients that ask for a large answer each, and read some bytes of it now and then."""

    path: str
    body: Body
    count: int
    seconds: float = 8.0

    def __call__(self, server: Server, until: float) -> list[Answer]:
        """Nobody reads to the end."""
        request = b"".join(message(self.path, self.body()))
        with contextlib.ExitStack() as stack:
            socks = []
            for sock in connections(server, self.count, stack, b""):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                sock.setblocking(True)
                with contextlib.suppress(ConnectionError):
                    sock.sendall(request)
                socks.append(sock)
            self._sip(socks, min(until, time.monotonic() + self.seconds))
        return []

    def _sip(self, socks: list[socket.socket], until: float) -> None:
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
    """Clients that reset their connection while their requests are computed."""

    path: str
    body: Body
    times: int
    stay: float = 1.0  # seconds
    coding: str | None = None

    def __call__(self, server: Server, until: float) -> list[Answer]:
        """Nobody stays for the answer."""
        request = b"".join(message(self.path, self.body(), self.coding))
        with contextlib.ExitStack() as stack:
            for sock in connections(server, self.times, stack, request):
                reset_at_the_end(sock)
            time.sleep(self.stay)
        return []


def reset_at_the_end(sock: socket.socket) -> None:
    """Have the connection end in a reset when it is closed."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


@dataclass(frozen=True)
class Together:
    """Several attacks at the same time."""

    senders: tuple[Sender, ...]

    def __call__(self, server: Server, until: float) -> list[Answer]:
        """What the answers to all of them are."""
        with ThreadPoolExecutor(len(self.senders)) as pool:
            return [answer for answers in pool.map(lambda s: s(server, until), self.senders) for answer in answers]
