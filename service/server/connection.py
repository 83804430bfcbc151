"""A client's connection: reads one request after another from the socket, and lets the front answer each."""

import asyncio
import logging
import socket
import struct
from functools import partial

from service.middleware.logs import trace
from service.problems import INTERNAL_ERROR, OVERLOADED, Refusal
from service.resources.handover import CONNECTION
from service.server.connections import SMALL, Connections
from service.server.cycle import CONTINUE, Cycle
from service.server.environ import environ_of, scope_of
from service.server.front import Answer
from service.server.request_head import UNREADABLE, Head, HeadReader

_HEAD = 32 * 1024  # bytes read at a time while a head is expected
_AHEAD = 4 * 1024  # bytes of pipelined requests that are read at a time while a request is answered
_UNSENT = 256 * 1024  # unsent bytes that the kernel buffers for a socket; by default megabytes, which nothing counts
_DISCARDED = 4 * 2**20  # bytes that a refused client may still send before the connection is reset
_PROBE = 0.5  # seconds between two checks whether a client that has closed its sending side is still connected
_CLOSED = 7  # state of a socket in TCP_INFO: tcp(7)
_NO_LINGERING = struct.pack("ii", 1, 0)  # SO_LINGER with 0 s: close sends a reset and drops the unsent bytes

_log = logging.getLogger("chainrule.connections")


