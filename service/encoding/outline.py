"""Estimates for a JSON text without parsing it: its depth, and the memory that decoding it takes.

They come from counts of brackets, quotes, commas and colons, with vectorized operations on slices of the text. So they
cost about a nanosecond a byte, for any text.
"""

from collections.abc import Iterable, Iterator
from functools import cached_property, partial
from typing import Any

import numpy as np

Marks = np.ndarray[Any, np.dtype[np.uint8]]
Positions = np.ndarray[Any, np.dtype[np.intp]]

BRACKETS = b"[]{}"
_PAIRS = (b"[]", b"{}")
_MARKS = b'[]{}":\\'  # without commas, because there are as many as numbers
_ALL_BUT = {kept: bytes(set(range(256)) - set(kept)) for kept in (*_PAIRS, BRACKETS, _MARKS)}
_QUOTE, _BACKSLASH, _COMMA, _NINE = b'"\\,9'  # all marks except the quote have higher codes than the nine
_LARGE = 4096  # bytes; below, one call of NumPy takes longer than bytes.count
_LONG = 24 * 1024  # bytes; below, the calls of NumPy that find marks take longer than bytes.translate
_SLICE = 256 * 1024  # bytes processed together: they and their positions fit into the processor's cache
_SCANNED = 64 * 1024  # bytes processed together in the scan for marks: they take twice as much memory
_ORDINARY_DEPTH = 8  # more than any request needs; only beyond it are brackets in strings excluded
_ONE_BYTE, _TWO_BYTES = 0xC3, 0xEF  # the highest bytes of UTF-8 in a text whose characters take so many in Python

# Bytes of memory, each the most that orjson, simdjson or the standard library was measured to take, as the resident
# memory of a process (tests/decoding.py). For a number of 19 bytes orjson takes 68: its copy, a float of 24, 8 in a
# list, a tree. simdjson takes 44 for it, array included, of which tracemalloc sees 8.
_PER_VALUE = 60
_PER_LIST = 100  # in addition to its values
_PER_OBJECT = 160  # in addition to its members
_PER_MEMBER = 120
_PER_STRING = 50
_PER_BYTE = 4  # a parser's copies of the text, and the Python string
_FIXED = 4096
_WORDS = _FIXED + 4096  # for the keys and names of an ordinary request


def memory_of_numbers(size: int, numbers: int, lists: int) -> int:
    """The bytes that decoding takes for a body of `size` bytes with so many numbers and lists, and some words.

    Each number may be a byte longer, such as 0.0123.
    """
    return _WORDS + _PER_BYTE * (size + numbers) + _PER_VALUE * (numbers + lists) + _PER_LIST * lists


