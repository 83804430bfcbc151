"""A client's own gradients, checked: whether they are right, where they are not, which mistake reproduces them, and
which mistakes the request could not have revealed.
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
from chainrule.graph.arguments import check_arrays, fitting_targets
from chainrule.graph.backprop import Gradients
from chainrule.graph.network import Network


@dataclass(frozen=True)
class LayerCheck:
    """The verdicts on the arrays of one layer; None for one that is not given."""

    dE_dw: Agreement | None
    dE_db: Agreement | None

    @property
    def agrees(self) -> bool:
        """Whether what is given of the layer agrees."""
        return all(array is None or array.agrees for array in (self.dE_dw, self.dE_db))


@dataclass(frozen=True, eq=False)
class Check:
    """What is to be said of a client's gradients."""

    layers: tuple[LayerCheck, ...]
    search: Search
    blind_to: tuple[Mistake, ...]
    better_probe: Probe | None
    blind_to_left_out: int = 0  # mistakes that were not tried, as the budget was spent

    @property
    def agrees(self) -> bool:
        """Whether everything that is given lies within the tolerance."""
        return all(layer.agrees for layer in self.layers)

    @property
    def first_wrong_layer(self) -> int | None:
        """The wrong layer nearest to the output, where the mistake enters; None where nothing is wrong."""
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
    """Hold a client's gradients, first layer to last, against the right ones, `result`.

    Where they do not agree, every known mistake is replayed, and as many pairs of them as are affordable. The
    checkpoint is called before each replayed layer, and may raise. Raises ValueError where the gradients are not of the
    shapes of weights and biases, and for targets that do not fit.
    """
    targets = fitting_targets(network, len(result.outputs), targets, loss)
    _check_given(given, result)
    case = Case([layer.activity for layer in result.layers], result.top, targets, loss)
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
    """No fewer operations than the three parts of a check take beside the gradient; see `budget.py`."""

    search: float
    blind_spots: float
    probes: float

    @property
    def operations(self) -> float:
        """All of them."""
        return self.search + self.blind_spots + self.probes


def most_work(network: Network, samples: int) -> CheckWork:
    """What a check takes at most, known from the shapes. Most checks take far less: mistakes fail at their first layer.

    The search is left out where the client's gradients agree, the probes where nothing stays hidden.
    """
    return CheckWork(
        most_for_search(network, samples), most_for_blind_spots(network, samples), most_for_probes(network)
    )


def _check_given(given: Sequence[Given], result: Gradients) -> None:
    if len(given) != len(result.layers):
        raise ValueError(f"gradients of {len(given)} layers for a network of {len(result.layers)}")
    for k, (own, right) in enumerate(zip(given, result.layers, strict=True)):
        check_arrays(f"dE_dw of layer {k}", own.dE_dw, right.dE_dw)
        check_arrays(f"dE_db of layer {k}", own.dE_db, right.dE_db)
    if all(own.dE_dw is None and own.dE_db is None for own in given):
        raise ValueError("no gradient is given: neither dE_dw nor dE_db of any layer")


def _verdict(given: Array | None, right: Array | None, tolerance: Tolerance) -> Agreement | None:
    return None if given is None or right is None else agreement(given, right, tolerance)
