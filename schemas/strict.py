"""The schema that all contracts share: keys that it does not know are refused, with the one that was probably meant."""

from collections.abc import Iterable, Iterator
from typing import Any

from marshmallow import RAISE, Schema, ValidationError

from schemas.words import did_you_mean, kind, shown

WHOLE = "_schema"  # marshmallow's key for complaints about an object itself
_OWN_WHOLE = WHOLE + " of the client"

MOST_COMPLAINTS = 20  # of one kind; an answer holds no more

Path = tuple[str | int, ...]


class StrictSchema(Schema):
    """Refuses unknown keys and says which one was probably meant."""

    class Meta:
        """Nothing that a client wrote is dropped without a word."""

        unknown = RAISE

    error_messages = {"type": "must be an object"}

    def handle_error(self, error: ValidationError, data: Any, *, many: bool, **_: Any) -> None:
        """Put the nearest known key into the complaint about each unknown one."""
        messages: Any = error.messages
        if many and isinstance(data, list):
            for index in filter(messages.__contains__, range(len(data))):
                self._name_unknown_keys(messages[index], data[index])
        else:
            self._name_unknown_keys(messages, data)

    def _name_unknown_keys(self, messages: dict[Any, Any], data: Any) -> None:
        """In the order of the request; marshmallow's own order is that of a set."""
        if not isinstance(data, dict):
            messages[WHOLE] = [f"must be an object, not {kind(data)}"]
            return
        unknown = [key for key in data if key not in self.load_fields]
        for key in unknown:
            del messages[key]
        for key in unknown[:MOST_COMPLAINTS]:
            messages[_step(key)] = [f"unknown key {shown(key)}{did_you_mean(key, self.load_fields)}"]


def as_messages(complaints: Iterable[tuple[Path, str]]) -> dict[Any, Any]:
    """Complaints by path, nested as marshmallow keeps them: ("inputs", 3), "..." as {"inputs": {3: ["..."]}}.

    A complaint about a whole whose parts have complaints of their own stands under `_schema`, as in marshmallow.
    """
    nested: dict[Any, Any] = {}
    for path, words in complaints:
        node = nested
        for step in path:
            node = node.setdefault(_step(step), {})
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
            yield from flatten(inner, path if key == WHOLE else (*path, WHOLE if key == _OWN_WHOLE else key))


def _step(step: str | int) -> str | int:
    """A step of a path as a key of marshmallow's messages; a client may name a key as marshmallow names its own."""
    return _OWN_WHOLE if step == WHOLE else step
