"""The analytic gradients held against central differences of the loss, which know nothing of the chain rule.

    D(h) = (E(w + h) - E(w - h)) / 2h        dE/dw ≈ (4·D(h/2) - D(h)) / 3

The extrapolation leaves an error of the order h⁴; where the slope bends at w, as that of elu at 0 does, of the order h.
Another extrapolation, from h/2 and h/4, tells how good it is: while the two disagree, the step is made shorter.

Where a unit crosses a kink of its activation, or an output one of the loss, between w - h and w + h, the quotient means
nothing: the step is made shorter then, too. Parameters that sit on a kink are left out, and counted.

A loss of float64 numbers is rounded, and so is every number that it is made of. Over a short step that becomes noise of
the quotient. Twenty sigmoids on top of each other leave a derivative of 1e-13, which no difference of losses near 1 can
show: it is off by as much as it is large. So every error is told with the noise of its quotient beside it.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chainrule.checkpoint import Checkpoint, unlimited
from chainrule.functions.losses import LossSpec
from chainrule.functions.tables import Array, quietly
from chainrule.graph.backprop import LayerGradient
from chainrule.graph.moved import Moved, Parameters, moved, parameters_of
from chainrule.graph.network import Network
from chainrule.graph.noise import noise_of_losses

METHOD = "central differences, extrapolated, with steps chosen for each parameter"
_EPSILON = float(np.finfo(np.float64).eps)
_STEP = float(_EPSILON**0.2)  # where truncation, about h⁴, is as large as rounding, about ε/h
_SHORTER, _STEPS = 32.0, 5  # down to 7e-10; at 2e-8, a bend of the slope leaves as much error as rounding does
_CLOSE = 1e-11
_SMALLEST = 5e-324  # a loss below float64's normal range is off by up to this
_TINY = float(np.finfo(np.float64).tiny)  # derivatives below it have lost their digits
_MOVES = np.array([-1.0, 1.0, -0.5, 0.5, -0.25, 0.25])  # in steps
MOST_PASSES = len(_MOVES) * _STEPS  # forward passes for one parameter


@dataclass(frozen=True)
class Comparison:
    """One derivative found in two ways. Error and noise are relative to the largest derivative of the same array.

    The noise is what the numeric derivative may be off by: the rounding of the loss over the step, and truncation.
    """

    layer: int
    unit_before: int | None  # None for a bias
    unit: int
    analytic: float
    numeric: float
    relative_error: float
    noise: float


@dataclass(frozen=True)
class Verification:
    """How the analytic derivatives by weights and biases compare with the numeric ones."""

    checked: int
    left_out: int  # a kink, or a loss that is not finite, lies within every step
    worst: Comparison | None  # the largest relative error; None where nothing could be checked
    disagreeing: int  # how many derivatives differ by more than the noise of their numeric one
    worst_beyond_noise: Comparison | None  # that of them whose error is the largest multiple of its noise

    @property
    def agrees(self) -> bool:
        """Whether no derivative differs by more than the noise of its numeric one."""
        return not self.disagreeing


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
    base, parameters = moved(network, layers[0].da_dw, targets, loss, checkpoint), parameters_of(network)
    found = _best_estimates(base, parameters)
    analytic, scale = _analytic(layers)
    of_loss = noise_of_losses(base, layers, parameters)
    noise, difference = found.error(of_loss) + _noise_of_analytic(layers), np.abs(found.value - analytic)
    checked = np.flatnonzero(found.known)
    doubtful = checked[difference[checked] > noise[checked]]
    noise[doubtful] = _doubted(
        base, parameters.some(doubtful), found.some(doubtful), of_loss[doubtful], noise[doubtful]
    )
    numbers = (analytic, found.value, difference / scale, noise / scale)
    noise[doubtful[of_loss[doubtful] > np.abs(base.single_losses()).sum()]] = np.inf  # rounding is larger than the loss
    numbers = (analytic, found.value, difference / scale, noise / scale)
    beyond = doubtful[difference[doubtful] > noise[doubtful]]
    return Verification(
        checked=len(checked),
        left_out=len(analytic) - len(checked),
        worst=_largest(checked, difference / scale, parameters, numbers),
        disagreeing=len(beyond),
        worst_beyond_noise=_largest(beyond, difference / noise, parameters, numbers),
    )


def _largest(
    some: NDArray[np.intp], by: Array, parameters: Parameters, numbers: tuple[Array, ...]
) -> Comparison | None:
    """The comparison of that parameter of some that has the largest of these numbers."""
    if not len(some):
        return None
    p = int(some[np.argmax(by[some])])
    layer, before, unit = (int(array[p]) for array in parameters[:3])
    return Comparison(layer, None if before < 0 else before, unit, *(float(array[p]) for array in numbers))


def _analytic(layers: tuple[LayerGradient, ...]) -> tuple[Array, Array]:
    """The derivatives in the order of `parameters_of`, and the largest of the array that each is in."""
    arrays = [array for layer in layers for array in (layer.dE_dw, layer.dE_db) if array is not None]
    scales = [float(np.abs(array).max(initial=0.0)) or 1.0 for array in arrays]
    sizes = [array.size for array in arrays]
    return np.concatenate([array.ravel() for array in arrays]), np.repeat(scales, sizes)


def _noise_of_analytic(layers: tuple[LayerGradient, ...]) -> Array:
    """What rounding may do to the analytic derivatives themselves: to the sum of dE/da · da/dw over the samples."""
    parts = []
    for layer in layers:
        by_unit = 16.0 * _EPSILON * np.abs(layer.dE_da).sum(axis=0)
        parts.append(np.outer(np.abs(layer.da_dw).max(axis=0), by_unit).ravel())
        if layer.dE_db is not None:
            parts.append(by_unit)
    return np.concatenate(parts) + 16.0 * _TINY


class _Estimates(NamedTuple):
    """Derivatives by differences, (n,)."""

    value: Array
    truncation: Array  # how far another is from it, from steps half as long
    rounding: Array  # what rounding of the loss may do
    step: Array
    known: NDArray[np.bool_]  # no kink, and no number that is not finite, was within the step

    def error(self, noise_of_loss: Array) -> Array:
        """How far off they may be, where each loss is off by up to so much.

        (4·D(h/2) - D(h))/3 takes up to 3/h of it. Where the slope bends, truncation is half of the error.
        """
        return 4.0 * self.truncation + self.without_truncation(noise_of_loss)

    def without_truncation(self, noise_of_loss: Array) -> Array:
        """The part of the error that is due to rounding."""
        return self.rounding + (3.0 * noise_of_loss + 4.0 * _SMALLEST) / self.step

    def some(self, which: NDArray[np.intp]) -> "_Estimates":
        """Those of some parameters, in their order."""
        value, truncation, rounding, step, known = self
        return _Estimates(value[which], truncation[which], rounding[which], step[which], known[which])


def _best_estimates(base: Moved, parameters: Parameters) -> _Estimates:
    """The best of the estimates from shorter and shorter steps."""
    n = len(parameters.value)
    best = _Estimates(np.full(n, np.nan), np.zeros(n), np.zeros(n), np.ones(n), np.zeros(n, dtype=np.bool_))
    longest, active = _longest_steps(base, parameters), np.arange(n)
    for shorter in range(_STEPS):
        if not len(active):
            break
        found = _estimates(base, parameters.some(active), longest[active] / _SHORTER**shorter)
        closer = found.truncation + found.rounding < (best.truncation + best.rounding)[active]
        better = found.known & (closer | ~best.known[active])
        for array, new in zip(best, found, strict=True):
            array[active[better]] = new[better]
        done = best.truncation <= np.maximum(best.rounding, _CLOSE * np.abs(best.value))
        active = active[~(found.known & done[active])]
    return best


def _doubted(base: Moved, parameters: Parameters, best: _Estimates, noise_of_loss: Array, noise: Array) -> Array:
    """The noise of estimates that the analytic derivative is not within: larger where other steps tell otherwise.

    Steps nearly as long show an agreement by chance: where a slope bends at 0.27 h, the two extrapolations are equal,
    and both wrong. Much shorter steps show what all longer ones jump over: the waves of a sine, on which they disagree
    by more than rounding explains, or kinks. Beyond kinks, nothing is known: the noise is infinite.
    """
    for factor in (0.7, 0.4):
        found = _estimates(base, parameters, best.step * factor)
        apart = 4.0 * (np.abs(found.value - best.value) + found.truncation)
        noise = np.where(found.known, np.maximum(noise, apart), noise)
    for shorter in range(1, _STEPS):
        found = _estimates(base, parameters, best.step / _SHORTER**shorter)
        apart = 4.0 * (np.abs(found.value - best.value) + found.truncation)
        jumped = found.known & (found.truncation > found.without_truncation(noise_of_loss))
        noise = np.where(jumped, np.maximum(noise, apart), np.where(found.known, noise, np.inf))
    return noise


def _longest_steps(base: Moved, parameters: Parameters) -> Array:
    """Steps that move a by about eps^(1/5) of itself, or of 1: the larger the inputs, the shorter they are."""
    largest = [np.append(np.abs(activity.x).max(axis=0), 1.0) for activity in base.activities]  # 1 for a bias, at -1
    moves = np.empty(len(parameters.value))
    for k, of_layer in enumerate(largest):
        here = parameters.layer == k
        moves[here] = of_layer[parameters.before[here]]
    moves[moves == 0.0] = 1.0
    return _STEP * np.maximum(1.0 / moves, np.abs(parameters.value))


def _estimates(base: Moved, parameters: Parameters, h: Array) -> _Estimates:
    """From steps of h, h/2 and h/4."""
    w = parameters.value[:, None]
    moves = (w + h[:, None] * _MOVES) - w  # w + h is rounded, too
    losses, crossed = base.losses(parameters, moves)
    far, near, nearest = ((losses[:, k + 1] - losses[:, k]) / (moves[:, k + 1] - moves[:, k]) for k in (0, 2, 4))
    value = (4 * near - far) / 3
    truncation = np.abs((4 * nearest - near) / 3 - value)
    rounding = 4 * _EPSILON * (np.abs(losses[:, 0]) + np.abs(losses[:, 1])) / h
    return _Estimates(value, truncation, rounding, h, np.isfinite(truncation) & ~crossed)
