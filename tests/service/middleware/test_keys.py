"""API keys: which requests need one, how it is sent, how the file is read, and how it changes at run time."""

import base64
import hashlib
import logging
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import EnvironBuilder

from service.app import create_app
from service.configuration.settings import BadSettings, read_settings
from service.middleware import keys
from service.middleware.context import OBSERVERS
from service.middleware.keys import ADMITS, BadKeys, Keyring, needs_key, new_key, read_keys

ALICE, ALICES_LINE = new_key("alice")
BOB, BOBS_LINE = new_key("bob")
REQUEST = {"network": {"layers": [{"activation": "tanh", "weights": [[0.5]]}]}, "inputs": [1.0], "targets": [0.0]}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with the keys of Alice and Bob."""
    file = tmp_path / "keys"
    file.write_text(f"# who may\n\n{ALICES_LINE}\n  {BOBS_LINE}  # until the end of term\n")
    return file


@pytest.fixture
def guarded(file: Path) -> FlaskClient:
    """A client of a service that requires a key."""
    return create_app(replace(read_settings(), api_keys_file=str(file))).test_client()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check the file for changes at every request."""
    monkeypatch.setattr(keys, "_PAUSE", 0.0)


def _rewrite(file: Path, text: str) -> None:
    """Replace the file with a new one, as editors do."""
    other = file.with_suffix(".new")
    other.write_text(text)
    other.replace(file)


GIVEN = {
    "a bearer": {"Authorization": f"Bearer {ALICE}"},
    "a bearer in small letters, spaced": {"Authorization": f"bearer   {ALICE} "},
    "a header": {"X-API-Key": ALICE},
    "a header beside another scheme": {"X-API-Key": ALICE, "Authorization": "Basic eDp5"},
}


@pytest.mark.parametrize("headers", GIVEN.values(), ids=GIVEN)
def test_a_key_is_accepted_as_bearer_token_or_in_its_own_header(guarded: FlaskClient, headers: dict[str, str]) -> None:
    """This holds for every endpoint under /v1."""
    assert guarded.get("/v1", headers=headers).status_code == 200
    assert guarded.post("/v1/gradients", json=REQUEST, headers=headers).status_code == 200


NOT_GIVEN = {
    "none": {},
    "an empty one": {"X-API-Key": ""},
    "an empty bearer": {"Authorization": "Bearer "},
    "an unknown one": {"X-API-Key": "chainrule_unknown"},
    "one with a letter more": {"X-API-Key": f"{ALICE}x"},
    "one cut short": {"X-API-Key": ALICE[:-1]},
    "in capitals": {"X-API-Key": ALICE.upper()},
    "a hash": {"X-API-Key": ALICES_LINE.partition("$")[2]},
    "a line": {"X-API-Key": ALICES_LINE},
    "a name": {"X-API-Key": "alice"},
    "two": {"X-API-Key": f"{ALICE},{ALICE}"},
    "a user of Basic": {"Authorization": "Basic " + base64.b64encode(f"{ALICE}:".encode()).decode()},
    "no scheme": {"Authorization": ALICE},
    "letters beyond ASCII": {"X-API-Key": "schlüssel"},
}


@pytest.mark.parametrize("headers", NOT_GIVEN.values(), ids=NOT_GIVEN)
def test_without_a_key_that_is_known_there_is_a_401(guarded: FlaskClient, headers: dict[str, str]) -> None:
    """The answer is a problem that says how to send a key, and does not contain the key sent."""
    answer = guarded.post("/v1/gradients", json=REQUEST, headers=headers)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="chainrule"')
    document = answer.get_json(force=True)
    assert document["type"] == "/problems/unauthorized"
    assert (document["detail"] == "the API key is not known here") == bool(
        "X-API-Key" in headers or "Bearer" in headers.get("Authorization", "")
    )
    assert ALICE not in answer.text


def test_a_key_in_the_query_is_none(guarded: FlaskClient) -> None:
    """It would be logged by every proxy."""
    assert guarded.get(f"/v1?api_key={ALICE}&key={ALICE}").status_code == 401


@pytest.mark.parametrize(
    "path", ["/livez", "/readyz", "/openapi.json", "/docs", "/problems", "/troubleshooting", "/static/pages.css", "/v2"]
)
def test_paths_outside_v1_need_no_key(guarded: FlaskClient, path: str) -> None:
    """Probes, documents, pages and files need no key; an unknown path gets 404."""
    with guarded.get(path) as answer:
        assert answer.status_code == (404 if path == "/v2" else 200)


def test_every_path_under_v1_needs_one(guarded: FlaskClient) -> None:
    """This includes unknown paths and wrong methods, so that no client can explore the API without a key."""
    rules = [rule.rule for rule in guarded.application.url_map.iter_rules() if rule.rule.startswith("/v1")]
    assert len(rules) >= 8
    for path in (*rules, "/v1/nothing", "/v1/", "/v1/../v1/losses"):
        assert guarded.get(path).status_code == guarded.delete(path).status_code == 401, path
    assert guarded.get("/%76%31/losses").status_code == 401


