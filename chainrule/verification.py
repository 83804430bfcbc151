"""Compare the analytic gradients with central differences of the loss, which do not use the chain rule.

    D(h) = (E(w + h) - E(w - h)) / 2h        dE/dw ≈ (4·D(h/2) - D(h)) / 3

The error of the extrapolation is of the order h⁴. If the slope bends at w, as that of elu at 0, it is of the order h.
A second extrapolation, from h/2 and h/4, estimates the error: while the two disagree, the step is shortened.

If a unit crosses a kink of its activation between w - h and w + h, or an output a kink of the loss, the quotient is
meaningless: the step is shortened then, too. Parameters that sit on a kink are left out, and counted.

The loss is rounded to float64, and so is every number from which it is computed. Divided by a short step, this rounding
is the noise of the quotient. Below twenty sigmoid layers a derivative is 1e-13; a difference of losses near 1 cannot
resolve it, and its error is as large as the derivative. So every error is reported together with the noise of its
quotient.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chainrule.checkpoint import Checkpoint, unlimited
from chainrule.functions.losses import LossSpec
from chainrule.functions.tables import Array, quietly
from chainrule.graph.arguments import check_gradients, check_request
from chainrule.graph.backprop import LayerGradient
from chainrule.graph.moved import Moved, Parameters, moved, parameters_of
from chainrule.graph.network import Network
from chainrule.graph.noise import noise_of_losses, slopes_lost

METHOD = "central differences, extrapolated, with steps chosen for each parameter"
_EPSILON = float(np.finfo(np.float64).eps)
_STEP = float(_EPSILON**0.2)  # where truncation, about h⁴, is as large as rounding, about ε/h
_SHORTER = tuple(32.0**k for k in range(1, 5))  # down to 7e-10: a bend of the slope leaves less error than rounding
_CLOSE = 1e-11
_WORSE, _AS_LARGE = 2.0, 0.25  # steps 32 times as short make waves 32 times as steep
_SMALLEST = 5e-324  # a loss below float64's normal range is off by up to this
_TINY = float(np.finfo(np.float64).tiny)  # derivatives below it have lost their digits
_MOVES = np.array([-1.0, 1.0, -0.5, 0.5, -0.25, 0.25])  # in steps


@dataclass(frozen=True)
class Comparison:
    """One derivative, analytic and numeric. Error and noise are relative to the largest derivative of the same array.

    The noise bounds the error of the numeric derivative: the rounding of the loss over the step, and truncation.
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
    worst_beyond_noise: Comparison | None  # the disagreeing derivative with the largest ratio of error to noise

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
    """Compare every derivative by a weight or bias with a difference quotient of the loss.

    Takes six forward passes for each parameter, from its layer on, and up to five times as many where slopes bend. A
    parameter that sits on a kink takes eighteen. Raises ValueError if the network is not a chain, if `layers` are not
    its gradients, or if the targets do not fit.
    """
    check_request(network, loss, checkpoint)
    check_gradients(network, layers, LayerGradient)
    base, parameters = moved(network, layers[0].da_dw, targets, loss, checkpoint), parameters_of(network)
    found = _best_estimates(base, parameters)
    analytic, scale = _analytic(layers)
    of_loss = noise_of_losses(base, layers, parameters)
    noise, difference = found.error(of_loss) + _noise_of_analytic(layers), np.abs(found.value - analytic)
    checked = np.flatnonzero(found.known)
    doubtful = checked[difference[checked] > noise[checked]]
    if len(doubtful):
        some = parameters.some(doubtful)
        noise[doubtful] = _doubted(base, some, found.some(doubtful), of_loss[doubtful], noise[doubtful])
        noise[doubtful[_lost(base, layers, some, of_loss[doubtful])]] = np.inf
    numbers = (analytic, found.value, difference / scale, noise / scale)
    beyond = doubtful[difference[doubtful] > noise[doubtful]]
    return Verification(
        checked=len(checked),
        left_out=len(analytic) - len(checked),
        worst=_largest(checked, difference / scale, parameters, numbers),
        disagreeing=len(beyond),
        worst_beyond_noise=_largest(beyond, difference / noise, parameters, numbers),
    )


def _lost(
    base: Moved, layers: tuple[LayerGradient, ...], parameters: Parameters, noise_of_loss: Array
) -> NDArray[np.bool_]:
    """Where rounding leaves no digit: it is larger than the loss, or changes the slopes on the way."""
    lost: NDArray[np.bool_] = noise_of_loss > np.abs(base.single_losses()).sum()
    return lost | slopes_lost(base, layers, parameters)


