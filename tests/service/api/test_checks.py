"""POST /v1/gradient-checks: every member of the answer, and every mistake in a candidate."""

import json
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from chainrule.diagnosis.mistakes import MISTAKES
from schemas.fields.arrays import as_base64
from service.app import create_app
from service.configuration.settings import read_settings
from tests.costs import CHECKS, Asked
from tests.service.api.test_openapi import _assert_told

URL = "/v1/gradient-checks"
Body = dict[str, Any]

# 2 inputs, 3 hidden units with biases, 2 outputs without, 4 samples
NETWORK: Body = {
    "layers": [
        {"weights": [[0.1, -0.2, 0.3], [0.4, 0.5, -0.6]], "biases": [0.1, 0.2, -0.3], "activation": "tanh"},
        {"weights": [[0.7, -0.8], [0.9, 0.2], [-0.3, 0.4]], "activation": "sigmoid"},
    ]
}
POSTED: Body = {
    "network": NETWORK,
    "inputs": [[1, 2], [-0.5, 0.4], [0.3, -0.7], [0.8, 0.9]],
    "targets": [[1, 0], [0, 1], [1, 1], [0, 0]],
    "loss": {"name": "bce", "reduction": "batch_mean"},
}


def right(client: FlaskClient, posted: Body = POSTED) -> list[Body]:
    """The correct gradients, as a candidate's layers."""
    answer = client.post("/v1/gradients", json=posted | {"breakdown": "none"}).get_json()
    return [{name: layer[name] for name in ("dE_dw", "dE_db") if name in layer} for layer in answer["layers"]]


def check(client: FlaskClient, layers: list[Body], **more: Any) -> Body:
    """The answer to a check, validated by the OpenAPI document."""
    answer = client.post(URL, json=POSTED | {"candidate": {"layers": layers}} | more)
    assert answer.status_code == 200, answer.text
    _assert_told(URL, "post", answer)
    document: Body = answer.get_json()
    return document


def test_right_gradients_agree(client: FlaskClient) -> None:
    """Every element agrees, and nothing is diagnosed. `blind_to` is given all the same."""
    answer = check(client, right(client))
    assert answer["agrees"] is True
    assert answer["verdict"] == "Everything given agrees with the right gradient."
    assert answer["first_wrong_layer"] is None
    assert answer["diagnoses"] == []
    assert answer["searched"] == {"singles": 0, "pairs": 0, "pairs_left_out": 0}
    assert answer["tolerance"] == {"relative": 1e-5, "absolute": 1e-8}
    assert answer["layers"][0]["dE_dw"] == {
        "agrees": True,
        "max_absolute_error": 0.0,
        "max_absolute_error_at": {"from": 0, "to": 0},
        "max_relative_error": 0.0,
        "max_relative_error_at": {"from": 0, "to": 0},
        "elements": [[True, True, True], [True, True, True]],
    }
    assert answer["layers"][0]["dE_db"]["elements"] == [True, True, True]
    assert answer["layers"][1]["dE_db"] is None
    assert answer["blind_to"] == []
    assert "better_probe" not in answer


def test_a_wrong_element_is_reported_with_its_place_and_errors(client: FlaskClient) -> None:
    """0.25 too much at the weight from unit 1 to unit 2; a small number twice as large at the bias of unit 0."""
    layers = right(client)
    layers[0]["dE_dw"][1][2] += 0.25
    of_bias = layers[0]["dE_db"][0]
    layers[0]["dE_db"][0] *= 2
    answer = check(client, layers)
    found = answer["layers"][0]
    assert answer["agrees"] is False
    assert answer["first_wrong_layer"] == 0
    assert found["dE_dw"]["elements"] == [[True, True, True], [True, True, False]]
    assert found["dE_dw"]["max_absolute_error"] == pytest.approx(0.25)
    assert found["dE_dw"]["max_absolute_error_at"] == {"from": 1, "to": 2}
    assert found["dE_db"]["max_relative_error"] == pytest.approx(0.5)
    assert found["dE_db"]["max_relative_error_at"] == {"to": 0}
    assert found["dE_db"]["max_absolute_error"] == pytest.approx(abs(of_bias))
    assert answer["layers"][1]["dE_dw"]["agrees"] is True
    assert answer["verdict"].startswith("No known mistake reproduces these numbers, neither alone nor in a pair")
    assert answer["searched"]["pairs"] > 0


