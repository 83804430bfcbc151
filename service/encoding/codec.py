"""Decode and encode JSON, strictly as in RFC 8259. The only module that imports orjson; `number_lists` uses simdjson.

Refused, with the place: text that is not JSON (NaN, trailing commas, comments), not UTF-8 or nested too deep, and a
key given twice in one object. Every fast parser would silently keep the last of its values.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from chainrule.checkpoint import Checkpoint, unlimited
from schemas import ValidationError
from schemas.fields.arrays import BEYOND_FLOAT64
from schemas.fields.strict import Path, as_messages
from schemas.fields.wording import shown
from schemas.problem import pointer
from schemas.records import WeightRecords
from service.encoding import number_lists
from service.encoding.outline import Outline, nesting
from service.encoding.structure import Structure

DEEPEST = 32  # levels of nested objects; the contract's own requests need 5

ORJSON_DEEPEST = 1024  # levels of nested lists and objects

_TOO_DEEP = "lists and objects are nested too deep"
_LARGE = 4096  # bytes of a body, or numbers of an array; below, the fast ways save less time than they cost
_MANY = 20_000  # values of a document that the standard library reads in some 10 ms
_NOT_JSON = re.compile(r"NaN|-?Infinity")
_BEFORE_KEYS = {dict, str}
_HOLD_KEYS = {dict, list}
_GAP = b"\0"  # placeholder for a part that is written separately; no JSON text contains this byte
_AT_ONCE = 256 * 1024  # numbers of an answer that is written at once: some 10 ms
_PIECE = 42_000  # numbers written at a time: a megabyte of text at most, which orjson keeps in a block of that size
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_PASSTHROUGH_DATACLASS
_OVERFLOW = "number is infinity when parsed as double"  # orjson's message for 1e400
_LONGEST_INTEGER = 310  # characters; a longer integer is beyond float64, and Python takes long to parse it


class MalformedJSON(ValueError):
    """The body is not JSON; the message says why, and where."""


@dataclass(frozen=True)
class _Refused:
    """A placeholder in a parsed document for a value that is refused."""

    why: str


def decode(body: bytes, arrays: frozenset[str] = frozenset(), outline: Outline | None = None) -> Any:
    """The JSON document in `body`. A number beyond float64 (1e400) becomes infinity, which the schema then refuses.

    In a large body, members named in `arrays` become NumPy arrays if they are lists or matrices of numbers. Pass the
    `outline` of the body if it is already computed. Raises MalformedJSON. Raises ValidationError at the first number
    beyond float64 if the document has many values: the parser that reads it as infinity is slow.
    """
    outline = outline or Outline(body)
    if arrays and len(body) >= _LARGE:
        with suppress(number_lists.Unusual):
            document = number_lists.read(body, arrays, outline.lists)
            if outline.colons == _number_of_keys(document):
                return document
    return _decode_lists(body, outline)


def _decode_lists(body: bytes, outline: Outline) -> Any:
    """As `decode`, but without NumPy arrays."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if error.msg != _OVERFLOW:
            raise MalformedJSON(_explanation(body, error)) from error
        if nesting(body) > ORJSON_DEEPEST:  # the standard library's own limit differs between versions of Python
            raise MalformedJSON(_TOO_DEEP) from error
        if outline.values <= _MANY:
            return _decode_with_care(body, error.doc)
        raise _beyond_float64(body, error) from error
    if outline.colons != _number_of_keys(document):
        _refuse_keys_twice(body)
    return document


def _beyond_float64(body: bytes, error: json.JSONDecodeError) -> ValidationError:
    """The error for the number at which orjson stopped; the text before it is valid JSON."""
    number = len(error.doc[: error.pos].encode())
    path = Structure(body[:number], orjson.loads).path_to(number)
    return ValidationError(as_messages([(path, BEYOND_FLOAT64)]))


def _refuse_keys_twice(body: bytes) -> None:
    """Raise MalformedJSON if a key is given twice. Else the surplus colons are in strings or in lists of lists."""
    twice = Structure(body, orjson.loads).key_twice()
    if twice is not None:
        path, key = twice
        raise MalformedJSON(f"at {pointer(path)}: {_given_twice(key)}")


def encode(document: Any, checkpoint: Checkpoint = unlimited) -> bytes:
    """`document` as JSON, NumPy arrays included. A number that is not finite becomes null: check beforehand.

    An array that occurs twice, as the o of one layer and the da_dw of the next, is converted once. Very large parts are
    written in pieces, with the checkpoint called in between: orjson blocks all other threads during a piece.
    """
    large = _large_parts((document,))
    if not large:
        return _dumps(document, orjson.OPT_APPEND_NEWLINE)
    if sum(map(_size, large)) > _AT_ONCE:
        return _encode_in_pieces(document, large, checkpoint)
    times = Counter(map(id, large))
    texts = {id(part): orjson.Fragment(_dumps(part)) for part in large if times[id(part)] > 1}
    return _dumps(_with_texts(document, texts) if texts else document, orjson.OPT_APPEND_NEWLINE)


def _encode_in_pieces(document: Any, large: list[Any], checkpoint: Checkpoint) -> bytes:
    """Encode large parts separately, and copy each once, into the answer."""
    gaps = {id(part): orjson.Fragment(_GAP) for part in large}
    outline = _dumps(_with_texts(document, gaps), orjson.OPT_APPEND_NEWLINE).split(_GAP)
    texts: dict[int, list[bytes | memoryview]] = {}
    written: list[bytes | memoryview] = [outline[0]]
    for part, behind in zip(large, outline[1:], strict=True):
        if id(part) not in texts:
            texts[id(part)] = list(_pieces(part, checkpoint))
        written += texts[id(part)]
        written.append(behind)
    return b"".join(written)


