"""Compare every twin with mpmath, point by point: where a value or a derivative is wrong, and what it should be.

A number is right within 64 units in the last place. A true number below the smallest normal float64, 2.2e-308, counts
as 0, because whether such numbers are kept is a setting of the processor; then a number is right within 64 units in
the last place of ½, because terms of that size leave about as much when they cancel.
"""

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.functions.activations import activation_spec
from tests.frameworks import twins
from tests.frameworks.twins import OURS, Array, Row
from tests.judges import reference
from tests.judges.reference import JUDGE, REAL, Real

ULPS = 64
SMALLEST = 2.0**-1022  # the smallest normal float64
JOINTS = {"sparse_plus": (-1.0, 1.0)}  # smooth, but with another formula on each side: no quotient may reach across
NEARBY = REAL(2) ** -80  # closer to the edge of a domain than any other measured point

SIZES = (
    *(
        1e-300,
        1e-200,
        1e-100,
        1e-50,
        1e-20,
        1e-16,
        1e-12,
        1e-10,
        1e-8,
        1e-6,
        1e-4,
        1e-3,
        0.01,
        0.05,
        0.1,
        0.2,
        0.3,
        0.7,
    ),
    *(k / 4 for k in range(1, 25)),
    *(6.5 + k for k in range(36)),
    *(50, 60, 75, 100, 150, 200, 300, 350, 360, 400, 500, 600, 700, 705, 709, 710, 711, 720, 740, 745, 750, 800),
    *(1e3, 1e4, 1e5, 1e6, 1e8, 1e10, 1e15, 1e16, 1e20, 1e50, 1e100, 1e153, 1e155, 1e200, 1e300),
)
BESIDE = [math.nextafter(at, side) for at in (-3.0, -1.0, -0.5, 0.5, 1.0, 3.0, 6.0) for side in (-math.inf, math.inf)]
RANDOM = np.random.default_rng(1).uniform(-45.0, 45.0, 30).round(3).tolist()
GRID = np.array(sorted({0.0, *BESIDE, *RANDOM, *(sign * float(size) for size in SIZES for sign in (1, -1))}))

TRIPLES = np.array(
    [
        *((a, 0.5, -1.0) for a in (0.0, 1e-20, 0.3, -2.0, 17.0, -17.0, 30.0, 36.5, 40.0, -40.0, 300.0, 700.0, -740.0)),
        *((0.0, 0.0, 0.0), (1e-8, 0.0, -1e-8), (30.0, -30.0, 0.0), (37.0, -37.0, 1.0), (750.0, 749.0, -750.0)),
        *((800.0, 799.5, -800.0), (-800.0, -799.5, -760.0), (1e16, 1.0, -1e16), (1e300, 1e300, -1e300)),
        *((0.2, 0.5, 0.1), (1.2, 0.4, 0.3), (1e16, 1e16, 0.0), (1e8, 1e8 - 0.25, -1e8)),
    ]
)


# What can be wrong with a number.


@dataclass(frozen=True)
class Finding:
    """One wrong number: its row and framework, whether it is a value or derivative, its point, and the right number."""

    row: Row
    framework: str
    quantity: str
    where: str
    right: Real
    given: float
    fault: str  # "NaN", "infinite", "finite", "0" or "digits"
    error: float  # relative to the right number

    @property
    def badness(self) -> tuple[int, float, float]:
        """A sort key: first lost digits, then a number without any right digit, then NaN or infinity."""
        rank = ("digits", "0", "finite", "infinite", "NaN").index(self.fault)
        return rank, round(math.log10(self.error), 1) if rank == 0 else 0.0, float(abs(self.right))


