"""The head of a request, strictly by RFC 9112, in pieces of any size."""

import time
from collections.abc import Iterator

import pytest

from service.problems import BAD_REQUEST, HEADERS_TOO_LARGE, NOT_IMPLEMENTED, URI_TOO_LONG, Problem, Refusal
from service.server.request_head import LONGEST_HEAD, LONGEST_TARGET, MOST_HEADERS, Head, HeadReader

LINE = b"POST /v1/gradients?x=1 HTTP/1.1\r\n"
HOST = b"Host: localhost\r\n"


def _read(raw: bytes, size: int = 0) -> tuple[Head, bytes]:
    """The head, and the bytes behind it; fed in pieces of `size` bytes."""
    reader = HeadReader()
    for at in range(0, len(raw), size or len(raw)):
        piece = raw[at : at + (size or len(raw))]
        used = reader.feed(piece)
        if reader.head is not None:
            return reader.head, raw[at + used :]
    raise AssertionError("the head never ended")


def _refusal(raw: bytes) -> Refusal:
    with pytest.raises(Refusal) as caught:
        _read(raw)
    return caught.value


@pytest.mark.parametrize("size", [0, 1, 2, 3, 5, 7])
def test_a_head_may_arrive_in_any_pieces(size: int) -> None:
    """The bytes behind the head belong to the body, even if they look like the end of a head."""
    head, rest = _read(LINE + HOST + b"X-A:  b \r\nContent-Length: 5\r\n\r\n\r\n\r\n!", size)
    assert (head.method, head.target, head.version) == ("POST", b"/v1/gradients?x=1", "1.1")
    assert head.headers == [(b"host", b"localhost"), (b"x-a", b"b"), (b"content-length", b"5")]
    assert (head.length, head.chunked, head.keep_alive, head.expects_continue) == (5, False, True, False)
    assert rest == b"\r\n\r\n!"


@pytest.mark.parametrize("size", [0, 1, 3])
def test_empty_lines_before_a_request_are_skipped(size: int) -> None:
    """RFC 9112, section 2.2, requires this of servers."""
    assert _read(b"\r\n\r\n" + LINE + HOST + b"\r\n", size)[0].method == "POST"


@pytest.mark.parametrize(
    ("raw", "keep_alive"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True),
    ],
)
def test_the_version_and_the_connection_header_say_whether_another_request_may_follow(
    raw: bytes, keep_alive: bool
) -> None:
    """HTTP/1.1 keeps the connection by default, HTTP/1.0 only if the client asks for it."""
    assert _read(raw)[0].keep_alive is keep_alive


@pytest.mark.parametrize(
    ("target", "path", "host"),
    [
        (b"http://a.example:80/v1?x=1", b"/v1?x=1", b"a.example:80"),
        (b"HTTPS://a.example", b"/", b"a.example"),
        (b"http://a.example?x=1", b"/?x=1", b"a.example"),
        (b"/http://a/b", b"/http://a/b", b"localhost"),
        (b"*", b"*", b"localhost"),
    ],
)
def test_an_absolute_target_is_accepted_and_its_host_is_used(target: bytes, path: bytes, host: bytes) -> None:
    """RFC 9112, section 3.2.2."""
    head, _ = _read(b"POST " + target + b" HTTP/1.1\r\n" + HOST + b"X: y\r\n\r\n")
    assert head.target == path
    assert sorted(head.headers) == [(b"host", host), (b"x", b"y")]


@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize("method", [b"FOO", b"PROPFIND2", b"GETX", b"DELETE"])
def test_an_unknown_method_is_left_to_the_application(method: bytes, size: int) -> None:
    """The application's 405 lists the allowed methods."""
    head, _ = _read(method + b" /v1 HTTP/1.1\r\nHost: a\r\n\r\n", size)
    assert (head.method, head.target) == (method.decode(), b"/v1")


@pytest.mark.parametrize("size", [0, 1, 64])
@pytest.mark.parametrize("digits", [1, 17, 18, 19, 20, 21, 5000])
def test_a_content_length_may_have_any_number_of_digits(digits: int, size: int) -> None:
    """A length with more than 18 digits is read as the largest number of 18 digits, which is over every limit."""
    head, rest = _read(LINE + HOST + b"Content-Length: " + b"9" * digits + b"\r\nX: y\r\n\r\nbody", size)
    assert head.length == int("9" * min(digits, 18))
    assert (b"x", b"y") in head.headers
    assert rest == b"body"


def _many_headers() -> bytes:
    return LINE + HOST + b"".join(b"X%d: y\r\n" % i for i in range(MOST_HEADERS)) + b"\r\n"


