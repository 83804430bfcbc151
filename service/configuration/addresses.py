"""Binds the two addresses of the service before anything else is loaded, so that a bad address is refused at once.

This module imports only the standard library. NumPy and Flask take most of a second to load: with them, the refusal of
a taken port would come that much later.
"""

import errno
import ipaddress
import re
import socket
from collections.abc import Iterator, Mapping, Sequence

BIND, ADMIN_BIND = "127.0.0.1:8000", "127.0.0.1:9000"
DEFAULTS = {"CHAINRULE_BIND": BIND, "CHAINRULE_ADMIN_BIND": ADMIN_BIND}

_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+(?:%\w+)?\]|[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?):([0-9]{1,5})")
_ALL_IPV4, _ALL_IPV6 = "0.0.0.0", "::"  # noqa: S104  compared, not bound
_REASONS = {
    errno.EADDRINUSE: "is in use by another process: stop that process, or choose another port",
    errno.EADDRNOTAVAIL: "is not an address of this machine: choose one of its addresses, or 0.0.0.0 for all of them",
    errno.EACCES: "needs a right that this user does not have: choose a port from 1024 on",
}


class CannotStart(ValueError):
    """The service cannot start; the message has one line for each reason."""


class BadAddress(CannotStart):
    """An address cannot be bound."""


def split(address: str) -> tuple[str, int]:
    """Host and port of "127.0.0.1:8000", "[::1]:8000" or "localhost:8000". Raises ValueError."""
    found = _ADDRESS.fullmatch(address)
    if found is None or int(found[3]) > 65535:
        raise ValueError(f"{address!r} is no address and port")
    host = found[1].strip("[]")
    if host != found[1] or re.fullmatch(r"[0-9.]+", host):
        ipaddress.ip_address(host)  # raises ValueError
    return host, int(found[3])


def bind(environment: Mapping[str, str]) -> list[socket.socket]:
    """Bind a socket to each of the two addresses. Raises BadAddress with every reason.

    A malformed address gets no socket: `read_settings` refuses it later, together with all other bad settings.
    """
    bound, reasons = [], []
    for name, default in DEFAULTS.items():
        address = environment.get(name, default)
        try:
            bound.append(_bound(*split(address)))
        except (OSError, UnicodeError) as error:
            reasons.append(_sentence(name, address, error))
        except ValueError:  # malformed
            continue
    if len(bound) == len(DEFAULTS):
        reasons += _overlap(*(listener.getsockname() for listener in bound))
    if reasons:
        for listener in bound:
            listener.close()
        raise BadAddress("\n".join(reasons))
    return bound


def listen(listeners: Sequence[socket.socket], backlog: int) -> None:
    """Listen on bound sockets. Raises BadAddress if another process has opened one of the ports meanwhile."""
    for name, listener in zip(DEFAULTS, listeners, strict=True):
        try:
            listener.listen(backlog)
        except OSError as error:
            host, port, *_ = listener.getsockname()
            raise BadAddress(_sentence(name, f"{host}:{port}", error)) from error


def _bound(host: str, port: int) -> socket.socket:
    """A socket bound to this address, not listening yet. Host names are looked up in IPv4."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    *_, address = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # else a restart can find the port in use
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def _sentence(name: str, address: str, error: OSError | UnicodeError) -> str:
    if isinstance(error, UnicodeError):  # a part of the name is empty, or longer than 63 characters
        return f"{name}: the host of {address} cannot be looked up: it is not a host name"
    if isinstance(error, socket.gaierror):
        return f"{name}: the host of {address} cannot be looked up: {error.strerror}"
    known = _REASONS.get(error.errno or 0)
    return f"{name}: {address} {known}" if known else f"{name}: {address} cannot be listened on: {error.strerror}"


def _overlap(service: tuple[str, int], admin: tuple[str, int]) -> Iterator[str]:
    """A sentence if both sockets have the same address and port. Binding does not detect this before they listen."""
    (host, port, *_), (other, other_port, *_) = service, admin
    hosts = {host, other}
    same = len(hosts) == 1 or _ALL_IPV6 in hosts or (_ALL_IPV4 in hosts and not any(":" in host for host in hosts))
    if same and port == other_port:
        names = " and ".join(DEFAULTS)
        yield f"{names}: must differ, and both name port {port} of the same address: choose another port for one"