def fault_of(given: float, right: Real) -> tuple[str, float] | None:
    """What is wrong with a number, and its relative error; None where it is right."""
    near = reference.nearest(right)
    if math.isnan(given):
        return "NaN", math.inf
    if math.isinf(near):
        return None if given == near else ("finite" if math.isfinite(given) else "infinite", math.inf)
    if math.isinf(given):
        return "infinite", math.inf
    if abs(right) < SMALLEST:
        return None if abs(given) <= ULPS * 2.0**-53 else ("digits", math.inf)
    if reference.ulps(given, right) <= ULPS:
        return None
    return ("0", 1.0) if given == 0.0 else ("digits", float(abs(REAL(given) - right) / abs(right)))


def _findings(
    row: Row, framework: str, quantity: str, points: Sequence[tuple[str, Real]], given: Array | None
) -> Iterator[Finding]:
    """The findings among some numbers; points whose right number is unknown (NaN) are skipped."""
    if given is None or given.dtype != np.float64:
        return
    for (where, right), number in zip(points, given.ravel().tolist(), strict=True):
        fault = None if JUDGE.isnan(right) else fault_of(number, right)
        if fault:
            yield Finding(row, framework, quantity, where, right, number, *fault)


def frameworks_of(row: Row) -> list[str]:
    """The frameworks that have a row, ours at the end."""
    return [*row.calls, OURS]


def plain(number: float) -> str:
    """A float64 in as few characters as read back to it: 17, 1e-20, 0.3."""
    text = f"{number:g}"
    return text if float(text) == number else repr(number)


# The activations.


def kinks(row: Row) -> list[Any]:
    """The kinks of an elementwise row, from our table: where they are, and the slopes on both sides."""
    return list(activation_spec(row.name, **row.parameters).kinks())


def _phi(row: Row) -> Callable[[Real], Real]:
    return lambda a: reference.ACTIVATIONS[row.name](a, **row.parameters)


def true_value(row: Row, a: float) -> Real:
    """φ(a)."""
    (value,) = reference.value(lambda: [_phi(row)(REAL(a))])
    return value


def true_slope(row: Row, a: float) -> Real:
    """φ'(a), and NaN on a kink."""
    corners = [REAL(kink.at) for kink in kinks(row)]
    if a in JOINTS.get(row.name, ()):
        return reference.one_sided(_phi(row), REAL(a), -1)
    return JUDGE.nan if REAL(a) in corners else reference.derivative(_phi(row), REAL(a), corners)


def elementwise_findings(row: Row) -> Iterator[Finding]:
    """Every wrong value and derivative of an elementwise row on the grid."""
    values = [(f"a = {plain(a)}", true_value(row, a)) for a in GRID.tolist()]
    slopes = [(f"a = {plain(a)}", true_slope(row, a)) for a in GRID.tolist()]
    for framework in frameworks_of(row):
        yield from _findings(row, framework, "value", values, twins.activation_values(framework, row, GRID))
        yield from _findings(row, framework, "derivative", slopes, twins.activation_slopes(framework, row, GRID))


def _triple(numbers: Sequence[float]) -> str:
    return f"({', '.join(map(plain, numbers))})"


def vector_findings(row: Row) -> Iterator[Finding]:
    """Every wrong value and derivative of an activation of a group."""
    values, slopes = [], []
    for a in TRIPLES.tolist():
        exact = [REAL(z) for z in a]
        outputs = reference.value(lambda exact=exact: reference.ACTIVATIONS[row.name](exact, **row.parameters))
        values += [(f"o{j} at a = {_triple(a)}", o) for j, o in enumerate(outputs)]
        matrix = reference.jacobian(row.name, exact, **row.parameters)
        slopes += [(f"do{j}/da{m} at a = {_triple(a)}", matrix[j][m]) for j in range(3) for m in range(3)]
    for framework in frameworks_of(row):
        yield from _findings(row, framework, "value", values, twins.activation_values(framework, row, TRIPLES))
        yield from _findings(row, framework, "derivative", slopes, twins.activation_slopes(framework, row, TRIPLES))


# The losses, at the edges of where they are defined.

Case = tuple[tuple[float, ...], tuple[float, ...]]  # o, t


