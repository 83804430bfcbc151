"""Saturated units, judged by mpmath: pre-activations up to ±800, where factors vanish, overflow and lose digits.

The judge uses the textbook formulas of φ and ℓ, and no derivative. It computes difference quotients with 400 digits; 50
are left if 1 - o = e⁻⁸⁰⁰ = 4e-348 is formed. The largest relative error is 4e-15, or 2e-14 if terms partly cancel.

Every network is one layer with weights of 0 and 1 and no bias, so a is exactly the input. If float64 underflows (below
2.2e-308), numbers are compared by their distance, in units of the smallest float64, 5e-324.
"""

import functools
import itertools
import math
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

import mpmath
import pytest

from chainrule.functions.stable_pairs import STABLE_PAIRS

JUDGE = mpmath.mp.clone()  # a separate context: the precision of mpmath.mp does not change
JUDGE.dps = 400
REAL = JUDGE.mpf
DIGITS = 4e-15  # 18 units in the last place
CANCELLED = 2e-14  # if the terms of a softmax's outputs partly cancel
ROOTS = 1e-13  # (1 - o)^½ where 1 - o = e⁻⁷⁰⁸ is subnormal, from its logarithm
STEP = REAL(10) ** -20  # a quotient is off by STEP² = 1e-40, and by 1e-400 / STEP / e⁻⁸⁰⁰ = 1e-32 where it is smallest

SIZES = (1e-300, 1e-8, 0.5, 1, 5, 17, 20, 30, 36.5, 37, 40, 100, 300, 360, 700, 709, 720, 745, 750, 800)
GRID = (0.0, *(sign * float(size) for size in SIZES for sign in (1, -1)))
TRIPLES = (
    *((a, 0.5, -1.0) for a in GRID),
    (0.0, 0.0, 0.0),
    (1e-300, 0.0, -1e-300),
    (30.0, -30.0, 0.0),
    (37.0, -37.0, 1.0),
    (300.0, -300.0, 299.5),
    (750.0, 749.0, -750.0),
    (-800.0, -799.5, -760.0),
    (800.0, 800.0, -800.0),
    (300.1, 0.1, -0.7),  # a - max is rounded here, by up to 5.7e-14, which its exponential must not show
    (-0.2, 0.1, 700.3),
    (0.3, 708.7, -0.6),
)

BINARY = ((0.0,), (1.0,), (0.3,))  # 0.3 and the mixtures below are so far from every o that o - t keeps its digits
ONE_HOT = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
COUNTS = ((0.0,), (3.0,), (0.3,))
MIXTURES = ((0.2, 0.6, 0.2), (0.0, 0.4, 0.6))
UPSTREAM = (-1.3, 0.4, 0.5)


def elementwise(function):
    """φ of a whole layer from φ of one unit. Values are cached, as 400 digits of erfc are slow."""
    once = functools.cache(function)
    return lambda a: [once(z) for z in a]


@functools.cache
def softmax(a):
    """exp(a_j) over their sum."""
    powers = [JUDGE.exp(z) for z in a]
    return [power / sum(powers) for power in powers]


def softened(a):
    """A softmax with temperature 4; a / 4 is exact in binary."""
    return softmax(tuple(z / 4 for z in a))


def log_softmax(a):
    """log of the softmax."""
    return [JUDGE.log(o) for o in softmax(a)]


def gelu_by_tanh(a):
    """Hendrycks and Gimpel's approximation."""
    return a / 2 * (1 + JUDGE.tanh(JUDGE.sqrt(2 / JUDGE.pi) * (a + REAL("0.044715") * a**3)))


def selu(a):
    """With its constants as they are printed."""
    scale, alpha = REAL("1.0507009873554805"), REAL("1.6732632423543772")
    return scale * (a if a > 0 else alpha * JUDGE.expm1(a))


def softplus(a):
    """log(1 + eᵃ)."""
    return JUDGE.log(1 + JUDGE.exp(a))


def scaled_tanh(a):
    """The amplitude and the slope are float64."""
    return REAL(1.7159) * JUDGE.tanh(REAL(2 / 3) * a)


