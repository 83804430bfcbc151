"""What an explanation costs: so much for each step of the derivation and each term of a sum in it."""

from chainrule.cost.passes import Work
from chainrule.cost.rates import RATES
from chainrule.explain import Place, most_lines
from chainrule.network import Network

_LINE = RATES.work["line"]


def derivation(network: Network, place: Place, samples: int) -> tuple[int, Work]:
    """How many lines the derivation of one derivative has at most, and the work on them, their LaTeX included."""
    lines = most_lines(network, place, samples)
    return lines, Work(lines * _LINE.call, lines * _LINE.kept, lines * _LINE.peak)
