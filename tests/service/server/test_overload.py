"""Overload: which requests are refused and how, which clients are never delayed, and that memory stays bounded."""

import contextlib
import gzip
import json
import os
import select
import signal
import socket
import statistics
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from schemas.known_costs import KNOWN
from tests.costs import ordinary
from tests.serving import BODY, HEAD, JSON, REQUEST, SECONDS, Load, Server, post, serving, slow_body, wait_until

pytestmark = pytest.mark.slow

CROWD = 200  # slow clients
LARGE_BODY = json.dumps(REQUEST).encode() + b" " * 20_000  # larger than the event loop computes
MEMORY_BYTES = 64 * 2**20  # the smallest budget allowed
WORK_SECONDS = 1.0
ENDED = 5.0  # seconds within which work ends: one on an idle machine; without a deadline, minutes
HELD_UP = 1.0  # seconds: milliseconds on an idle machine; 2 to 12 s if each slow client took a thread
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: a close resets the connection instead of only half-closing it
NARROW = {"CONCURRENCY": 1, "QUEUE": 1, "MAX_WORK_SECONDS": 3600}


def _large_answer() -> bytes:
    """A request of some kilobytes with an answer of 1.9 MB."""
    layer = {"activation": "tanh", "weights": [[0.125] * 100] * 2}
    batch = {"inputs": [[1.0, 2.0]] * 100, "targets": [[0.0] * 100] * 100}
    return json.dumps({"network": {"layers": [layer]}, **batch}).encode()


@pytest.fixture
def narrow(tmp_path: Path) -> Iterator[Server]:
    """A service with one slot and a queue for one request, which waits a third of a second."""
    with serving(tmp_path / "log", **NARROW, QUEUE_SECONDS=0.3) as server:
        yield server


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[Server]:
    """A service with one slot and a queue for one request, which waits without a timeout."""
    with serving(tmp_path / "log", **NARROW, QUEUE_SECONDS=3 * SECONDS) as server:
        yield server


@pytest.fixture
def hasty(tmp_path: Path) -> Iterator[Server]:
    """A service like `patient`, whose work ends after a second."""
    with serving(tmp_path / "log", **NARROW, QUEUE_SECONDS=0.3, WORK_SECONDS=WORK_SECONDS) as server:
        yield server


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Server]:
    """A service with the smallest memory budget."""
    with serving(tmp_path / "log", MEMORY_BYTES=MEMORY_BYTES) as server:
        yield server


