"""Find the known mistakes that reproduce a client's gradients: each is replayed in the backward pass, alone or paired.

A mistake is reported only if it reproduces every number of the client within the number's rounding, and if the right
gradients do not. A replay begins at the highest layer that its mistake changes. It ends at the first layer whose
numbers it does not reproduce, so most replays cost one small layer.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, islice, product

import numpy as np
from numpy.typing import NDArray

from chainrule.checkpoint import Checkpoint, unlimited
from chainrule.diagnosis.budget import SEARCH, Budget, BudgetSpent, operations_of_layer, operations_of_pass
from chainrule.diagnosis.mistakes import MISTAKES, Mistake
from chainrule.diagnosis.tolerance import Given, GivenWithMargins, with_margins
from chainrule.diagnosis.wrong_rules import Case, within
from chainrule.functions.tables import Array, quietly
from chainrule.graph.backprop import RIGHT, Activity, LayerGradient, Place, Rules, backward
from chainrule.graph.network import Network
from chainrule.graph.partition import LayerJacobian

ROUNDING = "rounding"  # the cause if only the last digits are wrong
MOST_DIAGNOSES = 10
MOST_PAIRS = 10_000
MOST_MULTIPLY_ADDS = 10_000_000_000  # of all pairs together
_PASSES_OF_COMPARISON = 8  # over the numbers of a layer; with few samples, these dominate
MOST_LAYERS = 40_000  # that all pairs together may replay
_MOST_LAYERS_ALONE = 16  # in networks with more layers, a mistake is not tried in each layer alone
_SKETCHED = 16  # inputs of a wide first layer that are compared first
_AS_GOOD = 10.0  # reproductions with a residual up to so many times the smallest are reported, too
_NOISE = 1e-9  # a residual below it is as good as any
_STEPS_OF_FIT = 8
_STEP = 1e-3


@dataclass(frozen=True)
class Variant:
    """One mistake or two, each with the layers in which it is made."""

    parts: tuple[tuple[Mistake, frozenset[int]], ...]

    @cached_property
    def fitted(self) -> Mistake | None:
        """The mistake with an unknown number that has to be fitted, if there is one."""
        return next((mistake for mistake, _ in self.parts if mistake.fits), None)

    @cached_property
    def linear(self) -> bool:
        """Whether all derivatives are linear in the unknown number."""
        return self.fitted is not None and self.fitted.linear and len(self.parts) == 1

    @cached_property
    def top(self) -> int:
        """The highest layer that is changed."""
        return max(max(layers) for _, layers in self.parts)

    @cached_property
    def at_top(self) -> tuple[object, ...]:
        """The highest layer that is changed, and the causes of the mistakes made there."""
        return self.top, *(mistake.cause for mistake, layers in self.parts if self.top in layers)

    @cached_property
    def mixes_inputs(self) -> bool:
        """Whether a replay needs all inputs, and not only some of them."""
        return any(mistake.mixes_inputs for mistake, _ in self.parts)

    @cached_property
    def causes(self) -> tuple[str, ...]:
        """The causes, in the order of the table."""
        return tuple(mistake.cause for mistake, _ in self.parts)

    def rules(self, rules: Rules, case: Case, theta: float) -> Rules:
        """The rules with the mistakes in them, applied one after the other."""
        for mistake, layers in self.parts:
            rules = within(layers, rules, mistake.change(rules, case, theta))
        return rules


@dataclass(frozen=True)
class Diagnosis:
    """A variant that reproduces the client's numbers. Without parts, it is the right pass, within rounding."""

    variant: Variant
    residual: float  # the largest difference, relative to the largest number of its array
    theta: float | None = None  # the unknown number, as fitted


@dataclass(frozen=True)
class Search:
    """The diagnoses, and how many mistakes and pairs were tried or left out."""

    diagnoses: tuple[Diagnosis, ...]
    singles: int
    pairs: int
    pairs_left_out: int
    singles_left_out: int = 0


