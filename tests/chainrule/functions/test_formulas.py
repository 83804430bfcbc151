"""The formulas of the catalogue give what the code computes: each is parsed as LaTeX and evaluated."""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from chainrule.functions.activations import ACTIVATIONS, Activation, ActivationSpec, activation_spec
from chainrule.functions.losses import LOSSES, Loss, LossSpec, loss_spec
from chainrule.functions.tables import Array, Border, Value
from tests.judges import latex
from tests.judges.latex import REALS, Alternative, Clause, LatexError, Real, Relation, Symbol, Tuple, Values, parse

TOLERANCE = 1e-12  # relative; 0 has to be exactly 0
SEED = 20

# Parameters that are not the defaults reveal a formula that ignores a parameter, or uses its default.
OTHERS: dict[str, tuple[dict[str, Value], ...]] = {
    "leaky_relu": ({"negative_slope": 0.3}, {"negative_slope": -0.5}),
    "elu": ({"alpha": 1.7}, {"alpha": 0.0}),
    "celu": ({"alpha": 0.3},),
    "gelu": ({"approximate": "tanh"},),
    "softplus": ({"beta": 2.7},),
    "squareplus": ({"b": 0.7},),
    "hard_sigmoid": ({"slope": 0.25, "offset": -0.1}, {"slope": 0.7, "offset": 0.3}),
    "hard_tanh": ({"min_value": -2.3, "max_value": 0.4},),
    "hard_shrink": ({"lambda": 1.3}, {"lambda": 0.0}),
    "soft_shrink": ({"lambda": 1.3}, {"lambda": 0.0}),
    "threshold": ({"threshold": 0.1, "value": 2.5}, {"threshold": -1.3, "value": -1.3}),
    "thresholded_relu": ({"theta": 0.3}, {"theta": 0.0}),
    "scaled_tanh": ({"amplitude": -0.7, "slope": 1.1},),
    "softmax": ({"temperature": 0.7},),
    "huber": ({"delta": 0.3},),
    "smooth_l1": ({"beta": 0.3},),
    "quantile": ({"tau": 0.9},),
    "percentage_error": ({"epsilon": 0.7},),
    "binary_cross_entropy_with_logits": ({"pos_weight": 3.3},),
    "binary_focal": ({"alpha": 0.7, "gamma": 0.5}, {"alpha": 0.4, "gamma": 3.0}),
    "categorical_cross_entropy": ({"label_smoothing": 0.1},),
    "categorical_cross_entropy_with_logits": ({"label_smoothing": 0.1},),
    "sparse_categorical_cross_entropy": ({"ignore_index": 7},),
    "sparse_categorical_cross_entropy_with_logits": ({"ignore_index": 7},),
    "negative_log_likelihood": ({"ignore_index": 7},),
    "categorical_focal": ({"alpha": 0.7, "gamma": 0.5},),
}

# The ranges of outputs and targets, for rows for which -4 to 4, or their own range of targets, does not fit.
OUTPUTS = {
    "squared_log_error": (-0.9, 4.0),
    "poisson": (0.05, 4.0),
    **dict.fromkeys(("binary_cross_entropy", "binary_focal", "kl_divergence"), (0.05, 0.95)),
    **dict.fromkeys(("categorical_cross_entropy", "categorical_focal"), (0.05, 0.95)),
    "sparse_categorical_cross_entropy": (0.05, 0.95),
}
TARGETS = {"squared_log_error": (-0.9, 4.0)}

