"""Published worked examples, reproduced over HTTP to their printed digits.

`worked_examples.json` has the printed numbers as strings, because 0.20 is more precise than 0.2. A post is the
record's request, with a `change`, `after` one step of gradient descent, or `trained` for many; a path such as
`layers.0.dE_dw.1.0` leads to a number of its answer. Every printed number is one of three:

    reproduced    |service - printed| is at most half a unit of the last printed digit
    rounded       the source truncated digits, or continued with rounded numbers: the data give the bound for its error
    misprint      the printed number is wrong: the service has the right number, and not the printed one

A `~` in the arithmetic of a rounded number marks a number that the source had rounded: it may be off by a unit of its
last digit.
"""

import functools
import json
import math
import re
import struct
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from chainrule import Network, dense, descend, gradients, loss_spec

RECORDS = {
    record["name"]: record
    for record in json.loads((Path(__file__).parent / "worked_examples.json").read_text(encoding="utf-8"))
}
MAZUR = RECORDS["mazur-2015-2-2-2-sigmoid"]
MICROGRAD = RECORDS["karpathy-micrograd-lecture-tanh-neuron"]
MINIFLOW = RECORDS["udacity-miniflow-2-2-sigmoid-mse"]


@dataclass(frozen=True)
class Printed:
    """One printed number of a source, and the data about it."""

    record: str
    post: str
    path: str
    text: str
    rounded: dict | None
    misprint: dict | None  # with the `right` number for this leaf only

    def __str__(self):
        return f"{self.record}: {self.post}: {self.path}"


def leaves(value, path):
    """(path, text) of every printed number at or below a path; null is a number that the source leaves out."""
    if isinstance(value, list):
        for index, element in enumerate(value):
            yield from leaves(element, f"{path}.{index}")
    elif value is not None:
        yield path, value


def value_at(value, path):
    """The value at a path of names and positions."""
    for step in path.split("."):
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


def misprint_of(post, path):
    """The data about a misprint at this leaf or above it, with `right` for this leaf."""
    for place, misprint in post.get("misprints", {}).items():
        if path == place or path.startswith(f"{place}."):
            rest = path[len(place) + 1 :]
            return {**misprint, "right": value_at(misprint["right"], rest) if rest else misprint["right"]}
    return None


def every_printed_number():
    """All of them, record by record."""
    for name, record in RECORDS.items():
        for post in record["posts"]:
            for top, value in post["printed"].items():
                for path, text in leaves(value, top):
                    rounded = post.get("rounded", {}).get(path)
                    yield Printed(name, post["title"], path, text, rounded, misprint_of(post, path))


PRINTED = list(every_printed_number())
REPRODUCED = [leaf for leaf in PRINTED if not leaf.rounded and not leaf.misprint]
ROUNDED = [leaf for leaf in PRINTED if leaf.rounded]
MISPRINTS = [leaf for leaf in PRINTED if leaf.misprint]


def unit(text):
    """One unit of the last digit: 1E-3 for 0.327."""
    return Decimal(1).scaleb(Decimal(text).as_tuple().exponent)


def distance(number, text):
    """How far a float64 lies from a decimal number, exactly."""
    return abs(Decimal(number) - Decimal(text))


def is_reproduced(number, text):
    """Whether a float64 rounds to the printed digits.

    Printed numbers of 15 and more digits come from float64 arithmetic in another order: 4 ulp are allowed.
    """
    digits = len(Decimal(text).as_tuple().digits)
    return distance(number, text) <= unit(text) / 2 + (4 * Decimal(math.ulp(number)) if digits >= 15 else 0)


def arithmetic(expression):
    """The value of sums and products as the source has them, and how far the `~` numbers can move it."""
    value = reach = Decimal(0)
    for sign, term in re.findall(r"(?:^|([+-]) )([^+-]+)", expression):
        factors = [factor.strip() for factor in term.split("*")]
        product = math.prod(Decimal(factor.lstrip("~")) for factor in factors)
        widest = math.prod(Decimal(f.lstrip("~")) + (unit(f[1:]) if f.startswith("~") else 0) for f in factors)
        value += -product if sign == "-" else product
        reach += widest - product
    return value, reach


