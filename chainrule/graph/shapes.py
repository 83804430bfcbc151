"""Shapes of one sample, and the sentences about shapes that do not fit."""

from collections.abc import Mapping, Sequence
from typing import Any

Shape = tuple[int, ...]  # of one sample, without the axis of the samples
Shapes = Mapping[str, Shape]  # of parameters, by name
Options = Mapping[str, Any]  # of a layer, by name

MOST_AXES = 6  # of any array, the axis of the samples included


class Misfit(ValueError):
    """Something in a layer that does not fit: the path to it within the layer, and the end of a sentence about it."""

    def __init__(self, path: Sequence[str | int], words: str) -> None:
        super().__init__(words)
        self.path, self.words = tuple(path), words


def shape_words(shape: Sequence[int]) -> str:
    """A shape in words: "3 × 4"; "a single number" if it has no axes."""
    return " × ".join(map(str, shape)) if len(shape) else "a single number"


def axis_of(shape: Shape, axis: int, path: Sequence[str | int]) -> int:
    """The position of an axis of a sample, counted from 0, for one that may be counted from the end.

    Raises Misfit if there is no such axis.
    """
    if not -len(shape) <= axis < len(shape):
        axes = f"its axes are numbered from 0 to {len(shape) - 1}" if shape else "it has no axes"
        raise Misfit(path, f"is {axis}, but a sample has the shape {shape_words(shape)}: {axes}")
    return axis % len(shape)


def axes_of(shape: Shape, axes: Sequence[int], path: Sequence[str | int]) -> tuple[int, ...]:
    """The positions of some axes, each at most once. Raises Misfit."""
    found: list[int] = []
    for at, axis in enumerate(axes):
        position = axis_of(shape, axis, (*path, at))
        if position in found:
            raise Misfit((*path, at), f"is {axis}, which names the same axis as an entry before it")
        found.append(position)
    return tuple(found)


def check_axes(shape: Shape, path: Sequence[str | int] = ()) -> Shape:
    """Return a shape if no array of it has more than 6 axes. Raises Misfit."""
    if len(shape) + 1 > MOST_AXES:
        raise Misfit(path, f"would make arrays of {len(shape) + 1} axes; at most {MOST_AXES} are allowed")
    return shape