def _largest(
    some: NDArray[np.intp], by: Array, parameters: Parameters, numbers: tuple[Array, ...]
) -> Comparison | None:
    """The comparison of the parameter, among `some`, that has the largest number in `by`."""
    if not len(some):
        return None
    p = int(some[np.argmax(by[some])])
    layer, before, unit = (int(array[p]) for array in parameters[:3])
    return Comparison(layer, None if before < 0 else before, unit, *(float(array[p]) for array in numbers))


def _analytic(layers: tuple[LayerGradient, ...]) -> tuple[Array, Array]:
    """The derivatives in the order of `parameters_of`, and for each the largest derivative of its array."""
    arrays = [array for layer in layers for array in (layer.dE_dw, layer.dE_db) if array is not None]
    scales = [float(np.abs(array).max(initial=0.0)) or 1.0 for array in arrays]
    sizes = [array.size for array in arrays]
    return np.concatenate([array.ravel() for array in arrays]), np.repeat(scales, sizes)


def _noise_of_analytic(layers: tuple[LayerGradient, ...]) -> Array:
    """A bound on the rounding error of the analytic derivatives: of the sum of dE/da · da/dw over the samples."""
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
    truncation: Array  # the distance from the estimate with steps half as long
    rounding: Array  # a bound on the error from rounding the loss
    step: Array
    known: NDArray[np.bool_]  # no kink, and no number that is not finite, was within the step

    def error(self, noise_of_loss: Array) -> Array:
        """Bounds on the errors of the estimates, if each loss is off by up to `noise_of_loss`.

        (4·D(h/2) - D(h))/3 multiplies this by up to 3/h. Where the slope bends, `truncation` is half of the error.
        """
        return 4.0 * self.truncation + self.without_truncation(noise_of_loss)

    def without_truncation(self, noise_of_loss: Array) -> Array:
        """The part of the error that is due to rounding."""
        return self.rounding + (3.0 * noise_of_loss + 4.0 * _SMALLEST) / self.step

    def some(self, which: NDArray[np.intp]) -> "_Estimates":
        """The estimates of some parameters, in their order."""
        value, truncation, rounding, step, known = self
        return _Estimates(value[which], truncation[which], rounding[which], step[which], known[which])


def _best_estimates(base: Moved, parameters: Parameters) -> _Estimates:
    """The best of the estimates from shorter and shorter steps."""
    n = len(parameters.value)
    best = _Estimates(np.full(n, np.nan), np.zeros(n), np.zeros(n), np.ones(n), np.zeros(n, dtype=np.bool_))
    longest = _longest_steps(base, parameters)
    _keep_better(best, np.arange(n), _estimates(base, parameters, longest))
    active = np.flatnonzero(_undecided(best))
    together = base.few(len(active), len(_MOVES) * len(_SHORTER))
    for divisors in [_SHORTER] if together else [(divisor,) for divisor in _SHORTER]:
        if not len(active):
            break
        steps = [longest[active] / divisor for divisor in divisors]
        for found in _at_steps(base, parameters.some(active), steps):
            _keep_better(best, active, found)
        active = active[_undecided(best)[active]]
        if divisors == _SHORTER[:1]:
            active = _without_hopeless(base, parameters, best, longest, active)
    return best


def _keep_better(best: _Estimates, which: NDArray[np.intp], found: _Estimates) -> None:
    """Replace the best estimates of the parameters `which` by better ones, unless they are decided."""
    closer = found.truncation + found.rounding < (best.truncation + best.rounding)[which]
    better = found.known & (closer | ~best.known[which]) & _undecided(best)[which]
    for array, new in zip(best, found, strict=True):
        array[which[better]] = new[better]


def _undecided(best: _Estimates) -> NDArray[np.bool_]:
    """A mask of the parameters for which a shorter step may give a better estimate, (n,)."""
    done = best.truncation <= np.maximum(best.rounding, _CLOSE * np.abs(best.value))
    undecided: NDArray[np.bool_] = ~(best.known & done)
    return undecided


