"""The derivation of one derivative, step by step: each line in symbols, with numbers substituted, and its value.

    dE/dw_ij = dE/do_j · do_j/da_j · da_j/dw_ij

The derivation of a sample goes forward to the loss and back to the layer of the weight. dE/da of a unit is derived
once, even if several units below it use it. Formulas come from the tables, and `lines.line` rounds the numbers.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice

import numpy as np

from chainrule.checkpoint import Checkpoint, unlimited
from chainrule.derivation.formula import Float, Formula, Name, Node, Number, Product, Sum, read
from chainrule.derivation.lines import MOST_TERMS, NoValue, Numbers, Writer, line, over, substitute, with_definitions
from chainrule.functions.activations import ActivationSpec, Kink
from chainrule.functions.jacobian import Jacobian
from chainrule.functions.losses import LossSpec
from chainrule.functions.stable_pairs import STABLE_PAIRS, StablePair
from chainrule.functions.tables import Array, Border, quietly
from chainrule.graph.arguments import check_kind, check_place, check_request, check_sample, fitting_target
from chainrule.graph.backprop import Gradients, LayerGradient
from chainrule.graph.network import Group, Layer, Network
from chainrule.notices import check_result

MOST_EVALUATED_ALONE = 20_000  # terms of a derivation that are computed for one line only
_SUMS_OF_LOSS = 6  # the most sums over all outputs that the formulas of a loss and its derivative have

SECTIONS = ("forward", "loss", "backward", "result")
QUANTITIES = ("a", "o", "loss", "dE_do", "do_da", "product", "dE_da", "da_dw", "da_db", "dE_dw", "dE_db")


@dataclass(frozen=True)
class Place:
    """A parameter: the weight from unit `unit_before` of the layer before, or the bias if `unit_before` is None."""

    layer: int
    unit: int
    unit_before: int | None = None


@dataclass(frozen=True)
class Term:
    """One term of a sum: its unit or sample, its factors, and its value."""

    over: str  # "unit" or "sample"
    index: int
    factors: Mapping[str, float | None]
    value: float | None
    numbers: str | None = None  # its own line, if it has one


@dataclass(frozen=True)
class Step:
    """One step. `numbers` and `value` are None if float64 has no right number to show; `note` then says why."""

    section: str
    quantity: str
    title: str
    symbols: str
    numbers: str | None
    value: float | None
    layer: int | None = None
    unit: int | None = None
    sample: int | None = None
    terms: tuple[Term, ...] = ()
    note: str | None = None


@dataclass(frozen=True)
class Derivation:
    """The value of a derivative, and all steps of its derivation; each step uses only the steps before it."""

    place: Place
    sample: int | None  # None: all samples of the batch, or the only one
    value: float
    steps: tuple[Step, ...]


def explain(
    network: Network,
    result: Gradients,
    targets: Array,
    loss: LossSpec,
    place: Place,
    sample: int | None = None,
    *,
    checkpoint: Checkpoint = unlimited,
) -> Derivation:
    """Explain, step by step, the derivative by the parameter at `place`: of the whole batch, or one sample's share.

    `result` is that of `gradients`. The checkpoint is called before each line, and may raise. Raises ValueError if the
    network is not a chain, if the weight, bias or sample does not exist, if the targets do not fit, or if a derivative
    is infinite.
    """
    check_request(network, loss, checkpoint)
    check_result(network, result)
    check_kind("place", place, Place, "Place(layer, unit, unit_before)")
    check_place(network, place.layer, place.unit_before, place.unit)
    check_sample(sample, len(result.outputs))
    targets = fitting_target(result.outputs.shape, targets, loss)
    gradient = result.layers[place.layer]
    samples = range(len(result.outputs)) if sample is None else (sample,)
    dense = loss.dense_targets(targets, result.outputs.shape[1])
    divisor = loss.divisor(dense)
    steps: list[Step] = []
    batch, budget = len(targets) > 1, _TermBudget(MOST_EVALUATED_ALONE)
    for s in samples:
        own = _Sample(network, result, targets[s], dense[s], loss, divisor, place, s, batch, budget, checkpoint)
        steps += [replace(step, sample=s) for step in own.steps()]
    if len(samples) > 1:
        steps.append(_sum_over_samples(gradient, place, checkpoint))
    value = steps[-1].value
    assert value is not None, "a derivative that is not finite has been refused"  # noqa: S101
    return Derivation(place, sample, value, tuple(steps))


@dataclass(frozen=True)
class DerivationWork:
    """Upper bounds on the size of a derivation. All items of one count take about the same time."""

    lines: int  # steps
    terms: int  # lines of their own within a step
    evaluated: int  # terms of sums that all lines of a group share, each computed once with 60 digits
    added: int  # numbers that are only added up, in float64 or with 60 digits
    named: int  # units that notes list: those of groups that are only a part of their layer

    def __add__(self, other: "DerivationWork") -> "DerivationWork":
        return DerivationWork(*(x + y for x, y in zip(vars(self).values(), vars(other).values(), strict=True)))

    def times(self, samples: int) -> "DerivationWork":
        """The work for that many samples."""
        return DerivationWork(*(samples * x for x in vars(self).values()))


def most_work(network: Network, place: Place, samples: int) -> DerivationWork:
    """An upper bound on the work of a derivation, from the shapes."""
    layers = network.layers
    outputs = layers[-1].units
    own = DerivationWork(outputs + 3, 0, _SUMS_OF_LOSS * outputs, outputs, 0)
    for k, layer in enumerate(layers):
        own += _forward_work(layer)
        if k >= place.layer:
            derived = 1 if k == place.layer else layer.units
            own += _backward_work(layer, derived, layers[k + 1].units if k + 1 < len(layers) else 0)
    across = DerivationWork(1, samples if samples > 1 else 0, 0, samples, 0)
    return own.times(samples) + across + DerivationWork(0, 0, MOST_EVALUATED_ALONE, 0, 0)


def _sizes(layer: Layer) -> list[int]:
    """The number of units of each group that acts together."""
    every_unit = np.arange(layer.units)
    return [len(every_unit[g.units]) for g in layer.groups if not g.activation.activation.elementwise]


def _forward_work(layer: Layer) -> DerivationWork:
    sizes = _sizes(layer)
    named = sum(size * size for size in sizes if size < layer.units)
    return DerivationWork(2 * layer.units, 0, 2 * sum(sizes), layer.weights.size, named)


def _backward_work(layer: Layer, derived: int, above: int) -> DerivationWork:
    """The work to derive dE/da of `derived` units. A group that acts together needs dE/do of all its units."""
    sizes = _sizes(layer)
    widest = max(sizes, default=0)
    together = min(derived * widest, sum(size * size for size in sizes))  # pairs of units in one group
    needed = max(derived, min(layer.units, derived * widest))
    named = 2 * (together if any(size < layer.units for size in sizes) else 0)
    terms = needed * above + 2 * together
    return DerivationWork(needed + 3 * derived, terms, 2 * sum(sizes), needed * above + 2 * together, named)


# LaTeX of the quantities.


def _at(letter: str, index: object, layer: int) -> str:
    return f"{letter}_{{{index}}}^{{({layer})}}"


def _given(layer: int, index: object) -> str:
    """An input of a layer: an output of the layer before, or an input of the network."""
    return _at("o", index, layer - 1) if layer else f"x_{{{index}}}"


def _by(top: str, bottom: str) -> str:
    return rf"\frac{{d{top}}}{{d{bottom}}}"


def _dE_by(letter: str, index: object, layer: int) -> str:
    return _by("E", _at(letter, index, layer))


def parameter_latex(place: Place) -> str:
    """The LaTeX of a weight or bias: w_{0,1}^{(2)}, b_{1}^{(2)}."""
    if place.unit_before is None:
        return _at("b", place.unit, place.layer)
    return _at("w", f"{place.unit_before},{place.unit}", place.layer)


# Sums.


@dataclass(frozen=True)
class _Line:
    """The two lines of a step, its value, and a note."""

    symbols: str
    numbers: str | None
    value: float | None
    note: str | None = None


_LOST = (
    "No numbers are shown: float64 has rounded some of them so much that they would give another value, or none. "
    "The value was computed from earlier quantities."
)
_NOT_FINITE = "This is beyond float64; the closed form below does not need it."


def _lines(left: str, symbols: str, nodes: Iterable[Node | None], value: float, note: str | None = None) -> _Line:
    """A line for the first of several equal expressions that gives the value from the numbers that it shows."""
    if not math.isfinite(value):
        return _Line(f"{left} = {symbols}", None, None, _NOT_FINITE)
    written = next((found for node in nodes if node is not None and (found := line(node, value)) is not None), None)
    numbers = None if written is None else f"{left} {written}"
    return _Line(f"{left} = {symbols}", numbers, value, _joined_notes(note, _LOST if written is None else None))


def _joined_notes(*notes: str | None) -> str | None:
    return " ".join(note for note in notes if note) or None


def _product(*factors: float) -> Node:
    return Product(tuple(map(Float, factors)))


@quietly
def _sum_of_products(x: Array, y: Array, bias: float | None = None) -> tuple[Node | None, str | None]:
    """Σ x · y + bias, and a note."""
    return _sum(x * y, lambda k: _product(float(x[k]), float(y[k])), bias)


def _sum(values: Array, term: Callable[[int], Node], bias: float | None = None) -> tuple[Node | None, str | None]:
    """A sum of the largest terms in their order, one number for all others, and the bias; a note counts the others.

    None if a term is not finite.
    """
    if not np.isfinite(values).all():
        return None, None
    most = MOST_TERMS if len(values) <= MOST_TERMS else MOST_TERMS - 1
    shown = np.sort(np.argsort(-np.abs(values), kind="stable")[:most])
    terms, note = [term(int(k)) for k in shown], None
    if len(values) > most:
        terms.append(Float(math.fsum(np.delete(values, shown).tolist())))
        note = f"The {len(values) - most} smallest of the {len(values)} terms are added up in one number, the last."
    if bias is not None:
        terms.append(Float(bias))
    return (terms[0] if len(terms) == 1 else Sum(tuple(terms))), note


def _sum_over_samples(gradient: LayerGradient, place: Place, checkpoint: Checkpoint) -> Step:
    """The step that adds up the shares of all samples."""
    dE_da, i = gradient.dE_da[:, place.unit], place.unit_before
    if i is None:
        assert gradient.dE_db is not None, "explain has checked that there are biases"  # noqa: S101
        value, quantity, factor, x = gradient.dE_db[place.unit], "dE_db", "da_db", np.ones_like(dE_da)
        node, note = _sum(dE_da, lambda s: Float(float(dE_da[s])))
    else:
        value, quantity, factor, x = gradient.dE_dw[i, place.unit], "dE_dw", "da_dw", gradient.da_dw[:, i]
        node, note = _sum_of_products(dE_da, x)
    symbols = rf"\sum_{{s}} {_share(place, 's')}"
    found = _lines(_by("E", parameter_latex(place)), symbols, [node], float(value), note)
    terms = []
    for s in range(len(dE_da)):
        checkpoint()
        terms.append(_term("sample", s, {"dE_da": float(dE_da[s]), factor: float(x[s])}, _share(place, s)))
    return _step("result", quantity, "Sum over the samples", found, place.layer, place.unit, tuple(terms))


def _share(place: Place, sample: object) -> str:
    """The LaTeX of one sample's share of the derivative."""
    dE_da = _dE_by("a", f"{sample},{place.unit}", place.layer)
    return dE_da if place.unit_before is None else f"{dE_da} {_given(place.layer, f'{sample},{place.unit_before}')}"


