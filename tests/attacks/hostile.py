"""Random mixtures of hostile HTTP, made from a seed: `python -m tests.attacks.hostile [streams] [seed] [--first N]`.

A stream is what one connection sends: requests that are wrong in target, head, framing or body, in one piece or many,
and how it ends. Every answer must be one that the service gives: a problem document, and never a 500.
"""

import argparse
import io
import random
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from tests.attacks.arena import Attack, arena
from tests.attacks.bodies import coded
from tests.attacks.senders import Answer, reset_at_the_end
from tests.fuzz.mutator import case
from tests.serving import BODY, Server

SEED = 1
STATUSES = frozenset({200, 204, 400, 401, 404, 405, 406, 408, 411, 413, 414, 415, 417, 422, 431, 501, 503, 505})
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"
UNREADABLE = -1  # the status of an answer that is not HTTP, or not a problem document
CPU = 0.1  # seconds of a stream of some requests, on average
_QUIET = 1.0  # seconds without a byte, after which no further answer is expected
_LONGEST = 8.0
_MOST = 4 * 2**20  # bytes of all answers on one connection
_AT_ONCE = 16

Random = random.Random
_PATHS = ("/v1/gradients",) * 6 + ("/v1/explanations", "/v1/gradient-checks", "/v1/limits", "/", "/nothing", "/livez")
_TARGETS = (
    *("http://a{}", "https://user@a:99{}", "HTTP://a{}", "*", "a:80", "", "//a{}", "/v1//gradients", "/v1/../{}"),
    *("/v1/%67radients", "{}?q=%00%ff", "{}#x", "{}?" + "q" * 9000, "/" + "x" * 70_000, "/\u00e9", "{} x", "/%zz"),
    *("{}/", "\x00{}", "/v1/activations/" + "y" * 3000),
)
_METHODS = ("GET", "PUT", "DELETE", "OPTIONS", "BREW", "post", "P" * 300, "", "PO ST", "CONNECT", "TRACE", "PRI")
_VERSIONS = ("HTTP/1.0", "HTTP/2.0", "HTTP/0.9", "HTTP/1.2", "HTTP/11", "http/1.1", "HTTP/1.1 ", "", "HTTP/1.1\r")
_HOSTS = ((), ("Host: a", "Host: b"), ("Host:",), ("Host: a b",), ("host: " + "h" * 5000,), ("Host: a:99999",))
_HEADERS = (
    *("X: y", "X:", ": y", "", "X", "X : y", " X: y", "X: a\r\n folded", "X: \x00", "X\x00: y", "X: \xff", "\xe9: y"),
    *("Expect: 100-continue", "Expect: 200-ok", "Upgrade: h2c", "Upgrade: websocket", "TE: trailers", "Connection: x"),
    *(
        "Connection: close",
        "Connection: keep-alive",
        "Content-Encoding: gzip",
        "Content-Encoding: zstd",
        "Range: bytes=0-",
    ),
    *(
        "Content-Encoding: br",
        "Content-Encoding: gzip, gzip",
        "Content-Type: text/plain",
        "Accept-Encoding: identity;q=0",
    ),
    *("X: " + "y" * 9000, "X: " + "y" * 100_000, "Y" * 9000 + ": x", "\r\n".join(f"X{n}: y" for n in range(300))),
    *("X-Request-ID: " + "i" * 9000, "Accept: " + "a/b," * 2000, "Accept: text/markdown", "Cookie: " + "c=d;" * 1000),
)
_LENGTHS = ("-1", "+5", "0x5", "5, 5", "5, 6", "5 5", "", "1e3", "9" * 20, "9" * 400, "00005", "1_0", "٣", "5.0", "99")
_CODINGS = ("gzip, chunked", "chunked, chunked", "identity", "CHUNKED", "chunked, gzip", "", "xchunked", "chunked;q=1")
_NUMBERS = b"[" + b"0," * 50_000 + b"0]"
_BOMB = coded(_NUMBERS * 80, "gzip")  # 8 MB in 8 kB
_SIZES = (b"zz", b"-1", b"0x5", b"f" * 40, b"", b"5;" + b"x" * 9000, b"5;a=b", b" 5", b"5 ", b"00000005", b"1_0", b"+5")


