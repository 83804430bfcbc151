"""Derivations: over the whole catalogue, every line of numbers gives its value, and every requested step is there."""

import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from chainrule.derivation import lines
from chainrule.derivation.explain import QUANTITIES, SECTIONS, Derivation, Place, Step, explain, most_work
from chainrule.derivation.formula import Float, Number, Product, Quotient, Sum, read
from chainrule.derivation.lines import MOST_TERMS, Numbers, computed, line, shown_number, substitute, with_definitions
from chainrule.functions.activations import ACTIVATIONS, activation_spec
from chainrule.functions.losses import LOSSES, LossSpec, loss_spec
from chainrule.functions.stable_pairs import STABLE_PAIRS
from chainrule.functions.tables import Array
from chainrule.graph.backprop import Gradients, gradients
from chainrule.graph.network import Network, dense
from tests.judges import latex
from tests.judges.derivations import all_texts, complaint, derivations, numeric_lines
from tests.judges.latex import REALS, Values

HALF = loss_spec("half_squared_error")
MAZUR = Network(
    (
        dense([[0.15, 0.25], [0.20, 0.30]], "sigmoid", [0.35, 0.35]),
        dense([[0.40, 0.50], [0.45, 0.55]], "sigmoid", [0.60, 0.60]),
    )
)


def derived(
    network: Network, x: Any, t: Any, loss: LossSpec, place: Place, sample: int | None = None
) -> tuple[Gradients, Derivation]:
    """The gradients of a batch, and one derivation, all of whose lines of numbers have been checked."""
    inputs, targets = np.array(x, dtype=float), np.array(t, dtype=float)
    result = gradients(network, inputs, targets, loss)
    derivation = explain(network, result, targets, loss, place, sample)
    complaints = [
        f"{numbers}: {words}" for numbers, value in numeric_lines(derivation) if (words := complaint(numbers, value))
    ]
    assert complaints == []
    return result, derivation


def only(derivation: Derivation, quantity: str, layer: int | None = None, unit: int | None = None) -> Step:
    """The one step of a quantity at a place."""
    wanted = (
        {"quantity": quantity} | ({} if layer is None else {"layer": layer}) | ({} if unit is None else {"unit": unit})
    )
    (found,) = [step for step in derivation.steps if wanted.items() <= vars(step).items()]
    return found


def test_the_published_example_is_derived_as_in_its_source() -> None:
    """Mazur, A Step by Step Backpropagation Example: 0.082167041 for w5, 0.000438568 for w1, by way of 0.036350306."""
    result, outer = derived(MAZUR, [[0.05, 0.10]], [[0.01, 0.99]], HALF, Place(1, 0, 0))
    assert outer.value == result.layers[1].dE_dw[0, 0] == pytest.approx(0.082167041, abs=5e-10)
    assert only(outer, "dE_dw").numbers == (
        r"\frac{dE}{dw_{0,0}^{(1)}} = 0.7413651 \cdot 0.1868156 \cdot 0.59327 \approx 0.082167"
    )
    result, inner = derived(MAZUR, [[0.05, 0.10]], [[0.01, 0.99]], HALF, Place(0, 0, 0))
    assert inner.value == result.layers[0].dE_dw[0, 0] == pytest.approx(0.000438568, abs=5e-10)
    hidden = only(inner, "dE_do", 0, 0)
    assert hidden.value == pytest.approx(0.036350306, abs=5e-10)
    assert [(term.over, term.index) for term in hidden.terms] == [("unit", 0), ("unit", 1)]
    assert [term.value for term in hidden.terms] == pytest.approx([0.055399425, -0.019049119], abs=1e-9)
    assert [term.factors["weight"] for term in hidden.terms] == [0.40, 0.50]
    assert only(inner, "a", 0, 0).numbers == r"a_{0}^{(0)} = 0.05 \cdot 0.15 + 0.1 \cdot 0.2 + 0.35 = 0.3775"
    assert only(inner, "o", 0, 0).symbols == (r"o_{0}^{(0)} = \sigma(a_{0}^{(0)}) = \frac{1}{1 + e^{-a_{0}^{(0)}}}")
    assert only(inner, "dE_do", 1, 1).numbers == r"\frac{dE}{do_{1}^{(1)}} = 0.772928 - 0.99 \approx -0.217072"