SOFTENED = {"name": "softmax", "temperature": 4.0}
SIGMOID = elementwise(lambda a: 1 / (1 + JUDGE.exp(-a)))
EXPONENTIAL = elementwise(JUDGE.exp)
ELEMENTWISE = [
    ("sigmoid", SIGMOID),
    ("tanh", elementwise(JUDGE.tanh)),
    ("softplus", elementwise(softplus)),
    ({"name": "softplus", "beta": 4.0}, elementwise(lambda a: softplus(4 * a) / 4)),
    ("log_sigmoid", elementwise(lambda a: -softplus(-a))),
    ("squareplus", elementwise(lambda a: (a + JUDGE.sqrt(a**2 + 4)) / 2)),
    ("silu", elementwise(lambda a: a / (1 + JUDGE.exp(-a)))),
    ("mish", elementwise(lambda a: a * JUDGE.tanh(softplus(a)))),
    ("quick_gelu", elementwise(lambda a: a / (1 + JUDGE.exp(-REAL("1.702") * a)))),
    ("gelu", elementwise(lambda a: a * JUDGE.erfc(-a / JUDGE.sqrt(2)) / 2)),
    ({"name": "gelu", "approximate": "tanh"}, elementwise(gelu_by_tanh)),
    ("selu", elementwise(selu)),
    ({"name": "celu", "alpha": 3.0}, elementwise(lambda a: a if a > 0 else 3 * JUDGE.expm1(a / 3))),
    ("gaussian", elementwise(lambda a: JUDGE.exp(-(a**2)))),
    ("scaled_tanh", elementwise(scaled_tanh)),
    ("tanh_shrink", elementwise(lambda a: a - JUDGE.tanh(a))),
    ("softsign", elementwise(lambda a: a / (1 + abs(a)))),
    ("arctan", elementwise(JUDGE.atan)),
]


@dataclass(frozen=True)
class Loss:
    """ℓ(o, t) of one output, and the o at which it is not defined."""

    name: str
    value: Callable
    edges: tuple[int, ...] = ()
    parameters: tuple[tuple[str, float], ...] = ()

    def __str__(self):
        return self.name + "".join(f" {value}" for _, value in self.parameters)


def x_log_y(x, y):
    """x · log y, and 0 for a class that does not occur."""
    return x * JUDGE.log(y) if x else REAL(0)


def focal(alpha, gamma):
    """-α·t·(1 - o)^γ·log o - (1 - α)·(1 - t)·o^γ·log(1 - o), for exact α and γ."""

    def value(o, t):
        hit, miss = alpha * (1 - o) ** REAL(gamma), (1 - alpha) * o ** REAL(gamma)
        return -hit * x_log_y(t, o) - miss * x_log_y(1 - t, 1 - o)

    return Loss("binary_focal", value, (0, 1), (("alpha", alpha), ("gamma", gamma)))


def categorical_focal(alpha, gamma):
    """-α·t·(1 - o)^γ·log o."""

    def value(o, t):
        return -alpha * (1 - o) ** REAL(gamma) * x_log_y(t, o)

    return Loss("categorical_focal", value, (0, 1), (("alpha", alpha), ("gamma", gamma)))


DOT_PRODUCT = Loss("dot_product", lambda o, t: t * o)
HALF_SQUARED_ERROR = Loss("half_squared_error", lambda o, t: (o - t) ** 2 / 2)
BINARY_CROSS_ENTROPY = Loss("binary_cross_entropy", lambda o, t: -x_log_y(t, o) - x_log_y(1 - t, 1 - o), (0, 1))
CROSS_ENTROPY = Loss("categorical_cross_entropy", lambda o, t: -x_log_y(t, o), (0,))
SPARSE_CROSS_ENTROPY = Loss("sparse_categorical_cross_entropy", CROSS_ENTROPY.value, (0,))
DIVERGENCE = Loss("kl_divergence", lambda o, t: x_log_y(t, t) - x_log_y(t, o), (0,))
POISSON = Loss("poisson", lambda o, t: o - x_log_y(t, o), (0,))
LIKELIHOOD = Loss("negative_log_likelihood", lambda o, t: -t * o)
FOCAL = (focal(0.25, 2.0), focal(0.75, 0.5))
CATEGORICAL_FOCAL = (categorical_focal(0.25, 2.0), categorical_focal(1.5, 0.5))