@dataclass(frozen=True)
class Stream:
    """The bytes that one connection sends, and how it ends."""

    pieces: tuple[bytes, ...]
    pause: float
    end: str


def stream(seed: int, index: int) -> Stream:
    """The stream of a seed and an index; always the same."""
    rng = Random(f"hostile/{seed}/{index}")
    sent = b"".join(_request(rng, seed * 1_000_000 + index) for _ in range(rng.choice((1, 1, 1, 2, 5))))
    if rng.random() < 0.15:
        sent = sent[: rng.randrange(1, len(sent) + 1)]
    cuts = sorted(rng.randrange(len(sent) + 1) for _ in range(rng.choice((0, 0, 3, 40))))
    pieces = tuple(sent[a:b] for a, b in zip([0, *cuts], [*cuts, len(sent)], strict=True))
    return Stream(
        pieces, rng.choice((0.0, 0.0, 0.005)), rng.choice(("read", "half-close", "half-close", "reset", "leave"))
    )


def _request(rng: Random, number: int) -> bytes:
    """One request, correct or with one or two mistakes."""
    body, lines = _body(rng, number)
    framing, coded = _framing(rng, body)
    path = rng.choice(_PATHS)
    method = "POST" if rng.random() < 0.85 else rng.choice(_METHODS)
    target = path if rng.random() < 0.8 else rng.choice(_TARGETS).format(path)
    version = "HTTP/1.1" if rng.random() < 0.9 else rng.choice(_VERSIONS)
    hosts = ("Host: a",) if rng.random() < 0.9 else rng.choice(_HOSTS)
    extra = [rng.choice(_HEADERS) for _ in range(rng.choice((0, 0, 1, 3)))]
    headers = [*hosts, "Content-Type: application/json", *lines, *framing, *extra]
    if rng.random() < 0.2:
        rng.shuffle(headers)
    end = "\r\n" if rng.random() < 0.93 else rng.choice(("\n", "\r", "\r\r\n"))
    text = end.join([f"{method} {target} {version}", *headers, "", ""])
    return text.encode("utf-8", "surrogatepass") + coded


def _body(rng: Random, number: int) -> tuple[bytes, list[str]]:
    """A body and its headers: small, changed, a bomb, or random bytes."""
    kind = rng.randrange(6)
    if kind < 2:
        return BODY, []
    if kind < 4:
        made = case(SEED, number)
        return made.body, [f"{n}: {v}" for n, v in made.headers.items() if n != "Content-Type" and "\t" not in v]
    if kind == 4:
        return rng.randbytes(rng.choice((1, 100, 20_000))), []
    return (_BOMB, ["Content-Encoding: gzip"]) if rng.random() < 0.3 else (_NUMBERS.ljust(200_000), [])


def _framing(rng: Random, body: bytes) -> tuple[list[str], bytes]:
    """The headers with the length of the body, and the body as it is sent."""
    fate = rng.randrange(10)
    if fate < 4:
        return [f"Content-Length: {len(body)}"], body
    if fate < 6:
        return ["Transfer-Encoding: chunked"], _chunks(rng, body)
    if fate == 6:
        return [f"Content-Length: {rng.choice(_LENGTHS)}"], body
    if fate == 7:
        return [f"Transfer-Encoding: {rng.choice(_CODINGS)}"], _chunks(rng, body)
    if fate == 8:
        other = rng.choice(("Transfer-Encoding: chunked", f"Content-Length: {len(body) + 1}", "Content-Length: 0"))
        return [f"Content-Length: {len(body)}", other], body
    return [], body