def allowance(leaf):
    """The allowed distance of the right number from the printed number, for the way the source computed it."""
    if "arithmetic" in leaf.rounded:
        return arithmetic(leaf.rounded["arithmetic"])[1] + unit(leaf.text) / 2
    if "relative" in leaf.rounded:
        return Decimal(leaf.rounded["relative"]) * abs(Decimal(leaf.text))
    return leaf.rounded["units"] * unit(leaf.text)


def request_of(record, change):
    """The record's request, with the value at each path of `change` replaced or added."""
    request = {key: json.loads(json.dumps(record[key])) for key in ("network", "inputs", "targets", "loss")}
    for path, value in change.items():
        *above, last = path.split(".")
        place = value_at(request, ".".join(above)) if above else request
        place[last] = value
    return request


def with_l2(answer, request, l2):
    """The answer with the derivative of lambda / (2 m) * Σ w² added to dE/dw, and so to the step: m samples.

    Our API has no penalty; a client has to add lambda / m * w.
    """
    rate = request.get("step", {}).get("learning_rate", 0.0)
    for k, layer in enumerate(request["network"]["layers"]):
        for i, row in enumerate(layer["weights"]):
            for j, w in enumerate(row):
                penalty = l2 / len(request["inputs"]) * w
                answer["layers"][k]["dE_dw"][i][j] += penalty
                if rate:
                    answer["updated_network"]["layers"][k]["weights"][i][j] -= rate * penalty
    return answer


def after_a_step(post, request, learning_rate, biases="updated", l2=0.0):
    """The request with the network after one step. If the source keeps its biases `frozen`, the old ones come back."""
    stepping = {**request, "step": {"learning_rate": learning_rate}}
    network = with_l2(post(stepping), stepping, l2)["updated_network"]
    if biases == "frozen":
        for new, old in zip(network["layers"], request["network"]["layers"], strict=True):
            new["biases"] = old["biases"]
    return {**request, "network": network}


def trained(request, steps, learning_rate):
    """The request after so many steps with frozen biases. The core takes 2 s, as many posts would take 12 s."""
    inputs, targets, loss = np.array(request["inputs"]), np.array(request["targets"]), loss_spec(**request["loss"])
    start = network = Network(tuple(dense(**layer) for layer in request["network"]["layers"]))
    for _ in range(steps):
        stepped = descend(network, gradients(network, inputs, targets, loss).layers, learning_rate)
        layers = zip(start.layers, stepped.layers, strict=True)
        network = Network(
            tuple(replace(old, parameters={**old.parameters, "weights": new.weights}) for old, new in layers)
        )
    layers = zip(request["network"]["layers"], network.layers, strict=True)
    return {**request, "network": {"layers": [{**old, "weights": new.weights.tolist()} for old, new in layers]}}


@pytest.fixture(scope="module")
def number_at(post):
    """The service's number for a printed one. The answer to each post is asked for once."""

    @functools.cache
    def answer(name, title):
        record = RECORDS[name]
        asked = next(one for one in record["posts"] if one["title"] == title)
        request, l2 = request_of(record, asked.get("change", {})), asked.get("l2", 0.0)
        if "after" in asked:
            request = after_a_step(post, request, **asked["after"], l2=l2)
        if "trained" in asked:
            request = trained(request, **asked["trained"])
        return with_l2(post(request), request, l2)

    return lambda leaf: value_at(answer(leaf.record, leaf.post), leaf.path)


@pytest.mark.parametrize("leaf", REPRODUCED, ids=str)
def test_a_printed_number_is_reproduced_to_its_last_digit(number_at, leaf):
    """Mazur prints dE/dw5 = 0.082167041; the service has 0.0821670405642, which rounds to it."""
    assert is_reproduced(number_at(leaf), leaf.text)


@pytest.mark.parametrize("leaf", ROUNDED, ids=str)
def test_a_number_that_the_source_rounded_is_off_by_no_more_than_the_rounding(number_at, leaf):
    """scikit-learn's 0.8 * 0.01667 + 0.1 * 0.3 = 0.043336 has the rounded 0.01667, so it may be off by 0.8e-5.

    The service has 0.0433430. That the source did compute so is checked as well: its arithmetic gives its print.
    """
    number = number_at(leaf)
    assert distance(number, leaf.text) <= allowance(leaf)
    if "right" in leaf.rounded:
        assert is_reproduced(number, leaf.rounded["right"])
    if "arithmetic" in leaf.rounded:
        assert distance(arithmetic(leaf.rounded["arithmetic"])[0], leaf.text) <= unit(leaf.text) / 2
    if "relative" not in leaf.rounded:
        assert not is_reproduced(number, leaf.text), "listed as rounded, and reproduced all the same"


