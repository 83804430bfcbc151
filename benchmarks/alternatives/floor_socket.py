"""The floor without a web server: `python -m benchmarks.alternatives.floor_socket PORT PROCESSES`."""

import os
import re
import socket
import sys
import threading

from benchmarks.alternatives.floor import answer

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


def _serve(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection:
        while data := connection.recv(1 << 16):
            head, _, begun = data.partition(b"\r\n\r\n")
            found = _LENGTH.search(head)
            body = bytearray(int(found[1]) if found else 0)
            body[: len(begun)] = begun
            view, at = memoryview(body), len(begun)
            while at < len(body):
                at += connection.recv_into(view[at:])
            content = answer(bytes(body))
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(content))
            connection.sendall(content)


def main() -> None:
    """Accept in every process, a thread for each connection."""
    port, processes = map(int, sys.argv[1:])
    for _ in range(processes - 1):
        if not os.fork():
            break
    listener = socket.create_server(("127.0.0.1", port), backlog=1024, reuse_port=True)
    while True:
        threading.Thread(target=_serve, args=(listener.accept()[0],), daemon=True).start()


if __name__ == "__main__":
    main()
