"""Find the known mistakes that a request cannot reveal, and a better request, the probe, that reveals them.

A mistake stays hidden if the gradient is right in spite of it: one sample hides a missing 1/n, and a linear network
hides a missing derivative. Hidden and revealed mistakes are both found by replaying every mistake.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from chainrule.checkpoint import Checkpoint, unlimited
from chainrule.diagnosis.budget import (
    BLIND_SPOTS,
    PROBES,
    Budget,
    BudgetSpent,
    operations_of_layer,
    operations_of_pass,
    operations_of_replays,
)
from chainrule.diagnosis.diagnose import Variant, replay
from chainrule.diagnosis.mistakes import MISTAKES, Mistake
from chainrule.diagnosis.tolerance import Tolerance
from chainrule.diagnosis.wrong_rules import Case
from chainrule.functions.losses import LossSpec
from chainrule.functions.tables import Array, quietly
from chainrule.graph.backprop import LayerGradient, gradients
from chainrule.graph.network import Layer, Network
from chainrule.notices import first_non_finite

_SAMPLES = 5  # no other number that a mistake multiplies or divides by is likely to be 5
_SEEDS = range(6)
_OF_RANDOM_NUMBER = 20.0  # operations
# How many mistakes show in the output layer, and how many in the layer below, with new derivatives or without
_AT_THE_OUTPUT, _BELOW_THE_OUTPUT = {False: 42, True: 6}, {False: 10, True: 2}


@dataclass(frozen=True, eq=False)
class Probe:
    """A network of the same architecture, with inputs and targets, and the mistakes that it cannot reveal either."""

    network: Network
    inputs: Array  # (s, i)
    targets: Array  # (s, j), or (s,) class indices
    blind_to: tuple[Mistake, ...]


@dataclass(frozen=True)
class BlindSpots:
    """The mistakes that a request cannot reveal, and how many were not tried within the budget."""

    mistakes: tuple[Mistake, ...]
    left_out: int = 0


@quietly
def blind_to(
    case: Case,
    right: Sequence[LayerGradient],
    tolerance: Tolerance,
    among: Sequence[Mistake] = MISTAKES,
    *,
    checkpoint: Checkpoint = unlimited,
) -> BlindSpots:
    """The mistakes that could be made in this case but leave every derivative right within the tolerance.

    Takes at most `budget.BLIND_SPOTS` operations. The checkpoint is called before each replayed layer, and may raise.
    """
    budget, found = Budget(BLIND_SPOTS, checkpoint), list[Mistake]()
    for tried, mistake in enumerate(among):
        try:
            if mistake.layers(case) and not _shows(case, right, mistake, tolerance, budget):
                found.append(mistake)
        except BudgetSpent:
            return BlindSpots(tuple(found), len(among) - tried)
    return BlindSpots(tuple(found))


def _shows(case: Case, right: Sequence[LayerGradient], mistake: Mistake, tolerance: Tolerance, budget: Budget) -> bool:
    """Whether some derivative is wrong if the mistake is made in all layers where it can be made."""
    variant = Variant(((mistake, mistake.layers(case)),))
    scale = max(float(np.abs(layer.dE_dw).max()) for layer in right) if mistake.of_largest else 1.0
    replayed = replay(case, right, variant, mistake.trial * scale, budget)
    pairs = zip(range(variant.top, -1, -1), replayed, strict=True)
    return any(_differ(right[k], gradient, tolerance) for k, gradient in pairs)


def _differ(right: LayerGradient, replayed: LayerGradient, tolerance: Tolerance) -> bool:
    pairs = ((right.dE_db, replayed.dE_db), (right.dE_dw, replayed.dE_dw))
    return any(
        not (np.abs(v - r) <= tolerance.absolute + tolerance.relative * np.abs(r)).all()
        for r, v in pairs
        if r is not None and v is not None and v is not r
    )


@quietly
def better_probe(
    network: Network,
    case: Case,
    hidden: Sequence[Mistake],
    tolerance: Tolerance,
    *,
    checkpoint: Checkpoint = unlimited,
) -> Probe | None:
    """The seeded request of the same architecture that reveals most hidden mistakes; None if none reveals any.

    Takes at most `budget.PROBES` operations. The checkpoint is called before each replayed layer.
    """
    best: Probe | None = None
    budget = Budget(PROBES, checkpoint)
    try:
        for probe in _probes(network, case.loss, budget):
            found = _revealing(probe, case, hidden, tolerance, budget)
            if found is not None and len(found.blind_to) < (len(hidden) if best is None else len(best.blind_to)):
                best = found
            if best is not None and not best.blind_to:
                break
    except BudgetSpent:
        return best
    return best


def _revealing(
    probe: Probe, asked: Case, hidden: Sequence[Mistake], tolerance: Tolerance, budget: Budget
) -> Probe | None:
    result = gradients(probe.network, probe.inputs, probe.targets, asked.loss, checkpoint=budget.checkpoint)
    if first_non_finite(result) is not None:
        return None
    activities = [layer.activity for layer in result.layers]
    case = Case(probe.network, activities, result.top, probe.targets, asked.loss, kinks_of=asked.kinks_of)
    still = (m for m in hidden if m.layers(case) and not _shows(case, result.layers, m, tolerance, budget))
    return replace(probe, blind_to=tuple(still))


def _probes(network: Network, loss: LossSpec, budget: Budget) -> Iterator[Probe]:
    """Yield requests of the same architecture: with random weights, then with the client's weights, varied a little."""
    for change in (_seeded, _varied):
        for seed in _SEEDS:
            budget.take(_operations_of_probe(network))
            random = np.random.default_rng(seed)
            inputs = random.uniform(-1.0, 1.0, (_SAMPLES, network.layers[0].weights.shape[0]))
            layers = tuple(change(layer, random) for layer in network.layers)
            yield Probe(Network(layers), inputs, _targets(loss, layers[-1].units, random), ())


