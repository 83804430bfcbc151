"""Requests with mistakes: a description of the mistake, the pointer, and the complaint.

These are data for tests that post wrong requests: plain, padded, compressed, and validated by the OpenAPI document.
"""

import base64
import codecs
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Body = dict[str, Any]
Change = Callable[[Body], str]  # a request, as the JSON text of one with a mistake in it

URL = "/v1/gradients"
JSON = "application/json"

# 2 inputs, 3 hidden units, 2 outputs, 4 samples. The number 0.5, a weight, occurs only once in the text.
VALID: Body = {
    "network": {
        "layers": [
            {"weights": [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], "biases": [0.01, 0.02, 0.03], "activation": "tanh"},
            {"weights": [[1, 2], [3, 4], [6, 7]], "activation": "identity"},
        ]
    },
    "inputs": [[1, 2], [3, 4], [6, 7], [8, 9]],
    "targets": [[1, 0], [0, 1], [1, 1], [0, 0]],
}
LAYER = "network/layers/0"
CLASSES = "sparse_categorical_cross_entropy"


def _steps(path: str) -> list[str | int]:
    return [int(step) if step.isdigit() else step for step in path.split("/") if step]


def _within(body: Any, steps: list[str | int]) -> Any:
    """The value at the end of the steps; missing objects are created."""
    for step in steps:
        body = body.setdefault(step, {}) if isinstance(body, dict) else body[step]
    return body


def put(path: str, value: Any, **beside: Any) -> Change:
    """The valid request with another value at `path`, and other values of fields at the top."""

    def change(body: Body) -> str:
        body |= beside
        *before, last = _steps(path)
        _within(body, before)[last] = value
        return json.dumps(body)

    return change


def drop(path: str) -> Change:
    """The valid request without the member at `path`."""

    def change(body: Body) -> str:
        *before, last = _steps(path)
        del _within(body, before)[last]
        return json.dumps(body)

    return change


def with_key(path: str, key: str) -> Change:
    """The valid request with one key too many in the object at `path`."""

    def change(body: Body) -> str:
        _within(body, _steps(path))[key] = 1
        return json.dumps(body)

    return change


def written(number: str, **beside: Any) -> Change:
    """The valid request with the weight 0.5 written in other characters."""
    return lambda body: json.dumps(body | beside).replace("0.5", number)


def packed(shape: Any, numbers: Any = range(8), **beside: Any) -> Body:
    """An array as base64 of float64."""
    data = base64.b64encode(struct.pack(f"<{len(numbers)}d", *numbers)).decode()
    return {"shape": shape, "base64": data, **beside}


@dataclass(frozen=True)
class Row:
    """A mistake, as a sentence; how to make it; where the pointer leads, and what the complaint says."""

    mistake: str
    change: Change
    pointer: str
    words: str
    status: int = 422
    type: str = "invalid-request"


REQUIRED = ("network", "inputs", "targets", "network/layers", f"{LAYER}/weights", f"{LAYER}/activation")
MISSING = [
    *(Row(f"{path} is missing", drop(path), f"#/{path}", "is required") for path in REQUIRED),
    Row("a step has no learning rate", put("step", {}), "#/step/learning_rate", "is required"),
    Row("an activation has no name", put(f"{LAYER}/activation", {}), f"#/{LAYER}/activation/name", "is required"),
    Row("a loss has no name", put("loss", {"reduction": "mean"}), "#/loss/name", "is required"),
]

KINDS = {"a boolean": True, "a number": 3, "a string": "1.5", "a list": ["x"], "an object": {"x": 1}}
NUMBERS, NAME = "must be a list of numbers", "must be the name of an activation"
FIELDS = {  # the type that each field requires, in words, and the kinds of JSON values that have it
    "network": ("must be an object", {"an object"}),
    "network/layers": ("must be a list of layers", {"a list"}),
    "network/weights_layout": ('must be "in_out" or "out_in"', {"a string"}),
    LAYER: ("must be an object", {"an object"}),
    f"{LAYER}/weights": ("must be a matrix (a list of rows of numbers)", {"a list", "an object"}),
    f"{LAYER}/biases": (NUMBERS, {"a list", "an object"}),
    f"{LAYER}/activation": (f"{NAME}, or an object", {"a string", "a list", "an object"}),
    f"{LAYER}/activation/name": (NAME, {"a string"}),
    "inputs": (f"{NUMBERS} or a matrix", {"a list", "an object"}),
    "targets": ("must be a number or a list of numbers or a matrix", {"a number", "a list", "an object"}),
    "loss": ("must be the name of a loss, or an object", {"a string", "an object"}),
    "loss/name": ("must be the name of a loss", {"a string"}),
    "breakdown": ('must be "per_weight" or "per_unit" or "none"', {"a string"}),
    "encoding": ('must be "json" or "base64"', {"a string"}),
    "verify": ("must be true or false", {"a boolean"}),
    "step": ("must be an object", {"an object"}),
    "step/learning_rate": ("must be a number", {"a number"}),
}
NULL_IN_OTHER_WORDS = {LAYER: "must be an object", f"{LAYER}/activation/name": "not null", "loss/name": "not null"}


