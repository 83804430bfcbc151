"""Finds the largest requests that the service allows, by a search in families of growing requests.

The search asks a service with a short deadline. An allowed request is started and ends with a 503; a request over a
limit gets a 422. So the search does not depend on how the limits are defined.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.attacks.bodies import Body, chain, checks, explained, gradients, wide
from tests.attacks.senders import exchange, message
from tests.serving import Server

DEADLINE = 0.5  # CHAINRULE_WORK_SECONDS of the service that is asked
_PATIENCE = 20.0
_NEAR = 1.2  # largest ratio of the smallest refused number to the largest allowed number, at the end of a search


@dataclass(frozen=True)
class Family:
    """Requests of one kind that grow with a number."""

    path: str
    made: Callable[[int], Body]
    most: int  # the largest number that is tried
    slow: bool = False  # whether the limit on time, not memory, bounds the largest request


FAMILIES: Mapping[str, Family] = {
    "samples of a wide layer": Family(
        "/v1/gradients", lambda n: gradients([wide("tanh", 240)], n, breakdown="none"), 60_000
    ),
    "samples in an answer of every derivative": Family(
        "/v1/gradients", lambda n: gradients([wide("tanh", 100, 2)], n), 60_000
    ),
    "samples of verified layers": Family(
        "/v1/gradients", lambda n: gradients(chain("tanh", 30, 2), n, breakdown="none", verify=True), 30_000, slow=True
    ),
    "samples of checked layers": Family("/v1/gradient-checks", lambda n: checks(chain("gelu", 8, 8), n), 60_000),
    "samples of a checked wide layer": Family("/v1/gradient-checks", lambda n: checks([wide("tanh", 240)], n), 60_000),
    "units of an explained softmax": Family("/v1/explanations", lambda n: explained([wide("softmax", n)]), 100_000),
}


def largest(server: Server, family: Family) -> Body:
    """The body of the largest allowed request, to within a fifth."""
    low, high = 1, family.most
    while low * _NEAR < high:
        middle = int((low * high) ** 0.5)
        low, high = (middle, high) if _is_allowed(server, family, middle) else (low, middle)
    return family.made(low)


def _is_allowed(server: Server, family: Family, number: int) -> bool:
    """Whether the service begins to compute the request."""
    until = time.monotonic() + _PATIENCE
    pieces = list(message(family.path, family.made(number)(), "gzip"))
    while (answer := exchange(server, pieces, until)).problem == "overloaded":
        assert time.monotonic() < until, answer
        time.sleep(0.2)
    allowed = answer.status == 200 or answer.problem == "work-timed-out"
    assert allowed or answer.problem in {"limit-exceeded", "too-large"}, answer
    return allowed
