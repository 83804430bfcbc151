"""How much a gradient check may compute. It is counted in operations: the same on every machine, known from shapes.

One operation is about one number of an elementwise NumPy call: half a nanosecond to one, on a fast core.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from chainrule.checkpoint import Checkpoint, unlimited
from chainrule.graph.network import Layer

SEARCH, BLIND_SPOTS, PROBES = 5e9, 2e9, 2e9  # operations: to find mistakes, what stays hidden, a better request

_OF_LAYER = 40_000.0  # the Python and the NumPy calls of one replayed layer
_OF_GROUP = 10_000.0  # the same for each group of its units
_OF_ELEMENT = 12.0  # dE/do, dE/da and their temporary arrays, for each sample and unit
_OF_SLOPE = 100.0  # a derivative of an activation, for each sample and unit
_OF_MULTIPLY_ADD = 0.125
_OF_WEIGHT = 8.0  # dE/dw of each weight, compared with another


class BudgetSpent(Exception):
    """No operations are left."""


@dataclass(eq=False)
class Budget:
    """The operations that are left."""

    operations: float
    checkpoint: Checkpoint = unlimited

    def take(self, operations: float) -> None:
        """Count operations before they are done; look at the checkpoint. Raises BudgetSpent where fewer are left."""
        self.checkpoint()
        self.operations -= operations
        if self.operations < 0.0:
            raise BudgetSpent


def operations_of_pass(layers: Sequence[Layer], samples: int) -> float:
    """The operations of a replay of all layers, the derivatives of their activations included."""
    return sum(operations_of_layer(layer, samples, slopes=True) for layer in layers)


def operations_of_layer(layer: Layer, samples: int, slopes: bool = False) -> float:
    """The operations of one replayed layer; `slopes` where its derivatives are computed anew."""
    n_in, n_out = layer.weights.shape
    of_sample = _OF_ELEMENT + (_OF_SLOPE if slopes else 0.0) + 2.0 * _OF_MULTIPLY_ADD * n_in
    of_unit = samples * of_sample + _OF_WEIGHT * n_in
    own: float = _OF_LAYER + _OF_GROUP * len(layer.groups) + of_unit * n_out
    return own