def at(path: str, value: Any) -> Change:
    """As `put`, with an object in place of a name where the path leads into it."""
    parent, _, last = path.rpartition("/")
    return put(parent, {last: value}) if last == "name" else put(path, value)


WRONG_TYPES = [
    *(
        Row(f"{path} is null", at(path, None), f"#/{path}", NULL_IN_OTHER_WORDS.get(path, "must not be null"))
        for path in FIELDS
    ),
    *(
        Row(f"{path} is {kind}", at(path, value), f"#/{path}", words)
        for path, (words, right) in FIELDS.items()
        for kind, value in KINDS.items()
        if kind not in right
    ),
    Row("verify is yes", put("verify", "yes"), "#/verify", "must be true or false, not a string"),
    Row("verify is 1", put("verify", 1), "#/verify", "must be true or false, not a number"),
]

UNKNOWN = [
    *(
        Row(f"the unknown key {key}", with_key(path, key), f"{pointer}/{key}", f'unknown key "{key}"; {meant}')
        for path, pointer, key, meant in (
            ("", "#", "netwrok", 'did you mean "network"?'),
            ("", "#", "learning_rate", "known here: network, inputs, targets"),
            ("network", "#/network", "layer", 'did you mean "layers"?'),
            (LAYER, f"#/{LAYER}", "bias", 'did you mean "biases"?'),
            (LAYER, f"#/{LAYER}", "weight", 'did you mean "weights"?'),
        )
    ),
    Row(
        "a step with momentum",
        put("step", {"learning_rate": 0.1, "momentum": 0.9}),
        "#/step/momentum",
        'unknown key "momentum"; known here: learning_rate',
    ),
]

NO_NUMBERS = {"null": None, "a boolean": False, "a string": "1.5", "a list": [1], "an object": {}}
PLACES = ("inputs/3/1", "targets/2/0", f"{LAYER}/weights/1/2", f"{LAYER}/biases/1")
BEYOND = {
    "1e400": "1e400",
    "-1e400": "-1e400",
    "10^400 in digits": "1" + "0" * 400,
    "-10^400 in digits": "-1" + "0" * 400,
    "10^5000 in digits": "1" + "0" * 5000,
    "the first number that rounds to infinity": "17976931348623159e292",
}
ELEMENTS = [
    *(
        Row(f"the element {path} is {kind}", put(path, value), f"#/{path}", f"must be a number, not {kind}")
        for path in PLACES
        for kind, value in NO_NUMBERS.items()
    ),
    *(
        Row(name, written(number), f"#/{LAYER}/weights/1/1", "is beyond the range of float64")
        for name, number in BEYOND.items()
    ),
]

W, B, W1 = f"{LAYER}/weights", f"{LAYER}/biases", "network/layers/1/weights"
ROWS_TO_ONE = "must be a matrix (a list of rows of numbers), not a list"
SHAPES = [
    Row("a short row of inputs", put("inputs/1", [3]), "#/inputs/1", "has 1 number where row 0 has 2"),
    Row("a long row of inputs", put("inputs/2", [6, 7, 8]), "#/inputs/2", "has 3 numbers where row 0 has 2"),
    Row("a short row of weights", put(f"{W}/1", [1, 2]), f"#/{W}/1", "has 2 numbers where row 0 has 3"),
    Row("a short row of targets", put("targets/3", [1]), "#/targets/3", "has 1 number where row 0 has 2"),
    Row("weights as one list", put(W, [1, 2, 3]), f"#/{W}", ROWS_TO_ONE),
    Row("biases as a matrix", put(B, [[1, 2, 3]]), f"#/{B}", "must be a list of numbers, not a matrix"),
    Row("inputs three lists deep", put("inputs", [[[1]]]), "#/inputs/0/0", "must be a number, not a list"),
    Row("inputs 30 lists deep", put("inputs", json.loads("[" * 30 + "]" * 30)), "#/inputs/0/0", "not a list"),
    Row("weights three lists deep", put(W, [[[1]]]), f"#/{W}/0/0", "must be a number, not a list"),
    Row("a number among rows", put("inputs/2", 5), "#/inputs/2", "must be a list of numbers, not a number"),
    Row("null among rows", put(f"{W}/1", None), f"#/{W}/1", "must be a list of numbers, not null"),
    Row("a later row is empty", put("inputs/3", []), "#/inputs/3", "must not be empty"),
    Row("a network of no layers", put("network/layers", []), "#/network/layers", "must not be empty"),
    Row("no activation for any unit", put(f"{LAYER}/activation", []), f"#/{LAYER}/activation", "must not be empty"),
    *(Row(f"{path} is []", put(path, []), f"#/{path}", "must not be empty") for path in ("inputs", "targets", W, B)),
    *(Row(f"{path} is [[]]", put(path, [[]]), f"#/{path}/0", "must not be empty") for path in ("inputs", "targets", W)),
]


