"""`chainrule serve` over real sockets: framing, keep-alive, and the server's own refusals."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.serving import BODY, HEAD, JSON, SECONDS, Server, post, received, serving

LARGEST_BODY = 1000  # bytes
READ_SECONDS = 1.0
IDLE_SECONDS = 1.0
LENGTH = f"Content-Length: {len(BODY)}\r\n\r\n".encode()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The service that the tests of this file share."""
    log = tmp_path_factory.mktemp("serve") / "log"
    limits = {"MAX_BODY_BYTES": LARGEST_BODY, "READ_SECONDS": READ_SECONDS, "KEEPALIVE_SECONDS": IDLE_SECONDS}
    with serving(log, **limits) as server:
        yield server


def _ends(sock: socket.socket) -> bool:
    """Whether the server closes the connection after its answer."""
    try:
        while sock.recv(65536):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


def test_a_gradient_comes_over_a_real_socket(server: Server) -> None:
    """E = ½ (6 - 1)² = 12.5 and dE/dw = 5 · 1 · 3 = 15."""
    with server.connection() as connection:
        status, document = post(connection, BODY)
    assert status == 200
    assert document["loss"] == 12.5
    assert document["layers"][0]["dE_dw"] == [[15.0]]


def test_an_answer_names_the_stages_but_not_the_server_software(server: Server) -> None:
    """The time in which the body arrives is a stage, too. A small request has no queue stage."""
    with server.connection() as connection:
        connection.request("POST", "/v1/gradients", BODY, JSON)
        response = connection.getresponse()
        response.read()
    stages = [stage.partition(";")[0] for stage in response.headers["Server-Timing"].split(", ")]
    assert stages == ["receive", "decode", "validate", "compute", "encode"]
    assert response.headers.get_all("Server") == ["chainrule"]


def test_a_connection_stays_open_for_the_next_request(server: Server) -> None:
    """Two requests, one socket."""
    with server.connection() as connection:
        first = post(connection, BODY)
        sock = connection.sock
        assert sock is not None
        assert post(connection, BODY) == first
        assert connection.sock is sock


def test_requests_may_be_sent_before_the_answers(server: Server) -> None:
    """Three at once on one connection are answered in their order."""
    bodies = [BODY.replace(b"3.0", f"{x}.0".encode()) for x in (1, 2, 3)]
    with server.socket() as sock:
        sock.sendall(b"".join(HEAD + LENGTH + body for body in bodies) + b"GET /livez HTTP/1.0\r\n\r\n")
        text = b"".join(iter(lambda: sock.recv(65536), b""))
    losses = [text.find(f'"loss":{loss}'.encode()) for loss in (0.5, 4.5, 12.5)]
    assert sorted(losses) == losses
    assert losses[0] > 0


def test_a_body_in_pieces_is_read_up_to_its_end_only(server: Server) -> None:
    """Each piece is sent separately, and the last one contains the next request, too."""
    body = BODY.ljust(LARGEST_BODY)
    head = HEAD + b"Content-Length: %d\r\n\r\n" % LARGEST_BODY
    with server.socket() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in (head + body[:10], body[10:20], body[20:700], body[700:] + head, body[:-1], body[-1:]):
            sock.sendall(piece)
            time.sleep(0.05)  # else the kernel joins it with the next
        sock.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
        text = b"".join(iter(lambda: sock.recv(65536), b""))
    assert [text.count(said) for said in (b'"loss":12.5', b"200 OK\r\n", b"HTTP/1.0 200")] == [2, 3, 1]


def test_a_chunked_body_is_read_completely(server: Server) -> None:
    """A body of unknown length, in pieces that split words and numbers."""
    with server.connection() as connection:
        status, document = post(connection, (BODY[i : i + 7] for i in range(0, len(BODY), 7)))
    assert (status, document["loss"]) == (200, 12.5)


def _whole(body: bytes) -> bytes:
    return body


def _in_chunks(body: bytes) -> Iterator[bytes]:
    return iter([body[:600], body[600:]])


@pytest.mark.parametrize("pieces", [_whole, _in_chunks])
def test_a_body_may_have_exactly_the_limit(server: Server, pieces: Callable[[bytes], bytes | Iterator[bytes]]) -> None:
    """The limit is 1000 bytes here. 1001 bytes get 413, even without a Content-Length."""
    with server.connection() as connection:
        status, _ = post(connection, pieces(BODY.ljust(LARGEST_BODY)))
    assert status == 200
    with server.connection() as connection:
        status, document = post(connection, pieces(BODY.ljust(LARGEST_BODY + 1)))
    assert status == 413
    assert document["type"] == "/problems/too-large"
    assert document["limit"] == LARGEST_BODY


