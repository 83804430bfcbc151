"""The known mistakes of backpropagation, one row each: a description, the layers where it can be made, and its formula.

The table's order is the order of application in pairs: a formula that replaces a right one comes before formulas that
change its result. A comment names a public report of the mistake, as repository#number.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from chainrule.diagnosis import wrong_rules as wrong
from chainrule.diagnosis.wrong_rules import Case, Change, Times
from chainrule.functions.activations import ACTIVATIONS, ActivationSpec, activation_spec
from chainrule.functions.losses import LOSSES, LossSpec
from chainrule.functions.tables import Array, parameter_values
from chainrule.graph.backprop import (
    Activity,
    LayerGradient,
    LossGradient,
    Place,
    Rules,
    loss_gradient,
)
from chainrule.graph.partition import LayerJacobian


@dataclass(frozen=True)
class Mistake:
    """One row. `at` says in which layers the mistake can be made.

    If it has an unknown number, such as a learning rate, `fits` names the number, and `trial` is a value with which
    the mistake shows.
    """

    cause: str
    words: str
    change: Change
    at: Callable[[Case, int], bool]
    fits: str = ""
    trial: float = 0.0
    of_largest: bool = False  # whether that number scales with the largest derivative, from which a fit starts
    mixes_inputs: bool = False  # whether the derivative by a weight depends on other inputs than its own
    linear: bool = False  # whether all derivatives are linear in the unknown number

    def layers(self, case: Case) -> frozenset[int]:
        """The layers in which it can be made."""
        if self.cause not in case.layers_of:
            case.layers_of[self.cause] = frozenset(k for k in range(len(case.activities)) if self.at(case, k))
        return case.layers_of[self.cause]


# Where a mistake can be made


def _anywhere(_case: Case, _k: int) -> bool:
    return True


def _at_the_output(case: Case, k: int) -> bool:
    return k == case.last


def _below_the_output(case: Case, k: int) -> bool:
    return k < case.last


def _above_the_first(_case: Case, k: int) -> bool:
    return k > 0


def _biased(case: Case, k: int) -> bool:
    return case.activities[k].layer.biases is not None


def _matrix(case: Case, k: int) -> bool:
    return min(case.weights(k)) > 1


def _under_a_matrix(case: Case, k: int) -> bool:
    return k < case.last and _matrix(case, k + 1)


def _under_a_square(case: Case, k: int) -> bool:
    return _under_a_matrix(case, k) and len({*case.weights(k + 1)}) == 1


def _under_several(case: Case, k: int) -> bool:
    return k < case.last and case.weights(k + 1)[1] > 1


def _square(case: Case, k: int) -> bool:
    return len({*case.weights(k)}) == 1


def _over_a_square(case: Case, k: int) -> bool:
    return k > 0 and _square(case, k - 1)


def _specs(case: Case, k: int) -> frozenset[ActivationSpec]:
    """The activations of a layer, each once."""
    return case.specs[k]


def _coupled(case: Case, k: int) -> bool:
    return any(not spec.activation.elementwise for spec in _specs(case, k))


def _divided(case: Case, _k: int) -> bool:
    return case.loss.reduction != "sum"


def _several_outputs(case: Case, k: int) -> bool:
    return k == case.last and case.outputs > 1


def _loss_in_parts(case: Case, k: int) -> bool:
    return k == case.last and case.top.losses.shape == case.o.shape


def _one_target_each(case: Case, k: int) -> bool:
    return k == case.last and case.loss.loss.outputs_per_target == 1


def _another_loss(case: Case, k: int) -> bool:
    return _one_target_each(case, k) and case.loss.loss is not LOSSES["half_squared_error"]


def _no_shortcut(case: Case, k: int) -> bool:
    linear = {spec.activation for spec in _specs(case, k)} == {ACTIVATIONS["identity"]}
    return _one_target_each(case, k) and not linear and not case.top.closed


def _shortcut(case: Case, k: int) -> bool:
    return k == case.last and bool(case.top.closed)


def _smoothed(case: Case, k: int) -> bool:
    return k == case.last and bool(case.loss.parameter("label_smoothing"))


def _loss_with_parameters(case: Case, k: int) -> bool:
    return k == case.last and _default_loss(case.loss) != case.loss and not _smoothed(case, k)


def _with_parameters(case: Case, k: int) -> bool:
    return any(_default_activation(spec) != spec for spec in _specs(case, k))


def _taken_otherwise(weight_of_right: float, case: Case, k: int) -> bool:
    """Whether some activation has a kink at which this derivative differs from the right one."""
    return any(
        wrong.at_kink(kink, weight_of_right) != slope for spec in _specs(case, k) for kink, slope in case.kinks(spec)
    )


def _and(*conditions: Callable[[Case, int], bool]) -> Callable[[Case, int], bool]:
    return lambda case, k: all(condition(case, k) for condition in conditions)


# Wrong formulas that take more than a line


def _difference(_place: Place, case: Case) -> Array:
    """(o - t) / divisor: dE/do of half the squared error, dE/da of a stable pair."""
    difference: Array = (case.o - case.t) / case.loss.divisor(case.t)
    return difference


def _without_targets(_place: Place, case: Case) -> Array:
    return case.loss.derivative(case.o, np.zeros_like(case.t)) / case.loss.divisor(case.t)


def _instead_of_product(formula: Callable[[Place, Case], Array]) -> Change:
    """Replace dE/da by the formula."""
    return lambda rules, case, _: replace(rules, dE_da=lambda place, do_da, dE_do: formula(place, case))


def _twice(place: Place, do_da: LayerJacobian, dE_do: Array) -> Array:
    return do_da.dE_da(do_da.dE_da(dE_do))


def _shortcut_then_slope(rules: Rules, _case: Case, _: float) -> Rules:
    """The right dE/da, times each unit's own derivative once more."""

    def dE_da(place: Place, do_da: LayerJacobian, dE_do: Array) -> Array:
        return wrong.each_part(wrong.diagonal, do_da).dE_da(rules.dE_da(place, do_da, dE_do))

    return replace(rules, dE_da=dE_da)


