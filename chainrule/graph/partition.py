"""The units of a layer, divided into groups that share an activation: their outputs, and the Jacobian of all of them.

    o = φ(a)        a and o have the same shape; the units are along the last axis

The rows of a are its samples, and its positions in each sample where it has more than two axes. Shapes below: r rows,
j units.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chainrule.checkpoint import Checkpoint, unlimited
from chainrule.functions.activations import Activation, ActivationSpec
from chainrule.functions.jacobian import Jacobian
from chainrule.functions.tables import Array, quietly, shown
from chainrule.graph.batches import Batch, Group, batches, lone_batch
from chainrule.graph.blocks import BLOCK, Parts, in_blocks


def rows_of(x: Array) -> Array:
    """x as a matrix with the last axis of x: (r, j). A number for each sample is one unit."""
    if x.ndim == 2:
        return x
    return x.reshape(-1, x.shape[-1] if x.ndim > 1 else 1)


@dataclass(frozen=True, eq=False)
class Partition:
    """The activation of every unit of a layer: one for all units, or a tuple with one for each.

    Raises ValueError for anything else.
    """

    activation: ActivationSpec | tuple[ActivationSpec, ...]
    groups: tuple[Group, ...] = field(init=False, repr=False)
    batches: tuple[Batch, ...] = field(init=False, repr=False)  # the same groups, as they are computed
    lone: Batch | None = field(init=False, repr=False)  # the only batch, if it is the whole layer, column by column

    def __post_init__(self) -> None:
        _check_specs(self.activation)
        object.__setattr__(self, "groups", _groups(self.activation))
        object.__setattr__(self, "batches", batches(self.groups))
        first = self.batches[0]
        object.__setattr__(self, "lone", first if isinstance(first.units, slice) else None)

    def outputs(self, a: Array, *, checkpoint: Checkpoint = unlimited) -> Array:
        """o at the pre-activations a. Overflow warns, unless the caller has the decorator `quietly`."""
        if a.ndim != 2:
            return self.outputs(rows_of(a), checkpoint=checkpoint).reshape(a.shape)
        if a.size <= BLOCK:
            return self._outputs(a)
        (o,) = in_blocks(lambda rows: (self._outputs(a[rows]),), len(a), a.shape[1], checkpoint)
        return o  # type: ignore[no-any-return]

    def _outputs(self, a: Array) -> Array:
        if self.lone is not None:
            return self.lone.value(a)
        o = np.empty_like(a)
        for batch in self.batches:
            batch.put(batch.value(batch.take(a)), o)
        return o

    def outputs_and_jacobian(self, a: Array) -> tuple[Array, Jacobian, Any] | None:
        """o, do/da and what a stable pair reuses. None if o and do/da share no exponential, or a is large."""
        if self.lone is None or a.size > BLOCK:
            return None
        if a.ndim == 2:
            return self.lone.value_and_jacobian(a)
        found = self.lone.value_and_jacobian(rows_of(a))
        return None if found is None else (found[0].reshape(a.shape), *found[1:])

    def jacobian(self, a: Array, *, checkpoint: Checkpoint = unlimited) -> "LayerJacobian":
        """do/da at the pre-activations a. Overflow warns, unless the caller has the decorator `quietly`."""
        rows = rows_of(a)
        if a.size <= BLOCK:
            return LayerJacobian(self, self._jacobian(rows))
        return LayerJacobian(
            self, Jacobian(*in_blocks(lambda some: self._jacobian(rows[some]), len(rows), rows.shape[1], checkpoint))
        )

    def _jacobian(self, a: Array) -> Jacobian:
        if self.lone is not None:
            return self.lone.jacobian(a)
        return _put_together(a.shape, ((batch, batch.jacobian(batch.take(a))) for batch in self.batches))


def partition_of(activation: ActivationSpec | tuple[ActivationSpec, ...]) -> Partition:
    """The partition for an activation; the same object for the same activation without parameters."""
    if isinstance(activation, ActivationSpec) and not activation.values and activation.group is None:
        return _partition_of_row(activation.activation)
    return Partition(activation)


@cache
def _partition_of_row(activation: Activation) -> Partition:
    return Partition(ActivationSpec(activation))


class LayerJacobian(NamedTuple):
    """do/da of a whole layer.

    `whole` has the numbers of every unit, (r, j). Its `left` and `right` are 0 for units that act alone, and None if
    all units of the layer act alone. The groups of the partition say which units act on each other.
    """

    partition: Partition
    whole: Jacobian

    @classmethod
    def of_groups(cls, partition: Partition, parts: Sequence[Jacobian]) -> "LayerJacobian":
        """The Jacobian of a layer from one for each of its groups, in their order."""
        if len(parts) == 1:
            return cls(partition, parts[0])
        alone = (lone_batch(group) for group in partition.groups)
        shape = len(parts[0].diagonal), sum(part.diagonal.shape[1] for part in parts)
        return cls(partition, _put_together(shape, zip(alone, parts, strict=True)))

    @property
    def parts(self) -> tuple[Jacobian, ...]:
        """The Jacobian of each group of the layer, in their order."""
        return tuple(_columns(self.whole, group) for group in self.partition.groups)

    def dE_da(self, dE_do: Array, *, checkpoint: Checkpoint = unlimited) -> Array:
        """Σ_m dE/do_m · do_m/da_j, in the shape of dE/do."""
        if dE_do.ndim != 2:
            return self.dE_da(rows_of(dE_do), checkpoint=checkpoint).reshape(dE_do.shape)
        if dE_do.size <= BLOCK or self.whole.left is None:
            return self._dE_da(dE_do)

        def of_rows(rows: slice) -> Parts:
            some = Jacobian(*(None if array is None else array[rows] for array in self.whole))  # type: ignore[arg-type]
            return (LayerJacobian(self.partition, some)._dE_da(dE_do[rows]),)

        (dE_da,) = in_blocks(of_rows, len(dE_do), dE_do.shape[1], checkpoint)
        return dE_da  # type: ignore[no-any-return]

    def _dE_da(self, dE_do: Array) -> Array:
        if self.whole.left is None or self.whole.right is None or self.partition.lone is not None:
            return self.whole.dE_da(dE_do)
        dE_da = dE_do * self.whole.diagonal
        for batch in self.partition.batches:
            if not batch.activation.elementwise:
                left, right = batch.take(self.whole.left), batch.take(self.whole.right)
                part = Jacobian(batch.take(self.whole.diagonal), left, right)
                batch.put(part.dE_da(batch.take(dE_do)), dE_da)
        return dE_da

    def finite(self) -> NDArray[np.bool_]:
        """Whether the derivatives of each unit's output are finite, (r, j), without making a matrix."""
        return self.whole.finite()

    @quietly
    def array(self) -> Array:
        """do/da: (r, j) where all activations are elementwise, else the matrices `[r, j, m]` = do_j/da_m."""
        diagonal, left, right = self.whole
        if left is None or right is None or self.partition.lone is not None:
            return self.whole.array()
        every = np.arange(diagonal.shape[1])
        matrix = np.zeros((*diagonal.shape, len(every)))
        for batch in self.partition.batches:
            if not batch.activation.elementwise:
                units = every[batch.units][None] if batch.members is None else batch.members
                rows, columns = units[:, :, None], units[:, None, :]
                matrix[:, rows, columns] = -left[:, rows] * right[:, columns]
        matrix[:, every, every] = diagonal
        return matrix


def _put_together(shape: tuple[int, ...], parts: Iterable[tuple[Batch, Jacobian]]) -> Jacobian:
    """The Jacobian of a layer, (r, j), from those of its batches, or of its groups as batches."""
    whole = Jacobian(np.empty(shape))
    for batch, part in parts:
        if part.left is not None and whole.left is None:
            whole = Jacobian(whole.diagonal, np.zeros_like(whole.diagonal), np.zeros_like(whole.diagonal))
        for array, numbers in zip(whole, part, strict=True):
            if array is not None and numbers is not None:
                batch.put(numbers, array)
    return whole


def _columns(whole: Jacobian, group: Group) -> Jacobian:
    """The Jacobian of one group of a layer, from that of the layer."""
    if group.activation.activation.elementwise or whole.left is None or whole.right is None:
        return Jacobian(whole.diagonal[:, group.units])
    return Jacobian(*(array[:, group.units] for array in (whole.diagonal, whole.left, whole.right)))


def _check_specs(activation: object) -> None:
    specs = activation if isinstance(activation, tuple) else (activation,)
    if not specs:
        raise ValueError("activation must be one ActivationSpec, or one for each unit, not an empty tuple")
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