def transposed(layout: str, *layers: int) -> Change:
    """The valid request in a layout, with the matrices of these layers the other way round."""

    def change(body: Body) -> str:
        body["network"]["weights_layout"] = layout
        for k, layer in enumerate(body["network"]["layers"]):
            if (layout == "out_in") != (k in layers):
                layer["weights"] = [list(column) for column in zip(*layer["weights"], strict=True)]
        return json.dumps(body)

    return change


AS_OUT_IN = 'It looks transposed; "weights_layout": "out_in" takes matrices as n_out × n_in'
AS_IN_OUT = 'It looks transposed; "weights_layout": "in_out" takes matrices as n_in × n_out'
UNITS = "but the weights lead to 3 units"
FIT = [
    Row("the first matrix is transposed, in_out", transposed("in_out", 0), f"#/{W}", AS_OUT_IN),
    Row("the second matrix is transposed, in_out", transposed("in_out", 1), f"#/{W1}", AS_OUT_IN),
    Row("the first matrix is transposed, out_in", transposed("out_in", 0), f"#/{W}", AS_IN_OUT),
    Row("the second matrix is transposed, out_in", transposed("out_in", 1), f"#/{W1}", AS_IN_OUT),
    Row("five rows over three units", put(W1, [[1, 2]] * 5), f"#/{W1}", "has 5 rows, but layer 0 has 3 units"),
    Row("one row over two inputs", put(W, [[1, 2, 3]]), f"#/{W}", "has 1 row, but the inputs have 2 numbers a sample"),
    Row("a bias too few", put(B, [1, 2]), f"#/{B}", f"has 2 numbers, {UNITS}"),
    Row("a bias too many", put(B, [1] * 4), f"#/{B}", f"has 4 numbers, {UNITS}"),
    *(
        Row(f"{counted} for three units", put(path, names), f"#/{path}", f"has {counted}, {UNITS}")
        for path in (f"{LAYER}/activation",)
        for counted, names in {
            "1 activation": ["tanh"],
            "2 activations": ["tanh"] * 2,
            "4 activations": ["tanh"] * 4,
        }.items()
    ),
]

