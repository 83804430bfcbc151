"""The accuracy of every activation and every loss over the whole range of float64, in units in the last place (ulp).

The judge is tests/judges/reference.py, which knows no derivative. A row of either table may state how many ulp it
allows; all others keep 4 for a value and 16 for a derivative, in tails, beside kinks and beside the zeros of
derivatives too. Stable pairs are judged in test_saturation.py.
"""

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import mpmath
import numpy as np
import pytest

from chainrule.functions.activations import ACTIVATIONS, ActivationSpec, activation_spec
from chainrule.functions.losses import LOSSES, loss_spec
from tests.judges import reference
from tests.judges.reference import JUDGE, REAL, Real, Vector

VALUE_ULPS, DERIVATIVE_ULPS = 4, 16  # if a row states nothing else
Case = tuple[str, dict[str, Any]]  # the name of a row, and parameters that are not its defaults

# Other parameters for every row that has some: they reveal a formula that holds only for the default.
OTHER_ACTIVATIONS: dict[str, tuple[dict[str, Any], ...]] = {
    "leaky_relu": ({"negative_slope": 0.3}, {"negative_slope": -0.5}, {"negative_slope": 1.0}),
    "elu": ({"alpha": 1.7}, {"alpha": 0.0}),
    "celu": ({"alpha": 0.3}, {"alpha": 7.0}),
    "gelu": ({"approximate": "tanh"},),
    "softplus": ({"beta": 2.7}, {"beta": 0.01}, {"beta": 300.0}),
    "hard_sigmoid": ({"slope": 0.2}, {"slope": 0.7, "offset": 0.3}, {"slope": 0.25, "offset": -1.1}),
    "hard_tanh": ({"min_value": -2.3, "max_value": 0.4}, {"min_value": 0.1, "max_value": 6.0}),
    "hard_shrink": ({"lambda": 0.3}, {"lambda": 0.0}),
    "soft_shrink": ({"lambda": 0.3}, {"lambda": 0.0}),
    "threshold": ({"threshold": 0.1, "value": 20.0}, {"threshold": -1.3, "value": -1.3}),
    "thresholded_relu": ({"theta": 0.3}, {"theta": 0.0}),
    "squareplus": ({"b": 0.7}, {"b": 1e-9}, {"b": 1e4}),
    "scaled_tanh": (
        {"amplitude": -0.7, "slope": 1.1},
        {"amplitude": 2.0, "slope": 0.0},
        {"amplitude": 1e10, "slope": 10.0},  # 1 / cosh² alone is subnormal at a = 36
    ),
    "softmax": ({"temperature": 0.7}, {"temperature": 0.01}, {"temperature": 30.0}),
}
OTHER_LOSSES: dict[str, tuple[dict[str, Any], ...]] = {
    "huber": ({"delta": 0.3}, {"delta": 1e3}),
    "smooth_l1": ({"beta": 0.3}, {"beta": 1e3}),
    "quantile": ({"tau": 0.9}, {"tau": 0.0}, {"tau": 1.0}),
    "percentage_error": ({"epsilon": 0.3},),
    "binary_cross_entropy_with_logits": ({"pos_weight": 3.3}, {"pos_weight": 0.0}),
    "binary_focal": ({"alpha": 0.7, "gamma": 0.0}, {"alpha": 0.0, "gamma": 1.0}, {"alpha": 1.0, "gamma": 0.5}),
    "categorical_cross_entropy": ({"label_smoothing": 0.1}, {"label_smoothing": 1.0}),
    "categorical_cross_entropy_with_logits": ({"label_smoothing": 0.1}, {"label_smoothing": 1.0}),
    "sparse_categorical_cross_entropy": ({"ignore_index": 1},),
    "sparse_categorical_cross_entropy_with_logits": ({"ignore_index": 1},),
    "negative_log_likelihood": ({"ignore_index": 1},),
    "categorical_focal": ({"alpha": 1.0, "gamma": 0.0}, {"alpha": 0.7, "gamma": 1.0}, {"alpha": 1.0, "gamma": 0.5}),
}


def _cases(table: Any, others: dict[str, tuple[dict[str, Any], ...]], wanted: Callable[[Any], bool]) -> list[Case]:
    """The selected rows of a table, each with its defaults and with other parameters."""
    return [(name, given) for name, row in table.items() if wanted(row) for given in ({}, *others.get(name, ()))]


def _title(case: object) -> str | None:
    return " ".join([case[0], *map(str, case[1].values())]) if isinstance(case, tuple) else None


ELEMENTWISE = _cases(ACTIVATIONS, OTHER_ACTIVATIONS, lambda row: row.elementwise)
COUPLED = _cases(ACTIVATIONS, OTHER_ACTIVATIONS, lambda row: not row.elementwise)
EVERY_LOSS = _cases(LOSSES, OTHER_LOSSES, lambda row: True)
elementwise = pytest.mark.parametrize("case", ELEMENTWISE, ids=_title)
coupled = pytest.mark.parametrize("case", COUPLED, ids=_title)
every_loss = pytest.mark.parametrize("case", EVERY_LOSS, ids=_title)


def _frozen(case: Case) -> tuple[str, tuple[tuple[str, Any], ...]]:
    """A case as a hashable key of a cache."""
    return case[0], tuple(case[1].items())


def _complaint(place: str, number: float, right: Real, ulps: float, allowed: float) -> str:
    return f"{place}: {float(number)!r} for {mpmath.nstr(right, 19)}, {ulps:.1f} ulp, allowed {allowed}"