class Outline:
    """The counts of a JSON text and the estimates from them."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self._marks = marks = _marks_in(body)
        count = marks.count if len(marks) < _LARGE else partial(_count, np.frombuffer(marks, np.uint8))
        self.lists = count(b"[")  # an upper bound, like all counts: marks within strings are counted, too
        self.objects = count(b"{")
        self.strings = count(b'"') // 2  # keys included
        self.colons = count(b":")  # members of objects
        self.values = _commas(body) + self.lists + self.objects + 1  # one in each, one after each comma
        self._backslashes = count(b"\\")

    @cached_property
    def memory(self) -> int:
        """An upper bound of the bytes that decoding takes beside the body: parser, Python objects, arrays.

        It is at most three times the real memory for an ordinary request.
        """
        text = len(self.body)
        widest = self._widest()
        refusal = 0 if widest == 1 else 2 * text * widest  # a sentence with line and column has the text decoded
        wide = 4 if self._backslashes and b"\\u" in self.body else widest
        strings = 0 if wide == 1 else 2 * wide * self._string_bytes()
        return (
            _FIXED
            + _PER_BYTE * text
            + refusal
            + strings
            + _PER_VALUE * self.values
            + _PER_LIST * self.lists
            + _PER_OBJECT * self.objects
            + _PER_MEMBER * self.colons
            + _PER_STRING * self.strings
        )

    @property
    def most_depth(self) -> int:
        """An upper bound of `depth`, for less work."""
        return self.lists if self.lists > self.objects else self.objects

    @cached_property
    def depth(self) -> int:
        """The nesting depth of lists or of objects, whichever is deeper."""
        brackets = self._marks.translate(None, delete=_ALL_BUT[BRACKETS])
        deepest = max([_deepest(brackets, pair) for pair in _PAIRS])
        if deepest <= _ORDINARY_DEPTH:
            return deepest
        return max(_deepest_outside_strings(self.body, pair) for pair in _PAIRS)

    def _widest(self) -> int:
        """Bytes that Python takes for each character of the decoded text: 1, 2 or 4."""
        text = self.body
        if text.isascii():
            return 1
        highest = max(text) if len(text) < _LARGE else int(np.frombuffer(text, np.uint8).max())
        return 1 if highest <= _ONE_BYTE else 2 if highest <= _TWO_BYTES else 4

    def _string_bytes(self) -> int:
        """The number of bytes within strings."""
        return sum(inside for _, _, inside in slices_outside_strings(self.body, b""))


def _count(marks: Marks, mark: bytes) -> int:
    return int(np.count_nonzero(marks == mark[0]))


def _marks_in(body: bytes) -> bytes:
    """The marks of a text in their order."""
    if len(body) < _LONG:
        return _only_marks(body)
    text, found, mostly_letters = np.frombuffer(body, np.uint8), [], False
    for at in range(0, len(text), _SCANNED):
        part = text[at : at + _SCANNED]
        if not mostly_letters:  # no byte of a number looks like a mark; this takes half the time of translate
            likely = part > _NINE
            likely |= part == _QUOTE
            mostly_letters = int(np.count_nonzero(likely)) > len(part) // 8
            part = part if mostly_letters else part[likely]
        found.append(_only_marks(part.tobytes()))
    return b"".join(found)


def _only_marks(text: bytes) -> bytes:
    return text.translate(None, delete=_ALL_BUT[_MARKS])


def slices_outside_strings(body: bytes, wanted: bytes) -> Iterator[tuple[Marks, Positions, int]]:
    """For each slice of a JSON text: the wanted bytes outside of strings, their positions, the bytes within strings.

    After a backslash outside of a string the result is wrong. This does not matter: every parser stops there.
    """
    is_wanted = np.zeros(256, bool)
    is_wanted[list(wanted)] = True
    before, backslashes = 0, 0  # quotes so far, and backslashes at the end of the slice before
    for start in range(0, len(body), _SLICE):
        text = np.frombuffer(body, np.uint8, min(_SLICE, len(body) - start), start)
        quotes, backslashes = _quotes(text, backslashes)
        found = np.flatnonzero(is_wanted[text])
        found = found[(np.searchsorted(quotes, found) + before) % 2 == 0]
        yield text[found], found + start, _inside(quotes, before % 2 == 1, len(text))
        before += len(quotes)


def _quotes(text: Marks, carried: int) -> tuple[Positions, int]:
    """The positions of string delimiters, and the number of backslashes at the end; `carried` are those in front."""
    quotes = np.flatnonzero(text == _QUOTE)
    before = np.where(quotes > 0, text[quotes - 1] == _BACKSLASH, carried > 0)
    last = 0
    if text[-1] == _BACKSLASH:
        others = np.flatnonzero(text != _BACKSLASH)
        last = len(text) - 1 - int(others[-1]) if len(others) else len(text) + carried
    if not before.any():
        return quotes, last
    return quotes[_run_lengths(text, quotes, before, carried) % 2 == 0], last


def _run_lengths(text: Marks, quotes: Positions, before: Marks, carried: int) -> Positions:
    """How many backslashes precede each quote; `before` says whether the byte before a quote is a backslash."""
    backslashes = np.flatnonzero(text == _BACKSLASH)
    starts = backslashes[np.diff(backslashes, prepend=-2) != 1]
    if not len(starts):
        return np.where(quotes == 0, carried, 0)
    run = np.searchsorted(starts, quotes) - 1
    lengths = np.where(before & (run >= 0), quotes - starts[run] + np.where(starts[run] == 0, carried, 0), 0)
    lengths[quotes == 0] = carried
    return lengths


def _inside(quotes: Positions, begins_inside: bool, size: int) -> int:
    """How many of `size` bytes are within strings."""
    edges = np.concatenate([[0] if begins_inside else [], quotes, [size]])
    return int(np.diff(edges)[::2].sum())


def _commas(body: bytes) -> int:
    if len(body) < _LARGE:
        return body.count(b",")
    text = np.frombuffer(body, np.uint8)  # of many commas, in a quarter of the time of bytes.count
    return sum([int(np.count_nonzero(text[at : at + _SLICE] == _COMMA)) for at in range(0, len(text), _SLICE)])


def nesting(body: bytes) -> int:
    """The nesting depth of a JSON text, lists and objects counted together."""
    return _deepest_outside_strings(body, BRACKETS)


def _deepest(brackets: bytes, pair: bytes) -> int:
    """The largest number of brackets of a pair that are open at a time."""
    if len(brackets) < _LARGE:  # remove the innermost pairs repeatedly: a tenth of the time of the general way
        left = brackets.translate(None, delete=_ALL_BUT[pair])
        for height in range(_ORDINARY_DEPTH + 1):
            if not left:
                return height
            left = left.replace(pair, b"")
    slices = (brackets[start : start + _SLICE] for start in range(0, len(brackets), _SLICE))
    return _highest((np.frombuffer(part, np.uint8) for part in slices), pair)


def _deepest_outside_strings(body: bytes, kinds: bytes) -> int:
    return _highest((brackets for brackets, _, _ in slices_outside_strings(body, kinds)), kinds)


def _highest(slices: Iterable[Marks], kinds: bytes) -> int:
    """The largest number of brackets of these kinds that are open at a time, over all slices of a text."""
    steps = np.zeros(256, np.int8)
    steps[list(kinds)] = [1 if kind in b"[{" else -1 for kind in kinds]
    deepest = depth = 0
    for brackets in slices:
        heights = steps[brackets].cumsum(dtype=np.int32)
        deepest = max(deepest, depth + int(heights.max(initial=0)))
        depth += int(heights[-1]) if len(heights) else 0
    return deepest
