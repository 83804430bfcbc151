"""`chainrule serve` as a real process, spoken to over real sockets: framing, keep-alive, signals, bad settings."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

COMMAND = [str(Path(sys.executable).parent / "chainrule"), "serve"]
SECONDS = 10  # that anything here may take
LARGEST_BODY = 1000  # bytes
JSON = {"Content-Type": "application/json"}
REQUEST = {
    "network": {"layers": [{"activation": "identity", "weights": [[2.0]]}]},
    "inputs": [3.0],
    "targets": [1.0],
    "breakdown": "none",
}
BODY = json.dumps(REQUEST).encode()
HEAD = b"POST /v1/gradients HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def _environment(**settings: str) -> dict[str, str]:
    """This environment, with these settings of the service and no others."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CHAINRULE_")}
    return kept | {f"CHAINRULE_{name}": value for name, value in settings.items()}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@dataclass(frozen=True)
class Server:
    """A running service: its process, its port, and where its log goes."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def connection(self) -> contextlib.closing[HTTPConnection]:
        """A connection that is closed at the end of the `with`."""
        return contextlib.closing(HTTPConnection("127.0.0.1", self.port, timeout=SECONDS))

    def socket(self) -> socket.socket:
        """A bare connection, for what http.client would not send."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS)

    def is_ready(self) -> bool:
        """Whether /readyz answers 200."""
        with contextlib.suppress(ConnectionError), self.connection() as connection:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        return False