def title(activation):
    """A spec in few words: softplus(4.0)."""
    return activation if isinstance(activation, str) else "{}({})".format(*activation.values())


@dataclass(frozen=True, eq=False)
class Case:
    """One layer, one loss, one target, and every pre-activation at which they are judged."""

    activation: str | dict
    phi: Callable = field(repr=False)
    loss: Loss
    t: tuple[float, ...]
    pre_activations: tuple[tuple[float, ...], ...] = field(repr=False)
    tolerance: float = DIGITS

    def __str__(self):
        return f"{title(self.activation)} {self.loss} t={','.join(map(str, self.t))}"

    @property
    def request(self):
        """One request with a sample for each pre-activation."""
        units = range(len(self.t))
        indices = self.loss in (SPARSE_CROSS_ENTROPY, LIKELIHOOD)
        weights = [[float(i == j) for j in units] for i in units]
        return {
            "network": {"layers": [{"activation": self.activation, "weights": weights}]},
            "inputs": self.pre_activations,
            "targets": [self.t.index(1.0) if indices else self.t] * len(self.pre_activations),
            "loss": {"name": self.loss.name, **dict(self.loss.parameters)},
            "breakdown": "per_unit",
        }

    def outputs(self, a):
        """φ(a) with 400 digits."""
        return self.phi(tuple(map(REAL, a)))

    def E(self, a):
        """The loss of one sample with 400 digits."""
        return sum(self.loss.value(o, REAL(t)) for o, t in zip(self.outputs(a), self.t, strict=True))

    def dE_da(self, a, j):
        """The derivative of E by one pre-activation, as a quotient of differences of E."""
        return quotient(lambda z: self.E((*a[:j], z, *a[j + 1 :])), REAL(a[j]), STEP)

    def do_da(self, a, j, m):
        """The derivative of one output by one pre-activation, as a quotient of differences of φ."""
        return quotient(lambda z: self.outputs((*a[:m], z, *a[m + 1 :]))[j], REAL(a[m]), STEP)

    def dE_do(self, a, j):
        """The derivative of E by one output, as a quotient of differences of ℓ that do not cross its edges.

        A target of 0 or 1 removes an edge: only one of log o and log(1 - o) counts. Powers of o and 1 - o still count.
        """
        o, has_powers = self.outputs(a)[j], self.loss in FOCAL + CATEGORICAL_FOCAL
        edges = [edge for edge in self.loss.edges if has_powers or edge != self.t[j]]
        room = min((abs(o - edge) for edge in edges), default=REAL(1))
        return quotient(lambda z: self.loss.value(z, REAL(self.t[j])), o, STEP * room)


def quotient(f, at, step):
    """(f(at + step) - f(at - step)) / 2 step."""
    return (f(at + step) - f(at - step)) / (2 * step)


def singles(activation, phi, loss, targets, grid=GRID):
    """One unit at every point of the grid, with each of the targets."""
    return [Case(activation, phi, loss, t, tuple((a,) for a in grid)) for t in targets]


def triples(activation, phi, loss, targets, tolerance=DIGITS):
    """Three units together."""
    return [Case(activation, phi, loss, t, TRIPLES, tolerance) for t in targets]


AWAY_FROM_0 = [a for a in GRID if abs(a) > 1e-300]  # where selu has its kink, and tanh_shrink no slope

