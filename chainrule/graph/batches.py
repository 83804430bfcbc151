"""Batches: the groups of a layer that one NumPy call can compute together.

A layer may have hundreds of groups: a slope for every unit, or a softmax for every label. Groups of the same row of the
table differ in their parameters alone. Elementwise groups become one array of columns, with parameters as arrays over
the columns. Vector-valued groups of the same size are stacked as samples: two softmaxes of three units over s samples
are one of three units over 2s samples.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.functions.activations import Activation, ActivationSpec
from chainrule.functions.jacobian import Jacobian
from chainrule.functions.tables import Array, Value, quietly

Units = slice | NDArray[np.intp]


@dataclass(frozen=True)
class Group:
    """Units of one layer that share an activation, parameters included; a softmax runs over its group."""

    activation: ActivationSpec
    units: Units


@dataclass(frozen=True, eq=False)
class Batch:
    """Groups of one row of the table.

    `units` are their columns, in the order of the groups. `values` are the parameters: a number that all groups share,
    or an array with one for each column, or one for each group where groups are stacked.
    """

    activation: Activation
    values: tuple[Value | Array, ...]
    groups: tuple[Group, ...]
    units: Units
    members: NDArray[np.intp] | None = None  # (groups, units of a group), where groups are stacked

    @property
    def is_layer(self) -> bool:
        """Whether the batch is its whole layer, column by column; `take` and `put` then keep all columns in place."""
        return isinstance(self.units, slice)

    def take(self, x: Array) -> Array:
        """The batch's columns of x, (s, j): (s, columns), or (groups · s, units of a group) where groups are stacked.

        The memory layout of stacked columns is that of `x[:, units]`, along the samples. So sums over the units add in
        the same order, and are equal to the last bit.
        """
        if self.members is None:
            return x[:, self.units]
        if len(x) == 1:
            alone: Array = x[0, self.members]
            return alone
        stacked: Array = x.T[self.members.T]
        return stacked.reshape(len(stacked), -1).T

    def put(self, part: Array, whole: NDArray[Any]) -> None:
        """Write `part` to the elements of `whole`, (s, j), that `take` would read."""
        if self.members is None:
            whole[:, self.units] = part
        elif len(whole) == 1:
            whole[0, self.members] = part
        else:
            whole.T[self.members.T] = part.T.reshape(*self.members.T.shape, len(whole))

    def columns(self, part: Array) -> Array:
        """Rearrange what `take` returns into columns in the order of `units`, (s, columns)."""
        if self.members is None:
            return part
        samples = len(part) // len(self.members)
        if samples == 1:
            return part.reshape(1, -1)
        return part.T.reshape(*self.members.T.shape, samples).transpose(2, 1, 0).reshape(samples, -1)

    def parameters(self, rows: int) -> tuple[Value | Array, ...]:
        """The parameters, in the form that the functions of the table take them with that many rows of `take`."""
        if self.members is None:
            return self.values
        samples = rows // len(self.members)
        return tuple(np.repeat(v, samples)[:, None] if isinstance(v, np.ndarray) else v for v in self.values)

    def at_units(self, units: NDArray[np.intp], numbers: Value | Array) -> Value | Array:
        """Numbers of the columns, such as parameters or kinks, for some units that act alone, (n, 1)."""
        if not isinstance(numbers, np.ndarray):
            return numbers
        places = np.searchsorted(self.units, units) if isinstance(self.units, np.ndarray) else units
        some: Array = numbers[places][:, None]
        return some

    def value(self, a: Array) -> Array:
        """o = φ(a), for a as `take` gives it. Overflow warns, unless the caller has the decorator `quietly`."""
        return self.activation.value(a, *(self.values if self.members is None else self.parameters(len(a))))

    def value_and_jacobian(self, a: Array) -> tuple[Array, Jacobian, Any] | None:
        """o, do/da and what a stable pair reuses, for a batch that is its whole layer.

        None if o and do/da share no exponential.
        """
        if self.activation.both is None:
            return None
        o, do_da, shared = self.activation.both(a, *self.values)
        return o, do_da if self.activation.jacobian is not None else Jacobian(do_da), shared

    def jacobian(self, a: Array) -> Jacobian:
        """do/da, for a as `take` gives it. Overflow warns, unless the caller has the decorator `quietly`."""
        row, values = self.activation, self.values if self.members is None else self.parameters(len(a))
        if row.jacobian is not None:
            return row.jacobian(a, *values)
        assert row.slope is not None, f"{row.name} has no derivative"  # noqa: S101  a row has one of the two
        return Jacobian(row.slope(a, *values))

    @cached_property
    def kinks(self) -> tuple[Array | float, ...]:
        """The first kink of every unit, the second, and so on: a number, or one for each column; NaN if it has none."""
        found = [[kink.at for kink in group.activation.kinks()] for group in self.groups]
        most = max(map(len, found))
        if all(own == found[0] for own in found):
            return tuple(found[0])
        padded = np.array([own + [np.nan] * (most - len(own)) for own in found])
        listed = np.concatenate([_columns(group) for group in self.groups])
        return tuple(_for_columns(at, self.groups, listed) for at in padded.T)  # type: ignore[misc]

    @quietly
    def distances(self, a: Array) -> list[Array]:
        """The signed distance of each unit from each kink or border, for a as `take` gives it."""
        border = self.activation.border
        distances = [a - at for at in self.kinks]
        return distances if border is None else [*distances, border.distance(a, *self.parameters(len(a)))]


def lone_batch(group: Group) -> Batch:
    """A batch of one group."""
    return Batch(group.activation.activation, group.activation.values, (group,), group.units)


def batches(groups: Sequence[Group]) -> tuple[Batch, ...]:
    """The groups of a layer, combined into as few batches as possible."""
    if len(groups) == 1:
        return (lone_batch(groups[0]),)
    alike: dict[object, list[Group]] = {}
    for group in groups:
        row = group.activation.activation
        words = tuple(value for value in group.activation.values if isinstance(value, str))
        alike.setdefault((row, words, 0 if row.elementwise else len(_columns(group))), []).append(group)
    whole_layer = len(alike) == 1
    return tuple(_batch(tuple(some), whole_layer) for some in alike.values())


def _columns(group: Group) -> NDArray[np.intp]:
    """The units of a group that is one of several."""
    assert isinstance(group.units, np.ndarray)  # noqa: S101  a slice is a lone group's
    return group.units


def _batch(groups: tuple[Group, ...], whole_layer: bool) -> Batch:
    if len(groups) == 1:
        return lone_batch(groups[0])
    row = groups[0].activation.activation
    listed = np.concatenate([_columns(group) for group in groups])
    if not row.elementwise:
        values = tuple(_shared(own) for own in _by_parameter(groups))
        return Batch(row, values, groups, listed, listed.reshape(len(groups), -1))
    values = tuple(_for_columns(_shared(own), groups, listed) for own in _by_parameter(groups))
    return Batch(row, values, groups, slice(None) if whole_layer else np.sort(listed))


def _by_parameter(groups: tuple[Group, ...]) -> Iterator[tuple[Value, ...]]:
    """The values of the first parameter in all groups, those of the second, and so on."""
    yield from zip(*(group.activation.values for group in groups), strict=True)


def _shared(values: tuple[Value, ...]) -> Value | Array:
    """The value that all groups share, or an array of the values. 0 and -0 count as different."""
    return values[0] if len(set(map(repr, values))) == 1 else np.array(values, dtype=np.float64)


def _for_columns(values: Value | Array, groups: tuple[Group, ...], listed: NDArray[np.intp]) -> Value | Array:
    """Expand one value for each group to one for each column, in the order of the columns; a shared value stays."""
    if not isinstance(values, np.ndarray):
        return values
    each = np.repeat(values, [len(_columns(group)) for group in groups])
    ordered: Array = each[np.argsort(listed)]
    return ordered
