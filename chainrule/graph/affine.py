"""Layer types that multiply matrices: dense, embedding, matmul.

dense        a = x·w + b                  over the last axis of x
embedding    a = w[x]                     x are row indices
matmul       a = scale · x·y              x and y are two inputs, each may be transposed
"""

from collections.abc import Mapping, Sequence

import numpy as np

from chainrule.checkpoint import Checkpoint
from chainrule.functions.tables import Array
from chainrule.graph.blocks import product
from chainrule.graph.partition import rows_of
from chainrule.graph.points import HasParameters, Point
from chainrule.graph.shapes import Misfit, Options, Shape, Shapes, shape_words


def dense(layer: HasParameters, inputs: Sequence[Array], checkpoint: Checkpoint) -> Array:
    """a = x·w + b, for every position of a sample."""
    x, parameters = inputs[0], layer.parameters
    if x.ndim != 2:
        return dense(layer, (rows_of(x),), checkpoint).reshape(*x.shape[:-1], -1)
    a = product(x, parameters["weights"], checkpoint)
    if "biases" in parameters:
        a += parameters["biases"]
    return a


def dense_by_input(at: Point, _position: int, dE_da: Array, checkpoint: Checkpoint) -> Array:
    """dE/dx_i = Σ_j dE/da_j · w_ij."""
    if dE_da.ndim != 2:
        return dense_by_input(at, 0, rows_of(dE_da), checkpoint).reshape(*dE_da.shape[:-1], -1)
    return product(dE_da, at.layer.parameters["weights"].T, checkpoint)


def dense_by_weights(at: Point, dE_da: Array, checkpoint: Checkpoint) -> Array:
    """dE/dw_ij = Σ x_i · dE/da_j, over samples and positions."""
    x = at.inputs[0]
    if x.ndim != 2:
        return product(rows_of(x).T, rows_of(dE_da), checkpoint)
    return product(x.T, dE_da, checkpoint)


def dense_by_biases(_at: Point, dE_da: Array, _checkpoint: Checkpoint) -> Array:
    """dE/db_j = Σ dE/da_j: a bias is a weight whose input is 1."""
    rows = dE_da if dE_da.ndim == 2 else rows_of(dE_da)
    total: Array = np.add.reduce(rows, axis=0)  # the same as sum(axis=0), in half the time for few numbers
    return total


def dense_shape(shapes: Sequence[Shape], parameters: Shapes, _options: Options) -> Shape:
    """The last axis of x, n_in numbers, becomes n_out."""
    if not shapes[0]:
        raise Misfit(("inputs",), "is a single number a sample, but a dense layer takes a list")
    *before, width = shapes[0]
    n_in, n_out = parameters["weights"]
    if n_in != width:
        raise Misfit(("weights",), f"has {n_in} rows, but its input has {width} numbers along the last axis")
    return (*before, n_out)


def check_matrix(parameters: Mapping[str, Array]) -> None:
    """Raise Misfit unless the weights are a matrix."""
    weights = parameters["weights"]
    if weights.ndim != 2:
        raise Misfit(("weights",), f"must be a matrix, not an array of {weights.ndim} axes")
    if not weights.size:
        raise Misfit(("weights",), f"must have at least one row and one column, not the shape {weights.shape}")


def check_dense(parameters: Mapping[str, Array]) -> None:
    """Raise Misfit unless weights and biases fit each other."""
    check_matrix(parameters)
    units, biases = parameters["weights"].shape[1], parameters.get("biases")
    if biases is not None and biases.shape != (units,):
        raise Misfit(("biases",), f"must have the shape ({units},), not {biases.shape}")


def embedding(layer: HasParameters, inputs: Sequence[Array], _checkpoint: Checkpoint) -> Array:
    """a = w[x]: each whole number of x becomes a row of the weights."""
    rows: Array = layer.parameters["weights"][inputs[0].astype(np.intp)]
    return rows


