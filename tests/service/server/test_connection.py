"""One client's connection: strict HTTP over real sockets, disconnects, pipelining, slow clients, and memory."""

import asyncio
import contextlib
import gc
import json
import resource
import select
import socket
import statistics
import struct
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from http.client import HTTPResponse
from types import SimpleNamespace
from typing import Any

import pytest

from service.configuration.settings import read_settings
from service.server.connection import Connection
from service.server.connections import Connections
from service.server.front import CONNECTION, Answer
from service.server.request_head import UNREADABLE, Head, HeadReader
from tests.serving import BODY, HEAD, JSON, REQUEST, Server, post, received, serving, slow_body, wait_until

LARGEST_BODY = 1000  # bytes
LINE = b"POST /v1/gradients HTTP/1.1\r\n"
HOST = b"Host: localhost\r\n"
TYPE = b"Content-Type: application/json\r\n"
LENGTH = b"Content-Length: %d\r\n\r\n" % len(BODY)
RESET = struct.pack("ii", 1, 0)  # of SO_LINGER: closing resets the connection


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The service that the tests of this file share."""
    with serving(tmp_path_factory.mktemp("connection") / "log", MAX_BODY_BYTES=LARGEST_BODY) as server:
        yield server


def _lines(server: Server, before: int = 0) -> list[dict[str, Any]]:
    """The lines of the log, from number `first` on."""
    return [json.loads(line) for line in server.log.read_text().splitlines()[before:]]


def _ends(sock: socket.socket) -> bool:
    with contextlib.suppress(ConnectionResetError):
        while sock.recv(65536):
            pass
    return True


@pytest.mark.parametrize("target", [b"http://localhost/v1/gradients", b"HTTP://elsewhere:80/v1/gradients?x=1"])
def test_an_absolute_target_is_accepted(server: Server, target: bytes) -> None:
    """Proxies send absolute targets, and every server must accept them (RFC 9112, section 3.2.2)."""
    with server.socket() as sock:
        sock.sendall(LINE.replace(b"/v1/gradients", target) + HOST + TYPE + LENGTH + BODY)
        status, document = received(sock)
    assert (status, document["loss"]) == (200, 12.5)


REFUSED: dict[str, tuple[bytes, int, str, str]] = {
    "rubbish": (b"rubbish\r\n\r\n", 400, "bad-request", "unmatched"),
    "no headers": (b"GET /v1 HTTP/1.1\r\n\r\n", 400, "bad-request", "/v1"),
    "an empty name": (LINE + HOST + b": x\r\n\r\n", 400, "bad-request", "unmatched"),
    "no Host": (LINE + LENGTH + BODY, 400, "bad-request", "/v1/gradients"),
    "two Hosts": (LINE + HOST + HOST + LENGTH + BODY, 400, "bad-request", "/v1/gradients"),
    "HTTP/2": (b"GET /v1 HTTP/2.0\r\n" + HOST + b"\r\n", 400, "bad-request", "/v1"),
    "a length and chunks": (
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "bad-request",
        "unmatched",
    ),
    "two lengths": (HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n12345", 400, "bad-request", "unmatched"),
    "a header without a colon": (LINE + HOST + b"broken header\r\n\r\n", 400, "bad-request", "unmatched"),
    "a negative length": (HEAD + b"Content-Length: -5\r\n\r\n", 400, "bad-request", "unmatched"),
    "no number": (HEAD + b"Content-Length: 5x\r\n\r\n12345", 400, "bad-request", "unmatched"),
    "broken chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "bad-request", "/v1/gradients"),
    "sorcery": (HEAD + b"Transfer-Encoding: sorcery\r\n\r\n", 501, "not-implemented", "/v1/gradients"),
    "gzip in chunks": (
        HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        501,
        "not-implemented",
        "/v1/gradients",
    ),
    "20 digits": (HEAD + b"Content-Length: " + b"9" * 20 + b"\r\n\r\n", 413, "too-large", "/v1/gradients"),
    "5000 digits": (HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 413, "too-large", "/v1/gradients"),
    "a long target": (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", 414, "uri-too-long", "unmatched"),
    "long headers": (LINE + HOST + b"X: " + b"x" * 200_000 + b"\r\n\r\n", 431, "headers-too-large", "unmatched"),
    "many headers": (LINE + HOST + b"X: x\r\n" * 200 + b"\r\n", 431, "headers-too-large", "unmatched"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_invalid_http_is_refused_with_a_problem_document(server: Server, kind: str) -> None:
    """Invalid HTTP gets a problem document with an id, one log line and one count, but no body count.

    Then the connection closes.
    """
    raw, status, problem, route = REFUSED[kind]
    before = len(_lines(server))
    name = "chainrule_http_request_body_bytes_sum"
    counted, size = server.metric("chainrule_http_requests_total"), server.metric(name)
    with server.socket() as sock:
        sock.sendall(raw)
        response = HTTPResponse(sock)
        response.begin()
        document = json.loads(response.read())
        assert (response.status, document["type"]) == (status, f"/problems/{problem}")
        assert response.headers["Content-Type"] == "application/problem+json"
        assert response.headers["Date"]
        assert _ends(sock)
    (line,) = _lines(server, before)
    assert (line["route"], line["status"], line["request_bytes"]) == (route, status, 0)
    assert line["request_id"] == document["instance"] == response.headers["X-Request-ID"]
    assert server.metric("chainrule_http_requests_total") == counted + 1
    assert server.metric(name) == size


def test_a_refused_head_keeps_its_id(server: Server) -> None:
    """If the id could be parsed, the client finds its request in the log."""
    with server.socket() as sock:
        sock.sendall(LINE + b"X-Request-ID: lesson-7\r\n\r\n")
        assert received(sock)[1]["instance"] == "lesson-7"


def test_slashes_are_not_merged(server: Server) -> None:
    """A redirect would lose the body, so /v1//gradients is an unknown path."""
    with server.connection() as connection:
        status, document = post(connection, BODY, "/v1//gradients")
    assert (status, document["type"]) == (404, "/problems/not-found")


