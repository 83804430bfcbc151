"""Parses large ordinary bodies, their lists of numbers directly into float64. The only module that imports simdjson.

simdjson takes a third of the time of a parser that creates a Python object for each number, and it checks the types,
too. It silently flattens nested lists, so this module counts all lists. It leaves unexpected documents to the codec,
which parses them more slowly and says what is wrong.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from chainrule.functions.tables import Array

_INSTALLED = find_spec("simdjson") is not None  # some platforms have no build of it
if _INSTALLED:
    import simdjson

_MOST_MEMBERS = 64  # of an object: simdjson searches linearly for each member, and no contract has so many
_LONGEST = 4096  # entries of a list that is not an array: one activation for each unit


class Unusual(ValueError):
    """The document needs the slow parser, whether it is valid or not."""


def read(body: bytes, arrays: frozenset[str], lists: int) -> Any:
    """The document, with NumPy arrays for the members named in `arrays`. Raises Unusual.

    `lists` is the number of opening square brackets in the body, in strings or not. If a key is given twice, the last
    value is kept, so the caller has to count the keys.
    """
    if not _INSTALLED or body[:1] != b"{":  # simdjson skips a byte order mark, which is not JSON
        raise Unusual
    reader = _Reader(arrays)
    try:
        document = reader.read(simdjson.Parser().parse(body))
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        raise Unusual from error
    if reader.lists != lists:  # [1, [2]] has the numbers of [1, 2]
        raise Unusual
    return document


@dataclass
class _Reader:
    arrays: frozenset[str]
    lists: int = 0  # the number of lists read so far

    def read(self, value: Any, name: str = "") -> Any:
        """A value with everything in it; `name` is the key of the member."""
        kind = type(value)
        if kind is simdjson.Object:
            if len(value) > _MOST_MEMBERS:
                raise Unusual
            return {key: self.read(value[key], key) for key in value}
        if kind is not simdjson.Array:
            return value
        if name in self.arrays:
            return self._array(value)
        if len(value) > _LONGEST:
            raise Unusual
        self.lists += 1
        return [self.read(inner) for inner in value]

    def _array(self, value: Any) -> Array:
        numbers = np.frombuffer(value.as_buffer(of_type="d"))  # raises an exception if there is anything but numbers
        if not numbers.size:  # the shape of [[], []] is lost
            raise Unusual
        self.lists += 1
        if len(value) and type(value[0]) is not simdjson.Array:
            return numbers
        lengths = {*map(len, value)}
        if len(lengths) != 1:
            raise Unusual
        self.lists += len(value)
        return numbers.reshape(len(value), lengths.pop())
