"""Layer types that multiply matrices: dense, embedding, matmul.

dense        a = x·w + b                  over the last axis of x
embedding    a = w[x]                     x are row indices
matmul       a = scale · x·y              x and y are two inputs, each may be transposed
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.checkpoint import Checkpoint
from chainrule.functions.tables import Array
from chainrule.graph.blocks import product
from chainrule.graph.maps import LinearMap, Local
from chainrule.graph.partition import rows_of
from chainrule.graph.shapes import Misfit, Shape, shape_words

Inputs = Sequence[Array]
Parameters = Mapping[str, Array]
Options = Mapping[str, Any]


def sum_over_rows(dE_da: Array) -> Array:
    """dE/db, (j,): a bias is a weight whose input is 1."""
    total: Array = np.add.reduce(
        dE_da, axis=tuple(range(dE_da.ndim - 1)) if dE_da.ndim != 2 else 0
    )  # the same as sum(axis=0), in half the time for few numbers
    return total


def dense(inputs: Inputs, parameters: Parameters, _options: Options, checkpoint: Checkpoint) -> Local:
    """a = x·w + b."""
    (x,), weights = inputs, parameters["weights"]
    if x.ndim != 2:
        return _dense_over_last_axis(x, parameters, checkpoint)
    a = product(x, weights, checkpoint)
    by_parameter = {"weights": by_weights(x, checkpoint)}
    if (biases := parameters.get("biases")) is not None:
        a += biases
        by_parameter["biases"] = _BY_BIASES
    by_input = LinearMap(lambda dE_da: product(dE_da, weights.T, checkpoint), weights)
    return Local(a, (by_input,), by_parameter)


def by_weights(x: Array, checkpoint: Checkpoint) -> LinearMap:
    """The map by the weights of a dense layer, for inputs (s, i): da/dw is the input."""
    return LinearMap(lambda dE_da: product(x.T, dE_da, checkpoint), x)


_BY_BIASES = LinearMap(sum_over_rows)


def _dense_over_last_axis(x: Array, parameters: Parameters, checkpoint: Checkpoint) -> Local:
    """The same for every position of a sample: rows of the last axis of x."""
    flat = dense((rows_of(x),), parameters, {}, checkpoint)
    (by_input,), of_rows = flat.by_input, flat.by_parameter["weights"]
    assert by_input is not None  # noqa: S101  a dense layer has a derivative by its input
    by_parameter = {**flat.by_parameter, "weights": LinearMap(lambda dE_da: of_rows.pull(rows_of(dE_da)), x)}
    down = LinearMap(lambda dE_da: by_input.pull(rows_of(dE_da)).reshape(x.shape), by_input.factor)
    return Local(flat.a.reshape(*x.shape[:-1], -1), (down,), by_parameter)


def dense_shape(shapes: Sequence[Shape], parameters: Mapping[str, Shape], _options: Options) -> Shape:
    """The last axis of x, n_in numbers, becomes n_out."""
    ((*before, width),) = shapes if shapes[0] else ((1,),)
    if not shapes[0]:
        raise Misfit(("inputs",), "is a single number a sample, but a dense layer takes a list")
    n_in, n_out = parameters["weights"]
    if n_in != width:
        raise Misfit(("weights",), f"has {n_in} rows, but its input has {width} numbers along the last axis")
    return (*before, n_out)


def check_dense(parameters: Parameters) -> None:
    """Raise Misfit unless weights and biases fit each other."""
    weights, biases = parameters["weights"], parameters.get("biases")
    check_matrix(parameters)
    if not weights.size:
        raise Misfit(("weights",), f"must have at least one row and one column, not the shape {weights.shape}")
    if biases is not None and biases.shape != (weights.shape[1],):
        raise Misfit(("biases",), f"must have the shape ({weights.shape[1]},), not {biases.shape}")


def check_matrix(parameters: Parameters) -> None:
    """Raise Misfit unless the weights are a matrix."""
    if parameters["weights"].ndim != 2:
        raise Misfit(("weights",), f"must be a matrix, not an array of {parameters['weights'].ndim} axes")


def embedding(inputs: Inputs, parameters: Parameters, options: Options, _checkpoint: Checkpoint) -> Local:
    """a = w[x]: each whole number of x becomes a row of the weights."""
    (x,), weights = inputs, parameters["weights"]
    rows, ignored = x.astype(np.intp), options.get("padding_index")

    def scattered(dE_da: Array) -> Array:
        total = np.zeros_like(weights)
        np.add.at(total, rows.ravel(), dE_da.reshape(-1, weights.shape[1]))
        if ignored is not None:
            total[int(ignored)] = 0.0
        return total

    return Local(weights[rows], (None,), {"weights": LinearMap(scattered, x)})


def embedding_shape(shapes: Sequence[Shape], parameters: Mapping[str, Shape], options: Options) -> Shape:
    """Every number of x becomes n numbers."""
    vocabulary, n = parameters["weights"]
    ignored = options.get("padding_index")
    if ignored is not None and not 0 <= ignored < vocabulary:
        raise Misfit(("padding_index",), f"is {ignored}, but the weights have the rows 0 to {vocabulary - 1}")
    return (*shapes[0], n)


def matmul(inputs: Inputs, _parameters: Parameters, options: Options, _checkpoint: Checkpoint) -> Local:
    """a = scale · x·y for every sample, each matrix transposed where that is asked for."""
    scale = options.get("scale", 1.0)
    turns = options.get("transpose", (False, False))
    x, y = (_turned(array, turn) for array, turn in zip(inputs, turns, strict=True))
    a = x @ y if scale == 1.0 else scale * (x @ y)

    def by(other: Callable[[Array], Array], like: Array, turn: bool) -> LinearMap:
        return LinearMap(lambda dE_da: _summed_like(_turned(scale * other(dE_da), turn), like))

    by_x = by(lambda dE_da: dE_da @ _turned(y, True), inputs[0], turns[0])
    by_y = by(lambda dE_da: _turned(x, True) @ dE_da, inputs[1], turns[1])
    return Local(a, (by_x, by_y))


def _turned(x: Array, turn: bool) -> Array:
    return x.swapaxes(-1, -2) if turn else x


def _summed_like(array: Array, like: Array) -> Array:
    """An array summed over the leading axes that `like` does not have or has once. Samples stay as they are."""
    return array.sum(axis=tuple(range(1, 1 + array.ndim - like.ndim))) if array.ndim > like.ndim else array


def matmul_shape(shapes: Sequence[Shape], _parameters: Mapping[str, Shape], options: Options) -> Shape:
    """Two matrices, or stacks of equally many."""
    first, second = shapes
    for k, shape in enumerate(shapes):
        if len(shape) < 2:
            raise Misfit(("inputs", k), f"has the shape {shape_words(shape)}, but matmul multiplies matrices")
    turns = options.get("transpose", (False, False))
    (rows, inner), (other, columns) = (
        shape[-2:][::-1] if turn else shape[-2:] for shape, turn in zip(shapes, turns, strict=True)
    )
    if inner != other:
        raise Misfit(("inputs", 1), f"has {other} rows, but the first matrix has {inner} columns")
    if first[:-2] != second[:-2]:
        words = f"has the leading axes {shape_words(second[:-2])}, but the first input has {shape_words(first[:-2])}"
        raise Misfit(("inputs", 1), words)
    return (*first[:-2], rows, columns)
