"""Traces as an OTLP receiver gets them: one span for each request, in the client's trace."""

import gzip
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from service.configuration.settings import BadSettings
from service.middleware import tracing
from tests.serving import BODY, HEAD, JSON, SECONDS, environment, post, serving, slow_body, wait_until

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Receiver:
    """A receiver of traces on the loopback interface, which stores them."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        keep = self.requests.append

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
                keep(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    @property
    def spans(self) -> list[Span]:
        """All spans received."""
        return [
            span
            for request in self.requests
            for of_resource in request.resource_spans
            for of_scope in of_resource.scope_spans
            for span in of_scope.spans
        ]

    @property
    def resource(self) -> dict[str, object]:
        """The resource of the first batch."""
        return attributes(self.requests[0].resource_spans[0].resource)


def attributes(holder: object) -> dict[str, object]:
    """The attributes of a span or a resource."""
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in holder.attributes}


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A receiver that the environment names; batches are sent every 100 ms."""
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever)
    thread.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()
    thread.join()


def test_a_request_is_a_span_of_the_clients_trace(receiver: Receiver, tmp_path: Path) -> None:
    """The span has the route, status, sizes and stages, and no queue for small work.

    It lasts from the head to the answer.
    """
    before = time.time_ns()
    with serving(tmp_path / "log") as server, server.connection() as connection:
        headers = JSON | {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-ID": "lesson-7"}
        connection.request("POST", "/v1/gradients", BODY, headers)
        connection.getresponse().read()
        wait_until(lambda: bool(receiver.spans), "the span")
    (span,) = receiver.spans
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert (span.name, span.kind) == ("POST /v1/gradients", Span.SPAN_KIND_SERVER)
    assert before < span.start_time_unix_nano < span.end_time_unix_nano < time.time_ns()
    reported = attributes(span)
    stages = {name for name in reported if name.startswith("chainrule.stage.")}
    assert {name.rpartition(".")[2] for name in stages} >= {"receive", "decode", "validate", "compute"}
    assert sum(reported[name] for name in stages) * 1e9 <= span.end_time_unix_nano - span.start_time_unix_nano
    assert reported["http.response.body.size"] > 100
    assert {name: reported[name] for name in reported.keys() - stages - {"http.response.body.size"}} == {
        "http.request.method": "POST",
        "http.route": "/v1/gradients",
        "http.response.status_code": 200,
        "http.request.body.size": len(BODY),
        "chainrule.request_id": "lesson-7",
    }
    assert receiver.resource["service.name"] == "chainrule"


def test_the_wait_of_a_request_is_a_stage_of_its_span(receiver: Receiver, tmp_path: Path) -> None:
    """The request waits for a slot that another one has.

    The stage `queue` has the time of the wait, and the span includes it.
    """
    with serving(tmp_path / "log", CONCURRENCY=1, QUEUE_SECONDS=2 * SECONDS, MAX_WORK_SECONDS=3600) as server:

        def ask() -> None:
            with server.connection() as connection:
                connection.request("POST", "/v1/gradients", slow_body(60), JSON | {"X-Request-ID": "waits"})
                connection.getresponse().read()

        waiting = threading.Thread(target=ask)
        with server.socket() as busy:
            body = slow_body(3000)
            busy.sendall(HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
            wait_until(lambda: server.metric("chainrule_requests_in_flight", work="big") == 1, "the work to begin")
            waiting.start()
            wait_until(lambda: server.metric("chainrule_requests_waiting") == 1, "the other to wait")
            time.sleep(0.2)
            busy.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        waiting.join(SECONDS)
        wait_until(lambda: "waits" in _by_request_id(receiver), "the span")
    span = _by_request_id(receiver)["waits"]
    reported = attributes(span)
    assert reported["http.response.status_code"] == 200
    assert 0.2 < reported["chainrule.stage.queue"] < (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9


def _by_request_id(receiver: Receiver) -> dict[object, Span]:
    return {attributes(span)["chainrule.request_id"]: span for span in receiver.spans}


def test_spans_of_the_last_requests_are_sent_at_the_stop(receiver: Receiver, tmp_path: Path) -> None:
    """Queued spans are sent at the stop. A refusal has its problem, and the resource has the configured name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
        patch.setenv("OTEL_SERVICE_NAME", "gradients-of-the-course")
        with serving(tmp_path / "log") as server, server.connection() as connection:
            assert post(connection, b"{")[0] == 400
            server.terminate()
            assert server.process.wait(SECONDS) == 0
    (span,) = receiver.spans
    assert attributes(span)["chainrule.problem"] == "malformed-json"
    assert span.status.code == Status.STATUS_CODE_UNSET
    assert receiver.resource["service.name"] == "gradients-of-the-course"


def test_a_fault_of_the_service_is_an_error(receiver: Receiver, tmp_path: Path) -> None:
    """A timeout of the work is an error; a client's mistake is not."""
    with serving(tmp_path / "log", WORK_SECONDS=0.05) as server, server.connection() as connection:
        assert post(connection, slow_body(100))[0] == 503
        wait_until(lambda: bool(receiver.spans), "the span")
    (span,) = receiver.spans
    assert span.status.code == Status.STATUS_CODE_ERROR
    assert attributes(span)["error.type"] == "work-timed-out"


@pytest.mark.parametrize(
    "off", [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")], ids=lambda off: off[0]
)
def test_it_can_be_switched_off(monkeypatch: pytest.MonkeyPatch, off: tuple[str, str]) -> None:
    """By the standard variables, even if a receiver is named. Without a receiver it is off."""
    assert not tracing.wanted()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    assert tracing.wanted()
    monkeypatch.setenv(*off)
    assert not tracing.wanted()


def test_without_the_libraries_the_service_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install. Without tracing, no library is needed."""
    monkeypatch.setattr(tracing, "find_spec", lambda name: None)
    tracing.check()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:1/v1/traces")
    with pytest.raises(BadSettings, match=r"TRACES_ENDPOINT is set, but .* pip install 'chainrule\[tracing\]'"):
        tracing.check()


def test_a_deployment_without_traces_loads_no_library_for_them() -> None:
    """The test loads the modules as `chainrule serve` does."""
    asked = (
        "import sys, service.server.server; print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    found = subprocess.run(
        [sys.executable, "-c", asked], env=environment(), capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout == "[]\n"