@pytest.mark.parametrize(("announced", "closes"), [(8 * LARGEST_BODY, False), (8 * LARGEST_BODY + 1, True)])
def test_a_refusal_says_whether_the_connection_goes_on(server: Server, announced: int, closes: bool) -> None:
    """At most eight times the limit are read and dropped. A larger body ends the connection, and the answer says so."""
    with server.socket() as sock:
        sock.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % announced)
        text = b""
        while b"\r\n\r\n" not in text:
            text += sock.recv(65536)
    assert text.startswith(b"HTTP/1.1 413 ")
    assert (b"\r\nConnection: close\r\n" in text) == closes


def test_a_client_that_sends_too_much_can_read_the_refusal(tmp_path: Path) -> None:
    """The client sends 7 MB, where 1 MB is allowed, before it reads.

    It gets the refusal instead of a reset, and can go on using the connection.
    """
    with serving(tmp_path / "log", MAX_BODY_BYTES=2**20) as server, server.connection() as connection:
        assert post(connection, b" " * 7 * 2**20)[0] == 413
        sock = connection.sock
        assert sock is not None
        assert post(connection, BODY)[0] == 200
        assert connection.sock is sock


def test_a_client_with_expect_is_refused_before_it_sends_too_much(server: Server) -> None:
    """Expect: 100-continue with a body that is too large gets the refusal, not the 100."""
    with server.socket() as sock:
        sock.sendall(HEAD + f"Expect: 100-continue\r\nContent-Length: {10 * LARGEST_BODY}\r\n\r\n".encode())
        status, document = received(sock)
    assert (status, document["type"]) == (413, "/problems/too-large")


@pytest.mark.parametrize(
    ("framing", "sentence"),
    [
        (f"Content-Length: {len(BODY) + 10}\r\n\r\n".encode() + BODY, f"{len(BODY)} of its {len(BODY) + 10} bytes"),
        (b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(BODY), BODY), f"{len(BODY)} bytes"),
    ],
    ids=["of-a-length", "chunked"],
)
def test_a_body_that_ends_early_is_answered(server: Server, framing: bytes, sentence: str) -> None:
    """The client closes its sending side before the announced end, and gets 400 at once."""
    with server.socket() as sock:
        sock.sendall(HEAD + framing)
        sock.shutdown(socket.SHUT_WR)
        status, document = received(sock)
    assert status == 400
    assert document["detail"] == f"the body ended after {sentence}"


def test_a_client_may_half_close_after_its_request(server: Server) -> None:
    """It still gets its answer."""
    with server.socket() as sock:
        sock.sendall(HEAD + LENGTH + BODY)
        sock.shutdown(socket.SHUT_WR)
        assert received(sock)[0] == 200


@pytest.mark.parametrize("path", ["//v1/gradients", "/v1/%67radients"])
def test_a_path_is_read_as_flask_reads_it(server: Server, path: str) -> None:
    """The body reaches the view under every spelling of the path that Flask routes to it."""
    with server.connection() as connection:
        assert post(connection, BODY, path)[0] == 200


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HTT", HEAD + LENGTH + BODY[:5]], ids=["nothing", "half a head", "half a body"]
)
def test_a_client_that_stops_sending_is_disconnected(server: Server, sent: bytes) -> None:
    """Its connection closes after the timeout. Meanwhile other clients are answered."""
    with server.socket() as sock, server.connection() as connection:
        sock.sendall(sent)
        assert post(connection, BODY)[0] == 200
        start = time.monotonic()
        assert _ends(sock)
        assert 0.5 < time.monotonic() - start < SECONDS / 2


def test_a_body_that_takes_too_long_gets_408(server: Server) -> None:
    """The answer is 408, and names the setting."""
    with server.socket() as sock:
        sock.sendall(HEAD + LENGTH + BODY[:5])
        status, document = received(sock)
    assert (status, document["type"]) == (408, "/problems/request-timeout")
    assert "CHAINRULE_READ_SECONDS" in document["detail"]


def test_one_line_is_logged_for_each_request(server: Server) -> None:
    """This includes the server's own refusals. No line has the query."""
    before = len(server.log.read_text().splitlines())
    with server.connection() as connection:
        connection.request("GET", "/v1/activations/tanh?secret=1", headers={"X-Request-ID": "lesson-7"})
        connection.getresponse().read()
        connection.request("GET", "/livez")
        connection.getresponse().read()
    with server.socket() as sock:
        sock.sendall(b"rubbish\r\n\r\n")
        assert received(sock)[0] == 400
    text = server.log.read_text()
    lines = [json.loads(line) for line in text.splitlines()[before:]]
    assert [(line["route"], line["status"]) for line in lines] == [("/v1/activations/{name}", 200), ("unmatched", 400)]
    assert lines[0]["request_id"] == "lesson-7"
    assert "secret" not in text