def test_every_step_uses_only_the_steps_before_it() -> None:
    """Two layers of two units, a weight of the first: all forward, the loss, all of the second layer, one unit."""
    _, derivation = derived(MAZUR, [[0.05, 0.10]], [[0.01, 0.99]], HALF, Place(0, 1, 0))
    order = [(step.section, step.quantity, step.layer, step.unit) for step in derivation.steps]
    forward = [("forward", quantity, k, j) for k in (0, 1) for j in (0, 1) for quantity in ("a", "o")]
    losses = [("loss", "loss", 1, 0), ("loss", "loss", 1, 1), ("loss", "loss", None, None)]
    above = [("backward", "dE_do", 1, 0), ("backward", "dE_do", 1, 1)]
    above += [("backward", quantity, 1, j) for j in (0, 1) for quantity in ("do_da", "dE_da")]
    own = [("backward", quantity, 0, 1) for quantity in ("dE_do", "do_da", "dE_da")]
    assert order == [*forward, *losses, *above, *own, ("result", "da_dw", 0, 1), ("result", "dE_dw", 0, 1)]


@pytest.mark.parametrize("seed", range(4))
def test_every_line_of_numbers_says_its_value(seed: int) -> None:
    """Over random networks of the whole catalogue: each line, computed with 400 digits, is true to the digits shown."""
    lines = without = 0
    for asked, result, derivation in derivations(seed, 60):
        for numbers, value in numeric_lines(derivation):
            lines += 1
            assert complaint(numbers, value) == ""
        without += sum(step.numbers is None for step in derivation.steps)
        gradient = result.layers[derivation.place.layer]
        if derivation.sample is None and len(asked.inputs) > 1:
            place = derivation.place
            whole = gradient.dE_db if place.unit_before is None else gradient.dE_dw[place.unit_before]
            assert whole is not None
            assert derivation.value == whole[place.unit]
    assert lines > 1500
    assert without < 0.02 * lines, "numbers are left out where float64 has lost them, not elsewhere"


@pytest.mark.parametrize("seed", range(2))
def test_no_derivation_has_more_lines_than_predicted(seed: int) -> None:
    """Most have more than half as many: else the limit would refuse short derivations."""
    shares = []
    for asked, _, derivation in derivations(10 + seed, 60):
        samples = len(asked.inputs) if derivation.sample is None else 1
        found = sum(1 + len(step.terms) for step in derivation.steps)
        work = most_work(asked.network, derivation.place, samples)
        predicted = work.lines + work.terms
        assert found <= predicted
        shares.append(found / predicted)
    assert np.median(shares) > 0.5


def test_the_latex_has_nothing_that_markdown_interprets() -> None:
    r"""No backslash before a sign, no < or >, no index after a bracket, no \operatorname, no index after a power."""
    for _, _, derivation in derivations(5, 60):
        for text in all_texts(derivation):
            assert not re.search(r"\\[^A-Za-z]|[<>$*`~\[\]]|[^A-Za-z]_|\\operatorname|\\mbox|[^ -~]", text), text


def test_every_step_has_a_known_section_and_quantity() -> None:
    """All known sections and quantities occur."""
    seen = [(step.section, step.quantity) for seed in (6, 7) for *_, d in derivations(seed, 60) for step in d.steps]
    pair = derived(Network((dense([[0.5]], "sigmoid"),)), [[1.0]], [[1.0]], loss_spec("bce"), Place(0, 0, 0))[1]
    seen += [(step.section, step.quantity) for step in pair.steps]
    assert {section for section, _ in seen} == set(SECTIONS)
    assert {quantity for _, quantity in seen} == set(QUANTITIES)


# Every row of the tables.

RNG = np.random.default_rng(3)
WEIGHTS = [RNG.normal(size=(2, 3)), RNG.normal(size=(3, 4))]
INPUTS = RNG.normal(size=(3, 2))
TARGETS = np.array([[0.0, 1.0, 0.0, 0.0], [0.2, 0.3, 0.1, 0.4], [1.0, 0.0, 0.0, 0.0]])


