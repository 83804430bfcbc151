"""The largest cost of a gradient check: the search for mistakes, for blind spots, and for a better probe.

How far the search goes depends on the numbers: gradients that agree are not searched at all. So the prediction is an
upper bound: chainrule/diagnosis/budget.py counts the operations of a check, and ends it when they are spent. The first
portion of the operations is predicted, too: it covers right gradients, before a better probe is looked for.
"""

from chainrule.cost.passes import FLOAT, Work
from chainrule.cost.rates import RATES
from chainrule.diagnosis.checking import most_work
from chainrule.diagnosis.probes import usual_for_blind_spots
from chainrule.graph.network import Network

_OPERATION = RATES.work["operation"].number
_COMPARED = 12 * RATES.work["written"].number  # a number, with the one that is given
_OF_SEARCH = 500_000  # bytes of the mistakes and pairs that are tried
_OF_NUMBER = 12 * FLOAT  # for each number: right and given derivative, margin, error, verdict


def search(network: Network, samples: int) -> Work:
    """The work of a check in addition to the right gradients."""
    operations = most_work(network, samples).operations
    numbers = _numbers(network)
    widest = max(layer.weights.size for layer in network.layers)
    units = max(sum(layer.weights.shape) for layer in network.layers)
    replayed = _OF_SEARCH + FLOAT * (16 * samples * units + 6 * widest)
    return Work(_OPERATION * operations + numbers * _COMPARED, _OF_NUMBER * numbers, replayed)


def first_seconds(network: Network, samples: int) -> float:
    """The seconds of a check in addition to the right gradients, for the first portion of its operations."""
    return _OPERATION * usual_for_blind_spots(network, samples) + _numbers(network) * _COMPARED


def seconds(operations: float) -> float:
    """The seconds of so many operations."""
    return _OPERATION * operations


def _numbers(network: Network) -> int:
    return sum(layer.weights.size + layer.units for layer in network.layers)
