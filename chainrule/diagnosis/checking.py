"""Check a client's gradients: find where they are wrong, and which known mistake reproduces them.

A check also finds the mistakes that the request could not have revealed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from chainrule.checkpoint import Checkpoint, unlimited
from chainrule.diagnosis.diagnose import Search, diagnose, most_for_search
from chainrule.diagnosis.mistakes import Mistake
from chainrule.diagnosis.probes import Probe, better_probe, blind_to, most_for_blind_spots, most_for_probes
from chainrule.diagnosis.tolerance import Agreement, Given, Tolerance, agreement
from chainrule.diagnosis.wrong_rules import Case
from chainrule.functions.losses import LossSpec
from chainrule.functions.tables import Array
from chainrule.graph.arguments import (
    check_kind,
    check_list,
    check_request,
    fitting_gradient,
    fitting_target,
)
from chainrule.graph.backprop import Gradients
from chainrule.graph.network import Network
from chainrule.notices import check_finite, check_result


@dataclass(frozen=True)
class LayerCheck:
    """The verdicts on the arrays of one layer; None for an array that is not given."""

    dE_dw: Agreement | None
    dE_db: Agreement | None

    @property
    def agrees(self) -> bool:
        """Whether all given arrays of the layer agree."""
        return all(array is None or array.agrees for array in (self.dE_dw, self.dE_db))


@dataclass(frozen=True, eq=False)
class Check:
    """The result of a gradient check."""

    layers: tuple[LayerCheck, ...]
    search: Search
    blind_to: tuple[Mistake, ...]
    better_probe: Probe | None
    blind_to_left_out: int = 0  # mistakes that were not tried, as the budget was spent

    @property
    def agrees(self) -> bool:
        """Whether all given arrays are within the tolerance."""
        return all(layer.agrees for layer in self.layers)

    @property
    def first_wrong_layer(self) -> int | None:
        """The wrong layer nearest to the output, where the mistake enters; None if no layer is wrong."""
        return next((k for k in reversed(range(len(self.layers))) if not self.layers[k].agrees), None)


def check(
    network: Network,
    result: Gradients,
    targets: Array,
    loss: LossSpec,
    given: Sequence[Given],
    tolerance: Tolerance,
    *,
    checkpoint: Checkpoint = unlimited,
) -> Check:
    """Compare a client's gradients, first layer to last, with the right ones in `result`.

    Where they do not agree, every known mistake is replayed, and as many pairs of them as are affordable. The
    checkpoint is called before each replayed layer, and may raise. Raises ValueError where the gradients are not of the
    shapes of weights and biases, for targets that do not fit, and for numbers that are not finite.
    """
    check_request(network, loss, checkpoint)
    check_result(network, result)
    check_finite(result)
    check_kind("tolerance", tolerance, Tolerance, "Tolerance(relative, absolute)")
    targets = fitting_target(result.outputs.shape, targets, loss)
    given = _fitting(given, result)
    case = Case(network, [layer.activity for layer in result.layers], result.top, targets, loss)
    layers = tuple(
        LayerCheck(_verdict(own.dE_dw, right.dE_dw, tolerance), _verdict(own.dE_db, right.dE_db, tolerance))
        for own, right in zip(given, result.layers, strict=True)
    )
    agrees = all(layer.agrees for layer in layers)
    search = Search((), 0, 0, 0)
    if not agrees:
        search = diagnose(case, result.layers, given, tolerance.relative, checkpoint=checkpoint)
    hidden = blind_to(case, result.layers, tolerance, checkpoint=checkpoint)
    probe = better_probe(network, case, hidden.mistakes, tolerance, checkpoint=checkpoint) if hidden.mistakes else None
    return Check(layers, search, hidden.mistakes, probe, hidden.left_out)


@dataclass(frozen=True)
class CheckWork:
    """Upper bounds on the operations of a check's three parts, without the right gradient; see `budget.py`."""

    search: float
    blind_spots: float
    probes: float

    @property
    def operations(self) -> float:
        """The operations of all three parts."""
        return self.search + self.blind_spots + self.probes


def most_work(network: Network, samples: int) -> CheckWork:
    """An upper bound on the work of a check, from the shapes. Most take far less: mistakes fail at their first layer.

    There is no search if the client's gradients agree, and there are no probes if no mistake stays hidden.
    """
    return CheckWork(
        most_for_search(network, samples), most_for_blind_spots(network, samples), most_for_probes(network)
    )


def _fitting(given: Sequence[Given], result: Gradients) -> tuple[Given, ...]:
    """The client's gradients as float64, where they have the shapes of the right ones."""
    check_list("given", given, Given, len(result.layers))

    def fitting(name: str, k: int, own: Array | None, right: Array | None) -> Array | None:
        return None if own is None else fitting_gradient(f"{name} of layer {k}", own, right)

    found = tuple(
        Given(fitting("dE_dw", k, own.dE_dw, right.dE_dw), fitting("dE_db", k, own.dE_db, right.dE_db))
        for k, (own, right) in enumerate(zip(given, result.layers, strict=True))
    )
    if all(own.dE_dw is None and own.dE_db is None for own in found):
        raise ValueError("no gradient is given: neither dE_dw nor dE_db of any layer")
    return found


def _verdict(given: Array | None, right: Array | None, tolerance: Tolerance) -> Agreement | None:
    return None if given is None or right is None else agreement(given, right, tolerance)