# Exactly on a border of several numbers, or clearly not: o, or a; t; and the unit whose number may cross the border.
Place = tuple[list[float], list[float], int]
AT_BORDERS: dict[str, tuple[Place, ...]] = {
    "sparsemax": (([1.0, 0.5, 0.25, -3.0], [], 2), ([1.0, 0.5, 0.25, -3.0], [], 1)),
    "categorical_hinge": (
        ([0.5, 1.5, -1.0], [0.0, 1.0, 0.0], 1),
        ([1.0, 2.0, -1.0], [0.25, 0.75, 0.0], 0),
        ([1.0, 2.0, -1.0], [0.25, 0.75, 0.0], 1),
        ([1.0, 1.0, 0.5], [0.0, 0.0, 1.0], 0),
        ([1.0, 1.0, 0.5], [0.25, 0.25, 0.5], 0),
        ([1.0, 1.0, 0.5], [0.25, 0.25, 0.5], 1),
    ),
    "cosine_similarity": (([0.0, 0.0], [0.6, -1.2], 0), ([1.0, -1.0], [0.6, -1.2], 0)),
}

Row = Activation | Loss
Spec = ActivationSpec | LossSpec
ROWS: dict[str, Row] = {**ACTIVATIONS, **LOSSES}


def _spec(name: str, **given: Any) -> Spec:
    return activation_spec(name, **given) if name in ACTIVATIONS else loss_spec(name, **given)


def _row(spec: Spec) -> Row:
    return spec.activation if isinstance(spec, ActivationSpec) else spec.loss


def _derivative(row: Row) -> str:
    return row.derivative if isinstance(row, Activation) else row.derivative_formula


def _borders(row: Row) -> tuple[Border, ...]:
    if isinstance(row, Loss):
        return row.borders
    return () if row.border is None else (row.border,)


def _per_sample(row: Row) -> bool:
    """Whether the formula is for all units or outputs of a sample together."""
    return row.per == "sample" if isinstance(row, Loss) else not row.elementwise


def _title(value: object) -> str | None:
    if isinstance(value, ActivationSpec | LossSpec):
        return f"{_row(value).name}{list(value.values) or ''}"
    return None


SPECS = [_spec(name, **given) for name in ROWS for given in ({}, *OTHERS.get(name, ()))]
every_row = pytest.mark.parametrize("name", ROWS)
every_spec = pytest.mark.parametrize("spec", SPECS, ids=_title)


# What the symbols of a row stand for at one point.


def _exact(numbers: Sequence[float] | Array) -> list[Real]:
    return [REALS.mpf(float(number)) for number in numbers]


def _chosen(spec: Spec, text: str) -> Alternative:
    """The formula's alternative that the parameters choose; there is one for each choice, in order."""
    row = _row(spec)
    picks = [p.choices.index(str(v)) for p, v in zip(row.parameters, spec.values, strict=True) if p.choices]
    alternatives = parse(text)
    assert len(alternatives) == max([1, *(len(p.choices) for p in row.parameters)])
    return alternatives[sum(picks)]


def _given(spec: Spec, **variables: float | Array) -> Values:
    """The parameters, and the variables: vectors as vectors, class indices as indices."""
    row = _row(spec)
    symbols = {p.symbol: v for p, v in zip(row.parameters, spec.values, strict=True) if isinstance(v, int | float)}
    values = Values(numbers={symbol: REALS.mpf(v) for symbol, v in symbols.items() if symbol})
    if re.search(r"\bn is\b", row.note):
        values = values.plus(numbers={"n": REALS.mpf(np.size(variables["o"]))})
    for name, variable in variables.items():
        if isinstance(row, Loss) and row.class_indices and name == "t":
            values = values.plus(indices={name: int(variable)})
        elif np.ndim(variable):
            values = values.plus(vectors={name: _exact(variable)})
        else:
            values = values.plus(numbers={name: REALS.mpf(float(variable))})
    return values


def _compare(clause: Clause, values: Values, computed: Array, indices: str = "") -> None:
    """Compare every side of an equation with what the code computes, for all values of the indices."""
    for place in np.ndindex(computed.shape):
        here = values.plus(indices=dict(zip(indices, place, strict=True)))
        for side in latex.sides(clause, here):
            assert _near(side, computed[place]), f"{REALS.nstr(side, 17)} is computed as {computed[place]!r}"