@pytest.mark.parametrize("leaf", MISPRINTS, ids=str)
def test_a_misprint_is_not_reproduced_and_the_right_number_is(number_at, leaf):
    """Mazur prints 0.291027924 as the loss after one step. It is 0.291027774."""
    number = number_at(leaf)
    assert not is_reproduced(number, leaf.text)
    assert is_reproduced(number, leaf.misprint["right"])


def test_every_printed_number_is_reproduced_or_rounded_or_a_misprint():
    """228 numbers of 11 sources: 135 reproduced, 34 rounded by their source, 59 misprints; none is two of them."""
    assert len(RECORDS) == 11
    assert (len(REPRODUCED), len(ROUNDED), len(MISPRINTS)) == (135, 34, 59)
    assert len(PRINTED) == 135 + 34 + 59 == len({str(leaf) for leaf in PRINTED})


@pytest.mark.parametrize("kind", ["rounded", "misprints"])
def test_every_note_is_about_a_printed_number(kind):
    """A note at `layers.1.a.0.2` would have no effect if the number were at `layers.1.a.2`."""
    for record in RECORDS.values():
        for asked in record["posts"]:
            paths = {path for top, value in asked["printed"].items() for path, _ in leaves(value, top)}
            for place, remark in asked.get(kind, {}).items():
                assert remark["why"]
                assert any(path == place or path.startswith(f"{place}.") for path in paths), (record["name"], place)


@pytest.mark.parametrize(
    ("biases", "loss"), [("frozen", "0.291027774"), ("updated", "0.280471447")], ids=["frozen", "updated"]
)
def test_mazurs_loss_after_one_step_depends_on_whether_the_biases_are_updated(post, biases, loss):
    """0.298371109 decreases to 0.291027774 with frozen biases, as on the page, and to 0.280471447 with all updated."""
    after = after_a_step(post, request_of(MAZUR, {}), 0.5, biases)
    assert is_reproduced(post(after)["loss"], loss)


def test_mazurs_printed_loss_comes_from_deltas_through_updated_weights(post):
    """The famous 0.291027924 results if the hidden deltas use the output weights after their step."""
    request = request_of(MAZUR, {"step": {"learning_rate": 0.5}})
    answer = post(request)
    hidden, output = request["network"]["layers"]
    stepped = answer["updated_network"]["layers"][1]["weights"]
    delta = answer["layers"][1]["dE_da"][0]
    dE_do = [math.fsum(w * d for w, d in zip(row, delta, strict=True)) for row in stepped]
    below = {**request, "network": {"layers": [hidden]}, "targets": [dE_do], "loss": "dot_product"}
    wrong = post(below)["updated_network"]["layers"][0]["weights"]
    layers = [{**hidden, "weights": wrong}, {**output, "weights": stepped}]
    assert is_reproduced(post({**request, "network": {"layers": layers}})["loss"], "0.291027924")


def test_miniflows_first_gradients_are_those_without_the_target(post):
    """6.08973702e-08 is no gradient of the squared error: it results from dE/do = -2·o, without the target."""
    request = request_of(MINIFLOW, {})
    outputs = post(request)["outputs"]
    lost = {**request, "loss": "dot_product", "targets": [[-2 * o for o in row] for row in outputs]}
    answer = post(lost)["layers"][0]
    first = next(one for one in MINIFLOW["posts"] if one["title"] == "as first published")["printed"]
    for path, text in (*leaves(first["layers.0.dE_dw"], "dE_dw"), *leaves(first["layers.0.dE_db"], "dE_db")):
        assert is_reproduced(value_at(answer, path), text), path


def test_micrograds_second_bias_is_the_first_one_in_float32():
    """torch.Tensor([6.8813735870195432]) holds 6.881373405456543, so o differs in the seventh digit."""
    (bias,) = MICROGRAD["network"]["layers"][0]["biases"]
    (change,) = [asked["change"] for asked in MICROGRAD["posts"] if "change" in asked]
    assert change == {"network.layers.0.biases": list(struct.unpack("f", struct.pack("f", bias)))}
