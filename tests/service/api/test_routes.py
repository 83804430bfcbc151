"""The endpoints that do not compute: catalogue, examples, links, health; and the headers of every answer."""

import re
from typing import Any

import numpy as np
import pytest
from flask import Flask, Request
from flask.testing import FlaskClient
from werkzeug.exceptions import HTTPException
from werkzeug.test import create_environ

from chainrule import __version__
from chainrule.functions.activations import ACTIVATIONS, activation_spec
from chainrule.functions.losses import LOSSES
from chainrule.functions.stable_pairs import STABLE_PAIRS
from service.api.examples import EXAMPLES
from service.problems import PROBLEMS

NETWORK = {
    "layers": [
        {"activation": ["tanh", "relu", "silu"], "weights": [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], "biases": [0, 0, 1]},
        {"activation": "softmax", "weights": [[0.3, -0.1], [0.2, 0.8], [-0.5, 0.4]]},
    ]
}
BATCH: dict[str, Any] = {
    "network": NETWORK,
    "inputs": [[1.0, 2.0], [3.0, -1.0], [0.5, 0.5]],
    "targets": [[1, 0], [0, 1], [1, 0]],
    "loss": {"name": "cce", "reduction": "mean"},
}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example["name"])
def test_every_example_is_ready_to_post(client: FlaskClient, example: dict[str, Any]) -> None:
    """Each request of GET /v1/examples is answered with 200."""
    assert example["title"]
    assert client.post("/v1/gradients", json=example["request"]).status_code == 200


def test_the_examples_are_served(client: FlaskClient) -> None:
    """All files, in the order of their names, which are unique."""
    served = client.get("/v1/examples").get_json()["examples"]
    assert served == EXAMPLES
    assert len({example["name"] for example in served}) == len(served) >= 5


@pytest.mark.parametrize("path", ["/v1", "/"])
def test_every_link_is_answered(client: FlaskClient, path: str) -> None:
    """Name, version, and links that answer, or answer 405 because they need a POST."""
    document = client.get(path).get_json()
    assert (document["name"], document["version"]) == ("Chainrule", __version__)
    for name, link in document["links"].items():
        posted = {"gradients", "explanations", "gradient_checks"}
        assert client.get(link).status_code == (405 if name in posted else 200)


def test_the_catalogue_lists_every_row_of_the_tables(client: FlaskClient) -> None:
    """In their order. Each entry is the answer at its own path, also by alias."""
    for path, key, table in (("/v1/activations", "activations", ACTIVATIONS), ("/v1/losses", "losses", LOSSES)):
        entries = client.get(path).get_json()[key]
        assert [entry["name"] for entry in entries] == list(table)
        for name in table.all_names:
            own = client.get(f"{path}/{name}").get_json()
            assert own == next(entry for entry in entries if entry["name"] == table[name].name)


def test_an_entry_has_everything_of_its_row(client: FlaskClient) -> None:
    """Parameters with default and bounds, kinks with the value taken, formula, derivative, reference."""
    entry = client.get("/v1/activations/leaky_relu").get_json()
    meaning = "the slope for a ≤ 0"
    assert entry["parameters"] == [{"name": "negative_slope", "symbol": "s", "default": 0.01, "meaning": meaning}]
    assert entry["kinks"] == [{"at": 0.0, "left": 0.01, "right": 1.0, "jump": 0.0, "taken": 0.01}]
    keras = {"library": "Keras", "function": "keras.layers.LeakyReLU", "parameter": "negative_slope", "default": 0.3}
    assert keras in entry["elsewhere"]
    assert (entry["value_ulps"], entry["derivative_ulps"]) == (4, 16)
    assert entry["elementwise"] is True
    assert entry["formula"].startswith(r"o = \begin{cases} a & a > 0")
    assert "Maas" in entry["reference"]
    assert client.get("/v1/activations/softplus").get_json()["parameters"][0]["exclusive_minimum"] == 0.0
    assert client.get("/v1/activations/elu").get_json()["parameters"][0]["minimum"] == 0.0
    assert client.get("/v1/activations/gelu").get_json()["parameters"][0]["choices"] == ["none", "tanh"]
    assert client.get("/v1/activations/softmax").get_json()["elementwise"] is False
    (border,) = client.get("/v1/activations/sparsemax").get_json()["kinks"]
    assert border["where"] == r"a_j = \tau"
    assert client.get("/v1/activations/hard_shrink").get_json()["kinks"][1]["jump"] == 0.5
    assert [kink["taken"] for kink in client.get("/v1/activations/hard_silu").get_json()["kinks"]] == [0.0, 1.0]


