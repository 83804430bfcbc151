"""What a gradient check costs at most: the search for a mistake, for what stays hidden, and for a better request.

How far the search goes depends on the numbers: gradients that agree are not searched at all. The prediction is the
bound, from the number of replays and from the operations that chainrule/budget.py allows.
"""

from chainrule.budget import BLIND_SPOTS, PROBES, SEARCH, operations_of_layer
from chainrule.cost.passes import FLOAT, Work
from chainrule.cost.rates import RATES
from chainrule.diagnose import MOST_PAIRS, most_singles
from chainrule.mistakes import MISTAKES
from chainrule.network import Network

_OPERATION = RATES.work["operation"].number
_PROBES, _SAMPLES = 12, 5  # requests that are tried, and their samples
_REPLAYS_OF_FIT = 3.0  # of one mistake, on average over those that leave a number open and those that do not
_OF_SEARCH = 500_000  # bytes of the mistakes and pairs that are tried
_OF_NUMBER = 12 * FLOAT  # right and given derivatives, margins, errors, verdicts of each


def search(network: Network, samples: int) -> Work:
    """Everything beyond the right gradients themselves."""
    of_replay = sum(operations_of_layer(layer, samples, slopes=True) for layer in network.layers)
    of_probe = sum(operations_of_layer(layer, _SAMPLES, slopes=True) for layer in network.layers)
    replays = _REPLAYS_OF_FIT * most_singles(len(network.layers)) + MOST_PAIRS
    operations = (
        min(SEARCH, replays * of_replay)
        + min(BLIND_SPOTS, len(MISTAKES) * of_replay)
        + min(PROBES, _PROBES * (3 + len(MISTAKES)) * of_probe)
    )
    numbers = sum(layer.weights.size + layer.units for layer in network.layers)
    widest = max(layer.weights.size for layer in network.layers)
    units = max(sum(layer.weights.shape) for layer in network.layers)
    replayed = _OF_SEARCH + FLOAT * (8 * samples * units + 6 * widest)
    return Work(_OPERATION * operations + numbers * RATES.work["written"].number * 12, _OF_NUMBER * numbers, replayed)