REFUSED: dict[str, tuple[bytes, Problem, str]] = {
    "no request line": (b"rubbish\r\n\r\n", BAD_REQUEST, "cannot be read"),
    "TLS": (b"\x16\x03\x01\x02\x00", BAD_REQUEST, "cannot be read"),
    "a small method": (b"get / HTTP/1.1\r\nHost: a\r\n\r\n", BAD_REQUEST, "cannot be read"),
    "a very long method": (b"X" * 30, BAD_REQUEST, "cannot be read"),
    "no version": (b"GET /\r\n\r\n", BAD_REQUEST, "HTTP/1.1 nor HTTP/1.0"),
    "HTTP/0.9": (b"GET / HTTP/0.9\r\n" + HOST + b"\r\n", BAD_REQUEST, "HTTP/1.1 nor HTTP/1.0"),
    "HTTP/2": (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", BAD_REQUEST, "HTTP/1.1 nor HTTP/1.0"),
    "HTTP/3": (b"GET / HTTP/3.0\r\n" + HOST + b"\r\n", BAD_REQUEST, "cannot be read"),
    "another protocol": (b"GET / RTSP/1.0\r\n" + HOST + b"\r\n", BAD_REQUEST, "HTTP/1.1 nor HTTP/1.0"),
    "HTTP/2 by prior knowledge": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", BAD_REQUEST, "cannot be read"),
    "no headers": (b"GET / HTTP/1.1\r\n\r\n", BAD_REQUEST, "0 Host headers"),
    "no Host": (LINE + b"X: y\r\n\r\n", BAD_REQUEST, "0 Host headers"),
    "two Hosts": (LINE + HOST + HOST + b"\r\n", BAD_REQUEST, "2 Host headers"),
    "a wrong Host": (LINE + b"Host: a/b\r\n\r\n", BAD_REQUEST, "not a host"),
    "no colon": (LINE + HOST + b"broken header\r\n\r\n", BAD_REQUEST, "cannot be read"),
    "an empty name": (LINE + HOST + b": x\r\n\r\n", BAD_REQUEST, "cannot be read"),
    "a blank behind a name": (LINE + HOST + b"X : y\r\n\r\n", BAD_REQUEST, "cannot be read"),
    "a folded header": (LINE + HOST + b"X: y\r\n z\r\n\r\n", BAD_REQUEST, "cannot be read"),
    "a zero byte": (LINE + HOST + b"X: \0\r\n\r\n", BAD_REQUEST, "cannot be read"),
    "bare line feeds": (b"GET / HTTP/1.1\nHost: a\n\n", BAD_REQUEST, "cannot be read"),
    "a length that is no number": (LINE + HOST + b"Content-Length: 5x\r\n\r\n", BAD_REQUEST, "Content-Length"),
    "a long one": (LINE + HOST + b"Content-Length: " + b"9" * 40 + b"x\r\n\r\n", BAD_REQUEST, "Content-Length"),
    "a negative length": (LINE + HOST + b"Content-Length: -5\r\n\r\n", BAD_REQUEST, "Content-Length"),
    "two lengths": (LINE + HOST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", BAD_REQUEST, "Content-Length"),
    "two huge lengths": (
        LINE + HOST + b"Content-Length: %d\r\nContent-Length: %d\r\n\r\n" % (10**30, 10**31),
        BAD_REQUEST,
        "Content-Length",
    ),
    "a length and chunks": (
        LINE + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        BAD_REQUEST,
        "Content-Length",
    ),
    "chunks and a length": (
        LINE + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        BAD_REQUEST,
        "Content-Length",
    ),
    "sorcery": (LINE + HOST + b"Transfer-Encoding: sorcery\r\n\r\n", NOT_IMPLEMENTED, "must be chunked"),
    "gzip in chunks": (LINE + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", NOT_IMPLEMENTED, "must be chunked"),
    "chunks in gzip": (LINE + HOST + b"Transfer-Encoding: chunked, gzip\r\n\r\n", NOT_IMPLEMENTED, "must be chunked"),
    "two encodings": (
        LINE + HOST + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
        NOT_IMPLEMENTED,
        "must be chunked",
    ),
    "a long target": (b"GET /" + b"x" * LONGEST_TARGET, URI_TOO_LONG, f"over {LONGEST_TARGET} bytes"),
    "a long header": (LINE + HOST + b"X: " + b"y" * LONGEST_HEAD, HEADERS_TOO_LARGE, f"over {LONGEST_HEAD} bytes"),
    "many headers": (_many_headers(), HEADERS_TOO_LARGE, f"over {MOST_HEADERS} headers"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_an_invalid_head_is_refused(kind: str) -> None:
    """The status is the one of RFC 9112, with a sentence."""
    raw, problem, sentence = REFUSED[kind]
    refusal = _refusal(raw)
    assert refusal.problem is problem
    assert sentence in refusal.detail


def test_the_readable_part_of_a_refused_head_is_used() -> None:
    """So the answer has the id of the request, and the log has its route."""
    reader = HeadReader()
    with pytest.raises(Refusal):
        reader.feed(LINE + b"X-Request-ID: lesson-7\r\n\r\n")
    assert reader.head is not None
    assert (b"x-request-id", b"lesson-7") in reader.head.headers


def _limits() -> Iterator[bytes]:
    yield b"GET /" + b"x" * (LONGEST_TARGET - 1) + b" HTTP/1.1\r\nHost: a\r\n\r\n"
    yield LINE + b"".join(b"X%d: y\r\n" % i for i in range(MOST_HEADERS - 1)) + HOST + b"\r\n"
    head = LINE + HOST + b"X: \r\n\r\n"
    yield head.replace(b"X: ", b"X: " + b"y" * (LONGEST_HEAD - len(head)))


@pytest.mark.parametrize("raw", list(_limits()), ids=["target", "headers", "bytes"])
def test_a_head_may_be_as_large_as_its_limits(raw: bytes) -> None:
    """A head of exactly the largest size is accepted."""
    assert _read(raw)[0].version == "1.1"


def test_empty_lines_before_a_request_are_skipped_quickly() -> None:
    """As many empty lines as one read can have.

    One by one, they took seconds of the event loop. Too many are refused.
    """
    start = time.process_time()
    assert _read(b"\r\n" * (LONGEST_HEAD // 2) + LINE + HOST + b"\r\n")[0].method == "POST"
    assert time.process_time() - start < 0.1
    reader = HeadReader()
    reader.feed(b"\r\n" * (LONGEST_HEAD // 2))
    with pytest.raises(Refusal, match="empty lines") as refused:
        reader.feed(b"\r\n")
    assert refused.value.problem is BAD_REQUEST
