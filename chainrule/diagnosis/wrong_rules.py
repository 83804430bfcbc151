"""Wrong formulas of the backward pass, from which `mistakes.py` makes its rows.

A change takes rules, the case and the mistake's unknown number, such as a learning rate, and returns rules with a wrong
formula. Two changes are applied one after the other. All formulas that a change does not replace are those of
`backprop.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial

import numpy as np

from chainrule.functions.activations import ActivationSpec, Kink
from chainrule.functions.jacobian import Jacobian
from chainrule.functions.losses import LossSpec
from chainrule.functions.tables import Array
from chainrule.graph.backprop import Activity, LayerGradient, LossGradient, Place, Rules
from chainrule.graph.blocks import in_blocks
from chainrule.graph.blocks import product as matrix_product
from chainrule.graph.network import Network
from chainrule.graph.partition import LayerJacobian


@dataclass(frozen=True, eq=False)
class Case:
    """A request and its forward pass, in which mistakes are replayed."""

    network: Network
    activities: list[Activity]
    top: LossGradient
    targets: Array
    loss: LossSpec
    layers_of: dict[str, frozenset[int]] = field(default_factory=dict)  # a cache: the layers of each mistake
    kinks_of: dict[ActivationSpec, list[tuple[Kink, float]]] = field(default_factory=dict)  # a cache for `kinks`

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


# A wrong factor: dE/da is then the plain product, even for a stable pair, which has a closed form otherwise


def plain_product(_place: Place, do_da: LayerJacobian, dE_do: Array) -> Array:
    """Σ_m dE/do_m · do_m/da_j, (s, j)."""
    return do_da.dE_da(dE_do)


def by_dE_do(formula: Callable[[Place, Case], Array]) -> Change:
    """Replace dE/do, (s, j)."""
    return lambda rules, case, _: replace(rules, dE_do=lambda place: formula(place, case), dE_da=plain_product)


def by_do_da(formula: Callable[[Place, Case], LayerJacobian]) -> Change:
    """Replace do/da."""
    return lambda rules, case, _: replace(rules, do_da=lambda place: formula(place, case), dE_da=plain_product)


def by_dE_da(formula: Callable[[Place, LayerJacobian, Array], Array]) -> Change:
    """Replace the formula that combines dE/do and do/da."""
    return lambda rules, case, _: replace(rules, dE_da=formula)


def by_x(formula: Callable[[Place], Array]) -> Change:
    """Replace da/dw, (s, i)."""
    return lambda rules, case, _: replace(
        rules, derivatives=lambda place, dE_da: rules.derivatives(place.with_input(formula(place)), dE_da)
    )


def by_top(formula: Callable[[Case], LossGradient]) -> Change:
    """Replace the derivative of the loss, with its closed form."""

    def change(rules: Rules, case: Case, _: float) -> Rules:
        top = formula(case)

        def dE_da(place: Place, do_da: LayerJacobian, dE_do: Array) -> Array:
            return rules.dE_da(place._replace(top=top), do_da, dE_do)

        return replace(rules, dE_do=lambda place: top.dE_do, dE_da=dE_da)

    return change


Times = Callable[[Array, Array], Array]


def from_above(formula: Callable[[LayerGradient, float, Times], Array]) -> Change:
    """Replace dE/do of hidden layers, by a formula of the derivatives of the layer above and the unknown number.

    The third argument of the formula is a function that multiplies two matrices and calls the checkpoint.
    """

    def dE_do(place: Place, theta: float) -> Array:
        return formula(_above(place), theta, lambda x, y: matrix_product(x, y, place.checkpoint))

    return lambda rules, case, theta: replace(rules, dE_do=lambda place: dE_do(place, theta))


def _above(place: Place) -> LayerGradient:
    assert place.above is not None  # noqa: S101  such a mistake is made below the output
    return place.above


# A changed result: these keep what earlier changes did


def times(factor: Callable[[Case, float], float]) -> Change:
    """Multiply E by a factor, and so dE/do and every derivative computed from it."""
    return lambda rules, case, theta: _of_loss(rules, lambda array: factor(case, theta) * array)


def of_samples(kept: slice) -> Change:
    """Keep the loss of these samples only."""

    def only(every: Array) -> Array:
        some = np.zeros_like(every)
        some[kept] = every[kept]
        return some

    return lambda rules, _case, _: _of_loss(rules, only)


def _of_loss(rules: Rules, changed: Callable[[Array], Array]) -> Rules:
    """Change the loss's derivative by a linear function, also if it has a closed form or is already wrong."""
    return replace(
        rules,
        dE_do=lambda place: changed(rules.dE_do(place)),
        dE_da=lambda place, do_da, _: changed(rules.dE_da(place, do_da, rules.dE_do(place))),
    )