# The tables of this file.


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_every_activation_has_its_judge(name: str) -> None:
    """A new row needs a textbook formula in tests/judges/reference.py."""
    assert name in reference.ACTIVATIONS, f"tests/judges/reference.py does not know the activation {name}"


@pytest.mark.parametrize("name", list(LOSSES))
def test_every_loss_has_its_judge_and_its_points(name: str) -> None:
    """A new row needs a textbook formula in tests/judges/reference.py, and a line in DOMAINS."""
    assert name in reference.LOSSES, f"tests/judges/reference.py does not know the loss {name}"
    assert name in DOMAINS, f"DOMAINS does not say where to try the loss {name}"


@pytest.mark.parametrize("name", [*ACTIVATIONS, *LOSSES])
def test_every_row_with_parameters_is_tried_with_others_too(name: str) -> None:
    """Those of OTHER_ACTIVATIONS and OTHER_LOSSES name every parameter of the row, and differ from its default."""
    row = ACTIVATIONS[name] if name in ACTIVATIONS else LOSSES[name]
    others = (OTHER_ACTIVATIONS if name in ACTIVATIONS else OTHER_LOSSES).get(name, ())
    changed = {key for given in others for key, value in given.items()}
    assert changed == {parameter.name for parameter in row.parameters}, f"other parameters for {name}"
    for parameter in row.parameters:
        assert any(given.get(parameter.name, parameter.default) != parameter.default for given in others)


# Activations of single units.

FLOAT_NEIGHBOURS = (-math.inf, math.inf)
DECADES = sorted({*range(-300, 301, 20), *range(-20, 5)})
ROUND = [sign * float(f"{digits}e{k}") for k in DECADES for digits in (1, 2.5, 7) for sign in (1, -1)]
RANDOM = np.random.default_rng(20)
# Where eᵃ and e²ᵃ are near the limits of float64, on both sides of them.
EDGES = [side * a for a in (354.0, 356.5, 362.0, 372.5, 708.0, 709.5, 711.0, 744.5) for side in (1.0, -1.0)]
DENSE = [
    *(RANDOM.choice((-1.0, 1.0), 300) * 10.0 ** RANDOM.uniform(-3.0, 3.0, 300)).tolist(),
    *RANDOM.uniform(-40.0, 40.0, 200).tolist(),
]

# Pairs of numbers with a zero of the derivative between them. There, a derivative that is a difference has few digits.
BRACKETS: dict[str, tuple[tuple[float, float], ...]] = {
    "silu": ((-1.5, -1.0),),
    "mish": ((-1.5, -1.0),),
    "gelu": ((-1.0, -0.5),),
    "quick_gelu": ((-1.0, -0.5),),
    "hard_silu": ((-2.0, -1.0),),
    "sin": ((1.0, 2.0), (-5.0, -4.0), (32.0, 34.0)),
    "cos": ((3.0, 4.0), (-7.0, -6.0), (43.0, 45.0)),
}


def _shrink_kinks(**given: float) -> dict[float, float]:
    """The kinks of hard_shrink and soft_shrink, whose parameter `lambda` is a keyword of Python."""
    size = given.get("lambda", 0.5)
    return {-size: 0.0, size: 0.0} if size else {}


KINKS: dict[str, Callable[..., dict[float, float]]] = {  # where, and the derivative taken there
    "relu": lambda: {0.0: 0.0},
    "relu6": lambda: {0.0: 0.0, 6.0: 0.0},
    "hard_silu": lambda: {-3.0: 0.0, 3.0: 1.0},
    "selu": lambda: {0.0: 1.7580993408473768},
    "absolute": lambda: {0.0: 0.0},
    "sparse_sigmoid": lambda: {-1.0: 0.0, 1.0: 0.0},
    "step": lambda: {0.0: 0.0},
    "leaky_relu": lambda negative_slope=0.01: {0.0: negative_slope} if negative_slope != 1.0 else {},
    "elu": lambda alpha=1.0: {0.0: alpha} if alpha != 1.0 else {},
    "hard_sigmoid": lambda **given: dict.fromkeys(reference.hard_sigmoid_edges(**given), 0.0),
    "hard_tanh": lambda min_value=-1.0, max_value=1.0: {min_value: 0.0, max_value: 0.0},
    "hard_shrink": _shrink_kinks,
    "soft_shrink": _shrink_kinks,
    "threshold": lambda threshold=0.0, value=0.0: {threshold: 0.0},
    "thresholded_relu": lambda theta=1.0: {theta: 0.0},
}
JOINS: dict[str, tuple[float, ...]] = {"sparse_plus": (-1.0, 1.0)}  # smooth, but not twice


def _kinks(case: Case) -> dict[float, float]:
    name, given = case
    return KINKS[name](**given) if name in KINKS else {}


def _judge(case: Case) -> Callable[[Real], Real]:
    """φ of one unit, by the judge."""
    name, given = case
    if name not in reference.ACTIVATIONS:
        pytest.fail(f"tests/judges/reference.py does not know the activation {name}")
    return functools.partial(reference.ACTIVATIONS[name], **given)


def _zeros(case: Case) -> list[float]:
    """The zeros of φ', rounded to float64, and points around each of them."""
    points = []
    for low, high in BRACKETS.get(case[0], ()):
        zero = float(JUDGE.findroot(lambda a: reference.derivative(_judge(case), a), (low, high), solver="illinois"))
        points += [zero, *(zero + side * far for side in (-1, 1) for far in (1e-12, 1e-6, 1e-2))]
        points += [math.nextafter(zero, end) for end in FLOAT_NEIGHBOURS]
    return points