def test_a_mistake_is_named_in_words(client: FlaskClient) -> None:
    """Cause, place and residual for programs, a sentence for people."""
    layers = right(client)
    layers[0]["dE_db"] = (np.array(layers[0]["dE_db"]) / 4).tolist()
    answer = check(client, layers)
    assert answer["verdict"] == "One mistake reproduces these numbers: bias_averaged."
    (diagnosis,) = answer["diagnoses"]
    assert diagnosis["cause"] == "bias_averaged"
    assert diagnosis["mistakes"] == [{"cause": "bias_averaged", "layers": [0], "fitted": {}}]
    assert diagnosis["residual"] < 1e-12
    assert diagnosis["detail"] == (
        "In layer 0: dE/db is the mean over the samples instead of the sum: divided by n once too often."
    )


def test_a_fitted_number_is_reported(client: FlaskClient) -> None:
    """The answer has the weight decay of 0.01, in every layer."""
    layers = right(client)
    for layer, own in zip(layers, NETWORK["layers"], strict=True):
        layer["dE_dw"] = (np.array(layer["dE_dw"]) + 0.01 * np.array(own["weights"])).tolist()
    (diagnosis,) = check(client, layers)["diagnoses"]
    assert diagnosis["mistakes"][0]["fitted"]["lambda"] == pytest.approx(0.01, rel=1e-6)
    assert "In every layer: a term λ·w of weight decay" in diagnosis["detail"]
    assert "with a lambda of 0.01, fitted to the numbers" in diagnosis["detail"]


def test_mistakes_with_equal_numbers_name_each_other(client: FlaskClient) -> None:
    """Both are listed, and each sentence names the other."""
    layers = [{name: (2 * np.array(array)).tolist() for name, array in layer.items()} for layer in right(client)]
    answer = check(client, layers)
    assert [diagnosis["cause"] for diagnosis in answer["diagnoses"]] == ["half_missing", "accumulated"]
    assert "Gives the same numbers here: accumulated." in answer["diagnoses"][0]["detail"]
    assert answer["verdict"].endswith("half_missing; 1 more would give the same numbers here.")


def test_a_pair_of_mistakes_is_reported(client: FlaskClient) -> None:
    """A wrong sign, and an averaged bias."""
    layers = right(client)
    wrong = [{"dE_dw": (-np.array(layer["dE_dw"])).tolist()} for layer in layers]
    wrong[0]["dE_db"] = (-np.array(layers[0]["dE_db"]) / 4).tolist()
    answer = check(client, wrong)
    assert answer["diagnoses"][0]["cause"] == "bias_averaged + sign"
    assert answer["verdict"].startswith("A pair of mistakes reproduces these numbers: bias_averaged + sign")


def test_rounded_numbers_are_reported_as_rounded(client: FlaskClient) -> None:
    """To three digits they miss the tolerance, and nothing else is wrong; within 1 % they agree."""
    digits = np.vectorize(lambda number: float(f"{number:.3g}"))
    layers = [{name: digits(array).tolist() for name, array in layer.items()} for layer in right(client)]
    answer = check(client, layers)
    assert not answer["agrees"]
    assert [diagnosis["cause"] for diagnosis in answer["diagnoses"]] == ["rounding"]
    assert answer["verdict"] == "The numbers are the right ones but for rounding, which is coarser than the tolerance."
    assert check(client, layers, tolerance={"relative": 0.01})["agrees"]
    assert check(client, layers, tolerance={"absolute": 1.0})["agrees"]


def test_the_tolerance_is_relative_to_the_right_number(client: FlaskClient) -> None:
    """1.5 r is half of r away from r, so within 0.5, and not within 0.4, which of 1.5 r would be 0.6 r."""
    layers = [{"dE_db": (1.5 * np.array(right(client)[0]["dE_db"])).tolist()}, {}]
    assert not check(client, layers, tolerance={"relative": 0.4})["agrees"]
    assert check(client, layers, tolerance={"relative": 0.50001})["agrees"]


def test_the_other_layout_gives_the_same_diagnosis(client: FlaskClient) -> None:
    """Weights, derivatives, verdicts and the weights of the probe are then n_out × n_in."""
    layers = right(client)
    wrong = [layer | {"dE_dw": np.transpose(layer["dE_dw"]).tolist()} for layer in layers]
    wrong[0]["dE_dw"][2][1] += 0.25
    turned = [layer | {"weights": np.transpose(layer["weights"]).tolist()} for layer in NETWORK["layers"]]
    one = {"inputs": POSTED["inputs"][0], "targets": POSTED["targets"][0]}
    network = {"weights_layout": "out_in", "layers": turned}
    answer = check(client, wrong, network=network)
    assert answer["layers"][0]["dE_dw"]["max_absolute_error_at"] == {"from": 1, "to": 2}
    assert answer["layers"][0]["dE_dw"]["elements"] == [[True, True], [True, True], [True, False]]
    probe = check(client, wrong, network=network, **one)["better_probe"]
    assert probe["network"]["weights_layout"] == "out_in"
    assert np.shape(probe["network"]["layers"][1]["weights"]) == (2, 3)