@dataclass(frozen=True, eq=False)
class Trial:
    """What all replays share: the request, the right and the client's gradients, and the budget."""

    case: Case
    right: tuple[LayerGradient, ...]
    given: GivenWithMargins
    above: tuple[float | None, ...]  # the right gradients' residual in layers k and above; None if they do not agree
    budget: Budget

    @property
    def first_wrong(self) -> int:
        """The highest layer in which the right gradients differ from the client's."""
        return max(k for k, worst in enumerate(self.above) if worst is None)

    @property
    def lowest(self) -> int:
        """The lowest layer with a given array."""
        given = self.given.layers
        return next((k for k, layer in enumerate(given) if not (layer.dE_dw is None and layer.dE_db is None)), 0)


def trial(case: Case, right: Sequence[LayerGradient], given: Sequence[Given], relative: float, budget: Budget) -> Trial:
    """The trial for all replays of a search. `right` and `given` are first layer to last."""
    found = with_margins(given, right, relative, checkpoint=budget.checkpoint)
    above: list[float | None] = [0.0]
    for k in reversed(range(len(right))):
        worst, own = above[-1], found.residual(k, right[k])
        above.append(None if worst is None or own is None else max(worst, own))
    return Trial(case, tuple(right), found, tuple(above[::-1]), budget)


def replay(
    case: Case, right: Sequence[LayerGradient], variant: Variant, theta: float, budget: Budget
) -> Iterator[LayerGradient]:
    """Yield the derivatives that a variant gives, layer by layer, from the highest layer that it changes downwards.

    The operations of a layer are taken from the budget before it is computed.
    """
    top, shared = variant.top, _shared(right)
    rules = variant.rules(shared, case, theta)
    slopes = rules.do_da is not shared.do_da
    known = right[top + 1 :]
    layers = backward(case.network, case.activities, (case.top,), rules, known, checkpoint=budget.checkpoint)
    for k in range(top, -1, -1):
        budget.take(operations_of_layer(case.activities[k].layer, case.samples, slopes))
        yield next(layers)


def _shared(right: Sequence[LayerGradient]) -> Rules:
    """The right rules, which look up unchanged arrays in the right gradients instead of computing them."""

    def dE_do(place: Place) -> Array:
        known = right[place.k + 1] if place.k + 1 < len(right) else None
        return right[place.k].dE_do if place.above is known else RIGHT.dE_do(place)

    def dE_da(place: Place, do_da: LayerJacobian, dE_do: Array) -> Array:
        known = right[place.k]
        untouched = do_da is known.do_da and dE_do is known.dE_do
        return known.dE_da if untouched else RIGHT.dE_da(place, do_da, dE_do)

    def derivatives(place: Place, dE_da: Array) -> dict[str, Array]:
        known = right[place.k]
        untouched = dE_da is known.dE_da and place.activity is known.activity
        return {**known.derivatives} if untouched else RIGHT.derivatives(place, dE_da)

    return Rules(dE_do, lambda place: right[place.k].do_da, dE_da, derivatives)


def residual(tried: Trial, variant: Variant, theta: float, lowest: int) -> tuple[float | None, int]:
    """The residual of a variant down to layer `lowest`, and that layer; or None, and the layer where it fails."""
    worst = tried.above[variant.top + 1]
    if worst is None:
        return None, variant.top + 1
    layers = range(variant.top, lowest - 1, -1)
    for k, gradient in zip(layers, replay(tried.case, tried.right, variant, theta, tried.budget), strict=False):
        own = tried.given.residual(k, gradient)
        if own is None:
            return None, k
        worst = max(worst, own)
    return worst, lowest


def most_singles(layers: int) -> int:
    """The largest number of replays of single mistakes, for a network with that many layers."""
    return len(MISTAKES) * (min(layers, _MOST_LAYERS_ALONE) + 2)


def most_for_search(network: Network, samples: int) -> float:
    """An upper bound on the operations of `diagnose`."""
    variants = most_singles(len(network.layers)) + MOST_PAIRS
    return min(SEARCH, variants * operations_of_pass(network.layers, samples))