def no_derivative(_at: Point, _position: int, _dE_da: Array, _checkpoint: Checkpoint) -> None:
    """An index has no derivative."""


def embedding_by_weights(at: Point, dE_da: Array, _checkpoint: Checkpoint) -> Array:
    """dE/dw of each row: the sum of dE/da wherever the row was taken; 0 for the padding."""
    total = np.zeros_like(at.layer.parameters["weights"])
    np.add.at(total, at.inputs[0].astype(np.intp).ravel(), dE_da.reshape(-1, total.shape[1]))
    if (padding := at.layer.options.get("padding_index")) is not None:
        total[int(padding)] = 0.0
    return total


def embedding_shape(shapes: Sequence[Shape], parameters: Shapes, options: Options) -> Shape:
    """Every number of x becomes n numbers."""
    vocabulary, n = parameters["weights"]
    padding = options.get("padding_index")
    if padding is not None and not 0 <= padding < vocabulary:
        raise Misfit(("padding_index",), f"is {padding}, but the weights have the rows 0 to {vocabulary - 1}")
    return (*shapes[0], n)


def check_indices(at: HasParameters, inputs: Sequence[Array]) -> None:
    """Raise Misfit unless every number of the input of an embedding is a row of its weights."""
    (x,), vocabulary = inputs, len(at.parameters["weights"])
    wrong = (x < 0) | (x >= vocabulary) | (x != np.floor(x))
    if wrong.any():
        place = tuple(np.argwhere(wrong)[0].tolist())
        words = f"of an embedding hold {x[place]:g} at {place}, but rows are whole numbers from 0 to {vocabulary - 1}"
        raise Misfit(("inputs",), words)


def matmul(layer: HasParameters, inputs: Sequence[Array], _checkpoint: Checkpoint) -> Array:
    """a = scale · x·y for every sample, each matrix transposed where that is asked for."""
    x, y = _matrices(layer, inputs)
    return _scaled(layer, x @ y)


def matmul_by_input(at: Point, position: int, dE_da: Array, _checkpoint: Checkpoint) -> Array:
    """dE/dx = scale · dE/da · yᵀ and dE/dy = scale · xᵀ · dE/da, transposed back where the input was transposed."""
    x, y = _matrices(at.layer, at.inputs)
    product = x.swapaxes(-1, -2) @ dE_da if position else dE_da @ y.swapaxes(-1, -2)
    return _scaled(at.layer, _transposed(product, _transposes(at.layer)[position]))


def _transposes(layer: HasParameters) -> tuple[bool, bool]:
    first, second = layer.options["transpose"]
    return first, second


def _matrices(layer: HasParameters, inputs: Sequence[Array]) -> tuple[Array, ...]:
    return tuple(_transposed(x, transpose) for x, transpose in zip(inputs, _transposes(layer), strict=True))


def _transposed(x: Array, transpose: bool) -> Array:
    return x.swapaxes(-1, -2) if transpose else x


def _scaled(layer: HasParameters, x: Array) -> Array:
    scale = layer.options["scale"]
    return x if scale == 1.0 else scale * x


def matmul_shape(shapes: Sequence[Shape], _parameters: Shapes, options: Options) -> Shape:
    """Two matrices, or stacks of equally many."""
    first, second = shapes
    for k, shape in enumerate(shapes):
        if len(shape) < 2:
            raise Misfit(("inputs", k), f"has the shape {shape_words(shape)}, but matmul multiplies matrices")
    transposes = options["transpose"]
    (rows, inner), (other, columns) = (
        shape[-2:][::-1] if transpose else shape[-2:] for shape, transpose in zip(shapes, transposes, strict=True)
    )
    if inner != other:
        raise Misfit(("inputs", 1), f"has {other} rows, but the first matrix has {inner} columns")
    if first[:-2] != second[:-2]:
        words = f"has the leading axes {shape_words(second[:-2])}, but the first input has {shape_words(first[:-2])}"
        raise Misfit(("inputs", 1), words)
    return (*first[:-2], rows, columns)
