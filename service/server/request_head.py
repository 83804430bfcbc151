"""The head of a request: httptools parses request line and headers, then stricter checks of RFC 9112 follow."""

import re
from dataclasses import dataclass, field, replace

from httptools import HttpParserError, HttpParserInvalidMethodError, HttpParserUpgrade, HttpRequestParser

from service.problems import BAD_REQUEST, HEADERS_TOO_LARGE, NOT_IMPLEMENTED, URI_TOO_LONG, Refusal
from service.server.boundaries import end_of_head

LONGEST_HEAD = 64 * 1024  # bytes
LONGEST_TARGET = 8 * 1024  # bytes; RFC 9112, section 3, asks for 8,000
MOST_HEADERS = 100
LONGEST_LENGTH = 18  # digits of a Content-Length that is read as a number; a longer one is over every limit

_VERSIONS = {b" HTTP/1.1": "1.1", b" HTTP/1.0": "1.0"}  # the end of a request line
_METHOD = re.compile(rb"([A-Z][A-Z0-9_.$-]{2,19})(?= )")  # the application answers 405 to unknown methods
_BEGUN_METHOD = re.compile(rb"[A-Z0-9_.$-]{0,20}")
_HUGE_LENGTH = re.compile(rb"(?i)(\r\ncontent-length:[ \t]*)[0-9]{19,}(?=[ \t]*\r\n)")
_ANY_LENGTH = re.compile(rb"(?i)\r\ncontent-length:")
_ENCODING = re.compile(rb"(?i)\r\ntransfer-encoding:[ \t]*[^ \t\r]")
_HOST = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=:%\[\]-]*")
_ABSOLUTE = re.compile(rb"(?i)https?://([^/?#]*)([^?#]*)")


@dataclass(frozen=True, slots=True)
class Head:
    """A parsed request without its body."""

    method: str
    target: bytes
    version: str  # "1.1" or "1.0"
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)  # names in lower case
    keep_alive: bool = False
    length: int | None = None  # of the body, by Content-Length
    chunked: bool = False
    expects_continue: bool = False

    def values(self, name: bytes) -> list[bytes]:
        """The values of all headers of this name."""
        return [value for given, value in self.headers if given == name]


UNREADABLE = Head("GET", b"*", "1.1")  # a placeholder for a request that could not be parsed