@quietly
def _term(over: str, index: int, factors: Mapping[str, float], symbols: str) -> Term:
    """The term that is the product of two factors."""
    x, y = factors.values()
    value = float(np.float64(x) * y)
    if not math.isfinite(value):
        return Term(over, index, {name: _finite(factor) for name, factor in factors.items()}, None)
    written = line(_product(x, y), value)
    return Term(over, index, factors, value, None if written is None else f"{symbols} {written}")


def _step(
    section: str,
    quantity: str,
    title: str,
    found: _Line,
    layer: int | None = None,
    unit: int | None = None,
    terms: tuple[Term, ...] = (),
) -> Step:
    return Step(
        section, quantity, title, found.symbols, found.numbers, found.value, layer, unit, terms=terms, note=found.note
    )


# Formulas of the tables, in a context.


@dataclass(frozen=True)
class _Context:
    """The context in which a formula is used: what its names stand for, and how they are written."""

    numbers: Numbers
    layer: int
    units: Mapping[int, int] = field(default_factory=dict)  # from the formula's indices to the units of the layer
    written: Mapping[str, str] = field(default_factory=dict)  # what is written for an index, instead of its number
    single: int | None = None  # the unit, if names have no index

    def name(self, name: Name) -> str:
        """The LaTeX of a name: o_j as o_{2}^{(1)}."""
        indices = [self._index(index) for index in name.indices] or ([] if self.single is None else [str(self.single)])
        if name.symbol in ("a", "o") and indices:
            return _at(name.symbol, ",".join(indices), self.layer)
        if name.indices or (name.symbol == "t" and indices):
            return f"{name.symbol}_{{{','.join(indices)}}}" if name.symbol else ",".join(indices)
        return name.symbol

    def _index(self, letter: str) -> str:
        if letter in self.written:
            return self.written[letter]
        if letter in self.numbers.indices and letter != "t":
            place = self.numbers.indices[letter]
            return str(self.units.get(place, place))
        return letter

    def symbols(self, formula: Formula, equation: int = 0) -> str:
        """The right-hand side of an equation, and the definitions of its symbols."""
        writer = Writer(self.name, times=" ")
        members = " = ".join(map(writer.text, formula.equations[equation].members[1:]))
        return r", \quad ".join([members, *map(writer.clause, formula.clauses)])

    def nodes(self, formula: Formula, equation: int = 0) -> Iterator[Node]:
        """Yield the members of an equation with numbers substituted, the last one first.

        Stops at a division by 0 inside a sum.
        """
        try:
            numbers = with_definitions(formula, self.numbers)
            for member in reversed(formula.equations[equation].members[1:]):
                yield substitute(member, numbers)
        except NoValue:
            return