def targets_of(loss: LossSpec) -> Array:
    """Targets that a loss takes, for three samples of four outputs."""
    row = loss.loss
    if row.class_indices:
        return np.array([1.0, 3.0, 0.0])
    if row.target_values:
        return np.where(TARGETS > 0.25, *row.target_values[::-1])
    return TARGETS[:, : 4 // row.outputs_per_target]


def all_shown(derivation: Derivation) -> None:
    """Whether every step and every term has its line of numbers."""
    short = [step.title for step in derivation.steps if step.value is None or not _ends_with(step.numbers, step.value)]
    assert short == []
    assert [term for step in derivation.steps for term in step.terms if term.numbers is None] == []


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_derived_with_all_numbers(name: str) -> None:
    """In a hidden layer, where all units are differentiated, and in the layer below it, where one unit is."""
    network = Network((dense(WEIGHTS[0], "tanh"), dense(WEIGHTS[1], name), dense(RNG.normal(size=(4, 2)), name)))
    for place in (Place(0, 1, 1), Place(1, 2, 0), Place(2, 1, 3)):
        _, derivation = derived(network, INPUTS, RNG.normal(size=(3, 2)), HALF, place, sample=1)
        all_shown(derivation)


@pytest.mark.parametrize("last", ["sigmoid", "softmax", "log_softmax", "exponential", "identity"])
@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_derived_with_all_numbers(name: str, last: str) -> None:
    """With outputs in its domain and outside it, with every reduction, alone and in a stable pair."""
    for reduction in ("sum", "mean", "batch_mean"):
        loss = loss_spec(name, reduction)
        network = Network((dense(WEIGHTS[0], "tanh"), dense(WEIGHTS[1], last, [0.1, -0.2, 0.3, 0.0])))
        t = targets_of(loss)
        if not np.isfinite(gradients(network, INPUTS, t, loss).layers[0].dE_dw).all():
            continue  # such as the logarithm of a negative output
        for place in (Place(0, 1), Place(1, 2, 0)):
            if place.layer or network.layers[0].biases is not None:
                _, derivation = derived(network, INPUTS, t, loss, place, sample=1)
                if last in ("sigmoid", "softmax"):  # outputs that every loss is meant for
                    all_shown(derivation)


OTHER_PARAMETERS: list[LossSpec] = [
    loss_spec("huber", delta=0.1),
    loss_spec("smooth_l1", beta=0.1),
    loss_spec("quantile", tau=0.9),
    loss_spec("binary_cross_entropy_with_logits", pos_weight=3.0),
    loss_spec("binary_focal", alpha=0.7, gamma=0.5),
    loss_spec("categorical_focal", alpha=0.7, gamma=0.5),
    loss_spec("categorical_cross_entropy", "mean", label_smoothing=0.1),
    loss_spec("categorical_cross_entropy_with_logits", label_smoothing=0.3),
]


@pytest.mark.parametrize("loss", OTHER_PARAMETERS, ids=lambda loss: loss.loss.name)
def test_the_lines_have_the_given_parameters(loss: LossSpec) -> None:
    """The lines have the given parameters, not the defaults, which the judge would notice."""
    activation = [{"name": "softmax", "temperature": 0.7}] * 3 + ["sigmoid"]
    network = Network((dense(WEIGHTS[0], "tanh"), dense(WEIGHTS[1], activation)))
    for place in (Place(0, 1, 1), Place(1, 2, 0), Place(1, 3, 0)):
        _, derivation = derived(network, INPUTS, targets_of(loss), loss, place)
        all_shown(derivation)


@pytest.mark.parametrize(
    ("pair", "row"), STABLE_PAIRS.items(), ids=lambda value: "-".join(value) if isinstance(value, tuple) else ""
)
def test_the_closed_form_of_a_pair_says_what_the_code_computes(pair: tuple[str, str], row: Any) -> None:
    """Every member of its equation, to 1e-12, with parameters that are not the defaults."""
    loss, phi = LOSSES[pair[0]], ACTIVATIONS[pair[1]]
    given = {p.symbol: 0.7 for p in phi.parameters} | {
        p.symbol: 0.6 for p in loss.parameters if p.symbol and p.name != "label_smoothing"
    }
    a, t = RNG.normal(size=(5, 4)), RNG.dirichlet(np.ones(4), 5)
    spec = activation_spec(phi.name, **{p.name: 0.7 for p in phi.parameters})
    values = (*spec.values, *([0.6] * len(loss.parameters)))
    with np.errstate(invalid="ignore"):
        dE_da, o = row.dE_da(a, t, *values), spec.value(a)
    ((stated, *clauses),) = latex.parse(row.formula)
    for s, j in np.ndindex(a.shape):
        vectors = {name: [REALS.mpf(float(x)) for x in v[s]] for name, v in (("a", a), ("o", o), ("t", t), ("u", t))}
        here = Values({k: REALS.mpf(v) for k, v in given.items()}, vectors)
        for clause in clauses:
            here = latex.defined(clause, here)
        for side in latex.sides(stated, here.plus(indices={"j": j})):
            assert float(side) == pytest.approx(dE_da[s, j], rel=1e-11, abs=1e-13)


def _ends_with(numbers: str | None, value: float) -> bool:
    """Whether a line ends with its value, to all six digits."""
    return numbers is not None and numbers.endswith(f" {shown_number(value, 6)}")


# Samples and batches.


def test_the_shares_of_the_samples_add_up_to_the_derivative_of_the_batch() -> None:
    """Three samples: each has a share, and the derivation of the batch lists the shares. E is divided by 12."""
    loss = loss_spec("squared_error", "mean")
    network = Network((dense(WEIGHTS[0], "tanh", [0.1, 0.2, 0.3]), dense(WEIGHTS[1], "identity")))
    for place in (Place(0, 1, 1), Place(0, 2)):
        result, whole = derived(network, INPUTS, TARGETS, loss, place)
        shares = [derived(network, INPUTS, TARGETS, loss, place, sample)[1].value for sample in range(3)]
        last = whole.steps[-1]
        assert [(term.over, term.index, term.value) for term in last.terms] == [
            ("sample", s, shares[s]) for s in range(3)
        ]
        assert sum(shares) == pytest.approx(whole.value, rel=1e-12)
        assert [step.sample for step in whole.steps if step.section == "result"][::2] == [0, 1, 2, None][:4]
        notes = {step.note for step in whole.steps if step.quantity == "dE_do" and step.layer == 1}
        assert notes == {'The reduction "mean" divides by 12.'}
        lefts = [step.symbols.partition(" = ")[0] for step in whole.steps if step.quantity == "loss"]
        assert lefts == [f"E_{{{s}{j}}}" for s in range(3) for j in (",0", ",1", ",2", ",3", "")]
    assert result.layers[0].dE_db is not None
    assert whole.value == result.layers[0].dE_db[2]


def test_a_bias_that_is_not_there_cannot_be_derived() -> None:
    """Layer 0 has none."""
    network = Network((dense(WEIGHTS[0], "tanh"),))
    result = gradients(network, INPUTS, np.ones((3, 3)), HALF)
    with pytest.raises(ValueError, match="layer 0 has no biases"):
        explain(network, result, np.ones((3, 3)), HALF, Place(0, 1))


def test_an_ignored_sample_adds_nothing_and_says_so() -> None:
    """Class -100: its steps are 0, and a note says that the sample is ignored."""
    loss = loss_spec("sparse_categorical_cross_entropy", "mean", ignore_index=-100)
    network = Network((dense(WEIGHTS[0], "tanh"), dense(WEIGHTS[1], "softmax")))
    _, derivation = derived(network, INPUTS, [1, -100, 0], loss, Place(0, 0, 0), sample=1)
    assert derivation.value == 0.0
    assert only(derivation, "dE_do", 1, 2).note == "Class -100 is ignored: the sample adds nothing."
    assert only(derivation, "dE_do", 1, 2).numbers == r"\frac{dE}{do_{2}^{(1)}} = 0"


# Groups.


def test_a_group_sums_over_its_units_and_names_them() -> None:
    """Two softmax heads and a tanh in one layer: unit 2 is in a group with unit 0 only."""
    heads: list[Any] = [{"name": "softmax", "group": g} for g in ("a", "b", "a", "b")]
    network = Network((dense(WEIGHTS[1], [*heads[:3], "tanh"]),))
    _, derivation = derived(network, RNG.normal(size=(1, 3)), [[0.1, 0.2, 0.3, 0.4]], HALF, Place(0, 2, 1))
    product = only(derivation, "dE_da", 0, 2)
    assert [term.index for term in product.terms] == [0, 2]
    assert sum(term.value or math.nan for term in product.terms) == pytest.approx(product.value, rel=1e-14)
    slopes = only(derivation, "do_da", 0, 2)
    assert [term.index for term in slopes.terms] == [0, 2]
    assert slopes.note == "Its group has the layer's units 0, 2."
    assert slopes.value == slopes.terms[1].value
    assert [step.unit for step in derivation.steps if step.quantity == "dE_do"] == [0, 2]


def test_the_jacobian_of_a_group_is_taken_by_columns() -> None:
    """log_softmax, whose Jacobian is lopsided: do_m/da_j = δ - e^{o_j}, the same for every other m."""
    network = Network((dense(np.eye(3), "log_softmax"),))
    _, derivation = derived(network, [[0.0, 1.0, 3.0]], [[1.0, 2.0, 3.0]], HALF, Place(0, 1, 2))
    chance = np.exp([0.0, 1.0, 3.0])[1] / np.exp([0.0, 1.0, 3.0]).sum()
    found = [term.value for term in only(derivation, "do_da").terms]
    assert found == pytest.approx([-chance, 1.0 - chance, -chance], rel=1e-14)


# Where float64 has lost something.


def test_a_closed_form_is_shown_after_the_plain_product() -> None:
    """Sigmoid and binary cross-entropy at a = 0.5, target 1: (o - 1)/(o(1 - o)) · o(1 - o), and σ(0.5) - 1."""
    network = Network((dense([[0.5]], "sigmoid"),))
    _, derivation = derived(network, [[1.0]], [[1.0]], loss_spec("bce"), Place(0, 0, 0))
    plain, closed = only(derivation, "product"), only(derivation, "dE_da")
    assert closed.value == pytest.approx(plain.value, rel=1e-15) == pytest.approx(-0.3775406687981454, rel=1e-15)
    assert closed.numbers == (
        r"\frac{dE}{da_{0}^{(0)}} = (1 - 1) \cdot \sigma(0.5) - 1 \cdot \sigma(-0.5) \approx -0.377541"
    )
    assert plain.numbers is not None
    assert closed.title == "The same in closed form: Binary cross-entropy and Logistic sigmoid"


def test_a_note_says_that_a_product_is_beyond_float64_and_the_closed_form_is_taken() -> None:
    """a = 800, target 0: 1 / (1 - o) is infinite, dE/da is 1."""
    network = Network((dense([[800.0]], "sigmoid"),))
    _, derivation = derived(network, [[1.0]], [[0.0]], loss_spec("bce"), Place(0, 0, 0))
    for quantity in ("dE_do", "product"):
        step = only(derivation, quantity)
        assert (step.numbers, step.value) == (None, None)
        assert step.note is not None
        assert "beyond float64" in step.note
    assert only(derivation, "dE_da").value == derivation.value == 1.0
    assert only(derivation, "dE_da").numbers is not None


def test_numbers_that_would_give_another_value_are_not_shown() -> None:
    """A saturated softmax: o is 1 to 17 digits, so o - o² would give 0 instead of 8e-18."""
    network = Network((dense([[40.0, 0.0]], "softmax"),))
    _, derivation = derived(network, [[1.0]], [[0.5, 0.5]], HALF, Place(0, 0, 0))
    slopes = only(derivation, "do_da")
    assert slopes.value == pytest.approx(math.exp(-40.0), rel=1e-12)
    assert slopes.numbers is None
    assert slopes.note is not None
    assert "No numbers are shown" in slopes.note


def test_a_saturated_softmax_still_has_its_closed_form_in_numbers() -> None:
    """The closed form is computed from a, since o has lost the wanted digits: e^-40."""
    network = Network((dense([[40.0, 0.0]], "softmax"),))
    _, derivation = derived(network, [[1.0]], [[1.0, 0.0]], loss_spec("cce"), Place(0, 0, 0))
    closed = only(derivation, "dE_da")
    assert closed.value == pytest.approx(-math.exp(-40.0), rel=1e-12)
    assert closed.numbers is not None
    assert closed.numbers.endswith(r"\approx -4.24835 \cdot 10^{-18}")


def test_a_class_that_does_not_occur_adds_nothing() -> None:
    """Outputs 0.5 and 0, targets 1 and 0: -log 0.5, and 0 · log 0, which is 0; so is the derivative -0/0."""
    network = Network((dense([[0.5, 0.0]], "identity"),))
    _, derivation = derived(network, [[1.0]], [[1.0, 0.0]], loss_spec("categorical_cross_entropy"), Place(0, 1, 0))
    assert only(derivation, "loss").numbers == r"E = -(1 \cdot \log(0.5) + 0) \approx 0.693147"
    assert only(derivation, "dE_do").numbers is not None


def test_a_long_sum_that_has_no_value_is_left_out() -> None:
    """20 units of a saturated softmax: 1 - o is 0 in one of the terms that would be added up. dE/da is right."""
    network = Network((dense([[100.0, *[0.0] * 19]], "softmax"),))
    _, derivation = derived(network, [[1.0]], [[0.5, *[0.0] * 19]], loss_spec("bce"), Place(0, 3, 0))
    closed = only(derivation, "dE_da")
    assert (closed.numbers, closed.value) == (None, derivation.value)
    assert "No numbers are shown" in (closed.note or "")


@pytest.mark.parametrize("size", [1e3, 1e17, 1e300])
def test_numbers_of_any_size_are_substituted_quickly(size: float) -> None:
    """e^-1e300 is 0 in float64, and computed quickly with sixty digits, too."""
    for name in ("sigmoid", "softplus", "mish", "tanh", "log_sigmoid", "squareplus", "arctan", "softmax"):
        network = Network((dense([[size, -size]], name),))
        _, derivation = derived(network, [[1.0]], [[0.5, 1.0]], loss_spec("absolute_error"), Place(0, 1, 0))
        assert derivation.steps


def test_a_kink_says_which_slope_was_taken() -> None:
    """A relu at 0; an absolute error at its target; the border of a sparsemax."""
    network = Network((dense([[0.0, 1.0]], ["relu", "identity"]),))
    _, derivation = derived(network, [[1.0]], [[0.5, 1.0]], loss_spec("mae"), Place(0, 0, 0))
    assert only(derivation, "do_da").note == (
        "The unit sits exactly on the kink at 0: the slope is 0 on its left and 1 on its right, and 0 is taken."
    )
    _, derivation = derived(network, [[1.0]], [[0.5, 1.0]], loss_spec("absolute_error"), Place(0, 1, 0))
    assert only(derivation, "dE_do").note == (
        "The output sits exactly on a kink of the loss, where another slope would be equally valid."
    )
    sparse = Network((dense([[1.0, 0.0]], "sparsemax"),))
    _, derivation = derived(sparse, [[1.0]], [[0.5, 1.0]], HALF, Place(0, 1, 0))
    assert "border of its group's support" in (only(derivation, "do_da").note or "")


def test_a_long_sum_shows_its_largest_terms_and_counts_the_others() -> None:
    """40 inputs: 11 products, and the sum of 29, in numbers; but all terms of a hidden unit's sum are listed."""
    network = Network((dense(RNG.normal(size=(40, 2)), "tanh"), dense(RNG.normal(size=(2, 40)), "identity")))
    x, t = RNG.normal(size=(1, 40)), np.zeros((1, 40))
    _, derivation = derived(network, x, t, HALF, Place(0, 1, 3))
    step = only(derivation, "a", 0, 1)
    assert step.numbers is not None
    assert step.numbers.count(r"\cdot") == MOST_TERMS - 1
    all_shown(derivation)
    assert step.note == "The 29 smallest of the 40 terms are added up in one number, the last."
    hidden = only(derivation, "dE_do", 0, 1)
    assert len(hidden.terms) == 40
    assert math.fsum(term.value or math.nan for term in hidden.terms) == pytest.approx(hidden.value, rel=1e-13)
    assert max(len(d.numbers or "") for d in derivation.steps) < 1000


@pytest.mark.parametrize("latex_", [r"o = a)", r"o = (a", r"o = \frac{a}", r"o = a \text{ or } a", r"o = \max_j"])
def test_latex_that_no_row_has_is_refused(latex_: str) -> None:
    """So tests find a row whose formula cannot be read, before a client does."""
    with pytest.raises(ValueError, match="expected"):
        read(latex_)


# Lines, and numbers in them.

LINES = {
    "exact": (Sum((Product((Float(0.15), Float(0.05))), Float(0.35))), 0.3575, r"= 0.15 \cdot 0.05 + 0.35 = 0.3575"),
    "rounded": (Product((Float(2 / 3), Float(0.5))), 1 / 3, r"= 0.666667 \cdot 0.5 \approx 0.333333"),
    "more digits": (
        Sum((Float(1.23456789), Float(-1.2345))),
        1.23456789 - 1.2345,
        r"= 1.23456789 - 1.2345 \approx 6.789 \cdot 10^{-5}",
    ),
    "negative": (Product((Float(-2.0), Float(-3.0))), 6.0, r"= -2 \cdot (-3) = 6"),
    "one number": (Float(0.1), 0.1, "= 0.1"),
    "one number, rounded": (Float(1 / 3), 1 / 3, r"\approx 0.333333"),
    "powers of ten": (Product((Float(1e-9), Float(2e10))), 20.0, r"= 1 \cdot 10^{-9} \cdot 2 \cdot 10^{10} = 20"),
    "a large whole number": (Float(1234567.0), 1234567.0, r"\approx 1.23457 \cdot 10^{6}"),
    "divided": (Quotient(Float(1.0), Number("3")), 1 / 3, r"= \frac{1}{3} \approx 0.333333"),
}


@pytest.mark.parametrize(("node", "value", "written"), LINES.values(), ids=LINES)
def test_a_line_shows_as_few_digits_as_leave_it_true(node: Any, value: float, written: str) -> None:
    """= if nothing is rounded, else ≈; six digits of the value, and as many digits of other numbers as needed."""
    assert line(node, value) == written
    assert complaint(f"x {written}", value) == ""


def test_a_line_that_no_digits_make_true_is_not_written() -> None:
    """0.1 + 0.2 - 0.3 is 0, but 5.6e-17 in float64."""
    node = Sum((Float(0.1), Float(0.2), Float(-0.3)))
    assert line(node, 0.1 + 0.2 - 0.3) is None
    assert line(Quotient(Float(1.0), Float(0.0)), 1.0) is None


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [
        (0.5, 6, "0.5"),
        (-0.00012, 6, "-0.00012"),
        (0.000012, 6, r"1.2 \cdot 10^{-5}"),
        (0.0, 6, "0"),
        (-0.0, 6, "0"),
        (1e6, 6, "1000000"),
        (1e7, 6, r"1 \cdot 10^{7}"),
        (123456.7, 6, "123457"),
        (5e-324, 17, r"5 \cdot 10^{-324}"),
    ],
)
def test_a_number_is_written_for_reading(value: float, digits: int, shown: str) -> None:
    """As a decimal near 1, else with a power of ten; no unknown digit is shown."""
    assert shown_number(value, digits) == shown