def _without_hopeless(
    base: Moved, parameters: Parameters, best: _Estimates, longest: Array, active: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Leave out the parameters that cross a kink, or reach a loss that is not finite, at every shorter step, too.

    This takes two forward passes for each step; an estimate takes six.
    """
    unknown = active[~best.known[active]]
    crossing = np.ones(len(unknown), dtype=np.bool_)
    for divisor in _SHORTER[:0:-1]:
        if not crossing.any():
            break
        some = parameters.some(unknown[crossing])
        losses, crossed = base.losses(some, _moves(some, longest[unknown[crossing]] / divisor)[:, :2])
        crossing[crossing] = crossed | ~np.isfinite(losses).all(axis=1)
    return np.setdiff1d(active, unknown[crossing], assume_unique=True)


def _doubted(base: Moved, parameters: Parameters, best: _Estimates, noise_of_loss: Array, noise: Array) -> Array:
    """The noise of estimates that disagree with the analytic derivative; larger if other steps give other estimates.

    Steps nearly as long reveal agreement by chance: if a slope bends at 0.27 h, the two extrapolations are equal, and
    both wrong. Much shorter steps reveal what all longer ones step over: kinks, or the waves of a sine, where the
    estimates differ by more than rounding explains. The noise is infinite if a shorter step crosses a kink, or if even
    the shorter steps step over waves (see `_without_digits`).
    """
    longer = [best.step * factor for factor in (0.7, 0.4)]
    shorter = [best.step / divisor for divisor in _SHORTER]
    for k, found in enumerate(_at_steps(base, parameters, longer + shorter)):
        apart = 4.0 * (np.abs(found.value - best.value) + found.truncation)
        jumped = found.known & (found.truncation > found.without_truncation(noise_of_loss))
        if k < len(longer):
            noise = np.where(found.known, np.maximum(noise, apart), noise)
        else:
            noise = np.where(jumped, np.maximum(noise, apart), np.where(found.known, noise, np.inf))
            noise[jumped & _without_digits(found, best)] = np.inf
    return noise


def _without_digits(shorter: _Estimates, best: _Estimates) -> NDArray[np.bool_]:
    """A mask of the estimates that have no digits: a shorter step is worse, and its estimates differ by their size.

    The loss then has many turning points within the shorter step: sin(a) near a = 1e13, where w ± h moves a by 1e5. If
    a slope bends, or a step is only too long, the estimates of shorter steps come closer to each other.
    """
    without: NDArray[np.bool_] = (shorter.truncation > _WORSE * best.truncation) & (
        shorter.truncation > _AS_LARGE * np.abs(shorter.value)
    )
    return without


def _longest_steps(base: Moved, parameters: Parameters) -> Array:
    """The first steps, which move a by about eps^(1/5) of itself, or of 1. Larger inputs have shorter steps."""
    largest = [np.append(np.abs(activity.x).max(axis=0), 1.0) for activity in base.activities]  # 1 for a bias, at -1
    moves = np.empty(len(parameters.value))
    for k, of_layer in enumerate(largest):
        here = parameters.layer == k
        moves[here] = of_layer[parameters.before[here]]
    moves[moves == 0.0] = 1.0
    return _STEP * np.maximum(1.0 / moves, np.abs(parameters.value))


def _at_steps(base: Moved, parameters: Parameters, steps: Sequence[Array]) -> Iterator[_Estimates]:
    """Yield the estimates from each of several steps; few of them share one pass through the layers."""
    n, count = len(parameters.value), len(steps)
    if not base.few(n, count * len(_MOVES)):
        yield from (_estimates(base, parameters, h) for h in steps)
        return
    found = _estimates(base, parameters.some(np.repeat(np.arange(n), count)), np.stack(steps, axis=1).ravel())
    yield from (found.some(np.arange(k, n * count, count)) for k in range(count))


def _moves(parameters: Parameters, h: Array) -> Array:
    """The moves of each parameter, (n, m), as rounding leaves them."""
    w = parameters.value[:, None]
    moves: Array = (w + h[:, None] * _MOVES) - w  # w + h is rounded, too
    return moves


def _estimates(base: Moved, parameters: Parameters, h: Array) -> _Estimates:
    """Estimates from steps of h, h/2 and h/4."""
    moves = _moves(parameters, h)
    losses, crossed = base.losses(parameters, moves)
    far, near, nearest = ((losses[:, k + 1] - losses[:, k]) / (moves[:, k + 1] - moves[:, k]) for k in (0, 2, 4))
    value = (4 * near - far) / 3
    truncation = np.abs((4 * nearest - near) / 3 - value)
    rounding = 4 * _EPSILON * (np.abs(losses[:, 0]) + np.abs(losses[:, 1])) / h
    return _Estimates(value, truncation, rounding, h, np.isfinite(truncation) & ~crossed)