def test_an_unknown_content_encoding_stays_415(server: Server) -> None:
    """The application answers it, not the connection."""
    with server.connection() as connection:
        connection.request("POST", "/v1/gradients", BODY, JSON | {"Content-Encoding": "br"})
        assert connection.getresponse().status == 415


def test_an_unknown_method_is_405(server: Server) -> None:
    """The answer lists the allowed methods."""
    with server.connection() as connection:
        connection.request("BREW", "/v1")
        response = connection.getresponse()
        assert (response.status, "GET" in response.headers["Allow"]) == (405, True)


@pytest.mark.parametrize("name", ["Content_Length", "Transfer_Encoding", "X_Request_ID"])
def test_a_header_with_an_underscore_is_ignored(server: Server, name: str) -> None:
    """In WSGI it would look like the header with a hyphen, which a proxy treats as a different header."""
    with server.connection() as connection:
        connection.request("POST", "/v1/gradients", BODY, JSON | {name: "7"})
        response = connection.getresponse()
        assert (response.status, response.headers["X-Request-ID"] == "7") == (200, False)


def test_the_log_has_the_bytes_received(server: Server) -> None:
    """The client announces 900 bytes and sends 300."""
    before = len(_lines(server))
    with server.socket() as sock:
        sock.sendall(HEAD + b"Content-Length: 900\r\n\r\n" + b" " * 300)
        sock.shutdown(socket.SHUT_WR)
        assert received(sock)[0] == 400
    (line,) = _lines(server, before)
    assert line["request_bytes"] == 300


