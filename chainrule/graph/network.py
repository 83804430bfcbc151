"""The definition of a network: layers of weights, biases and activations. No computation.

a_j = Σ_i o_i · w_ij + b_j        weights[i, j] goes from unit i of the layer before to unit j of this one
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from chainrule.functions.activations import ActivationSpec, activation_spec
from chainrule.functions.tables import Array, shown
from chainrule.graph.batches import Batch, Group, Units, batches
from chainrule.graph.numbers import finite_array, real_array

__all__ = ["Group", "Layer", "Network", "Units", "dense"]


@dataclass(frozen=True, eq=False)
class Layer:
    """A dense layer from i units to j: `weights` (i, j), `biases` (j,) or none, one activation or one for every unit.

    Raises ValueError if the shapes do not fit each other.
    """

    weights: Array
    biases: Array | None
    activation: ActivationSpec | tuple[ActivationSpec, ...]
    groups: tuple[Group, ...] = field(init=False, repr=False)
    batches: tuple[Batch, ...] = field(init=False, repr=False)  # the same groups, as they are computed
    lone: Batch | None = field(init=False, repr=False)  # the only batch, if it is the whole layer, column by column

    def __post_init__(self) -> None:
        self._take_arrays()
        if self.weights.ndim != 2:
            raise ValueError(f"weights must be a matrix, not an array of {self.weights.ndim} axes")
        if self.biases is not None and self.biases.shape != (self.units,):
            raise ValueError(f"biases must have the shape ({self.units},), not {self.biases.shape}")
        if not self.weights.size:
            raise ValueError(f"weights must have at least one row and one column, not the shape {self.weights.shape}")
        if isinstance(self.activation, tuple) and len(self.activation) != self.units:
            raise ValueError(f"{len(self.activation)} activations for {self.units} units")
        _check_specs(self.activation)
        object.__setattr__(self, "groups", _groups(self.activation))
        object.__setattr__(self, "batches", batches(self.groups))
        first = self.batches[0]
        object.__setattr__(self, "lone", first if isinstance(first.units, slice) else None)

    def _take_arrays(self) -> None:
        """Convert weights and biases to float64. Raises ValueError if an element is not a real number."""
        if (weights := real_array("weights", self.weights)) is not self.weights:
            object.__setattr__(self, "weights", weights)
        if self.biases is not None and (biases := real_array("biases", self.biases)) is not self.biases:
            object.__setattr__(self, "biases", biases)

    @property
    def units(self) -> int:
        """How many units the layer has, j."""
        return int(self.weights.shape[1])

    @property
    def activations(self) -> tuple[ActivationSpec, ...]:
        """The activation of every unit."""
        return self.activation if isinstance(self.activation, tuple) else (self.activation,) * self.units


def _check_specs(activation: object) -> None:
    specs = activation if isinstance(activation, tuple) else (activation,)
    for spec in specs:
        if not isinstance(spec, ActivationSpec):
            raise ValueError(
                f"activation must be an ActivationSpec, or a tuple of them, not {shown(spec)}; dense takes names"
            )


def _groups(activation: ActivationSpec | tuple[ActivationSpec, ...]) -> tuple[Group, ...]:
    """The partition of a layer's units by equal activations; a single group has the slice of all, without a copy."""
    if isinstance(activation, ActivationSpec):
        return (Group(activation, slice(None)),)
    units: dict[ActivationSpec, list[int]] = {}
    for j, spec in enumerate(activation):
        units.setdefault(spec, []).append(j)
    if len(units) == 1:
        return (Group(activation[0], slice(None)),)
    return tuple(Group(spec, np.array(own)) for spec, own in units.items())


@dataclass(frozen=True, eq=False)
class Network:
    """Layers from the inputs to the outputs. Raises ValueError if a layer does not fit the layer before it."""

    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        given: object = self.layers
        if not isinstance(given, tuple | list) or not all(isinstance(layer, Layer) for layer in given):
            raise ValueError("the layers of a network must be a tuple of Layer; dense makes one")
        if not self.layers:
            raise ValueError("a network has at least one layer")
        for below, layer in zip(self.layers, self.layers[1:], strict=False):
            if layer.weights.shape[0] != below.units:
                raise ValueError(f"a layer of {below.units} units under weights for {layer.weights.shape[0]}")


def dense(
    weights: ArrayLike,
    activation: str | dict[str, Any] | Sequence[str | dict[str, Any]],
    biases: ArrayLike | None = None,
) -> Layer:
    """A layer from plain lists and names, for notebooks: `dense([[0.1], [0.2]], "tanh", biases=[0.5])`.

    An activation with parameters is written as on the wire, `{"name": "leaky_relu", "negative_slope": 0.2}`. Raises
    ValueError for numbers that are not finite, too, which a `Layer` takes.
    """
    return Layer(
        finite_array("weights", weights).copy(),
        None if biases is None else finite_array("biases", biases).copy(),
        tuple(map(_spec, activation)) if isinstance(activation, list | tuple) else _spec(activation),
    )


def _spec(activation: Any) -> ActivationSpec:
    if isinstance(activation, str):
        return activation_spec(activation)
    if not isinstance(activation, dict) or not all(isinstance(name, str) for name in activation):
        raise ValueError(f"an activation is a name, or a dict with a name and parameters, not {shown(activation)}")
    if "name" not in activation:
        raise ValueError(f"an activation must have a name: {shown(activation)} has none")
    return activation_spec(**activation)
