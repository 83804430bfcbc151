"""One client's connection: reads requests from it one after the other, and has each answered by the front."""

import asyncio
import logging
import socket
import struct
from functools import partial

from service.middleware.logs import trace
from service.problems import INTERNAL_ERROR, Refusal
from service.server.connections import Connections
from service.server.cycle import CONTINUE, Cycle
from service.server.environ import CONNECTION, environ_of, scope_of
from service.server.front import Answer
from service.server.request_head import UNREADABLE, Head, HeadReader

_HEAD = 32 * 1024  # bytes read at a time while a head is expected
_AHEAD = 16 * 1024  # bytes of further requests that are read while one is answered
_UNSENT = 256 * 1024  # bytes of an answer that the kernel takes beyond what is on its way; else megabytes, uncounted
_DISCARDED = 4 * 2**20  # bytes that a refused client may still send before the connection is broken
_PROBE = 0.5  # seconds between two looks at whether a client that has ended its side is still there
_CLOSED = 7  # state of a socket in TCP_INFO: tcp(7)
_NO_LINGERING = struct.pack("ii", 1, 0)  # of SO_LINGER: a reset instead of what waits to be sent

_log = logging.getLogger("chainrule.connections")


class Connection(asyncio.BufferedProtocol):
    """A client's connection. `gone` is set when it is lost; a client that has only ended its side is not gone.

    `cut_short` says that the client has ended its side before the body of its request was whole.
    """

    def __init__(self, connections: Connections) -> None:
        self.cut_short = False
        self.gone = asyncio.Event()
        self._connections = connections
        self._transport: asyncio.Transport
        self._reader: HeadReader | None = None  # of a head that has begun
        self._head_until = 0.0
        self._cycle: Cycle | None = None  # of the request that is being answered
        self._task: asyncio.Task[None] | asyncio.Task[Answer] | None = None  # kept, as the loop would not
        self._ahead = b""  # what was read of further requests
        self._ended = self._closing = False  # by the client; by us
        self._discarded = 0
        self._full = False  # the client does not read
        self._drained: asyncio.Future[None] | None = None

    # Called by asyncio.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # of a socket
        """Wait for the first request."""
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)
        self._connections.add(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Room for what may be read now."""
        if self._cycle is None:
            return self._connections.view[:_HEAD]
        return self._connections.view[: self._cycle.body.room if not self._cycle.body.ended else _AHEAD]

    def buffer_updated(self, nbytes: int) -> None:
        """Take in what was read."""
        data = bytes(self._connections.view[:nbytes])
        if self._closing:
            self._discarded += nbytes
            if self._discarded > _DISCARDED:
                self.abort()
            return
        self._take(data)

    def eof_received(self) -> bool:
        """A client that has ended its side is still owed the answer to what it has sent."""
        self._ended = True
        cycle = self._cycle
        if cycle is None or self._closing:
            return False
        if not cycle.body.ended:
            self.cut_short = True
            cycle.end()
            self._connections.serve(self)
        self._watch_presence(cycle)
        return True

    def pause_writing(self) -> None:
        """The client does not read as fast as it is sent to."""
        self._full = True

    def resume_writing(self) -> None:
        """The client has read."""
        self._full = False
        self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let everybody know who waits for this client."""
        self.gone.set()
        self._connections.remove(self)
        self._stop_waiting()
        if self._cycle is not None:
            self._cycle.wake()

    # Called by the cycle and the front.

    def write(self, data: bytes | memoryview) -> None:
        """Send, unless the connection is closed."""
        if not self._transport.is_closing():
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait until the client has read enough for more to be sent, or is gone."""
        if self._full and not self.gone.is_set():
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained

    def read_on(self) -> None:
        """Read from the client again, if that was stopped."""
        if not (self._ended or self._transport.is_closing() or self._transport.is_reading()):
            self._transport.resume_reading()
            self._watch()

    def is_last(self) -> bool:
        """Whether no other request is answered on this connection."""
        return self._connections.draining() or (self._ended and not self._ahead)

    def abort(self) -> None:
        """Break the connection. What was not sent yet is dropped, by the kernel too."""
        if not self.gone.is_set():
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGERING)
            self._transport.abort()

    # Called by the registry of connections.

    def give_up(self) -> None:
        """Close: the client has sent nothing, or read nothing, for too long."""
        if self._cycle is None and not self._closing and not self._transport.get_write_buffer_size():
            self._transport.close()
        else:
            self.abort()

    def is_idle(self) -> bool:
        """Whether nothing of a request has come."""
        return self._cycle is None and self._reader is None and self._task is None

    # Reading.

    def _take(self, data: bytes) -> None:
        """Give each part of what was read to whom it belongs."""
        while data and not self._closing:
            if self._cycle is None:
                data = data[self._read_head(data) :]
            elif not self._cycle.body.ended:
                data = data[self._cycle.feed(data) :]
            else:
                self._ahead += data
                break
        self._watch()

    def _read_head(self, data: bytes) -> int:
        if self._reader is None:
            self._reader = HeadReader()
            self._head_until = self._connections.head_deadline()
        try:
            used = self._reader.feed(data)
        except Refusal as refusal:
            self._refuse(self._reader.head or UNREADABLE, refusal)
            return len(data)
        if self._reader.head is not None:
            self._begin(self._reader.head)
        return used

    def _begin(self, head: Head) -> None:
        self._reader = None
        cycle = self._cycle = Cycle(head, self)
        scope = scope_of(head, self._transport) | {CONNECTION: self}
        task = asyncio.get_running_loop().create_task(self._connections.front(scope, cycle.receive, cycle.send))
        task.add_done_callback(partial(self._end, cycle))
        self._task = task
        if self._ended:
            self._watch_presence(cycle)

    def _watch(self) -> None:
        """Say whose turn it is: the client's to send, or ours. Read no more than can be kept."""
        cycle = self._cycle
        if self._closing or self._transport.is_closing():
            return
        if cycle is None and self._ended:
            self._transport.close()
        elif cycle is None:
            if self._reader is not None:
                self._connections.expect(self, self._head_until)
            else:
                self._connections.expect_request(self)
        elif cycle.body.ended or cycle.full:
            self._connections.serve(self)
            if cycle.full or len(self._ahead) >= _AHEAD:
                self._pause(cycle)
        else:
            self._connections.expect(self)

    # Ending.

    def _end(self, cycle: Cycle, task: "asyncio.Task[None]") -> None:
        """The front is done with the request: go on with the next one, or close."""
        self._cycle = self._task = None
        if task.cancelled() or self.gone.is_set():
            self.abort()
        elif error := task.exception():
            _log.error("A request failed outside the application: %s", trace(error))
            self._fail(cycle)
        elif not cycle.answered:
            self.abort()
        elif cycle.keep_alive and cycle.body.ended and not (self._ended and not self._ahead):
            data, self._ahead = self._ahead, b""
            self.read_on()
            self._take(data)
        else:
            self._close(cycle.body.ended and not self._ahead)

    def _fail(self, cycle: Cycle) -> None:
        if cycle.started:
            self.abort()
        else:
            self._refuse(cycle.head, Refusal(INTERNAL_ERROR, INTERNAL_ERROR.explanation))

    def _refuse(self, head: Head, refusal: Refusal) -> None:
        """Answer in its turn, and close: what follows cannot be made sense of, and is not read before that.

        Until then the connection may be closed to make room for another: else many that are refused shut others out.
        """
        self._closing = True
        self._transport.pause_reading()
        self._connections.expect(self)
        environ = environ_of(scope_of(head, self._transport))
        task = asyncio.get_running_loop().create_task(self._connections.front.refuse(environ, refusal))
        task.add_done_callback(partial(self._end_refused, head))
        self._task = task

    def _end_refused(self, head: Head, task: "asyncio.Task[Answer]") -> None:
        self._task = None
        if task.cancelled() or self.gone.is_set():
            self.abort()
        elif error := task.exception():
            _log.error("A refusal failed outside the application: %s", trace(error))
            self.abort()
        else:
            cycle, answer = Cycle(head, self), task.result()
            cycle.keep_alive = False
            cycle.answer(answer.status, answer.headers, answer.body)
            self._close(False)

    def _close(self, all_read: bool) -> None:
        """Close when the answer is sent; where the client may still be sending, when it has closed its side.

        The kernel answers what comes after the end with a reset, and a reset can take the answer away from the client.
        """
        self._closing = True
        transport = self._transport
        if all_read or self._ended:
            transport.close()
        else:
            try:
                transport.write_eof()
            except OSError:  # the client has closed: what was just sent is answered with a reset
                self.abort()
            self.read_on()
        self._connections.close(self, transport.get_write_buffer_size())

    def _watch_presence(self, cycle: Cycle) -> None:
        """From time to time send a client that has ended its side an interim answer: one that has gone resets then.

        Until something is sent, a client that waits for its answer and one that has closed its connection look alike.
        """
        if cycle.head.version == "1.1":
            asyncio.get_running_loop().call_later(_PROBE, self._probe, cycle)

    def _probe(self, cycle: Cycle) -> None:
        if self._cycle is cycle and not cycle.started:
            self.write(CONTINUE)
            self._watch_presence(cycle)

    def _pause(self, cycle: Cycle) -> None:
        """Read no more until `read_on`."""
        if self._transport.is_reading():
            self._transport.pause_reading()
            self._watch_reset(cycle)

    def _watch_reset(self, cycle: Cycle) -> None:
        """From time to time look whether a client that is not read from has gone: nothing else would tell."""
        asyncio.get_running_loop().call_later(_PROBE, self._look_for_reset, cycle)

    def _look_for_reset(self, cycle: Cycle) -> None:
        if self._cycle is not cycle or self._transport.is_reading() or self._transport.is_closing():
            return
        if self._transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _CLOSED:
            self.abort()
        else:
            self._watch_reset(cycle)

    def _stop_waiting(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
