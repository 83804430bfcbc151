"""Arrays on the wire: nested lists of numbers, or base64 of float64, into NumPy in one pass, and back.

A codec that has read a list of numbers, or a matrix, into an array already may hand that on instead of the lists.

The types and lengths of a whole array are tested at once; only where a test fails is it walked element by element, to
name the bad ones. marshmallow's own `List(List(Float))` takes 40 times as long and lets "1.5" and ragged rows pass.
"""

import binascii
import math
import struct
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

import numpy as np
import pybase64  # the standard library's takes 30 times as long to read, and 16 times to write
from marshmallow import ValidationError

from chainrule.functions.tables import Array
from schemas.fields.strict import MOST_COMPLAINTS, Path, as_messages
from schemas.fields.wording import counted, did_you_mean, kind, shown

_LISTS = {list}
_NUMBERS = {float, int}  # by identity: bool is a subclass of int
BEYOND_FLOAT64 = "is beyond the range of float64, ±1.8e308"
_BLOCK = 4096  # numbers that are tested together
_RANK_NAMES = ("a number", "a list of numbers", "a matrix (a list of rows of numbers)")


def read_array(value: Any, ranks: tuple[int, ...]) -> Array:
    """The float64 array that a JSON value stands for, of one of these ranks (0, 1 or 2), in the machine's own order.

    Raises ValidationError with the path of each bad element, the first 20 of them.
    """
    if type(value) is list:
        return _from_lists(value, ranks)
    array = _from_base64(value, ranks) if is_packed(value) else _from_lists(value, ranks)
    if np.count_nonzero(np.isfinite(array)) < array.size:
        words = "is not a finite number" if is_packed(value) else BEYOND_FLOAT64
        raise _refusal(as_posted(value, place, words) for place in first_places(~np.isfinite(array)))
    return array


def first_places(wrong: np.ndarray[Any, np.dtype[np.bool_]]) -> Iterator[tuple[int, ...]]:
    """The indices of the first 20 elements that are true."""
    for flat in np.flatnonzero(wrong)[:MOST_COMPLAINTS].tolist():
        yield tuple(map(int, np.unravel_index(flat, wrong.shape)))


def is_packed(value: Any) -> bool:
    """Whether an array was given as base64."""
    return type(value) is dict


def as_posted(document: Any, path: Path, words: str) -> tuple[Path, str]:
    """A complaint about an element of an array. In base64 no path leads to one, so it is named in the words."""
    for depth, step in enumerate(path):
        if isinstance(document, dict) and isinstance(step, int):
            return (*path[:depth], "base64"), f"element {list(path[depth:])} {words}"
        document = document[step]
    return path, words


def _refusal(complaints: Iterator[tuple[Path, str]]) -> ValidationError:
    return ValidationError(as_messages(islice(complaints, MOST_COMPLAINTS)))


def _from_lists(value: Any, ranks: tuple[int, ...]) -> Array:
    if type(value) is np.ndarray:
        if value.ndim in ranks and value.size:
            return value
        value = value.tolist()  # for the words of the refusal
    rank = _rank(value)
    if rank in ranks and rank > 0:
        return _from_blocks(value, rank)
    wanted = " or ".join(_RANK_NAMES[r] for r in ranks)
    if rank in ranks and type(value) in _NUMBERS and _fits(value):
        return np.array(float(value))
    if rank not in ranks and rank < len(_RANK_NAMES) and _is_regular(value, rank):
        raise ValidationError(f"must be {wanted}, not {_RANK_NAMES[rank]}")
    raise _refusal(_complaints(value, rank if rank in ranks else _nearest(rank, ranks), wanted))


def _from_blocks(value: list[Any], rank: int) -> Array:
    """The array of a list or of a list of rows, tested and packed a block of entries at a time.

    A mistake behind a million right numbers costs no second look at those.
    """
    width = len(value[0]) if rank == 2 and type(value[0]) is list else 0
    step, packed = _entries_together(width), []
    for start in range(0, len(value) or 1, step):
        data = _packed(value[start : start + step], rank, width)
        if data is None:
            raise _refusal(_complaints_from(start, value, rank))
        packed.append(data)
    array = np.frombuffer(b"".join(packed))
    return array.reshape(-1, width) if rank == 2 else array


