"""What a gradient check costs at most: the search for a mistake, for what stays hidden, and for a better request.

How far the search goes depends on the numbers: gradients that agree are not searched at all. The prediction is the
bound: chainrule/diagnosis/budget.py counts the operations of a check, and ends it when they are spent.
"""

from chainrule.cost.passes import FLOAT, Work
from chainrule.cost.rates import RATES
from chainrule.diagnosis.checking import most_work
from chainrule.graph.network import Network

_OPERATION = RATES.work["operation"].number
_OF_SEARCH = 500_000  # bytes of the mistakes and pairs that are tried
_OF_NUMBER = 12 * FLOAT  # right and given derivatives, margins, errors, verdicts of each


def search(network: Network, samples: int) -> Work:
    """Everything beyond the right gradients themselves."""
    operations = most_work(network, samples).operations
    numbers = sum(layer.weights.size + layer.units for layer in network.layers)
    widest = max(layer.weights.size for layer in network.layers)
    units = max(sum(layer.weights.shape) for layer in network.layers)
    replayed = _OF_SEARCH + FLOAT * (16 * samples * units + 6 * widest)
    return Work(_OPERATION * operations + numbers * RATES.work["written"].number * 12, _OF_NUMBER * numbers, replayed)
