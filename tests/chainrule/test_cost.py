"""The cost model compared with measured requests: within a factor of 3, for every endpoint and row of the tables.

Memory is measured by tracemalloc, which is exact. Time is CPU time, the least of several runs relative to a yardstick.
Other processes disturb it, so the requests are few, and their sizes far apart.
"""

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.costliest import costliest
from chainrule.cost import Part, cost_of, passes
from chainrule.cost.rates import FILE, RATES, Rate, Rates, largest, read_rates
from chainrule.cost.verification import ROUNDS
from chainrule.diagnosis.budget import BLIND_SPOTS, Budget
from chainrule.diagnosis.probes import usual_for_blind_spots
from chainrule.functions.activations import ACTIVATIONS, activation_spec
from chainrule.functions.losses import LOSSES, loss_spec
from chainrule.functions.stable_pairs import STABLE_PAIRS
from chainrule.graph.moved import Moved, Parameters
from chainrule.graph.network import Layer, Network
from schemas.cost import Posted, posted
from service.app import create_app
from service.resources.admission import SMALL_SECONDS
from tests.costs import (
    BOUNDED,
    CANDIDATES,
    CHECKS,
    EXPLANATIONS,
    GRADIENTS,
    NUMBERS,
    TIMES,
    Asked,
    random_request,
)

TWICE = 2.0
FACTOR = 3.0
LONGER = 60_000  # operations; a replayed layer takes so much longer than its budget counts
BUSY = 1.5  # what a busy machine may add to a measurement, and not to the yardstick

# Rows of the tables.


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_has_constants(name: str) -> None:
    """A new row has been measured: else run `make calibrate`."""
    assert name in RATES.values, "run make calibrate"
    assert name in RATES.derivatives, "run make calibrate"


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_has_constants(name: str) -> None:
    """A new row has been measured: else run `make calibrate`."""
    assert name in RATES.losses, "run make calibrate"


def test_every_stable_pair_has_constants_and_nothing_else_has() -> None:
    """A new row has been measured, and what was measured is still there: else run `make calibrate`."""
    assert set(RATES.pairs) == set(RATES.pair_values) == set(STABLE_PAIRS), "run make calibrate"
    assert set(RATES.values) == set(RATES.derivatives) == set(ACTIVATIONS), "run make calibrate"
    assert set(RATES.losses) == set(RATES.loss_values) == set(LOSSES), "run make calibrate"


def test_a_row_that_is_not_measured_costs_as_much_as_the_most_expensive_of_its_table() -> None:
    """Constant by constant, so that a request with it may be refused too early, but never too late."""
    known = {"one": Rate(1.0, 2.0, 30.0, 4.0, 5.0), "other": Rate(10.0, 1.0, 3.0, 40.0, 1.0)}
    rates = Rates({}, known, {}, {}, {("loss", "one"): known["one"]}, {}, {})
    assert rates.value("new") == largest(known.values()) == Rate(10.0, 2.0, 30.0, 40.0, 5.0)
    assert rates.value("other") == known["other"]
    assert rates.pair("loss", "new") == known["one"]


def test_the_file_holds_nanoseconds() -> None:
    """A call of tanh, for example, takes some thousands of nanoseconds."""
    written = json.loads(FILE.read_text("utf-8"))["values"]["tanh"]["call"]
    assert read_rates().values["tanh"].call == pytest.approx(1e-9 * written)
    assert 1e-7 < read_rates().values["tanh"].call < 1e-4


# Sums.


def test_a_cost_is_the_sum_of_its_parts() -> None:
    """Seconds add up. The peak is what is kept so far plus the peak of the current part: 10 + 20 + 300."""
    first, second, third = (
        Part("a", (), "", 1.0, 10.0, 100.0),
        Part("b", (), "", 2.0, 20.0, 300.0),
        Part("c", (), "", 0.5, 5.0),
    )
    cost = cost_of([first, second, third])
    assert (cost.seconds, cost.memory, cost.parts) == (3.5, 330, (first, second, third))