CASES = [
    *singles("sigmoid", SIGMOID, BINARY_CROSS_ENTROPY, BINARY),
    *singles("sigmoid", SIGMOID, CROSS_ENTROPY, BINARY),
    *singles("sigmoid", SIGMOID, SPARSE_CROSS_ENTROPY, [(1.0,)]),
    *singles("sigmoid", SIGMOID, DIVERGENCE, BINARY),
    *(case for loss in FOCAL for case in singles("sigmoid", SIGMOID, loss, BINARY)),
    *singles("exponential", EXPONENTIAL, POISSON, COUNTS, [a for a in GRID if a <= 700.0]),
    *triples("softmax", softmax, BINARY_CROSS_ENTROPY, ONE_HOT + MIXTURES, CANCELLED),
    *triples("softmax", softmax, CROSS_ENTROPY, ONE_HOT + MIXTURES),
    *triples("softmax", softmax, SPARSE_CROSS_ENTROPY, ONE_HOT),
    *triples("softmax", softmax, DIVERGENCE, MIXTURES, CANCELLED),
    *triples("softmax", softmax, CATEGORICAL_FOCAL[0], ONE_HOT[:2] + MIXTURES[1:], CANCELLED),
    *triples("softmax", softmax, CATEGORICAL_FOCAL[1], ONE_HOT[:2] + MIXTURES[1:], ROOTS),
    *triples(SOFTENED, softened, CROSS_ENTROPY, ONE_HOT + MIXTURES),
    *triples(SOFTENED, softened, BINARY_CROSS_ENTROPY, ONE_HOT[:1] + MIXTURES[:1], CANCELLED),
    *triples("log_softmax", log_softmax, LIKELIHOOD, ONE_HOT),
    *triples("softmax", softmax, DOT_PRODUCT, [UPSTREAM]),
    *triples("log_softmax", log_softmax, DOT_PRODUCT, [UPSTREAM]),
    *(
        case
        for activation, phi in ELEMENTWISE
        for loss, t in ((DOT_PRODUCT, -1.3), (HALF_SQUARED_ERROR, 0.1), (HALF_SQUARED_ERROR, -2.0))
        for case in singles(
            activation, phi, loss, [(t,)], AWAY_FROM_0 if activation in ("selu", "tanh_shrink") else GRID
        )
    ),
]
every_case = pytest.mark.parametrize("case", CASES, ids=str)


def test_every_stable_pair_is_judged():
    """A new one needs its line in CASES."""
    judged = {(case.loss.name, case.activation) for case in CASES if isinstance(case.activation, str)}
    assert STABLE_PAIRS.keys() - judged == set()


def underflow(number, a):
    """The error allowed for numbers that are subnormal, or underflow: a few of the smallest steps of float64.

    silu multiplies a subnormal sigmoid, of a few bits, by a.
    """
    return 4 * (1 + abs(REAL(a))) * REAL(math.ulp(0.0)) if abs(number) < sys.float_info.min else 0


def error(number, right, a=0.0):
    """The relative error of a float64; 0 if underflow explains the distance."""
    distance = abs(REAL(number) - right)
    return 0.0 if distance <= underflow(right, a) else float(distance / abs(right))


def wrong(case, numbers, right, tolerance):
    """Complaints about numbers (samples, units) that are off by more than the tolerance. A null is not compared."""
    complaints = []
    for a, row in zip(case.pre_activations, numbers, strict=True):
        for j, number in enumerate(row):
            if number is not None and error(number, right(a, j), max(map(abs, a))) > tolerance:
                complaints.append(f"unit {j} at a = {a}: {number} for {mpmath.nstr(right(a, j), 17)}")
    return complaints


@pytest.fixture(scope="module")
def answer(post):
    """The answer to a case's request, which is posted only once."""
    return functools.cache(lambda case: post(case.request))


def jacobians(case, layer):
    """do_j/da_m of every sample as a matrix; an elementwise φ has only its diagonal, here of one unit."""
    do_da = layer["factors"]["do_da"]
    return do_da if len(case.t) > 1 else [[row] for row in do_da]


@every_case
def test_dE_da_keeps_its_digits_however_far_a_unit_saturates(answer, case):
    """sigmoid + BCE, t = 1: dE/da is -1 at a = -40 and -4.2e-18 at a = 40; 1 - o has no digit of that left."""
    dE_da = answer(case)["layers"][0]["dE_da"]
    assert not wrong(case, dE_da, case.dE_da, case.tolerance)


@every_case
def test_the_loss_keeps_its_digits_however_far_a_unit_saturates(answer, case):
    """sigmoid + BCE, t = 1: E is 4.2e-18 at a = 40, where log o is log 1 = 0, and 800 at -800, where it is log 0."""
    sample_losses = [[E] for E in answer(case)["sample_losses"]]
    assert not wrong(case, sample_losses, lambda a, _: case.E(a), case.tolerance)


@every_case
def test_the_whole_loss_is_the_sum_of_the_samples_losses(answer, case):
    """Reduction `sum`, the default: E = Σ E_b, although some terms are 1e-300 and others 800."""
    losses = [case.E(a) for a in case.pre_activations]
    assert abs(REAL(answer(case)["loss"]) - sum(losses)) <= DIGITS * sum(map(abs, losses))