def test_an_http_1_0_client_may_keep_its_connection(server: Server) -> None:
    """If the client asks for keep-alive, the answer confirms it."""
    with server.socket() as sock:
        for _ in range(2):
            sock.sendall(b"GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            answer = sock.recv(65536)
            assert answer.startswith(b"HTTP/1.0 200 OK\r\n")
            assert b"Connection: keep-alive\r\n" in answer


def test_connections_that_send_nothing_do_not_exclude_new_clients(server: Server) -> None:
    """1,100 clients announce a body and send none, where 1,000 connections are allowed.

    A new client is answered within a second.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    try:
        with contextlib.ExitStack() as stack:
            silent = [stack.enter_context(server.socket()) for _ in range(1100)]
            for sock in silent:
                with contextlib.suppress(OSError):  # given up already
                    sock.sendall(HEAD + LENGTH)
            seconds = []
            for _ in range(20):
                start = time.monotonic()
                with server.connection() as connection:
                    assert post(connection, BODY)[0] == 200
                seconds.append(time.monotonic() - start)
            assert statistics.median(seconds) < 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_connection_with_a_request_in_flight_is_never_closed_to_make_room(tmp_path: Any) -> None:
    """Four connections are allowed, and ten are opened while the request of the first is computed.

    The first is answered.
    """
    with serving(tmp_path / "log", CONNECTIONS=4) as server, contextlib.ExitStack() as stack:
        answers = []

        def ask() -> None:
            with server.connection() as connection:
                answers.append(post(connection, slow_body(30))[0])

        thread = threading.Thread(target=ask)
        thread.start()
        wait_until(lambda: server.metric("chainrule_requests_in_flight") == 1, "the work to begin")
        for _ in range(10):
            stack.enter_context(server.socket()).sendall(HEAD + LENGTH)
        thread.join(60)
    assert answers == [200]


# In process: a connection with a front of the test's own.

Behaviour = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


class _Front:
    """A front that answers as the test specifies."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self.scopes: list[dict[str, Any]] = []
        self.refusals = asyncio.Event()
        self.refusals.set()
        self.refused = 0

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer one request."""
        self.scopes.append(scope)
        await self._behaviour(scope, receive, send)

    async def refuse(self, _: Any, refusal: Any) -> Answer:
        """Answer with the detail alone, once `refusals` is set."""
        self.refused += 1
        await self.refusals.wait()
        return Answer(refusal.problem.status, [], refusal.detail.encode())


@contextlib.asynccontextmanager
async def _served(behaviour: Behaviour, **settings: Any) -> AsyncIterator[SimpleNamespace]:
    """Serve in this process; yield the address, the front and the connections."""
    front = _Front(behaviour)
    connections = Connections(front, replace(read_settings(), **settings), lambda: False)  # type: ignore[arg-type]
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: Connection(connections), "127.0.0.1", 0)
    async with listening:
        address = listening.sockets[0].getsockname()
        yield SimpleNamespace(address=address, front=front, connections=connections)
        while len(connections):
            await asyncio.sleep(0.01)


async def _answer(send: Any, body: bytes = b"done", more: bool = False) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [("Content-Length", str(len(body)))]})
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def _read_all(receive: Any) -> bytes:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        body += message["body"]
        if not message["more_body"]:
            return body


async def _echo(_: Any, receive: Any, send: Any) -> None:
    await _answer(send, await _read_all(receive))


def _run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(test(), 60)

    asyncio.run(bounded())


@pytest.mark.parametrize("size", [0, 16_000, 200_000])
@pytest.mark.parametrize("how", ["reset", "closed"])
def test_a_disconnected_client_is_noticed_while_its_request_is_computed(how: str, size: int) -> None:
    """The service notices a reset at once, and a closed client within two seconds by its interim answers.

    Reading is paused while a large body waits to be taken, and must go on after it.
    """

    async def test() -> None:
        seen: list[float] = []

        async def wait(scope: Any, receive: Any, send: Any) -> None:
            assert len(await _read_all(receive)) == size
            start = time.monotonic()
            await asyncio.wait_for(scope[CONNECTION].gone.wait(), 30)
            seen.append(time.monotonic() - start)

        async with _served(wait) as served:
            client = socket.create_connection(served.address)
            client.setblocking(False)
            request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
            await asyncio.get_running_loop().sock_sendall(client, request)
            await asyncio.sleep(0.1)
            if how == "reset":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            client.close()
            while not seen:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.01)
            assert len(served.connections) == 0
        assert seen[0] < 2

    _run(test)


def test_a_half_closed_client_still_gets_its_answer() -> None:
    """A client that closes only its sending side is answered two seconds later, after interim answers."""

    async def test() -> None:
        async def slow(scope: Any, receive: Any, send: Any) -> None:
            await asyncio.sleep(1.8)
            assert not scope[CONNECTION].gone.is_set()
            await _answer(send)

        async with _served(slow) as served:
            reader, writer = await asyncio.open_connection(*served.address)
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            writer.write_eof()
            text = await reader.read()
            writer.close()
        interim, _, answer = text.rpartition(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert interim
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"Connection: close\r\n\r\ndone")

    _run(test)


def test_a_body_that_the_front_does_not_read_is_not_buffered() -> None:
    """A client sends 20 MB while the front does not read. The connection reads only some kilobytes."""

    async def test() -> None:
        held: list[int] = []
        go = asyncio.Event()

        async def wait(scope: Any, receive: Any, send: Any) -> None:
            await go.wait()
            message = await receive()
            held.append(len(message["body"]))
            await _answer(send)

        async with _served(wait) as served:
            _, writer = await asyncio.open_connection(*served.address)
            writer.transport.set_write_buffer_limits(high=0)
            writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000000\r\n\r\n")
            writer.write(bytes(20_000_000))
            await asyncio.sleep(0.5)
            unsent = writer.transport.get_write_buffer_size()
            assert unsent > 20_000_000 - 10_000_000  # the kernel takes its share
            go.set()
            while not held:
                await asyncio.sleep(0.01)
            writer.transport.abort()
        assert held[0] <= 32 * 1024  # nothing counts it before the front takes it

    _run(test)


def test_pipelined_requests_are_answered_one_at_a_time_and_in_order() -> None:
    """Requests without a body, with a length and with chunks, sent in pieces that split all of them."""

    async def test() -> None:
        running = 0

        async def one(scope: Any, receive: Any, send: Any) -> None:
            nonlocal running
            running += 1
            assert running == 1
            body = await _read_all(receive)
            await asyncio.sleep(0.01)
            running -= 1
            await _answer(send, scope["path"].encode() + b":" + body + b";")

        raw = (
            b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n\r\n\r\n"
            b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n"
            b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
            b"GET /d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /e HTTP/1.1\r\nHost: a\r\n\r\n"
        )
        for step in (len(raw), 7, 1):
            async with _served(one) as served:
                reader, writer = await asyncio.open_connection(*served.address)
                for at in range(0, len(raw), step):
                    writer.write(raw[at : at + step])
                    await asyncio.sleep(0)
                text = await reader.read()
                writer.close()
            answers = [part.rpartition(b"\r\n\r\n")[2] for part in text.split(b";")]
            assert answers == [b"/a:\r\n\r\n".rpartition(b"\r\n\r\n")[2], b"/b:", b"/c:hello", b"/d:", b""]
            assert text.count(b"/a:\r\n\r\n;") == 1

    _run(test)


def test_a_flood_of_pipelined_requests_is_not_buffered() -> None:
    """A client sends 10 MB of requests while the first is answered. The connection reads only some kilobytes."""

    async def test() -> None:
        async def wait(*_: Any) -> None:
            await asyncio.sleep(30)

        async with _served(wait) as served:
            _, writer = await asyncio.open_connection(*served.address)
            writer.transport.set_write_buffer_limits(high=0)
            one = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
            writer.write(one * (10_000_000 // len(one)))
            await asyncio.sleep(0.5)
            (connection,) = {scope[CONNECTION] for scope in served.front.scopes}
            assert len(served.front.scopes) == 1
            assert writer.transport.get_write_buffer_size() > 1_000_000
            connection.abort()
            writer.transport.abort()
            await asyncio.sleep(0.05)

    _run(test)


_LARGE_HEAD = (
    b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"x-%d: %s\r\n" % (n, b"x" * 4000) for n in range(15)) + b"\r\n"
)


def _fill(connections: Connections) -> None:
    """Use up the room for large heads and pipelined requests."""
    assert connections.keep(object(), 4 * 2**20)  # type: ignore[arg-type]  # nothing is asked of it


def test_without_memory_a_large_head_is_refused_and_a_small_one_answered() -> None:
    """The answer is 503 if no other connection can make room."""

    async def test() -> None:
        async with _served(_echo) as served:
            _fill(served.connections)
            found = []
            for head in (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", _LARGE_HEAD):
                reader, writer = await asyncio.open_connection(*served.address)
                writer.write(head)
                found.append(await reader.readline())
                writer.transport.abort()
        assert found == [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 503 Service Unavailable\r\n"]

    _run(test)


@pytest.mark.parametrize("sent", [_LARGE_HEAD[:-2], _LARGE_HEAD, b"x" * 9000])
def test_a_disconnected_client_leaves_nothing_in_memory(sent: bytes) -> None:
    """Memory is freed without the garbage collector, which may run late: after a thousand heads, 400 MB had stayed."""

    async def test() -> None:
        gc.collect()
        gc.disable()
        try:
            async with _served(_echo) as served:
                for _ in range(3):
                    _, writer = await asyncio.open_connection(*served.address)
                    writer.write(sent)
                    await asyncio.sleep(0.05)
                    writer.transport.abort()
                    await asyncio.sleep(0.05)
                await asyncio.sleep(0)
                left = [found for found in gc.get_objects() if type(found) in {HeadReader, Head}]
                assert [found for found in left if found is not UNREADABLE] == []
                assert served.connections.keep(object(), 4 * 2**20)  # type: ignore[arg-type]  # all of the room is free
        finally:
            gc.enable()

    _run(test)


def test_a_large_head_is_freed_when_its_answer_begins() -> None:
    """While a slow client reads, only its answer stays in memory, and other clients may send large heads."""

    async def test() -> None:
        free: list[bool] = []

        async def look(_: Any, receive: Any, send: Any) -> None:
            await receive()
            stranger: Any = object()
            free.append(served.connections.keep(stranger, 4 * 2**20))
            await _answer(send, b"done", more=True)
            free.append(served.connections.keep(stranger, 4 * 2**20))
            served.connections.keep(stranger, 0)

        async with _served(look) as served:
            reader, writer = await asyncio.open_connection(*served.address)
            writer.write(_LARGE_HEAD)
            await reader.readline()
            writer.transport.abort()
        assert free == [False, True]

    _run(test)


def test_without_memory_pipelined_requests_are_dropped_and_the_connection_closes() -> None:
    """`Connection: close` shows the client that it has to send the pipelined requests again."""

    async def test() -> None:
        go = asyncio.Event()

        async def wait(_: Any, receive: Any, send: Any) -> None:
            await go.wait()
            await _answer(send)

        async with _served(wait) as served:
            _fill(served.connections)
            reader, writer = await asyncio.open_connection(*served.address)
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 1000)
            await asyncio.sleep(0.1)
            go.set()
            answers = await reader.read()
            writer.transport.abort()
        assert answers.count(b"HTTP/1.1 200 OK") == 1
        assert b"Connection: close" in answers
        assert len(served.front.scopes) == 1

    _run(test)


def test_an_answer_waits_for_the_kernel_to_take_all_of_it() -> None:
    """Until then the whole answer counts in the memory budget, because its unsent rest keeps all of it in memory."""

    async def test() -> None:
        sent: list[int] = []

        async def answer(_: Any, receive: Any, send: Any) -> None:
            await receive()
            await _answer(send, bytes(20_000_000), more=True)
            (connection,) = {scope[CONNECTION] for scope in served.front.scopes}
            sent.append(connection._transport.get_write_buffer_size())
            sent.extend(connection._transport.get_write_buffer_limits())  # 0: an empty buffer alone could be chance

        async with _served(answer) as served:
            reader, writer = await asyncio.open_connection(*served.address)
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await asyncio.sleep(0.3)
            assert sent == []  # nobody has read yet
            while not sent:
                await reader.read(2**20)
            writer.transport.abort()
        assert sent == [0, 0, 0]

    _run(test)


def test_a_client_that_resets_behind_pipelined_requests_is_noticed() -> None:
    """Reading is paused, so only a periodic check of the socket detects the reset."""

    async def test() -> None:
        async def wait(scope: Any, *_: Any) -> None:
            await asyncio.wait_for(scope[CONNECTION].gone.wait(), 10)

        async with _served(wait) as served:
            client = socket.create_connection(served.address)
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 2000)
            await asyncio.sleep(0.1)
            (scope,) = served.front.scopes
            assert not scope[CONNECTION].gone.is_set()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            client.close()
            await asyncio.wait_for(scope[CONNECTION].gone.wait(), 2)

    _run(test)


def test_a_client_with_expect_gets_100_continue_or_a_refusal() -> None:
    """A client with Expect: 100-continue gets the 100, or a refusal with `Connection: close`."""

    async def test() -> None:
        async def choose(scope: Any, receive: Any, send: Any) -> None:
            await _answer(send, await _read_all(receive) if scope["path"] == "/taken" else b"refused")

        for path, first in ((b"/taken", b"HTTP/1.1 100 Continue\r\n\r\n"), (b"/refused", b"HTTP/1.1 200 OK\r\n")):
            async with _served(choose) as served:
                reader, writer = await asyncio.open_connection(*served.address)
                head = b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
                writer.write(head % path)
                assert (await reader.read(len(first))) == first
                if path == b"/taken":
                    writer.write(b"hello")
                    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
                    assert await reader.readexactly(5) == b"hello"
                else:
                    assert b"Connection: close\r\n" in await reader.read()
                writer.close()

    _run(test)


def test_head_has_no_body_and_the_length_of_the_answer() -> None:
    """This holds for any answer of the application."""

    async def test() -> None:
        async with _served(_echo) as served:
            reader, writer = await asyncio.open_connection(*served.address)
            writer.write(b"HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
            text = await reader.read()
            writer.close()
        assert b"Content-Length: 5\r\n" in text
        assert text.endswith(b"\r\n\r\n")

    _run(test)


@pytest.mark.parametrize("started", [False, True])
def test_a_fault_of_the_front_is_answered_or_breaks_the_connection(started: bool) -> None:
    """Before the answer has begun it is a 500.

    Later the connection is reset, so that the answer does not look complete.
    """

    async def test() -> None:
        async def fail(scope: Any, receive: Any, send: Any) -> None:
            if started:
                await _answer(send, more=True)
            raise ZeroDivisionError

        async with _served(fail) as served:
            reader, writer = await asyncio.open_connection(*served.address)
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            if started:
                with pytest.raises(ConnectionResetError):
                    await reader.read()
            else:
                assert (await reader.read()).startswith(b"HTTP/1.1 500 ")
            writer.close()

    _run(test)


def test_a_refused_client_that_continues_sending_gets_the_refusal() -> None:
    """A client sends 3 MB behind an invalid head, also after the answer. No reset destroys the answer."""

    async def test() -> None:
        async with _served(_echo) as served:
            client = socket.create_connection(served.address)
            client.settimeout(10)

            def talk() -> bytes:
                client.sendall(b"rubbish\r\n\r\n")
                select.select([client], [], [], 10)  # the answer is there
                for _ in range(3):
                    client.sendall(bytes(1_000_000))
                    time.sleep(0.05)  # in which a reset would arrive
                return client.recv(65536)

            assert (await asyncio.to_thread(talk)).startswith(b"HTTP/1.1 400 ")
            client.close()

    _run(test)


NO_HOST = b"GET / HTTP/1.1\r\n\r\n"
WHOLE = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("behind", [b"", WHOLE], ids=["nothing", "a request"])
def test_a_refused_pipelined_client_gets_the_refusal_and_is_not_read_from(ended: bool, behind: bytes) -> None:
    """This holds even if the client has closed its sending side. No request behind the refused one is answered."""

    async def test() -> None:
        async with _served(_echo) as served:
            served.front.refusals.clear()
            reader, writer = await asyncio.open_connection(*served.address)
            writer.write(NO_HOST + behind)
            if ended:
                writer.write_eof()
            while not served.front.refused:
                await asyncio.sleep(0.01)
            if not ended:
                writer.write(behind)
            await asyncio.sleep(0.1)
            assert len(served.connections) == 1
            served.front.refusals.set()
            text = await reader.read()
            writer.close()
        assert text.startswith(b"HTTP/1.1 400 ")
        assert text.count(b"HTTP/1.1") == 1
        assert b"Connection: close\r\n" in text
        assert (served.front.scopes, served.front.refused) == ([], 1)

    _run(test)


def test_nothing_is_read_from_a_client_that_waits_for_its_refusal() -> None:
    """A client sends 20 MB behind the head.

    The kernel buffers a part, the event loop reads nothing, and the answer arrives.
    """

    async def test() -> None:
        async with _served(_echo) as served:
            served.front.refusals.clear()
            reader, writer = await asyncio.open_connection(*served.address)
            writer.transport.set_write_buffer_limits(high=0)
            writer.write(NO_HOST + bytes(20_000_000))
            await asyncio.sleep(0.5)
            assert writer.transport.get_write_buffer_size() > 10_000_000
            served.front.refusals.set()
            assert (await reader.read(12)) == b"HTTP/1.1 400"
            writer.transport.abort()

    _run(test)


def test_connections_that_wait_for_their_refusal_make_room() -> None:
    """Two connections are allowed, and two refusals wait to be sent. A new client is answered."""

    async def test() -> None:
        async with _served(_echo, connections=2) as served:
            served.front.refusals.clear()
            writers = []
            for _ in range(2):
                _, writer = await asyncio.open_connection(*served.address)
                writer.write(NO_HOST)
                writers.append(writer)
            while served.front.refused < 2:
                await asyncio.sleep(0.01)
            reader, writer = await asyncio.open_connection(*served.address)
            writer.write(WHOLE)
            assert (await reader.read(12)) == b"HTTP/1.1 200"
            served.front.refusals.set()
            for open_one in (writer, *writers):
                open_one.close()

    _run(test)


@pytest.mark.parametrize("raw", [NO_HOST, WHOLE], ids=["a head", "a fault"])
def test_a_waiting_refusal_is_sent_before_a_stop(raw: bytes) -> None:
    """A connection with a waiting refusal does not count as idle."""

    async def test() -> None:
        async def fail(*_: Any) -> None:
            raise ZeroDivisionError

        async with _served(fail) as served:
            served.front.refusals.clear()
            reader, writer = await asyncio.open_connection(*served.address)
            writer.write(raw)
            while not served.front.refused:
                await asyncio.sleep(0.01)
            served.connections.close_idle()
            served.front.refusals.set()
            assert (await reader.read()).startswith(b"HTTP/1.1 400 " if raw == NO_HOST else b"HTTP/1.1 500 ")
            writer.close()

    _run(test)


@pytest.mark.parametrize("how", ["reset", "closed", "fault"])
def test_a_refusal_that_cannot_be_sent_leaves_no_connection(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client has disconnected, or the application raises: `_served` waits until no connection is open."""

    async def test() -> None:
        async with _served(_echo) as served:
            served.front.refusals.clear()
            client = socket.create_connection(served.address)
            client.sendall(NO_HOST)
            while not served.front.refused:
                await asyncio.sleep(0.01)
            if how == "reset":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            if how == "fault":
                monkeypatch.setattr("tests.service.server.test_connection.Answer", None)
            else:
                client.close()
            served.front.refusals.set()
        client.close()

    _run(test)


def test_chunks_never_block_the_loop() -> None:
    """With 3 million chunks of one byte, other callbacks of the loop wait at most a tenth of a second of CPU time."""

    async def test() -> None:
        longest = 0.0
        ticking = True

        async def tick() -> None:
            nonlocal longest
            while ticking:
                before = time.thread_time()
                await asyncio.sleep(0)
                longest = max(longest, time.thread_time() - before)

        async def count(_: Any, receive: Any, send: Any) -> None:
            size = 0
            while True:
                message = await receive()
                size += len(message["body"])
                if not message["more_body"]:
                    break
            await _answer(send, str(size).encode())

        async with _served(count) as served:
            clock = asyncio.create_task(tick())

            def talk() -> bytes:
                with socket.create_connection(served.address) as client:
                    client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
                    for _ in range(300):
                        client.sendall(b"1\r\nx\r\n" * 10_000)
                    client.sendall(b"0\r\n\r\n")
                    return client.recv(65536)

            assert (await asyncio.to_thread(talk)).endswith(b"3000000")
            ticking = False
            await clock
        assert longest < 0.1

    _run(test)


def test_a_slow_reader_is_sent_no_more_than_it_reads() -> None:
    """`send` waits for a slow client, and the answer arrives complete."""

    async def test() -> None:
        sent: list[int] = []
        size = 20_000_000

        async def much(_: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [("Content-Length", str(size))]})
            for at in range(0, size, 250_000):
                await send({"type": "http.response.body", "body": bytes(250_000), "more_body": at + 250_000 < size})
                sent.append(250_000)

        async with _served(much) as served:
            client = socket.create_connection(served.address)
            client.settimeout(10)
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            await asyncio.sleep(0.3)
            assert sum(sent) < size // 2

            def read() -> int:
                return sum(map(len, iter(lambda: client.recv(1 << 20), b"")))

            assert await asyncio.to_thread(read) > size
            client.close()

    _run(test)


def test_the_request_is_the_one_that_was_sent() -> None:
    """The front gets the scope of the request, as in ASGI."""

    async def test() -> None:
        async with _served(_echo) as served:
            reader, writer = await asyncio.open_connection(*served.address)
            writer.write(b"GET /v1/%C3%A4?a=%20b HTTP/1.1\r\nHost: a\r\nX-Y: z\r\nConnection: close\r\n\r\n")
            await reader.read()
            writer.close()
            (scope,) = served.front.scopes
        assert (scope["method"], scope["path"], scope["query_string"]) == ("GET", "/v1/ä", b"a=%20b")
        assert (b"x-y", b"z") in scope["headers"]
        assert scope["server"] == served.address
        assert scope["client"][0] == "127.0.0.1"

    _run(test)


def test_the_request_of_the_tests_is_right() -> None:
    """Its loss is 12.5, as in all other examples."""
    assert json.loads(BODY) == REQUEST