ODD = (
    "//v1/losses",
    "///v1/losses",
    "v1/losses",
    "/v1//losses",
    "/V1/losses",
    "/./v1/losses",
    "/x/../v1/losses",
    "/v1/losses/",
)


@pytest.mark.parametrize("path", ODD)
def test_no_spelling_of_a_path_bypasses_the_key(guarded: FlaskClient, path: str) -> None:
    """The router treats "//v1/losses" as "/v1/losses", so the check must do so, too."""
    answer = guarded.post("/", environ_overrides={"PATH_INFO": path})
    assert answer.status_code in {401, 404}
    with guarded.application.test_request_context(environ_overrides={"PATH_INFO": path}) as context:
        assert context.request.url_rule is None or needs_key(context.request.path)


def test_without_the_setting_no_key_is_required(client: FlaskClient) -> None:
    """A key that is sent is ignored."""
    assert client.get("/v1", headers={"X-API-Key": "anything"}).status_code == 200
    assert ADMITS not in client.application.extensions


def test_the_key_is_checked_before_the_body_is_read(guarded: FlaskClient) -> None:
    """A client without a key must not make the service read 32 MB."""

    class Untouched:
        def read(self, size: int = -1) -> bytes:
            raise AssertionError("read")

    answer = guarded.post(
        "/v1/gradients", environ_overrides={"wsgi.input": Untouched(), "CONTENT_LENGTH": "9", "CONTENT_TYPE": "x/y"}
    )
    assert answer.status_code == 401


def test_the_front_can_check_the_key(guarded: FlaskClient) -> None:
    """It needs only the WSGI environment, before there is a request object."""
    admits = guarded.application.extensions[ADMITS]
    assert admits({"PATH_INFO": "/v1/gradients", "HTTP_X_API_KEY": BOB})
    assert admits({"PATH_INFO": "/v1/gradients", "HTTP_AUTHORIZATION": f"Bearer {BOB}"})
    assert admits({"PATH_INFO": "/livez"})
    assert not admits({"PATH_INFO": "/v1/gradients", "HTTP_X_API_KEY": "x"})
    assert not admits({"PATH_INFO": "/v1"})
    assert not admits({"PATH_INFO": "//v1/gradients"})
    assert (needs_key("/v1"), needs_key("/v1/"), needs_key("/v10"), needs_key("/")) == (True, True, False, False)


