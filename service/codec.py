"""JSON in and out, strictly as RFC 8259 has it. The only module that knows orjson; `number_lists` knows simdjson.

Refused, with the place: what is not JSON (NaN, trailing commas, comments), what is not UTF-8, what is nested too deep,
and a key given twice in one object, of which every fast parser would keep the last without a word.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from schemas.problem import pointer
from schemas.records import WeightRecords
from schemas.strict import Path
from schemas.words import shown
from service import number_lists

DEEPEST = 32  # objects within each other; the contract's own requests need 5

ORJSON_DEEPEST = 1024  # lists and objects within each other

_ORDINARY_DEPTH = 8  # more than any request needs; looked at more closely beyond it

_TOO_DEEP = "lists and objects are nested too deep"
_PAIRS = (b"[]", b"{}")
_BRACKETS, _MARKS = b"[]{}", b'[]{}":'
_ALL_BUT = {kept: bytes(set(range(256)) - set(kept)) for kept in (*_PAIRS, _BRACKETS, _MARKS)}
_LARGE = 4096  # bytes of a body, or numbers of an array; below, what is saved is not worth the look
_NOT_JSON = re.compile(r"NaN|-?Infinity")
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_HOLD_ARRAYS = {dict, list, np.ndarray}
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_PASSTHROUGH_DATACLASS
_OVERFLOW = "number is infinity when parsed as double"  # orjson's words for 1e400
_LONGEST_INTEGER = 300  # digits; beyond, float64 has no number for it, and Python takes long to read it


class MalformedJSON(ValueError):
    """A body that is not JSON; its text says why, and where."""


@dataclass(frozen=True)
class _Refused:
    """Stands in a parsed document for what must not be in one."""

    why: str


class Outline:
    """What can be told of a JSON document without parsing it, from one look at its brackets, quotes and colons."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self._marks = body.translate(None, delete=_ALL_BUT[_MARKS])

    @property
    def memory(self) -> int:
        """No fewer than the bytes that reading it takes: objects, numbers and text. Marks within strings count too."""
        strings = self._marks.count(b'"') // 2
        objects = 120 * self.lists + 360 * self._marks.count(b"{") + 90 * strings
        return objects + 48 * self.body.count(b",") + 2 * len(self.body)

    @property
    def lists(self) -> int:
        """How many lists it can hold at most."""
        return self._marks.count(b"[")

    @property
    def colons(self) -> int:
        """How many members its objects can have at most."""
        return self._marks.count(b":")

    @property
    def depth(self) -> int:
        """How many lists, or how many objects, it has within each other."""
        deepest = max(_deepest(self._marks, pair) for pair in _PAIRS)
        if deepest <= _ORDINARY_DEPTH:
            return deepest
        bare = _STRING.sub(b"", self.body)  # brackets within strings are none
        return max(_deepest(bare, pair) for pair in _PAIRS)


def decode(body: bytes, arrays: frozenset[str] = frozenset(), outline: Outline | None = None) -> Any:
    """The JSON document in `body`. A number beyond float64 (1e400) is read as infinity, for the schema to point at.

    Members with one of the names in `arrays` come as NumPy arrays, where they are lists or matrices of numbers in a
    large body. The `outline` is that of the body, where it is at hand. Raises MalformedJSON.
    """
    outline = outline or Outline(body)
    if arrays and len(body) >= _LARGE:
        with suppress(number_lists.Unusual):
            document = number_lists.read(body, arrays, outline.lists)
            if outline.colons == _number_of_keys(document):
                return document
    return _decode_lists(body, outline)