@every_case
def test_outputs_are_right_to_a_few_ulp_of_theirs(answer, case):
    """sigmoid(-700) = 9.9e-305, tanh(1e-8) = 1e-8, softmax(-700, 0): 9.9e-305, gelu(-37) = -2e-298: 4 ulp for all."""
    tolerance = 4 * sys.float_info.epsilon / 2  # at least half of what an ulp can be, relative to the number
    outputs = answer(case)["outputs"]
    assert not wrong(case, outputs, lambda a, j: case.outputs(a)[j], tolerance)


@every_case
def test_the_plain_factor_do_da_keeps_its_digits_too(answer, case):
    """sigmoid'(±40) = 4.2e-18 where o(1 - o) has 0 or no digits; tanh'(20) = 1.7e-17 where 1 - o² is 0."""
    matrices = jacobians(case, answer(case)["layers"][0])
    for j in range(len(case.t)):
        rows = [matrix[j] for matrix in matrices]
        right = functools.partial(lambda j, a, m: case.do_da(a, j, m), j)
        assert not wrong(case, rows, right, case.tolerance)


@every_case
def test_the_plain_factor_dE_do_keeps_its_digits_wherever_float64_can_hold_it(answer, case):
    """sigmoid + BCE, t = 0: dE/do = 1/(1 - o) is 2.35e17 at a = 40, 1e304 at 700, null at 745, and 1 at -800."""
    dE_do = answer(case)["layers"][0]["factors"]["dE_do"]
    assert not wrong(case, dE_do, case.dE_do, case.tolerance)
    for a, numbers in zip(case.pre_activations, dE_do, strict=True):
        for j, number in enumerate(numbers):
            assert (number is None) == (abs(case.dE_do(a, j)) > sys.float_info.max), (a, j, number)


@every_case
def test_a_warning_names_each_factor_that_is_null_and_no_other(post, answer, case):
    """At a = -800 and t = 1, dE/do = -1/o = -e⁸⁰⁰: null, with a warning that names layer 0, its unit and the sample.

    An answer for one sample lists all its warnings; a batch may have more warnings than an answer lists.
    """
    dE_do, named_in_batch = answer(case)["layers"][0]["factors"]["dE_do"], named(answer(case)["warnings"])
    for sample, numbers in enumerate(dE_do):
        null = {(0, unit) for unit, number in enumerate(numbers) if number is None}
        assert {(layer, unit) for layer, unit, where in named_in_batch if where == sample} <= null
        if null:
            alone = {**case.request, "inputs": case.pre_activations[sample], "targets": case.request["targets"][sample]}
            assert {(layer, unit) for layer, unit, _ in named(post(alone)["warnings"])} == null
    assert bool(named_in_batch) == any(None in numbers for numbers in dE_do)


def named(warnings):
    """(layer, unit, sample or None) of each warning: the numbers after these words in its text."""
    places = []
    for warning in warnings:
        if warning["code"] != "more-warnings":
            found = {word: re.search(rf"{word}\D*(\d+)", warning["detail"]) for word in ("layer", "unit", "sample")}
            places.append(tuple(int(match[1]) if match else None for match in found.values()))
    return places


def terms(case, layer):
    """Yield (place, terms of Σ_m dE/do_m · do_m/da_j, error by underflow, dE/da_j) if all factors are finite."""
    dE_do, matrices = layer["factors"]["dE_do"], jacobians(case, layer)
    for a, above, matrix, dE_da in zip(case.pre_activations, dE_do, matrices, layer["dE_da"], strict=True):
        for j, product in enumerate(dE_da):
            pairs = [(REAL(f), REAL(row[j])) for f, row in zip(above, matrix, strict=True) if f is not None]
            if len(pairs) == len(above):
                small = sum(abs(f) * underflow(slope, max(map(abs, a))) for f, slope in pairs)
                yield f"unit {j} at a = {a}", [f * slope for f, slope in pairs], small, REAL(product)


