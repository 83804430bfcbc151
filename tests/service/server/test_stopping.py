"""Stopping, restarting and killing processes under load: only the requests of a killed process are lost."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import BODY, HEAD, JSON, SECONDS, Load, Server, end, free_port, post, received, serving, wait_until

LENGTH = f"Content-Length: {len(BODY)}\r\n\r\n".encode()
ROLLS = 5


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A service with two workers, for a test that stops or kills it."""
    with serving(tmp_path / "log", WORKERS=2) as server:
        yield server


@pytest.fixture
def draining_long(tmp_path: Path) -> Iterator[Server]:
    """A service that drains longer than any test waits."""
    with serving(tmp_path / "log", DRAIN_SECONDS=10 * SECONDS) as server:
        yield server


@pytest.fixture
def draining(tmp_path: Path) -> Iterator[Server]:
    """A service that drains for some seconds: enough for a few requests on a busy machine."""
    with serving(tmp_path / "log", DRAIN_SECONDS=6) as server:
        yield server


def _answered(server: Server) -> float:
    """How many gradients the service has counted."""
    return server.metric("chainrule_http_requests_total", route="/v1/gradients", method="POST", code="200")


def test_sigterm_ends_an_idle_service_cleanly(server: Server) -> None:
    """Exit code 0, no child is left, and both ports are free again."""
    children = server.children
    server.terminate()
    assert server.process.wait(SECONDS) == 0
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
    with pytest.raises(ConnectionRefusedError), server.socket():
        pass
    assert server.admin("/livez") == (0, "")


def test_sigterm_lets_a_request_in_flight_finish(server: Server) -> None:
    """The signal arrives after the service has read the head and sent 100. Then the body arrives."""
    with server.socket() as sock:
        sock.sendall(HEAD + b"Expect: 100-continue\r\n" + LENGTH)
        assert sock.recv(1024).startswith(b"HTTP/1.1 100 ")
        server.terminate()
        time.sleep(0.5)
        sock.sendall(BODY)
        status, document = received(sock)
    assert (status, document["loss"]) == (200, 12.5)
    assert server.process.wait(SECONDS) == 0


def test_requests_sent_just_before_sigterm_are_answered(tmp_path: Path) -> None:
    """Most of 30 connections are still in the kernel's queue when the signal arrives.

    They are accepted and answered.
    """
    with serving(tmp_path / "log", WORKERS=1) as server, contextlib.ExitStack() as stack:
        (worker,) = server.workers
        os.kill(worker, signal.SIGSTOP)  # so that nobody is accepted
        socks = [stack.enter_context(server.socket()) for _ in range(30)]
        for sock in socks:
            sock.sendall(HEAD + LENGTH + BODY)
        server.terminate()
        time.sleep(0.2)
        os.kill(worker, signal.SIGCONT)
        answers = [received(sock) for sock in socks]
        assert [(status, document["loss"]) for status, document in answers] == [(200, 12.5)] * 30
        assert server.process.wait(SECONDS) == 0


def test_readiness_changes_before_the_service_stops(draining: Server) -> None:
    """/readyz answers 503 at once, /livez 200. Requests are answered with `Connection: close`."""
    with draining.connection() as kept:
        assert post(kept, BODY)[0] == 200
        draining.terminate()
        wait_until(lambda: draining.admin("/readyz") == (503, "draining\n"), "/readyz to say so")
        assert draining.admin("/livez") == (200, "ok\n")
        kept.request("POST", "/v1/gradients", BODY, JSON)
        response = kept.getresponse()
        response.read()
    assert (response.status, response.headers["Connection"]) == (200, "close")
    with draining.connection() as new:
        assert post(new, BODY)[0] == 200
        new.request("GET", "/readyz")
        assert new.getresponse().status == 503
    assert draining.process.poll() is None
    assert draining.process.wait(SECONDS) == 0


def test_a_second_sigterm_does_not_wait(draining_long: Server) -> None:
    """A second signal stops the service long before the draining is over."""
    draining_long.terminate()
    wait_until(lambda: draining_long.admin("/readyz")[0] == 503, "/readyz to say so")
    assert draining_long.process.poll() is None
    draining_long.terminate()
    assert draining_long.process.wait(SECONDS) == 0


def test_an_endless_client_does_not_prevent_the_stop(tmp_path: Path) -> None:
    """Its connection is closed STOP_SECONDS after the signal."""
    with serving(tmp_path / "log", STOP_SECONDS=1) as server, server.socket() as sock:
        sock.sendall(HEAD + b"Expect: 100-continue\r\n" + LENGTH)
        assert sock.recv(1024).startswith(b"HTTP/1.1 100 ")
        server.terminate()
        assert server.process.wait(SECONDS) == 0