def _decode_lists(body: bytes, outline: Outline) -> Any:
    """As `decode`, with lists for lists."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if error.msg == _OVERFLOW:
            return _decode_with_care(body)
        raise MalformedJSON(_explanation(body, error)) from error
    keys = _number_of_keys(document)
    if outline.colons != keys and _STRING.sub(b"", body).count(b":") != keys:  # colons in strings are no keys
        _decode_with_care(body)
    return document


def _deepest(body: bytes, pair: bytes) -> int:
    """How many brackets are open at most at a time."""
    if len(body) < _LARGE:  # by how often the innermost pairs can be taken out: a tenth of the time of what follows
        left = body.translate(None, delete=_ALL_BUT[pair])
        for height in range(_ORDINARY_DEPTH + 1):
            if not left:
                return height
            left = left.replace(pair, b"")
    marks = np.frombuffer(body, np.uint8)
    opening, closing = pair
    steps = np.equal(marks, opening).astype(np.int8) - np.equal(marks, closing)
    return int(steps.cumsum(dtype=np.int32).max(initial=0))


def encode(document: Any) -> bytes:
    """`document` as JSON, NumPy arrays included. A number that is not finite becomes null: check beforehand.

    An array that stands in it twice, as the o of one layer and the da_dw of the next, is written once.
    """
    arrays = _large_arrays(document)
    if not arrays:
        return _dumps(document, orjson.OPT_APPEND_NEWLINE)
    times = Counter(map(id, arrays))
    texts = {id(array): orjson.Fragment(_dumps(array)) for array in arrays if times[id(array)] > 1}
    return _dumps(_with_texts(document, texts) if texts else document, orjson.OPT_APPEND_NEWLINE)


def _dumps(document: Any, option: int = 0) -> bytes:
    return orjson.dumps(document, default=_written, option=_OPTIONS | option)


def _written(value: Any) -> Any:
    """What orjson does not write by itself; it asks for a transposed or strided array in another form."""
    if isinstance(value, np.ndarray):
        return np.ascontiguousarray(value)
    if isinstance(value, WeightRecords):
        return orjson.Fragment(value.as_json(_dumps))
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _large_arrays(document: Any) -> list[Any]:
    """The arrays of a document that are worth a look; lists are entered that begin with an object."""
    if type(document) is np.ndarray:
        return [document] if document.size >= _LARGE else []
    values: Iterable[Any] = ()
    if type(document) is dict:
        values = document.values()
    elif type(document) is list and document and type(document[0]) is dict:
        values = document
    return [array for value in values if type(value) in _HOLD_ARRAYS for array in _large_arrays(value)]


def _with_texts(document: Any, texts: dict[int, orjson.Fragment]) -> Any:
    """The document with the text of an array in its place."""
    if type(document) is dict:
        return {key: _with_texts(value, texts) for key, value in document.items()}
    if type(document) is list and document and type(document[0]) is dict:
        return [_with_texts(value, texts) for value in document]
    return texts.get(id(document), document)


def _number_of_keys(document: Any, depth: int = 0) -> int:
    """How many keys the objects of a document have, as far as objects stand where the contract has them.

    Of a list only those are entered that begin with an object: a long list of numbers costs nothing.
    """
    if depth > DEEPEST:
        raise MalformedJSON(f"objects are nested more than {DEEPEST} deep")
    if type(document) is dict:
        return len(document) + sum(_number_of_keys(value, depth + 1) for value in document.values())
    if type(document) is list and document and type(document[0]) is dict:
        return sum(_number_of_keys(value, depth + 1) for value in document)
    return 0


def _decode_with_care(body: bytes) -> Any:
    """As `decode`, by the standard library: slow, but it sees a key that is given twice, and reads 1e400."""
    _refuse_depths(body)
    refused: list[_Refused] = []

    def refuse(why: str) -> _Refused:
        refused.append(_Refused(why))
        return refused[-1]

    try:
        document = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=lambda pairs: _object(pairs, refuse),
            parse_constant=lambda token: refuse(f"{token} is not JSON"),
            parse_int=lambda digits: int(digits) if len(digits) < _LONGEST_INTEGER else float(digits),
        )
    except json.JSONDecodeError as error:
        raise MalformedJSON(_explanation(body, error)) from error
    except UnicodeDecodeError as error:
        raise MalformedJSON(_not_utf8(body, error)) from error
    except RecursionError as error:
        raise MalformedJSON(_TOO_DEEP) from error
    if refused:
        path, first = next(_places(document))
        raise MalformedJSON(f"at {pointer(path)}: {first.why}")
    return document


def _refuse_depths(body: bytes) -> None:
    """Refuse what orjson would refuse; how deep the standard library goes differs from one Python to the next."""
    depth = 0
    for bracket in _STRING.sub(b"", body).translate(None, delete=_ALL_BUT[_BRACKETS]):
        depth += 1 if bracket in b"[{" else -1
        if depth > ORJSON_DEEPEST:
            raise MalformedJSON(_TOO_DEEP)


def _object(pairs: list[tuple[str, Any]], refuse: Callable[[str], _Refused]) -> Any:
    document = dict(pairs)
    if len(document) == len(pairs):
        return document
    seen: set[str] = set()
    twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return refuse(f"the key {shown(twice)} is given twice in one object")


def _places(document: Any) -> Iterator[tuple[Path, _Refused]]:
    """What was refused in a document, with the path to it."""
    remaining: list[tuple[Any, Path]] = [(document, ())]  # our own stack: a document may be deeper than Python recurses
    while remaining:
        document, path = remaining.pop()
        if isinstance(document, _Refused):
            yield path, document
        items = document.items() if type(document) is dict else enumerate(document) if type(document) is list else ()
        remaining += [(value, (*path, step)) for step, value in items if isinstance(value, dict | list | _Refused)]


def _explanation(body: bytes, error: json.JSONDecodeError) -> str:
    """orjson's or the standard library's complaint, with the place, and in plainer words where there are some."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as not_utf8:
        return _not_utf8(body, not_utf8)
    if not text.strip():
        return "the body is empty"
    minus = 1 if error.pos and text[error.pos - 1] == "-" else 0  # a bad number begins at its sign
    return f"line {error.lineno}, column {error.colno - minus}: {_plain_words(text, error, error.pos - minus)}"


def _plain_words(text: str, error: json.JSONDecodeError, at: int) -> str:
    if token := _NOT_JSON.match(text, at):
        return f"{token[0]} is not JSON; there is no JSON for numbers that are not finite"
    if text[at : at + 1] == "'":
        return "strings and keys are written in double quotes"
    if error.msg.startswith("depth limit"):
        return _TOO_DEEP
    return error.msg


def _not_utf8(body: bytes, error: UnicodeDecodeError) -> str:
    before = body[: error.start]
    line = before.count(b"\n") + 1
    column = error.start - (before.rfind(b"\n") + 1) + 1
    return f"line {line}, byte {column}: the byte 0x{body[error.start]:02x} is not UTF-8 ({error.reason})"