@pytest.mark.parametrize("name", [*ACTIVATIONS, *LOSSES])
def test_a_formula_with_numbers_gives_what_the_code_computes(name: str) -> None:
    """The core's own reader of the tables' LaTeX, on four units of moderate size."""
    a = np.array([0.3, 0.9, 0.2, 0.55])
    if name in ACTIVATIONS:
        spec = activation_spec(name)
        formula, own = read(spec.activation.formula), spec.value(a[None])[0]
        scalars = {
            p.symbol: v for p, v in zip(spec.activation.parameters, spec.values, strict=True) if isinstance(v, float)
        }
        scalars |= spec.activation.symbols(a)
        for j in range(4):
            numbers = with_definitions(formula, Numbers({**scalars, "a": a[j]}, {"a": a}, {"j": j}))
            found = [float(computed(substitute(member, numbers))) for member in formula.equations[0].members[1:]]
            assert found == pytest.approx([own[j]] * len(found), rel=1e-12)
        return
    loss = loss_spec(name)
    target = targets_of(loss)[0]
    dense_t = loss.dense_targets(target[None], 4)[0]
    indices = {"t": int(target)} if loss.loss.class_indices else {}
    scalars = {p.symbol: v for p, v in zip(loss.loss.parameters, loss.values, strict=True) if isinstance(v, float)}
    if loss.loss.per == "element":
        scalars |= {"o": float(a[1]), "t": float(target[1])}
        wanted = loss.value(a[None], dense_t[None])[0, 1]
    else:
        wanted = loss.value(a[None], dense_t[None]).sum()
    vectors = {"o": a, "u": dense_t} | ({} if loss.loss.class_indices else {"t": target})
    formula = read(loss.loss.formula)
    numbers = with_definitions(formula, replace(Numbers(scalars, vectors), indices=indices))
    assert float(computed(substitute(formula.equations[0].members[-1], numbers))) == pytest.approx(wanted, rel=1e-12)


