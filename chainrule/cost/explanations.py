"""What an explanation costs: so much for each step of the derivation and each term of a sum in it."""

from chainrule.cost.passes import Work
from chainrule.cost.rates import RATES
from chainrule.derivation.explain import MOST_EVALUATED_ALONE, Place, most_work
from chainrule.graph.network import Network

_LINE, _TERM = RATES.work["line"], RATES.work["term"].call
_EVALUATED, _ADDED = RATES.work["evaluated"].call, RATES.work["added"].call


def derivation(network: Network, place: Place, samples: int) -> tuple[int, Work]:
    """How many steps and terms the derivation of one derivative has at most, and the work on them and their LaTeX.

    A closed form that has lost its digits may be written out for each output, with a term for each, up to so many.
    """
    most = most_work(network, place, samples)
    alone = min(MOST_EVALUATED_ALONE, samples * network.layers[-1].units ** 2)
    evaluated = most.evaluated - MOST_EVALUATED_ALONE + alone
    seconds = most.lines * _LINE.call + most.terms * _TERM + evaluated * _EVALUATED + most.added * _ADDED
    lines = most.lines + most.terms
    return lines, Work(seconds, lines * _LINE.kept + 8 * most.named, lines * _LINE.peak)