BATCH_OF_LISTS = "must be one list for each sample, like the outputs"
CLASS = "must be a class index, a whole number from 0 to 1"
IGNORING = {"loss": {"name": "nll", "ignore_index": -100}}
OR_IGNORED = f"{CLASS}, or -100, which is ignored"
NO_MEAN = "must not all be -100, the ignored class: the mean over no samples is undefined"
AVERAGED = {"loss": {"name": "nll", "ignore_index": -100, "reduction": "mean"}}
PAIRS = {"loss": "gaussian_nll"}
ONE_SAMPLE = {"inputs": [1, 2]}
TARGETS: dict[str, tuple[Any, Body, str, str]] = {  # targets, other fields, pointer, words
    "one row for a batch": ([1, 0], {}, "", BATCH_OF_LISTS),
    "a scalar for a batch": (1, {}, "", BATCH_OF_LISTS),
    "rows for one sample": ([[1, 0]], ONE_SAMPLE, "", "must be one list of numbers, like the outputs"),
    "a scalar for one sample": (1, ONE_SAMPLE, "", "must be one list of numbers, like the outputs"),
    "targets of three samples": ([[1, 0]] * 3, {}, "", "has 3 samples, but the inputs have 4"),
    "targets of five samples": ([[1, 0]] * 5, {}, "", "has 5 samples, but the inputs have 4"),
    "targets too narrow": ([[1]] * 4, {}, "", "has 1 number a sample, but the network has 2 outputs"),
    "targets too wide": ([[1] * 3] * 4, {}, "", "has 3 numbers a sample, but the network has 2 outputs"),
    "one sample's targets too wide": ([1, 0, 0], ONE_SAMPLE, "", "has 3 numbers, but the network has 2 outputs"),
    "a negative class": ([0, -1, 1, 0], {"loss": CLASSES}, "/1", CLASS),
    "a class too large": ([0, 1, 1, 2], {"loss": CLASSES}, "/3", CLASS),
    "a fractional class": ([0, 1, 0.5, 0], {"loss": CLASSES}, "/2", CLASS),
    "a class beyond 2^64": ([0, 1, 2**70, 0], {"loss": CLASSES}, "/2", CLASS),
    "a class too large, in a spec": ([0, 1, 1, 2], {"loss": {"name": "nll", "reduction": "mean"}}, "/3", CLASS),
    "true as a class": ([True, 1, 0, 0], {"loss": CLASSES}, "/0", "must be a number, not a boolean"),
    "one-hot rows for classes": ([[1, 0]] * 4, {"loss": CLASSES}, "", "must hold one class index for each sample"),
    "too few classes": ([0, 1, 0], {"loss": CLASSES}, "", "one class index for each of the 4 samples, not 3 numbers"),
    "one class for a batch": (1, {"loss": CLASSES}, "", "one class index for each of the 4 samples, not a number"),
    "one sample's class too large": (2, {"loss": CLASSES, **ONE_SAMPLE}, "", CLASS),
    "one sample's class too large, in a list": ([2], {"loss": CLASSES, **ONE_SAMPLE}, "/0", CLASS),
    "two classes for one sample": ([0, 1], {"loss": CLASSES, **ONE_SAMPLE}, "", "must be one class index, not 2"),
    "a row for one sample's class": ([[1, 0]], {"loss": CLASSES, **ONE_SAMPLE}, "", "does not take rows of numbers"),
    "a class too large beside an ignored one": ([0, -100, 1, 2], IGNORING, "/3", OR_IGNORED),
    "a negative class beside an ignored one": ([0, -100, -1, 1], IGNORING, "/2", OR_IGNORED),
    "a class beside a large ignored one": (
        [0, 1234567, 1, 2],
        {"loss": {"name": "nll", "ignore_index": 1234567}},
        "/3",
        OR_IGNORED.replace("-100", "1234567"),
    ),
    "a fractional class beside an ignored one": ([0.5, -100, 1, 1], IGNORING, "/0", OR_IGNORED),
    "every class ignored, under mean": ([-100] * 4, AVERAGED, "", NO_MEAN),
    "the one class ignored, under mean": (-100, AVERAGED | ONE_SAMPLE, "", NO_MEAN),
    "0 for a hinge": ([[1, -1], [1, 0], [-1, 1], [1, 1]], {"loss": "hinge"}, "/1/1", "must be -1 or 1 for hinge"),
    "0 for one sample's hinge": ([0, 1], {"loss": "hinge", **ONE_SAMPLE}, "/0", "must be -1 or 1 for hinge"),
    "0.5 for a squared hinge": (
        [[1, -1], [1, 1], [-1, 1], [0.5, 1]],
        {"loss": "squared_hinge"},
        "/3/0",
        "must be -1 or 1 for squared_hinge",
    ),
    "a target for each number of a pair": (
        [[1, 0]] * 4,
        PAIRS,
        "",
        "has 2 numbers a sample, but the network has 2 outputs, of which gaussian_nll takes 1 pair",
    ),
    "one sample's target for each number of a pair": (
        [1, 0],
        PAIRS | ONE_SAMPLE,
        "",
        "has 2 numbers, but the network has 2 outputs, of which gaussian_nll takes 1 pair",
    ),
}
ODD = "cannot fit: gaussian_nll takes the outputs in pairs, but the network has 3 outputs"


def spec(name: str, **beside: Any) -> Body:
    """An activation or a loss with parameters."""
    return {"name": name, **beside}