def _grid(case: Case) -> list[float]:
    """The points at which one activation is judged; fewer for parameters that are not the defaults."""
    corners = [0.0, *_kinks(case), *JOINS.get(case[0], ())]
    beside = [math.nextafter(corner, end) for corner in corners for end in FLOAT_NEIGHBOURS]
    return [*corners, *beside, *_zeros(case), *EDGES, *ROUND[:: 7 if case[1] else 1], *DENSE[:: 8 if case[1] else 1]]


@functools.cache
def _right(frozen: tuple[str, tuple[tuple[str, Any], ...]]) -> list[tuple[float, Real, Real]]:
    """(a, φ(a), φ'(a)) on the grid, with the derivative of KINKS at a kink."""
    case = (frozen[0], dict(frozen[1]))
    phi, taken, joins = _judge(case), _kinks(case), JOINS.get(case[0], ())
    rows = []
    for a in _grid(case):
        at = REAL(a)
        (o,) = reference.value(lambda at=at: [phi(at)])
        if a in taken:
            slope = REAL(taken[a])
        elif a in joins:
            slope = reference.one_sided(phi, at, -1)
        else:
            slope = reference.derivative(phi, at, [REAL(corner) for corner in (*taken, *joins)])
        rows.append((a, o, slope))
    return rows


def _column(case: Case) -> tuple[ActivationSpec, np.ndarray]:
    """The activation, and its grid as the pre-activations of one unit."""
    return activation_spec(case[0], **case[1]), np.array([[a] for a, *_ in _right(_frozen(case))])


def _wrong(points: Iterable[float], numbers: np.ndarray, right: Sequence[Real], allowed: float) -> list[str]:
    """A complaint for every number whose error is more than so many ulp."""
    complaints = []
    for a, number, exact in zip(points, numbers.ravel().tolist(), right, strict=True):
        if (ulps := reference.ulps(number, exact)) > allowed:
            complaints.append(_complaint(f"a = {a!r}", number, exact, ulps, allowed))
    return complaints


@elementwise
def test_a_value_keeps_its_digits_over_the_whole_range_of_float64(case: Case) -> None:
    """silu(-700) = -6.9e-302 and tanh_shrink(1e-5) = 3.3e-16 to 4 ulp; e⁷¹⁰ is infinite, and no finite number is."""
    phi, a = _column(case)
    points, right, _ = zip(*_right(_frozen(case)), strict=True)
    assert not _wrong(points, phi.value(a), right, getattr(phi.activation, "value_ulps", VALUE_ULPS))


@elementwise
def test_a_derivative_keeps_its_digits_over_the_whole_range_of_float64(case: Case) -> None:
    """silu' at its zero, -1.278: 2e-17, to 16 ulp. relu' is 0 at 0, and 1 at its neighbour 5e-324."""
    phi, a = _column(case)
    points, _, right = zip(*_right(_frozen(case)), strict=True)
    numbers = phi.jacobian(a).array()
    assert not _wrong(points, numbers, right, getattr(phi.activation, "derivative_ulps", DERIVATIVE_ULPS))


@elementwise
def test_the_kinks_are_those_of_the_definition(case: Case) -> None:
    """There are exactly these kinks, and the derivative taken at each is that of the table above."""
    phi = activation_spec(case[0], **case[1])
    assert {kink.at: phi.slope(kink.at) for kink in phi.kinks()} == _kinks(case)


@elementwise
def test_the_slopes_beside_a_kink_are_those_that_the_row_states(case: Case) -> None:
    """To 2 ulp, and so is the jump, by one-sided quotients of the judge; the derivative taken is between the slopes."""
    phi, judge = activation_spec(case[0], **case[1]), _judge(case)
    for kink in phi.kinks():
        at = REAL(kink.at)
        assert reference.ulps(kink.left, reference.one_sided(judge, at, -1)) <= 2, kink
        assert reference.ulps(kink.right, reference.one_sided(judge, at, 1)) <= 2, kink
        jump = reference.jump(judge, at)
        assert abs(REAL(getattr(kink, "jump", 0.0)) - jump) <= abs(jump) * 5e-16 + REAL(10) ** -16, kink
        assert min(kink.left, kink.right) <= phi.slope(kink.at) <= max(kink.left, kink.right)


# Activations of a group.


def _many(count: int, units: int, make: Callable[[np.random.Generator], np.ndarray]) -> list[list[float]]:
    rng = np.random.default_rng(units)
    return [make(rng).tolist() for _ in range(count)]


