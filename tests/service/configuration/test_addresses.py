"""The addresses of the service: how they are parsed, and the sentence with which each bad one is refused."""

import contextlib
import errno
import socket
from collections.abc import Iterator

import pytest

from service.configuration import addresses
from service.configuration.addresses import BadAddress, bind, listen, split
from tests.serving import free_port

HOSTS = {"127.0.0.1:8000": "127.0.0.1", "[::1]:8000": "::1", "localhost:8000": "localhost", "a-b.c1:8000": "a-b.c1"}


@pytest.mark.parametrize(("address", "host"), HOSTS.items())
def test_an_address_is_a_host_and_a_port(address: str, host: str) -> None:
    """IPv6 addresses are in brackets."""
    assert split(address) == (host, 8000)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of 127.0.0.1 on which another socket listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def environment(service: str, admin: str) -> dict[str, str]:
    """The settings of both addresses."""
    return {"CHAINRULE_BIND": service, "CHAINRULE_ADMIN_BIND": admin}


def reasons(service: str, admin: str) -> list[str]:
    """The lines of the refusal."""
    with pytest.raises(BadAddress) as error:
        bind(environment(service, admin))
    return str(error.value).splitlines()


@contextlib.contextmanager
def bound(service: str, admin: str) -> Iterator[list[socket.socket]]:
    """Both sockets, closed at the end."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(listener) for listener in bind(environment(service, admin))]


def test_each_address_that_is_in_use_is_named_with_its_setting(taken: int) -> None:
    """Both in one refusal, one line each."""
    port = free_port()
    sentence = f"127.0.0.1:{taken} is in use by another process: stop that process, or choose another port"
    assert reasons(f"127.0.0.1:{taken}", f"127.0.0.1:{port}") == [f"CHAINRULE_BIND: {sentence}"]
    assert reasons(f"127.0.0.1:{port}", f"127.0.0.1:{taken}") == [f"CHAINRULE_ADMIN_BIND: {sentence}"]
    assert len(reasons(f"127.0.0.1:{taken}", f"127.0.0.1:{taken}")) == 2


def test_the_defaults_are_those_of_the_settings() -> None:
    """They are defined here, because the addresses are read before the settings."""
    assert addresses.DEFAULTS == {"CHAINRULE_BIND": "127.0.0.1:8000", "CHAINRULE_ADMIN_BIND": "127.0.0.1:9000"}


def test_an_address_of_another_machine_is_refused() -> None:
    """192.0.2.0/24 is reserved for documentation, so no machine has it."""
    [reason] = reasons("192.0.2.7:8000", f"127.0.0.1:{free_port()}")
    assert reason.startswith("CHAINRULE_BIND: 192.0.2.7:8000 is not an address of this machine")


def test_a_host_that_is_not_found_is_refused() -> None:
    """The system looks it up; names that end in .invalid do not exist."""
    [reason] = reasons("chainrule.invalid:8000", f"127.0.0.1:{free_port()}")
    assert reason.startswith("CHAINRULE_BIND: the host of chainrule.invalid:8000 cannot be looked up: ")


@pytest.mark.parametrize("host", ["a" * 64, "a..b"], ids=["a long label", "an empty label"])
def test_an_invalid_host_name_is_refused(host: str) -> None:
    """Python raises UnicodeError for these, and does not look them up."""
    [reason] = reasons(f"{host}:8000", f"127.0.0.1:{free_port()}")
    assert reason == f"CHAINRULE_BIND: the host of {host}:8000 cannot be looked up: it is not a host name"


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.EACCES, "needs a right that this user does not have"), (errno.ENODEV, "cannot be listened on: ")],
)
def test_a_port_without_rights_is_refused(monkeypatch: pytest.MonkeyPatch, number: int, words: str) -> None:
    """Ports below 1024 need root. Other errors are quoted in the system's words."""

    class Unbindable(socket.socket):
        def bind(self, address: object) -> None:
            raise OSError(number, "as the system says")

    monkeypatch.setattr("socket.socket", Unbindable)
    first, second = reasons("127.0.0.1:80", "127.0.0.1:81")
    assert first.startswith(f"CHAINRULE_BIND: 127.0.0.1:80 {words}")
    assert second.startswith(f"CHAINRULE_ADMIN_BIND: 127.0.0.1:81 {words}")


@pytest.mark.parametrize(
    ("service", "admin"),
    [("127.0.0.1", "127.0.0.1"), ("127.0.0.1", "localhost"), ("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "[::]")],
)
def test_equal_addresses_are_refused(service: str, admin: str) -> None:
    """Also if one is 0.0.0.0 or [::], or a name of the other."""
    port = free_port()
    [reason] = reasons(f"{service}:{port}", f"{admin}:{port}")
    assert reason.startswith("CHAINRULE_BIND and CHAINRULE_ADMIN_BIND: must differ")
    assert str(port) in reason


@pytest.mark.parametrize(
    ("service", "admin"), [("127.0.0.1", "127.0.0.2"), ("[::1]", "0.0.0.0"), ("[::1]", "127.0.0.1")]
)
def test_one_port_of_two_addresses_is_two(service: str, admin: str) -> None:
    """Both sockets listen."""
    port = free_port()
    with bound(f"{service}:{port}", f"{admin}:{port}") as listeners:
        listen(listeners, 5)
        assert [listener.getsockname()[1] for listener in listeners] == [port, port]


def test_a_bound_address_accepts_no_connection_before_it_listens() -> None:
    """A service that does not start must not accept connections."""
    port = free_port()
    with bound(f"127.0.0.1:{port}", f"127.0.0.1:{free_port()}") as listeners:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        listen(listeners, 5)
        socket.create_connection(("127.0.0.1", port)).close()


def test_a_port_that_is_taken_between_bind_and_listen_is_refused() -> None:
    """If two services start at the same moment, both can bind, but only one can listen."""
    port, other = free_port(), free_port()
    with bound(f"127.0.0.1:{port}", f"127.0.0.1:{other}") as listeners:
        rival = socket.socket()
        rival.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with rival:
            rival.bind(("127.0.0.1", other))
            rival.listen()
            with pytest.raises(BadAddress, match=f"CHAINRULE_ADMIN_BIND: 127.0.0.1:{other} is in use"):
                listen(listeners, 5)


def test_nothing_stays_bound_after_a_refusal(taken: int) -> None:
    """The other, good address is free for the next attempt."""
    port = free_port()
    assert len(reasons(f"127.0.0.1:{port}", f"127.0.0.1:{taken}")) == 1
    with socket.create_server(("127.0.0.1", port), reuse_port=False):
        pass


def test_a_malformed_address_is_left_to_the_settings() -> None:
    """They refuse it together with all other mistakes."""
    [listener] = bind(environment("here", f"127.0.0.1:{free_port()}"))
    listener.close()