FINITE, POSITIVE = "must be a finite number", "must be a finite number greater than 0"
NOT_NEGATIVE, SHARE = "must be a finite number at least 0", "must be a finite number at least 0 and at most 1"
LABEL = "must be a label of 1 to 64 characters"
ABOVE = "must be greater than min_value, which is"
ACTIVATIONS: dict[str, tuple[Any, str, str]] = {  # activation, pointer, words
    "a misspelt activation": ("sigmiod", "", '"sigmiod" is not known; did you mean "sigmoid"?'),
    "an activation in capitals": ("TANH", "", '"TANH" is not known; did you mean "tanh"?'),
    "an activation like no other": ("zzz", "", '"zzz" is not known; known here: identity, sigmoid, tanh'),
    "a Python attribute for a name": ("__class__", "", '"__class__" is not known'),
    "an empty name": ("", "", '"" is not known'),
    "a name of 100 characters": ("x" * 100, "", f'"{"x" * 60}…" is not known'),
    "a misspelt name in a spec": (spec("rleu"), "/name", '"rleu" is not known; did you mean "relu"?'),
    "a misspelt name for one unit": (["tanh", "tahn", "tanh"], "/1", 'did you mean "tanh"?'),
    "null for one unit": (["tanh", "tanh", None], "/2", "must be the name of an activation, or an object"),
    "a list for one unit": (["tanh", "tanh", ["tanh"]], "/2", "or an object with name and parameters, not a list"),
    "the parameter self": (spec("tanh", self=1), "/self", 'tanh has no parameter "self"'),
    "another's parameter": (spec("relu", alpha=1), "/alpha", 'relu has no parameter "alpha"'),
    "a misspelt parameter": (spec("elu", alpah=1), "/alpah", 'no parameter "alpah"; did you mean "alpha"?'),
    "a bad parameter of one unit": (["tanh", spec("elu", alpha=-1), "tanh"], "/1/alpha", "a finite number at least 0"),
    "a parameter too small": (spec("elu", alpha=-0.5), "/alpha", "must be a finite number at least 0"),
    "a parameter at its open bound": (spec("softplus", beta=0), "/beta", POSITIVE),
    "a temperature of 0": (spec("softmax", temperature=0), "/temperature", POSITIVE),
    "true for a parameter": (spec("leaky_relu", negative_slope=True), "/negative_slope", FINITE),
    "null for a parameter": (spec("leaky_relu", negative_slope=None), "/negative_slope", FINITE),
    "a string for a parameter": (spec("leaky_relu", negative_slope="0.2"), "/negative_slope", FINITE),
    "a list for a parameter": (spec("leaky_relu", negative_slope=[0.2]), "/negative_slope", FINITE),
    "an object for a parameter": (spec("leaky_relu", negative_slope={}), "/negative_slope", FINITE),
    "10^400 for a parameter": (spec("elu", alpha=10**400), "/alpha", FINITE),
    "an unknown word for a parameter": (spec("gelu", approximate="erf"), "/approximate", 'must be "none" or "tanh"'),
    "true for a word": (spec("gelu", approximate=True), "/approximate", 'must be "none" or "tanh"'),
    "a list for a word": (spec("gelu", approximate=["tanh"]), "/approximate", 'must be "none" or "tanh"'),
    "a group of an elementwise one": (spec("tanh", group="a"), "/group", 'tanh has no parameter "group"'),
    "an empty group label": (spec("softmax", group=""), "/group", LABEL),
    "a numeric group label": (spec("softmax", group=3), "/group", LABEL),
    "a null group label": (spec("softmax", group=None), "/group", LABEL),
    "a listed group label": (spec("softmax", group=["a"]), "/group", LABEL),
    "a group label of 65 characters": (spec("softmax", group="x" * 65), "/group", LABEL),
    "a celu with alpha 0": (spec("celu", alpha=0), "/alpha", POSITIVE),
    "a squareplus with b 0": (spec("squareplus", b=0), "/b", POSITIVE),
    "a hard_sigmoid with slope 0": (spec("hard_sigmoid", slope=0), "/slope", "must be a finite number at least 1e-300"),
    "a negative lambda": (spec("soft_shrink", **{"lambda": -0.5}), "/lambda", NOT_NEGATIVE),
    "a negative theta": (spec("thresholded_relu", theta=-1), "/theta", NOT_NEGATIVE),
    "a misspelt lambda": (spec("hard_shrink", lamda=1), "/lamda", 'no parameter "lamda"; did you mean "lambda"?'),
    "a threshold for theta": (spec("thresholded_relu", threshold=1), "/threshold", 'has no parameter "threshold"'),
    "a temperature of sparsemax": (spec("sparsemax", temperature=2), "/temperature", 'has no parameter "temperature"'),
    "hard_tanh from 2 to 2": (spec("hard_tanh", min_value=2, max_value=2), "/max_value", f"{ABOVE} 2"),
    "hard_tanh from 2 to -2": (spec("hard_tanh", min_value=2, max_value=-2), "/max_value", f"{ABOVE} 2"),
    "hard_tanh from 1": (spec("hard_tanh", min_value=1), "/max_value", f"{ABOVE} 1"),
    "hard_tanh up to -1.5": (spec("hard_tanh", max_value=-1.5), "/max_value", f"{ABOVE} -1"),
    "hard_tanh of one unit": (["tanh", spec("hard_tanh", min_value=3), "tanh"], "/1/max_value", f"{ABOVE} 3"),
}
LOSSES: dict[str, tuple[Any, str, str]] = {  # loss, pointer, words
    "a misspelt loss": ("hubre", "", '"hubre" is not known; did you mean "huber"?'),
    "half a loss's name": ("cross_entropy", "", 'did you mean "binary_cross_entropy"?'),
    "a misspelt loss in a spec": (spec("mes"), "/name", '"mes" is not known; did you mean "mse"?'),
    "a delta of 0": (spec("huber", delta=0), "/delta", POSITIVE),
    "a negative delta": (spec("huber", delta=-1), "/delta", POSITIVE),
    "a delta of true": (spec("huber", delta=True), "/delta", POSITIVE),
    "a misspelt delta": (spec("huber", detla=1), "/detla", 'huber has no parameter "detla"; did you mean "delta"?'),
    "the loss parameter self": (spec("mse", self=1), "/self", 'squared_error has no parameter "self"'),
    **{
        f"the reduction {value!r}": (
            spec("mse", reduction=value),
            "/reduction",
            'must be "sum" or "mean" or "batch_mean"',
        )
        for value in ("avg", "Mean", "", None, True, 1, ["sum"])
    },
    **{
        f"the ignore_index {value!r}": (spec("nll", ignore_index=value), "/ignore_index", "must be a whole number")
        for value in (1.5, True, "x", "1", None, [1], 2**70, -1e200)
    },
    "the ignore_index 10^400": (spec("nll", ignore_index=10**400), "/ignore_index", "must be a whole number"),
    "a label_smoothing of 1.5": (spec("cce", label_smoothing=1.5), "/label_smoothing", SHARE),
    "a label_smoothing of -0.1": (spec("cce", label_smoothing=-0.1), "/label_smoothing", SHARE),
    "a tau of -0.1": (spec("pinball", tau=-0.1), "/tau", SHARE),
    "a tau of 1.1": (spec("pinball", tau=1.1), "/tau", SHARE),
    "an alpha of 1.5": (spec("binary_focal", alpha=1.5), "/alpha", SHARE),
    "a negative gamma": (spec("categorical_focal", gamma=-1), "/gamma", NOT_NEGATIVE),
    "a negative pos_weight": (spec("binary_cross_entropy_with_logits", pos_weight=-1), "/pos_weight", NOT_NEGATIVE),
    "a beta of 0": (spec("smooth_l1", beta=0), "/beta", POSITIVE),
    "an epsilon of 0": (spec("mape", epsilon=0), "/epsilon", POSITIVE),
    "a misspelt tau": (spec("quantile", tua=0.5), "/tua", 'quantile has no parameter "tua"; did you mean "tau"?'),
    "label_smoothing of class indices": (spec("nll", label_smoothing=0.1), "/label_smoothing", "has no parameter"),
    "an ignore_index of rows": (spec("cce", ignore_index=1), "/ignore_index", "has no parameter"),
}
CHOICES = (
    ("breakdown", "per_weights", '"per_weights" is not known; did you mean "per_weight"?'),
    ("breakdown", "all", '"all" is not known; known here: per_weight, per_unit, none'),
    ("encoding", "base46", '"base46" is not known; did you mean "base64"?'),
    ("network/weights_layout", "in-out", '"in-out" is not known; did you mean "in_out"?'),
    ("network/weights_layout", "OUT_IN", '"OUT_IN" is not known; did you mean "out_in"?'),
)
RATE = "step/learning_rate"
RATES = [
    *(Row(f"a learning rate of {rate}", put(RATE, rate), f"#/{RATE}", POSITIVE) for rate in (0, -0.0, -0.1)),
    Row("a learning rate of 10^400", put(RATE, 10**400), f"#/{RATE}", FINITE),
    Row("a learning rate in a list", put(RATE, [0.1]), f"#/{RATE}", "must be a number, not a list"),
    Row("a learning rate that is a digit", put(RATE, "1"), f"#/{RATE}", "must be a number, not a string"),
]

