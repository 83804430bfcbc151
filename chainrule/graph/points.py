"""The point at which a layer is linear: its inputs and its parameters.

    dE/dx = Σ dE/da · da/dx        x is an input or a parameter of the layer

A row of `LAYER_TYPES` has a function that pulls dE/da through each of these derivatives, back to x.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from chainrule.checkpoint import Checkpoint
from chainrule.functions.tables import Array


class HasParameters(Protocol):
    """What the functions of a layer type use of a layer."""

    @property
    def parameters(self) -> Mapping[str, Array]: ...
    @property
    def options(self) -> Mapping[str, Any]: ...


class Point(Protocol):
    """One layer in the forward pass: the layer, its inputs and its pre-activations."""

    @property
    def layer(self) -> HasParameters: ...
    @property
    def inputs(self) -> Sequence[Array]: ...
    @property
    def a(self) -> Array: ...


Compute = Callable[[HasParameters, Sequence[Array], Checkpoint], Array]  # a, from the inputs
PullToInput = Callable[[Point, int, Array, Checkpoint], Array | None]  # dE/dx of the input at a position; None if none
PullToParameter = Callable[[Point, Array, Checkpoint], Array]  # dE/dθ, summed over the samples