def _parameters(spec: ActivationSpec | LossSpec) -> dict[str, float]:
    """The parameters that are numbers, by their symbols."""
    row = spec.activation if isinstance(spec, ActivationSpec) else spec.loss
    named = zip(row.parameters, spec.values, strict=True)
    return {p.symbol: float(v) for p, v in named if p.symbol and isinstance(v, int | float)}


def _alternative(spec: ActivationSpec) -> int:
    """The index of the formula's alternative that the parameters choose; there is one for each choice."""
    named = zip(spec.activation.parameters, spec.values, strict=True)
    return sum(p.choices.index(str(value)) for p, value in named if p.choices)


# Groups.


@dataclass(frozen=True, eq=False)
class _GroupInSample:
    """A group of units of one layer in one sample, with all that its lines share."""

    group: Group
    units: list[int]
    whole: bool  # whether the group is all units of its layer
    a: Array  # (j,), of these units
    o: Array
    part: Jacobian  # of all samples
    sample: int

    @property
    def phi(self) -> ActivationSpec:
        """The activation."""
        return self.group.activation

    @cached_property
    def at(self) -> dict[int, int]:
        """The position of each unit in the group."""
        return {unit: place for place, unit in enumerate(self.units)}

    @cached_property
    def numbers(self) -> Numbers:
        """What the names of the activation's formulas stand for, without indices."""
        scalars = {**_parameters(self.phi), **self.phi.activation.symbols(self.a, *self.phi.values)}
        return Numbers(scalars, {"a": self.a, "o": self.o})

    @cached_property
    def unit_of(self) -> dict[int, int]:
        """The unit of the layer at each position in the group."""
        return dict(enumerate(self.units))

    @cached_property
    def about(self) -> str | None:
        """A note that lists the units, if they are not all units of the layer."""
        return None if self.whole else f"Its group has the layer's units {', '.join(map(str, self.units))}."

    @cached_property
    def distances(self) -> list[tuple[Kink | Border, Array]]:
        """Every kink or border, with the distance of each unit from it, (j,)."""
        return [(kink, distance[0]) for kink, distance in self.phi.distances(self.a[None])]

    def do_da(self, j: int, units: Sequence[int]) -> list[float]:
        """do_m/da_j for these units m of the group, without making the matrix of the layer."""
        diagonal = float(self.part.diagonal[self.sample, self.at[j]])
        if self.part.left is None or self.part.right is None:
            return [diagonal]
        left, right = self.part.left[self.sample], float(self.part.right[self.sample, self.at[j]])
        return [diagonal if m == j else -float(left[self.at[m]]) * right for m in units]


