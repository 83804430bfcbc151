"""The base schema of all contracts. It reads a request strictly, in its order, up to the 20th complaint."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from typing import Any, TypeVar

from marshmallow import Schema, ValidationError, fields, missing

from schemas.fields.wording import did_you_mean, kind, shown

WHOLE = "_schema"  # marshmallow's key for complaints about an object itself
_OWN_WHOLE = WHOLE + " of the client"

MOST_COMPLAINTS = 20  # of a request: reading stops there

T = TypeVar("T")
Path = tuple[str | int, ...]
Complaints = Iterator[tuple[Path, str]]


class Enough(Exception):
    """Raised when as many complaints were found as an answer may list."""


class Findings:
    """The complaints about one request, at most 20. The twentieth ends the reading: it raises Enough."""

    def __init__(self) -> None:
        self.complaints: list[tuple[Path, str]] = []

    def add(self, path: Path, words: str) -> None:
        """Add a complaint. Raises Enough if it is the twentieth."""
        self.complaints.append((path, words))
        if len(self.complaints) == MOST_COMPLAINTS:
            raise Enough

    def add_all(self, path: Path, refusal: ValidationError) -> None:
        """Add every complaint about the value at a path. Raises Enough."""
        for steps, words in flatten(refusal.messages):
            self.add((*path, *steps), words)


class StrictSchema(Schema):
    """Refuses unknown keys and says which one was probably meant.

    marshmallow declares the fields, and each field reads its own value. The whole request is read here, because
    marshmallow's own `load` does not stop at any number of errors: 2,000 layers of unknown names took it 10 s.
    """

    def load(self, data: Any, **_: Any) -> Any:
        """The result of `parsed` for a valid request. Raises ValidationError with the first 20 complaints, in order."""
        found, loaded = Findings(), {}
        with suppress(Enough):
            loaded = self.read(data, (), found)
            for path, words in self.misfits(loaded, data) if type(data) is dict else ():
                found.add(path, words)
        if found.complaints:
            raise ValidationError(as_messages(found.complaints))
        return self.parsed(loaded, data)

    def misfits(self, loaded: dict[str, Any], posted: dict[str, Any]) -> Complaints:
        """Yield (path, complaint) for values that do not fit each other, among those that could be read."""
        yield from ()

    def parsed(self, loaded: dict[str, Any], posted: dict[str, Any]) -> Any:
        """The core values of a valid request."""
        return loaded

    def read(self, data: Any, path: Path, found: Findings) -> dict[str, Any]:
        """The values of an object's members, as far as they can be read. Raises Enough."""
        if type(data) is not dict:
            found.add(path, f"must be an object, not {kind(data)}")
            return {}
        loaded = {}
        for key, value in data.items():
            if value is not None and key in self._readers:
                try:
                    loaded[key] = self._readers[key](value)
                except ValidationError as refusal:
                    found.add_all((*path, key), refusal)
            elif key in self.load_fields:
                member = _read_member(self.load_fields[key], value, (*path, key), found)
                if member is not missing:
                    loaded[key] = member
            else:
                found.add((*path, key), f"unknown key {shown(key)}{did_you_mean(key, self.load_fields)}")
        for key, field in self.load_fields.items():
            if key not in data:
                if key in self._defaults:
                    loaded[key] = self._defaults[key]
                elif field.required:
                    found.add((*path, key), str(field.error_messages["required"]))
        return loaded

    @cached_property
    def _readers(self) -> dict[str, Callable[[Any], Any]]:
        """How the values of the contract's own fields are read, by their keys."""
        return {key: field.read for key, field in self.load_fields.items() if isinstance(field, ValueField)}

    @cached_property
    def _defaults(self) -> dict[str, Any]:
        """What stands for members that may be left out."""
        loading = self.load_fields.items()
        return {key: field.load_default for key, field in loading if field.load_default is not missing}


class ValueField(fields.Field[T], ABC):
    """A field of the contract: `read` makes a value of what JSON has, anything but null, or raises ValidationError."""

    @abstractmethod
    def read(self, value: Any) -> T:
        """The value in the form that the core takes."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> T:
        return self.read(value)


def _read_member(field: fields.Field[Any], value: Any, path: Path, found: Findings) -> Any:
    """The value of an object, of a list of objects or of null; `missing` if it cannot be read."""
    if isinstance(field, fields.Nested) and value is not None:
        return _read_list(field, value, path, found) if field.many else _schema(field).read(value, path, found)
    try:
        return field.deserialize(value)
    except ValidationError as refusal:
        found.add_all(path, refusal)
        return missing


def _read_list(field: fields.Nested, value: Any, path: Path, found: Findings) -> Any:
    """The values of a list of objects; an object that cannot be read keeps its position."""
    if type(value) is not list:
        found.add(path, str(field.error_messages["type"]))
        return missing
    try:
        for validator in field.validators:
            validator(value)
    except ValidationError as refusal:
        found.add_all(path, refusal)
        return missing
    schema = _schema(field)
    return [schema.read(item, (*path, index), found) for index, item in enumerate(value)]


def _schema(field: fields.Nested) -> StrictSchema:
    schema = field.schema
    assert isinstance(schema, StrictSchema), "every object of the contract is read strictly"  # noqa: S101
    return schema


def as_messages(complaints: Iterable[tuple[Path, str]]) -> dict[Any, Any]:
    """Complaints nested by path, as in marshmallow: ("inputs", 3), "..." is {"inputs": {3: {"_schema": ["..."]}}}.

    `_schema` is marshmallow's key for complaints about a value itself, beside complaints about its parts.
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
    """A step of a path as a key of marshmallow's messages; a client's own key `_schema` gets another name."""
    return _OWN_WHOLE if step == WHOLE else step