def _cases(outputs: Sequence[Any], targets: Sequence[Any]) -> list[Case]:
    """Every output with every target; a bare number is a row of one."""
    rows = [[x if isinstance(x, tuple) else (x,) for x in some] for some in (outputs, targets)]
    return list(itertools.product(*rows))


def _both(*sizes: float) -> list[float]:
    return [0.0, *(sign * size for size in sizes for sign in (1.0, -1.0))]


ONE_LESS = 1.0 - 2.0**-53
NUMBERS = _cases(
    [*_both(1e-300, 1e-9, 0.3, 1.0, 20.0, 400.0, 1000.0, 1e8, 1e160, 1e300), 1.0 + 2.0**-52], (0.0, 1.0, -1e300)
)
PROBABILITIES = _cases((0.0, 1e-300, 1e-20, 1e-12, 1e-8, 0.3, 0.5, 1 - 1e-8, 1 - 1e-12, ONE_LESS, 1.0), (0.0, 0.3, 1.0))
LOGITS = _cases(_both(1e-20, 0.5, 17.0, 30.0, 40.0, 300.0, 800.0, 1e300), (0.0, 0.3, 1.0))
RATES = _cases((0.0, 1e-300, 1e-20, 1e-8, 1e-4, 1.0, 50.0, 1e10, 1e300), (0.0, 1.0, 3.0))
LOG_RATES = _cases(_both(1e-20, 1.0, 40.0, 700.0), (0.0, 1.0, 3.0))
POSITIVE = _cases((0.0, 1e-20, 1e-12, 1e-8, 1.0, 1e5, 1e300, -0.5), (0.0, 1e-20, 1.0, 1e300))
SCORES = _cases([*_both(1e-20, 0.5, 1.0, 3.0, 1e160), 1.0 - 2.0**-53], (-1.0, 1.0))
SHARES = _cases((0.0, 1e-300, 1e-20, 1e-8, 0.3, 0.5, 1.0), (0.0, 1e-20, 1e-8, 0.3, 1.0))

ONE_HOT = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0)]
MIXTURES = [*ONE_HOT, (0.2, 0.3, 0.5)]
SIMPLEX = [
    (0.2, 0.3, 0.5),
    (0.25, 0.5, 0.25),
    (1.0, 0.0, 0.0),
    (1 - 2e-12, 1e-12, 1e-12),
    (1e-20, 0.5, 0.5),
    (ONE_LESS, 1e-20, 2.0**-53),
]
SCORES_OF_THREE = [
    (0.5, -1.0, 2.0),
    (0.0, 0.0, 0.0),
    (17.0, 0.0, 0.0),
    (40.0, 0.0, -1.0),
    (-800.0, 0.0, 800.0),
    (800.0, 799.5, -800.0),
    (1e300, 0.0, 0.0),
]
DIRECTIONS = _cases(
    [
        (1.0, 2.0, 3.0),
        (-1.0, 0.5, 2.0),
        (0.0, 0.0, 0.0),
        (1e-9, 3e-9, 1e-9),
        (1e-200, 3e-200, 0.0),
        (1e200, 3e200, 0.0),
    ],
    [(1.0, 2.0, 3.0), (0.0, 0.0, 0.0), (1e-200, 1e-200, 0.0)],
)
PAIRS = _cases(
    [(m, s) for m in (0.0, 1.0, 1e160) for s in (0.0, 0.5, -10.0, -14.0, -40.0, 40.0, 700.0, 720.0)], (0.0, 1.0)
)