@contextlib.contextmanager
def _serving(log: Path) -> Iterator[Server]:
    """A service of its own, ready; ended in any case, and waited for."""
    port = _free_port()
    settings = {"BIND": f"127.0.0.1:{port}", "WORKERS": "1", "MAX_BODY_BYTES": str(LARGEST_BODY)}
    with log.open("wb") as file, subprocess.Popen(COMMAND, env=_environment(**settings), stderr=file) as process:
        try:
            server = Server(process, port, log)
            deadline = time.monotonic() + 3 * SECONDS
            while not server.is_ready():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The service that the tests of this file share, as long as they do not end it."""
    with _serving(tmp_path_factory.mktemp("serve") / "log") as server:
        yield server


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Server]:
    """A service for a test that ends it."""
    with _serving(tmp_path / "log") as server:
        yield server


def _post(connection: HTTPConnection, body: bytes | Iterator[bytes]) -> tuple[int, dict]:
    """Status and document of an answer. An iterator is sent in chunks, one for each of its pieces."""
    connection.request("POST", "/v1/gradients", body, JSON)
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def _answer(sock: socket.socket) -> tuple[int, dict]:
    """Status and document of the answer on a bare connection."""
    with contextlib.closing(HTTPResponse(sock)) as response:
        response.begin()
        return response.status, json.loads(response.read())


def test_a_gradient_comes_over_a_real_socket(server: Server) -> None:
    """E = ½ (6 - 1)² = 12.5 and dE/dw = 5 · 1 · 3 = 15."""
    with server.connection() as connection:
        status, document = _post(connection, BODY)
    assert status == 200
    assert document["loss"] == 12.5
    assert document["layers"][0]["dE_dw"] == [[15.0]]


def test_a_connection_is_kept_for_the_next_request(server: Server) -> None:
    """Two requests, one socket."""
    with server.connection() as connection:
        first = _post(connection, BODY)
        sock = connection.sock
        assert sock is not None
        assert _post(connection, BODY) == first
        assert connection.sock is sock


def test_a_chunked_body_is_read_whole(server: Server) -> None:
    """A body of unknown length, in pieces that cut words and numbers apart."""
    with server.connection() as connection:
        status, document = _post(connection, (BODY[i : i + 7] for i in range(0, len(BODY), 7)))
    assert (status, document["loss"]) == (200, 12.5)


def _whole(body: bytes) -> bytes:
    return body


def _in_chunks(body: bytes) -> Iterator[bytes]:
    return iter([body[:600], body[600:]])


@pytest.mark.parametrize("pieces", [_whole, _in_chunks])
def test_a_body_may_have_the_limit_and_not_one_byte_more(
    server: Server, pieces: Callable[[bytes], bytes | Iterator[bytes]]
) -> None:
    """1000 bytes are allowed here; 1001 are a 413, also where no Content-Length announces them."""
    with server.connection() as connection:
        status, _ = _post(connection, pieces(BODY.ljust(LARGEST_BODY)))
    assert status == 200
    with server.connection() as connection:
        status, document = _post(connection, pieces(BODY.ljust(LARGEST_BODY + 1)))
    assert status == 413
    assert document["type"] == "/problems/too-large"
    assert document["limit"] == LARGEST_BODY


def test_a_body_that_ends_early_is_answered(server: Server) -> None:
    """Content-Length promises ten bytes more than come before the client closes its side: a 400, at once."""
    with server.socket() as sock:
        sock.sendall(HEAD + f"Content-Length: {len(BODY) + 10}\r\n\r\n".encode() + BODY)
        sock.shutdown(socket.SHUT_WR)
        status, document = _answer(sock)
    assert status == 400
    assert document["detail"] == f"the body ended after {len(BODY)} of its {len(BODY) + 10} bytes"


def test_a_client_that_stops_sending_holds_up_nobody_else(server: Server) -> None:
    """While one request waits for the rest of its body, others are answered."""
    with server.socket() as sock, server.connection() as connection:
        sock.sendall(HEAD + f"Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY[:5])
        assert _post(connection, BODY)[0] == 200


def test_sigterm_ends_an_idle_service_cleanly(mortal: Server) -> None:
    """Exit code 0, and the port is free again."""
    mortal.process.send_signal(signal.SIGTERM)
    assert mortal.process.wait(SECONDS) == 0
    with pytest.raises(ConnectionRefusedError), mortal.socket():
        pass


def test_sigterm_lets_a_request_in_flight_finish(mortal: Server) -> None:
    """The service has read the head (it says 100 Continue) when the signal comes; the body comes after it."""
    with mortal.socket() as sock:
        sock.sendall(HEAD + f"Expect: 100-continue\r\nContent-Length: {len(BODY)}\r\n\r\n".encode())
        assert sock.recv(1024).startswith(b"HTTP/1.1 100 ")
        mortal.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        sock.sendall(BODY)
        status, document = _answer(sock)
    assert (status, document["loss"]) == (200, 12.5)
    assert mortal.process.wait(SECONDS) == 0


def test_requests_sent_just_before_sigterm_are_answered(mortal: Server) -> None:
    """Most of 30 still wait to be accepted when the signal comes; the kernel has taken them, so they count."""
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(mortal.socket()) for _ in range(30)]
        for sock in socks:
            sock.sendall(HEAD + f"Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY)
        mortal.process.send_signal(signal.SIGTERM)
        answers = [_answer(sock) for sock in socks]
    assert [(status, document["loss"]) for status, document in answers] == [(200, 12.5)] * 30
    assert mortal.process.wait(SECONDS) == 0


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("THREADS", "0", "CHAINRULE_THREADS: must be a whole number of at least 1"),
        ("BNID", "x", "CHAINRULE_BNID is not a setting; did you mean"),
        ("BIND", "here", "CHAINRULE_BIND: must be an address and a port, such as 127.0.0.1:8000"),
    ],
)
def test_a_bad_setting_starts_nothing(setting: str, value: str, sentence: str) -> None:
    """The sentence names the setting and what was expected, and the port is never opened."""
    port = _free_port()
    environment = _environment(**{"BIND": f"127.0.0.1:{port}", setting: value})
    ended = subprocess.run(COMMAND, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ended.returncode != 0
    assert sentence in ended.stderr
    assert "Listening" not in ended.stderr
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), timeout=1):
        pass