GOOD = packed([4, 2])["base64"]
LENGTHS, RANK = "must hold whole numbers greater than 0", "must be a list of 1 or 2 lengths"
NAN, INF = float("nan"), float("inf")
PACKED: dict[str, tuple[Body, str, str]] = {  # inputs, pointer, words
    "base64 with foreign characters": ({"shape": [4, 2], "base64": "!" + GOOD}, "base64", "is not base64"),
    "base64 in the URL's alphabet": ({"shape": [4, 2], "base64": "-_" + GOOD[2:]}, "base64", "is not base64"),
    "base64 without its padding": ({"shape": [4, 2], "base64": GOOD.rstrip("=")}, "base64", "is not base64"),
    "base64 in lines": ({"shape": [4, 2], "base64": GOOD[:76] + "\n" + GOOD[76:]}, "base64", "is not base64"),
    "base64 beyond ASCII": ({"shape": [4, 2], "base64": "é" + GOOD}, "base64", "is not base64"),
    "no text in base64": ({"shape": [4, 2], "base64": ""}, "base64", "holds 0 bytes; the shape [4, 2]"),
    "null for base64": ({"shape": [4, 2], "base64": None}, "base64", "must be a string, not null"),
    "a list for base64": ({"shape": [4, 2], "base64": [1]}, "base64", "must be a string, not a list"),
    "a number too few": (packed([4, 2], range(7)), "base64", "holds 56 bytes; the shape [4, 2] of float64 takes 64"),
    "a number too many": (packed([4, 2], range(9)), "base64", "holds 72 bytes; the shape [4, 2] of float64 takes 64"),
    "half a number": ({"shape": [1, 2], "base64": "AAAAAAAAAAAAAAAA"}, "base64", "holds 12 bytes; the shape [1, 2]"),
    "a shape of 2^124 numbers": (packed([2**62, 2**62]), "base64", "holds 64 bytes; the shape [4611686018427387904"),
    "no shape": ({"base64": GOOD}, "shape", "is required in an array given as base64"),
    "no base64": ({"shape": [4, 2]}, "base64", "is required in an array given as base64"),
    "an extra key": (packed([4, 2], dtype="f8"), "dtype", 'unknown key "dtype"; known here: shape, base64'),
    "a misspelt extra key": (packed([4, 2], shpae=1), "shpae", 'unknown key "shpae"; did you mean "shape"?'),
    "a length of 0": (packed([0, 2]), "shape", LENGTHS),
    "two negative lengths": (packed([-4, -2]), "shape", LENGTHS),
    "a length of true": (packed([True, 8]), "shape", LENGTHS),
    "a length of 4.0": (packed([4.0, 2]), "shape", LENGTHS),
    "a length that is a string": (packed(["4", 2]), "shape", LENGTHS),
    "a length beyond 2^64": (packed([10**30, 2]), "shape", LENGTHS),
    "a shape that is null": (packed(None), "shape", RANK),
    "a shape that is a number": (packed(8), "shape", RANK),
    "a shape that is a string": (packed("42"), "shape", RANK),
    "an empty shape": (packed([]), "shape", RANK),
    "a shape of rank 3": (packed([2, 2, 2]), "shape", RANK),
    "NaN in base64": (packed([4, 2], [*range(5), NAN, 6, 7]), "base64", "element [2, 1] is not a finite number"),
    "infinity in base64": (packed([4, 2], [*range(6), INF, 7]), "base64", "element [3, 0] is not a finite number"),
}