def test_a_loss_lists_its_targets_and_its_stable_pairs(client: FlaskClient) -> None:
    """As the tables have them."""
    for name, loss in LOSSES.items():
        entry = client.get(f"/v1/losses/{name}").get_json()
        assert entry["stable_with"] == [activation for paired, activation in STABLE_PAIRS if paired == name]
        assert (entry["targets"] == "class_indices") == loss.class_indices
        assert entry["aliases"] == [{"name": alias, "reduction": r} for alias, r in loss.aliases.items()]
    assert client.get("/v1/losses/huber").get_json()["parameters"][0]["default"] == 1.0
    assert client.get("/v1/losses/bce").get_json()["target_range"] == [0.0, 1.0]
    assert client.get("/v1/losses/poisson").get_json()["target_range"] == [0.0, None]
    assert client.get("/v1/losses/hinge").get_json()["target_values"] == [-1.0, 1.0]
    assert client.get("/v1/losses/gaussian_nll").get_json()["targets"] == "one_for_each_pair_of_outputs"
    (kink,) = client.get("/v1/losses/quantile").get_json()["kinks"]
    assert kink == {"where": "o = t", "below": r"-\tau", "above": r"1 - \tau", "taken": "0"}
    (ignored,) = client.get("/v1/losses/nll").get_json()["parameters"]
    assert (ignored["name"], ignored["default"], ignored["whole"]) == ("ignore_index", None, True)
    (tau,) = client.get("/v1/losses/quantile").get_json()["parameters"]
    assert {"minimum": 0.0, "maximum": 1.0}.items() <= tau.items()
    assert "whole" not in tau
    entry = client.get("/v1/losses/squared_error").get_json()
    assert (entry["targets"], entry["target_values"], entry["kinks"]) == ("like_outputs", None, [])


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_health_is_answered(client: FlaskClient, path: str) -> None:
    """200 and one word."""
    answer = client.get(path)
    assert (answer.status_code, answer.text) == (200, "ok\n")


def test_every_answer_carries_an_id(client: FlaskClient) -> None:
    """The client's own if it is valid, else a new one of 32 hexadecimal digits."""
    assert client.get("/v1", headers={"X-Request-ID": "lesson-7.a:b_c"}).headers["X-Request-ID"] == "lesson-7.a:b_c"
    for insane in ("", "a b", "x" * 129, "<script>"):
        given = client.get("/v1", headers={"X-Request-ID": insane}).headers["X-Request-ID"]
        assert re.fullmatch("[0-9a-f]{32}", given)


def test_the_stages_of_a_request_are_timed(client: FlaskClient) -> None:
    """Server-Timing names decode, validate, compute, encode, in milliseconds."""
    timing = client.post("/v1/gradients", json=BATCH).headers["Server-Timing"]
    assert re.fullmatch(r"decode;dur=[\d.]+, validate;dur=[\d.]+, compute;dur=[\d.]+, encode;dur=[\d.]+", timing)


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_problem_has_a_page(client: FlaskClient, name: str) -> None:
    """HTML with title, explanation and remedy, and a policy that loads nothing from other sites."""
    page = client.get(f"/problems/{name}")
    assert page.mimetype == "text/html"
    assert PROBLEMS[name].title in page.text
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert f'href="/problems/{name}"' in client.get("/problems").text
    with client.get("/static/pages.css") as style:
        assert style.status_code == 200


def test_the_answer_mirrors_the_layout(client: FlaskClient) -> None:
    """The same network as n_out × n_in gives the same numbers, matrices transposed, records as they were."""
    transposed = {
        "weights_layout": "out_in",
        "layers": [
            layer | {"weights": np.transpose(layer["weights"]).tolist()}  # type: ignore[dict-item]
            for layer in NETWORK["layers"]
        ],
    }
    more = {"step": {"learning_rate": 0.1}}
    plain = client.post("/v1/gradients", json=BATCH | more).get_json()
    other = client.post("/v1/gradients", json=BATCH | more | {"network": transposed}).get_json()
    assert other["updated_network"]["weights_layout"] == "out_in"
    for k in range(2):
        assert np.transpose(other["layers"][k]["dE_dw"]).tolist() == plain["layers"][k]["dE_dw"]
        assert other["layers"][k]["weights"] == plain["layers"][k]["weights"]
        stepped = other["updated_network"]["layers"][k]["weights"]
        assert np.transpose(stepped).tolist() == plain["updated_network"]["layers"][k]["weights"]
    assert client.post("/v1/gradients", json=BATCH | {"network": other["updated_network"]}).status_code == 200