CASES: Mapping[str, Sequence[Case]] = {
    **dict.fromkeys(("squared_error", "absolute_error", "huber", "smooth_l1", "log_cosh"), NUMBERS),
    "percentage_error": _cases(_both(1e-300, 1e-9, 0.3, 1.0, 1e8, 1e300), (0.0, 1e-20, 1e-8, 1.0, -3.0, 1e300)),
    "squared_log_error": POSITIVE,
    "poisson": RATES,
    "poisson_log": LOG_RATES,
    **dict.fromkeys(("binary_cross_entropy", "binary_focal"), PROBABILITIES),
    "binary_cross_entropy_with_logits": LOGITS,
    **dict.fromkeys(("hinge", "squared_hinge"), SCORES),
    "kl_divergence": SHARES,
    **dict.fromkeys(("categorical_cross_entropy", "categorical_focal"), _cases(SIMPLEX, MIXTURES)),
    "categorical_cross_entropy_with_logits": _cases(SCORES_OF_THREE, MIXTURES),
    "sparse_categorical_cross_entropy": _cases(SIMPLEX, ONE_HOT),
    "sparse_categorical_cross_entropy_with_logits": _cases(SCORES_OF_THREE, ONE_HOT),
    "negative_log_likelihood": _cases([(-0.5, -1.0, 0.0), (-800.0, 0.0, -1e300)], ONE_HOT),
    "categorical_hinge": _cases([(0.5, -1.0, 2.0), (1e300, 0.0, -1e300), (3.0, 0.5, 0.25)], ONE_HOT),
    "cosine_similarity": DIRECTIONS,
    "gaussian_nll": PAIRS,
}


def _text(numbers: Sequence[float]) -> str:
    return plain(numbers[0]) if len(numbers) == 1 else _triple(numbers)


def targets_of(row: Row, cases: Sequence[Case]) -> Array:
    """The targets of cases as the loss takes them: rows, or class indices."""
    t = np.array([case[1] for case in cases])
    return t.argmax(axis=1) if "sparse" in row.name or row.name == "negative_log_likelihood" else t


def true_loss(row: Row, case: Case) -> Real:
    """ℓ(o, t) of one sample."""
    o, t = ([REAL(x) for x in some] for some in case)
    (value,) = reference.value(lambda: [reference.LOSSES[row.name](o, t, **row.parameters)])
    return value


def true_loss_slope(row: Row, case: Case, j: int) -> Real:
    """∂ℓ/∂o_j of one sample: NaN on a kink, infinite at a pole, and at the edge of a domain the slope on its side."""
    o, t = ([REAL(x) for x in some] for some in case)

    def along(x: Real) -> Real:
        return reference.LOSSES[row.name]([*o[:j], x, *o[j + 1 :]], t, **row.parameters)

    corners = reference.CORNERS.get(row.name)
    side = next((side for at, side in corners(o, t, j, **row.parameters) if at == o[j]), None) if corners else None
    if side == 0:
        return JUDGE.nan
    if side and JUDGE.isinf(along(o[j])):  # a pole of this output, or else of another one
        return -side * JUDGE.inf if JUDGE.isfinite(along(o[j] + side * NEARBY)) else JUDGE.nan
    return reference.loss_derivative(row.name, o, t, j, **row.parameters)


def loss_findings(row: Row) -> Iterator[Finding]:
    """Every wrong loss, and every wrong derivative of one by an output."""
    cases = CASES[row.name]
    o, t = np.array([case[0] for case in cases]), targets_of(row, cases)
    names = ["o"] if o.shape[1] == 1 else [f"o{j}" for j in range(o.shape[1])]
    places = [f"o = {_text(outputs)}, t = {_text(targets)}" for outputs, targets in cases]
    values = [(place, true_loss(row, case)) for place, case in zip(places, cases, strict=True)]
    slopes = [
        (f"dℓ/d{name} at {place}", true_loss_slope(row, case, j))
        for place, case in zip(places, cases, strict=True)
        for j, name in enumerate(names)
    ]
    for framework in frameworks_of(row):
        yield from _findings(row, framework, "value", values, twins.loss_values(framework, row, o, t))
        yield from _findings(row, framework, "derivative", slopes, twins.loss_slopes(framework, row, o, t))


# Kinks: which derivative is taken where there is none.


@dataclass(frozen=True)
class Kink:
    """A point without a derivative: the slopes on both sides, if requested, and the one that each framework takes."""

    row: Row
    where: str
    sides: tuple[Real, Real]
    taken: Mapping[str, float]