def _near(number: Real, computed: float) -> bool:
    return bool(abs(number - REALS.mpf(float(computed))) <= TOLERANCE * abs(number))


# Where the formulas are tried.


def _activation_places(spec: ActivationSpec) -> Iterator[tuple[Array, int]]:
    """a, and the number of bits to compute with: those of float64 on a kink, as in the code."""
    rng = np.random.default_rng(SEED)
    if not spec.activation.elementwise:
        groups = [rng.uniform(-size, size, (6, n)) for size in (4.0, 0.6) for n in (3, 4)]
        yield from ((a, 140) for a in [*itertools.chain(*groups), np.array([1.5])])
        return
    beside = [kink.at + step for kink in spec.kinks() for step in (-0.3, -1e-3, 1e-3, 0.3)]
    yield from ((np.array(a), 140) for a in [*rng.uniform(-4.0, 4.0, 25), *beside])
    yield from ((np.array(a), 53) for a in [*(kink.at for kink in spec.kinks()), *range(-3, 4)])


def _loss_places(spec: LossSpec) -> Iterator[tuple[Array, Array]]:
    """o and t of several samples of three or four outputs; one output at a time if ℓ is of one output."""
    rng = np.random.default_rng(SEED)
    loss = spec.loss
    for n in (3, 4) if loss.outputs_per_target == 1 else (2, 4):
        o, t = rng.uniform(*OUTPUTS.get(loss.name, (-4.0, 4.0)), (8, n)), _targets(loss, rng, n)
        yield from zip(o, t, strict=True) if loss.per == "sample" else zip(o.ravel(), t.ravel(), strict=True)
    if loss.per == "element" and loss.target_range is None:
        lowest, _ = OUTPUTS.get(loss.name, (-np.inf, np.inf))
        for near, step in itertools.product((1.0, -1.0, *t[0]), (-1.0, -1e-3, 0.0, 1e-3, 1.0)):
            if min(near, near + step) > lowest and near in (loss.target_values or (near,)):
                yield np.array(near + step), np.array(near)