@every_case
def test_the_factors_multiply_out_to_dE_da_wherever_they_are_finite(answer, case):
    """sigmoid + BCE, t = 0, a = 40: 2.35e17 · 4.25e-18 = 1. To a relative 1e-12, or to the last subnormal bit."""
    for place, products, small, dE_da in terms(case, answer(case)["layers"][0]):
        allowed = 1e-12 * sum(map(abs, products)) + small + underflow(dE_da, 0)
        assert abs(sum(products) - dE_da) <= allowed, place


def one_unit(a, t, **changes):
    """A sigmoid unit with weight 1 and no bias under binary cross-entropy."""
    network = {"layers": [{"activation": "sigmoid", "weights": [[1.0]]}]}
    return {"network": network, "inputs": [a], "targets": [t], "loss": "binary_cross_entropy"} | changes


@pytest.mark.parametrize(("a", "pytorch"), [(-30.0, -0.0936), (-40.0, -4.25e-6)])
def test_a_saturated_wrong_unit_still_learns_where_pytorchs_two_parts_stall(post, a, pytorch):
    """Target 1, a = -30: dE/da = -1. sigmoid, then BCE, in PyTorch 2.13 gives -0.0936, and -4.25e-6 at a = -40."""
    torch = pytest.importorskip("torch")
    x = torch.tensor([a], dtype=torch.float64, requires_grad=True)
    torch.nn.functional.binary_cross_entropy(torch.sigmoid(x), torch.ones_like(x)).backward()
    assert x.grad.item() == pytest.approx(pytorch, rel=1e-3)
    assert post(one_unit(a, 1.0))["layers"][0]["dE_da"] == [pytest.approx(-1.0, rel=1e-12)]


def test_dE_do_is_exact_where_the_rounded_output_is_1(post):
    """Target 0, a = 40: o rounds to 1, 1/(1 - o) would be infinite; dE/do = 1 + e⁴⁰ = 235385266837019986."""
    layer = post(one_unit(40.0, 0.0))["layers"][0]
    assert layer["o"] == [1.0]
    assert error(layer["factors"]["dE_do"][0], 1 + JUDGE.exp(40)) <= 1e-15


def test_a_weight_record_has_null_for_a_factor_that_is_not_finite(post):
    """a = -800, target 1: dE/do overflows, do/da underflows, and yet dE/dw = dE/da · x = -1 · -800 is right."""
    answer = post(one_unit(-800.0, 1.0))
    (record,) = answer["layers"][0]["weights"]
    assert (record["dE_do"], record["do_da"], record["da_dw"], record["dE_dw"]) == (None, 0.0, -800.0, 800.0)
    assert answer["loss"] == 800.0
    assert named(answer["warnings"]) == [(0, 0, None)]


HIDDEN = (20.0, -20.0, 40.0, 0.5)
ABOVE = (0.5, -1.0, 2.0, 1.0)


@pytest.mark.parametrize(("activation", "phi"), ELEMENTWISE[:3], ids=["sigmoid", "tanh", "softplus"])
def test_a_saturated_hidden_layer_passes_on_what_is_left_of_its_gradient(post, activation, phi):
    """A tanh unit at a = 40 passes on 4·e⁻⁸⁰ = 7e-35 of its dE/do, not the 0 that 1 - o² would say."""
    output = {"activation": "sigmoid", "weights": [[w] for w in ABOVE]}
    request = one_unit(1.0, 1.0, network={"layers": [{"activation": activation, "weights": [HIDDEN]}, output]})
    dE_dw = post(request)["layers"][0]["dE_dw"][0]

    def E(weights):
        hidden = phi(map(REAL, weights))
        return -JUDGE.log(SIGMOID([sum(w * o for w, o in zip(ABOVE, hidden, strict=True))])[0])

    for i, w in enumerate(HIDDEN):
        right = quotient(lambda z, i=i: E((*HIDDEN[:i], z, *HIDDEN[i + 1 :])), REAL(w), STEP)
        assert error(dE_dw[i], right) <= DIGITS


DOMINANT = 7
THOUSAND = tuple(40.0 if j == DOMINANT else (37 * j % 101 - 50) / 128 for j in range(1000))
WIDE = [
    ("softmax", "sparse_categorical_cross_entropy"),
    ("softmax", "categorical_cross_entropy"),
    ("log_softmax", "negative_log_likelihood"),
]


