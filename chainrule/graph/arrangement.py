"""Layer types that arrange numbers and compute nothing: reshape, flatten, transpose, slice, concatenate.

The derivative goes back the way that the numbers came. Axes are those of a sample.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.checkpoint import Checkpoint
from chainrule.functions.tables import Array
from chainrule.graph.maps import LinearMap, Local
from chainrule.graph.shapes import Misfit, Shape, axes_of, axis_of, check_axes, shape_words

Inputs = Sequence[Array]
Parameters = Mapping[str, Array]
Options = Mapping[str, Any]
Shapes = Mapping[str, Shape]


def _moved(a: Array, back: Callable[[Array], Array]) -> Local:
    return Local(np.ascontiguousarray(a), (LinearMap(back),))


def reshape(inputs: Inputs, _parameters: Parameters, options: Options, _checkpoint: Checkpoint) -> Local:
    """Each sample in another shape, its numbers in the same order."""
    (x,) = inputs
    return _moved(x.reshape(len(x), *options["shape"]), lambda dE_da: dE_da.reshape(len(dE_da), *x.shape[1:]))


def reshape_shape(shapes: Sequence[Shape], _parameters: Shapes, options: Options) -> Shape:
    """The given shape, with its -1 filled in."""
    (shape,), wanted = shapes, tuple(options["shape"])
    size, known = math.prod(shape), math.prod(n for n in wanted if n != -1)
    if wanted.count(-1) > 1:
        raise Misfit(("shape",), "must have at most one -1")
    filled = tuple(size // known if n == -1 and known else n for n in wanted)
    if math.prod(filled) != size:
        words = f"is {shape_words(wanted)}, but a sample has {size} numbers ({shape_words(shape)})"
        raise Misfit(("shape",), words)
    return check_axes(filled, ("shape",))


def flatten(inputs: Inputs, _parameters: Parameters, _options: Options, checkpoint: Checkpoint) -> Local:
    """Each sample as one list."""
    return reshape(inputs, {}, {"shape": (inputs[0][0].size,)}, checkpoint)


def flatten_shape(shapes: Sequence[Shape], _parameters: Shapes, _options: Options) -> Shape:
    """All numbers of a sample along one axis."""
    return (math.prod(shapes[0]),)


def transpose(inputs: Inputs, _parameters: Parameters, options: Options, _checkpoint: Checkpoint) -> Local:
    """The axes of each sample in another order."""
    (x,) = inputs
    order = (0, *(axis % (x.ndim - 1) + 1 for axis in options["axes"]))
    return _moved(x.transpose(order), lambda dE_da: dE_da.transpose(np.argsort(order)))


def transpose_shape(shapes: Sequence[Shape], _parameters: Shapes, options: Options) -> Shape:
    """The shape in the order of the axes; each is named once."""
    (shape,) = shapes
    axes = axes_of(shape, options["axes"], ("axes",))
    if len(axes) != len(shape):
        raise Misfit(("axes",), f"names {len(axes)} axes, but a sample has {len(shape)} ({shape_words(shape)})")
    return tuple(shape[axis] for axis in axes)


def slice_(inputs: Inputs, _parameters: Parameters, options: Options, _checkpoint: Checkpoint) -> Local:
    """A part of each sample along one axis: one entry, or those from one to another."""
    (x,) = inputs
    where = (slice(None),) * (options["axis"] % (x.ndim - 1) + 1) + (_part(options),)

    def back(dE_da: Array) -> Array:
        dE_dx = np.zeros((len(dE_da), *x.shape[1:]))
        dE_dx[where] = dE_da
        return dE_dx

    return _moved(x[where], back)


def _part(options: Options) -> int | slice:
    return int(options["index"]) if "index" in options else slice(options.get("from"), options.get("to"))


def slice_shape(shapes: Sequence[Shape], _parameters: Shapes, options: Options) -> Shape:
    """With `index` the axis goes, else it is cut."""
    (shape,) = shapes
    axis = axis_of(shape, options["axis"], ("axis",))
    n, others = shape[axis], (shape[:axis], shape[axis + 1 :])
    if "index" not in options:
        left = len(range(*slice(options.get("from"), options.get("to")).indices(n)))
        if not left:
            raise Misfit((), f"takes nothing: axis {options['axis']} has {n} entries")
        return (*others[0], left, *others[1])
    if "from" in options or "to" in options:
        raise Misfit(("index",), "must not stand beside from and to: it takes one entry, they take a range")
    if not -n <= options["index"] < n:
        words = f"is {options['index']}, but axis {options['axis']} has the entries 0 to {n - 1}"
        raise Misfit(("index",), words)
    return (*others[0], *others[1])


def concatenate(inputs: Inputs, _parameters: Parameters, options: Options, _checkpoint: Checkpoint) -> Local:
    """The inputs one after the other along an axis."""
    samples = max(map(len, inputs))
    whole = [np.broadcast_to(x, (samples, *x.shape[1:])) for x in inputs]
    axis = options.get("axis", -1) % (inputs[0].ndim - 1) + 1
    edges = np.cumsum([0, *(x.shape[axis] for x in inputs)]).tolist()

    def by(first: int, last: int) -> LinearMap:
        return LinearMap(lambda dE_da: dE_da[(slice(None),) * axis + (slice(first, last),)])

    return Local(np.concatenate(whole, axis=axis), tuple(map(by, edges, edges[1:])))


def concatenate_shape(shapes: Sequence[Shape], _parameters: Shapes, options: Options) -> Shape:
    """The lengths along the axis add up; all other axes are equal."""
    first = shapes[0]
    axis = axis_of(first, options.get("axis", -1), ("axis",))
    for k, shape in enumerate(shapes):
        if (*shape[:axis], *shape[axis + 1 :]) != (*first[:axis], *first[axis + 1 :]) or len(shape) != len(first):
            words = f"has the shape {shape_words(shape)}, but the first input has {shape_words(first)}"
            raise Misfit(("inputs", k), f"{words}: they may differ along axis {axis} only")
    return (*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1 :])