Adjustment = Callable[[Array, Place, Array, float], Array]  # of the array, its place, dE/da, the unknown number


def on_derivative(parameter: str, formula: Adjustment) -> Change:
    """Change the derivative by one parameter of a layer."""

    def change(rules: Rules, _case: Case, theta: float) -> Rules:
        def derivatives(place: Place, dE_da: Array) -> dict[str, Array]:
            found = rules.derivatives(place, dE_da)
            if parameter in found:
                found[parameter] = formula(found[parameter], place, dE_da, theta)
            return found

        return replace(rules, derivatives=derivatives)

    return change


on_dE_dw = partial(on_derivative, "weights")
on_dE_db = partial(on_derivative, "biases")


def both(first: Change, second: Change) -> Change:
    """Apply one change and then another."""
    return lambda rules, case, theta: second(first(rules, case, theta), case, theta)


# Wrong forms of do/da


def _in_blocks(place: Place, jacobian: Callable[[slice], LayerJacobian]) -> LayerJacobian:
    """do/da of all samples, from what `jacobian` gives for a slice of them."""
    layer, samples = place.activity.layer, len(place.activity.a)
    arrays = in_blocks(lambda rows: jacobian(rows).whole, samples, layer.units, place.checkpoint)
    return LayerJacobian(layer.partition, Jacobian(*arrays))


def of_each_group(place: Place, jacobian: Callable[[ActivationSpec, Array], Jacobian]) -> LayerJacobian:
    """do/da from a formula for the activation and the pre-activations of a group."""
    layer, a = place.activity.layer, place.activity.a

    def of_samples(rows: slice) -> LayerJacobian:
        parts = tuple(jacobian(group.activation, a[rows][:, group.units]) for group in layer.groups)
        return LayerJacobian.of_groups(layer.partition, parts)

    return _in_blocks(place, of_samples)


def same_slope(slope: Callable[[Array], Array], of: Callable[[Activity], Array]) -> Change:
    """Replace do/da by one function for all units of a layer, of their a or of their o."""

    def do_da(place: Place, _case: Case) -> LayerJacobian:
        layer, numbers = place.activity.layer, of(place.activity)
        return _in_blocks(place, lambda rows: LayerJacobian(layer.partition, Jacobian(slope(numbers[rows]))))

    return by_do_da(do_da)


def respecified(respec: Callable[[ActivationSpec], ActivationSpec]) -> Change:
    """Compute the derivative of each activation with other parameters."""

    def do_da(place: Place, _case: Case) -> LayerJacobian:
        return of_each_group(place, lambda phi, a: respec(phi).jacobian(a))

    return by_do_da(do_da)


def at_kinks(weight_of_right: float) -> Change:
    """Take another value at the kinks, between the left-hand and the right-hand derivative."""

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
    """Change the Jacobian of every group."""
    return do_da._replace(whole=formula(do_da.whole))


def diagonal(part: Jacobian) -> Jacobian:
    """The diagonal alone, as if every unit acted alone."""
    return Jacobian(part.diagonal)


def flipped(part: Jacobian) -> Jacobian:
    """The Jacobian with the opposite sign off the diagonal."""
    return Jacobian(part.diagonal, None if part.left is None else -part.left, part.right)