def _targets(loss: Loss, rng: np.random.Generator, outputs: int) -> Array:
    """Targets for 8 samples; the first are 0 or 1 if they may be: a class that occurs, or does not."""
    if loss.class_indices:
        return rng.integers(0, outputs, 8)
    if loss.target_values:
        return rng.choice(loss.target_values, (8, outputs))
    low, high = TARGETS.get(loss.name, loss.target_range or (-4.0, 4.0))
    t = rng.uniform(low, min(high, 4.0), (8, outputs // loss.outputs_per_target))
    if loss.target_range is not None:
        t[:2] = np.eye(outputs)[:2]
    return t


# Formula and code.


def _check(spec: Spec) -> None:
    """Check that both formulas give what the code gives, at every point."""
    row = _row(spec)
    texts = _chosen(spec, row.formula), _chosen(spec, _derivative(row))
    if isinstance(spec, ActivationSpec):
        for a, bits in _activation_places(spec):
            with REALS.workprec(bits):
                _check_activation(spec, *texts, a)
    else:
        for o, t in _loss_places(spec):
            _check_loss(spec, *texts, o, t)


def _check_activation(spec: ActivationSpec, formula: Alternative, derivative: Alternative, a: Array) -> None:
    batch = a.reshape(1, -1)
    o, do_da = spec.value(batch).reshape(a.shape), spec.jacobian(batch).array().reshape(2 * a.shape)
    values = latex.settled(formula, _given(spec, a=a))
    _compare(formula[0], values, o, "j"[: a.ndim])
    _check_constraints(formula, values, o)
    _compare(derivative[0], latex.settled(derivative, values), do_da, "jm"[: 2 * a.ndim])


def _check_constraints(formula: Alternative, values: Values, o: Array) -> None:
    """Check that an equation that defines a symbol indirectly holds for the code's o."""
    computed = Values(values.numbers, {**values.vectors, "o": _exact(o)} if o.ndim else values.vectors)
    for clause in filter(latex.is_constraint, formula[1:]):
        assert isinstance(clause, Relation)
        assert _near(clause.members[0].value(computed), float(latex.sides(clause, computed)[0]))


def _check_loss(spec: LossSpec, formula: Alternative, derivative: Alternative, o: Array, t: Array) -> None:
    batch = np.reshape(o, (1, -1))
    target = np.reshape(t, 1 if spec.loss.class_indices else (1, -1))
    dense = spec.dense_targets(target, batch.shape[1])
    dl_do = spec.derivative(batch, dense).reshape(np.shape(o))
    values = latex.settled(formula, _given(spec, o=o, t=t))
    _compare(formula[0], values, spec.value(batch, dense).sum(keepdims=True).reshape(()))
    inner = latex.settled(derivative, values)
    equations = [clause for clause in derivative if latex.is_derivative(clause)]
    if len(equations) == 1:
        _compare(equations[0], inner, dl_do, "j"[: np.ndim(o)])
        return
    for k, equation in enumerate(equations):
        _compare(equation, inner, dl_do[k :: len(equations)], "k")


@every_spec
def test_a_formula_says_what_the_code_computes(spec: Spec) -> None:
    """Value and derivative agree to 1e-12, for every = of a chain, beside every kink and on it."""
    _check(spec)


@every_row
def test_the_left_side_of_a_formula_is_its_quantity(name: str) -> None:
    """The left sides are o and do/da, or ℓ and dℓ/do, with indices if units act together."""
    row = ROWS[name]
    for formula, derivative in zip(parse(row.formula), parse(_derivative(row)), strict=True):
        wanted_value, wanted_derivatives = _left_sides(row, formula)
        assert _left(formula[0]) == _left(*parse(f"{wanted_value} = 0")[0])
        found = [_left(clause) for clause in derivative if latex.is_derivative(clause)]
        assert found == [_left(*parse(f"{wanted} = 0")[0]) for wanted in wanted_derivatives]
        assert latex.is_derivative(derivative[0])


def _left(clause: Clause) -> latex.Node:
    assert isinstance(clause, Relation)
    return clause.members[0]


def _left_sides(row: Row, formula: Alternative) -> tuple[str, list[str]]:
    if isinstance(row, Activation):
        return ("o", [r"\frac{do}{da}"]) if row.elementwise else ("o_j", [r"\frac{do_j}{da_m}"])
    if row.per == "element":
        return r"\ell", [r"\frac{d\ell}{do}"]
    layouts = [clause.members for clause in formula if isinstance(clause, Relation) and _lays_out_o(clause)]
    if row.outputs_per_target == 1:
        assert not layouts
        return r"\ell", [r"\frac{d\ell}{do_j}"]
    ((_, items),) = layouts
    assert isinstance(items, Tuple)
    names = latex.layout(items.items)
    assert len(names) == row.outputs_per_target
    return r"\ell", [rf"\frac{{d\ell}}{{d{name}_k}}" for name in names]


def _lays_out_o(clause: Relation) -> bool:
    return clause.members[0] == Symbol("o") and isinstance(clause.members[1], Tuple)


# Borders.


def _said(text: str, values: Values) -> Real | None:
    """The value of a border's text; None if its condition does not hold."""
    ((stated, *clauses),) = parse(text)
    for clause in clauses:
        values = latex.defined(clause, values)
    if not isinstance(stated, latex.Where):
        return stated.value(values)
    return stated.stated.value(values) if stated.condition.value(values) else None


def _known(spec: Spec, o: Array, t: Array) -> Values:
    """The values of all symbols that formula and derivative define."""
    row = _row(spec)
    values = _given(spec, a=o) if isinstance(spec, ActivationSpec) else _given(spec, o=o, t=t)
    values = latex.settled(_chosen(spec, row.formula), values)
    return latex.settled(_chosen(spec, _derivative(row)), values)


def _distance_and_derivative(spec: Spec, border: Border, o: Array, t: Array, unit: int) -> tuple[float, Array]:
    """The distance of one unit from a border, and its derivatives: one number, or a row of the Jacobian."""
    o, t = o.reshape(1, -1), t.reshape(1, -1)
    if isinstance(spec, ActivationSpec):
        return float(border.distance(o, *spec.values)[0, unit]), spec.jacobian(o).array()[0, unit]
    return float(border.distance(o, t, *spec.values)[0, unit]), spec.derivative(o, t)[0, unit : unit + 1]


def _check_beside(spec: Spec, border: Border, o: Array, t: Array, unit: int) -> None:
    """Check that `taken` is the derivative on the border, and that `below` and `above` are those just beside it."""
    seen = set()
    for step in (-1e-6, 0.0, 1e-6):
        moved = o + step * (np.arange(o.size) == unit).reshape(o.shape)
        distance, derivative = _distance_and_derivative(spec, border, moved, t, unit)
        assert np.sign(distance) != 0 or step == 0.0
        text = {-1.0: border.below, 0.0: border.taken, 1.0: border.above}[float(np.sign(distance))]
        seen.add(np.sign(distance))
        values = None if np.ndim(o) and not moved.any() else _known(spec, moved, t)  # at o = 0 no formula has a value
        _compare_with_text(text, values or Values(), derivative, unit if o.ndim else None)
    assert seen == {-1.0, 0.0, 1.0} or not (border.below or border.above)


def _compare_with_text(text: str, values: Values, derivative: Array, unit: int | None) -> None:
    if not text:
        return
    spoken = 0
    for m, computed in enumerate(derivative):
        indices = {} if unit is None else {"j": unit} if len(derivative) == 1 else {"j": unit, "m": m}
        said = _said(text, values.plus(indices=indices))
        assert said is None or _near(said, computed), f"{text} is computed as {computed!r}"
        spoken += said is not None
    assert spoken, f"{text} says nothing here"


BORDERED = [(spec, border) for spec in SPECS for border in _borders(_row(spec))]
each_border = pytest.mark.parametrize(
    ("spec", "border"), BORDERED, ids=lambda value: _title(value) or getattr(value, "where", None)
)


@each_border
def test_a_border_is_at_its_place_and_has_its_slopes(spec: Spec, border: Border) -> None:
    """`where` is solved for o, or tried if it has several numbers: the distance is 0, and the code has these slopes."""
    _check_border(spec, border)


def _check_border(spec: Spec, border: Border) -> None:
    row = _row(spec)
    if _per_sample(row):
        places = [(np.array(o), np.array(t), unit) for o, t, unit in AT_BORDERS[row.name]]
        on_border = [_distance_and_derivative(spec, border, *place)[0] == 0.0 for place in places]
        assert on_border == [_is_there(border, spec, *place) for place in places]
        assert any(on_border)
        for place in itertools.compress(places, on_border):
            _check_beside(spec, border, *place)
        return
    ((where,),) = parse(border.where)
    for t in (-1.0, 1.0) if isinstance(row, Loss) and row.target_values else (-2.5, -0.25, 0.5, 3.0):
        o = np.array(float(latex.solved(where, "o", _given(spec, t=t)).numbers["o"]))
        assert _distance_and_derivative(spec, border, o, np.array(t), 0)[0] == 0.0
        _check_beside(spec, border, o, np.array(t), 0)


def _is_there(border: Border, spec: Spec, o: Array, t: Array, unit: int) -> bool:
    """Whether the equation of a border of several numbers holds."""
    ((where,),) = parse(border.where)
    values = _known(spec, o, t) if o.any() else _given(spec, o=o, t=t)
    values = values.plus(indices={"j": unit})
    (right,) = latex.sides(where, values)
    return _near(_left(where).value(values), float(right))


# All LaTeX of the tables.


def _texts() -> Iterator[tuple[str, str]]:
    """The name of a row, and each LaTeX string in it."""
    for name, row in ROWS.items():
        yield name, row.formula
        yield name, _derivative(row)
        for border in _borders(row):
            yield from ((name, text) for text in (border.where, border.below, border.above, border.taken) if text)


@pytest.mark.parametrize(("name", "text"), list(_texts()))
def test_every_latex_is_balanced_and_understood(name: str, text: str) -> None:
    """Braces, brackets, \\left and \\right, and cases are closed, and every command is known."""
    parse(text)
    for opening, closing in (("{", "}"), ("(", ")"), (r"\left", r"\right"), (r"\begin", r"\end")):
        assert text.count(opening) == text.count(closing)
    assert text.isascii()


@every_row
def test_every_parameter_is_in_its_formula(name: str) -> None:
    """A number that is never left out has its own symbol, which is in the formula or in the derivative."""
    row = ROWS[name]
    symbols = [p.symbol for p in row.parameters if not p.choices and p.default is not None]
    used = {node.name for text in (row.formula, _derivative(row)) for node in latex.walk(parse(text)) if _named(node)}
    assert set(symbols) <= used
    assert len(symbols) == len(set(symbols))
    assert not {"a", "o", "t", "r", "e", "n", r"\pi", r"\ell"} & set(symbols)


def _named(node: latex.Node) -> bool:
    return isinstance(node, Symbol)


@every_row
def test_every_parameter_is_tried_with_other_values(name: str) -> None:
    """OTHERS has every parameter of the row; only a parameter without a symbol may keep its default."""
    changed = {key for given in OTHERS.get(name, ()) for key in given}
    assert changed == {parameter.name for parameter in ROWS[name].parameters}


# The check itself.


# What may be written by mistake, in the place of what it matches.
SLIPS = {
    "a wrong sign": ((r" \+ ", " - "), (" - ", " + "), ("-(?! )", "")),
    "a wrong number": tuple((rf"(?<![\d._]){digit}", str((digit + 1) % 10)) for digit in range(10)),
    "a wrong side of a kink": ((" < ", r" \\le "), (" > ", r" \\ge "), (r" \\le ", " < "), (r" \\ge ", " > ")),
}
Slips = tuple[tuple[str, str], ...]


@every_row
@pytest.mark.parametrize("slip", SLIPS)
def test_a_mistake_in_a_formula_is_found(slip: str, name: str) -> None:
    """In a formula, a derivative or a border, it shows for some parameters and points."""
    specs = [_spec(name, **given) for given in ({}, *OTHERS.get(name, ()))]
    specs = [spec for spec in specs if not _is_refused(spec)]
    assert specs
    for text, wrong in _with_slip(SLIPS[slip], ROWS[name]):
        assert any(_is_refused(_of(wrong, spec)) for spec in specs), text


def _with_slip(slips: Slips, row: Row) -> Iterator[tuple[str, Row]]:
    """The row with each slip, at each place where it can be made."""
    for part in ("formula", "derivative" if isinstance(row, Activation) else "derivative_formula"):
        yield from ((text, replace(row, **{part: text})) for text in _slipped(slips, getattr(row, part)))
    for border, part in itertools.product(_borders(row), ("where", "below", "above", "taken")):
        for text in _slipped(slips, getattr(border, part)):
            wrong = replace(border, **{part: text})
            if isinstance(row, Activation):
                yield text, replace(row, border=wrong)
            else:
                yield text, replace(row, borders=tuple(wrong if each is border else each for each in row.borders))


def _slipped(slips: Slips, text: str) -> Iterator[str]:
    for pattern, wrong in slips:
        for match in re.finditer(pattern, text):
            yield text[: match.start()] + match.expand(wrong) + text[match.end() :]


def _of(row: Row, spec: Spec) -> Spec:
    """The spec of another row."""
    if isinstance(spec, ActivationSpec):
        return replace(spec, activation=row)
    return replace(spec, loss=row)


def _is_refused(spec: Spec) -> bool:
    try:
        _check(spec)
        for border in _borders(_row(spec)):
            _check_border(spec, border)
    except (AssertionError, LatexError):
        return True
    return False


@pytest.mark.parametrize(
    ("name", "formula", "derivative"),
    [
        ("sigmoid", r"o = \sigma(a) = \frac{1}{1 + e^{a}}", r"\frac{do}{da} = \sigma(a)\,\sigma(-a)"),
        ("softplus", r"o = \frac{1}{\beta} \log\left(1 + e^{\gamma a}\right)", r"\frac{do}{da} = \sigma(\beta a)"),
        ("relu", r"o = \max(a, 0)", r"\frac{do}{da} = \begin{cases} 1 & a \ge 0 \\ 0 & a < 0 \end{cases}"),
        ("tanh", r"o = \tanh(a)", r"\frac{do}{da} = 1 - \tanh(o)^2"),
        ("half_squared_error", r"\ell = \frac{1}{2}\,(o - t)^2", r"\frac{d\ell}{do} = 2\,(o - t)"),
        ("poisson_log", r"\ell = e^{o} - t o", r"\frac{d\ell}{do} = e^{o} - s"),
        ("sparsemax", r"o_j = \max(a_j - \tau, 0), \quad \sum_k o_k = 2", r"\frac{do_j}{da_m} = 0"),
        ("softmin", r"o_j = \frac{e^{-a_j}}{\sum_k e^{-a_k}}", r"\frac{do_j}{da_m} = -o_m\,(\delta_{jm} - o_m)"),
    ],
)
def test_a_wrong_formula_is_found(name: str, formula: str, derivative: str) -> None:
    """Wrong in the second equation of a chain, only at the kink, by an undefined symbol, or by an index."""
    part = "derivative" if name in ACTIVATIONS else "derivative_formula"
    wrong = replace(ROWS[name], **{"formula": formula, part: derivative})
    with pytest.raises((AssertionError, LatexError)):
        _check(_of(wrong, _spec(name)))


def _number(text: str, **numbers: float) -> float:
    """The value of a text without = in which o and t are vectors, and letters numbers."""
    values = Values(
        numbers={name: REALS.mpf(number) for name, number in numbers.items()},
        vectors={"o": _exact([1.0, 2.0, 5.0]), "t": _exact([0.5, -1.0, 3.0])},
        indices={"j": 1},
    )
    ((clause,),) = parse(text)
    return float(clause.value(values))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2 a^2", 18.0),
        ("-a^2", -9.0),
        ("e^{-a} e^{a}", 1.0),
        ("a^2 b / 2", 9.0),
        ("a - b - 1", 0.0),
        ("-a b + 1", -5.0),
        (r"\frac{a}{b} + 1", 2.5),
        (r"a (b + 1)", 9.0),
        (r"\sqrt{a^2 + 16}", 5.0),
        ("|b - a| a", 3.0),
        ("2 |b| |a|", 12.0),
        (r"\max(0, b - a)^2", 0.0),
        (r"\min(\max(a, 0), 1)", 1.0),
        (r"\cosh(0)^2 + \arctan(0)", 1.0),
        (r"\Phi(0) + \sigma(0)", 1.0),
        (r"\begin{cases} 1 & a > 3 \\ 2 & a = 3 \text{ and } b < 3 \\ 3 & \text{otherwise} \end{cases}", 2.0),
        (r"b \begin{cases} 1 & 0 < a < 3 \\ 4 & \text{otherwise} \end{cases}", 8.0),
        (r"1 + \sum_k o_k t_k - 1", 13.5),
        (r"o_j \sum_k o_k", 16.0),
        (r"\sum_k o_k^2 \sum_m t_m", 75.0),
        (r"\max_k(o_k) - o_j", 3.0),
        (r"\max_{k \ne j}(t_k)", 3.0),
        (r"\sum_k \delta_{jk} o_k", 2.0),
        ("o_0 + o_2", 6.0),
    ],
)
def test_latex_means_what_it_means_on_paper(text: str, value: float) -> None:
    """For a = 3, b = 2, o = (1, 2, 5), t = (0.5, -1, 3) and j = 1, counted from 0."""
    assert _number(text, a=3.0, b=2.0) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    "text",
    [
        *(r"\erf(a)", "a + c", r"\text{about } a", "a; b", "a & b", r"a \quad b", "", "a +", "+a", "a - -b"),
        *("(a", r"\left(a)", r"(a\right)", "|a", "{a}", r"\frac{a}", r"\frac a b", r"\sqrt a", "a)", "a^", "a_"),
        *("a^12", "a^-b", "a^b^2", "e", "e a", "2 3", "a 2", "a / b a", "a / b / a", "a / 0", r"\frac{1}{a - 3}"),
        *(r"\tanh a", r"\tanh^2(a)", r"\log(-a)", r"\log(0)", r"\sqrt{-a}", r"\max(a)", r"\log(a, b)", r"\sum o_k"),
        *("o", "a_j", "o_k", "o_9", "o_{jj}", r"\delta", r"\sum_j o_j", r"\sum_k a", r"\sum_k o_j", "(-a)^{1 / 2}"),
        r"\begin{cases} 1 & a > 3 \\ 2 & a < 3 \end{cases}",  # a = 3 is left out
        r"\begin{cases} 1 & a \ge 3 \\ 2 & a \le 3 \end{cases}",  # and in both here
        r"\begin{cases} 1 & \text{otherwise} \\ 2 & a < 3 \end{cases}",
        r"\begin{cases} 1 & a \end{cases}",
        r"\begin{cases} 1 & a > 3",
    ],
)
def test_latex_that_is_not_understood_is_refused(text: str) -> None:
    """For a = 3 and b = 2: no command, bracket, symbol, index or gap is guessed."""
    with pytest.raises(LatexError):
        _number(text, a=3.0, b=2.0)