def test_a_key_is_looked_up_once(guarded: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The application takes over what the front has found, so a withdrawn key is not refused halfway."""
    calls: list[str | None] = []
    name_of = Keyring.name_of

    def counted(keyring: Keyring, key: str | None) -> str | None:
        calls.append(key)
        return name_of(keyring, key)

    monkeypatch.setattr(Keyring, "name_of", counted)
    environ = EnvironBuilder("/v1/losses", headers={"X-API-Key": BOB}).get_environ()
    assert guarded.application.extensions[ADMITS](environ)
    with guarded.application.request_context(environ):
        assert guarded.application.full_dispatch_request().status_code == 200
    assert calls == [BOB]


def test_the_name_of_the_key_is_reported_but_never_the_key(guarded: FlaskClient) -> None:
    """The observers, such as the log, get the name."""
    reported: list[Any] = []
    guarded.application.extensions[OBSERVERS].append(reported.append)
    for key in (ALICE, BOB, "unknown"):
        guarded.get("/v1", headers={"X-API-Key": key})
    assert [exchange.key for exchange in reported] == ["alice", "bob", None]
    assert ALICE not in repr(reported)


def test_every_known_key_is_compared_whichever_it_is(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each comparison takes constant time, and all keys are compared, so the time reveals nothing."""
    compared: list[tuple[str, str]] = []

    def compare(one: str, other: str) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr(keys.hmac, "compare_digest", compare)
    keyring = Keyring(file)
    for key, name in ((ALICE, "alice"), (BOB, "bob"), ("x", None)):
        compared.clear()
        assert keyring.name_of(key) == name
        assert len(compared) == 2


def test_a_new_key_is_random_and_its_line_is_read(tmp_path: Path) -> None:
    """It has 256 random bits and a prefix for secret scanners. The line contains a hash, not the key."""
    made = [new_key("carol-2.b_c") for _ in range(50)]
    assert len({key for key, _ in made}) == 50
    for key, line in made:
        assert key.startswith("chainrule_")
        assert len(key) == len("chainrule_") + 43
        assert key not in line
        assert line == f"carol-2.b_c:sha256${hashlib.sha256(key.encode()).hexdigest()}"
    (tmp_path / "keys").write_text("\n".join(line for _, line in made))
    assert Keyring(tmp_path / "keys").name_of(made[7][0]) == "carol-2.b_c"


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\n", "#a", "x" * 65, "é", "a$"])
def test_a_name_that_the_file_cannot_contain_gets_no_key(name: str) -> None:
    """Such a name could also break a line of the log."""
    with pytest.raises(BadKeys, match="1 to 64 of the characters"):
        new_key(name)


BROKEN = {
    "a key in clear": f"alice:{ALICE}",
    "another hash": "alice:md5$" + "0" * 32,
    "a hash too short": ALICES_LINE[:-1],
    "a hash too long": f"{ALICES_LINE}0",
    "capitals": ALICES_LINE.replace("sha256", "SHA256"),
    "no name": ALICES_LINE.removeprefix("alice"),
    "a name with a blank": ALICES_LINE.replace("alice", "al ice"),
    "two on a line": f"{ALICES_LINE} {BOBS_LINE}",
    "a word": "nobody",
}


@pytest.mark.parametrize("line", BROKEN.values(), ids=BROKEN)
def test_with_a_broken_line_the_service_does_not_start_and_does_not_show_the_line(tmp_path: Path, line: str) -> None:
    """The line may contain a key in clear text."""
    file = tmp_path / "keys"
    file.write_text(f"# keys\n{BOBS_LINE}\n{line}\n")
    with pytest.raises(BadSettings, match=r"CHAINRULE_API_KEYS_FILE: line 3 of .* must be name:sha256") as raised:
        create_app(replace(read_settings(), api_keys_file=str(file)))
    assert line not in str(raised.value)


def test_with_a_file_without_keys_the_service_does_not_start(tmp_path: Path) -> None:
    """It may be incomplete or forgotten, and would refuse every client."""
    file = tmp_path / "keys"
    for text in ("", "\n\n", "# alice\n"):
        file.write_text(text)
        with pytest.raises(BadKeys, match="holds no key"):
            read_keys(file)


def test_with_an_unreadable_file_the_service_does_not_start(tmp_path: Path) -> None:
    """The file is missing, or not text."""
    for file in (tmp_path / "nothing", tmp_path):
        with pytest.raises(BadKeys, match="cannot be read"):
            read_keys(file)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(BadKeys, match="cannot be read"):
        read_keys(tmp_path / "bytes")


@pytest.mark.usefixtures("at_once")
def test_a_key_is_exchanged_without_a_restart(file: Path, guarded: FlaskClient) -> None:
    """First both keys are valid under one name, then only the new one. The file is replaced or rewritten."""
    new, new_line = new_key("alice")
    status = {key: lambda key=key: guarded.get("/v1", headers={"X-API-Key": key}).status_code for key in (ALICE, new)}
    assert (status[ALICE](), status[new]()) == (200, 401)
    _rewrite(file, f"{ALICES_LINE}\n{new_line}\n")
    assert (status[ALICE](), status[new]()) == (200, 200)
    file.write_text(f"{new_line}\n")
    assert (status[ALICE](), status[new]()) == (401, 200)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("broken", ["alice:oops\n", "", None])
def test_a_broken_new_file_leaves_the_old_keys_valid_and_is_logged_once(
    file: Path, caplog: pytest.LogCaptureFixture, broken: str | None
) -> None:
    """This includes an empty and a missing file, so that an editor at work excludes no client.

    A repaired file takes effect.
    """
    keyring = Keyring(file)
    if broken is None:
        file.unlink()
    else:
        _rewrite(file, broken)
    with caplog.at_level(logging.INFO, "service.middleware.keys"):
        assert [keyring.name_of(ALICE) for _ in range(5)] == ["alice"] * 5
        (record,) = caplog.records
        assert record.levelname == "ERROR"
        assert record.getMessage().endswith("the keys read before stay in force")
        _rewrite(file, f"{BOBS_LINE}\n")
        assert (keyring.name_of(ALICE), keyring.name_of(BOB)) == (None, "bob")
    assert caplog.records[-1].getMessage() == "1 API keys read"


@pytest.mark.usefixtures("at_once")
def test_a_change_of_the_same_length_within_one_tick_is_noticed(file: Path) -> None:
    """A new file has another inode, even with the same time."""
    found = file.stat()
    keyring = Keyring(file)
    _rewrite(file, file.read_text().replace("alice:", "carol:"))
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert keyring.name_of(ALICE) == "carol"


def test_the_file_is_checked_once_a_second(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at every request: checking the file costs more than comparing the keys."""
    assert keys._PAUSE == 1.0
    now = [100.0]
    monkeypatch.setattr(keys.time, "monotonic", lambda: now[0])
    keyring = Keyring(file)
    _rewrite(file, f"{BOBS_LINE}\n")
    now[0] += 0.99
    assert keyring.name_of(ALICE) == "alice"
    now[0] += 0.02
    assert keyring.name_of(ALICE) is None


@pytest.mark.usefixtures("at_once")
def test_threads_that_ask_while_the_file_changes_always_get_an_answer(file: Path) -> None:
    """Bob's key is in every version of the file, so it is always accepted."""
    keyring = Keyring(file)
    found: list[str | None] = []
    threads = [
        threading.Thread(target=lambda: found.extend(keyring.name_of(BOB) for _ in range(200))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for number in range(50):
        _rewrite(file, f"{BOBS_LINE}\n" + f"{ALICES_LINE}\n" * (number % 3))
    for thread in threads:
        thread.join()
    assert set(found) == {"bob"}
    assert len(found) == 800