def test_multiply_adds_are_counted_as_by_hand() -> None:
    """5 × 2 and 2 × 3 weights, 4 samples, three products each; 2 biases."""
    layers = (
        Layer.dense(np.ones((5, 2)), np.ones(2), activation_spec("tanh")),
        Layer.dense(np.ones((2, 3)), None, activation_spec("tanh")),
    )
    network = Network(layers)
    assert passes.multiply_adds(network, 4) == 3 * 4 * (5 * 2 + 2 * 3)
    assert passes.parameters(network) == 5 * 2 + 2 * 3 + 2


def test_base64_and_lists_of_a_large_body_are_counted() -> None:
    """Characters of base64, and numbers in lists; arrays that the codec has made count as neither."""
    document: dict[str, Any] = {
        "network": {"layers": [{"weights": {"shape": [1, 1], "base64": "A" * 12}, "biases": [0.5] * 7}]},
        "inputs": [[1.0] * 5] * 3,
        "targets": np.ones((3, 2)),
    }
    assert posted(document, 10_000) == Posted(10_000, base64=12, listed=7 + 15)


def test_groups_of_one_row_are_one_call() -> None:
    """425 slopes of leaky_relu are computed at once and cost little more than one. Each softmax has rows of its own."""

    def seconds(specs: list[Any], samples: int = 1) -> float:
        layer = Layer.dense(np.ones((1, len(specs))), None, tuple(specs))
        return passes.gradients(passes.shapes_of(Network((layer,))), samples, loss_spec("half_squared_error")).seconds

    alike = seconds([activation_spec("leaky_relu", negative_slope=0.1)] * 425)
    different = seconds([activation_spec("leaky_relu", negative_slope=j / 1000) for j in range(425)])
    assert different < 2 * alike
    one, many = (
        seconds([activation_spec("softmax", group=str(j // size)) for j in range(400)], 1000) for size in (400, 2)
    )
    assert many > 2 * one


def test_a_closed_form_costs_its_time_beside_the_loss() -> None:
    """Softmax under its cross-entropy is a stable pair; under the sum of squares it is none."""
    layer = Layer.dense(np.ones((1, 5)), None, activation_spec("softmax"))
    (last,) = passes.shapes_of(Network((layer,)))
    of_pair, of_loss = RATES.pair("categorical_cross_entropy", "softmax"), RATES.loss("categorical_cross_entropy")
    wanted = of_loss.seconds(1, 100, 500) + of_pair.seconds(1, 100, 500)
    assert passes.loss_work(last, 100, loss_spec("categorical_cross_entropy")).seconds == pytest.approx(wanted)
    alone = RATES.loss("half_squared_error").seconds(1, 100, 500)
    assert passes.loss_work(last, 100, loss_spec("half_squared_error")).seconds == pytest.approx(alone)


# Memory.

MEMORY = {  # of every kind
    "the smallest": Asked(),
    "numbers": Asked(GRADIENTS, (300, 200, 100), ("tanh", "sigmoid"), 100),
    "numbers by unit": Asked(GRADIENTS, (300, 200, 100), ("tanh", "sigmoid"), 100, breakdown="per_unit"),
    "a step": Asked(GRADIENTS, (300, 200), ("tanh",), 2, step=True),
    "base64": Asked(
        GRADIENTS, (300, 200, 100), ("tanh", "gelu"), 100, breakdown="per_unit", encoding="base64", packed=True
    ),
    "records": Asked(GRADIENTS, (80, 60, 10), ("tanh", "sigmoid"), 1, breakdown="per_weight"),
    "records of a batch": Asked(GRADIENTS, (30, 20), ("tanh",), 30, breakdown="per_weight"),
    "records to a softmax": Asked(GRADIENTS, (20, 30), ("softmax",), 3, breakdown="per_weight"),
    "Jacobians": Asked(GRADIENTS, (4, 60), ("softmax",), 100, breakdown="per_unit"),
    "samples": Asked(GRADIENTS, (2, 40, 2), ("gelu", "sparsemax"), 4000),
    "verified": Asked(GRADIENTS, (20, 20, 5), ("tanh", "softmax"), 60, verify=True),
    "verified on kinks": Asked(GRADIENTS, (20, 20, 5), ("relu", "relu"), 60, verify=True, numbers="zero"),
    "verified, many layers": Asked(GRADIENTS, (2,) + (8,) * 6, ("log_softmax",) * 6, 3, verify=True),
    "verified, wide": Asked(GRADIENTS, (1, 300, 1), ("elu", "identity"), 5, verify=True),
    "explained": Asked(EXPLANATIONS, (4, 20, 3), ("tanh", "softmax"), 5),
    "explained, sparsemax in a batch": Asked(
        EXPLANATIONS, (7, 2, 20, 2, 4, 8), ("celu", "sparsemax", "tanh", "celu", "mish"), 128, sample=0, layer=4
    ),
    "explained, wide": Asked(EXPLANATIONS, (4, 80), ("relu",), 1),
    "checked": Asked(CHECKS, (100, 30), ("tanh",), 10),
    "checked, many samples": Asked(CHECKS, (2, 20, 1), ("gelu", "tanh"), 2000),
}


@pytest.mark.parametrize("asked", MEMORY.values(), ids=MEMORY)
def test_predicted_memory_is_at_least_what_is_taken_and_at_most_three_times_that(asked: Asked) -> None:
    """No request takes more than was admitted, and none is refused for three times what it takes."""
    predicted, taken = asked.predicted().memory, asked.memory()
    assert taken <= predicted <= FACTOR * taken + 100_000


@pytest.mark.parametrize("candidate", CANDIDATES)
def test_the_memory_of_a_check_is_predicted_whatever_is_given(candidate: str) -> None:
    """A check never takes more than was admitted: of right gradients, and of wrong ones of every kind."""
    asked = Asked(CHECKS, (60, 4), ("tanh",), 20, candidate=candidate)
    assert asked.memory() <= asked.predicted().memory


@pytest.mark.parametrize("numbers", NUMBERS)
def test_the_memory_of_few_parameters_verified_is_predicted_whatever_their_numbers(numbers: str) -> None:
    """Where they are on kinks, four steps share a sweep: that is predicted, and less than a megabyte."""
    asked = Asked(GRADIENTS, (3, 4, 2), ("relu", "relu"), 12, verify=True, numbers=numbers)
    predicted, taken = asked.predicted().memory, asked.memory()
    assert taken <= predicted <= FACTOR * taken + 1_000_000


@pytest.mark.parametrize("numbers", NUMBERS)
def test_the_memory_of_an_explanation_is_predicted_whatever_its_numbers(numbers: str) -> None:
    """Closed forms, ties and kinks are explained in other lines than ordinary numbers."""
    asked = Asked(EXPLANATIONS, (4, 12, 3), ("relu", "softmax"), 5, "categorical_cross_entropy", numbers=numbers)
    assert asked.memory() <= asked.predicted().memory


def _answered(asked: Asked) -> bool:
    """Whether a request is within the limits and has a finite result."""
    answer = create_app().test_client().post("/v1/gradients", data=asked.body, content_type="application/json")
    return answer.status_code == 200


@pytest.mark.parametrize("seed", range(12))
def test_memory_of_requests_at_random_is_predicted(seed: int) -> None:
    """Shapes of all magnitudes, of the first request that is answered."""
    random = np.random.default_rng(seed)
    asked = next(filter(_answered, (random_request(random, GRADIENTS, 1e5) for _ in range(20))))
    predicted, taken = asked.predicted().memory, asked.memory()
    assert taken <= predicted <= FACTOR * taken + 100_000


# Time.


@pytest.mark.parametrize(
    ("activation", "loss"),
    [("relu", "percentage_error"), ("elu", "half_squared_error"), ("sparsemax", "categorical_hinge")],
)
@pytest.mark.parametrize("numbers", NUMBERS)
def test_sweeps_of_a_verification_are_predicted_within_a_factor_of_three(
    activation: str, loss: str, numbers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted, as a sweep costs the same on kinks and off them: six forward passes of each parameter, 1 to 5 times.

    Numbers are what makes the steps shorter: zeros on kinks, ties of maxima, subnormal weights.
    """
    passes, losses = [], Moved.losses

    def counted(base: Moved, parameters: Parameters, moves: Any) -> Any:
        passes.append(moves.size)
        return losses(base, parameters, moves)

    monkeypatch.setattr(Moved, "losses", counted)
    asked = Asked(GRADIENTS, (6, 9, 4), (activation, activation), 10, loss, verify=True, numbers=numbers)
    asked.run()
    predicted = ROUNDS * 6 * (6 * 9 + 9 + 9 * 4 + 4)
    assert predicted / FACTOR <= sum(passes) <= FACTOR * predicted


CHECKED = {  # checks of every kind; those at random have up to 30 layers
    "tiny": Asked(CHECKS, (2, 2, 2), ("sigmoid", "sigmoid"), 1),
    "linear": Asked(CHECKS, (5, 4, 3), ("identity", "identity"), 1),
    "a wide layer below": Asked(CHECKS, (90, 60, 2), ("relu", "tanh"), 40),
    "many samples": Asked(CHECKS, (3, 6, 2), ("gelu", "softmax"), 400, "categorical_cross_entropy"),
    "deep": Asked(CHECKS, (3,) * 13, ("tanh",) * 12, 4),
} | {f"at random, {seed}": random_request(np.random.default_rng(seed), CHECKS, 100.0) for seed in (2, 5)}


@pytest.mark.parametrize("candidate", CANDIDATES)
@pytest.mark.parametrize("checked", CHECKED.values(), ids=CHECKED)
def test_a_check_is_admitted_within_a_factor_of_three_of_what_it_takes(
    checked: Asked, candidate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its operations and replayed layers are counted, whatever is wrong: nothing is done that was not admitted."""
    taken: list[float] = []
    take = Budget.take

    def counted(budget: Budget, operations: float) -> None:
        take(budget, operations)
        taken.append(RATES.work["operation"].number * (operations + LONGER))

    asked = replace(checked, candidate=candidate)
    before = asked.predicted()
    beside = before.seconds - before.parts[2].seconds  # reading, passes, answer
    monkeypatch.setattr(Budget, "take", counted)
    admitted = asked.admitted()
    assert sum(taken) + beside <= admitted <= FACTOR * (sum(taken) + beside)


def test_the_first_portion_of_a_check_is_within_the_budget_for_blind_spots() -> None:
    """Whatever the number of samples: beyond the budget, mistakes are left out."""
    layer = Layer.dense(np.ones((100, 100)), None, activation_spec("tanh"))
    for samples in (1, 1000, 10**5, 10**8):
        assert usual_for_blind_spots(Network((layer, layer)), samples) < BLIND_SPOTS


def test_a_check_with_right_gradients_is_small_work() -> None:
    """The limit stays on the largest cost, which is far higher."""
    asked = replace(CHECKED["tiny"], candidate="right")
    cost = asked.predicted()
    assert cost.first_seconds < 0.1 * SMALL_SECONDS < 0.1 * cost.seconds
    assert asked.admitted() < SMALL_SECONDS


@pytest.fixture(scope="module")
def times() -> dict[str, list[float]]:
    """Predicted and measured seconds of each request, measured in a process with one BLAS thread."""
    command, environment = [sys.executable, "-m", "tests.costs"], os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=600).stdout
    return dict(json.loads(found))


@pytest.mark.parametrize("name", TIMES)
def test_time_is_predicted_within_a_factor_of_three(times: dict[str, list[float]], name: str) -> None:
    """In both directions; on a busy machine, a little more is allowed."""
    predicted, taken = times[name]
    assert 1 / (FACTOR * BUSY) < predicted / taken < FACTOR * BUSY


@pytest.mark.parametrize("name", BOUNDED)
def test_the_time_of_a_check_that_nothing_explains_is_bounded(times: dict[str, list[float]], name: str) -> None:
    """How far the search goes depends on the numbers: the prediction is an upper bound."""
    predicted, taken = times[name]
    assert taken < BUSY * predicted


def test_no_activation_makes_a_request_cheap_that_is_not() -> None:
    """For each row, both passes over a million numbers cost milliseconds: no constant is 0 by mistake."""
    for name in ACTIVATIONS:
        shapes = passes.shapes_of(Network((Layer.dense(np.ones((1, 100)), None, activation_spec(name)),)))
        ahead, both = passes.forward_layer(shapes[0], 10_000), passes.gradients_layer(shapes[0], 10_000)
        assert both.seconds > TWICE * 1e-3
        assert both.seconds > ahead.seconds > 1e-3


def test_the_search_for_the_costliest_request_finds_what_is_planted() -> None:
    """A climb over shapes reaches the top of a hill that has one: here the most layers."""
    found = costliest(lambda asked: float(len(asked.widths)), np.random.default_rng(1), rounds=600)
    assert len(found.widths) > 20