# How much work a derivation is.


def _wide(width: int, activation: str = "softmax", loss: str = "categorical_cross_entropy") -> Derivation:
    """The derivation of one weight below a last layer of so many units."""
    rng = np.random.default_rng(7)
    network = Network((dense(rng.normal(size=(2, width)), activation),))
    inputs, targets, spec = rng.normal(size=(1, 2)), np.eye(width)[[1]], loss_spec(loss)
    return explain(network, gradients(network, inputs, targets, spec), targets, spec, Place(0, 1, 0))


@pytest.mark.parametrize(
    ("activation", "loss"),
    [
        ("softmax", "categorical_cross_entropy"),
        ("log_softmax", "half_squared_error"),
        ("softmin", "half_squared_error"),
        ("sparsemax", "half_squared_error"),
        ("softmax", "binary_cross_entropy"),
        ("softmax", "categorical_focal"),
        ("identity", "categorical_cross_entropy_with_logits"),
        ("identity", "cosine_similarity"),
        ("identity", "categorical_hinge"),
    ],
)
def test_twice_the_units_take_twice_the_exact_computations(
    activation: str, loss: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sums over a group are computed once for all its lines. Once for each line would take four times as many."""
    exact_value, calls, counts = lines._value, list[object](), []

    def counted_value(node: Any, digits: int) -> Any:
        calls.append(node)
        return exact_value(node, digits)

    monkeypatch.setattr(lines, "_value", counted_value)
    for width in (30, 60):
        calls.clear()
        _wide(width, activation, loss)
        counts.append(len(calls))
    assert counts[1] < 2.5 * counts[0]


def test_a_checkpoint_is_called_before_each_line_and_ends_the_work() -> None:
    """As often as there are lines and terms, except for the loss; what it raises goes to the caller."""
    rng = np.random.default_rng(1)
    network = Network((dense(rng.normal(size=(2, 5)), "softmax"), dense(rng.normal(size=(5, 3)), "tanh")))
    inputs, targets = rng.normal(size=(2, 2)), rng.normal(size=(2, 3))
    result, calls = gradients(network, inputs, targets, HALF), list[int]()
    derivation = explain(network, result, targets, HALF, Place(0, 1, 0), checkpoint=lambda: calls.append(1))
    lines = sum(1 + len(step.terms) for step in derivation.steps)
    assert lines / 2 < len(calls) <= lines

    def end() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        explain(network, result, targets, HALF, Place(0, 1, 0), checkpoint=end)


def test_a_sum_of_numbers_beyond_a_million_digits_is_derived() -> None:
    """Of 14 logits of up to e^20, e^o has 200 million digits: the largest terms are still found."""
    network = Network((dense(np.linspace(1.0, 20.0, 14)[None], "exponential"),))
    spec, targets = loss_spec("categorical_cross_entropy_with_logits"), np.eye(14)[[3]]
    result = gradients(network, np.ones((1, 1)), targets, spec)
    derivation = explain(network, result, targets, spec, Place(0, 1, 0))
    assert only(derivation, "loss").value == result.loss


def test_few_lines_are_computed_term_by_term(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a unit is saturated, o - t has no digit left, and the longer form is shown, which shares no sums.

    It is shown as long as the derivation has terms left to compute; then a note says why the line has no numbers.
    """
    network = Network((dense([[50.0, 0.0, -50.0]], "softmax"),))
    targets, spec = np.array([[1.0, 0.0, 0.0]]), loss_spec("categorical_cross_entropy")
    result = gradients(network, np.ones((1, 1)), targets, spec)
    assert only(explain(network, result, targets, spec, Place(0, 0, 0)), "dE_da").numbers is not None
    monkeypatch.setattr("chainrule.derivation.explain.MOST_EVALUATED_ALONE", 2)
    step = only(explain(network, result, targets, spec, Place(0, 0, 0)), "dE_da")
    assert step.numbers is None
    assert step.note is not None
    assert step.note.startswith("No numbers are shown")


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "categorical_focal", "categorical_cross_entropy"])
def test_a_long_sum_that_leaves_its_own_unit_out_is_derived(loss: str) -> None:
    """16 units are more than are shown one by one: the sum of the others has all units except the line's own."""
    rng = np.random.default_rng(5)
    network = Network((dense(rng.normal(size=(2, 16)), "softmax"),))
    targets = rng.uniform(0.1, 0.9, (1, 16))
    _, derivation = derived(network, rng.normal(size=(1, 2)), targets, loss_spec(loss), Place(0, 1, 0))
    all_shown(derivation)