@contextlib.contextmanager
def _busy(server: Server, requests: int = 1) -> Iterator[None]:
    """Keep the service busy with big requests, which would take minutes.

    At the end their clients disconnect, which ends the work.
    """
    body = slow_body(3000)
    with contextlib.ExitStack() as stack:
        for so_far in range(requests):
            sock = stack.enter_context(server.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            sock.sendall(HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
            wait_until(partial(_are_big, server, so_far + 1), "the work to begin", SECONDS)
        yield


def _are_big(server: Server, requests: int) -> bool:
    """Whether so many requests do big work, or wait for a slot."""
    big = server.metric("chainrule_requests_in_flight", work="big")
    return big + server.metric("chainrule_requests_waiting") == requests


def _status_and_wait(server: Server, body: bytes = BODY) -> tuple[int, str | None, dict]:
    with server.connection() as connection:
        connection.request("POST", "/v1/gradients", body, JSON)
        response = connection.getresponse()
        return response.status, response.headers["Retry-After"], json.loads(response.read())


def _counts(server: Server, *codes: str) -> dict[str, float]:
    return {code: server.metric("chainrule_http_requests_total", route="/v1/gradients", code=code) for code in codes}


def test_a_request_without_a_slot_gets_503_with_retry_after(narrow: Server) -> None:
    """The client gets 503 with Retry-After a third of a second after its request."""
    with _busy(narrow):
        start = time.monotonic()
        status, wait, document = _status_and_wait(narrow, slow_body(100))
        assert time.monotonic() - start > 0.25
    assert (status, wait, document["type"]) == (503, "1", "/problems/overloaded")
    assert "CHAINRULE_CONCURRENCY" in document["detail"]
    assert narrow.metric("chainrule_http_requests_rejected_total", reason="overloaded") == 1


def test_a_waiting_request_gets_the_slot_when_it_is_free(patient: Server) -> None:
    """The slot becomes free because the client of the other request disconnects."""
    with ThreadPoolExecutor(1) as pool:
        with _busy(patient):
            waiting = pool.submit(_status_and_wait, patient, slow_body(60))
            wait_until(lambda: patient.metric("chainrule_requests_waiting") == 1, "one to wait", SECONDS)
        assert waiting.result()[0] == 200


def test_if_the_queue_is_full_big_work_is_refused_at_once(patient: Server) -> None:
    """One request is computed and one waits, so the third is refused."""
    with _busy(patient, 2):
        assert patient.metric("chainrule_requests_waiting") == 1
        status, _, document = _status_and_wait(patient, slow_body(60))
    assert (status, document["type"]) == (503, "/problems/overloaded")
    assert "1 wait" in document["detail"]


def test_work_ends_at_its_deadline(hasty: Server) -> None:
    """The client gets 503 after a second, and slot and memory are freed; the work would take minutes.

    It is counted once.
    """
    status, wait, document = _status_and_wait(hasty, slow_body(3000))
    assert (status, wait, document["type"]) == (503, None, "/problems/work-timed-out")
    wait_until(lambda: hasty.metric("chainrule_requests_in_flight") == 0, "the work to end", ENDED)
    assert _status_and_wait(hasty)[0] == 200
    assert _counts(hasty, "200", "503") == {"200": 1, "503": 1}
    assert hasty.log.read_text().count('"event":"request"') == 2
    wait_until(lambda: hasty.metric("chainrule_memory_claimed_bytes") < 6 * 2**20, "the memory to be given back")


def test_work_for_a_disconnected_client_ends(narrow: Server) -> None:
    """Its slot is free soon, not after minutes. Log and metrics have the status 499."""
    with _busy(narrow):
        assert narrow.metric("chainrule_requests_in_flight") == 1
    wait_until(lambda: narrow.metric("chainrule_requests_in_flight") == 0, "the work to end", ENDED)
    assert _counts(narrow, "200", "499") == {"200": 0, "499": 1}
    (line,) = (line for line in narrow.log.read_text().splitlines() if '"event":"request"' in line)
    assert '"status":499,"problem":"client-gone"' in line


def test_a_client_that_disconnects_while_it_waits_leaves_the_queue(patient: Server) -> None:
    """It leaves at once, and nothing is computed for it."""
    with _busy(patient):
        with patient.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            body = slow_body(60)
            sock.sendall(HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
            wait_until(lambda: patient.metric("chainrule_requests_waiting") == 1, "one to wait", SECONDS)
        wait_until(lambda: patient.metric("chainrule_requests_waiting") == 0, "it to leave", SECONDS)
        assert patient.metric("chainrule_requests_in_flight") == 1
        assert _counts(patient, "200", "499") == {"200": 0, "499": 1}


def test_a_killed_worker_gives_back_its_memory(narrow: Server) -> None:
    """The memory that it had claimed is free for the worker that replaces it."""
    with _busy(narrow):
        assert narrow.metric("chainrule_memory_claimed_bytes") > 2**20
        (worker,) = narrow.workers
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: narrow.metric("chainrule_memory_claimed_bytes") == 0, "the memory to be free")
    assert _status_and_wait(narrow)[0] == 200


@pytest.mark.parametrize("kind", ["on the loop", "large", "compressed"])
def test_small_requests_are_answered_while_eight_big_ones_compute(tmp_path: Path, kind: str) -> None:
    """Each is answered within a second: small work has reserved slots, and the event loop needs none."""
    body, headers = {
        "on the loop": (BODY, JSON),
        "large": (LARGE_BODY, JSON),
        "compressed": (gzip.compress(BODY), JSON | {"Content-Encoding": "gzip"}),
    }[kind]
    seconds = []
    with (
        serving(tmp_path / "log", CONCURRENCY=8, QUEUE_SECONDS=60, MAX_WORK_SECONDS=3600) as server,
        _busy(server, 8),
    ):
        for _ in range(10):
            start = time.monotonic()
            with server.connection() as connection:
                connection.request("POST", "/v1/gradients", body, headers)
                assert connection.getresponse().status == 200
            seconds.append(time.monotonic() - start)
        assert server.metric("chainrule_requests_in_flight") == 6
        assert server.metric("chainrule_requests_waiting") == 2
    assert statistics.median(seconds) < 1


def test_everything_else_is_answered_while_all_slots_are_taken(narrow: Server) -> None:
    """Documents and health need no slot."""
    with _busy(narrow), narrow.connection() as connection:
        for path in ("/livez", "/v1/limits", "/nothing"):
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
            assert response.status in (200, 404)
        assert narrow.metric("chainrule_requests_in_flight") == 1


def _trickle(socks: list[socket.socket], stop: threading.Event) -> None:
    """Send a byte from each client now and then."""
    while not stop.wait(0.2):
        for sock in socks:
            with contextlib.suppress(OSError):
                sock.send(b"x")


@pytest.mark.parametrize("beginning", [b"POST /v1/gradients HTTP/1.1\r\nX: ", HEAD + b"Content-Length: 5000\r\n\r\n"])
def test_many_slow_senders_delay_nobody(small: Server, beginning: bytes) -> None:
    """200 clients send heads, or bodies, byte by byte. Other clients are not delayed."""
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(small.socket()) for _ in range(CROWD)]
        for sock in socks:
            sock.sendall(beginning)
        stop = threading.Event()
        thread = threading.Thread(target=_trickle, args=(socks, stop))
        thread.start()
        try:
            assert _typical_seconds(small) < HELD_UP
        finally:
            stop.set()
            thread.join()


def test_many_slow_readers_delay_nobody_and_are_disconnected(small: Server) -> None:
    """80 clients do not read their answers of 1.9 MB, and 29 answers fit into the budget.

    The slowest clients are dropped, and the others do not wait.
    """
    body = _large_answer()
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(small.socket()) for _ in range(80)]
        for sock in socks:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.sendall(HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
            time.sleep(0.1)
        (worker,) = small.workers
        assert _typical_seconds(small) < HELD_UP
        wait_until(lambda: _let_go(socks) > 30, "the slowest to be let go", SECONDS)
        assert _resident_bytes(worker) < 60e6 + 4 * MEMORY_BYTES
        assert _status_and_wait(small)[0] == 200


def test_the_smallest_memory_budget_serves_what_the_limits_promise(small: Server) -> None:
    """The largest batch of every example of GET /v1/limits is computed. Eight clients send small requests meanwhile."""
    with small.connection() as connection:
        connection.request("GET", "/v1/limits")
        reported = json.loads(connection.getresponse().read())["endpoints"]
    most = [example["most_samples"] for endpoint in reported for example in endpoint["examples"]]
    found = {}
    for known, samples in zip(KNOWN, most, strict=True):
        if not known.verify and samples < 2000:  # others are bounded by time, and take seconds
            asked = ordinary(known, samples)
            with small.connection() as connection:
                found[known] = post(connection, asked.body, known.path)[0]
    assert set(found.values()) == {200}
    assert len(found) >= 6
    with Load(small.port, clients=8) as load:
        load.wait_for(200)
    assert load.failures == []


def _let_go(socks: list[socket.socket]) -> int:
    """How many of the connections the server has reset."""
    poll = select.poll()
    for sock in socks:
        poll.register(sock, select.POLLRDHUP)
    return len(poll.poll(0))


def _typical_seconds(server: Server) -> float:
    """The median time of 20 requests, each on a new connection."""
    seconds = []
    for _ in range(20):
        start = time.monotonic()
        with server.connection() as connection:
            while post(connection, BODY)[0] == 503:
                time.sleep(0.1)
        seconds.append(time.monotonic() - start)
    return statistics.median(seconds)


def _resident_bytes(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(1024 * float(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def test_the_longest_idle_connection_makes_room_for_a_new_one(tmp_path: Path) -> None:
    """Four connections are allowed; the fifth closes the first."""
    with serving(tmp_path / "log", CONNECTIONS=4) as server, contextlib.ExitStack() as stack:
        socks = [stack.enter_context(server.socket()) for _ in range(4)]
        with server.connection() as connection:
            assert post(connection, BODY)[0] == 200
        wait_until(lambda: _let_go(socks) > 0, "one to be closed", 5)
        assert _let_go(socks[:1]) == 1


def test_health_is_answered_while_every_worker_is_saturated(tmp_path: Path) -> None:
    """Six clients post 8 MB each, over and over, to two workers: health takes a fifth of their time at most.

    A worker's own health would take as long as they do, on idle and busy machines. benchmarks/livez.py measures it.
    """
    body = json.dumps(
        {
            "network": {"layers": [{"activation": "tanh", "weights": [[0.125] * 8] * 64}]},
            "inputs": [[0.123456789] * 64] * 8000,
            "targets": [[0.0] * 8] * 8000,
            "breakdown": "none",
        }
    ).encode()
    stop, posts = threading.Event(), list[float]()

    def saturate(server: Server) -> None:
        while not stop.is_set():
            start = time.monotonic()
            with server.connection() as connection:
                post(connection, body)
            posts.append(time.monotonic() - start)

    with serving(tmp_path / "log", WORKERS=2) as server:
        threads = [threading.Thread(target=saturate, args=(server,)) for _ in range(6)]
        for thread in threads:
            thread.start()
        try:
            seconds = []
            for _ in range(60):
                start = time.monotonic()
                assert server.admin("/livez") == (200, "ok\n")
                seconds.append(time.monotonic() - start)
                time.sleep(0.05)
            wait_until(
                lambda: server.metric("chainrule_requests_in_flight") > 0, "the workers to be busy still", SECONDS
            )
        finally:
            stop.set()
            for thread in threads:
                thread.join(3 * SECONDS)
    assert statistics.median(seconds) < statistics.median(posts) / 5
