"""The budget of a gradient check, in operations: the same number on every machine, and known from the shapes.

One operation is about one element of an elementwise NumPy call: half a nanosecond to one, on a fast core.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from chainrule.checkpoint import Checkpoint, unlimited
from chainrule.graph.network import Layer

SEARCH, BLIND_SPOTS, PROBES = 5e9, 2e9, 2e9  # operations to find mistakes, blind spots, and a better probe

_OF_LAYER = 40_000.0  # the Python and the NumPy calls of one replayed layer
_OF_GROUP = 10_000.0  # the same for each group of its units
_OF_ELEMENT = 12.0  # dE/do, dE/da and their temporary arrays, for each sample and unit
_OF_SLOPE = 100.0  # a derivative of an activation, for each sample and unit
_OF_MULTIPLY_ADD = 0.125
_OF_WEIGHT = 8.0  # dE/dw of each weight, compared with another
_BEYOND_BUDGET = 60_000.0  # the calls of a replayed layer take so much longer than a budget counts


class BudgetSpent(Exception):
    """Raised when too few operations are left."""


@dataclass(eq=False)
class Portions:
    """A checkpoint that also admits the operations of a check, in portions.

    How far a check goes depends on the numbers, so only the first portion is predicted from the shapes. Each further
    portion doubles the operations that are done. So at least these are admitted, and after the first portion at most
    twice as many. Before a further portion, `admit` is called with all operations up to its end. It may wait, or raise.
    """

    checkpoint: Checkpoint
    admitted: float
    admit: Callable[[float], None]
    done: float = 0.0

    def __call__(self) -> None:
        """Call the checkpoint."""
        self.checkpoint()

    def take(self, operations: float) -> None:
        """Count operations before they are done."""
        self.done += operations
        if self.done > self.admitted:
            self.admitted = 2.0 * self.done
            self.admit(self.admitted)


@dataclass(eq=False)
class Budget:
    """The operations that are left to one part of a check."""

    operations: float
    checkpoint: Checkpoint | Portions = unlimited

    def take(self, operations: float) -> None:
        """Call the checkpoint, and subtract operations before they are done. Raises BudgetSpent if fewer are left."""
        self.checkpoint()
        self.operations -= operations
        if self.operations < 0.0:
            raise BudgetSpent
        if isinstance(self.checkpoint, Portions):
            self.checkpoint.take(operations + _BEYOND_BUDGET)


def operations_of_replays(counts: Mapping[bool, int], layer: Layer, samples: int) -> float:
    """The operations of so many replays of one layer, `counts` with and without new derivatives of activations."""
    each = {slopes: operations_of_layer(layer, samples, slopes) + _BEYOND_BUDGET for slopes in counts}
    return sum(count * each[slopes] for slopes, count in counts.items())


def operations_of_pass(layers: Sequence[Layer], samples: int) -> float:
    """The operations of a replay of all layers, the derivatives of their activations included."""
    return sum(operations_of_layer(layer, samples, slopes=True) for layer in layers)


def operations_of_layer(layer: Layer, samples: int, slopes: bool = False) -> float:
    """The operations of one replayed layer; `slopes` says whether its do/da is computed again."""
    n_in, n_out = layer.weights.shape
    of_sample = _OF_ELEMENT + (_OF_SLOPE if slopes else 0.0) + 2.0 * _OF_MULTIPLY_ADD * n_in
    of_unit = samples * of_sample + _OF_WEIGHT * n_in
    own: float = _OF_LAYER + _OF_GROUP * len(layer.groups) + of_unit * n_out
    return own