def activation_kinks(row: Row) -> Iterator[Kink]:
    """The kinks of an elementwise row."""
    for kink in kinks(row):
        sides = [reference.one_sided(_phi(row), REAL(kink.at), side) for side in (-1, 1)]
        taken = {}
        for framework in frameworks_of(row):
            slopes = twins.activation_slopes(framework, row, GRID)
            if slopes is not None:
                taken[framework] = float(slopes[np.searchsorted(GRID, kink.at)])
        yield Kink(row, f"a = {plain(kink.at)}", (sides[0], sides[1]), taken)


def _is_corner(row: Row, case: Case) -> bool:
    """Whether a case of one output sits on a kink, or on a parabola's end, where 0 is taken."""
    o, t = ([REAL(x) for x in some] for some in case)
    corners = reference.CORNERS.get(row.name)
    return len(o) == 1 and corners is not None and (o[0], 0) in corners(o, t, 0, **row.parameters)


def loss_kinks(row: Row) -> Iterator[Kink]:
    """The kinks of a loss of one output among its cases."""
    cases = CASES[row.name]
    o, t = np.array([case[0] for case in cases]), targets_of(row, cases)
    slopes = {framework: twins.loss_slopes(framework, row, o, t) for framework in frameworks_of(row)}
    for k, case in enumerate(cases):
        if _is_corner(row, case):
            outputs, targets = case

            def along(x: Real, target: float = targets[0]) -> Real:
                return reference.LOSSES[row.name]([x], [REAL(target)], **row.parameters)

            sides = [reference.one_sided(along, REAL(outputs[0]), side) for side in (-1, 1)]
            taken = {name: float(array[k, 0]) for name, array in slopes.items() if array is not None}
            yield Kink(row, f"o = {_text(outputs)}, t = {_text(targets)}", (sides[0], sides[1]), taken)


# An activation and the loss above it.


@dataclass(frozen=True)
class Link:
    """One number of a chain, the loss E or a derivative by a: the result of each framework, and the right one."""

    chain: twins.Chain
    where: str
    quantity: str
    right: Real
    given: Mapping[str, float]

    def faults(self) -> dict[str, tuple[str, float] | None]:
        """What is wrong with each framework's number."""
        return {framework: fault_of(number, self.right) for framework, number in self.given.items()}


LARGE = tuple(sign * size for size in (17.0, 30.0, 40.0, 800.0) for sign in (1.0, -1.0))


def _chain_cases(chain: twins.Chain) -> list[Case]:
    """One unit at each of LARGE, and others at 0 where the chain has several."""
    targets = {1: [(1.0,), (0.0,)], 2: [(1.0, 0.0)], 3: [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0)]}[chain.units]
    return [((a, *[0.0] * (chain.units - 1)), t) for a in LARGE for t in targets]


def _true_chain(chain: twins.Chain, case: Case) -> tuple[Real, Real]:
    """E and its derivative by the unit that is saturated; 900 digits, for 1 - o = e⁻⁸⁰⁰ has 348 zeros."""
    rest, t = [REAL(z) for z in case[0][1:]], [REAL(z) for z in case[1]]
    phi = reference.ACTIVATIONS[chain.activation]

    def along(z: Real) -> Real:
        a = [z, *rest]
        return reference.LOSSES[chain.loss](phi(a) if chain.activation == "softmax" else list(map(phi, a)), t)

    with JUDGE.workdps(900):
        at, h = REAL(case[0][0]), REAL(10) ** -40
        return along(at), (along(at + h) - along(at - h)) / (2 * h)


def links(chain: twins.Chain) -> Iterator[Link]:
    """The loss and the derivative of a chain in every case."""
    cases = _chain_cases(chain)
    a, t = (np.array(some) for some in zip(*cases, strict=True))
    values = {framework: twins.chain_values(framework, chain, a, t) for framework in [*chain.calls, OURS]}
    slopes = {framework: twins.chain_slopes(framework, chain, a, t) for framework in [*chain.calls, OURS]}
    for k, case in enumerate(cases):
        value, slope = _true_chain(chain, case)
        where = f"a = {_text(case[0])}, t = {_text(case[1])}"
        yield Link(chain, where, "E", value, {name: float(array[k]) for name, array in values.items()})
        yield Link(chain, where, "dE/da", slope, {name: float(array[k, 0]) for name, array in slopes.items()})