def _chunks(rng: Random, body: bytes) -> bytes:
    """The body in chunks, sometimes with an invalid size, end or trailer."""
    size = rng.choice((1, 7, 1000, 10**6))
    pieces = [body[at : at + size] for at in range(0, len(body), size)][:5000]
    coded = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces]
    if rng.random() < 0.3 and coded:
        at = rng.randrange(len(coded))
        coded[at] = rng.choice(_SIZES) + b"\r\n" + pieces[at] + rng.choice((b"\r\n", b"\n", b"", b"xx"))
    trailer = rng.choice((b"", b"", b"X: y\r\n", b"X: " + b"y" * 100_000 + b"\r\n", b"Host: b\r\n", b"\x00\r\n"))
    return b"".join(coded) + b"0\r\n" + trailer + b"\r\n"


def play(server: Server, asked: Stream) -> list[Answer]:
    """Send a stream; return the received bytes."""
    received = bytearray()
    start = time.monotonic()
    with server.socket() as sock, suppress(ConnectionError, TimeoutError, BrokenPipeError):
        sock.settimeout(_LONGEST)
        with suppress(ConnectionError):
            for piece in asked.pieces:
                sock.sendall(piece)
                time.sleep(asked.pause)
        if asked.end == "reset":
            reset_at_the_end(sock)
            return []
        if asked.end == "half-close":
            sock.shutdown(socket.SHUT_WR)
        sock.settimeout(0.1 if asked.end == "leave" else _QUIET)
        while len(received) < _MOST and time.monotonic() < start + _LONGEST and (part := sock.recv(65536)):
            received += part
    return [] if asked.end == "leave" else list(answers(bytes(received), start))


class _Received:
    """A socket-like object from which http.client reads received bytes."""

    def __init__(self, data: bytes) -> None:
        self.file = io.BytesIO(data)
        self.file.close = lambda: None  # type: ignore[method-assign]  # the next answer follows

    def makefile(self, mode: str) -> io.BytesIO:
        """The remaining bytes, as a file."""
        return self.file


def answers(data: bytes, start: float) -> Sequence[Answer]:
    """The answers of a connection, in order. Interim answers at the end belong to a missing answer."""
    while data.endswith(INTERIM):
        data = data.removesuffix(INTERIM)
    source, found = _Received(data), []
    while source.file.tell() < len(data):
        response = HTTPResponse(source)  # type: ignore[arg-type]
        try:
            response.begin()
            text = response.read()
        except (HTTPException, ValueError, OSError) as error:
            return [*found, Answer(UNREADABLE, time.monotonic() - start, len(data), repr(error).encode() + data[-200:])]
        is_problem = response.headers.get_content_type() == "application/problem+json"
        status = response.status if is_problem or response.status < 400 else UNREADABLE
        found.append(Answer(status, time.monotonic() - start, len(text), text))
    return found


@dataclass(frozen=True)
class Hostile:
    """An attack with many streams, several at a time."""

    count: int
    seed: int = SEED
    first: int = 0

    def __call__(self, server: Server, until: float) -> list[Answer]:
        """Run the streams; return the answers."""
        indices = range(self.first, self.first + self.count)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            answers = pool.map(lambda index: play(server, stream(self.seed, index)), indices)
            return [answer for some in answers for answer in some]


def attack(count: int, seed: int = SEED, first: int = 0) -> Attack:
    """A row of the table with hostile streams."""
    name = f"{count} streams of hostile HTTP of seed {seed}, from {first}"
    return Attack(name, Hostile(count, seed, first), count * CPU, STATUSES)


def main() -> int:
    """Run the streams, some hundred at once; return the exit code."""
    parser = argparse.ArgumentParser(description="Attack a service with hostile HTTP.")
    parser.add_argument("streams", type=int, nargs="?", default=1000)
    parser.add_argument("seed", type=int, nargs="?", default=SEED)
    parser.add_argument("--first", type=int, default=0, help="the index to go on from")
    asked = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as folder, arena(Path(folder) / "log") as made:
        made.measure_baseline()
        for first in range(asked.first, asked.first + asked.streams, 200):
            complaints = made.run(attack(min(200, asked.first + asked.streams - first), asked.seed, first))
            print("\n".join([str(made.measured[-1]), *complaints]), flush=True)
            wrong += len(complaints)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
