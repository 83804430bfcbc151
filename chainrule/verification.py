"""The analytic gradients held against central differences of the loss, which know nothing of the chain rule.

    D(h) = (E(w + h) - E(w - h)) / 2h        dE/dw ≈ (4·D(h/2) - D(h)) / 3

The extrapolation leaves an error of the order h⁴. Where a unit crosses a kink of its activation, or an output one of
the loss, between w - h and w + h, the quotient means nothing: such parameters are left out, and counted.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from chainrule.backprop import Activity, LayerGradient, forward, loss_gradient
from chainrule.catalogue import Array
from chainrule.losses import LossSpec
from chainrule.network import Layer, Network

METHOD = "central differences, extrapolated from two steps"
_STEP = np.finfo(np.float64).eps ** 0.2  # where truncation, about h⁴, is as large as rounding, about ε/h


@dataclass(frozen=True)
class Comparison:
    """One derivative found in two ways. The error is relative to the largest derivative of the same array."""

    layer: int
    unit_before: int | None  # None for a bias
    unit: int
    analytic: float
    numeric: float
    relative_error: float


@dataclass(frozen=True)
class Verification:
    """How the analytic derivatives by weights and biases compare with the numeric ones."""

    checked: int
    left_out: int  # a kink, or a loss that is not finite, lies within the step
    worst: Comparison | None  # None where nothing could be checked


def verify(network: Network, layers: tuple[LayerGradient, ...], targets: Array, loss: LossSpec) -> Verification:
    """Compare every derivative by a weight or bias with the quotient of differences of the loss.

    Takes four forward passes for each parameter, from its layer on.
    """
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        found = [list(_compare(network, k, layers[k], targets, loss)) for k in range(len(layers))]
    compared = [comparison for of_layer in found for comparison in of_layer]
    checked = [comparison for comparison in compared if comparison is not None]
    worst = max(checked, key=lambda comparison: comparison.relative_error, default=None)
    return Verification(len(checked), len(compared) - len(checked), worst)


def _compare(
    network: Network, k: int, gradient: LayerGradient, targets: Array, loss: LossSpec
) -> Iterator[Comparison | None]:
    """One comparison for every parameter of layer k; None where there is none to be had."""
    for name, analytic in (("weights", gradient.dE_dw), ("biases", gradient.dE_db)):
        if analytic is None:
            continue
        scale = float(np.abs(analytic).max()) or 1.0
        for index in np.ndindex(analytic.shape):
            numeric = _numeric(_Moved(network.layers[k:], name, index, gradient.da_dw, targets, loss))
            if numeric is None:
                yield None
                continue
            exact = float(analytic[index])
            unit_before = index[0] if name == "weights" else None
            yield Comparison(k, unit_before, index[-1], exact, numeric, abs(numeric - exact) / scale)


@dataclass(frozen=True)
class _Moved:
    """The upper part of a network, in which one parameter of the first layer is moved by a step."""

    layers: tuple[Layer, ...]
    name: str  # of the array
    index: tuple[int, ...]
    x: Array
    targets: Array
    loss: LossSpec

    def by(self, step: float) -> tuple[float, list[Activity]]:
        """The loss, and all activities, with the parameter moved."""
        array = getattr(self.layers[0], self.name).copy()
        array[self.index] += step
        moved = Network((replace(self.layers[0], **{self.name: array}), *self.layers[1:]))
        activities = forward(moved, self.x)
        return float(loss_gradient(activities[-1], self.targets, self.loss).losses.sum()), activities


def _numeric(moved: _Moved) -> float | None:
    """The derivative by differences, or None where a kink or a number that is not finite is in the way."""
    h = _STEP * max(1.0, abs(float(getattr(moved.layers[0], moved.name)[moved.index])))
    (below, activities_below), (above, activities_above) = moved.by(-h), moved.by(h)
    if any(_cross_a_kink(*pair) for pair in zip(activities_below, activities_above, strict=True)):
        return None
    if _loss_crosses_a_kink(moved, activities_below[-1].o, activities_above[-1].o):
        return None
    near = (moved.by(h / 2)[0] - moved.by(-h / 2)[0]) / h
    far = (above - below) / (2 * h)
    numeric = (4 * near - far) / 3
    return numeric if np.isfinite(numeric) else None


def _cross_a_kink(below: Activity, above: Activity) -> bool:
    """Whether some unit's pre-activation lies on different sides of a kink of its activation."""
    for group in below.layer.groups:
        phi = group.activation
        pairs = zip(phi.distances(below.a[:, group.units]), phi.distances(above.a[:, group.units]), strict=True)
        if any(_sides_differ(one, other) for (_, one), (_, other) in pairs):
            return True
    return False


def _loss_crosses_a_kink(moved: _Moved, below: Array, above: Array) -> bool:
    t = moved.loss.dense_targets(moved.targets, below.shape[1])
    pairs = zip(moved.loss.distances(below, t), moved.loss.distances(above, t), strict=True)
    return any(_sides_differ(one, other) for one, other in pairs)


def _sides_differ(below: Array, above: Array) -> bool:
    """Whether some number changes its sign, or leaves 0; one that stays on 0 is not touched by the step."""
    return bool(((np.sign(below) * np.sign(above) <= 0) & (below != above)).any())