def _default_activation(spec: ActivationSpec) -> ActivationSpec:
    return replace(spec, values=parameter_values(spec.activation, {}))


def _default_loss(loss: LossSpec) -> LossSpec:
    ignored = loss.parameter("ignore_index")
    return replace(loss, values=parameter_values(loss.loss, {} if ignored is None else {"ignore_index": ignored}))


def _top_of_defaults(case: Case) -> LossGradient:
    return loss_gradient(case.activities[-1], case.targets, _default_loss(case.loss))


def _slopes_at_o(place: Place, _case: Case) -> LayerJacobian:
    return place.activity.layer.partition.jacobian(place.activity.o, checkpoint=place.checkpoint)


def _slopes_at_the_a_below(place: Place, _case: Case) -> LayerJacobian:
    return place.activity.layer.partition.jacobian(place.activities[place.k - 1].a, checkpoint=place.checkpoint)


def _as_in_layer(which: int) -> Change:
    """Compute do/da of this layer with the activation of the first or last layer."""

    def do_da(place: Place, case: Case) -> LayerJacobian:
        spec = case.activities[which].layer.groups[0].activation
        return wrong.of_each_group(place, lambda _, a: spec.jacobian(a))

    return wrong.by_do_da(do_da)


def _unlike_layer(which: int, case: Case, k: int) -> bool:
    spec = case.activities[which].layer.groups[0].activation
    return any(other != spec for other in _specs(case, k))


def _by_diagonal(above: LayerGradient, _: float, times: Times) -> Array:
    """dE/do of unit i with the weight w_ii alone; 0 for units beyond the smaller width."""
    n_in, n_out = above.activity.layer.weights.shape
    kept = above.activity.layer.weights * np.eye(n_in, n_out)
    return times(above.dE_da, kept.T)


def _by_reshaped_weights(above: LayerGradient, _: float, times: Times) -> Array:
    weights = above.activity.layer.weights
    return times(above.dE_da, weights.reshape(weights.shape[::-1]))


