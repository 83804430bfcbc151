"""Wrong formulas of the backward pass, in the form in which `mistakes.py` names them.

A change takes rules, the case and a number (the one that a mistake may leave open, such as a learning rate), and gives
rules of which one is wrong. Two changes are applied one after the other; everything that a change does not touch is
the one right pass of `backprop.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import cached_property

import numpy as np

from chainrule.functions.activations import ActivationSpec, Kink
from chainrule.functions.jacobian import Jacobian
from chainrule.functions.losses import LossSpec
from chainrule.functions.tables import Array
from chainrule.graph.backprop import Activity, LayerGradient, LayerJacobian, LossGradient, Place, Rules
from chainrule.graph.blocks import in_blocks
from chainrule.graph.blocks import product as matrix_product


@dataclass(frozen=True, eq=False)
class Case:
    """What a mistake can be made in: a request and its forward pass."""

    activities: list[Activity]
    top: LossGradient
    targets: Array
    loss: LossSpec
    layers_of: dict[str, frozenset[int]] = field(default_factory=dict)  # where each mistake can be made, once looked up
    kinks_of: dict[ActivationSpec, list[tuple[Kink, float]]] = field(default_factory=dict)  # once looked up

    @cached_property
    def specs(self) -> list[frozenset[ActivationSpec]]:
        """The activations of each layer, each once."""
        return [frozenset(group.activation for group in activity.layer.groups) for activity in self.activities]

    def kinks(self, spec: ActivationSpec) -> list[tuple[Kink, float]]:
        """The kinks of an activation, each with the derivative that is right there."""
        if spec not in self.kinks_of:
            self.kinks_of[spec] = [(kink, spec.slope(kink.at)) for kink in spec.kinks()]
        return self.kinks_of[spec]

    @property
    def last(self) -> int:
        """The index of the last layer."""
        return len(self.activities) - 1

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return len(self.activities[0].x)

    @property
    def o(self) -> Array:
        """The outputs of the network, (s, j)."""
        return self.activities[-1].o

    @property
    def outputs(self) -> int:
        """How many outputs there are."""
        return self.activities[-1].layer.units

    @property
    def t(self) -> Array:
        """The targets as the loss takes them, (s, j)."""
        return self.loss.dense_targets(self.targets, self.outputs)

    def weights(self, k: int) -> tuple[int, ...]:
        """The shape of the matrix of layer k, (i, j)."""
        return self.activities[k].layer.weights.shape


Change = Callable[[Rules, Case, float], Rules]


def within(layers: frozenset[int], rules: Rules, changed: Rules) -> Rules:
    """The changed formulas in these layers, those of `rules` in all others."""

    def chosen(name: str) -> Callable[..., Array]:
        plain, wrong = getattr(rules, name), getattr(changed, name)
        if plain is wrong:
            return plain  # type: ignore[no-any-return]
        return lambda place, *given: (wrong if place.k in layers else plain)(place, *given)

    return Rules(*(chosen(field.name) for field in fields(Rules)))  # type: ignore[arg-type]


# A wrong factor: dE/da is then the plain product, also where the right pass has a closed form


def product(_place: Place, do_da: LayerJacobian, dE_do: Array) -> Array:
    """Σ_m dE/do_m · do_m/da_j, (s, j)."""
    return do_da.dE_da(dE_do)


def by_dE_do(formula: Callable[[Place, Case], Array]) -> Change:
    """Another dE/do, (s, j)."""
    return lambda rules, case, _: replace(rules, dE_do=lambda place: formula(place, case), dE_da=product)


def by_do_da(formula: Callable[[Place, Case], LayerJacobian]) -> Change:
    """Another do/da."""
    return lambda rules, case, _: replace(rules, do_da=lambda place: formula(place, case), dE_da=product)


def by_dE_da(formula: Callable[[Place, LayerJacobian, Array], Array]) -> Change:
    """Another way to put dE/do and do/da together."""
    return lambda rules, case, _: replace(rules, dE_da=formula)


def by_x(formula: Callable[[Place], Array]) -> Change:
    """Other numbers, (s, i), as da/dw."""
    return lambda rules, case, _: replace(
        rules, dE_dw=lambda place, dE_da: matrix_product(formula(place).T, dE_da, place.checkpoint)
    )


def by_top(formula: Callable[[Case], LossGradient]) -> Change:
    """The derivative of another loss, with its own closed form."""

    def change(rules: Rules, case: Case, _: float) -> Rules:
        top = formula(case)

        def dE_da(place: Place, do_da: LayerJacobian, dE_do: Array) -> Array:
            return rules.dE_da(place._replace(top=top), do_da, dE_do)

        return replace(rules, dE_do=lambda place: top.dE_do, dE_da=dE_da)

    return change


Times = Callable[[Array, Array], Array]


def from_above(formula: Callable[[LayerGradient, float, Times], Array]) -> Change:
    """Another way to hand down: dE/do from the derivatives of the layer above, and the number left open.

    The formula is given the product of two matrices as a function, which looks at the checkpoint.
    """

    def dE_do(place: Place, theta: float) -> Array:
        return formula(_above(place), theta, lambda x, y: matrix_product(x, y, place.checkpoint))

    return lambda rules, case, theta: replace(rules, dE_do=lambda place: dE_do(place, theta))


def _above(place: Place) -> LayerGradient:
    assert place.above is not None  # noqa: S101  such a mistake is made below the output
    return place.above


# A right result, changed: these keep what other changes did before


def times(factor: Callable[[Case, float], float]) -> Change:
    """E times a factor, and so dE/do and everything from there down."""
    return lambda rules, case, theta: _of_loss(rules, lambda array: factor(case, theta) * array)


def of_samples(kept: slice) -> Change:
    """Only these samples."""

    def only(every: Array) -> Array:
        some = np.zeros_like(every)
        some[kept] = every[kept]
        return some

    return lambda rules, _case, _: _of_loss(rules, only)


def _of_loss(rules: Rules, changed: Callable[[Array], Array]) -> Rules:
    """A linear change of the loss's derivative, also where that has a closed form or a wrong one of its own."""
    return replace(
        rules,
        dE_do=lambda place: changed(rules.dE_do(place)),
        dE_da=lambda place, do_da, _: changed(rules.dE_da(place, do_da, rules.dE_do(place))),
    )


