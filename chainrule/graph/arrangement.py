"""Layer types that arrange numbers and compute nothing: reshape, flatten, transpose, slice, concatenate.

The derivative goes back the way that the numbers came. Axes are those of a sample.
"""

import math
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from chainrule.checkpoint import Checkpoint
from chainrule.functions.tables import Array
from chainrule.graph.points import HasParameters, Point
from chainrule.graph.shapes import Misfit, Options, Shape, Shapes, axes_of, axis_of, check_axes, shape_words


def reshape(layer: HasParameters, inputs: Sequence[Array], _checkpoint: Checkpoint) -> Array:
    """Each sample in another shape, its numbers in the same order."""
    (x,), shape = inputs, layer.options["shape"]
    return x.reshape(len(x), *reshape_shape((x.shape[1:],), {}, {"shape": shape}))


def flatten(_layer: HasParameters, inputs: Sequence[Array], _checkpoint: Checkpoint) -> Array:
    """Each sample as one list."""
    return inputs[0].reshape(len(inputs[0]), -1)


def reshaped_by_input(at: Point, _position: int, dE_da: Array, _checkpoint: Checkpoint) -> Array:
    """dE/da in the shape of the input."""
    return dE_da.reshape(len(dE_da), *at.inputs[0].shape[1:])


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


def flatten_shape(shapes: Sequence[Shape], _parameters: Shapes, _options: Options) -> Shape:
    """All numbers of a sample along one axis."""
    return (math.prod(shapes[0]),)


def transpose(layer: HasParameters, inputs: Sequence[Array], _checkpoint: Checkpoint) -> Array:
    """The axes of each sample in another order."""
    return np.ascontiguousarray(inputs[0].transpose(_order(layer, inputs[0])))


def transpose_by_input(at: Point, _position: int, dE_da: Array, _checkpoint: Checkpoint) -> Array:
    """The axes in their order again."""
    return dE_da.transpose(np.argsort(_order(at.layer, at.inputs[0])))


def _order(layer: HasParameters, x: Array) -> tuple[int, ...]:
    return 0, *(axis % (x.ndim - 1) + 1 for axis in layer.options["axes"])


def transpose_shape(shapes: Sequence[Shape], _parameters: Shapes, options: Options) -> Shape:
    """The shape in the order of the axes; each is named once."""
    (shape,) = shapes
    axes = axes_of(shape, options["axes"], ("axes",))
    if len(axes) != len(shape):
        raise Misfit(("axes",), f"names {len(axes)} axes, but a sample has {len(shape)} ({shape_words(shape)})")
    return tuple(shape[axis] for axis in axes)


def slice_(layer: HasParameters, inputs: Sequence[Array], _checkpoint: Checkpoint) -> Array:
    """A part of each sample along one axis: one entry, or those from one to another."""
    return np.ascontiguousarray(inputs[0][_where(layer, inputs[0])])


def slice_by_input(at: Point, _position: int, dE_da: Array, _checkpoint: Checkpoint) -> Array:
    """dE/da at the part that was taken, 0 elsewhere."""
    dE_dx = np.zeros((len(dE_da), *at.inputs[0].shape[1:]))
    dE_dx[_where(at.layer, at.inputs[0])] = dE_da
    return dE_dx


def _where(layer: HasParameters, x: Array) -> tuple[int | slice, ...]:
    options = layer.options
    part = int(options["index"]) if "index" in options else slice(options.get("from"), options.get("to"))
    before: int = options["axis"] % (x.ndim - 1) + 1
    return (slice(None),) * before + (part,)


def slice_shape(shapes: Sequence[Shape], _parameters: Shapes, options: Options) -> Shape:
    """With `index` the axis goes, else it is cut."""
    (shape,) = shapes
    axis = axis_of(shape, options["axis"], ("axis",))
    n, before, after = shape[axis], shape[:axis], shape[axis + 1 :]
    if "index" not in options:
        left = len(range(*slice(options.get("from"), options.get("to")).indices(n)))
        if not left:
            raise Misfit((), f"takes nothing: axis {options['axis']} has {n} entries")
        return (*before, left, *after)
    if "from" in options or "to" in options:
        raise Misfit(("index",), "must not stand beside from and to: it takes one entry, they take a range")
    if not -n <= options["index"] < n:
        words = f"is {options['index']}, but axis {options['axis']} has the entries 0 to {n - 1}"
        raise Misfit(("index",), words)
    return (*before, *after)


def concatenate(layer: HasParameters, inputs: Sequence[Array], _checkpoint: Checkpoint) -> Array:
    """The inputs one after the other along an axis."""
    samples = max(map(len, inputs))
    whole = [np.broadcast_to(x, (samples, *x.shape[1:])) for x in inputs]
    return np.concatenate(whole, axis=_axis(layer, inputs[0]))


def concatenate_by_input(at: Point, position: int, dE_da: Array, _checkpoint: Checkpoint) -> Array:
    """The part of dE/da that stands where the input stood."""
    axis = _axis(at.layer, at.inputs[0])
    edges = [0, *accumulate(x.shape[axis] for x in at.inputs)]
    return dE_da[(slice(None),) * axis + (slice(*edges[position : position + 2]),)]


def _axis(layer: HasParameters, x: Array) -> int:
    axis: int = layer.options["axis"] % (x.ndim - 1) + 1
    return axis


def concatenate_shape(shapes: Sequence[Shape], _parameters: Shapes, options: Options) -> Shape:
    """The lengths along the axis add up; all other axes are equal."""
    first = shapes[0]
    axis = axis_of(first, options["axis"], ("axis",))
    for k, shape in enumerate(shapes):
        if (*shape[:axis], *shape[axis + 1 :]) != (*first[:axis], *first[axis + 1 :]) or len(shape) != len(first):
            words = f"has the shape {shape_words(shape)}, but the first input has {shape_words(first)}"
            raise Misfit(("inputs", k), f"{words}: they may differ along axis {axis} only")
    return (*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1 :])
