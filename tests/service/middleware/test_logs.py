"""The log: one line of JSON for each request and each message, without any text of a client."""

import base64
import json
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Response
from flask.testing import FlaskClient
from gunicorn.config import Config

from service.app import create_app
from service.configuration.settings import LEVELS, read_settings
from service.middleware import logs
from service.middleware.keys import new_key
from service.middleware.logs import GunicornLogger, configure, trace
from service.problems import OVERLOADED, Refusal

Captured = pytest.CaptureFixture[str]
KEY, KEYS_LINE = new_key("alice")
REQUEST = {"network": {"layers": [{"activation": "tanh", "weights": [[0.5]]}]}, "inputs": [1.0], "targets": [0.0]}
EVERY_LINE = ["time", "level", "event", "logger", "pid"]


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    """Restore the logging of the process after each test."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    for handler in handlers:  # so that `configure` does not close those of pytest
        root.removeHandler(handler)
    yield
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)


def _lines(captured: Captured) -> list[dict[str, Any]]:
    out, err = captured.readouterr()
    assert err == ""
    assert out == "" or out.endswith("\n")
    return [json.loads(line) for line in out.splitlines()]


def _client(tmp_path: Path | None = None) -> FlaskClient:
    settings = read_settings()
    if tmp_path is not None:
        (tmp_path / "keys").write_text(KEYS_LINE)
        settings = replace(settings, api_keys_file=str(tmp_path / "keys"))
    return create_app(settings).test_client()


def test_a_request_is_one_line(capfd: Captured, tmp_path: Path) -> None:
    """It has the method, route, status, times and the name of the key."""
    configure("info")
    headers = {"X-Request-ID": "lesson-7", "X-API-Key": KEY}
    answer = _client(tmp_path).post("/v1/gradients?x=1", json=REQUEST, headers=headers)
    (line,) = _lines(capfd)
    assert list(line) == [
        *EVERY_LINE,
        "method",
        "route",
        "status",
        "request_bytes",
        "response_bytes",
        "duration_ms",
        "stages_ms",
        "request_id",
        "key",
    ]
    assert abs(datetime.fromisoformat(line["time"]) - datetime.now(UTC)) < timedelta(seconds=30)
    assert (line["time"][-1], len(line["time"])) == ("Z", len("2026-01-01T00:00:00.000Z"))
    expected = {
        "level": "info",
        "event": "request",
        "method": "POST",
        "route": "/v1/gradients",
        "status": 200,
        "response_bytes": len(answer.data),
        "request_id": "lesson-7",
        "key": "alice",
        "pid": os.getpid(),
    }
    assert expected.items() <= line.items()
    assert list(line["stages_ms"]) == ["decode", "validate", "compute", "encode"]
    assert 0 < sum(line["stages_ms"].values()) < line["duration_ms"] < 60_000


def _refused(client: FlaskClient) -> Any:
    return client.post("/v1/gradients", environ_overrides={"chainrule.refusal": Refusal(OVERLOADED, "too many")})


def test_the_level_depends_on_whose_fault_it_is(capfd: Captured) -> None:
    """Faults of the service are errors, overload is a warning. Mistakes of clients and 304 are normal."""
    configure("info")
    client = _client()
    client.application.add_url_rule("/fail", view_func=lambda: {}["nothing"])
    client.get("/v1")
    client.get("/nothing")
    client.post("/v1/gradients", json={})
    client.get("/fail")
    _refused(client)
    found = [(line["level"], line["status"], line.get("problem")) for line in _lines(capfd)]
    assert found == [
        ("info", 200, None),
        ("info", 404, "not-found"),
        ("info", 422, "invalid-request"),
        ("error", 500, "internal-error"),
        ("warning", 503, "overloaded"),
    ]


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_includes_all_higher_levels(capfd: Captured, level: str) -> None:
    """Probes come every few seconds, and are logged at level debug only."""
    configure(level)
    client = _client()
    client.application.add_url_rule("/fail", view_func=lambda: {}["nothing"])
    for path in ("/livez", "/readyz", "/v1", "/fail"):
        client.get(path)
    _refused(client)
    shown = [line["status"] for line in _lines(capfd)]
    assert (
        shown
        == {"debug": [200, 200, 200, 500, 503], "info": [200, 500, 503], "warning": [500, 503], "error": [500]}[level]
    )


def test_an_internal_error_is_one_line_with_the_traceback_but_no_message(capfd: Captured) -> None:
    """The trace has the lines of code, those of the causes too.

    The message is left out, because it may quote the request.
    """
    configure("info")

    def fail() -> Response:
        try:
            return Response(str(float("s3cret-0.123")))
        except ValueError as error:
            raise RuntimeError("s3cret-0.123") from error

    client = _client()
    client.application.add_url_rule("/fail", view_func=fail)
    client.get("/fail")
    (line,) = _lines(capfd)
    exception = line["exception"]
    assert "s3cret-0.123'" not in exception.replace('float("s3cret-0.123")', "")
    assert exception.index("ValueError") < exception.index("which led to") < exception.rindex("RuntimeError")
    assert "in fail" in exception
    assert exception.endswith("RuntimeError")


def test_a_traceback_includes_its_causes_unless_they_are_suppressed() -> None:
    """The same causes as in Python's own tracebacks."""

    def raised(hidden: bool) -> BaseException:
        try:
            try:
                raise KeyError("a")
            except KeyError:
                if hidden:
                    raise ValueError("b") from None
                raise ValueError("b")  # noqa: B904
        except ValueError as error:
            return error

    assert "KeyError\n" in trace(raised(hidden=False))
    assert "KeyError\n" not in trace(raised(hidden=True))


