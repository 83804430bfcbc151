"""A client with little overhead: one thread, prepared bytes, several connections at a time."""

import re
import selectors
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_HEAD_ENDS = b"\r\n\r\n"
_SECONDS = 60.0  # without an event; then the service has failed


def post_of(body: bytes) -> bytes:
    """The bytes of a whole POST request."""
    head = "POST /v1/gradients HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


@dataclass
class Exchange:
    """One connection with a request in flight."""

    port: int
    request: bytes
    answer: bytearray = field(default_factory=bytearray)
    began: float = 0.0
    taken: list[float] = field(default_factory=list)  # seconds of each answer
    _left: memoryview = field(default_factory=lambda: memoryview(b""))
    _whole: int = 0  # bytes of the answer, known once its head has arrived

    def __post_init__(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)

    def begin(self) -> None:
        """Send the request, or as much of it as the connection takes."""
        self.answer.clear()
        self._whole, self._left = 0, memoryview(self.request)
        self.began = time.perf_counter()
        self._send()

    @property
    def events(self) -> int:
        """The events that the connection waits for."""
        return selectors.EVENT_WRITE | selectors.EVENT_READ if self._left else selectors.EVENT_READ

    def go_on(self) -> bool:
        """Send and receive what is possible now; return whether the answer is complete."""
        self._send()
        return self._receive()

    def _send(self) -> None:
        with suppress(BlockingIOError):
            while self._left:
                self._left = self._left[self.socket.send(self._left) :]

    def _receive(self) -> bool:
        try:
            while not self._whole or len(self.answer) < self._whole:
                data = self.socket.recv(1 << 20)
                if not data:
                    raise ConnectionError("the service has closed the connection")
                self.answer += data
                if not self._whole and _HEAD_ENDS in self.answer:
                    head, _, _ = bytes(self.answer).partition(_HEAD_ENDS)
                    self._whole = len(head) + len(_HEAD_ENDS) + int(_LENGTH.search(head)[1])  # type: ignore[index]
        except BlockingIOError:
            return False
        if not self.answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(bytes(self.answer[:2000]).decode(errors="replace"))
        return True

    @property
    def body(self) -> bytes:
        """The body of the answer."""
        return bytes(self.answer).partition(_HEAD_ENDS)[2]


def latencies(port: int, request: bytes, connections: int, seconds: float, least: int) -> tuple[list[float], bytes]:
    """The latency of each answer, in so many seconds and at least so many answers; and the last answer's body.

    The first answer of each connection comes before all others.
    """
    exchanges = [Exchange(port, request) for _ in range(connections)]
    answers, end = 0, time.perf_counter() + seconds
    with selectors.DefaultSelector() as selector:
        for exchange in exchanges:
            exchange.begin()
            selector.register(exchange.socket, exchange.events, exchange)
        while selector.get_map():
            ready = selector.select(_SECONDS)
            if not ready:
                raise TimeoutError(f"no answer within {_SECONDS:g} s")
            for key, _ in ready:
                exchange = key.data
                if exchange.go_on():
                    now = time.perf_counter()
                    exchange.taken.append(now - exchange.began)
                    answers += 1
                    if now > end and answers >= least:
                        selector.unregister(exchange.socket)
                        continue
                    exchange.begin()
                if key.events != exchange.events:
                    selector.modify(exchange.socket, exchange.events, exchange)
    body = exchanges[0].body
    for exchange in exchanges:
        exchange.socket.close()
    times = [exchange.taken for exchange in exchanges]
    return [taken[0] for taken in times] + [t for taken in times for t in taken[1:]], body
