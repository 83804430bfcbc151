"""Large bodies of ordinary requests: their lists of numbers straight into float64. The only module that knows simdjson.

simdjson takes a third of the time of any parser that makes a Python object of each number, and no test of their types
is left to do. It flattens what is nested in a list without a word, so every list is counted. Whatever is not as
expected is left to the codec, which reads it the slow way, and says what is wrong.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from chainrule.functions.tables import Array

_IS_THERE = find_spec("simdjson") is not None  # there is no build of it for every machine
if _IS_THERE:
    import simdjson

_MOST_MEMBERS = 64  # of an object: each is found by going through all before it, and no contract has as many
_LONGEST = 4096  # parts of any list that is no array: one activation for each unit


class Unusual(ValueError):
    """A document that has to be read in another way, right or wrong."""


def read(body: bytes, arrays: frozenset[str], lists: int) -> Any:
    """The document, with arrays for the members of these names. It has `lists` brackets that open, in strings or not.

    Of a key that is given twice the last is kept: count them. Raises Unusual.
    """
    if not _IS_THERE or body[:1] != b"{":  # simdjson passes over a byte order mark, which is no JSON
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
    lists: int = 0  # that were met

    def read(self, value: Any, name: str = "") -> Any:
        """A value, and everything within it."""
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
        numbers = np.frombuffer(value.as_buffer(of_type="d"))  # refuses all but numbers
        if not numbers.size:  # [[], []] has two rows, and no array to tell of it
            raise Unusual
        self.lists += 1
        if len(value) and type(value[0]) is not simdjson.Array:
            return numbers
        lengths = {*map(len, value)}
        if len(lengths) != 1:
            raise Unusual
        self.lists += len(value)
        return numbers.reshape(len(value), lengths.pop())
