"""Finds the path to a position in a JSON text, and keys that are given twice, without parsing the text.

The standard library's parser could find both, but takes up to half a microsecond for each value.
"""

from collections.abc import Callable
from functools import cached_property

import numpy as np

from schemas.fields.strict import Path
from service.encoding.outline import Marks, Positions, slices_outside_strings

_OPENING, _CLOSING, _LIST = b"[{", b"]}", b"["[0]
_COMMA, _COLON = b",:"

ReadString = Callable[[bytes], str]  # reads a JSON string, quotes included


class Structure:
    """The brackets, commas and colons outside of the strings of a JSON text, or of the front of a JSON text."""

    def __init__(self, body: bytes, read_string: ReadString) -> None:
        self._body, self._read_string = body, read_string
        slices = [(marks, at) for marks, at, _ in slices_outside_strings(body, b"[]{},:")]
        self._marks: Marks = np.concatenate([marks for marks, _ in slices] or [np.zeros(0, np.uint8)])
        self._at: Positions = np.concatenate([at for _, at in slices] or [np.zeros(0, np.intp)])
        self._opens = np.isin(self._marks, list(_OPENING))
        steps = self._opens.astype(np.int8) - np.isin(self._marks, list(_CLOSING))
        self._depths = steps.cumsum(dtype=np.int32)

    @cached_property
    def colons(self) -> Positions:
        """The indices of the marks that are colons: one for each member of an object."""
        return np.flatnonzero(self._marks == _COLON)

    def path_to(self, place: int) -> Path:
        """The path to the value that contains the byte at `place`."""
        front = int(np.searchsorted(self._at, place))
        depth = int(self._depths[front - 1]) if front else 0
        return tuple(self._step(level, front) for level in range(1, depth + 1))

    def key_twice(self) -> tuple[Path, str] | None:
        """The first of the outermost objects that have a key twice, as a path, and that key; None if there is none."""
        objects = self._objects()
        seen: dict[tuple[int, str], int] = {}
        found = []
        for colon, opening in zip(self.colons.tolist(), objects.tolist(), strict=True):
            key = self._key(colon)
            if (opening, key) in seen:
                found.append((int(self._depths[opening]), opening, key))
            seen[opening, key] = colon
        if not found:
            return None
        _, opening, key = min(found, key=lambda twice: twice[:2])
        return self.path_to(int(self._at[opening])), key

    def _objects(self) -> Positions:
        """For each colon, the index of the mark that opens its object."""
        objects = np.zeros(len(self.colons), np.intp)
        depths = self._depths[self.colons]
        for depth in np.unique(depths):
            opening = np.flatnonzero(self._opens & (self._depths == depth))
            here = depths == depth
            objects[here] = opening[np.searchsorted(opening, self.colons[here]) - 1]
        return objects

    def _step(self, level: int, front: int) -> str | int:
        """One step of a path: the key or index, in the list or object open at a level, that leads to mark `front`."""
        here = self._depths[:front] == level
        opening = int(np.flatnonzero(here & self._opens[:front])[-1])
        inside = np.flatnonzero(here[opening:]) + opening
        if self._marks[opening] == _LIST:
            return int(np.count_nonzero(self._marks[inside] == _COMMA))
        return self._key(int(inside[self._marks[inside] == _COLON][-1]))

    def _key(self, colon: int) -> str:
        """The key in front of a colon; it begins right behind the previous mark."""
        return self._read_string(self._body[self._at[colon - 1] + 1 : self._at[colon]])