@pytest.mark.parametrize("encoding", ["json", "base64"])
def test_the_probe_may_be_posted_again(client: FlaskClient, encoding: str) -> None:
    """It is valid for /v1/gradients, and with a candidate here. It reveals a mistake that one sample hides."""
    one = {"inputs": POSTED["inputs"][0], "targets": POSTED["targets"][0], "encoding": encoding}
    answer = check(client, [{"dE_dw": layer["dE_dw"]} for layer in right(client)], **one)
    assert {"samples_divided", "last_sample_only", "samples_not_divided"} <= {*answer["blind_to"]}
    assert answer["better_probe_blind_to"] == []
    probe = answer["better_probe"]
    layers = right(client, probe)
    again = client.post(URL, json=probe | {"candidate": {"layers": layers}}).get_json()
    assert again["agrees"]
    assert again["blind_to"] == []


def test_arrays_may_be_base64_null_or_left_out(client: FlaskClient) -> None:
    """Arrays that are null or left out are not checked."""
    layers = right(client)
    packed = as_base64({"dE_dw": np.array(layers[0]["dE_dw"])})
    answer = check(client, [packed | {"dE_db": None}, {}])
    assert answer["agrees"]
    assert answer["layers"][0]["dE_db"] is answer["layers"][1]["dE_dw"] is None


def test_class_indices_and_what_does_not_matter_here(client: FlaskClient) -> None:
    """`breakdown`, `step` and `verify` are accepted. The probe for class indices has class indices, too."""
    more = {
        "targets": [0, 1, 1, 0],
        "loss": "sparse_categorical_cross_entropy",
        "network": {"layers": [NETWORK["layers"][0], NETWORK["layers"][1] | {"activation": "softmax"}]},
    }
    layers = right(client, POSTED | more)
    extra = {"breakdown": "per_weight", "step": {"learning_rate": 0.1}, "verify": True}
    assert check(client, layers, **more, **extra)["agrees"]
    one = {"inputs": [1, 2], "targets": 1}
    answer = check(client, right(client, POSTED | more | one), **(more | one))
    assert {*answer["better_probe"]["targets"]} <= {0.0, 1.0}


CANDIDATE = "#/candidate/layers/0"
WRONG: list[tuple[str, Any, str, str]] = [
    ("no candidate", None, "#/candidate", "must not be null"),
    ("a list for a candidate", [], "#/candidate", "must be an object"),
    ("no layers", {}, "#/candidate/layers", "is required"),
    ("an empty list of layers", {"layers": []}, "#/candidate/layers", "must not be empty"),
    ("a layer too few", {"layers": [{}]}, "#/candidate/layers", "has 1 layer, but the network has 2"),
    ("nothing given", {"layers": [{}, {"dE_dw": None}]}, "#/candidate/layers", "must give at least one array"),
    (
        "an unknown key",
        {"layers": [{"dw": [[1]]}, {}]},
        f"{CANDIDATE}/dw",
        'unknown key "dw"; known here: dE_dw, dE_db',
    ),
    ("a list for a matrix", {"layers": [{"dE_dw": [1, 2]}, {}]}, f"{CANDIDATE}/dE_dw", "must be a matrix"),
    ("a string", {"layers": [{"dE_dw": [[1, 2, "x"], [1, 2, 3]]}, {}]}, f"{CANDIDATE}/dE_dw/0/2", "must be a number"),
    ("a matrix too small", {"layers": [{"dE_dw": [[1, 2, 3]]}, {}]}, f"{CANDIDATE}/dE_dw", "is 1 × 3, but the weights"),
    (
        "a matrix in the other layout",
        {"layers": [{"dE_dw": [[1, 2], [3, 4], [5, 6]]}, {}]},
        f"{CANDIDATE}/dE_dw",
        "is 3 × 2, but the weights are 2 × 3. It looks transposed: give weights and derivatives in one layout",
    ),
    ("a bias too many", {"layers": [{"dE_db": [1, 2, 3, 4]}, {}]}, f"{CANDIDATE}/dE_db", "but the layer has 3 biases"),
    ("biases of none", {"layers": [{}, {"dE_db": [1, 2]}]}, "#/candidate/layers/1/dE_db", "layer 1 has no biases"),
    ("a layer that is null", {"layers": [None, {}]}, CANDIDATE, "must be an object"),
]


@pytest.mark.parametrize(("what", "candidate", "pointer", "words"), WRONG, ids=[row[0] for row in WRONG])
def test_a_wrong_candidate_is_refused_at_its_place(
    client: FlaskClient, what: str, candidate: Any, pointer: str, words: str
) -> None:
    """One mistake, one complaint, with a pointer down to the array or element."""
    answer = client.post(URL, json=POSTED | {"candidate": candidate})
    assert answer.status_code == 422, answer.text
    _assert_told(URL, "post", answer)
    errors = answer.get_json()["errors"]
    assert [error["pointer"] for error in errors] == [pointer], errors
    assert words in errors[0]["detail"]


