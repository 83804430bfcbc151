"""The parts of the benchmarks: comparing services is meaningless unless their answers agree."""

import base64
import json

import numpy as np
import pytest
from flask.testing import FlaskClient

from benchmarks import targets
from benchmarks.alternatives.flask_marshmallow import app as plain
from benchmarks.compare import Cell, Comparison, differences
from benchmarks.workloads import WORKLOADS, Workload

SMALL = [workload for workload in WORKLOADS if workload.name in {"W1", "W2", "W5"}]


@pytest.mark.parametrize("workload", SMALL, ids=lambda workload: workload.name)
def test_chainrule_and_a_plain_service_answer_alike(client: FlaskClient, workload: Workload) -> None:
    """Every member of the answer, and every number to nine digits, on each workload small enough for a test."""
    answers = [
        json.loads(app.post("/v1/gradients", data=workload.body(), content_type="application/json").data)
        for app in (client, plain.test_client())
    ]
    assert len(answers[0]["layers"]) == len(workload.activations)
    assert list(differences(*answers)) == []


@pytest.mark.parametrize("name", ["W3", "W4", "W6"])
def test_a_workload_in_base64_is_the_same_request(name: str) -> None:
    """The numbers are the same."""
    in_json, packed = (next(w for w in WORKLOADS if w.name == each).request() for each in (name, f"{name} base64"))
    for one, other in ((in_json["inputs"], packed["inputs"]), (in_json["targets"], packed["targets"])):
        array = np.array(one)
        assert other["shape"] == array.shape
        assert base64.b64decode(other["base64"]) == array.astype("<f8").tobytes()


@pytest.mark.parametrize(
    ("other", "place"),
    [
        ({"loss": 1.0, "layers": [{"a": [2.0]}]}, []),
        ({"loss": 1.0 + 1e-12, "layers": [{"a": [2.0]}]}, []),
        ({"loss": 1.0, "layers": [{"a": [2.00001]}]}, ["/layers/0/a/0"]),
        ({"loss": 1.0, "layers": [{"a": [2.0, 3.0]}]}, ["/layers/0/a"]),
        ({"loss": 1.0, "layers": [{"o": [2.0]}]}, ["/layers/0"]),
        ({"loss": None, "layers": [{"a": [2.0]}]}, ["/loss"]),
    ],
)
def test_answers_that_differ_are_found_at_their_place(other: object, place: list[str]) -> None:
    """Numbers beyond the tolerance, members, and lengths."""
    first = {"loss": 1.0, "layers": [{"a": [2.0]}]}
    assert [found.partition(":")[0] for found in differences(first, other)] == place


def test_ratios_are_taken_within_a_round() -> None:
    """If everything takes twice as long in a round, no ratio changes."""
    cells = {("W1", 1, "Chainrule"): Cell([1.0, 2.0]), ("W1", 1, "other"): Cell([2.0, 4.0])}
    assert Comparison(cells, {}, {}, {}).ratios("W1", 1, "other") == [0.5, 0.5]


def test_the_99th_percentile_is_one_of_the_answers() -> None:
    """Of 200 answers it is the third slowest."""
    assert Cell(latency_ms=[float(number) for number in range(200, 0, -1)]).p99 == 198.0


def _cells(**milliseconds: float) -> dict[tuple[str, int, str], Cell]:
    """W1 at one connection: each service has one round, in which the wall time is the CPU time."""
    return {
        ("W1", 1, name): Cell(cpu_ms=[ms], per_second=[1e3 / ms], latency_ms=[ms]) for name, ms in milliseconds.items()
    }


def test_a_target_is_compared_with_the_best_alternative_and_the_floors() -> None:
    """Of alternatives of 4, 2, 8 and 6 ms the second is the best: 3 ms are 1.5 times that, and a floor of 1 ms half."""
    services = ["Chainrule", *targets.ALTERNATIVES, "bare Flask", "bare gunicorn", "bare socket"]
    comparison = Comparison(_cells(**dict(zip(services, (3, 4, 2, 8, 6, 1, 0.5, 0.25), strict=True))), {}, {}, {})
    assert list(targets.beside_the_best(comparison))[-1] == (
        f"| W1 | 1 | {targets.ALTERNATIVES[1]} | 0.75 | 1.50 | 0.50 | 0.12 | 1.50 | 1.50 |"
    )
    assert list(targets.beside_the_floor(comparison, {"W1": 0.25}))[-1] == (
        "| W1 | 1 | bare gunicorn | 1.50 | 6.00 | 2.00 | 2.50 |"
    )


def test_arrays_as_base64_are_compared_by_their_numbers() -> None:
    """Their texts differ in the last digits."""
    packed = [
        {"shape": [2], "base64": base64.b64encode(np.array(numbers).tobytes()).decode()}
        for numbers in ([1.0, 2.0], [1.0, 2.0 + 1e-12], [1.0, 2.1])
    ]
    assert list(differences(packed[0], packed[1], "/a")) == []
    assert [found.partition(":")[0] for found in differences(packed[0], packed[2], "/a")] == ["/a/1"]