@pytest.mark.parametrize("target", [DOMINANT, 500], ids=["dominant", "hopeless"])
@pytest.mark.parametrize(("activation", "loss"), WIDE, ids=["sparse", "one-hot", "log-softmax"])
def test_a_softmax_of_a_thousand_units_keeps_the_digits_of_each(post, activation, loss, target):
    """One unit leads by 40: with it as target dE/da = -(1 - o) = -4.4e-15, the sum of 999 others of about 4e-18."""
    dense = [float(j == target) for j in range(1000)]
    answer = post(
        {
            "network": {"layers": [{"activation": activation, "weights": [THOUSAND]}]},  # the one input is 1: a = w
            "inputs": [1.0],
            "targets": dense if loss == "categorical_cross_entropy" else target,
            "loss": loss,
            "breakdown": "none",
        }
    )
    powers = [JUDGE.exp(a) for a in THOUSAND]
    total = sum(powers)

    def E(j, z):  # with a_j = z
        return JUDGE.log(total - powers[j] + JUDGE.exp(z)) - (z if j == target else THOUSAND[target])

    right = [quotient(functools.partial(E, j), REAL(a), STEP) for j, a in enumerate(THOUSAND)]
    assert max(map(error, answer["layers"][0]["dE_dw"][0], right)) <= DIGITS
    assert error(answer["loss"], E(0, THOUSAND[0])) <= DIGITS


MIXED = [(a, 0.75) for a in GRID]
MIXED_CASES = [
    Case("sigmoid", SIGMOID, BINARY_CROSS_ENTROPY, ((0.0, 1.0), (1.0, 0.3), (0.3, 0.0))[sample % 3], ())
    for sample in range(len(GRID))
]
every_reduction = pytest.mark.parametrize(("reduction", "divisor"), [("sum", 1), ("mean", 82), ("batch_mean", 41)])


@pytest.fixture(scope="module")
def mixed_answer(post):
    """41 samples of two sigmoid units, one walking through all of ±800 and one staying at 0.75, by reduction."""
    request = {
        "network": {"layers": [{"activation": "sigmoid", "weights": [[1.0, 0.0], [0.0, 1.0]]}]},
        "inputs": MIXED,
        "targets": [case.t for case in MIXED_CASES],
        "breakdown": "per_unit",
    }
    return lambda reduction: post({**request, "loss": {"name": "binary_cross_entropy", "reduction": reduction}})


@every_reduction
def test_saturated_and_other_units_do_not_disturb_each_other_in_a_batch(mixed_answer, reduction, divisor):
    """Each dE/da is that of the unit alone, divided by 1, 41 samples or 82 outputs; dE/dw = Σ_b dE/da_b · x_b."""
    layer = mixed_answer(reduction)["layers"][0]
    right = [[case.dE_da(a, j) / divisor for j in (0, 1)] for case, a in zip(MIXED_CASES, MIXED, strict=True)]
    for a, numbers, slopes in zip(GRID, layer["dE_da"], right, strict=True):
        assert max(map(error, numbers, slopes, (a, a))) <= DIGITS, a
    for i, j in itertools.product((0, 1), repeat=2):
        shares = [slopes[j] * REAL(x[i]) for x, slopes in zip(MIXED, right, strict=True)]
        assert abs(REAL(layer["dE_dw"][i][j]) - sum(shares)) <= DIGITS * sum(map(abs, shares))


@every_reduction
def test_the_losses_and_the_factor_dE_do_of_a_batch_are_reduced_as_dE_da_is(mixed_answer, reduction, divisor):
    """With `mean`, sample_losses are E_b / 82 and add up to E, and dE/do is divided by 82, too."""
    answer = mixed_answer(reduction)
    losses = [case.E(a) / divisor for case, a in zip(MIXED_CASES, MIXED, strict=True)]
    assert max(map(error, answer["sample_losses"], losses)) <= DIGITS
    assert error(answer["loss"], sum(losses)) <= DIGITS
    for case, a, numbers in zip(MIXED_CASES, MIXED, answer["layers"][0]["factors"]["dE_do"], strict=True):
        assert error(numbers[1], case.dE_do(a, 1) / divisor) <= DIGITS, a