class HeadReader:
    """Parses the head of one request from pieces of any size. `head` is None until the head is complete."""

    def __init__(self) -> None:
        self.head: Head | None = None
        self._raw = bytearray()  # without the empty lines in front of the request line
        self._empty = 0  # bytes of these empty lines
        self._error: HttpParserError | None = None
        self._method: str | None = None  # a method that httptools does not know
        self._begin()

    def _begin(self) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._target = b""
        self._complete = self._keep_alive = False
        self._parser = HttpRequestParser(self)

    @property
    def size(self) -> int:
        """The number of bytes of the head read so far."""
        return len(self._raw)

    def close(self) -> None:
        """Break the reference cycles of this reader, which only the garbage collector would free.

        The parser refers to methods of the reader, and an error refers to frames that contain the reader.
        """
        vars(self).pop("_parser", None)
        self._error = None

    def on_url(self, url: bytes) -> None:
        """Called by httptools with the target, or a piece of it."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by httptools with each header."""
        self._headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """Called by httptools at the end of the head."""
        self._complete = True
        self._keep_alive = self._parser.should_keep_alive()  # only right here: later the parser has dropped the headers

    def feed(self, data: bytes) -> int:
        """Parse data; return how many bytes belong to the head.

        Raises Refusal if the head is invalid. `head` is then set if the head could be parsed.
        """
        at = 0 if self._raw else self._skip_empty_lines(data)
        while self.head is None and at < len(data):
            end = end_of_head(self._raw[-3:], data, at)
            piece = data[at:end]
            self._raw += piece
            if self._error is None:
                self._parse(piece)
            self._check_sizes()
            if self._error is not None:
                self._repair()
            if self._complete:
                self.head = self._finish()
                _check(self.head)
                self.head = _in_origin_form(self.head)
            at = end
        return at

    def _skip_empty_lines(self, data: bytes) -> int:
        """The number of bytes of empty lines at the front of `data` (section 2.2), which httptools would skip, too.

        They are skipped all at once: otherwise the parser would be called once for each of them.
        """
        found = len(data) - len(data.lstrip(b"\r\n"))
        self._empty += found
        if self._empty > LONGEST_HEAD:
            raise Refusal(BAD_REQUEST, f"there are over {LONGEST_HEAD} bytes of empty lines before the request")
        return found

    def _parse(self, piece: bytes) -> None:
        try:
            self._parser.feed_data(piece)
        except HttpParserUpgrade:
            return  # ignore an offer to switch protocols
        except HttpParserError as error:
            if not self._complete:  # an error after the head is about the Transfer-Encoding, which _check refuses
                self._error = error

    def _check_sizes(self) -> None:
        too_long = len(self._raw) > LONGEST_HEAD
        if len(self._target) > LONGEST_TARGET or (too_long and b"\r\n" not in self._raw):
            raise Refusal(URI_TOO_LONG, f"the target of the request is over {LONGEST_TARGET} bytes long")
        if too_long:
            raise Refusal(HEADERS_TOO_LARGE, f"the headers are over {LONGEST_HEAD} bytes long")
        if len(self._headers) > MOST_HEADERS:
            raise Refusal(HEADERS_TOO_LARGE, f"the request has over {MOST_HEADERS} headers")

    def _repair(self) -> None:
        """Parse the head again if only httptools refuses it: an unknown method, or a Content-Length beyond 64 bits."""
        if not self._repairable():
            raise self._refusal()
        if not self._raw.endswith(b"\r\n\r\n"):
            return  # the rest of the head is needed
        head = bytes(self._raw)
        if found := _METHOD.match(head):
            self._method = found[1].decode("ascii")
            head = b"GET" + head[found.end() :]
        self._error = None
        self._begin()
        self._parse(_HUGE_LENGTH.sub(rb"\g<1>" + b"9" * LONGEST_LENGTH, head))
        self._check_sizes()
        if not self._complete:
            raise self._refusal()

    def _repairable(self) -> bool:
        """Whether the error is one that `_repair` handles, or still may be while the head is incomplete."""
        raw, whole = bytes(self._raw), self._raw.endswith(b"\r\n\r\n")
        if isinstance(self._error, HttpParserInvalidMethodError):
            begun = _BEGUN_METHOD.match(raw)
            return bool(_METHOD.match(raw)) or (not whole and begun is not None and begun.end() == len(raw))
        return str(self._error) == "Content-Length overflow" and (not whole or bool(_HUGE_LENGTH.search(raw)))

    def _refusal(self) -> Refusal:
        """The refusal of a head that httptools cannot parse."""
        if _ENCODING.search(self._raw) and not _ANY_LENGTH.search(self._raw) and "Transfer-Enc" in str(self._error):
            return _unknown_encoding()
        return Refusal(BAD_REQUEST, f"the head of the request cannot be read: {self._error}")

    def _finish(self) -> Head:
        """The parsed head, as it was sent."""
        parser = self._parser
        self.close()
        method = self._method or parser.get_method().decode("ascii")
        line = self._raw.split(b"\r\n", 1)[0]
        length, chunked, expects = None, False, False
        for name, value in self._headers:
            if name == b"content-length":
                length = min(int(value), 10**LONGEST_LENGTH - 1)
            elif name == b"transfer-encoding":
                chunked = True
            elif name == b"expect":
                expects = value.lower() == b"100-continue"
        version = _VERSIONS.get(bytes(line[-9:]), "")
        return Head(method, self._target, version, self._headers, self._keep_alive, length, chunked, expects)


def _check(head: Head) -> None:
    """Raise Refusal if the head breaks a rule of RFC 9112 that httptools does not check."""
    if not head.version:
        raise Refusal(BAD_REQUEST, "the version of the request is neither HTTP/1.1 nor HTTP/1.0")
    if head.chunked and b",".join(head.values(b"transfer-encoding")).lower() != b"chunked":
        raise _unknown_encoding()
    hosts = head.values(b"host")
    if len(hosts) > 1 or (not hosts and head.version == "1.1"):
        raise Refusal(BAD_REQUEST, f"the request has {len(hosts)} Host headers, and needs exactly one")
    if hosts and not _HOST.fullmatch(hosts[0]):
        raise Refusal(BAD_REQUEST, "the Host header is not a host, with or without a port")


def _unknown_encoding() -> Refusal:
    return Refusal(NOT_IMPLEMENTED, "the Transfer-Encoding of the body must be chunked, and nothing else")


def _in_origin_form(head: Head) -> Head:
    """The head with a target such as http://host/path as /path, and its host as the Host header (section 3.2.2)."""
    if head.target[:1] == b"/" or not (found := _ABSOLUTE.match(head.target)):
        return head
    host, path = found.groups()
    headers = [(b"host", host), *(row for row in head.headers if row[0] != b"host")]
    return replace(head, target=(path or b"/") + head.target[found.end() :], headers=headers)