def _groups_in_sample(layer: Layer, gradient: LayerGradient, sample: int) -> list[_GroupInSample]:
    """The group of every unit of a layer, in one sample."""
    every_unit = np.arange(layer.units)
    a, o, found = gradient.a[sample], gradient.o[sample], dict[int, _GroupInSample]()
    for group, part in zip(layer.groups, gradient.do_da.parts, strict=True):
        units: list[int] = every_unit[group.units].tolist()
        whole = len(units) == layer.units
        own = _GroupInSample(group, units, whole, a[group.units], o[group.units], part, sample)
        found.update(dict.fromkeys(units, own))
    return [found[j] for j in range(layer.units)]


@dataclass(eq=False)
class _TermBudget:
    """The number of terms that a derivation may still compute for lines that share no sums.

    Such a line computes one term for each unit. Only the longer form of a closed form is such a line. It is tried if
    the shorter form has lost all its digits.
    """

    terms: int

    def affordable(self, nodes: Iterator[Node], units: int) -> Iterator[Node]:
        """Yield the first form, which shares its sums, and the others if enough terms are left."""
        yield from islice(nodes, 1)
        if self.terms >= units:
            others = list(nodes)
            self.terms -= units * len(others)
            yield from others


# One sample.


@dataclass(frozen=True, eq=False)
class _Sample:
    """The derivation for one sample."""

    network: Network
    result: Gradients
    t: Array  # (j,), or a class index
    u: Array  # (j,), the dense target: smoothed, or made from a class index
    loss: LossSpec
    divisor: int
    place: Place
    sample: int
    batch: bool
    budget: _TermBudget
    checkpoint: Checkpoint
    closed_numbers: dict[int, Numbers] = field(default_factory=dict)  # by the id of the group

    @cached_property
    def groups(self) -> list[list[_GroupInSample]]:
        """The group of every unit, layer by layer."""
        layers = zip(self.network.layers, self.result.layers, strict=True)
        return [_groups_in_sample(layer, gradient, self.sample) for layer, gradient in layers]

    def steps(self) -> Iterator[Step]:
        """Yield all steps: forward, the loss, backward, and the requested derivative."""
        for k in range(len(self.result.layers)):
            for j in range(self.network.layers[k].units):
                self.checkpoint()
                yield self._pre_activation(k, j)
                yield self._output(k, j)
        yield from self._losses()
        for k in reversed(range(self.place.layer, len(self.result.layers))):
            yield from self._layer_backward(k)
        yield from self._result()

    # Forward.

    def _pre_activation(self, k: int, j: int) -> Step:
        layer, gradient = self.network.layers[k], self.result.layers[k]
        bias = None if layer.biases is None else float(layer.biases[j])
        node, note = _sum_of_products(gradient.da_dw[self.sample], layer.weights[:, j], bias)
        symbols = rf"\sum_{{i}} {_given(k, 'i')} {_at('w', f'i,{j}', k)}"
        symbols += "" if bias is None else f" + {_at('b', j, k)}"
        value = float(gradient.a[self.sample, j])
        found = _lines(_at("a", j, k), symbols, [node], value, note)
        return _step("forward", "a", f"Pre-activation of unit {j} of layer {k}", found, k, j)

    def _output(self, k: int, j: int) -> Step:
        group = self.groups[k][j]
        phi = group.phi
        formula = read(phi.activation.formula, _alternative(phi))
        context = self._context(k, j)
        note = None if phi.activation.elementwise else group.about
        value = float(self.result.layers[k].o[self.sample, j])
        found = _lines(_at("o", j, k), context.symbols(formula), context.nodes(formula), value, note)
        return _step("forward", "o", f"Output of unit {j} of layer {k}: {phi.activation.title}", found, k, j)

    def _context(self, k: int, j: int, m: int | None = None) -> _Context:
        """The context of unit j's activation; with m, the context of do_m/da_j."""
        group = self.groups[k][j]
        at = group.at[j]
        if group.phi.activation.elementwise:
            scalars = {**_parameters(group.phi), "a": float(group.a[at]), "o": float(group.o[at])}
            return _Context(Numbers(scalars), k, single=j)
        indices = {"j": at} if m is None else {"j": group.at[m], "m": at}
        return _Context(group.numbers.at(**indices), k, group.unit_of)

    # The loss.

    def _losses(self) -> Iterator[Step]:
        """Yield the loss of every output, then of the sample; only the latter if outputs have no loss of their own."""
        k, row = len(self.result.layers) - 1, self.loss.loss
        formula, total = read(row.formula), float(self.result.sample_losses[self.sample])
        if row.per == "sample":
            context = self._loss_context()
            nodes = [Number("0")] if self._ignored() else self._divided(context.nodes(formula))
            symbols = self._over_n(r"\ell", context.symbols(formula))
            yield _step(
                "loss", "loss", f"Loss: {row.title}", _lines(self._E(), symbols, nodes, total, self._about_loss())
            )
            return
        losses = self.result.losses[self.sample]
        for j, loss in enumerate(losses.tolist()):
            self.checkpoint()
            context = self._loss_context(j)
            symbols = self._over_n(r"\ell", context.symbols(formula))
            found = _lines(self._E(j), symbols, self._divided(context.nodes(formula)), loss, self._about_loss())
            yield _step("loss", "loss", f"Loss of output {j}: {row.title}", found, k, j)
        node, note = _sum(losses, lambda j: Float(float(losses[j])))
        found = _lines(self._E(), rf"\sum_{{j}} {self._E('j')}", [node], total, note)
        yield _step("loss", "loss", "Loss of all outputs", found)

    def _E(self, output: object = None) -> str:
        """The LaTeX of the loss, or of the share of a sample or an output."""
        indices = [str(index) for index in (self.sample if self.batch else None, output) if index is not None]
        return f"E_{{{','.join(indices)}}}" if indices else "E"

    def _ignored(self) -> bool:
        return self.loss.loss.class_indices and bool(self.loss.ignored(self.t))

    def _divided(self, nodes: Iterable[Node]) -> Iterator[Node]:
        return (over(node, Number(str(self.divisor))) for node in nodes)

    def _over_n(self, what: str, symbols: str) -> str:
        """The formula of a loss, or of its derivative, with the division by the reduction's divisor."""
        if self.divisor == 1:
            return symbols
        return rf"\frac{{1}}{{{self.divisor}}} {what}, \quad {what} = {symbols}"

    def _about_loss(self) -> str | None:
        if self._ignored():
            return f"Class {int(self.t)} is ignored: the sample adds nothing."
        if self.divisor == 1:
            return None
        return f'The reduction "{self.loss.reduction}" divides by {self.divisor}.'

    def _loss_context(self, j: int | None = None) -> _Context:
        """The context of the loss of output j, or of the sample."""
        k, row = len(self.result.layers) - 1, self.loss.loss
        o, t = self.result.outputs[self.sample], self.t
        if j is not None and row.per == "element":
            return _Context(Numbers({**_parameters(self.loss), "o": float(o[j]), "t": float(t[j])}), k, single=j)
        per = row.outputs_per_target
        indices = {} if j is None else {"j": j, "k": j // per} if per > 1 else {"j": j}
        indices |= {"t": int(t)} if row.class_indices else {}
        return _Context(self.loss_numbers.at(**indices), k)

    @cached_property
    def loss_numbers(self) -> Numbers:
        """What the names of the loss's formulas stand for, without indices."""
        o = self.result.outputs[self.sample]
        vectors = {"o": o, "u": self.u} if self.loss.loss.class_indices else {"o": o, "u": self.u, "t": self.t}
        return Numbers({**_parameters(self.loss), r"\ell": float(self.result.sample_losses[self.sample])}, vectors)

    def _dE_do_of_output(self, j: int) -> Step:
        """dE/do of an output: the loss's derivative."""
        k, row = len(self.result.layers) - 1, self.loss.loss
        derivative, per = read(row.derivative_formula), row.outputs_per_target
        clauses = (*read(row.formula).clauses, *derivative.clauses) if per > 1 else derivative.clauses
        formula = Formula(derivative.equations, clauses)
        context = self._loss_context(j)
        nodes = [Number("0")] if self._ignored() else self._divided(context.nodes(formula, j % per))
        what = rf"\frac{{d\ell}}{{d{_at('o', j, k)}}}"
        symbols = self._over_n(what, context.symbols(formula, j % per))
        note = _joined_notes(self._about_loss(), self._loss_kink(j))
        found = _lines(_dE_by("o", j, k), symbols, nodes, float(self.result.layers[k].dE_do[self.sample, j]), note)
        return _step("backward", "dE_do", f"How the loss depends on output {j}", found, k, j)

    def _loss_kink(self, j: int) -> str | None:
        if not any(distance[j] == 0.0 for distance in self.loss_distances):
            return None
        return "The output sits exactly on a kink of the loss, where another slope would be equally valid."

    @cached_property
    def loss_distances(self) -> list[Array]:
        """The distance of each output from each kink of the loss, (j,)."""
        return [distance[0] for distance in self.loss.distances(self.result.outputs[self.sample][None], self.u[None])]

    # Backward.

    def _layer_backward(self, k: int) -> Iterator[Step]:
        """Yield the steps to dE/da of every unit of a layer; in the layer of the weight, of its unit only."""
        layer = self.network.layers[k]
        derived = [self.place.unit] if k == self.place.layer else list(range(layer.units))
        needed = {unit for j in derived for unit in self._units_needed(k, j)}
        last = k == len(self.result.layers) - 1
        for j in sorted(needed):
            self.checkpoint()
            yield self._dE_do_of_output(j) if last else self._dE_do_of_hidden(k, j)
        for j in derived:
            self.checkpoint()
            yield self._slope(k, j)
            pair = self._pair(k, j)
            yield self._product_of_factors(k, j, plain=pair is not None)
            if pair is not None:
                yield self._closed(k, j, pair)

    def _units_needed(self, k: int, j: int) -> list[int]:
        """The units whose dE/do is needed for dE/da of unit j."""
        group = self.groups[k][j]
        return [j] if group.phi.activation.elementwise else group.units

    def _pair(self, k: int, j: int) -> StablePair | None:
        if k < len(self.result.layers) - 1:
            return None
        return STABLE_PAIRS.get((self.loss.loss.name, self.groups[k][j].phi.activation.name))

    def _dE_do_of_hidden(self, k: int, j: int) -> Step:
        """dE/do of a hidden unit: the sum over all units of the next layer."""
        above, weights = self.result.layers[k + 1].dE_da[self.sample], self.network.layers[k + 1].weights[j]
        node, note = _sum_of_products(above, weights)
        symbols = rf"\sum_{{l}} {_dE_by('a', 'l', k + 1)} {_at('w', f'{j},l', k + 1)}"
        value = float(self.result.layers[k].dE_do[self.sample, j])
        terms = tuple(
            self._term(
                unit,
                {"dE_da": float(above[unit]), "weight": float(w)},
                f"{_dE_by('a', unit, k + 1)} {_at('w', f'{j},{unit}', k + 1)}",
            )
            for unit, w in enumerate(weights)
        )
        found = _lines(_dE_by("o", j, k), symbols, [node], value, note)
        title = f"How the loss depends on the output of unit {j} of layer {k}: through every unit of layer {k + 1}"
        return _step("backward", "dE_do", title, found, k, j, terms)

    def _slope(self, k: int, j: int) -> Step:
        """do/da of a unit; if its group acts together, of all units of the group by this unit's pre-activation."""
        phi = self.groups[k][j].phi
        derivative = read(phi.activation.derivative, _alternative(phi))
        title = f"Slope of unit {j} of layer {k}: {phi.activation.title}"
        note = self._on_kink(k, j)
        if not phi.activation.elementwise:
            return self._slopes_of_group(k, j, derivative, note)
        context = self._context(k, j)
        found = _lines(
            _by(_at("o", j, k), _at("a", j, k)),
            context.symbols(derivative),
            context.nodes(derivative),
            self.groups[k][j].do_da(j, [j])[0],
            note,
        )
        return _step("backward", "do_da", title, found, k, j)

    def _slopes_of_group(self, k: int, j: int, derivative: Formula, note: str | None) -> Step:
        """do_m/da_j of every unit m of the group; the step's own value is that of m = j."""
        group = self.groups[k][j]
        units, a, lines = group.units, _at("a", j, k), []
        for m, slope in zip(units, group.do_da(j, units), strict=True):
            self.checkpoint()
            lines.append(_lines(_by(_at("o", m, k), a), "", self._context(k, j, m).nodes(derivative), slope))
        own = lines[group.at[j]]
        written = replace(self._context(k, j, j), written={"j": "m", "m": str(j)})
        found = _Line(
            f"{_by(_at('o', 'm', k), a)} = {written.symbols(derivative)}",
            own.numbers,
            own.value,
            _joined_notes(group.about, note, own.note),
        )
        title = f"How unit {j} of layer {k} moves the outputs of its group: {group.phi.activation.title}"
        terms = tuple(Term("unit", m, {}, each.value, each.numbers) for m, each in zip(units, lines, strict=True))
        return _step("backward", "do_da", title, found, k, j, terms)

    def _on_kink(self, k: int, j: int) -> str | None:
        group = self.groups[k][j]
        for kink, distance in group.distances:
            if distance[group.at[j]] == 0.0:
                if not isinstance(kink, Kink):
                    return "The unit sits exactly on the border of its group's support, and counts as outside."
                taken = group.phi.slope(kink.at)
                return (
                    f"The unit sits exactly on the kink at {kink.at:g}: the slope is {kink.left:g} on its left and "
                    f"{kink.right:g} on its right, and {taken:g} is taken."
                )
        return None

    @quietly
    def _product_of_factors(self, k: int, j: int, *, plain: bool) -> Step:
        """dE/da as the product of dE/do and do/da. `plain`: a closed form follows, and this is for comparison."""
        gradient, units, group = self.result.layers[k], self._units_needed(k, j), self.groups[k][j]
        dE_do, do_da = gradient.dE_do[self.sample, units], np.array(group.do_da(j, units))
        value = float((dE_do * do_da).sum()) if plain else float(gradient.dE_da[self.sample, j])
        node, note = _sum_of_products(dE_do, do_da)
        title, symbols, terms = "The product of both factors", self._factors(k, j, j), tuple[Term, ...]()
        if not group.phi.activation.elementwise:
            title = "The products of both factors, over the whole group"
            symbols = rf"\sum_{{m}} {self._factors(k, j, 'm')}"
            terms = tuple(
                self._term(m, {"dE_do": float(d), "do_da": float(slope)}, self._factors(k, j, m))
                for m, d, slope in zip(units, dE_do, do_da, strict=True)
            )
        found = _lines(_dE_by("a", j, k), symbols, [node], value, note)
        title = f"{title}: unit {j} of layer {k}"
        return _step("backward", "product" if plain else "dE_da", title, found, k, j, terms)

    def _factors(self, k: int, j: int, m: object) -> str:
        return rf"{_dE_by('o', m, k)} {_by(_at('o', m, k), _at('a', j, k))}"

    def _term(self, unit: int, factors: Mapping[str, float], symbols: str) -> Term:
        self.checkpoint()
        return _term("unit", unit, factors, symbols)

    def _closed(self, k: int, j: int, pair: StablePair) -> Step:
        """dE/da in closed form, for a stable pair of loss and activation."""
        group = self.groups[k][j]
        numbers = self._closed_numbers(group).at(j=group.at[j])
        context, formula = _Context(numbers, k, group.unit_of), read(pair.formula)
        what = rf"\frac{{d\ell}}{{d{_at('a', j, k)}}}"
        symbols = self._over_n(what, context.symbols(formula))
        value = float(self.result.layers[k].dE_da[self.sample, j])
        nodes = self._divided(self.budget.affordable(context.nodes(formula), len(group.units)))
        found = _lines(_dE_by("a", j, k), symbols, nodes, value, group.about)
        name = f"{self.loss.loss.title} and {group.phi.activation.title}"
        return _step("backward", "dE_da", f"The same in closed form: {name}", found, k, j)

    def _closed_numbers(self, group: _GroupInSample) -> Numbers:
        """What the names of a closed form stand for, without indices."""
        if id(group) not in self.closed_numbers:
            u = self.u[group.units]
            t = u if self.loss.loss.class_indices else self.t[group.units]
            scalars = {**_parameters(group.phi), **_parameters(self.loss)}
            self.closed_numbers[id(group)] = Numbers(scalars, {"a": group.a, "o": group.o, "t": t, "u": u})
        return self.closed_numbers[id(group)]

    # The requested derivative.

    def _result(self) -> Iterator[Step]:
        place = self.place
        k, j, i = place.layer, place.unit, place.unit_before
        gradient = self.result.layers[k]
        x = 1.0 if i is None else float(gradient.da_dw[self.sample, i])
        left = _by(_at("a", j, k), parameter_latex(place))
        symbols = "1" if i is None else _given(k, i)
        parameter = "bias" if i is None else "weight: the input that the weight multiplies"
        title = f"How the pre-activation depends on the {parameter}"
        node: Node = Number("1") if i is None else Float(x)
        yield _step("result", "da_db" if i is None else "da_dw", title, _lines(left, symbols, [node], x), k, j)
        yield self._final(x)

    def _final(self, x: float) -> Step:
        """dE/dw: the product of the three factors, or of dE/da and da/dw if dE/da is a sum or a closed form."""
        k, j, i = self.place.layer, self.place.unit, self.place.unit_before
        gradient = self.result.layers[k]
        a, parameter = _at("a", j, k), parameter_latex(self.place)
        dE_da = float(gradient.dE_da[self.sample, j])
        group = self.groups[k][j]
        if group.phi.activation.elementwise and self._pair(k, j) is None:
            symbols = rf"{_dE_by('o', j, k)} \cdot {_by(_at('o', j, k), a)} \cdot {_by(a, parameter)}"
            node = _product(float(gradient.dE_do[self.sample, j]), *group.do_da(j, [j]), x)
        else:
            symbols, node = rf"{_dE_by('a', j, k)} \cdot {_by(a, parameter)}", _product(dE_da, x)
        found = _lines(_by("E", parameter), symbols, [node], dE_da * x)
        noun, quantity = ("bias", "dE_db") if i is None else ("weight", "dE_dw")
        return _step("result", quantity, f"The derivative by the {noun}", found, k, j)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