class Connection(asyncio.BufferedProtocol):
    """A client's connection. `gone` is set when the connection is lost, but not when the client only stops sending.

    `cut_short` is true if the client closed its sending side before the body was complete.
    """

    def __init__(self, connections: Connections) -> None:
        self.cut_short = False
        self.gone = asyncio.Event()
        self._connections = connections
        self._transport: asyncio.Transport
        self._reader: HeadReader | None = None  # of a head that is incomplete
        self._head_until = 0.0
        self._cycle: Cycle | None = None  # of the request that is being answered
        self._task: asyncio.Task[None] | asyncio.Task[Answer] | None = None  # the event loop has only a weak reference
        self._kept = 0  # bytes that the registry counts for this client
        self._head_size = 0  # bytes of the head read so far
        self._ahead = b""  # bytes of pipelined requests
        self._dropped = False  # pipelined requests found no room and were dropped: the client has to send them again
        self._ended = self._closing = False  # closed by the client; closed by us
        self._discarded = 0
        self._full = False  # the transport has paused writing
        self._drained: asyncio.Future[None] | None = None

    # Called by asyncio.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # of a socket
        """Wait for the first request."""
        self._transport = transport
        transport.set_write_buffer_limits(0)  # so that the budget counts an answer until the kernel has all of it
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)
        self._connections.add(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """The buffer for the next read, as long as the number of bytes that may be read now."""
        if self._cycle is None:
            return self._connections.view[:_HEAD]
        if self._cycle.body.ended:
            return self._connections.view[:_AHEAD]
        return self._connections.view[: min(self._cycle.room, self._connections.round_left)]

    def buffer_updated(self, nbytes: int) -> None:
        """Process the bytes that were read."""
        data = bytes(self._connections.view[:nbytes])
        if self._closing:
            self._discarded += nbytes
            if self._discarded > _DISCARDED:
                self.abort()
            return
        if self._cycle is not None and not self._cycle.body.ended:
            self._connections.count_read(nbytes)
        self._take(data)

    def eof_received(self) -> bool:
        """Keep the connection open while a request is answered: a client that stops sending still gets its answer."""
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
        """Let `drain` wait: the client reads more slowly than the answer is written."""
        self._full = True

    def resume_writing(self) -> None:
        """Let `drain` return: the client has read."""
        self._full = False
        self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake the tasks that wait for this client, and forget the connection."""
        self.gone.set()
        self._connections.remove(self)
        self._drop_reader()
        self._stop_waiting()
        if self._cycle is not None:
            self._cycle.wake()

    # Called by the cycle and the front.

    def write(self, data: bytes | memoryview) -> None:
        """Write to the socket, unless the connection is closed."""
        if not self._transport.is_closing():
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait until more can be written or the connection is lost."""
        if self._full and not self.gone.is_set():
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained

    def read_on(self) -> None:
        """Resume reading from the socket, if reading is paused."""
        if not (self._ended or self._transport.is_closing() or self._transport.is_reading()):
            self._transport.resume_reading()
            self._watch()

    def is_last(self) -> bool:
        """Whether the current request is the last on this connection."""
        return self._connections.draining() or self._dropped or (self._ended and not self._ahead)

    def stop_receiving(self) -> None:
        """Let the front wait no longer for the body: the client sends it too slowly."""
        if self._cycle is not None:
            self._cycle.give_up()

    def forget_head(self) -> None:
        """Stop counting the bytes of the head: the answer is computed."""
        self._head_size = 0
        self._keep()

    def abort(self) -> None:
        """Reset the connection, and drop everything unsent, in the kernel too."""
        if not self.gone.is_set():
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGERING)
            self._transport.abort()

    # Called by the registry of connections.

    def give_up(self) -> None:
        """Close the connection: the client has sent nothing, or read nothing, for too long."""
        if self._cycle is None and not self._closing and not self._transport.get_write_buffer_size():
            self._transport.close()
        else:
            self.abort()

    def is_idle(self) -> bool:
        """Whether no byte of a request has arrived."""
        return self._cycle is None and self._reader is None and self._task is None

    # Reading.

    def _take(self, data: bytes) -> None:
        """Pass each part of `data` on: to the head reader, the body, or the pipelined requests."""
        while data and not self._closing:
            if self._cycle is None:
                data = data[self._read_head(data) :]
            elif not self._cycle.body.ended:
                data = data[self._cycle.feed(data) :]
            else:
                self._read_ahead(data)
                break
        self._watch()

    def _read_ahead(self, data: bytes) -> None:
        if not self._dropped:
            self._ahead += data
        if not self._keep():
            self._ahead, self._dropped = b"", True

    def _keep(self) -> bool:
        """Count the bytes kept for the client. False if the registry has no room for them."""
        size = self._head_size + len(self._ahead)
        if size == self._kept or max(size, self._kept) <= SMALL:
            return True
        done = self._connections.keep(self, size)
        self._kept = size if done else 0
        return done

    def _read_head(self, data: bytes) -> int:
        if self._reader is None:
            self._reader = HeadReader()
            self._head_until = self._connections.head_deadline()
        try:
            used = self._reader.feed(data)
            self._head_size = self._reader.size
            if not self._keep():
                raise _no_room()
        except Refusal as refusal:
            self._refuse(self._reader.head or UNREADABLE, refusal)
            return len(data)
        if self._reader.head is not None:
            self._begin(self._reader.head)
        return used

    def _drop_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _begin(self, head: Head) -> None:
        self._drop_reader()
        cycle = self._cycle = Cycle(head, self)
        scope = scope_of(head, self._transport) | {CONNECTION: self}
        task = asyncio.get_running_loop().create_task(self._connections.front(scope, cycle.receive, cycle.send))
        task.add_done_callback(partial(self._end, cycle))
        self._task = task
        if self._ended:
            self._watch_presence(cycle)

    def _watch(self) -> None:
        """Register whether the client has to send or we have to answer. Pause reading when the buffers are full."""
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
            if cycle.full or self._dropped or len(self._ahead) >= _AHEAD:
                self._pause(cycle)
        else:
            self._connections.expect(self)

    # Ending.

    def _end(self, cycle: Cycle, task: "asyncio.Task[None]") -> None:
        """Continue with the next request, or close, after the front has finished this request."""
        self._cycle = self._task = None
        if task.cancelled() or self.gone.is_set():
            self.abort()
        elif error := task.exception():
            _log.error("A request failed outside the application: %s", trace(error))
            self._fail(cycle)
        elif not cycle.answered:
            self.abort()
        elif cycle.keep_alive and cycle.body.ended and not self._dropped and not (self._ended and not self._ahead):
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
        """Answer with the refusal, after those of other clients, then close. The bytes that follow cannot be parsed.

        Until then the connection can be closed to make room for another. Otherwise refused clients could take all
        connections.
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
        """Close after the answer is sent. If the client may still be sending, wait until it closes its side.

        The kernel answers bytes that arrive after the close with a reset, which can destroy the answer at the client.
        """
        self._closing = True
        transport = self._transport
        if all_read or self._ended:
            transport.close()
        else:
            try:
                transport.write_eof()
            except OSError:  # the client has closed: it answers the bytes just sent with a reset
                self.abort()
            self.read_on()
        self._connections.close(self, transport.get_write_buffer_size())

    def _watch_presence(self, cycle: Cycle) -> None:
        """Send an interim answer (100) every half second to a client that has closed its sending side.

        A client that has closed its connection entirely answers it with a reset. Without sending, we cannot tell it
        from a client that waits for its answer.
        """
        if cycle.head.version == "1.1":
            asyncio.get_running_loop().call_later(_PROBE, self._probe, cycle)

    def _probe(self, cycle: Cycle) -> None:
        if self._cycle is cycle and not cycle.started:
            self.write(CONTINUE)
            self._watch_presence(cycle)

    def _pause(self, cycle: Cycle) -> None:
        """Pause reading until `read_on`."""
        if self._transport.is_reading():
            self._transport.pause_reading()
            self._watch_reset(cycle)

    def _watch_reset(self, cycle: Cycle) -> None:
        """Check every half second whether the client has reset: asyncio does not notice while reading is paused."""
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


def _no_room() -> Refusal:
    detail = "there is no memory for large headers: too many other clients have sent some; send the request again"
    return Refusal(OVERLOADED, detail, headers={"Retry-After": "1"}, reason="memory")