@pytest.mark.parametrize(("rounds", "keep"), [(3, True), (10, False)], ids=["kept connections", "new connections"])
def test_sighup_loses_no_request(server: Server, rounds: int, keep: bool) -> None:
    """All workers are replaced several times under load."""
    with Load(server.port, clients=6, keep=keep) as load:
        for _ in range(rounds):
            before = server.workers
            server.process.send_signal(signal.SIGHUP)
            wait_until(lambda old=before: len(server.workers - old) == 2 and not server.workers & old, "new workers")
            load.wait_for(50)
    assert load.failures == []
    assert _answered(server) == load.answered


def test_a_killed_worker_loses_only_its_requests_in_flight(server: Server) -> None:
    """At most one request of each client fails, and two workers run again within seconds."""
    with Load(server.port) as load:
        load.wait_for(50)
        killed = min(server.workers)
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: killed not in server.workers and len(server.workers) == 2, "another worker", 5)
        wait_until(lambda: server.metric("chainrule_workers") == 2, "it to serve", 5)
        load.wait_for(0)
        failed = len(load.failures)
        time.sleep(0.5)
    assert failed <= load.clients
    assert len(load.failures) == failed
    assert load.answered <= _answered(server) <= load.answered + load.clients


def test_the_metrics_add_up_also_after_a_worker_was_killed(server: Server) -> None:
    """The sum over all workers is the clients' own count: before the kill, after it, and after further requests."""
    answered = 0
    for _ in range(2):
        with Load(server.port) as load:
            load.wait_for(50)
        assert load.failures == []
        answered += load.answered
        assert _answered(server) == answered
        killed = min(server.workers)
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda gone=killed: gone not in server.workers and len(server.workers) == 2, "another worker", 5)
        assert _answered(server) == answered


def test_the_admin_process_is_kept_alive_too(server: Server) -> None:
    """After a kill it is started again, and no count is lost."""
    with Load(server.port) as load:
        load.wait_for(20)
    (admin,) = server.children - server.workers
    os.kill(admin, signal.SIGKILL)
    wait_until(lambda: server.admin("/readyz")[0] == 200, "the admin process", 5)
    assert _answered(server) == load.answered


PROXY = """
global
    log stdout format raw local0
defaults
    mode http
    log global
    option httplog
    option redispatch
    retries 3
    timeout connect 2s
    timeout client 30s
    timeout server 30s
frontend front
    bind 127.0.0.1:{port}
    default_backend chainrule
backend chainrule
    balance roundrobin
    option httpchk GET /readyz
    default-server check inter 200ms fall 1 rise 1
{servers}
"""


@contextlib.contextmanager
def _proxy(tmp_path: Path, replicas: list[Server]) -> Iterator[int]:
    """HAProxy in front of the replicas; yields its port."""
    port = free_port()
    servers = "\n".join(
        f"    server replica{i} 127.0.0.1:{replica.port} port {replica.admin_port}"
        for i, replica in enumerate(replicas)
    )
    config = tmp_path / "haproxy.cfg"
    config.write_text(PROXY.format(port=port, servers=servers))
    with (tmp_path / "haproxy.log").open("wb") as log:
        process = subprocess.Popen(["haproxy", "-db", "-f", str(config)], stdout=log, stderr=subprocess.STDOUT)
    with process:
        try:
            wait_until(lambda: _answers(port), "the proxy")
            yield port
        finally:
            end(process)


def _answers(port: int) -> bool:
    with Load(port, clients=1) as load:
        load.wait_for(1)
    return not load.failures


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="there is no HAProxy here")
def test_a_rolling_restart_behind_a_proxy_loses_no_request(tmp_path: Path) -> None:
    """The replicas are restarted one by one under load. No request fails, and none is sent twice."""
    ports = [{"BIND": f"127.0.0.1:{free_port()}", "ADMIN_BIND": f"127.0.0.1:{free_port()}"} for _ in range(2)]
    with contextlib.ExitStack() as last:
        stacks = [last.enter_context(contextlib.ExitStack()) for _ in ports]

        def start(i: int) -> Server:
            return stacks[i].enter_context(serving(tmp_path / f"log{i}", DRAIN_SECONDS=1, **ports[i]))

        replicas = [start(i) for i in range(2)]
        with _proxy(tmp_path, replicas) as port, Load(port) as load:
            load.wait_for(20)
            for roll in range(ROLLS):
                i = roll % 2
                replicas[i].terminate()
                assert replicas[i].process.wait(SECONDS) == 0
                stacks[i].close()
                replicas[i] = start(i)
                time.sleep(0.5)  # for the proxy to see it
                load.wait_for(50)
    assert load.failures == []
    assert load.repeated == 0
    assert load.answered > 50 * ROLLS
