"""The linear maps of a layer at one point: what it computes is linear in each input and in each parameter, nearby.

    dE/dx = Σ dE/da · da/dx        x is an input or a parameter of the layer

Backward needs a map only to pull dE/da through it.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from chainrule.functions.tables import Array


class LinearMap(NamedTuple):
    """The derivative of a by one input or parameter.

    `pull` returns dE/dx for a given dE/da, in the shape of x; summed over the samples where x is a parameter. `factor`
    is da/dx as an answer shows it, where it does.
    """

    pull: Callable[[Array], Array]
    factor: Array | None = None


class Local(NamedTuple):
    """What a layer computes at one point: its pre-activations, and the map by each input and by each parameter.

    An input without a derivative, such as indices, has no map.
    """

    a: Array
    by_input: tuple[LinearMap | None, ...]
    by_parameter: Mapping[str, LinearMap] = {}