@pytest.mark.parametrize(
    ("tolerance", "pointer", "words"),
    [
        ({"relative": -1}, "#/tolerance/relative", "must be a finite number of at least 0"),
        ({"absolute": True}, "#/tolerance/absolute", "must be a number, not a boolean"),
        ({"relativ": 1}, "#/tolerance/relativ", 'did you mean "relative"?'),
        (0.1, "#/tolerance", "must be an object"),
    ],
)
def test_a_wrong_tolerance_is_refused(client: FlaskClient, tolerance: Any, pointer: str, words: str) -> None:
    """It is two numbers of at least 0; with 0 the numbers must be identical."""
    layers = right(client)
    answer = client.post(URL, json=POSTED | {"candidate": {"layers": layers}, "tolerance": tolerance})
    assert answer.status_code == 422
    (error,) = answer.get_json()["errors"]
    assert (error["pointer"], words in error["detail"]) == (pointer, True), error
    assert check(client, layers, tolerance={"relative": 0, "absolute": 0})["agrees"]


def test_mistakes_of_request_and_candidate_are_reported_at_once(client: FlaskClient) -> None:
    """The rules of /v1/gradients apply here, too."""
    body = deepcopy(POSTED) | {"candidate": {"layers": [{"dE_db": [1]}, {"dE_dw": "x"}]}, "targets": [[1, 0]]}
    pointers = {error["pointer"] for error in client.post(URL, json=body).get_json()["errors"]}
    assert pointers == {"#/targets", "#/candidate/layers/0/dE_db", "#/candidate/layers/1/dE_dw"}
    no_layers = POSTED | {"network": {}, "candidate": {"layers": [{"dE_db": [1]}]}}
    assert [e["pointer"] for e in client.post(URL, json=no_layers).get_json()["errors"]] == ["#/network/layers"]


def test_a_gradient_that_is_not_finite_is_an_error(client: FlaskClient) -> None:
    """As for /v1/gradients, because there is nothing to compare with."""
    layers = [{"activation": "exponential", "weights": [[800.0]]}]
    body = {"network": {"layers": layers}, "inputs": [1], "targets": [1], "candidate": {"layers": [{"dE_dw": [[1]]}]}}
    answer = client.post(URL, json=body)
    assert (answer.status_code, answer.get_json()["type"]) == (422, "/problems/non-finite-result")


@pytest.mark.parametrize("number", [1e308, -1e308, 5e-324, 0.0])
def test_numbers_at_the_ends_of_float64_are_checked(client: FlaskClient, number: float) -> None:
    """They are wrong numbers, and do not cause a 500."""
    answer = check(client, [{"dE_dw": [[number] * 3] * 2, "dE_db": [number] * 3}, {}])
    assert not answer["agrees"]


def test_every_cause_of_the_contract_is_one_of_the_table(client: FlaskClient) -> None:
    """In the OpenAPI document too."""
    document = json.loads(client.get("/openapi.json").text)
    assert document["components"]["schemas"]["MistakeName"]["enum"] == [mistake.cause for mistake in MISTAKES]


def test_the_search_counts_as_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check replays every known mistake, so it can be over a limit that the gradient alone is not."""
    monkeypatch.setenv("CHAINRULE_MAX_WORK_SECONDS", "1")
    wide = Asked(CHECKS, (200, 100), ("tanh",), 20)
    limited = create_app(read_settings()).test_client()
    gradients = {name: value for name, value in wide.document.items() if name != "candidate"}
    assert limited.post("/v1/gradients", json=gradients).status_code == 200
    answer = limited.post(URL, json=wide.document)
    assert (answer.status_code, answer.get_json()["type"]) == (422, "/problems/limit-exceeded")
    assert "the search for mistakes" in answer.get_json()["detail"]


def test_a_large_check_reports_what_it_leaves_out(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer lists pairs and single mistakes that were not tried.

    It also lists mistakes of which it is not known whether the request reveals them.
    """
    monkeypatch.setattr("chainrule.diagnosis.diagnose.SEARCH", 1e6)
    monkeypatch.setattr("chainrule.diagnosis.probes.BLIND_SPOTS", 1e6)
    wrong = right(client)
    wrong[1]["dE_dw"][0][0] += 1.0
    answer = check(client, wrong)
    searched = answer["searched"]
    assert searched["singles_left_out"] > 0
    assert searched["blind_to_left_out"] > 0
    assert f"({searched['singles_left_out']} mistakes and {searched['pairs_left_out']} pairs were" in answer["verdict"]
