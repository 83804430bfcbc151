r"""A judge of derivations that knows no formula of ours: every line of numbers, as it is read, computed by `latex.py`.

\frac{do}{da} = 0.25 \cdot (1 - 0.25) \approx 0.1875      what stands between the signs is 0.1875, to the digits shown
"""

import re
from collections.abc import Iterator
from random import Random

from chainrule.derivation.explain import Derivation, Place, Step, Term, explain
from chainrule.graph.backprop import Gradients, gradients
from chainrule.notices import first_non_finite
from schemas.gradients import GradientRequest, GradientRequestSchema
from tests.fuzz import mutator
from tests.judges.latex import REALS, Real, Values, parse

_SIGN = re.compile(r" (=|\\approx) ")
_HALF = "0.501"  # of a unit in the last place that is shown
_SCHEMA = GradientRequestSchema()

Derived = tuple[GradientRequest, Gradients, Derivation]


def derivations(seed: int, count: int) -> Iterator[Derived]:
    """Derivations over random networks of the whole catalogue, of weights and biases, of samples and batches."""
    rng = Random(seed)
    while count:
        asked: GradientRequest = _SCHEMA.load(mutator.request(rng))
        result = gradients(asked.network, asked.inputs, asked.targets, asked.loss)
        if first_non_finite(result) is not None:
            continue
        count -= 1
        place = _place(rng, asked)
        sample = rng.choice([None, rng.randrange(len(asked.inputs))])
        yield asked, result, explain(asked.network, result, asked.targets, asked.loss, place, sample)


def _parts(step: Step) -> tuple[Step | Term, ...]:
    return (step, *step.terms)


def _place(rng: Random, asked: GradientRequest) -> Place:
    k = rng.randrange(len(asked.network.layers))
    layer = asked.network.layers[k]
    j = rng.randrange(layer.units)
    bias = layer.biases is not None and rng.random() < 0.3
    return Place(k, j, None if bias else rng.randrange(layer.weights.shape[0]))


def numeric_lines(derivation: Derivation) -> Iterator[tuple[str, float]]:
    """Every line of numbers, and the value of its step or term."""
    for step in derivation.steps:
        for part in _parts(step):
            if part.numbers is not None:
                assert part.value is not None
                yield part.numbers, part.value


def complaint(numbers: str, value: float) -> str:
    """What is wrong with a line of numbers; nothing where it says what it should."""
    _, *parts = _SIGN.split(numbers)
    signs, sides = parts[::2], [number(side) for side in parts[1::2]]
    shown = parts[-1]
    tolerance = REALS.mpf(_HALF) * last_place(shown)
    if abs(sides[-1] - REALS.mpf(value)) > tolerance:
        return f"{shown} is shown for {value!r}"
    if abs(sides[0] - sides[-1]) > tolerance:
        return f"{REALS.nstr(sides[0], 12)} is shown as {shown}"
    exact = abs(sides[0] - sides[-1]) <= REALS.mpf("1e-30") and abs(sides[-1] - REALS.mpf(repr(value))) <= abs(
        sides[-1]
    ) * REALS.mpf("1e-14")
    return f"{signs[-1]} before {shown}" if signs[-1] == "=" and not exact else ""


def number(latex: str) -> Real:
    """The value of an expression of numbers."""
    with REALS.workdps(400):  # log(1 + e^-500) is e^-500
        ((node,),) = parse(latex)
        found: Real = +node.value(Values())
        return found


def last_place(shown: str) -> Real:
    r"""One unit in the last place: 0.01 for 3.25, 10^{-9} for 1.5 \cdot 10^{-8}; what float64 rounds to 0 is 0."""
    mantissa, _, exponent = shown.partition(r" \cdot 10^")
    power = int(exponent.strip("{}") or 0)
    digits = len(mantissa.partition(".")[2])
    return REALS.mpf(10) ** (power - digits) if float(mantissa) else REALS.mpf("1e-322")


def all_texts(derivation: Derivation) -> Iterator[str]:
    """Every line of LaTeX."""
    for step in derivation.steps:
        yield step.symbols
        yield from (part.numbers for part in _parts(step) if part.numbers is not None)