def test_one_sample_is_answered_without_the_samples_axis(client: FlaskClient) -> None:
    """The answer is that of a batch of one, without the sample axis. Gradients have no such axis."""
    one = client.post("/v1/gradients", json=BATCH | {"inputs": [1.0, 2.0], "targets": [1, 0]}).get_json()
    batch = client.post("/v1/gradients", json=BATCH | {"inputs": [[1.0, 2.0]], "targets": [[1, 0]]}).get_json()
    assert one["loss"] == one["sample_losses"] == batch["sample_losses"][0]
    assert [one["outputs"]] == batch["outputs"]
    assert [one["dE_dx"]] == batch["dE_dx"]
    for layer, of_batch in zip(one["layers"], batch["layers"], strict=True):
        assert all([layer[name]] == of_batch[name] for name in ("a", "o", "dE_da"))
        assert all([layer["factors"][name]] == of_batch["factors"][name] for name in ("dE_do", "do_da", "da_dw"))
        assert (layer["dE_dw"], layer.get("dE_db")) == (of_batch["dE_dw"], of_batch.get("dE_db"))


def test_the_resolved_spec_has_every_parameter(client: FlaskClient) -> None:
    """Aliases are replaced by names, defaults are filled in, lists stay lists, labels are kept."""
    layers = [
        {
            "activation": ["swish", {"name": "elu", "alpha": 2}, {"name": "softmax", "group": "b"}],
            "weights": [[1.0, 2.0, 3.0]],
        }
    ]
    body = {"network": {"layers": layers}, "inputs": [1.0], "targets": [0, 0, 1], "loss": "mse"}
    answer = client.post("/v1/gradients", json=body).get_json()
    assert answer["layers"][0]["activation"] == [
        {"name": "silu"},
        {"name": "elu", "alpha": 2.0},
        {"name": "softmax", "temperature": 1.0, "group": "b"},
    ]
    assert answer["loss_function"] == {"name": "squared_error", "reduction": "mean"}


def test_a_class_index_for_one_sample_may_be_in_a_list(client: FlaskClient) -> None:
    """2 and [2] are the same target."""
    body = BATCH | {"inputs": [1.0, 2.0], "loss": "sparse_categorical_cross_entropy"}
    answers = [client.post("/v1/gradients", json=body | {"targets": targets}).get_json() for targets in (1, [1])]
    assert answers[0] == answers[1]
    assert answers[0]["loss"] == pytest.approx(-np.log(answers[0]["outputs"][1]), rel=1e-14)


@pytest.mark.parametrize("reduction", ["sum", "batch_mean"])
def test_a_batch_of_only_the_ignored_class_has_no_loss(client: FlaskClient, reduction: str) -> None:
    """Its loss is 0. The ignored class may be outside the outputs, and is returned as the same whole number."""
    loss = {"name": "nll", "ignore_index": -100.0, "reduction": reduction}
    answer = client.post("/v1/gradients", json=BATCH | {"targets": [-100] * 3, "loss": loss}).get_json()
    assert answer["loss"] == 0.0
    assert all(not np.any(layer["dE_dw"]) for layer in answer["layers"])
    assert type(answer["loss_function"]["ignore_index"]) is int


def test_a_label_reaches_the_core(client: FlaskClient) -> None:
    """Two heads of one layer: each adds up to 1; without labels, all four units together."""
    labelled = [{"name": "softmax", "group": label} for label in ("a", "b", "a", "b")]
    outputs = []
    for activation in (labelled, ["softmax"] * 4):
        layers = [{"activation": activation, "weights": [[0.1, 0.2, 0.3, 0.4]]}]
        body = {"network": {"layers": layers}, "inputs": [1.0], "targets": [0, 0, 0, 0]}
        outputs.append(client.post("/v1/gradients", json=body).get_json()["outputs"])
    assert outputs[0][0] + outputs[0][2] == pytest.approx(1.0)
    assert sum(outputs[1]) == pytest.approx(1.0)
    assert activation_spec("softmax", group="a") != activation_spec("softmax", group="b")


@pytest.mark.parametrize(
    "path", ["/v1/gradients", "/v1", "/", "//v1", "/v1/", "/docs", "/v1/activations/%C3%A9?a=b", "/x"]
)
@pytest.mark.parametrize("host", ["localhost", "localhost:80", "LOCALHOST:8000", "[::1]:8000", "ä", "a b", "a..b"])
def test_the_fast_router_routes_like_flask(client: FlaskClient, host: str, path: str) -> None:
    """It is made with fewer calls, and leads to the same view, or the same refusal."""
    environ = create_environ(path, method="POST", headers={"Host": host})
    app = client.application

    def routed(adapter_of: Any) -> tuple[Any, ...]:
        try:
            adapter = adapter_of(app, Request(environ))
        except HTTPException as error:
            return (type(error),)
        assert adapter is not None
        try:
            found = adapter.match()
        except HTTPException as error:
            found = (type(error), getattr(error, "new_url", None))
        return found, adapter.server_name, adapter.url_scheme, adapter.subdomain, adapter.script_name

    assert routed(type(app).create_url_adapter) == routed(Flask.create_url_adapter)
