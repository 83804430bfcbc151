"""Layer types that combine or scale numbers: add, multiply, scale, dropout; mean, sum, max.

add         a = Σ_k c_k · x_k
multiply    a = Π_k x_k
scale       a = factor · x
dropout     a = x · mask / (1 - rate)
mean        a = Σ x / n                 over some axes of each sample
sum         a = Σ x
max         a = max x                   of equal numbers, the first has the derivative
"""

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from chainrule.checkpoint import Checkpoint
from chainrule.functions.tables import Array
from chainrule.graph.points import HasParameters, Point
from chainrule.graph.shapes import Misfit, Options, Shape, Shapes, axes_of, shape_words


def unchanged(_layer: HasParameters, inputs: Sequence[Array], _checkpoint: Checkpoint) -> Array:
    """a = x."""
    return inputs[0]


def unchanged_by_input(_at: Point, _position: int, dE_da: Array, _checkpoint: Checkpoint) -> Array:
    """dE/dx = dE/da."""
    return dE_da


def add(layer: HasParameters, inputs: Sequence[Array], _checkpoint: Checkpoint) -> Array:
    """a = Σ_k c_k · x_k."""
    coefficients = layer.options.get("coefficients")
    if coefficients is None:
        return reduce(np.add, inputs)
    return reduce(np.add, (c * x for c, x in zip(coefficients, inputs, strict=True)))


def add_by_input(at: Point, position: int, dE_da: Array, _checkpoint: Checkpoint) -> Array:
    """dE/dx_k = c_k · dE/da."""
    coefficients = at.layer.options.get("coefficients")
    return dE_da if coefficients is None else coefficients[position] * dE_da


def multiply(_layer: HasParameters, inputs: Sequence[Array], _checkpoint: Checkpoint) -> Array:
    """a = Π_k x_k."""
    return reduce(np.multiply, inputs)


def multiply_by_input(at: Point, position: int, dE_da: Array, _checkpoint: Checkpoint) -> Array:
    """dE/dx_k = dE/da times the product of all other inputs."""
    return reduce(np.multiply, [*at.inputs[:position], *at.inputs[position + 1 :]], dE_da)


def same_shape(shapes: Sequence[Shape], _parameters: Shapes, options: Options) -> Shape:
    """The inputs have one shape, which is that of the output."""
    for k, shape in enumerate(shapes[1:], start=1):
        if shape != shapes[0]:
            words = f"has the shape {shape_words(shape)}, but the first input has {shape_words(shapes[0])}"
            raise Misfit(("inputs", k), words)
    coefficients = options.get("coefficients")
    if coefficients is not None and len(coefficients) != len(shapes):
        words = f"has {len(coefficients)} numbers, but the layer has {len(shapes)} inputs: one for each is needed"
        raise Misfit(("coefficients",), words)
    return shapes[0]


def scale(layer: HasParameters, inputs: Sequence[Array], _checkpoint: Checkpoint) -> Array:
    """a = factor · x."""
    a: Array = layer.options["factor"] * inputs[0]
    return a


def scale_by_input(at: Point, _position: int, dE_da: Array, _checkpoint: Checkpoint) -> Array:
    """dE/dx = factor · dE/da."""
    dE_dx: Array = at.layer.options["factor"] * dE_da
    return dE_dx


def dropout(layer: HasParameters, inputs: Sequence[Array], _checkpoint: Checkpoint) -> Array:
    """a = x · mask / (1 - rate), for a given mask of 0 and 1; without a mask the identity, as outside of training."""
    a: Array = inputs[0] * _kept(layer)
    return a


def dropout_by_input(at: Point, _position: int, dE_da: Array, _checkpoint: Checkpoint) -> Array:
    """dE/dx = dE/da · mask / (1 - rate)."""
    dE_dx: Array = dE_da * _kept(at.layer)
    return dE_dx


def _kept(layer: HasParameters) -> Any:
    """The factor of every number of a dropout layer."""
    mask = layer.options.get("mask")
    return 1.0 if mask is None else mask / (1.0 - layer.options["rate"])