# Defaults and definitions.


def defaults(row: twins.Default) -> dict[str, str]:
    """The default of a parameter in each place, including ours if we have the parameter."""
    found = {place: twins.default_of(place, *where) for place, where in row.places.items()}
    ours = twins.our_default(row)
    return {OURS: ours, **found} if ours is not None else found


@dataclass(frozen=True)
class Definition:
    """The result of a framework's function without any parameter, and of ours, at one point."""

    name: str
    call: str
    where: str
    right: Real
    given: float


PROBES = np.array([-3.5, -1.5, -0.25, 0.25, 1.5, 3.5])


def definitions() -> Iterator[Definition]:
    """For every call without parameters that differs by more than a millionth, the worst of a few points."""
    for name, calls in twins.BARE.items():
        rights = [true_value(twins.row(name, {}), a) for a in PROBES.tolist()]
        for framework, call in calls.items():
            given = twins.answer(framework, call, a=PROBES)[0].tolist()
            errors = [
                float(abs(REAL(x) - right) / abs(right)) if right else abs(x)
                for x, right in zip(given, rights, strict=True)
            ]
            k = int(np.argmax(errors))
            if errors[k] > 1e-6:
                yield Definition(name, call, f"a = {plain(PROBES[k])}", rights[k], given[k])


def reductions(reduced: twins.Reduced) -> Iterator[tuple[str, str]]:
    """Each call of a loss without parameters, and its reduction, found from its result for a small batch."""
    terms = reference.LOSSES[reduced.name]
    pairs = zip(reduced.outputs, reduced.targets, strict=True)
    total = sum(terms([REAL(x) for x in o], [REAL(x) for x in t]) for o, t in pairs)
    o, t = np.array(reduced.outputs), np.array(reduced.targets)
    divisors = {
        "the sum of the single losses": 1,
        "the sum of the single losses, divided by the number of samples": len(o),
        "the mean of the single losses": o.size,
    }
    for framework, call in reduced.calls.items():
        given = float(twins.answer(framework, call, o=o, t=t.argmax(axis=1) if reduced.classes else t)[0])
        names = [name for name, n in divisors.items() if abs(given * n - total) < 1e-6 * abs(total)]
        yield call, names[0] if names else f"none of these, but {given:.6g}; the sum is {JUDGE.nstr(total, 6)}"


def ignored() -> Iterator[tuple[str, float, str]]:
    """Each way to ignore a class, if all samples are ignored: the call, its loss, and its derivatives in words."""
    o, t = np.array([[0.5, -1.0, 2.0], [0.0, 1.0, 0.0]]), np.array([1, 1])
    for framework, call in twins.IGNORING:
        value, slopes = twins.answer(framework, call, o=o, t=t)
        yield f"`{call}`", float(value), "" if slopes is None else _in_words(slopes)
    yield ("`chainrule.graph.backprop.gradients`", *_our_ignored(o, t))


def _in_words(slopes: Array) -> str:
    if np.isnan(slopes).all():
        return "NaN"
    return "0" if not slopes.any() else "finite" if np.isfinite(slopes).all() else "not finite"


def _our_ignored(o: Array, t: Array) -> tuple[float, str]:
    found = twins.our_ignoring(o, t)
    return found[0], _in_words(found[1])


@functools.cache
def leaves_float64() -> dict[str, list[str]]:
    """The activations of each framework that are given float64 and return something else, as written."""
    found: dict[str, list[str]] = {}
    for row in twins.ACTIVATIONS:
        for framework, call in row.calls.items():
            if twins.activation_values(framework, row, GRID).dtype != np.float64:
                found.setdefault(framework, []).append(call)
    return found