GROUPS: tuple[list[float], ...] = (
    *([a] for a in (0.0, 3.3, -1e300, 1e300)),
    *([a, b] for a, b in ((0.0, 0.0), (-0.3, -0.3), (1e300, 1e300), (1e300, -1e300), (0.1, 700.3), (700.3, -0.1))),
    *([a, b] for a, b in ((0.0, -745.2), (30.1, -7.3), (0.3, -709.9), (12345.678, 11645.9), (1e-300, -1e-300))),
    *([a, b] for a, b in ((5e-324, 0.0), (1 / 3, 1e17), (37.1, 0.2), (0.7, -0.3), (0.25, -0.25), (1e9, 1e9 - 0.7))),
    [0.0, 0.0, 0.0],
    [300.1, 0.1, -0.7],
    [-0.2, 0.1, 700.3],
    [0.3, 708.7, -0.6],
    [1e300, 1e300, -1e300],
    [-1e300, 0.0, 1e-300],
    [123456.7, 123456.7, 122749.8],
    [1.0, 0.0, -1.0],
    [2.0, 1.0, 1.0],
    [1.5, 1.0, 0.25],
    [1.0, -2e-15, -2.0],  # the second is just outside the support of sparsemax
    [0.6, 0.4, -1e-11],
    [0.6, 0.4, 1e-15],
    [0.1, 0.2, 0.3],
    [800.0, -800.0, 799.3],
    [0.4, 0.4, 0.4, 0.4, 0.4],
    [40.3, 0.1, 0.2, -0.1, -700.7],
    [-710.3, -0.1, -709.7, 0.6, 0.3],
    [1e300, 7.3, -1e300, 0.1, 1e300],
    [1e-8, 2e-8, -1e-8, 0.0, 3e-300],
    *_many(6, 2, lambda rng: rng.uniform(-5.0, 5.0, 2)),
    *_many(6, 3, lambda rng: rng.uniform(-40.0, 40.0, 3)),
    *_many(6, 3, lambda rng: rng.choice((-350.0, 350.0), 3) + rng.uniform(-9.0, 9.0, 3)),
    *_many(6, 5, lambda rng: rng.normal(0.0, 0.6, 5)),
    *_many(4, 5, lambda rng: rng.choice((-3.0, 710.0), 5) + rng.uniform(-9.0, 9.0, 5)),
    *_many(1, 40, lambda rng: rng.normal(0.0, 0.05, 40)),
    *_many(1, 40, lambda rng: np.where(np.arange(40) == 7, 735.7, np.repeat(rng.normal(0.0, 9.0, 20), 2))),
)


def _groups(case: Case) -> tuple[list[float], ...]:
    """The groups to judge; only one of the two large ones for parameters that are not the defaults."""
    return GROUPS[:-1] if case[1] else GROUPS


@coupled
def test_the_values_of_a_group_keep_their_digits(case: Case) -> None:
    """softmax(0.1, 700.3): e^-700.2 to 4 ulp, though the difference of the two is rounded to 5.7e-14."""
    (name, given), complaints = case, []
    phi = activation_spec(name, **given)
    allowed = getattr(phi.activation, "value_ulps", VALUE_ULPS)
    for a in _groups(case):
        right = reference.value(lambda a=a: reference.ACTIVATIONS[name](list(map(REAL, a)), **given))
        for j, (number, exact) in enumerate(zip(phi.value(np.array([a]))[0].tolist(), right, strict=True)):
            if (ulps := reference.ulps(number, exact)) > allowed:
                complaints.append(_complaint(f"unit {j} at a = {a}", number, exact, ulps, allowed))
    assert not complaints


@coupled
def test_the_jacobian_of_a_group_keeps_its_digits(case: Case) -> None:
    """All n² of it: do_j/da_m of softmax(0, -745) is ±5e-324 and of log_softmax(40, 0) 4.2e-18 and 1 - 4.2e-18."""
    (name, given), complaints = case, []
    phi = activation_spec(name, **given)
    allowed = getattr(phi.activation, "derivative_ulps", DERIVATIVE_ULPS)
    for a in _groups(case):
        right = reference.jacobian(name, list(map(REAL, a)), **given)
        matrix = phi.jacobian(np.array([a])).array()[0]
        for j, m in itertools.product(range(len(a)), repeat=2):
            if (ulps := reference.ulps(float(matrix[j, m]), right[j][m])) > allowed:
                place = f"do_{j}/da_{m} at a = {a}"
                complaints.append(_complaint(place, matrix[j, m], right[j][m], ulps, allowed))
    assert not complaints


@coupled
def test_a_group_in_a_batch_is_the_group_alone(case: Case) -> None:
    """No sample depends on another, to the last bit."""
    phi = activation_spec(case[0], **case[1])
    for units in (1, 2, 3, 5, 40):
        groups = np.array([a for a in GROUPS if len(a) == units])
        alone = [phi.value(group[None])[0] for group in groups]
        np.testing.assert_array_equal(phi.value(groups), alone)
        alone = [phi.jacobian(group[None]).array()[0] for group in groups]
        np.testing.assert_array_equal(phi.jacobian(groups).array(), alone)


# Losses: samples (o, t) with as many outputs as o has numbers.

Sample = tuple[list[float], list[float]]
UP, DOWN = math.nextafter(1.0, 2.0), math.nextafter(1.0, 0.0)


def _singles(outputs: Iterable[float], targets: Iterable[float]) -> Iterator[Sample]:
    return (([o], [t]) for o, t in itertools.product(outputs, targets))


def _meetings(targets: Iterable[float]) -> Iterator[Sample]:
    """o equal to t, and the two float64 next to t."""
    return (([o], [t]) for t in targets for o in (t, math.nextafter(t, math.inf), math.nextafter(t, -math.inf)))


def _rows(make: Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]) -> Iterator[Sample]:
    """Random samples of 1 to 5 outputs."""
    rng = np.random.default_rng(7)
    for _, n in itertools.product(range(4), (1, 2, 3, 5)):
        o, t = make(rng, n)
        yield o.tolist(), t.tolist()


