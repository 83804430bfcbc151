"""The table of layer types: one row each, with its functions, its parameters and options, and its formula.

    a = f(inputs, parameters)        linear at a point in each of them, see `points.py`
    o = φ(a)                         with the activation of the layer, for the types that have one

A new layer type is one row of `LAYER_TYPES`, with its functions in `affine.py`, `arithmetic.py` or `arrangement.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from chainrule.functions.tables import Array, Table
from chainrule.graph import affine, arithmetic, arrangement
from chainrule.graph.points import Compute, HasParameters, PullToInput, PullToParameter
from chainrule.graph.shapes import Shape

ShapeOf = Callable[[Sequence[Shape], Mapping[str, Shape], Mapping[str, Any]], Shape]

Kind = Literal["number", "numbers", "axis", "axes", "shape", "position", "flag", "flags", "mask"]


@dataclass(frozen=True)
class LayerParameter:
    """An array of parameters: its name, how derivatives by it are called, and the number of its axes."""

    name: str  # "weights"
    short: str  # "w", as in dE_dw and da_dw
    rank: int
    meaning: str
    required: bool = True


@dataclass(frozen=True)
class Option:
    """A setting of a layer that is no parameter: nothing is derived by it."""

    name: str
    kind: Kind
    meaning: str
    required: bool = False
    default: Any = None
    count: int | None = None  # of a list, where it is fixed
    minimum: float | None = None
    below: float | None = None


@dataclass(frozen=True, eq=False)
class LayerType:
    """One row. `compute` returns a, `by_input` and `by_parameter` pull dE/da back to an input or a parameter.

    `shape` returns the shape of the output for a sample, or raises Misfit. `check` raises Misfit for parameters that do
    not fit each other, `check_values` for numbers of the inputs that the layer does not take.
    """

    name: str
    title: str
    formula: str
    meaning: str
    compute: Compute
    by_input: PullToInput
    shape: ShapeOf
    by_parameter: Mapping[str, PullToParameter] = field(default_factory=dict)
    parameters: tuple[LayerParameter, ...] = ()
    options: tuple[Option, ...] = ()
    least_inputs: int = 1
    most_inputs: int | None = 1  # None: any number
    has_activation: bool = False
    check: Callable[[Mapping[str, Array]], None] = lambda parameters: None
    check_values: Callable[[HasParameters, Sequence[Array]], None] | None = None
    aliases: tuple[str, ...] = ()

    @cached_property
    def parameter_names(self) -> frozenset[str]:
        """The names of the parameters."""
        return frozenset(parameter.name for parameter in self.parameters)

    @cached_property
    def required_names(self) -> frozenset[str]:
        """The names of the parameters that a layer cannot leave out."""
        return frozenset(parameter.name for parameter in self.parameters if parameter.required)


_AXES = Option("axes", "axes", "the axes of a sample, from 0, negative from the end", required=True)
_KEEP = Option("keep_axes", "flag", "keep the reduced axes, with one entry each", default=False)

LAYER_TYPES: Table[LayerType] = Table(
    [
        LayerType(
            name="dense",
            title="Dense layer",
            formula=r"a_j = \sum_i x_i w_{ij} + b_j",
            meaning="Over the last axis of its input.",
            compute=affine.dense,
            by_input=affine.dense_by_input,
            by_parameter={"weights": affine.dense_by_weights, "biases": affine.dense_by_biases},
            shape=affine.dense_shape,
            check=affine.check_dense,
            parameters=(
                LayerParameter("weights", "w", 2, "n_in × n_out"),
                LayerParameter("biases", "b", 1, "one for each unit", required=False),
            ),
            has_activation=True,
        ),
        LayerType(
            name="activation",
            title="Activation",
            formula=r"o = \varphi(x)",
            meaning="Vector-valued activations act along the last axis.",
            compute=arithmetic.unchanged,
            by_input=arithmetic.unchanged_by_input,
            shape=arithmetic.same_shape,
            has_activation=True,
        ),
        LayerType(
            name="add",
            title="Sum of inputs",
            formula=r"a = \sum_k c_k x_k",
            meaning="Inputs of one shape, each with a coefficient, which is 1 by default.",
            compute=arithmetic.add,
            by_input=arithmetic.add_by_input,
            shape=arithmetic.same_shape,
            options=(Option("coefficients", "numbers", "one for each input"),),
            least_inputs=2,
            most_inputs=None,
        ),
        LayerType(
            name="multiply",
            title="Product of inputs",
            formula=r"a = \prod_k x_k",
            meaning="Number by number, of inputs of one shape.",
            compute=arithmetic.multiply,
            by_input=arithmetic.multiply_by_input,
            shape=arithmetic.same_shape,
            least_inputs=2,
            most_inputs=None,
        ),
        LayerType(
            name="concatenate",
            title="Concatenation",
            formula=r"a = [x_1, x_2, \ldots]",
            meaning="Inputs one after the other along an axis.",
            compute=arrangement.concatenate,
            by_input=arrangement.concatenate_by_input,
            shape=arrangement.concatenate_shape,
            options=(Option("axis", "axis", "an axis of a sample", default=-1),),
            least_inputs=2,
            most_inputs=None,
        ),
        LayerType(
            name="matmul",
            title="Matrix product",
            formula=r"a = s\,X Y",
            meaning="Two matrices for each sample, or stacks of matrices.",
            compute=affine.matmul,
            by_input=affine.matmul_by_input,
            shape=affine.matmul_shape,
            options=(
                Option("transpose", "flags", "which of the two are transposed", default=(False, False), count=2),
                Option("scale", "number", "the factor s", default=1.0),
            ),
            least_inputs=2,
            most_inputs=2,
        ),
        LayerType(
            name="scale",
            title="Multiple",
            formula=r"a = c\,x",
            meaning="Its input times a number.",
            compute=arithmetic.scale,
            by_input=arithmetic.scale_by_input,
            shape=arithmetic.same_shape,
            options=(Option("factor", "number", "the factor c", required=True),),
        ),
        LayerType(
            name="reshape",
            title="Reshape",
            formula="a = x",
            meaning="The numbers of a sample in another shape, in row-major order.",
            compute=arrangement.reshape,
            by_input=arrangement.reshaped_by_input,
            shape=arrangement.reshape_shape,
            options=(Option("shape", "shape", "of a sample; one entry may be -1", required=True),),
        ),
        LayerType(
            name="flatten",
            title="Flatten",
            formula="a = x",
            meaning="All numbers of a sample along one axis.",
            compute=arrangement.flatten,
            by_input=arrangement.reshaped_by_input,
            shape=arrangement.flatten_shape,
        ),
        LayerType(
            name="transpose",
            title="Transpose",
            formula="a = x^T",
            meaning="The axes of a sample in another order.",
            compute=arrangement.transpose,
            by_input=arrangement.transpose_by_input,
            shape=arrangement.transpose_shape,
            options=(_AXES,),
        ),
        LayerType(
            name="slice",
            title="Slice",
            formula=r"a = x_{from \ldots to}",
            meaning="One entry along an axis, or a range of entries.",
            compute=arrangement.slice_,
            by_input=arrangement.slice_by_input,
            shape=arrangement.slice_shape,
            options=(
                Option("axis", "axis", "an axis of a sample", required=True),
                Option("index", "position", "the only entry taken; its axis goes"),
                Option("from", "position", "the first entry taken"),
                Option("to", "position", "the first entry not taken any more"),
            ),
        ),
        LayerType(
            name="mean",
            title="Mean",
            formula=r"a = \frac{1}{n} \sum x",
            meaning="Over some axes of a sample.",
            compute=arithmetic.mean,
            by_input=arithmetic.mean_by_input,
            shape=arithmetic.reduced_shape,
            options=(_AXES, _KEEP),
        ),
        LayerType(
            name="sum",
            title="Sum",
            formula=r"a = \sum x",
            meaning="Over some axes of a sample.",
            compute=arithmetic.sum_,
            by_input=arithmetic.sum_by_input,
            shape=arithmetic.reduced_shape,
            options=(_AXES, _KEEP),
        ),
        LayerType(
            name="max",
            title="Maximum",
            formula=r"a = \max x",
            meaning="Over some axes of a sample. Of equal numbers, the first has the derivative.",
            compute=arithmetic.max_,
            by_input=arithmetic.max_by_input,
            shape=arithmetic.reduced_shape,
            options=(_AXES, _KEEP),
        ),
        LayerType(
            name="dropout",
            title="Dropout",
            formula=r"a = \frac{x\,m}{1 - p}",
            meaning="With a given mask of 0 and 1: nothing here is random. Without a mask the identity.",
            compute=arithmetic.dropout,
            by_input=arithmetic.dropout_by_input,
            shape=arithmetic.dropout_shape,
            options=(
                Option("mask", "mask", "0 and 1, of the shape of a sample or of the batch"),
                Option("rate", "number", "the share of numbers left out, p", default=0.0, minimum=0.0, below=1.0),
            ),
        ),
        LayerType(
            name="embedding",
            title="Embedding",
            formula=r"a_{kj} = w_{x_k j}",
            meaning="Each whole number of its input becomes a row of the weights.",
            compute=affine.embedding,
            by_input=affine.no_derivative,
            by_parameter={"weights": affine.embedding_by_weights},
            check_values=affine.check_indices,
            shape=affine.embedding_shape,
            check=affine.check_matrix,
            parameters=(LayerParameter("weights", "w", 2, "vocabulary × n"),),
            options=(Option("padding_index", "position", "a row that has no derivative", minimum=0),),
        ),
    ]
)