def _operations_of_probe(network: Network) -> float:
    """The operations to make a network and to compute its gradient."""
    weights = sum(layer.weights.size for layer in network.layers)
    return _OF_RANDOM_NUMBER * weights + 3.0 * operations_of_pass(network.layers, _SAMPLES)


def most_for_blind_spots(network: Network, samples: int) -> float:
    """An upper bound on the operations of `blind_to`."""
    return min(BLIND_SPOTS, len(MISTAKES) * operations_of_pass(network.layers, samples))


def usual_for_blind_spots(network: Network, samples: int) -> float:
    """The operations of `blind_to` if every mistake shows in the highest layer where it can be made."""
    *below, last = network.layers[-2:]
    usual = operations_of_replays(_AT_THE_OUTPUT, last, samples)
    usual += sum(operations_of_replays(_BELOW_THE_OUTPUT, layer, samples) for layer in below)
    largest = max(operations_of_layer(layer, samples, slopes=True) for layer in (*below, last))
    return min(usual, max(BLIND_SPOTS - largest, 0.0))


def most_for_probes(network: Network) -> float:
    """An upper bound on the operations of `better_probe`."""
    of_probe = _operations_of_probe(network) + len(MISTAKES) * operations_of_pass(network.layers, _SAMPLES)
    return min(PROBES, 2 * len(_SEEDS) * of_probe)


def _seeded(layer: Layer, random: np.random.Generator) -> Layer:
    """A random layer whose units neither saturate nor stay linear; one of several sits on a kink, if there is one."""
    n_in, n_out = layer.weights.shape
    weights: Array = random.normal(0.0, 1.5 / np.sqrt(n_in), (n_in, n_out))
    biases: Array | None = None if layer.biases is None else random.normal(0.0, 0.5, (n_out,))
    kinks = layer.activations[0].kinks()
    if kinks and n_out > 1 and (biases is not None or kinks[0].at == 0.0):
        weights[:, 0] = 0.0
        if biases is not None:
            biases[0] = kinks[0].at
    return Layer.dense(weights, biases, layer.activation)


def _varied(layer: Layer, random: np.random.Generator) -> Layer:
    weights = layer.weights * random.uniform(0.7, 1.3, layer.weights.shape)
    biases = None if layer.biases is None else layer.biases + random.uniform(-0.1, 0.1, layer.units)
    return Layer.dense(weights, biases, layer.activation)


def _targets(loss: LossSpec, outputs: int, random: np.random.Generator) -> Array:
    """Random targets for the loss: classes, allowed values, or fractions; those of a loss per sample add up to 1."""
    if loss.loss.class_indices:
        return random.integers(0, outputs, _SAMPLES).astype(np.float64)
    shape = (_SAMPLES, outputs // loss.loss.outputs_per_target)
    if loss.loss.target_values:
        return random.choice(np.array(loss.loss.target_values), shape)
    numbers = random.uniform(0.1, 0.9, shape)
    return numbers / numbers.sum(axis=1, keepdims=True) if loss.loss.per == "sample" else numbers
