"""The schema that all contracts share: keys that it does not know are refused, with the one that was probably meant."""

from collections.abc import Iterable, Iterator
from typing import Any

from marshmallow import RAISE, Schema, ValidationError

from schemas.words import did_you_mean, shown

WHOLE = "_schema"  # marshmallow's key for complaints about an object itself
_UNKNOWN = "unknown key"

Path = tuple[str | int, ...]


class StrictSchema(Schema):
    """Refuses unknown keys and says which one was probably meant."""

    class Meta:
        """Nothing that a client wrote is dropped without a word."""

        unknown = RAISE

    error_messages = {"unknown": _UNKNOWN, "type": "must be an object"}

    def handle_error(self, error: ValidationError, data: Any, *, many: bool, **_: Any) -> None:
        """Put the nearest known key into the complaint about each unknown one."""
        if many and isinstance(error.messages, dict):
            objects = [error.messages[index] for index in error.messages if isinstance(index, int)]
        else:
            objects = [error.messages]
        for messages in objects:
            self._name_unknown_keys(messages)

    def _name_unknown_keys(self, messages: Any) -> None:
        if not isinstance(messages, dict):
            return
        for key, complaint in messages.items():
            if complaint == [_UNKNOWN]:
                messages[key] = [f"unknown key {shown(key)}{did_you_mean(key, self.load_fields)}"]


def as_messages(complaints: Iterable[tuple[Path, str]]) -> dict[Any, Any]:
    """Complaints by path, nested as marshmallow keeps them: ("inputs", 3), "..." as {"inputs": {3: ["..."]}}.

    A complaint about a whole whose parts have complaints of their own stands under `_schema`, as in marshmallow.
    """
    nested: dict[Any, Any] = {}
    for path, words in complaints:
        node = nested
        for step in path:
            node = node.setdefault(step, {})
        node.setdefault(WHOLE, []).append(words)
    return nested


def flatten(messages: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """(path, complaint) of everything in marshmallow's nested messages, in their order."""
    if isinstance(messages, str):
        yield path, messages
    elif isinstance(messages, list):
        for message in messages:
            yield from flatten(message, path)
    else:
        for key, inner in messages.items():
            yield from flatten(inner, path if key == WHOLE else (*path, key))