Adjustment = Callable[[Array, Place, Array, float], Array]  # the right array, where, dE/da, the number left open


def on_dE_dw(formula: Adjustment) -> Change:
    """dE/dw, (i, j), changed."""
    return lambda rules, case, theta: replace(
        rules, dE_dw=lambda place, dE_da: formula(rules.dE_dw(place, dE_da), place, dE_da, theta)
    )


def on_dE_db(formula: Adjustment) -> Change:
    """dE/db, (j,), changed."""
    return lambda rules, case, theta: replace(
        rules, dE_db=lambda place, dE_da: formula(rules.dE_db(place, dE_da), place, dE_da, theta)
    )


def both(first: Change, second: Change) -> Change:
    """One change and then another."""
    return lambda rules, case, theta: second(first(rules, case, theta), case, theta)


# Wrong forms of do/da


def _in_blocks(place: Place, jacobian: Callable[[slice], LayerJacobian]) -> LayerJacobian:
    """do/da of all samples, from what `jacobian` gives for a slice of them."""
    layer, samples = place.activity.layer, len(place.activity.a)
    arrays = in_blocks(lambda rows: jacobian(rows).whole, samples, layer.units, place.checkpoint)
    return LayerJacobian(layer, Jacobian(*arrays))


def of_each_group(place: Place, jacobian: Callable[[ActivationSpec, Array], Jacobian]) -> LayerJacobian:
    """do/da from a formula for the activation and the pre-activations of a group."""
    layer, a = place.activity.layer, place.activity.a

    def of_samples(rows: slice) -> LayerJacobian:
        parts = tuple(jacobian(group.activation, a[rows][:, group.units]) for group in layer.groups)
        return LayerJacobian.of_groups(layer, parts)

    return _in_blocks(place, of_samples)


def same_slope(slope: Callable[[Array], Array], of: Callable[[Activity], Array]) -> Change:
    """One derivative for all units of a layer, of their a or of their o."""

    def do_da(place: Place, _case: Case) -> LayerJacobian:
        layer, numbers = place.activity.layer, of(place.activity)
        return _in_blocks(place, lambda rows: LayerJacobian(layer, Jacobian(slope(numbers[rows]))))

    return by_do_da(do_da)


def respecified(respec: Callable[[ActivationSpec], ActivationSpec]) -> Change:
    """The derivative of each activation with other parameters."""

    def do_da(place: Place, _case: Case) -> LayerJacobian:
        return of_each_group(place, lambda phi, a: respec(phi).jacobian(a))

    return by_do_da(do_da)


def at_kinks(weight_of_right: float) -> Change:
    """Another value at the kinks, between the left-hand derivative and the right-hand one."""

    def jacobian(phi: ActivationSpec, a: Array) -> Jacobian:
        right = phi.jacobian(a)
        diagonal = right.diagonal
        for kink in phi.kinks():
            diagonal = np.where(a == kink.at, at_kink(kink, weight_of_right), diagonal)
        return right._replace(diagonal=diagonal)

    def do_da(place: Place, _case: Case) -> LayerJacobian:
        return of_each_group(place, jacobian)

    return by_do_da(do_da)


def at_kink(kink: Kink, weight_of_right: float) -> float:
    """A value between the derivatives on both sides of a kink."""
    return (1.0 - weight_of_right) * kink.left + weight_of_right * kink.right


def each_part(formula: Callable[[Jacobian], Jacobian], do_da: LayerJacobian) -> LayerJacobian:
    """A change of the Jacobian of every group."""
    return do_da._replace(whole=formula(do_da.whole))


def diagonal(part: Jacobian) -> Jacobian:
    """Every unit by itself."""
    return Jacobian(part.diagonal)


def flipped(part: Jacobian) -> Jacobian:
    """The sign off the diagonal turned round."""
    return Jacobian(part.diagonal, None if part.left is None else -part.left, part.right)