@pytest.mark.parametrize(
    "text",
    [
        r"o = a v, \quad v = 2 u",  # u is not known
        r"o = a v, \quad v = u, \quad u = 2",  # not before it is needed
        r"o = a, \quad a = 4",  # a is 3
        r"o = a \pi, \quad \pi = 3",
        r"o = a x, \quad x + y = 1",  # one equation, two unknowns
        r"o = a, \quad \sum_k o_k = 1",  # and none
        r"o = a x, \quad x y = 1, \quad y = 0",
        r"o = a, \quad x = (m_0, m_2, \dots)",
    ],
)
def test_a_clause_that_defines_nothing_is_refused(text: str) -> None:
    """Definitions are in order, do not contradict known values, and have at most one unknown in an equation."""
    (alternative,) = parse(text)
    with pytest.raises(LatexError):
        latex.settled(alternative, Values(numbers={"a": REALS.mpf(3)}, vectors={"x": _exact([1.0, 2.0])}))


def test_clauses_define_symbols() -> None:
    """By an equation, for every index, by unpacking a vector, by counting, and by searching."""
    text = (
        r"y = v w_2 + s_1, \quad v = 2 a, \quad w_j = x_j^2, \quad x = (m_0, s_0, m_1, s_1, \dots), "
        r"\quad K \text{ units have } x_k > 1, \quad m \text{ is the first with the largest } x_m"
    )
    (alternative,) = parse(text)
    values = Values(numbers={"a": REALS.mpf(3)}, vectors={"x": _exact([1.0, 7.0, 4.0, 7.0])})
    found = latex.settled(alternative, values)
    assert found.numbers == {"a": 3, "v": 6, "K": 3, "y": 6 * 16 + 7}
    assert found.vectors["m"] == [1, 4]
    assert found.vectors["w"] == [1, 49, 16, 49]
    assert found.indices == {"m": 1}
