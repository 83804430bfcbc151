"""Layer types that combine or scale numbers of equal positions: add, multiply, scale, dropout; mean, sum, max.

add         a = Σ_k c_k · x_k
multiply    a = Π_k x_k
scale       a = factor · x
dropout     a = x · mask / (1 - rate)
mean        a = Σ x / n                 over some axes of each sample
sum         a = Σ x
max         a = max x                   of equal numbers, the first has the derivative
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
from typing import Any

import numpy as np

from chainrule.checkpoint import Checkpoint
from chainrule.functions.tables import Array
from chainrule.graph.maps import LinearMap, Local
from chainrule.graph.shapes import Misfit, Shape, axes_of, shape_words

Inputs = Sequence[Array]
Parameters = Mapping[str, Array]
Options = Mapping[str, Any]
Shapes = Mapping[str, Shape]


def _times(factor: Array | float) -> LinearMap:
    """The map that multiplies by a factor of a's shape, or by a number."""
    return LinearMap(lambda dE_da: dE_da * factor)


def add(inputs: Inputs, _parameters: Parameters, options: Options, _checkpoint: Checkpoint) -> Local:
    """a = Σ_k c_k · x_k."""
    coefficients = options.get("coefficients")
    if coefficients is None:
        return Local(reduce(np.add, inputs), (LinearMap(lambda dE_da: dE_da),) * len(inputs))
    a = reduce(np.add, (c * x for c, x in zip(coefficients, inputs, strict=True)))
    return Local(a, tuple(map(_times, coefficients)))


def multiply(inputs: Inputs, _parameters: Parameters, _options: Options, _checkpoint: Checkpoint) -> Local:
    """a = Π_k x_k. The factor of each input is the product of the others."""
    others = (reduce(np.multiply, [*inputs[:k], *inputs[k + 1 :]]) for k in range(len(inputs)))
    return Local(reduce(np.multiply, inputs), tuple(map(_times, others)))


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


def scale(inputs: Inputs, _parameters: Parameters, options: Options, _checkpoint: Checkpoint) -> Local:
    """a = factor · x."""
    factor = options["factor"]
    return Local(factor * inputs[0], (_times(factor),))


def dropout(inputs: Inputs, _parameters: Parameters, options: Options, _checkpoint: Checkpoint) -> Local:
    """a = x · mask / (1 - rate), for a given mask of 0 and 1; without a mask the identity, as outside of training."""
    (x,), mask = inputs, options.get("mask")
    if mask is None:
        return Local(x.copy(), (LinearMap(lambda dE_da: dE_da),))
    factor = mask / (1.0 - options.get("rate", 0.0))
    return Local(x * factor, (_times(factor),))


def dropout_shape(shapes: Sequence[Shape], _parameters: Shapes, options: Options) -> Shape:
    """The mask has the shape of a sample, or of the batch."""
    (shape,), mask = shapes, options.get("mask")
    if mask is not None and mask.shape != shape and mask.shape[1:] != shape:
        words = f"has the shape {shape_words(mask.shape)}, but a sample has {shape_words(shape)}"
        raise Misfit(("mask",), f"{words}: it must have that shape, or that of the batch")
    return shape


def _axes(x: Array, options: Options) -> tuple[int, ...]:
    """The axes of an array, that of the samples included."""
    return tuple(axis % (x.ndim - 1) + 1 for axis in options["axes"])


def _reduced(inputs: Inputs, options: Options, compute: Callable[..., Array]) -> tuple[Array, Callable[[Array], Array]]:
    """The reduced array, and the function that gives an array of its shape the axes of x back, with one entry each."""
    (x,) = inputs
    axes = _axes(x, options)
    a = compute(x, axis=axes, keepdims=True)
    kept = a.shape
    return a if options.get("keep_axes") else a.squeeze(axes), lambda dE_da: dE_da.reshape(-1, *kept[1:])


def mean(inputs: Inputs, _parameters: Parameters, options: Options, _checkpoint: Checkpoint) -> Local:
    """The mean over some axes."""
    (x,) = inputs
    a, back = _reduced(inputs, options, np.mean)
    n = x.size // max(a.size, 1)
    return Local(a, (LinearMap(lambda dE_da: np.broadcast_to(back(dE_da) / n, (len(dE_da), *x.shape[1:]))),))


def sum_(inputs: Inputs, _parameters: Parameters, options: Options, _checkpoint: Checkpoint) -> Local:
    """The sum over some axes."""
    (x,) = inputs
    a, back = _reduced(inputs, options, np.sum)
    return Local(a, (LinearMap(lambda dE_da: np.broadcast_to(back(dE_da), (len(dE_da), *x.shape[1:]))),))


def max_(inputs: Inputs, _parameters: Parameters, options: Options, _checkpoint: Checkpoint) -> Local:
    """The maximum over some axes; its first place in the order of the array has the derivative."""
    (x,) = inputs
    a, back = _reduced(inputs, options, np.max)
    return Local(a, (LinearMap(partial(_at_first_largest, x, _axes(x, options), back)),))


def _at_first_largest(x: Array, axes: tuple[int, ...], back: Callable[[Array], Array], dE_da: Array) -> Array:
    ends = tuple(range(x.ndim - len(axes), x.ndim))
    moved = np.moveaxis(x, sorted(axes), ends)
    rows = moved.reshape(*moved.shape[: ends[0]], -1)
    found = np.zeros_like(rows)
    at = np.expand_dims(rows.argmax(axis=-1), -1)
    np.put_along_axis(found, at, np.moveaxis(back(dE_da), sorted(axes), ends).reshape(*at.shape), axis=-1)
    dE_dx: Array = np.moveaxis(found.reshape(moved.shape), ends, sorted(axes))
    return dE_dx


def reduced_shape(shapes: Sequence[Shape], _parameters: Shapes, options: Options) -> Shape:
    """The reduced axes go, or stay with one entry."""
    (shape,) = shapes
    axes = axes_of(shape, options["axes"], ("axes",))
    if not axes:
        raise Misfit(("axes",), "must not be empty")
    if options.get("keep_axes"):
        return tuple(1 if axis in axes else n for axis, n in enumerate(shape))
    return tuple(n for axis, n in enumerate(shape) if axis not in axes)