def test_an_error_after_the_view_is_one_line_too(capfd: Captured) -> None:
    """Flask would log it with the path, which is a client's text."""
    configure("info")
    client = _client()
    failed: list[bool] = []

    def fail_once(response: Response) -> Response:
        if not failed:
            failed.append(True)
            raise RuntimeError("s3cret")
        return response

    client.application.after_request(fail_once)
    client.get("/v1/activations/s3cret")
    (line,) = _lines(capfd)
    assert (line["level"], line["status"]) == ("error", 500)
    assert "RuntimeError" in line["exception"]


NUMBER, WORD = 31415.92653589, "s3cretWord"


def _basic(user: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:".encode()).decode()}


def _with(**fields: Any) -> dict[str, Any]:
    return REQUEST | fields


PRIVATE = {
    "inputs": {"json": _with(inputs=[NUMBER])},
    "weights": {"json": _with(network={"layers": [{"activation": "tanh", "weights": [[NUMBER]]}]})},
    "an unknown name": {"json": _with(loss=WORD)},
    "an unknown key": {"json": _with(**{WORD: 1})},
    "what is not JSON": {"data": WORD, "content_type": "application/json"},
    "a type": {"data": b"{}", "content_type": f"text/{WORD}"},
    "a coding": {"json": REQUEST, "headers": {"Content-Encoding": WORD}},
    "an id": {"json": REQUEST, "headers": {"X-Request-ID": f"{WORD} <>"}},
    "a bearer": {"json": REQUEST, "headers": {"Authorization": f"Bearer {WORD}"}},
    "a header": {"json": REQUEST, "headers": {"X-API-Key": WORD}},
    "a user of Basic": {"json": REQUEST, "headers": _basic(WORD)},
    "a right key": {"json": REQUEST, "headers": {"X-API-Key": KEY}},
    "a right bearer": {"json": REQUEST, "headers": {"Authorization": f"Bearer {KEY}"}},
    "a right key as a user of Basic": {"json": REQUEST, "headers": _basic(KEY)},
    "the query": {"json": REQUEST, "query_string": {"api_key": WORD, "key": KEY}},
    "the path": {"path": f"/v1/activations/{WORD}"},
    "a path that leads nowhere": {"path": f"/{WORD}"},
    "a curve": {"path": f"/v1/activations/tanh/curve?from={NUMBER}&{WORD}={WORD}", "method": "GET"},
    "a method": {"method": WORD},
    "a cookie": {"headers": {"Cookie": WORD, "Origin": WORD, "User-Agent": WORD, "Referer": WORD, "Host": WORD}},
    "a fault": {"path": f"/fail/{WORD}", "method": "GET", "headers": {"X-API-Key": KEY}},
}


@pytest.mark.parametrize("keys", [False, True], ids=["without keys", "with keys"])
@pytest.mark.parametrize("asked", PRIVATE.values(), ids=PRIVATE)
def test_no_text_of_a_client_is_in_the_log(capfd: Captured, tmp_path: Path, asked: dict[str, Any], keys: bool) -> None:
    """No level logs an input, weight, name, path, query, header or key.

    The name of the key and a valid request id are logged.
    """
    configure("debug")
    client = _client(tmp_path if keys else None)

    def fail(word: str) -> str:
        raise ValueError(f"cannot do anything with {word}")

    client.application.add_url_rule("/fail/<word>", view_func=fail)
    client.open(**{"path": "/v1/gradients", "method": "POST"} | asked)
    out, err = capfd.readouterr()
    assert json.loads(out)["event"] == "request"
    for private in (WORD, "31415", KEY, KEY[10:], KEYS_LINE[-64:], base64.b64encode(WORD.encode()).decode()[:-2]):
        assert private not in out + err


def test_a_message_of_any_logger_is_a_line_of_the_same_form(capfd: Captured) -> None:
    """This includes messages of libraries, with their arguments filled in."""
    configure("info")
    logging.getLogger("some.library").warning("%d of %s", 3, "them")
    logging.getLogger("some.library").debug("not shown")
    (line,) = _lines(capfd)
    assert list(line) == EVERY_LINE
    assert (line["level"], line["event"], line["logger"]) == ("warning", "3 of them", "some.library")


def test_an_exception_of_any_logger_is_in_one_line(capfd: Captured) -> None:
    """It is complete, with its message, because it belongs to no request."""
    configure("info")
    try:
        raise OSError("address already in use")
    except OSError:
        logging.getLogger("some.library").exception("failed\nin two lines")
    (line,) = _lines(capfd)
    assert line["event"] == "failed\nin two lines"
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("OSError: address already in use\n")


def test_a_warning_is_a_line(capfd: Captured) -> None:
    """Python would print it on stderr, in two lines of text."""
    configure("info")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("mind the gap", RuntimeWarning, stacklevel=1)
    (line,) = _lines(capfd)
    assert (line["level"], line["logger"]) == ("warning", "py.warnings")
    assert "RuntimeWarning: mind the gap" in line["event"]


def test_gunicorns_messages_are_lines_and_it_logs_no_requests(capfd: Captured) -> None:
    """They have our level and our handler. A second set-up (SIGHUP) does not log them twice."""
    configure("info")
    logger = GunicornLogger(Config())
    logger.setup(Config())
    logger.info("Listening at: %s", "here")
    logger.debug("not shown")
    assert logger.access_log_enabled is False
    logger.access(None, None, {"QUERY_STRING": WORD}, None)
    (line,) = _lines(capfd)
    assert (line["event"], line["logger"], line["level"]) == ("Listening at: here", "gunicorn.error", "info")


def test_configuring_twice_does_not_log_twice(capfd: Captured) -> None:
    """The last level applies."""
    configure("debug")
    configure("info")
    logging.getLogger("some.library").info("once")
    logging.getLogger("some.library").debug("never")
    assert [line["event"] for line in _lines(capfd)] == ["once"]


def test_text_that_json_cannot_hold_is_escaped(capfd: Captured) -> None:
    """Half of a surrogate pair, for example, from the name of a file."""
    configure("info")
    logging.getLogger("some.library").info("a \ud800 b")
    assert [line["event"] for line in _lines(capfd)] == ["a \\ud800 b"]


def test_a_long_text_loses_its_beginning(capfd: Captured) -> None:
    """A pipe writes at most 4096 bytes atomically, and a trace ends with its cause."""
    configure("info")
    logging.getLogger("some.library").info("a" * 9999 + "é end")
    (line,) = _lines(capfd)
    assert len(line["event"].encode()) <= 3072
    assert line["event"].endswith("aé end")


def test_an_unwritable_log_fails_no_request(capfd: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the disk is full or the reader of the pipe has exited, clients still get their answers."""
    configure("info")

    def full(file: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(logs.os, "write", full)
    assert _client().get("/v1").status_code == 200
    monkeypatch.undo()
    assert "No space left on device" in capfd.readouterr().err


def test_a_line_that_is_written_in_part_is_written_to_its_end(capfd: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal can interrupt a write."""
    configure("info")
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(logs.os, "write", lambda file, data: write(file, data[:7]))
        logging.getLogger("some.library").info("whole")
    assert [line["event"] for line in _lines(capfd)] == ["whole"]


def test_without_configuration_no_log_is_written(capfd: Captured) -> None:
    """A program that embeds the app configures its own logging."""
    assert _client().get("/v1").status_code == 200
    assert capfd.readouterr().out == ""


MANY = """
import logging, os
from service.middleware.logs import configure
configure("info")
children = []
for child in range(4):
    if not (pid := os.fork()):
        for number in range(300):
            logging.getLogger("child").info("%d %d %s", child, number, "x" * 2900)
        os._exit(0)
    children.append(pid)
for pid in children:
    os.waitpid(pid, 0)
"""


def test_lines_of_several_processes_do_not_mingle() -> None:
    """Several processes write the longest lines to one pipe.

    Each line is complete, and those of a process are in order.
    """
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", MANY], cwd=root, capture_output=True, check=True)
    found = [json.loads(line)["event"].split() for line in done.stdout.splitlines()]
    assert len(found) == 4 * 300
    for child in "0123":
        assert [int(number) for who, number, _ in found if who == child] == list(range(300))