def _one_hot(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.eye(n)[rng.integers(n)]


def _wide(rng: np.random.Generator, n: int) -> np.ndarray:
    """Numbers of both signs and of sizes from 1e-3 to 1e3."""
    return rng.choice((-1.0, 1.0), n) * 10.0 ** rng.uniform(-3.0, 3.0, n)


def _residuals() -> Iterator[Sample]:
    yield from _singles(
        (0.0, 1.0, -1.0, 0.3, -3.7, 37.1, 1e3, 5e-324, 1e-300, 1e-8, 1e150, -1e150, 1e300), (0.0, 1.0, -0.7, 1e150)
    )
    yield from _meetings((1.0, 0.3, -7.1e5, 1e-300, 3e100))
    yield from (([1.0 + r], [1.0]) for r in (1e-5, -0.3, -0.1, 2.3, -19.7, 360.0, -720.3))
    yield from (([o], [t]) for o, t in ((2e307, 1e306), (1e200, -1e200), (1e300, 1e-300), (1e-9, 1e-7), (3e-8, 0.0)))
    yield from _rows(lambda rng, n: (_wide(rng, n), _wide(rng, n)))
    yield from _rows(lambda rng, n: (rng.normal(0.0, 1.0, n), rng.normal(0.0, 1.0, n)))


def _probabilities() -> Iterator[Sample]:
    yield from _singles(
        (0.0, 5e-324, -5e-324, 1e-300, 1e-20, 1e-3, 0.3, 0.5, 0.9, 1.0 - 1e-9, DOWN, 1.0, UP),
        (0.0, 1.0, 0.5, 0.3, 1e-20, DOWN),
    )
    yield from _meetings((0.5, 0.3, 0.9, 1e-20))
    yield from _rows(lambda rng, n: (rng.uniform(0.0, 1.0, n), rng.uniform(0.0, 1.0, n)))
    yield from _rows(lambda rng, n: (rng.uniform(0.0, 1.0, n), _one_hot(rng, n)))


def _distributions() -> Iterator[Sample]:
    yield from _singles((0.0, 5e-324, -5e-324, 1e-300, 1e-20, 0.3, 0.9, 1.0 - 1e-9, DOWN, 1.0), (0.0, 1.0, 0.3, 1e-20))
    yield from _meetings((0.3, 0.9, 1e-20))
    yield from (([0.0, 1.0], [0.0, 1.0]), ([1.0, 0.0], [0.0, 1.0]), ([0.3, 0.7], [0.3, 0.7]))
    yield ([1e-300, 0.5, 0.5], [0.5, 0.0, 0.5])
    yield from _rows(lambda rng, n: (rng.dirichlet([1.0] * n), rng.dirichlet([0.3] * n)))
    yield from _rows(lambda rng, n: (rng.dirichlet([1.0] * n), _one_hot(rng, n)))


def _classes() -> Iterator[Sample]:
    yield from _singles((0.0, 5e-324, 1e-300, 1e-20, 0.3, 0.9, 1.0 - 1e-9, DOWN, 1.0), (1.0,))
    yield from (([0.0, 1.0], [0.0, 1.0]), ([1.0, 0.0], [0.0, 1.0]), ([0.3, 0.7], [1.0, 0.0]))
    yield from _rows(lambda rng, n: (rng.dirichlet([1.0] * n), _one_hot(rng, n)))


LOGITS = (0.0, 1e-300, -1e-8, 0.3, -1.0, 19.7, -36.9, 37.1, 300.1, -300.1, -700.3, 709.9, -745.1, 800.0, 1e300, -1e300)


def _binary_logits() -> Iterator[Sample]:
    yield from _singles(LOGITS, (0.0, 1.0, 0.5, 0.3))
    yield from _rows(lambda rng, n: (rng.normal(0.0, 5.0, n), rng.uniform(0.0, 1.0, n)))
    yield from _rows(lambda rng, n: (rng.normal(0.0, 5.0, n), rng.integers(0, 2, n).astype(np.float64)))


def _class_logits() -> Iterator[Sample]:
    yield from ((a, [float(j == k) for j in range(len(a))]) for a in GROUPS if len(a) <= 5 for k in range(len(a))[:2])
    yield from _rows(lambda rng, n: (rng.normal(0.0, 5.0, n), _one_hot(rng, n)))


def _mixed_logits() -> Iterator[Sample]:
    yield from _class_logits()
    yield from _rows(lambda rng, n: (rng.normal(0.0, 5.0, n), rng.dirichlet([1.0] * n)))
    yield from (([a, 0.1, -0.3], [0.2, 0.6, 0.2]) for a in LOGITS)


def _counts() -> Iterator[Sample]:
    yield from _singles(
        (0.0, 5e-324, -5e-324, 1e-300, 1e-8, 0.3, 1.0, UP, 3.3, 1e8, 1e150), (0.0, 1.0, 3.0, 1e-300, 1e8)
    )
    yield from _meetings((1.0, 3.0, 17.0, 1e8))
    yield from _rows(lambda rng, n: (rng.uniform(0.1, 9.0, n), rng.integers(0, 9, n).astype(np.float64)))


def _log_counts() -> Iterator[Sample]:
    yield from _singles(LOGITS, (0.0, 1.0, 3.0, 1e8))
    yield from (([math.log(t)], [t]) for t in (2.0, 3.0, 1e8))
    yield from _rows(lambda rng, n: (rng.normal(0.0, 2.0, n), rng.integers(0, 9, n).astype(np.float64)))


def _above_minus_one() -> Iterator[Sample]:
    outputs = (-1.0, -DOWN, -UP, -0.3, -1e-8, 0.0, 5e-324, 1e-20, 1e-5, 0.3, 1.0, UP, 37.1, 1e8, 1e150, 1e300)
    yield from _singles(outputs, (0.0, -0.9, 1e-20, 1.0, 1e8))
    yield from _meetings((0.3, 1.0, 1e-20, -0.9, 1e8))
    yield from _rows(lambda rng, n: (rng.uniform(0.0, 9.0, n), rng.uniform(0.0, 9.0, n)))


def _signs() -> Iterator[Sample]:
    yield from _singles(
        (0.0, 1.0, UP, DOWN, -1.0, -UP, -DOWN, 5e-324, 0.3, -3.7, 1e-20, 1e150, -1e150, 1e300), (1.0, -1.0)
    )
    yield from _rows(lambda rng, n: (rng.normal(0.0, 1.5, n), rng.choice((-1.0, 1.0), n)))


def _scores() -> Iterator[Sample]:
    yield from (([o], [1.0]) for o in (0.0, 1.0, UP, DOWN, -3.7, 1e300, -1e300))
    yield from (([0.5, 0.5], [1.0, 0.0]), ([1.0, 0.0], [1.0, 0.0]), ([UP, 0.0], [1.0, 0.0]), ([2.0, 0.3], [1.0, 0.0]))
    yield from (([0.3, 0.3, 0.3], [0.0, 0.0, 1.0]), ([0.7, -0.3, 0.7], [0.0, 1.0, 0.0]), ([-1.0, -2.0], [1.0, 0.0]))
    yield from (([-1.0, -2.0, -1.0], [1.0, 0.0, 0.0]), ([1e150, 1e150, 0.3], [0.0, 0.0, 1.0]))
    yield from _rows(lambda rng, n: (rng.normal(0.0, 1.0, n), _one_hot(rng, n)))
    yield from _rows(lambda rng, n: (rng.normal(0.0, 1.0, n), rng.dirichlet([1.0] * n)))


def _directions() -> Iterator[Sample]:
    yield from _singles((0.0, 1.0, -0.3, 1e-300, 5e-324, 1e200, -1e300), (0.0, 1.0, -1e-200, 1e300))
    yield from (([0.0, 0.0], [0.3, 0.4]), ([0.3, 0.4], [0.0, 0.0]), ([0.3, 0.4], [0.3, 0.4]), ([3.0, 4.0], [-4.0, 3.0]))
    yield from (([0.0, 0.3], [0.7, 0.0]), ([1e200, 1e200], [1e200, 3e200]), ([1e-200, 2e-200], [3e-200, 1e-200]))
    yield from (([1e-300, 1.0], [1.0, 1e-300]), ([1e300, 1e-300, 0.0], [0.3, 0.7, 0.1]))
    yield from _rows(lambda rng, n: (_wide(rng, n), _wide(rng, n)))
    yield from _rows(lambda rng, n: (rng.normal(0.0, 1.0, n), rng.normal(0.0, 1.0, n)))


def _pairs() -> Iterator[Sample]:
    for m, s in itertools.product((0.0, 1.0, -3.7, 1e-8, 1e150), (0.0, 0.3, -1.7, 36.9, -37.1, 700.3, -700.3)):
        yield [m, s], [0.7]
    yield from (([0.7, s], [0.7]) for s in (0.0, 1.3, -700.3, -800.0, 800.0, 1e300, -1e300))
    yield from (
        ([UP, -70.0], [1.0]),
        ([1.0 + 1e-5, -11.5], [1.0]),
        ([1e200, 1000.3], [0.0]),
        ([1e-200, -1000.3], [0.0]),
    )
    yield from _rows(lambda rng, n: (rng.normal(0.0, 1.5, 2 * n), rng.normal(0.0, 1.0, n)))


DOMAINS: dict[str, Callable[[], Iterator[Sample]]] = {
    "half_squared_error": _residuals,
    "squared_error": _residuals,
    "absolute_error": _residuals,
    "huber": _residuals,
    "smooth_l1": _residuals,
    "log_cosh": _residuals,
    "quantile": _residuals,
    "percentage_error": _residuals,
    "squared_log_error": _above_minus_one,
    "poisson": _counts,
    "poisson_log": _log_counts,
    "binary_cross_entropy": _probabilities,
    "binary_cross_entropy_with_logits": _binary_logits,
    "binary_focal": _probabilities,
    "hinge": _signs,
    "squared_hinge": _signs,
    "kl_divergence": _distributions,
    "dot_product": _residuals,
    "categorical_cross_entropy": _distributions,
    "categorical_cross_entropy_with_logits": _mixed_logits,
    "sparse_categorical_cross_entropy": _classes,
    "sparse_categorical_cross_entropy_with_logits": _class_logits,
    "negative_log_likelihood": _classes,
    "categorical_focal": _distributions,
    "categorical_hinge": _scores,
    "cosine_similarity": _directions,
    "gaussian_nll": _pairs,
}

# The terms of sums that can cancel: the error allowed is in ulp of the largest term, not of the sum.
Terms = Callable[..., Iterable[Real]]


def _zipped(terms: Callable[..., Iterable[Real]]) -> Terms:
    """The terms of every output of a sample."""
    return lambda o, t, **given: [
        term for pair in zip(o, t, strict=True) for term in terms(*pair, **given) if JUDGE.isfinite(term)
    ]


def _log(x: Real) -> Real:
    return JUDGE.log(x) if x > 0 else REAL(0)


def _spread(o: Vector, t: Vector) -> list[Real]:
    """The terms of cosine_similarity."""
    lengths = reference.length(o) * reference.length(t)
    return [x * y / lengths for x, y in zip(o, t, strict=True)] if lengths else [REAL(0)]


def _turns(o: Vector, t: Vector, j: int) -> list[Real]:
    """The two terms of cosine_similarity's derivative, -t_j / |o||t| and o_j·(o·t) / |o|³|t|."""
    lengths = reference.length(o) * reference.length(t)
    if not lengths:
        return [REAL(0)]
    return [t[j] / lengths, *(o[j] * term / reference.length(o) ** 2 for term in _spread(o, t))]


def _halves(o: Vector, t: Vector) -> list[Real]:
    """The terms of gaussian_nll, s/2 and (t - m)²·e⁻ˢ/2."""
    squares = ((y - m) ** 2 * JUDGE.exp(-s) / 2 for m, s, y in zip(o[::2], o[1::2], t, strict=True))
    return [*squares, *(s / 2 for s in o[1::2])]


def _half_against_square(o: Vector, t: Vector, j: int) -> list[Real]:
    """d/ds has the terms ½ and -(t - m)²·e⁻ˢ/2, and d/dm has one term."""
    if j % 2 == 0:
        return []
    return [REAL(1) / 2, (t[j // 2] - o[j - 1]) ** 2 * JUDGE.exp(-o[j]) / 2]


def _softmax_against_target(
    o: Vector, t: Vector, j: int, label_smoothing: float = 0.0, ignore_index: int | None = None
) -> list[Real]:
    """softmax_j · Σ t' - t'_j."""
    smoothed = reference.smoothed(t, label_smoothing)
    return [reference.ACTIVATIONS["softmax"](o)[j] * sum(smoothed), smoothed[j]]


def _focal_halves(o: Vector, t: Vector, j: int, alpha: float = 0.25, gamma: float = 2.0) -> list[Real]:
    """The slopes of the part for t and of the part for 1 - t, one falling, the other rising."""
    (hit, miss) = (
        reference.loss_derivative("binary_focal", [o[j]], [REAL(target)], 0, alpha=alpha, gamma=gamma)
        for target in (1, 0)
    )
    return [share * slope for share, slope in ((t[j], hit), (1 - t[j], miss)) if share and JUDGE.isfinite(slope)]


VALUE_TERMS: dict[str, tuple[str, Terms]] = {
    "poisson": ("o and t·log o", _zipped(lambda o, t: (o, t * _log(o)))),
    "poisson_log": ("eᵒ and t·o", _zipped(lambda o, t: (JUDGE.exp(o), t * o))),
    "kl_divergence": ("t and t·log(t/o)", _zipped(lambda o, t: (t, t * (_log(t) - _log(o))))),
    "dot_product": ("t·o", _zipped(lambda o, t: (t * o,))),
    "cosine_similarity": ("o·t / |o||t| of each output", _spread),
    "gaussian_nll": ("s/2 and (t - m)²·e⁻ˢ/2", _halves),
    "categorical_hinge": ("1, (1 - t)·o and t·o", _zipped(lambda o, t: (REAL(1), (1 - t) * o, t * o))),
}
DERIVATIVE_TERMS: dict[str, tuple[str, Terms]] = {
    "poisson": ("1 and t/o", lambda o, t, j: (REAL(1), t[j] / o[j] if o[j] else REAL(0))),
    "poisson_log": ("eᵒ and t", lambda o, t, j: (JUDGE.exp(o[j]), t[j])),
    "binary_cross_entropy_with_logits": (
        "w·t·σ(-o) and (1 - t)·σ(o)",
        lambda o, t, j, pos_weight=1.0: (
            REAL(pos_weight) * t[j] / (1 + JUDGE.exp(o[j])),
            (1 - t[j]) / (1 + JUDGE.exp(-o[j])),
        ),
    ),
    "binary_focal": ("the part for t and the part for 1 - t", _focal_halves),
    "categorical_cross_entropy_with_logits": ("softmax and t", _softmax_against_target),
    "sparse_categorical_cross_entropy_with_logits": ("softmax and t", _softmax_against_target),
    "cosine_similarity": ("t / |o||t| and o·(o·t) / |o|³|t|", _turns),
    "gaussian_nll": ("½ and (t - m)²·e⁻ˢ/2", _half_against_square),
}


def _off(number: float, right: Real, terms: Iterable[Real]) -> float:
    """The error in ulp of the right number, or of the largest term."""
    ulps = reference.ulps(number, right)
    if not math.isfinite(number) or ulps <= 1:
        return ulps
    largest = max(map(abs, terms), default=REAL(0))
    unit = max(math.ulp(reference.nearest(largest)), math.ulp(reference.nearest(right)))
    return float(abs(REAL(number) - right) / REAL(unit)) if math.isfinite(unit) else ulps


@functools.cache
def _samples(frozen: tuple[str, tuple[tuple[str, Any], ...]]) -> list[tuple[Sample, np.ndarray, np.ndarray]]:
    """The samples of a loss, (o, t), with ℓ of each output and dℓ/do as we compute them, batches of one length."""
    name, given = frozen[0], dict(frozen[1])
    loss = loss_spec(name, **given)
    if name not in DOMAINS:
        pytest.fail(f"DOMAINS does not say where to try the loss {name}")
    samples = list(DOMAINS[name]())
    samples = samples[:: 3 if given else 1]
    found = []
    for n in sorted({len(o) for o, _ in samples}):
        batch = [(o, t) for o, t in samples if len(o) == n]
        o, t = (np.array(numbers) for numbers in zip(*batch, strict=True))
        t = loss.dense_targets(t.argmax(axis=1).astype(np.float64) if loss.loss.class_indices else t, n)
        if loss.loss.class_indices:  # an ignored sample is a row of 0 for the judge, too
            batch = [(o, row) for (o, _), row in zip(batch, t.tolist(), strict=True)]
        found += zip(batch, loss.value(o, t), loss.derivative(o, t), strict=True)
    return found


def _sum(numbers: np.ndarray) -> float:
    """The sum of one sample's losses, rounded once."""
    with np.errstate(invalid="ignore"):  # ∞ - ∞
        return math.fsum(numbers) if np.isfinite(numbers).all() else float(numbers.sum())


@every_loss
def test_a_loss_keeps_its_digits_up_to_the_edges_of_its_domain(case: Case) -> None:
    """-log(1 - 1e-20) is 1e-20, log cosh 1e-8 is 5e-17, (1e200)² is infinite. Undefined losses are not judged."""
    (name, given), complaints = case, []
    allowed = getattr(LOSSES[name], "value_ulps", VALUE_ULPS)
    label, terms = VALUE_TERMS.get(name, ("", lambda *_, **__: ()))
    for (o, t), numbers, _ in _samples(_frozen(case)):
        exact = list(map(REAL, o)), list(map(REAL, t))
        (right,) = reference.value(lambda exact=exact: [reference.LOSSES[name](*exact, **given)])
        if JUDGE.isnan(right):
            continue
        if (ulps := _off(_sum(numbers), right, terms(*exact, **given))) > allowed:
            complaints.append(_complaint(f"o = {o}, t = {t} {label}", _sum(numbers), right, ulps, allowed))
    assert not complaints


@every_loss
def test_the_derivative_of_a_loss_keeps_its_digits_up_to_the_edges_of_its_domain(case: Case) -> None:
    """-t/o is infinite at o = 0 and -1e300 at 1e-300; at a kink it is 0, and one ulp beside it that of its side."""
    (name, given), complaints = case, []
    allowed = getattr(LOSSES[name], "derivative_ulps", DERIVATIVE_ULPS)
    label, terms = DERIVATIVE_TERMS.get(name, ("", lambda *_, **__: ()))
    for (o, t), _, numbers in _samples(_frozen(case)):
        exact = list(map(REAL, o)), list(map(REAL, t))
        for j, number in enumerate(numbers.tolist()):
            right = reference.loss_derivative(name, *exact, j, **given)
            if JUDGE.isnan(right):
                continue
            if (ulps := _off(number, right, terms(*exact, j, **given))) > allowed:
                complaints.append(_complaint(f"dℓ/do_{j} at o = {o}, t = {t} {label}", number, right, ulps, allowed))
    assert not complaints


@pytest.mark.parametrize("t", [0.3, 0.9, 1e-20, 1e-300])
def test_a_divergence_keeps_its_digits_where_output_and_target_are_close(t: float) -> None:
    """t·log(t/o) near o = t is about t - o; the logarithm of the rounded quotient would have no digit of that."""
    loss = loss_spec("kl_divergence")
    for o in (t, math.nextafter(t, 1.0), math.nextafter(t, 0.0), t * (1.0 + 1e-9), t * 1.7, t * 0.6):
        right = reference.value(lambda o=o: [reference.LOSSES["kl_divergence"]([REAL(o)], [REAL(t)])])[0]
        number = float(loss.value(np.array([[o]]), np.array([[t]]))[0, 0])
        assert reference.ulps(number, right) <= 4, o


@pytest.mark.parametrize("o", [1e-300, -1e-300, 1e-8, -1e-8, 0.3, -0.3, 0.6, -3.7])
def test_the_slope_of_a_poisson_loss_keeps_its_digits_at_a_count_of_one(o: float) -> None:
    """eᵒ - 1 for the logarithm o of a rate is about o; the difference of two numbers near 1 would have no digit."""
    number = float(loss_spec("poisson_log").derivative(np.array([[o]]), np.array([[1.0]]))[0, 0])
    assert reference.ulps(number, JUDGE.expm1(REAL(o))) <= DERIVATIVE_ULPS


# The judge itself.


@pytest.mark.parametrize(
    ("number", "right", "ulps"),
    [
        (1.0, "1", 0.0),
        (UP, "1", 1.0),
        (5e-324, "0", 1.0),
        (0.0, "1e-400", 0.0),
        (1e-310, "1e-310", 0.0),
        (1.7976931348623157e308, "1.7976931348623157e308", 0.0),
        (math.inf, "1.7976931348623157e308", math.inf),
        (math.inf, "1.8e308", 0.0),
        (-math.inf, "1.8e308", math.inf),
        (1.7976931348623157e308, "1.8e308", math.inf),
        (-math.inf, "-1e4000", 0.0),
        (math.inf, "inf", 0.0),
        (math.nan, "1", math.inf),
        (math.nan, "inf", math.inf),
    ],
)
def test_an_error_is_counted_in_units_in_the_last_place(number: float, right: str, ulps: float) -> None:
    """Subnormals in steps of 5e-324; beyond the range of float64, only infinity is right."""
    assert reference.ulps(number, REAL(right)) == pytest.approx(ulps, abs=0.5)


SAMPLE = (1e-300, -1e-300, -1e-100, 2.5e-9, -0.7, 1.3, -1.2784645427610738, 36.7, -40.0, -700.3, -1e100, 1e300, -1e300)


@pytest.mark.parametrize("name", reference.ACTIVATIONS)
def test_the_judge_has_enough_digits(name: str) -> None:
    """With 600 more digits, and a step 1e90 times smaller, no float64 changes."""
    phi = reference.ACTIVATIONS[name]
    several = name in {"softmax", "log_softmax", "softmin", "sparsemax"}
    for a in SAMPLE:
        at, h = REAL(a), REAL(10) ** -260 * min(1, abs(REAL(a)))
        f = (lambda x: phi([x, REAL(0.3)])) if several else lambda x: [phi(x)]
        found = reference.derivatives(f, at, map(REAL, (-1, 0, 1, 0.7)))
        with JUDGE.workdps(1450):
            better = [(above - below) / (2 * h) for above, below in zip(f(at + h), f(at - h), strict=True)]
        for slope, right in zip(found, better, strict=True):
            assert abs(slope - right) <= abs(right) * REAL(10) ** -30 + REAL(10) ** -330, a
