"""API keys: if the settings name a file of keys, requests under /v1 need one. The file may change at any time.

Each line of the file is `name:sha256$<hexadecimal digits>`; empty lines and comments (#) are skipped.
"""

import hashlib
import hmac
import logging
import re
import secrets
import threading
import time
from pathlib import Path

from flask import Flask, Request, g, request

from service.configuration.settings import PREFIX, BadSettings
from service.problems import UNAUTHORIZED, Refusal
from service.resources.handover import KEY

ADMITS = "chainrule.admits"  # key of an app's extensions: a function that checks the key of a WSGI environment

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LINE = re.compile(rf"({_NAME.pattern}):sha256\$([0-9a-f]{{64}})")
_FORM = "name:sha256$<64 hexadecimal digits>"
_PAUSE = 1.0  # seconds between two checks whether the file has changed

log = logging.getLogger(__name__)

Keys = tuple[tuple[str, str], ...]  # names and digests
Signature = tuple[int, int, int]


class BadKeys(BadSettings):
    """A name or a file of keys is invalid; the message says why, without any key."""


def register(app: Flask) -> None:
    """Make the app require a key if the settings name a file of keys. Raises BadKeys."""
    file = app.config["SETTINGS"].api_keys_file
    if not file:
        return
    keyring = Keyring(Path(file))
    app.extensions[ADMITS] = lambda environ: _admits(keyring, Request(environ))  # reads the path as the router does

    @app.before_request
    def check() -> None:
        admitted = _admits(keyring, request)
        g.key = request.environ[KEY]
        if not admitted:
            raise _refusal(_given(request))


def needs_key(path: str) -> bool:
    """Whether a path requires a key, if the deployment has keys. For the router, //v1/losses is /v1/losses."""
    return f"{path}/".startswith("/v1/")


def new_key(name: str) -> tuple[str, str]:
    """A new key, and its line for the file of keys. Raises BadKeys if the name is invalid."""
    if not _NAME.fullmatch(name):
        raise BadKeys("the name of a key has 1 to 64 of the characters A-Z a-z 0-9 . _ -")
    key = f"chainrule_{secrets.token_urlsafe(32)}"
    return key, f"{name}:sha256${_digest(key)}"


def read_keys(path: Path) -> Keys:
    """The names and digests in a file. Raises BadKeys with the number of the line, but not its text."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadKeys(f"{PREFIX}API_KEYS_FILE: {path} cannot be read: {error}") from error
    keys = []
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.partition("#")[0].strip()
        if entry:
            match = _LINE.fullmatch(entry)
            if match is None:
                raise BadKeys(f"{PREFIX}API_KEYS_FILE: line {number} of {path} must be {_FORM}, or a comment after #")
            keys.append((match[1], match[2]))
    if not keys:
        raise BadKeys(f"{PREFIX}API_KEYS_FILE: {path} holds no key; a line is {_FORM}")
    return tuple(keys)


class Keyring:
    """The keys in force: those of the file's last valid state."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._signature = self._current_signature()  # before reading: the next check then sees a change made meanwhile
        self._keys = read_keys(path)
        self._check_at = time.monotonic() + _PAUSE

    def name_of(self, key: str | None) -> str | None:
        """The name of a key, or None if the key is unknown."""
        self._refresh()
        digest, found = _digest(key or ""), None
        for name, known in self._keys:  # all keys: the time must not reveal which key matches
            if hmac.compare_digest(known, digest):
                found = name
        return found

    def _refresh(self) -> None:
        """Read the file again if it has changed. If it is invalid, log that once, and keep the old keys in force."""
        with self._lock:
            if time.monotonic() < self._check_at:
                return
            self._check_at = time.monotonic() + _PAUSE
            signature = self._current_signature()
            if signature == self._signature:
                return
            self._signature = signature
            try:
                self._keys = read_keys(self._path)
            except BadKeys as error:
                log.error("%s; the keys read before stay in force", error)
            else:
                log.info("%d API keys read", len(self._keys))

    def _current_signature(self) -> Signature | None:
        """Time, size and inode of the file, to detect a change; None if there is no file."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


def _digest(key: str) -> str:
    """The SHA-256 of a key, without salt: a key has 256 random bits, so neither guessing nor hash tables can find it.

    A slow hash, as passwords need, would cost every request some 100 ms.
    """
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def _admits(keyring: Keyring, asked: Request) -> bool:
    """Whether a request has a key or needs none. Looks the key up once, and keeps its name in the environment."""
    if KEY not in asked.environ:
        asked.environ[KEY] = keyring.name_of(_given(asked))
    return asked.environ[KEY] is not None or not needs_key(asked.path)


def _given(asked: Request) -> str | None:
    """The key of a request: Authorization: Bearer <key>, or X-API-Key: <key>."""
    scheme, _, token = asked.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else asked.headers.get("X-API-Key")


def _refusal(given: str | None) -> Refusal:
    ways = "Authorization: Bearer <key>, or X-API-Key: <key>"
    detail = f"the request has no API key; send {ways}" if given is None else "the API key is not known here"
    return Refusal(UNAUTHORIZED, detail, headers={"WWW-Authenticate": 'Bearer realm="chainrule"'})