def _entries_together(width: int) -> int:
    """How many entries of a list are tested together; of a list of rows, which have so many numbers each."""
    return max(1, _BLOCK // width) if width else _BLOCK


def _nearest(rank: int, ranks: tuple[int, ...]) -> int:
    return min(ranks, key=lambda allowed: abs(allowed - rank))


def _rank(value: Any) -> int:
    """How deep the lists are nested, along the first elements."""
    rank = 0
    while type(value) is list and value:
        rank, value = rank + 1, value[0]
    return rank if type(value) is not list else rank + 1


def _is_regular(value: Any, rank: int) -> bool:
    """Whether the lists hold numbers only, at one depth, in rows of one length, and none is empty."""
    if rank == 0:
        return type(value) in _NUMBERS
    if rank == 1:
        return bool(value) and {*map(type, value)} <= _NUMBERS
    return (
        {*map(type, value)} == {list}
        and len({*map(len, value)}) == 1
        and bool(value[0])
        and {*map(type, chain.from_iterable(value))} <= _NUMBERS
    )


def _packed(block: list[Any], rank: int, width: int) -> bytes | None:
    """The float64 of some entries, or None where one of them is not right. Rows have so many numbers each."""
    if rank == 2:
        if {*map(type, block)} != _LISTS or not width or {*map(len, block)} != {width}:
            return None
        numbers = [*chain.from_iterable(block)]
    else:
        numbers = block
    if not numbers or not {*map(type, numbers)} <= _NUMBERS:
        return None
    try:
        data = struct.pack(f"{len(numbers)}d", *numbers)
    except (struct.error, OverflowError):  # an integer beyond float64
        return None
    try:
        finite = math.isfinite(sum(numbers))
    except OverflowError:  # as integers may do together
        finite = False
    return data if finite or np.isfinite(np.frombuffer(data)).all() else None


def _complaints(value: Any, rank: int, wanted: str) -> Iterator[tuple[Path, str]]:
    """(path, what is wrong) of every bad element, in their order."""
    if rank == 0:
        if type(value) not in _NUMBERS:
            yield (), f"must be {wanted}, not {kind(value)}"
        elif not _fits(value):
            yield (), BEYOND_FLOAT64
    elif type(value) is not list:
        yield (), f"must be {wanted}, not {kind(value)}"
    else:
        yield from _complaints_from(0, value, rank)


def _complaints_from(start: int, value: list[Any], rank: int) -> Iterator[tuple[Path, str]]:
    """The same of the entries of a list from the one at `start` on. Blocks that are right are passed over."""
    if not value:
        yield (), "must not be empty"
        return
    first = value[0]
    width = len(first) if type(first) is list else 0
    step = _entries_together(width)
    for block in range(start, len(value), step):
        if _packed(value[block : block + step], rank, width) is None:
            for index in range(block, min(block + step, len(value))):
                yield from _complaints_about(index, value[index], rank, first)


def _complaints_about(index: int, item: Any, rank: int, first: Any) -> Iterator[tuple[Path, str]]:
    for path, words in _complaints(item, rank - 1, _RANK_NAMES[rank - 1]):
        yield (index, *path), words
    if rank == 2 and type(first) is type(item) is list and 0 < len(item) != len(first) > 0:
        yield (index,), f"has {counted(len(item), 'number')} where row 0 has {len(first)}"


def _fits(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def _from_base64(value: dict[str, Any], ranks: tuple[int, ...]) -> Array:
    """The array of `{"shape": [2, 3], "base64": "..."}`: row-major little-endian float64."""
    if complaints := list(_complaints_about_keys(value, ranks)):
        raise ValidationError(as_messages(complaints))
    shape, text = tuple(value["shape"]), value["base64"]
    try:
        data = pybase64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValidationError({"base64": [f"is not base64: {error}"]}) from error
    needed = 8 * math.prod(shape)
    if len(data) != needed:
        words = f"holds {counted(len(data), 'byte')}; the shape {value['shape']} of float64 takes {needed}"
        raise ValidationError({"base64": [words]})
    return np.frombuffer(data, dtype="<f8").astype(np.float64, copy=False).reshape(shape)


def _complaints_about_keys(value: dict[str, Any], ranks: tuple[int, ...]) -> Iterator[tuple[Path, str]]:
    for key in islice((key for key in value if key not in {"shape", "base64"}), MOST_COMPLAINTS):
        yield (key,), f"unknown key {shown(key)}{did_you_mean(key, ('shape', 'base64'))}"
    for key in ("shape", "base64"):
        if key not in value:
            yield (key,), "is required in an array given as base64"
    if "base64" in value and type(value["base64"]) is not str:
        yield ("base64",), f"must be a string, not {kind(value['base64'])}"
    if "shape" in value:
        shape = value["shape"]
        if type(shape) is not list or len(shape) not in ranks:
            lengths = counted(ranks[0], "length") if len(ranks) == 1 else f"{' or '.join(map(str, ranks))} lengths"
            yield ("shape",), f"must be a list of {lengths}"
        elif not all(type(length) is int and length > 0 for length in shape):
            yield ("shape",), "must hold whole numbers greater than 0"


def as_base64(document: Any) -> Any:
    """A document with every NumPy array in it written as `{"shape": [...], "base64": "..."}`."""
    if isinstance(document, np.ndarray):
        text = pybase64.b64encode_as_string(np.ascontiguousarray(document, dtype="<f8").data)
        return {"shape": list(document.shape), "base64": text}
    if isinstance(document, dict):
        return {key: as_base64(value) for key, value in document.items()}
    if isinstance(document, list):
        return [as_base64(value) for value in document]
    return document