def _by_updated_weights(above: LayerGradient, learning_rate: float, times: Times) -> Array:
    return times(above.dE_da, (above.activity.layer.weights - learning_rate * above.dE_dw).T)


def _unweighted(above: LayerGradient, _: float, _times: Times) -> Array:
    return np.tile(above.dE_da.sum(axis=1, keepdims=True), above.activity.layer.weights.shape[0])


def _of_one_unit(above: LayerGradient, unit: int) -> Array:
    """The term of one unit of the next layer."""
    return above.dE_da[:, unit, None] * above.activity.layer.weights[:, unit]


def _reordered(g: Array, _place: Place, dE_da: Array, _: float) -> Array:
    """The matrix as n_out × n_in, its numbers read row by row as n_in × n_out; where it is square, transposed."""
    return g.T.reshape(g.shape)


def _means_multiplied(g: Array, place: Place, dE_da: Array, _: float) -> Array:
    means: Array = place.activity.x.mean(axis=0)[:, None] * dE_da.sum(axis=0)
    return means


def _without_input(index: int, g: Array, _place: Place, dE_da: Array, _: float) -> Array:
    rest = g.copy()
    rest[index] = 0.0
    return rest


def _nothing(g: Array, _place: Place, dE_da: Array, _: float) -> Array:
    return np.zeros_like(g)


def _limited(g: Array, _place: Place, dE_da: Array, largest: float) -> Array:
    return np.minimum(np.maximum(g, -abs(largest)), abs(largest))


def _signs(g: Array, _place: Place, dE_da: Array, size: float) -> Array:
    return size * np.sign(g)


def _times_theta(g: Array, _place: Place, dE_da: Array, theta: float) -> Array:
    return theta * g


def _weights_added(g: Array, place: Place, dE_da: Array, theta: float) -> Array:
    return g + theta * place.activity.layer.weights


def _signs_of_weights_added(g: Array, place: Place, dE_da: Array, theta: float) -> Array:
    return g + theta * np.sign(place.activity.layer.weights)


def _biases_added(g: Array, place: Place, dE_da: Array, theta: float) -> Array:
    biases = place.activity.layer.biases
    return g if biases is None else g + theta * biases


def _one_sum(g: Array, _place: Place, dE_da: Array, _: float) -> Array:
    return np.full_like(g, dE_da.sum())


def _bias_from_weights(rules: Rules, case: Case, theta: float) -> Rules:
    def sums(_g: Array, place: Place, dE_da: Array, _theta: float) -> Array:
        total: Array = rules.derivatives(place, dE_da)["weights"].sum(axis=0)
        return total

    return wrong.on_dE_db(sums)(rules, case, theta)


def _bias_from_dE_do(rules: Rules, case: Case, theta: float) -> Rules:
    def sums(_g: Array, place: Place, _dE_da: Array, _theta: float) -> Array:
        total: Array = rules.dE_do(place).sum(axis=0)
        return total

    return wrong.on_dE_db(sums)(rules, case, theta)


# The derivatives that people write as formulas in o
_IN_O: tuple[tuple[str, str, Callable[[Array], Array]], ...] = (
    ("sigmoid", "x·(1 − x)", lambda x: x * (1.0 - x)),
    ("tanh", "1 − x²", lambda x: 1.0 - x * x),
    ("exponential", "x", np.copy),
)


def _o(activity: Activity) -> Array:
    return activity.o


def _a(activity: Activity) -> Array:
    return activity.a


def _only(name: str, case: Case, k: int) -> bool:
    return {spec.activation.name for spec in _specs(case, k)} == {name}


def _not_only(name: str, case: Case, k: int) -> bool:
    return not _only(name, case, k)


def _slopes_of(name: str, a: Array) -> Array:
    return activation_spec(name).jacobian(a).diagonal