# Keys that a URI fragment cannot hold as they are: RFC 6901, section 6.
POINTERS = {
    "a/b": "#/a~1b",
    "a~b": "#/a~0b",
    "~1": "#/~01",
    "100%": "#/100%25",
    "a b": "#/a%20b",
    'say "x"': "#/say%20%22x%22",
    "größe": "#/gr%C3%B6%C3%9Fe",
    "∂E": "#/%E2%88%82E",
    "a#b": "#/a%23b",
    "back\\slash": "#/back%5Cslash",
    "": "#/",
    "0": "#/0",
    "a.b": "#/a.b",
}
STEP_WITH_SCHEMA = put("step", {"learning_rate": 1, "_schema": 1})
SCHEMA_KEYS = [  # marshmallow keeps complaints about a whole object under this name
    Row("the key _schema", with_key("", "_schema"), "#/_schema", 'unknown key "_schema"'),
    Row("the key _schema in network", with_key("network", "_schema"), "#/network/_schema", "unknown key"),
    Row("the key _schema in a layer", with_key(LAYER, "_schema"), f"#/{LAYER}/_schema", "unknown key"),
    Row("the key _schema in step", STEP_WITH_SCHEMA, "#/step/_schema", "unknown key"),
    Row("the key _schema in a loss", put("loss", spec("mse", _schema=1)), "#/loss/_schema", "no parameter"),
    Row("the key _schema in an array", put("inputs", packed([4, 2], _schema=1)), "#/inputs/_schema", "unknown key"),
]

NO_OBJECTS = ("null", "true", "5", '"network"', "[]", "[{}]", "1e400", "[[[[]]]]")

ROWS = [
    *MISSING,
    *WRONG_TYPES,
    *UNKNOWN,
    *ELEMENTS,
    *SHAPES,
    *FIT,
    *(Row(m, put("targets", t, **more), f"#/targets{p}", words) for m, (t, more, p, words) in TARGETS.items()),
    *(
        Row(m, put(f"{LAYER}/activation", value), f"#/{LAYER}/activation{p}", words)
        for m, (value, p, words) in ACTIVATIONS.items()
    ),
    *(Row(m, put("loss", value), f"#/loss{p}", words) for m, (value, p, words) in LOSSES.items()),
    *(Row(f"{path} is {word}", put(path, word), f"#/{path}", words) for path, word, words in CHOICES),
    *RATES,
    *(Row(m, put("inputs", value), f"#/inputs/{key}", words) for m, (value, key, words) in PACKED.items()),
    Row("weights of rank 1 in base64", put(W, packed([6], range(6))), f"#/{W}/shape", "must be a list of 2 lengths"),
    Row(
        "0 for a hinge in base64",
        put("targets", packed([4, 2], [1, -1, 1, 0, -1, 1, 1, 1]), loss="hinge"),
        "#/targets/base64",
        "element [1, 1] must be -1 or 1 for hinge",
    ),
    Row("targets of rank 1 in base64", put("targets", packed([8])), "#/targets", BATCH_OF_LISTS),
    Row("an odd number of outputs for pairs", put(W1, [[1, 2, 3]] * 3, **PAIRS), "#/targets", ODD),
    *(Row(f"the key {key!r}", with_key("", key), p, f'unknown key "{key}"') for key, p in POINTERS.items()),
    Row("a key of 100 characters", with_key("", "x" * 100), "#/" + "x" * 100, f'unknown key "{"x" * 60}…"'),
    *SCHEMA_KEYS,
    *(Row(f"the body {text}", lambda _, text=text: text, "#", "must be an object") for text in NO_OBJECTS),
]


# Not JSON.

