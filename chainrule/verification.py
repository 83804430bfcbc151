"""The analytic gradients held against central differences of the loss, which know nothing of the chain rule.

    D(h) = (E(w + h) - E(w - h)) / 2h        dE/dw ≈ (4·D(h/2) - D(h)) / 3

The extrapolation leaves an error of the order h⁴; where the slope bends at w, as that of elu at 0 does, of the order h.
Another extrapolation, from h/2 and h/4, tells how good it is: while the two disagree, the step is made shorter.

Where a unit crosses a kink of its activation, or an output one of the loss, between w - h and w + h, the quotient means
nothing: the step is made shorter then, too. Parameters that sit on a kink are left out, and counted.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from chainrule.backprop import Activity, LayerGradient, forward, loss_gradient
from chainrule.catalogue import Array, quietly
from chainrule.checkpoint import Checkpoint, unlimited
from chainrule.losses import LossSpec
from chainrule.network import Layer, Network

METHOD = "central differences, extrapolated, with steps chosen for each parameter"
_EPSILON = float(np.finfo(np.float64).eps)
_STEP = float(_EPSILON**0.2)  # where truncation, about h⁴, is as large as rounding, about ε/h
_SHORTER, _STEPS = 32.0, 5  # down to 7e-10; at 2e-8, a bend of the slope leaves as much error as rounding does
_CLOSE = 1e-11
MOST_PASSES = 6 * _STEPS  # forward passes for one parameter


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
    left_out: int  # a kink, or a loss that is not finite, lies within every step
    worst: Comparison | None  # None where nothing could be checked


@quietly
def verify(
    network: Network,
    layers: tuple[LayerGradient, ...],
    targets: Array,
    loss: LossSpec,
    *,
    checkpoint: Checkpoint = unlimited,
) -> Verification:
    """Compare every derivative by a weight or bias with the quotient of differences of the loss.

    Takes six forward passes for each parameter, from its layer on; five times as many where nothing comes out well.
    """
    compared: list[Comparison | None] = []
    for k, layer in enumerate(layers):
        for comparison in _compare(network, k, layer, targets, loss):
            checkpoint()
            compared.append(comparison)
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
    """The upper part of a network, in which one parameter of the first layer is moved."""

    layers: tuple[Layer, ...]
    name: str  # of the array
    index: tuple[int, ...]
    x: Array
    targets: Array
    loss: LossSpec

    @property
    def parameter(self) -> float:
        """The parameter as it is."""
        return float(getattr(self.layers[0], self.name)[self.index])

    def longest_step(self) -> float:
        """The step that moves a by about eps^(1/5) of itself, or of 1: the larger the inputs, the shorter it is."""
        largest = float(np.abs(self.x[:, self.index[0]]).max()) if self.name == "weights" else 1.0
        moves = largest or 1.0
        return _STEP * max(1.0 / moves, abs(self.parameter))

    def to(self, value: float) -> tuple[float, list[Activity]]:
        """The loss, and all activities, with the parameter at another value."""
        array = getattr(self.layers[0], self.name).copy()
        array[self.index] = value
        moved = Network((replace(self.layers[0], **{self.name: array}), *self.layers[1:]))
        activities = forward(moved, self.x)
        return float(loss_gradient(activities[-1], self.targets, self.loss).losses.sum()), activities


@dataclass(frozen=True)
class _Estimate:
    """A derivative by differences, how far another is from it, from steps half as long, and what rounding may do."""

    value: float
    truncation: float
    rounding: float

    @property
    def error(self) -> float:
        """How far off it may be."""
        return self.truncation + self.rounding


def _numeric(moved: _Moved) -> float | None:
    """The best of the estimates from shorter and shorter steps, or None where a kink is in the way of all."""
    best: _Estimate | None = None
    for shorter in range(_STEPS):
        found = _estimate(moved, moved.longest_step() / _SHORTER**shorter)
        if found is None:
            continue
        if best is None or found.error < best.error:
            best = found
        if best.truncation <= max(best.rounding, _CLOSE * abs(best.value)):
            break
    return None if best is None else best.value


def _estimate(moved: _Moved, h: float) -> _Estimate | None:
    """From steps of h, h/2 and h/4; None where a kink, or a number that is not finite, is within the step."""
    w = moved.parameter
    (below, activities_below), (above, activities_above) = moved.to(w - h), moved.to(w + h)
    if any(_cross_a_kink(*pair) for pair in zip(activities_below, activities_above, strict=True)):
        return None
    if _loss_crosses_a_kink(moved, activities_below[-1].o, activities_above[-1].o):
        return None
    far = (above - below) / ((w + h) - (w - h))  # w + h is rounded, too
    near, nearest = _quotient(moved, h / 2), _quotient(moved, h / 4)
    value = (4 * near - far) / 3
    truncation = abs((4 * nearest - near) / 3 - value)
    rounding = 4 * _EPSILON * (abs(above) + abs(below)) / h
    return _Estimate(value, truncation, rounding) if np.isfinite(truncation) else None


def _quotient(moved: _Moved, h: float) -> float:
    above, below = moved.parameter + h, moved.parameter - h
    return (moved.to(above)[0] - moved.to(below)[0]) / (above - below)


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