def dropout_shape(shapes: Sequence[Shape], _parameters: Shapes, options: Options) -> Shape:
    """The mask has the shape of a sample, or of the batch."""
    (shape,), mask = shapes, options.get("mask")
    if mask is not None and mask.shape != shape and mask.shape[1:] != shape:
        words = f"has the shape {shape_words(mask.shape)}, but a sample has {shape_words(shape)}"
        raise Misfit(("mask",), f"{words}: it must have that shape, or that of the batch")
    return shape


def mean(layer: HasParameters, inputs: Sequence[Array], _checkpoint: Checkpoint) -> Array:
    """The mean over some axes."""
    a: Array = inputs[0].mean(axis=_axes(layer, inputs[0]), keepdims=_keeps(layer))
    return a


def mean_by_input(at: Point, position: int, dE_da: Array, checkpoint: Checkpoint) -> Array:
    """Every number has the share 1/n of the derivative."""
    return sum_by_input(at, position, dE_da / (at.inputs[0].size // at.a.size), checkpoint)


def sum_(layer: HasParameters, inputs: Sequence[Array], _checkpoint: Checkpoint) -> Array:
    """The sum over some axes."""
    a: Array = inputs[0].sum(axis=_axes(layer, inputs[0]), keepdims=_keeps(layer))
    return a


def sum_by_input(at: Point, _position: int, dE_da: Array, _checkpoint: Checkpoint) -> Array:
    """Every number has the derivative of the sum."""
    return np.broadcast_to(_with_axes(at, dE_da), (len(dE_da), *at.inputs[0].shape[1:]))


def max_(layer: HasParameters, inputs: Sequence[Array], _checkpoint: Checkpoint) -> Array:
    """The maximum over some axes."""
    a: Array = inputs[0].max(axis=_axes(layer, inputs[0]), keepdims=_keeps(layer))
    return a


def max_by_input(at: Point, _position: int, dE_da: Array, _checkpoint: Checkpoint) -> Array:
    """The first of the largest numbers, in the order of the array, has the derivative; all others have 0."""
    (x,), axes = at.inputs, sorted(_axes(at.layer, at.inputs[0]))
    ends = range(x.ndim - len(axes), x.ndim)
    moved = np.moveaxis(x, axes, ends)
    rows = moved.reshape(*moved.shape[: ends[0]], -1)
    first = np.expand_dims(rows.argmax(axis=-1), -1)
    dE_drows = np.zeros_like(rows)
    np.put_along_axis(dE_drows, first, np.moveaxis(_with_axes(at, dE_da), axes, ends).reshape(first.shape), axis=-1)
    return np.moveaxis(dE_drows.reshape(moved.shape), ends, axes)


def _axes(layer: HasParameters, x: Array) -> tuple[int, ...]:
    """The axes of an array, the axis of the samples included."""
    return tuple(axis % (x.ndim - 1) + 1 for axis in layer.options["axes"])


def _keeps(layer: HasParameters) -> bool:
    return bool(layer.options["keep_axes"])


def _with_axes(at: Point, dE_da: Array) -> Array:
    """dE/da with the reduced axes, which have one entry each."""
    x = at.inputs[0]
    axes = _axes(at.layer, x)
    kept = (1 if axis in axes else n for axis, n in enumerate(x.shape[1:], start=1))
    return dE_da.reshape(len(dE_da), *kept)


def reduced_shape(shapes: Sequence[Shape], _parameters: Shapes, options: Options) -> Shape:
    """The reduced axes go, or stay with one entry."""
    (shape,) = shapes
    axes = axes_of(shape, options["axes"], ("axes",))
    if not axes:
        raise Misfit(("axes",), "must not be empty")
    if options["keep_axes"]:
        return tuple(1 if axis in axes else n for axis, n in enumerate(shape))
    return tuple(n for axis, n in enumerate(shape) if axis not in axes)