def _slopes_of_others() -> Iterator[Mistake]:
    """Mistakes that use the derivative of another activation, or a formula in o with a."""
    for name, formula, slope in _IN_O:
        yield Mistake(
            f"{name}_formula_given_a",
            f"do/da of {name} is computed as {formula} with x = a instead of x = o",
            wrong.same_slope(slope, _a),
            partial(_only, name),
        )
    for name, formula, slope in _IN_O[:2]:
        yield Mistake(
            f"{name}_derivative_for_another",
            f"do/da is {formula} with x = o, the derivative of {name}, where the activation is another",
            wrong.same_slope(slope, _o),
            partial(_not_only, name),
        )
    for name in ("sigmoid", "tanh", "relu"):
        yield Mistake(
            f"{name}_slope_for_another",
            f"do/da is φ′(a) of {name}, where the activation is another",
            wrong.same_slope(partial(_slopes_of, name), _a),
            partial(_not_only, name),
        )


MISTAKES: tuple[Mistake, ...] = (
    # dE/do at the output
    Mistake(
        "loss_derivative_missing",
        "dE/do of the loss is left out, as if it were 1",
        wrong.by_dE_do(lambda place, case: np.ones_like(case.top.dE_do)),
        _at_the_output,
    ),
    Mistake(
        "loss_instead_of_derivative",
        "the loss of each output stands in the place of its derivative dE/do",
        wrong.by_dE_do(lambda place, case: case.top.losses),
        _loss_in_parts,
    ),
    Mistake(
        "absolute_error_signal",
        "dE/do has lost its sign: its absolute value is passed on",
        wrong.by_dE_do(lambda place, case: np.abs(case.top.dE_do)),
        _at_the_output,
    ),
    Mistake(
        "squared_error_derivative",
        "dE/do is o − t, the derivative of half the squared error, where the loss is another",
        wrong.by_dE_do(_difference),
        _another_loss,
    ),
    Mistake(
        "shortcut_of_another_loss",
        "dE/da at the output is o − t, the shortcut of cross-entropy with softmax or sigmoid, where it does not hold",
        _instead_of_product(_difference),
        _no_shortcut,
    ),
    Mistake(  # udacity/sdc-issue-reports#134
        "targets_not_used",
        "dE/do is computed without the targets, as if they were 0",
        wrong.by_dE_do(_without_targets),
        _one_target_each,
    ),
    Mistake(
        "label_smoothing_forgotten",
        "the targets are not smoothed",
        wrong.by_top(_top_of_defaults),
        _smoothed,
    ),
    Mistake(
        "loss_parameters_forgotten",
        "the loss is taken with its default parameters",
        wrong.by_top(_top_of_defaults),
        _loss_with_parameters,
    ),
    # dE/do of hidden layers
    Mistake(
        "handed_down_missing",  # haifengl/smile#528
        "what the layer above hands down is left out: dE/do of the hidden units is 1",
        wrong.by_dE_do(lambda place, case: np.ones_like(place.activity.o)),
        _below_the_output,
    ),
    Mistake(
        "dE_do_handed_down",
        "dE/do of the layer above is handed down instead of its dE/da",
        wrong.from_above(lambda above, _, times: times(above.dE_do, above.activity.layer.weights.T)),
        _below_the_output,
    ),
    Mistake(
        "first_unit_only",
        "the sum over the units of the next layer has only the term of its first unit",
        wrong.from_above(lambda above, *_: _of_one_unit(above, 0)),
        _under_several,
    ),
    Mistake(
        "last_unit_only",
        "the sum over the units of the next layer has only the term of its last unit",
        wrong.from_above(lambda above, *_: _of_one_unit(above, -1)),
        _under_several,
    ),
    Mistake(
        "same_unit_only",
        "the sum over the units of the next layer has only the term of the unit with the same index",
        wrong.from_above(_by_diagonal),
        _under_a_matrix,
    ),
    Mistake(
        "hidden_sum_averaged",
        "dE/do is the mean over the units of the next layer instead of the sum",
        wrong.from_above(
            lambda above, _, times: times(above.dE_da, above.activity.layer.weights.T) / above.dE_da.shape[1]
        ),
        _under_several,
    ),
    Mistake(
        "weights_not_used_on_the_way_down",
        "dE/da of the next layer is added up without its weights",
        wrong.from_above(_unweighted),
        _below_the_output,
    ),
    Mistake(
        "weights_not_transposed_on_the_way_down",
        "dE/da is handed down through the weights w instead of wᵀ",
        wrong.from_above(lambda above, _, times: times(above.dE_da, above.activity.layer.weights)),
        _under_a_square,
    ),
    Mistake(
        "weights_reshaped_on_the_way_down",
        "dE/da is handed down through the weights reshaped to n_out × n_in, which is not their transpose",
        wrong.from_above(_by_reshaped_weights),
        _under_a_matrix,
    ),
    Mistake(  # joelgrus/data-science-from-scratch#31, kim-marcel/basic_neural_network#7
        "updated_weights_on_the_way_down",
        "dE/da is handed down through weights that have already been updated",
        wrong.from_above(_by_updated_weights),
        _below_the_output,
        fits="learning_rate",
        trial=0.1,
    ),
    # do/da
    Mistake(  # Bot-Academy/NeuralNetworkFromScratch#3
        "activation_derivative_missing",
        "the factor do/da is left out",
        wrong.by_dE_da(lambda place, do_da, dE_do: dE_do.copy()),
        _anywhere,
    ),
    Mistake(
        "derivative_at_output",
        "φ′ is taken at o instead of a",
        wrong.by_do_da(_slopes_at_o),
        _anywhere,
    ),
    Mistake(
        "derivative_at_layer_below",
        "φ′ is taken at the pre-activations of the layer before",
        wrong.by_do_da(_slopes_at_the_a_below),
        _and(_above_the_first, _square),
    ),
    *_slopes_of_others(),
    Mistake(
        "first_activation_everywhere",
        "the derivative is that of the first layer's activation",
        _as_in_layer(0),
        partial(_unlike_layer, 0),
    ),
    Mistake(
        "last_activation_everywhere",
        "the derivative is that of the last layer's activation",
        _as_in_layer(-1),
        partial(_unlike_layer, -1),
    ),
    Mistake(  # deeplearning4j/libnd4j#440
        "softmax_elementwise",
        "the softmax is treated as elementwise: only the diagonal of its Jacobian, o·(1 − o), is used",
        wrong.by_dE_da(lambda place, do_da, dE_do: wrong.each_part(wrong.diagonal, do_da).dE_da(dE_do)),
        _coupled,
    ),
    Mistake(
        "softmax_off_diagonal_sign",
        "the Jacobian of the softmax has the wrong sign off its diagonal",
        wrong.by_dE_da(lambda place, do_da, dE_do: wrong.each_part(wrong.flipped, do_da).dE_da(dE_do)),
        _coupled,
    ),
    Mistake(
        "activation_parameters_forgotten",
        "do/da is taken with the activation's default parameters",
        wrong.respecified(_default_activation),
        _with_parameters,
    ),
    Mistake(
        "kink_left", "at a kink, the left-hand derivative is taken", wrong.at_kinks(0.0), partial(_taken_otherwise, 0.0)
    ),
    Mistake(
        "kink_right",
        "at a kink, the right-hand derivative is taken",
        wrong.at_kinks(1.0),
        partial(_taken_otherwise, 1.0),
    ),
    Mistake(
        "kink_middle", "at a kink, the mean of both sides is taken", wrong.at_kinks(0.5), partial(_taken_otherwise, 0.5)
    ),
    Mistake(
        "masked_by_sign_of_dE_do",
        "dE/da is dE/do where dE/do is positive, and 0 elsewhere: the mask tests the sign of dE/do, not of a",
        wrong.by_dE_da(lambda place, do_da, dE_do: np.maximum(dE_do, 0.0)),
        _anywhere,
    ),
    Mistake("derivative_twice", "the factor do/da is there twice", wrong.by_dE_da(_twice), _anywhere),
    Mistake(
        "shortcut_and_derivative",
        "the shortcut for dE/da is multiplied by each unit's derivative once more",
        _shortcut_then_slope,
        _shortcut,
    ),
    # da/dw
    Mistake(
        "input_missing",
        "the factor da/dw is left out",
        wrong.by_x(lambda place: np.ones_like(place.activity.x)),
        _anywhere,
    ),
    Mistake(
        "a_instead_of_o",
        "da/dw is a of the layer before instead of its o",
        wrong.by_x(lambda place: place.activities[place.k - 1].a),
        _above_the_first,
    ),
    Mistake(
        "da_dw_of_layer_above",
        "da/dw is taken from the layer itself: its own o instead of that of the layer before",
        wrong.by_x(lambda place: place.activity.o),
        _square,
    ),
    Mistake(
        "da_dw_of_layer_below",
        "da/dw is taken from one layer too far down",
        wrong.by_x(lambda place: place.activities[place.k - 1].x),
        _over_a_square,
    ),
    # changes of right results: first those of single arrays
    Mistake(
        "means_multiplied",
        "dE/dw is the product of means over the samples, instead of the sum of products",
        wrong.on_dE_dw(_means_multiplied),
        _anywhere,
    ),
    Mistake(
        "transposed",
        "the matrix is the transpose of dE/dw; or its numbers, row by row, are those of the transpose",
        wrong.on_dE_dw(_reordered),
        _matrix,
        mixes_inputs=True,
    ),
    Mistake(
        "first_input_skipped",
        "the weights from the first unit below have no derivative",
        wrong.on_dE_dw(partial(_without_input, 0)),
        _anywhere,
    ),
    Mistake(
        "last_input_skipped",
        "the weights from the last unit below have no derivative",
        wrong.on_dE_dw(partial(_without_input, -1)),
        _anywhere,
    ),
    Mistake(  # rust0258/Deeplearning.ai-Natural-Language-Processing-Specialization#62
        "bias_from_dE_dw",
        "dE/db is the sum of dE/dw over the units below",
        _bias_from_weights,
        _biased,
        mixes_inputs=True,
    ),
    Mistake(  # rasbt/stat453-deep-learning-ss21#5
        "bias_summed_over_units",
        "dE/db is summed over the units too: one number for all",
        wrong.on_dE_db(_one_sum),
        _biased,
    ),
    Mistake(  # mlpack/mlpack#3679
        "bias_of_first_sample",
        "dE/db is not summed over the samples: it is that of the first",
        wrong.on_dE_db(lambda g, place, dE_da, _: dE_da[0]),
        _biased,
    ),
    Mistake(
        "bias_of_last_sample",
        "dE/db is not summed over the samples: it is that of the last",
        wrong.on_dE_db(lambda g, place, dE_da, _: dE_da[-1]),
        _biased,
    ),
    Mistake(  # kvfrans/notes#5, deeplearning4j/deeplearning4j#366
        "bias_averaged",
        "dE/db is the mean over the samples instead of the sum: divided by n once too often",
        wrong.on_dE_db(lambda g, place, dE_da, _: g / len(dE_da)),
        _biased,
    ),
    Mistake(
        "bias_not_divided",
        "dE/db lacks the 1/n of the reduction",
        wrong.on_dE_db(lambda g, place, dE_da, _: g * len(dE_da)),
        _and(_biased, _divided),
    ),
    Mistake("bias_zero", "dE/db is 0: the biases are not trained", wrong.on_dE_db(_nothing), _biased),
    Mistake(
        "weights_averaged",
        "dE/dw is the mean over the samples instead of the sum: divided by n once too often",
        wrong.on_dE_dw(lambda g, place, dE_da, _: g / len(dE_da)),
        _anywhere,
    ),
    Mistake(
        "weights_not_divided",
        "dE/dw lacks the 1/n of the reduction",
        wrong.on_dE_dw(lambda g, place, dE_da, _: g * len(dE_da)),
        _divided,
    ),
    Mistake("weights_zero", "dE/dw is 0: the weights are not trained", wrong.on_dE_dw(_nothing), _anywhere),
    Mistake(
        "l2_term",
        "a term λ·w of weight decay is in dE/dw; E has none",
        wrong.on_dE_dw(_weights_added),
        _anywhere,
        fits="lambda",
        trial=0.1,
        linear=True,
    ),
    Mistake(
        "l2_term_of_biases_too",
        "a term λ·w of weight decay is in dE/dw, and λ·b in dE/db; E has none",
        wrong.both(wrong.on_dE_dw(_weights_added), wrong.on_dE_db(_biases_added)),
        _biased,
        fits="lambda",
        trial=0.1,
        linear=True,
    ),
    Mistake(
        "l1_term",
        "a term λ·sign(w) is in dE/dw; E has none",
        wrong.on_dE_dw(_signs_of_weights_added),
        _anywhere,
        fits="lambda",
        trial=0.1,
        linear=True,
    ),
    Mistake(  # bighuang624/Andrew-Ng-Deep-Learning-notes#10
        "dE_dw_times_constant",
        "dE/dw is a multiple of the right one",
        wrong.on_dE_dw(_times_theta),
        _anywhere,
        fits="factor",
        trial=0.5,
        linear=True,
    ),
    Mistake(
        "dE_db_times_constant",
        "dE/db is a multiple of the right one",
        wrong.on_dE_db(_times_theta),
        _biased,
        fits="factor",
        trial=0.5,
        linear=True,
    ),
    # then those of all arrays
    Mistake("first_sample_only", "only the first sample counts", wrong.of_samples(slice(0, 1)), _at_the_output),
    Mistake("last_sample_only", "only the last sample counts", wrong.of_samples(slice(-1, None)), _at_the_output),
    Mistake("sign", "the sign is turned round, as of t − o", wrong.times(lambda case, _: -1.0), _at_the_output),
    Mistake("half_missing", "a factor ½ is missing", wrong.times(lambda case, _: 2.0), _at_the_output),
    Mistake("half_twice", "a factor ½ is there once too often", wrong.times(lambda case, _: 0.5), _at_the_output),
    Mistake(
        "accumulated",
        "the gradient of an earlier call was not set to 0, and this one added to it",
        wrong.times(lambda case, _: 2.0),
        _at_the_output,
    ),
    Mistake(
        "samples_not_divided",
        "the 1/n of the reduction is missing",
        wrong.times(lambda case, _: case.samples),
        _and(_at_the_output, _divided),
    ),
    Mistake(
        "samples_divided",
        "divided by the number of samples once too often",
        wrong.times(lambda case, _: 1.0 / case.samples),
        _at_the_output,
    ),
    Mistake(
        "outputs_not_divided",
        "the division by the number of outputs is missing",
        wrong.times(lambda case, _: case.outputs),
        _and(_several_outputs, lambda case, k: case.loss.reduction == "mean"),
    ),
    Mistake(
        "outputs_divided",
        "averaged over the outputs: divided by their number once too often",
        wrong.times(lambda case, _: 1.0 / case.outputs),
        _several_outputs,
    ),
    Mistake(
        "samples_and_outputs_not_divided",
        "the 1/(n·outputs) of the mean is missing",
        wrong.times(lambda case, _: case.samples * case.outputs),
        _and(_several_outputs, lambda case, k: case.loss.reduction == "mean"),
    ),
    Mistake(
        "samples_and_outputs_divided",
        "divided by n·outputs once too often",
        wrong.times(lambda case, _: 1.0 / (case.samples * case.outputs)),
        _several_outputs,
    ),
    Mistake(
        "times_constant",
        "every number is the same multiple of the right one, as after clipping by norm, a loss weight, a learning rate",
        wrong.times(lambda case, theta: theta),
        _at_the_output,
        fits="factor",
        trial=0.3,
        linear=True,
    ),
    Mistake("bias_from_dE_do", "dE/db is the sum of dE/do, without do/da", _bias_from_dE_do, _biased),
    Mistake(
        "clipped_by_value",
        "the numbers are clipped to a largest absolute value",
        wrong.both(wrong.on_dE_dw(_limited), wrong.on_dE_db(_limited)),
        _anywhere,
        fits="limit",
        trial=0.5,
        of_largest=True,
    ),
    Mistake(
        "sign_of_gradient",
        "only the signs are left, all of one size, as in a first step of Adam or RProp",
        wrong.both(wrong.on_dE_dw(_signs), wrong.on_dE_db(_signs)),
        _anywhere,
        fits="size",
        trial=1.0,
        linear=True,
        of_largest=True,
    ),
)
