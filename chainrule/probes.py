"""Which known mistakes a request cannot reveal, because the gradient is right in spite of them; and one that can.

One sample hides a missing 1/n, a linear network a missing derivative. Both are found by replaying every mistake.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from chainrule.agreement import Tolerance
from chainrule.backprop import LayerGradient, gradients
from chainrule.catalogue import Array, quietly
from chainrule.diagnose import Variant, replay
from chainrule.losses import LossSpec
from chainrule.mistakes import MISTAKES, Mistake
from chainrule.network import Layer, Network
from chainrule.remarks import first_non_finite
from chainrule.wrong_rules import Case

_SAMPLES = 5  # no other number that a mistake multiplies or divides by is likely to be 5
_SEEDS = range(6)


@dataclass(frozen=True, eq=False)
class Probe:
    """Another network of the same architecture, with inputs and targets, and what it cannot reveal either."""

    network: Network
    inputs: Array  # (s, i)
    targets: Array  # (s, j), or (s,) class indices
    blind_to: tuple[Mistake, ...]


@quietly
def blind_to(
    case: Case, right: Sequence[LayerGradient], tolerance: Tolerance, among: Sequence[Mistake] = MISTAKES
) -> tuple[Mistake, ...]:
    """The mistakes that could be made in this case, and leave every derivative right within the tolerance."""
    return tuple(mistake for mistake in among if mistake.layers(case) and not _shows(case, right, mistake, tolerance))


def _shows(case: Case, right: Sequence[LayerGradient], mistake: Mistake, tolerance: Tolerance) -> bool:
    """Whether some derivative comes out wrong where the mistake is made in all layers that it can be made in."""
    variant = Variant(((mistake, mistake.layers(case)),))
    scale = max(float(np.abs(layer.dE_dw).max()) for layer in right) if mistake.of_largest else 1.0
    replayed = replay(case, right, variant, mistake.trial * scale)
    pairs = zip(range(variant.top, -1, -1), replayed, strict=True)
    return any(_differ(right[k], gradient, tolerance) for k, gradient in pairs)


def _differ(right: LayerGradient, replayed: LayerGradient, tolerance: Tolerance) -> bool:
    pairs = ((right.dE_db, replayed.dE_db), (right.dE_dw, replayed.dE_dw))
    return any(
        not (np.abs(v - r) <= tolerance.absolute + tolerance.relative * np.abs(r)).all()
        for r, v in pairs
        if r is not None and v is not None and v is not r
    )


def better_probe(network: Network, loss: LossSpec, hidden: Sequence[Mistake], tolerance: Tolerance) -> Probe | None:
    """A seeded request of the same architecture that reveals most of these mistakes; None where none reveals more."""
    best: Probe | None = None
    for probe in _probes(network, loss):
        found = _revealing(probe, loss, hidden, tolerance)
        if found is not None and len(found.blind_to) < (len(hidden) if best is None else len(best.blind_to)):
            best = found
        if best is not None and not best.blind_to:
            break
    return best


def _revealing(probe: Probe, loss: LossSpec, hidden: Sequence[Mistake], tolerance: Tolerance) -> Probe | None:
    result = gradients(probe.network, probe.inputs, probe.targets, loss)
    if first_non_finite(result) is not None:
        return None
    case = Case([layer.activity for layer in result.layers], result.top, probe.targets, loss)
    return replace(probe, blind_to=blind_to(case, result.layers, tolerance, hidden))


def _probes(network: Network, loss: LossSpec) -> Iterator[Probe]:
    """Requests of the same architecture: with weights of their own, then with those of the client, moved a little."""
    for seed in _SEEDS:
        random = np.random.default_rng(seed)
        inputs = random.uniform(-1.0, 1.0, (_SAMPLES, network.layers[0].weights.shape[0]))
        layers = tuple(_seeded(layer, random) for layer in network.layers)
        yield Probe(Network(layers), inputs, _targets(loss, layers[-1].units, random), ())
    for seed in _SEEDS:
        random = np.random.default_rng(seed)
        inputs = random.uniform(-1.0, 1.0, (_SAMPLES, network.layers[0].weights.shape[0]))
        layers = tuple(_moved(layer, random) for layer in network.layers)
        yield Probe(Network(layers), inputs, _targets(loss, layers[-1].units, random), ())


def _seeded(layer: Layer, random: np.random.Generator) -> Layer:
    """A layer whose units neither saturate nor stay linear; one of several sits on a kink, where there is one."""
    n_in, n_out = layer.weights.shape
    weights: Array = random.normal(0.0, 1.5 / np.sqrt(n_in), (n_in, n_out))
    biases: Array | None = None if layer.biases is None else random.normal(0.0, 0.5, (n_out,))
    kinks = layer.activations[0].kinks()
    if kinks and n_out > 1 and (biases is not None or kinks[0].at == 0.0):
        weights[:, 0] = 0.0
        if biases is not None:
            biases[0] = kinks[0].at
    return Layer(weights, biases, layer.activation)


def _moved(layer: Layer, random: np.random.Generator) -> Layer:
    weights = layer.weights * random.uniform(0.7, 1.3, layer.weights.shape)
    biases = None if layer.biases is None else layer.biases + random.uniform(-0.1, 0.1, layer.units)
    return Layer(weights, biases, layer.activation)


def _targets(loss: LossSpec, outputs: int, random: np.random.Generator) -> Array:
    """Targets that the loss takes: classes, its own few values, or numbers within its range that add up to 1."""
    if loss.loss.class_indices:
        return random.integers(0, outputs, _SAMPLES).astype(np.float64)
    shape = (_SAMPLES, outputs // loss.loss.outputs_per_target)
    if loss.loss.target_values:
        return random.choice(np.array(loss.loss.target_values), shape)
    numbers = random.uniform(0.1, 0.9, shape)
    return numbers / numbers.sum(axis=1, keepdims=True) if loss.loss.per == "sample" else numbers