def _pieces(part: Any, checkpoint: Checkpoint) -> Iterator[bytes | memoryview]:
    """The JSON of an array or of records, in pieces."""

    def write(value: Any) -> bytes:
        checkpoint()
        return _dumps(value)

    if isinstance(part, WeightRecords):
        yield from part.pieces(write)
        return
    step, before = max(1, _PIECE * len(part) // part.size), b"["
    for at in range(0, len(part), step):
        yield before
        if step > 1 or part.ndim == 1:
            yield memoryview(write(part[at : at + step]))[1:-1]
        else:
            yield from _pieces(part[at], checkpoint)
        before = b","
    yield b"]"


def _dumps(document: Any, option: int = 0) -> bytes:
    return orjson.dumps(document, default=_written, option=_OPTIONS | option)


def _written(value: Any) -> Any:
    """A form that orjson can encode, for values that it cannot encode itself, such as a transposed or strided array."""
    if isinstance(value, np.ndarray):
        return np.ascontiguousarray(value)
    if isinstance(value, WeightRecords):  # few: no checkpoint, as orjson would wrap its exception
        return orjson.Fragment(value.as_json(_dumps))
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _large_parts(values: Iterable[Any]) -> list[Any]:
    """The large arrays and records among values. Lists are searched only if they begin with an object."""
    found: list[Any] = []
    for value in values:
        kind = type(value)
        if kind is np.ndarray:
            if value.size >= _LARGE:
                found.append(value)
        elif kind is WeightRecords:
            if _size(value) >= _LARGE:
                found.append(value)
        elif kind is dict:
            found += _large_parts(value.values())
        elif kind is list and value and type(value[0]) is dict:
            found += _large_parts(value)
    return found


def _size(part: Any) -> int:
    """How many numbers an array has, or roughly how many records have."""
    return int(part.size if type(part) is np.ndarray else 8 * part.gradient.dE_dw.size)


def _with_texts(document: Any, texts: dict[int, orjson.Fragment]) -> Any:
    """The document, with the parts that are keys of `texts` (by their ids) replaced."""
    if type(document) is dict:
        return {key: _with_texts(value, texts) for key, value in document.items()}
    if type(document) is list and document and type(document[0]) is dict:
        return [_with_texts(value, texts) for value in document]
    return texts.get(id(document), document)


def _number_of_keys(document: Any, depth: int = 0) -> int:
    """How many keys the objects of a document have, in the places where the contract has objects.

    Lists are searched only if they begin with an object or a string, so a long list of numbers costs nothing.
    """
    if type(document) is dict:
        inner: Iterable[Any] = document.values()
        number = len(document)
    elif type(document) is list and document and type(document[0]) in _BEFORE_KEYS:
        inner, number = document, 0
    else:
        return 0
    if depth == DEEPEST and document:
        raise MalformedJSON(f"objects are nested more than {DEEPEST} deep")
    for value in inner:
        if type(value) in _HOLD_KEYS:
            number += _number_of_keys(value, depth + 1)
    return number


def _decode_with_care(body: bytes, text: str) -> Any:
    """As `decode`, with the standard library: slow, but it detects a key that is given twice, and reads 1e400."""
    refused: list[_Refused] = []

    def refuse(why: str) -> _Refused:
        refused.append(_Refused(why))
        return refused[-1]

    try:
        document = json.loads(
            text,
            object_pairs_hook=lambda pairs: _object(pairs, refuse),
            parse_constant=lambda token: refuse(f"{token} is not JSON"),
            parse_int=_integer,
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


def _integer(digits: str) -> int | float:
    if len(digits) < _LONGEST_INTEGER:
        return int(digits)
    return -math.inf if digits[0] == "-" else math.inf


def _object(pairs: list[tuple[str, Any]], refuse: Callable[[str], _Refused]) -> Any:
    document = dict(pairs)
    if len(document) == len(pairs):
        return document
    seen: set[str] = set()
    twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return refuse(_given_twice(twice))


def _given_twice(key: str) -> str:
    return f"the key {shown(key)} is given twice in one object"


def _places(document: Any) -> Iterator[tuple[Path, _Refused]]:
    """The refused values of a document, with their paths."""
    remaining: list[tuple[Any, Path]] = [(document, ())]  # no recursion: Python's stack may be too small
    while remaining:
        document, path = remaining.pop()
        if isinstance(document, _Refused):
            yield path, document
        items = document.items() if type(document) is dict else enumerate(document) if type(document) is list else ()
        remaining += [(value, (*path, step)) for step, value in items if isinstance(value, dict | list | _Refused)]


def _explanation(body: bytes, error: json.JSONDecodeError) -> str:
    """The message of orjson or the standard library, with the place, and in plainer words for common mistakes."""
    try:
        text = error.doc or body.decode("utf-8")  # orjson gives no text if it is not UTF-8
    except UnicodeDecodeError as not_utf8:
        return _not_utf8(body, not_utf8)
    if not text or text.isspace():
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
    line = body.count(b"\n", 0, error.start) + 1
    column = error.start - body.rfind(b"\n", 0, error.start)
    return f"line {line}, byte {column}: the byte 0x{body[error.start]:02x} is not UTF-8 ({error.reason})"
