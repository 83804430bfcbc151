"""Notices about a result: numbers that are not finite, units on kinks, and targets out of range."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chainrule.checkpoint import unlimited
from chainrule.functions.activations import ActivationSpec, Kink
from chainrule.functions.losses import LossSpec
from chainrule.functions.tables import Array, Border, quietly
from chainrule.graph.arguments import check_chain, check_gradients, check_kind, check_same_network
from chainrule.graph.backprop import Gradients, LayerGradient
from chainrule.graph.blocks import BLOCK, in_blocks
from chainrule.graph.network import Layer, Network
from chainrule.graph.numbers import FEW


@dataclass(frozen=True)
class NonFinite:
    """One number that is not finite: its quantity and its position. Indices that do not apply are None."""

    quantity: str
    value: float
    layer: int | None = None
    sample: int | None = None
    unit: int | None = None  # of the layer; of the inputs for dE/dx
    unit_before: int | None = None  # the weight's other end, for a derivative by a weight


def first_non_finite(result: Gradients) -> NonFinite | None:
    """The first number of a result that is not finite, in the order of the computation.

    The factors do/da and dE/do do not count: with a stable pair, the derivatives can be right without them.
    """
    return None if np.isfinite(_total(result)) else _first(_in_order(result))


@quietly
def _total(result: Gradients) -> float:
    """The sum of all numbers that count. If it is finite, they all are; this is faster than a test of each array."""
    total = result.loss + _sum(result.dE_dx)
    if result.losses.shape == result.outputs.shape:
        total += _sum(result.losses)
    for activity, _, _, dE_da, derivatives, _ in result.layers:
        total += _sum(activity.a) + _sum(activity.o) + _sum(dE_da)
        for derivative in derivatives.values():
            total += _sum(derivative)
    return total


def _sum(array: Array) -> float:
    return sum(array.ravel().tolist()) if array.size <= FEW else float(np.add.reduce(array, None))


def check_result(network: Network, result: Gradients) -> None:
    """Raise ValueError unless `result` is what `gradients` returns for this chain, with finite derivatives."""
    check_kind("result", result, Gradients, "gradients")
    check_gradients(network, result.layers, LayerGradient)
    check_same_network(network, (gradient.activity.layer for gradient in result.layers))
    check_chain(network, result.layers[0].da_dw)


def check_finite(result: Gradients) -> None:
    """Raise ValueError if any number of a result is not finite."""
    if (found := first_non_finite(result)) is not None:
        raise ValueError(f"result must be finite, but {found.quantity} is {found.value:g} somewhere")


def first_non_finite_parameter(network: Network) -> NonFinite | None:
    """The first weight or bias of a network that is not finite."""
    return _first(_parameters(network))


Named = tuple[int | None, str, tuple[str, ...], Array]  # layer, quantity, what the axes run over, numbers


def _first(arrays: Iterator[Named]) -> NonFinite | None:
    for layer, quantity, axes, array in arrays:
        finite = np.isfinite(array)
        if np.count_nonzero(finite) < array.size:  # half the time of finite.all() for small ones
            where = tuple(np.argwhere(~finite)[0].tolist())
            return NonFinite(quantity, float(array[where]), layer, **dict(zip(axes, where, strict=True)))
    return None


def _in_order(result: Gradients) -> Iterator[Named]:
    units = ("sample", "unit")
    for k, layer in enumerate(result.layers):
        yield k, "a", units, layer.a
        yield k, "o", units, layer.o
    has_parts = result.losses.shape == result.outputs.shape  # a loss of the whole sample belongs to no unit
    yield len(result.layers) - 1, "loss", units, result.losses if has_parts else result.losses[:, :0]
    yield None, "sample_loss", ("sample",), result.sample_losses
    yield None, "loss", (), np.array(result.loss)
    for k, layer in reversed(list(enumerate(result.layers))):
        yield k, "dE_da", units, layer.dE_da
        yield k, "dE_dw", ("unit_before", "unit"), layer.dE_dw
        if layer.dE_db is not None:
            yield k, "dE_db", ("unit",), layer.dE_db
    yield None, "dE_dx", units, result.dE_dx


def _parameters(network: Network) -> Iterator[Named]:
    for k, layer in enumerate(network.layers):
        yield k, "weight", ("unit_before", "unit"), layer.weights
        if layer.biases is not None:
            yield k, "bias", ("unit",), layer.biases


@dataclass(frozen=True)
class OnKink:
    """A unit that sits exactly on a kink of its activation in some samples, or on a border of its group."""

    layer: int
    unit: int
    samples: tuple[int, ...]
    activation: ActivationSpec
    kink: Kink | Border


def units_on_kinks(result: Gradients) -> Iterator[OnKink]:
    """Yield every unit that sits on a kink in some sample: layer by layer, group by group, kink by kink."""
    for k, layer in enumerate(result.layers):
        if _is_smooth(layer.activity.layer):
            continue
        masks = _kink_masks(layer.activity.layer, layer.a)
        hits = [
            (rank, unit)
            for rank, mask in enumerate(masks)
            if np.count_nonzero(mask)
            for unit in np.flatnonzero(mask.any(axis=0)).tolist()
        ]
        if hits:
            groups = _group_of_each(layer.activity.layer)
            for rank, unit in sorted(hits, key=lambda hit: (groups[hit[1]], *hit)):
                phi = layer.activity.layer.activations[unit]
                samples = tuple(np.flatnonzero(masks[rank][:, unit]).tolist())
                yield OnKink(k, unit, samples, phi, (*phi.kinks(), phi.activation.border)[rank])  # type: ignore[arg-type]


def _is_smooth(layer: Layer) -> bool:
    """Whether a layer has one group and this has no kinks. Layers of several groups are not tested."""
    if len(layer.groups) > 1:
        return False
    spec = layer.groups[0].activation
    return spec.activation.border is None and not spec.kinks()


def _kink_masks(layer: Layer, a: Array) -> list[NDArray[np.bool_]]:
    """Masks, (s, j), of the units that sit on their first kink, on their second, and so on."""
    if layer.lone is not None and len(layer.groups) == 1 and layer.lone.activation.border is None:
        return [a == kink.at for kink in layer.groups[0].activation.kinks()]
    if layer.lone is not None and a.size <= BLOCK:
        return [distance == 0.0 for distance in layer.lone.distances(a)]
    most = max(len(batch.kinks) + (batch.activation.border is not None) for batch in layer.batches)
    if not most:
        return []

    def of_samples(rows: slice) -> list[NDArray[np.bool_]]:
        masks = [np.zeros(a[rows].shape, dtype=np.bool_) for _ in range(most)]
        for batch in layer.batches:
            for mask, distance in zip(masks, batch.distances(batch.take(a[rows])), strict=False):
                batch.put(distance == 0.0, mask)
        return masks

    return list(in_blocks(of_samples, len(a), layer.units, unlimited))


def _group_of_each(layer: Layer) -> list[int]:
    """The index of the group that each unit belongs to."""
    found = np.zeros(layer.units, dtype=int)
    for g, group in enumerate(layer.groups):
        found[group.units] = g
    return found.tolist()


def factors_not_finite(result: Gradients) -> Iterator[tuple[str, int, int, int]]:
    """Yield (factor, layer, sample, unit) of every dE/do and do/da that is not finite."""
    for k, layer in enumerate(result.layers):
        for factor, finite in (("dE_do", np.isfinite(layer.dE_do)), ("do_da", layer.do_da.finite())):
            if np.count_nonzero(finite) < finite.size:
                for sample, unit in _positions(~finite):
                    yield factor, k, sample, unit


def targets_out_of_range(loss: LossSpec, targets: Array) -> Iterator[tuple[int, int]]:
    """Yield (sample, output) of every target outside the target range of the loss, if it has one."""
    if loss.loss.target_range is not None:
        lowest, highest = loss.loss.target_range
        yield from _positions((targets < lowest) | (targets > highest))


def outputs_on_kinks(loss: LossSpec, outputs: Array, targets: Array) -> Iterator[tuple[int, int, Border]]:
    """Yield (sample, output, border) of every output where the loss has no derivative; targets are dense."""
    distances = loss.distances(outputs, targets)
    for border, distance in zip(loss.loss.borders, distances, strict=True):
        for sample, output in _positions(distance == 0.0):
            yield sample, output, border


def _positions(mask: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    if np.count_nonzero(mask):  # rarely true; the next line takes ten times as long as this test
        yield from zip(*(axis.tolist() for axis in np.nonzero(mask)), strict=True)
