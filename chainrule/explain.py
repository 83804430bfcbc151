"""The derivation of one derivative, step by step: every line with symbols, with the numbers put in, and its value.

    dE/dw_ij = dE/do_j · do_j/da_j · da_j/dw_ij

A sample's derivation goes forward to the loss and back to the layer of the weight. dE/da of a unit is derived once,
however many units below it ask for it. Formulas come from the tables; what numbers a line shows, `figures.line` finds.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from chainrule.activations import ActivationSpec, Kink
from chainrule.backprop import Gradients, LayerGradient
from chainrule.catalogue import Array, quietly
from chainrule.figures import MOST_TERMS, NoValue, Numbers, Writer, line, over, put_in, settled
from chainrule.formula import Formula, Given, Name, Node, Number, Product, Sum, read
from chainrule.losses import LossSpec
from chainrule.network import Group, Network
from chainrule.stable_pairs import STABLE_PAIRS, StablePair

SECTIONS = ("forward", "loss", "backward", "result")
QUANTITIES = ("a", "o", "loss", "dE_do", "do_da", "product", "dE_da", "da_dw", "da_db", "dE_dw", "dE_db")


@dataclass(frozen=True)
class Place:
    """A weight from unit `unit_before` of the layer before, or a bias where that is None."""

    layer: int
    unit: int
    unit_before: int | None = None


@dataclass(frozen=True)
class Term:
    """One term of a sum: of which unit or sample, the factors that it is the product of, and its value."""

    over: str  # "unit" or "sample"
    index: int
    factors: Mapping[str, float | None]
    value: float | None
    numbers: str | None = None  # its own line, where it has one


@dataclass(frozen=True)
class Step:
    """One step. `numbers` and `value` are None where float64 has no right number to show, which `note` then says."""

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
    """What a derivative is, and how that comes: all steps, in an order in which each rests on those before it."""

    place: Place
    sample: int | None  # None: all samples of the batch, or the only one
    value: float
    steps: tuple[Step, ...]


def explain(
    network: Network, result: Gradients, targets: Array, loss: LossSpec, place: Place, sample: int | None = None
) -> Derivation:
    """The derivation of the derivative at `place`: of the whole batch, or of the share that one sample has in it.

    `result` is that of `gradients`. Raises ValueError for a bias of a layer that has none.
    """
    gradient = result.layers[place.layer]
    if place.unit_before is None and gradient.dE_db is None:
        raise ValueError(f"layer {place.layer} has no biases")
    samples = range(len(result.outputs)) if sample is None else (sample,)
    dense = loss.dense_targets(targets, result.outputs.shape[1])
    divisor = loss.divisor(dense)
    steps: list[Step] = []
    for s in samples:
        own = _Sample(network, result, targets[s], dense[s], loss, divisor, place, s, len(targets) > 1)
        steps += [replace(step, sample=s) for step in own.steps()]
    if len(samples) > 1:
        steps.append(_sum_over_samples(gradient, place))
    value = steps[-1].value
    assert value is not None, "a derivative that is not finite has been refused"  # noqa: S101
    return Derivation(place, sample, value, tuple(steps))


def most_lines(network: Network, place: Place, samples: int) -> int:
    """No fewer than the steps, and the terms in them, of a derivation: known before the work is done."""
    layers = network.layers
    total = 2 * sum(layer.units for layer in layers) + layers[-1].units + 1
    for k, layer in enumerate(layers[place.layer :], start=place.layer):
        above = layers[k + 1].units if k + 1 < len(layers) else 0
        group = 0 if all(spec.activation.elementwise for spec in layer.activations) else layer.units
        derived = 1 if k == place.layer else layer.units
        total += max(derived, group) * (above + 1) + derived * (3 + 2 * group)
    return samples * (total + 3) + 1


# LaTeX of the quantities.


def _at(letter: str, index: object, layer: int) -> str:
    return f"{letter}_{{{index}}}^{{({layer})}}"


def _given(layer: int, index: object) -> str:
    """What a layer is given: the outputs of the layer before, or the inputs."""
    return _at("o", index, layer - 1) if layer else f"x_{{{index}}}"


def _by(top: str, bottom: str) -> str:
    return rf"\frac{{d{top}}}{{d{bottom}}}"


def _dE_by(letter: str, index: object, layer: int) -> str:
    return _by("E", _at(letter, index, layer))


def parameter_latex(place: Place) -> str:
    """The weight or bias: w_{0,1}^{(2)}, b_{1}^{(2)}."""
    if place.unit_before is None:
        return _at("b", place.unit, place.layer)
    return _at("w", f"{place.unit_before},{place.unit}", place.layer)


# Sums.


@dataclass(frozen=True)
class _Line:
    """The two lines of a step, its value, and what has to be said of it."""

    symbols: str
    numbers: str | None
    value: float | None
    note: str | None = None


_LOST = (
    "No numbers are put in: float64 has rounded some of them so far that this line would come out otherwise, or not at "
    "all. The value was computed from the quantities before them."
)
_NOT_FINITE = "float64 holds no finite number for this; the closed form below does without it."


def _lines(left: str, symbols: str, nodes: Sequence[Node | None], value: float, note: str | None = None) -> _Line:
    """Of several expressions for the same, the first that gives the value with the numbers that it shows."""
    if not math.isfinite(value):
        return _Line(f"{left} = {symbols}", None, None, _NOT_FINITE)
    written = next((found for node in nodes if node is not None and (found := line(node, value)) is not None), None)
    numbers = None if written is None else f"{left} {written}"
    return _Line(f"{left} = {symbols}", numbers, value, _together(note, _LOST if written is None else None))


def _together(*notes: str | None) -> str | None:
    return " ".join(note for note in notes if note) or None


def _product(*factors: float) -> Node:
    return Product(tuple(map(Given, factors)))


@quietly
def _sum_of_products(x: Array, y: Array, bias: float | None = None) -> tuple[Node | None, str | None]:
    """Σ x · y + bias, with what has to be said of it."""
    return _sum(x * y, lambda k: _product(float(x[k]), float(y[k])), bias)


def _sum(values: Array, term: Callable[[int], Node], bias: float | None = None) -> tuple[Node | None, str | None]:
    """The largest terms in their order, the others added up, and the bias; and a note of how many are added up.

    None where a term is not finite.
    """
    if not np.isfinite(values).all():
        return None, None
    most = MOST_TERMS if len(values) <= MOST_TERMS else MOST_TERMS - 1
    shown = np.sort(np.argsort(-np.abs(values), kind="stable")[:most])
    terms, note = [term(int(k)) for k in shown], None
    if len(values) > most:
        terms.append(Given(math.fsum(np.delete(values, shown).tolist())))
        note = f"The {len(values) - most} smallest of the {len(values)} terms are added up in one number, the last."
    if bias is not None:
        terms.append(Given(bias))
    return (terms[0] if len(terms) == 1 else Sum(tuple(terms))), note


def _sum_over_samples(gradient: LayerGradient, place: Place) -> Step:
    """The shares of all samples, added up."""
    dE_da, i = gradient.dE_da[:, place.unit], place.unit_before
    if i is None:
        assert gradient.dE_db is not None, "seen by explain"  # noqa: S101
        value, quantity, factor, x = gradient.dE_db[place.unit], "dE_db", "da_db", np.ones_like(dE_da)
        node, note = _sum(dE_da, lambda s: Given(float(dE_da[s])))
    else:
        value, quantity, factor, x = gradient.dE_dw[i, place.unit], "dE_dw", "da_dw", gradient.da_dw[:, i]
        node, note = _sum_of_products(dE_da, x)
    symbols = rf"\sum_{{s}} {_share(place, 's')}"
    found = _lines(_by("E", parameter_latex(place)), symbols, [node], float(value), note)
    terms = tuple(
        _term("sample", s, {"dE_da": float(dE_da[s]), factor: float(x[s])}, _share(place, s)) for s in range(len(dE_da))
    )
    return _step("result", quantity, "Sum over the samples", found, place.layer, place.unit, terms)


def _share(place: Place, sample: object) -> str:
    """What one sample adds to the derivative, in symbols."""
    dE_da = _dE_by("a", f"{sample},{place.unit}", place.layer)
    return dE_da if place.unit_before is None else f"{dE_da} {_given(place.layer, f'{sample},{place.unit_before}')}"


@quietly
def _term(over: str, index: int, factors: Mapping[str, float], symbols: str) -> Term:
    """A term that is the product of its factors."""
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


# Formulas of the tables at one place.


@dataclass(frozen=True)
class _Site:
    """Where a formula is put to use: what its names stand for, and how they are written."""

    numbers: Numbers
    layer: int
    units: Mapping[int, int] = field(default_factory=dict)  # of the formula's indices, the units of the layer
    written: Mapping[str, str] = field(default_factory=dict)  # indices that are written as they stand here
    single: int | None = None  # the unit, where names have no index

    def name(self, name: Name) -> str:
        """A name as the derivation has it: o_j as o_{2}^{(1)}."""
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
        """The right-hand side, and what its symbols mean."""
        writer = Writer(self.name, times=" ")
        members = " = ".join(map(writer.text, formula.equations[equation].members[1:]))
        return r", \quad ".join([members, *map(writer.clause, formula.clauses)])

    def nodes(self, formula: Formula, equation: int = 0) -> list[Node]:
        """Its members with the numbers put in, the last first; none where there is a division by 0 inside of a sum."""
        try:
            numbers = settled(formula, self.numbers)
            return [put_in(member, numbers) for member in reversed(formula.equations[equation].members[1:])]
        except NoValue:
            return []


def _parameters(spec: ActivationSpec | LossSpec) -> dict[str, float]:
    """The numbers among the parameters, by their symbols."""
    row = spec.activation if isinstance(spec, ActivationSpec) else spec.loss
    named = zip(row.parameters, spec.values, strict=True)
    return {p.symbol: float(v) for p, v in named if p.symbol and isinstance(v, int | float)}


def _alternative(spec: ActivationSpec) -> int:
    """Which alternative of the formula the parameters choose: there is one for each choice."""
    named = zip(spec.activation.parameters, spec.values, strict=True)
    return sum(p.choices.index(str(value)) for p, value in named if p.choices)


# One sample.


@dataclass(frozen=True)
class _Sample:
    """The derivation for one sample."""

    network: Network
    result: Gradients
    t: Array  # (j,), or a class index
    u: Array  # (j,), the target that smoothing and class indices make
    loss: LossSpec
    divisor: int
    place: Place
    sample: int
    batch: bool

    def steps(self) -> Iterator[Step]:
        """All of them: forward, the loss, back, and the derivative asked for."""
        for k in range(len(self.result.layers)):
            for j in range(self.network.layers[k].units):
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
        group = self._group(k, j)
        phi = group.activation
        formula = read(phi.activation.formula, _alternative(phi))
        site = self._site(k, j)
        note = None if phi.activation.elementwise else self._about_group(k, group)
        value = float(self.result.layers[k].o[self.sample, j])
        found = _lines(_at("o", j, k), site.symbols(formula), site.nodes(formula), value, note)
        return _step("forward", "o", f"Output of unit {j} of layer {k}: {phi.activation.title}", found, k, j)

    def _group(self, k: int, j: int) -> Group:
        """The group that unit j of layer k belongs to."""
        every_unit = np.arange(self.network.layers[k].units)
        return next(group for group in self.network.layers[k].groups if j in every_unit[group.units])

    def _units(self, k: int, group: Group) -> list[int]:
        found: list[int] = np.arange(self.network.layers[k].units)[group.units].tolist()
        return found

    def _about_group(self, k: int, group: Group) -> str | None:
        units = self._units(k, group)
        if len(units) == self.network.layers[k].units:
            return None
        return f"Its group is made of the units {', '.join(map(str, units))} of the layer."

    def _site(self, k: int, j: int, m: int | None = None) -> _Site:
        """Where the activation of unit j is put to use; with m, where do_m/da_j is."""
        group = self._group(k, j)
        phi = group.activation
        a, o = self.result.layers[k].a[self.sample], self.result.layers[k].o[self.sample]
        if phi.activation.elementwise:
            scalars = {**_parameters(phi), "a": float(a[j]), "o": float(o[j])}
            return _Site(Numbers(scalars), k, single=j)
        units = self._units(k, group)
        scalars = {**_parameters(phi), **phi.activation.symbols(a[units], *phi.values)}
        indices = {"j": units.index(j)} if m is None else {"j": units.index(m), "m": units.index(j)}
        return _Site(Numbers(scalars, {"a": a[units], "o": o[units]}, indices), k, dict(enumerate(units)))

    # The loss.

    def _losses(self) -> Iterator[Step]:
        """Of every output, then of the sample; only that, where outputs have no loss of their own."""
        k, row = len(self.result.layers) - 1, self.loss.loss
        formula, total = read(row.formula), float(self.result.sample_losses[self.sample])
        if row.per == "sample":
            site = self._loss_site()
            nodes = [Number("0")] if self._ignored() else self._divided(site.nodes(formula))
            symbols = self._over_n(r"\ell", site.symbols(formula))
            yield _step(
                "loss", "loss", f"Loss: {row.title}", _lines(self._E(), symbols, nodes, total, self._about_loss())
            )
            return
        losses = self.result.losses[self.sample]
        for j, loss in enumerate(losses.tolist()):
            site = self._loss_site(j)
            symbols = self._over_n(r"\ell", site.symbols(formula))
            found = _lines(self._E(j), symbols, self._divided(site.nodes(formula)), loss, self._about_loss())
            yield _step("loss", "loss", f"Loss of output {j}: {row.title}", found, k, j)
        node, note = _sum(losses, lambda j: Given(float(losses[j])))
        found = _lines(self._E(), rf"\sum_{{j}} {self._E('j')}", [node], total, note)
        yield _step("loss", "loss", "Loss of all outputs", found)

    def _E(self, output: object = None) -> str:
        """The loss, or the share that a sample of a batch, or an output, has in it."""
        indices = [str(index) for index in (self.sample if self.batch else None, output) if index is not None]
        return f"E_{{{','.join(indices)}}}" if indices else "E"

    def _ignored(self) -> bool:
        return self.loss.loss.class_indices and bool(self.loss.ignored(self.t))

    def _divided(self, nodes: list[Node]) -> list[Node]:
        return [over(node, Number(str(self.divisor))) for node in nodes]

    def _over_n(self, what: str, symbols: str) -> str:
        """The formula of a loss, or of its derivative, with what the reduction divides it by."""
        if self.divisor == 1:
            return symbols
        return rf"\frac{{1}}{{{self.divisor}}} {what}, \quad {what} = {symbols}"

    def _about_loss(self) -> str | None:
        if self._ignored():
            return f"Class {int(self.t)} is ignored: the sample adds nothing."
        if self.divisor == 1:
            return None
        return f'The reduction "{self.loss.reduction}" divides by {self.divisor}.'

    def _loss_site(self, j: int | None = None) -> _Site:
        """Where the loss of output j, or of the sample, is put to use."""
        k, row = len(self.result.layers) - 1, self.loss.loss
        o = self.result.outputs[self.sample]
        t, u = self.t, self.u
        scalars = _parameters(self.loss)
        if j is not None and row.per == "element":
            return _Site(Numbers({**scalars, "o": float(o[j]), "t": float(t[j])}), k, single=j)
        vectors = {"o": o, "u": u} if row.class_indices else {"o": o, "u": u, "t": t}
        per = row.outputs_per_target
        indices = {} if j is None else {"j": j, "k": j // per} if per > 1 else {"j": j}
        indices |= {"t": int(t)} if row.class_indices else {}
        scalars[r"\ell"] = float(self.result.sample_losses[self.sample])
        return _Site(Numbers(scalars, vectors, indices), k)

    def _by_output(self, j: int) -> Step:
        """dE/do of an output: the loss's derivative."""
        k, row = len(self.result.layers) - 1, self.loss.loss
        derivative, per = read(row.derivative_formula), row.outputs_per_target
        clauses = (*read(row.formula).clauses, *derivative.clauses) if per > 1 else derivative.clauses
        formula = Formula(derivative.equations, clauses)
        site = self._loss_site(j)
        nodes = [Number("0")] if self._ignored() else self._divided(site.nodes(formula, j % per))
        what = rf"\frac{{d\ell}}{{d{_at('o', j, k)}}}"
        symbols = self._over_n(what, site.symbols(formula, j % per))
        note = _together(self._about_loss(), self._loss_kink(j))
        found = _lines(_dE_by("o", j, k), symbols, nodes, float(self.result.layers[k].dE_do[self.sample, j]), note)
        return _step("backward", "dE_do", f"How the loss depends on output {j}", found, k, j)

    def _loss_kink(self, j: int) -> str | None:
        distances = self.loss.distances(self.result.outputs[self.sample][None], self.u[None])
        if not any(distance[0, j] == 0.0 for distance in distances):
            return None
        return "The output sits exactly on a kink of the loss, where another slope would be as right."

    # Backward.

    def _layer_backward(self, k: int) -> Iterator[Step]:
        """dE/da of every unit of a layer that a lower one asks for; of the weight's own layer, that of its unit."""
        layer = self.network.layers[k]
        derived = [self.place.unit] if k == self.place.layer else list(range(layer.units))
        asked = {unit for j in derived for unit in self._asked(k, j)}
        last = k == len(self.result.layers) - 1
        for j in sorted(asked):
            yield self._by_output(j) if last else self._by_hidden(k, j)
        for j in derived:
            yield self._slope(k, j)
            pair = self._pair(k, j)
            yield self._through(k, j, plain=pair is not None)
            if pair is not None:
                yield self._closed(k, j, pair)

    def _asked(self, k: int, j: int) -> list[int]:
        """Of which units dE/do is needed for dE/da of unit j."""
        group = self._group(k, j)
        phi = group.activation
        return [j] if phi.activation.elementwise else self._units(k, group)

    def _pair(self, k: int, j: int) -> StablePair | None:
        if k < len(self.result.layers) - 1:
            return None
        return STABLE_PAIRS.get((self.loss.loss.name, self._group(k, j).activation.activation.name))

    def _by_hidden(self, k: int, j: int) -> Step:
        """dE/do of a hidden unit: what comes back from every unit that it feeds."""
        above, weights = self.result.layers[k + 1].dE_da[self.sample], self.network.layers[k + 1].weights[j]
        node, note = _sum_of_products(above, weights)
        symbols = rf"\sum_{{l}} {_dE_by('a', 'l', k + 1)} {_at('w', f'{j},l', k + 1)}"
        value = float(self.result.layers[k].dE_do[self.sample, j])
        terms = tuple(
            _term(
                "unit",
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
        """do/da: of the unit itself, or of all units of its group by its pre-activation."""
        phi = self._group(k, j).activation
        derivative = read(phi.activation.derivative, _alternative(phi))
        title = f"Slope of unit {j} of layer {k}: {phi.activation.title}"
        note = self._on_kink(k, j)
        if not phi.activation.elementwise:
            return self._slopes_of_group(k, j, derivative, note)
        site = self._site(k, j)
        found = _lines(
            _by(_at("o", j, k), _at("a", j, k)),
            site.symbols(derivative),
            site.nodes(derivative),
            self._do_da(k, j, [j])[0],
            note,
        )
        return _step("backward", "do_da", title, found, k, j)

    def _do_da(self, k: int, j: int, units: list[int]) -> list[float]:
        """do_m/da_j for these units m of the group, without the matrix of the layer."""
        groups, parts = self.network.layers[k].groups, self.result.layers[k].do_da.parts
        own, part = next((own, p) for g, p in zip(groups, parts, strict=True) if j in (own := self._units(k, g)))
        diagonal = float(part.diagonal[self.sample, own.index(j)])
        if part.left is None or part.right is None:
            return [diagonal]
        left, right = part.left[self.sample], float(part.right[self.sample, own.index(j)])
        return [diagonal if m == j else -float(left[own.index(m)]) * right for m in units]

    def _slopes_of_group(self, k: int, j: int, derivative: Formula, note: str | None) -> Step:
        """do_m/da_j of every unit m of the group; the step's own value is that of m = j."""
        group = self._group(k, j)
        phi = group.activation
        units, a = self._units(k, group), _at("a", j, k)
        lines = [
            _lines(_by(_at("o", m, k), a), "", self._site(k, j, m).nodes(derivative), slope)
            for m, slope in zip(units, self._do_da(k, j, units), strict=True)
        ]
        own = lines[units.index(j)]
        written = replace(self._site(k, j, j), written={"j": "m", "m": str(j)})
        found = _Line(
            f"{_by(_at('o', 'm', k), a)} = {written.symbols(derivative)}",
            own.numbers,
            own.value,
            _together(self._about_group(k, group), note, own.note),
        )
        title = f"How unit {j} of layer {k} moves the outputs of its group: {phi.activation.title}"
        terms = tuple(Term("unit", m, {}, each.value, each.numbers) for m, each in zip(units, lines, strict=True))
        return _step("backward", "do_da", title, found, k, j, terms)

    def _on_kink(self, k: int, j: int) -> str | None:
        group = self._group(k, j)
        phi = group.activation
        at = self._units(k, group).index(j)
        for kink, distance in phi.distances(self.result.layers[k].a[self.sample, group.units][None]):
            if distance[0, at] == 0.0:
                if not isinstance(kink, Kink):
                    return "The unit sits exactly on the border of its group's support, and counts as outside."
                taken = phi.slope(kink.at)
                return (
                    f"The unit sits exactly on the kink at {kink.at:g}: the slope is {kink.left:g} on its left and "
                    f"{kink.right:g} on its right, and {taken:g} is taken."
                )
        return None

    @quietly
    def _through(self, k: int, j: int, *, plain: bool) -> Step:
        """dE/da from dE/do and do/da. `plain`: where a closed form is taken instead, and this is for comparison."""
        gradient, units = self.result.layers[k], self._asked(k, j)
        dE_do, do_da = gradient.dE_do[self.sample, units], np.array(self._do_da(k, j, units))
        value = float((dE_do * do_da).sum()) if plain else float(gradient.dE_da[self.sample, j])
        node, note = _sum_of_products(dE_do, do_da)
        title, symbols, terms = "The product of both factors", self._factors(k, j, j), tuple[Term, ...]()
        if not self._group(k, j).activation.activation.elementwise:
            title = "The products of both factors, over the whole group"
            symbols = rf"\sum_{{m}} {self._factors(k, j, 'm')}"
            terms = tuple(
                _term("unit", m, {"dE_do": float(d), "do_da": float(slope)}, self._factors(k, j, m))
                for m, d, slope in zip(units, dE_do, do_da, strict=True)
            )
        found = _lines(_dE_by("a", j, k), symbols, [node], value, note)
        title = f"{title}: unit {j} of layer {k}"
        return _step("backward", "product" if plain else "dE_da", title, found, k, j, terms)

    def _factors(self, k: int, j: int, m: object) -> str:
        return rf"{_dE_by('o', m, k)} {_by(_at('o', m, k), _at('a', j, k))}"

    def _closed(self, k: int, j: int, pair: StablePair) -> Step:
        """dE/da in closed form, where loss and activation are a stable pair."""
        group = self._group(k, j)
        phi = group.activation
        units = self._units(k, group)
        u = self.u[units]
        t = u if self.loss.loss.class_indices else self.t[units]
        gradient = self.result.layers[k]
        vectors = {"a": gradient.a[self.sample, units], "o": gradient.o[self.sample, units], "t": t, "u": u}
        numbers = Numbers({**_parameters(phi), **_parameters(self.loss)}, vectors, {"j": units.index(j)})
        site, formula = _Site(numbers, k, dict(enumerate(units))), read(pair.formula)
        what = rf"\frac{{d\ell}}{{d{_at('a', j, k)}}}"
        symbols = self._over_n(what, site.symbols(formula))
        value = float(gradient.dE_da[self.sample, j])
        found = _lines(
            _dE_by("a", j, k), symbols, self._divided(site.nodes(formula)), value, self._about_group(k, group)
        )
        name = f"{self.loss.loss.title} and {phi.activation.title}"
        return _step("backward", "dE_da", f"The same in closed form: {name}", found, k, j)

    # The derivative that was asked for.

    def _result(self) -> Iterator[Step]:
        place = self.place
        k, j, i = place.layer, place.unit, place.unit_before
        gradient = self.result.layers[k]
        x = 1.0 if i is None else float(gradient.da_dw[self.sample, i])
        left = _by(_at("a", j, k), parameter_latex(place))
        symbols = "1" if i is None else _given(k, i)
        title = "How the pre-activation depends on the " + ("bias" if i is None else "weight: what the weight is given")
        node: Node = Number("1") if i is None else Given(x)
        yield _step("result", "da_db" if i is None else "da_dw", title, _lines(left, symbols, [node], x), k, j)
        yield self._final(x)

    def _final(self, x: float) -> Step:
        """dE/dw: the product of the three factors, or of dE/da and da/dw where the first two are a sum."""
        k, j, i = self.place.layer, self.place.unit, self.place.unit_before
        gradient = self.result.layers[k]
        a, parameter = _at("a", j, k), parameter_latex(self.place)
        dE_da = float(gradient.dE_da[self.sample, j])
        if self._group(k, j).activation.activation.elementwise and self._pair(k, j) is None:
            symbols = rf"{_dE_by('o', j, k)} \cdot {_by(_at('o', j, k), a)} \cdot {_by(a, parameter)}"
            node = _product(float(gradient.dE_do[self.sample, j]), *self._do_da(k, j, [j]), x)
        else:
            symbols, node = rf"{_dE_by('a', j, k)} \cdot {_by(a, parameter)}", _product(dE_da, x)
        found = _lines(_by("E", parameter), symbols, [node], dE_da * x)
        noun, quantity = ("bias", "dE_db") if i is None else ("weight", "dE_dw")
        return _step("result", quantity, f"The derivative by the {noun}", found, k, j)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