TEXT = json.dumps(VALID)
NOT_JSON: dict[str, tuple[str | bytes, str]] = {
    "NaN": ('{"inputs": [1,\n NaN]}', "line 2, column 2: NaN is not JSON"),
    "Infinity": ('{"inputs": [Infinity]}', "line 1, column 13: Infinity is not JSON"),
    "-Infinity": ('{"inputs": [-Infinity]}', "line 1, column 13: -Infinity is not JSON"),
    "NaN after an umlaut": ('{"ü": NaN}', "line 1, column 7: NaN is not JSON"),
    "a trailing comma in a list": ('{"inputs": [1, 2,]}', "line 1, column 17: trailing comma"),
    "a trailing comma in an object": ('{"inputs": 1,\n}', "line 1, column 13: trailing comma"),
    "single quotes": ("{'inputs': 1}", "line 1, column 2: strings and keys are written in double quotes"),
    "a key without quotes": ("{inputs: 1}", "line 1, column 2"),
    "a comment in C": ('{"inputs": 1 /* one */}', "line 1, column 14"),
    "a comment in C++": ('// a network\n{"inputs": 1}', "line 1, column 1"),
    "a comment in Python": ('{"inputs": 1}\n# one', "line 2, column 1"),
    "a truncated document": (TEXT[:40], "line 1, column 41: unexpected end of data"),
    "a truncated string": ('{"inputs', "line 1, column"),
    "an empty body": ("", "the body is empty"),
    "a body of spaces": (" \n\t\r\n", "the body is empty"),
    "a leading zero": ('{"inputs": [01]}', "line 1, column 13: number with leading zero"),
    "a leading plus": ("[+1]", "line 1, column 2"),
    "a leading dot": ("[.5]", "line 1, column 2"),
    "a trailing dot": ("[5.]", "line 1, column 4"),
    "hexadecimal": ("[0x10]", "line 1, column 3"),
    "underscores": ("[1_000]", "line 1, column 3"),
    "Python's True": ('{"verify": True}', "line 1, column 12"),
    "undefined": ('{"verify": undefined}', "line 1, column 12"),
    "two documents": ("{}\n{}", "line 2, column 1"),
    "a line break in a string": ('{"loss": "mse\n"}', "line 1, column"),
    "an unknown escape": (r'{"loss": "\x41"}', "line 1, column"),
    "a form instead": ("inputs=1&targets=2", "line 1, column 1"),
    "a NUL byte": (b"\0", "line 1, column 1"),
    "a byte order mark": (codecs.BOM_UTF8 + TEXT.encode(), "line 1, column 1: UTF-8 byte order mark (BOM)"),
    "Latin-1 on the third line": (b'{\n "a": 1,\n "b": "\xfc"}', "line 3, byte 8: the byte 0xfc is not UTF-8"),
    "a bad byte after an umlaut": (
        '{"ü": "'.encode() + b'\xff"}',
        "line 1, byte 9: the byte 0xff is not UTF-8",
    ),
    "an overlong encoding": (b'"\xc0\xaf"', "line 1, byte 2: the byte 0xc0 is not UTF-8"),
    "a surrogate in UTF-8": (b'"\xed\xa0\x80"', "line 1, byte 2: the byte 0xed is not UTF-8"),
    "UTF-16 with a mark": (TEXT.encode("utf-16"), "line 1, byte 1: the byte 0xff is not UTF-8"),
    "UTF-16 without a mark": (TEXT.encode("utf-16-le"), "line 1, column 2"),
    "a key twice": ('{"inputs": 1, "inputs": 2}', 'at #: the key "inputs" is given twice'),
    "an equal value twice": ('{"inputs": 1, "inputs": 1}', 'at #: the key "inputs" is given twice'),
    "an escaped key twice": (r'{"a": 1, "\u0061": 2}', 'at #: the key "a" is given twice'),
    "a key of a layer twice": (
        TEXT.replace('"biases"', '"weights"'),
        'at #/network/layers/0: the key "weights" is given twice',
    ),
    "a key of the last layer twice": (
        TEXT.replace('"activation": "identity"', '"activation": "identity", "activation": "tanh"'),
        'at #/network/layers/1: the key "activation" is given twice',
    ),
    "a key of an activation twice": (
        TEXT.replace('"tanh"', '["tanh", "tanh", {"name": "elu", "alpha": 1, "alpha": 2}]'),
        'at #/network/layers/0/activation/2: the key "alpha" is given twice',
    ),
    "a key twice under an odd one": ('{"a/b~c %": {"x": 1, "x": 2}}', "at #/a~1b~0c%20%25: the key"),
    "a key twice beside 1e400": ('{"a": 1e400, "b": {"x": 1, "x": 2}}', 'at #/b: the key "x" is given twice'),
    "NaN after 1e400": (TEXT.replace("0.1", "1e400").replace("0.5", "NaN"), "at #/network/layers/0/weights/1/1: NaN"),
    "-Infinity after 1e400": ("[1e400, -Infinity]", "at #/1: -Infinity is not JSON"),
    "a trailing comma after 1e400": ("[0,\n1e400,]", "line 2, column "),
    "bad UTF-8 after 1e400": (b'[1e400,\n "\xff"]', "line 2, byte 3: the byte 0xff is not UTF-8"),
}