def _affordable_pairs(case: Case) -> int:
    """The largest number of pairs to try: their replays must be affordable even if none of them fails early."""
    passes = 2 * case.samples + _PASSES_OF_COMPARISON
    multiply_adds = passes * sum(layer.layer.weights.size for layer in case.activities)
    return min(MOST_MULTIPLY_ADDS // multiply_adds, MOST_LAYERS // len(case.activities))


@quietly
def diagnose(
    case: Case,
    right: Sequence[LayerGradient],
    given: Sequence[Given],
    relative: float = 0.0,
    most_pairs: int = MOST_PAIRS,
    *,
    checkpoint: Checkpoint = unlimited,
) -> Search:
    """Search for the known mistakes that reproduce the client's gradients; for pairs, if no single mistake does.

    The diagnoses are best first. `right` and `given` are first layer to last. A number is reproduced if the difference
    is within its rounding, or within `relative` times the number. At most `most_pairs` pairs are tried, no more than
    are affordable, and all within `budget.SEARCH` operations. The checkpoint is called before each replayed layer, and
    may raise.
    """
    full = trial(case, right, given, relative, Budget(SEARCH, checkpoint))
    if full.above[0] is not None:
        return Search((Diagnosis(Variant(()), full.above[0]),), 0, 0, 0)
    sketch = _sketch(full)
    singles = list(_singles(case, full.first_wrong))
    failed: set[tuple[object, ...]] = set()
    found, tried = _reproductions(full, sketch, singles, failed)
    possible = _how_many_pairs(case)
    if found or tried < len(singles):
        return Search(_best(found), tried, 0, 0 if found else possible, len(singles) - tried)
    affordable = min(possible, most_pairs, _affordable_pairs(sketch.case))
    found, pairs = _reproductions(full, sketch, islice(_pairs(case), affordable), failed)
    return Search(_best(found), tried, pairs, possible - pairs)


def _reproductions(
    full: Trial, sketch: Trial, variants: Iterable[Variant], failed: set[tuple[object, ...]]
) -> tuple[list[Diagnosis], int]:
    """The variants that reproduce every number, and how many were tried within the budget; each on the sketch first.

    Two variants that make the same mistakes in their highest layer give the same numbers there. `failed` keeps what has
    failed in its highest layer, so that no variant with the same mistakes there is tried.
    """
    reproductions, tried = [], 0
    for variant in variants:
        try:
            found = _reproduction(full, sketch, variant, failed)
        except BudgetSpent:
            break
        tried += 1
        if found is not None:
            reproductions.append(found)
    return reproductions, tried


def _reproduction(full: Trial, sketch: Trial, variant: Variant, failed: set[tuple[object, ...]]) -> Diagnosis | None:
    """The diagnosis for a variant; None if it does not reproduce every number."""
    full.budget.checkpoint()
    if full.above[variant.top + 1] is None or variant.at_top in failed:
        return None
    if not variant.mixes_inputs:
        met, at = _diagnosis(sketch, variant)
        if met is None and at == variant.top:
            failed.add(variant.at_top)
        if met is None or sketch is full:
            return met
    return _diagnosis(full, variant)[0]


def _diagnosis(tried: Trial, variant: Variant) -> tuple[Diagnosis | None, int]:
    """The diagnosis for a variant, or None; and the layer where it fails whatever it does below, -1 if unknown."""
    if variant.fitted is None:
        met, at = residual(tried, variant, 0.0, tried.lowest)
        return (None if met is None else Diagnosis(variant, met)), at
    highest = max(next(layers for mistake, layers in variant.parts if mistake.fits))
    fails_at = _fails_above(tried, variant, variant.fitted, highest)
    if fails_at is not None:
        return None, fails_at
    theta: float | None = _largest(tried.given.layers) if variant.fitted.of_largest else 0.0
    for lowest in _extents(tried, highest):
        theta = _fit(tried, variant, lowest, theta or 0.0)
        met, at = (None, lowest) if theta is None else residual(tried, variant, theta, tried.lowest)
        if met is not None:
            return Diagnosis(variant, met, theta), at
        if at >= lowest:
            return None, variant.top if lowest == variant.top else -1
    return None, -1


def _fails_above(tried: Trial, variant: Variant, fitted: Mistake, highest: int) -> int | None:
    """The layer where a variant fails for every value of its unknown number; None if there is no such layer.

    The number matters from layer `highest` downwards, so the variant may fail above. If the client's numbers are right
    in the variant's top layer, only a value that changes nothing there can reproduce them. Rounded numbers are not
    tested so: they may hide a change in the top layer that shows below.
    """
    trial = fitted.trial * (_largest(tried.given.layers) if fitted.of_largest else 1.0)
    if highest < variant.top:
        met, at = residual(tried, variant, trial, highest + 1)
        return at if met is None else None
    if tried.above[variant.top] is None or tried.given.rounded:
        return None
    return variant.top if residual(tried, variant, trial, variant.top)[0] is None else None


def _extents(tried: Trial, highest: int) -> tuple[int, ...]:
    """The lowest layers for the fits of an unknown number, in the order in which they are tried.

    The first fit ends at the highest wrong layer in which the number matters: most mistakes fail there. If the client's
    numbers are rounded, this fit may be too inexact for the layers below; then another fit uses all layers.
    """
    first = min(tried.first_wrong, highest)
    return (first, tried.lowest) if tried.given.rounded and first > tried.lowest else (first,)


def _singles(case: Case, first_wrong: int) -> Iterator[Variant]:
    """Yield every mistake in all layers where it can be made, in those below the output, and in single layers.

    In a deep network, the single layers are only the output layer and the highest wrong layer.
    """
    deep = len(case.activities) > _MOST_LAYERS_ALONE
    alone = frozenset({case.last, first_wrong} if deep else range(len(case.activities)))
    for mistake in MISTAKES:
        for scope in _scopes(mistake.layers(case), case.last, alone):
            yield Variant(((mistake, scope),))


def _scopes(layers: frozenset[int], last: int, alone: frozenset[int]) -> list[frozenset[int]]:
    """The sets of layers in which a mistake is tried, the widest first."""
    each = [frozenset({k}) for k in sorted(layers & alone, reverse=True)]
    return [scope for scope in dict.fromkeys((layers, layers - {last}, *each)) if scope]


def _scopes_in_pairs(case: Case) -> list[tuple[Mistake, list[frozenset[int]]]]:
    return [(m, _scopes(m.layers(case), case.last, frozenset({case.last}))) for m in MISTAKES]


def _pairs(case: Case) -> Iterator[Variant]:
    """Yield pairs of mistakes, each in all its layers, at the output or below it; pairs in all layers come first.

    At most one mistake of a pair has an unknown number.
    """
    scopes = _scopes_in_pairs(case)
    couples = [(one, other) for one, other in combinations(scopes, 2) if not (one[0].fits and other[0].fits)]
    for (one, in_one), (other, in_other) in couples:
        for first, second in islice(product(in_one, in_other), 1):
            yield Variant(((one, first), (other, second)))
    for (one, in_one), (other, in_other) in couples:
        for first, second in islice(product(in_one, in_other), 1, None):
            yield Variant(((one, first), (other, second)))


def _how_many_pairs(case: Case) -> int:
    scopes = [(bool(mistake.fits), len(found)) for mistake, found in _scopes_in_pairs(case)]
    return sum(a * b for (fit, a), (other_fit, b) in combinations(scopes, 2) if not (fit and other_fit))


def _best(found: list[Diagnosis]) -> tuple[Diagnosis, ...]:
    """The reproductions about as good as the best, ranked; none with a fitted number if one without is as good."""
    least = min((diagnosis.residual for diagnosis in found), default=0.0)
    as_good = [diagnosis for diagnosis in found if diagnosis.residual <= _AS_GOOD * least + _NOISE]
    if any(diagnosis.theta is None for diagnosis in as_good):
        as_good = [diagnosis for diagnosis in as_good if diagnosis.theta is None]
    widest: dict[tuple[str, ...], Diagnosis] = {}
    for diagnosis in as_good:
        widest.setdefault(diagnosis.variant.causes, diagnosis)
    ranked = sorted(widest.values(), key=lambda diagnosis: np.floor(np.log2(diagnosis.residual + _NOISE)))
    return tuple(ranked[:MOST_DIAGNOSES])


def _fit(tried: Trial, variant: Variant, lowest: int, theta: float) -> float | None:
    """Fit a mistake's unknown number by Gauss-Newton steps: a single step is exact if the derivatives are linear in it.

    The fit uses the layers from the variant's highest down to `lowest`. None if fewer than two of the client's numbers
    depend on the unknown number: a single one could always be reproduced.
    """
    layers = slice(lowest, variant.top + 1)
    given = _flat(tried.given.layers[layers], tried.given.margins[layers])
    slope = left = np.zeros(0)
    for _ in range(_STEPS_OF_FIT):
        h = _STEP * max(1.0, abs(theta))
        now, moved = (_replayed(tried, variant, at, layers) for at in (theta, theta + h))
        slope = (moved - now) / h
        if not np.isfinite(slope).all() or np.count_nonzero(np.abs(slope) > _NOISE * np.abs(slope).max()) < 2:
            return None
        step = float(slope @ (given - now) / (slope @ slope))
        theta, left = theta + step, given - now - step * slope
        if variant.linear or abs(step) <= _NOISE * abs(theta) or (np.abs(left) <= 1.0).all():
            break
    return theta + _into_margins(slope, left)


def _into_margins(slope: Array, left: Array) -> float:
    """The step that brings every remaining difference to within its margin; 0 if there is no such step.

    `slope` and `left`, the remaining differences, are in units of the margins. Least squares can leave one number
    beyond its margin although another solution is within all margins.
    """
    depends = slope != 0.0
    middle, width = left[depends] / slope[depends], 1.0 / np.abs(slope[depends])
    low, high = float((middle - width).max()), float((middle + width).min())
    return 0.5 * (low + high) if low <= high else 0.0


def _replayed(tried: Trial, variant: Variant, theta: float, layers: slice) -> Array:
    """The numbers of a replay that the client gives too, in the order of `_flat`."""
    replayed = islice(replay(tried.case, tried.right, variant, theta, tried.budget), layers.stop - layers.start)
    found = [Given(gradient.dE_dw, gradient.dE_db) for gradient in replayed][::-1]
    return _flat(found, tried.given.margins[layers])


def _flat(layers: Sequence[Given], margins: Sequence[Given]) -> Array:
    """All given numbers in one vector, in units of their margins."""
    scaled = [np.zeros(0)]
    for layer, margin in zip(layers, margins, strict=True):
        for array, unit in ((layer.dE_dw, margin.dE_dw), (layer.dE_db, margin.dE_db)):
            if array is not None and unit is not None:
                scaled.append((array / unit).ravel())
    return np.concatenate(scaled)


def _largest(layers: Sequence[Given]) -> float:
    arrays = [array for layer in layers for array in (layer.dE_dw, layer.dE_db) if array is not None]
    return max(float(np.abs(array).max()) for array in arrays)


def _sketch(full: Trial) -> Trial:
    """The trial with a few inputs of a wide first layer: a mistake there shows in a few rows, too."""
    first = full.case.activities[0]
    n_in, n_out = first.layer.weights.shape
    if n_in <= 2 * _SKETCHED or n_in == n_out:
        return full
    kept = np.linspace(0, n_in - 1, _SKETCHED).astype(np.intp)
    narrow = _narrow(first, kept)
    right = full.right[0]
    lowest = right.with_derivatives(weights=right.dE_dw[kept])._replace(activity=narrow)
    rows = [
        replace(layers[0], dE_dw=None if layers[0].dE_dw is None else layers[0].dE_dw[kept])
        for layers in (full.given.layers, full.given.margins)
    ]
    return Trial(
        replace(full.case, activities=[narrow, *full.case.activities[1:]]),
        (lowest, *full.right[1:]),
        replace(full.given, layers=(rows[0], *full.given.layers[1:]), margins=(rows[1], *full.given.margins[1:])),
        full.above,
        full.budget,
    )


def _narrow(first: Activity, kept: NDArray[np.intp]) -> Activity:
    """The activity of a dense layer of which only some inputs are looked at; its pre-activations stay."""
    layer, x = first.layer, first.x[:, kept]
    parameters = {**layer.parameters, "weights": layer.weights[kept]}
    return first._replace(layer=replace(layer, parameters=parameters), inputs=(x,))
