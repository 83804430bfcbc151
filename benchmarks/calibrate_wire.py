"""The constants for reading requests and writing answers, for benchmarks/calibrate.py."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.least import cold, digits, least
from schemas.checks import CheckRequestSchema
from schemas.fields.arrays import as_base64
from schemas.fields.kinds import array_members
from schemas.gradients import GradientRequestSchema
from schemas.gradients_answer import answer
from schemas.records import weight_records
from service.api.computing import compute
from service.encoding.codec import decode, encode

Numbers = dict[str, float]
SCHEMA = GradientRequestSchema()
ARRAYS = array_members(CheckRequestSchema())
LAYERS = 33


def wire_rates() -> dict[str, Numbers]:
    """All constants of this module."""
    return {**_requests(), **_reading(), **_writing()}


def coldness() -> float:
    """How many times longer a small request takes after other work than in a loop."""
    handled = _handled(_body(2))
    return cold(handled) / least(handled)


def _body(layers: int, activation: Any = "tanh", units: int = 1) -> dict[str, Any]:
    first = {"weights": [[0.5] * units], "activation": activation, "biases": [0.5] * units}
    others = [{"weights": [[0.5]], "activation": "tanh", "biases": [0.5]}] * (layers - 1)
    return {
        "network": {"layers": [first, *others]},
        "inputs": [0.5],
        "targets": [0.5] * (units if layers == 1 else 1),
        "breakdown": "per_unit",
    }


def _handled(document: dict[str, Any]) -> Callable[[], Any]:
    """The time of a request without its arithmetic."""
    body = json.dumps(document).encode()
    asked = SCHEMA.load(decode(body))
    computed = compute(asked)
    return lambda: (SCHEMA.load(decode(body, ARRAYS)), encode(answer(asked, computed)))


def _requests() -> dict[str, Numbers]:
    """The smallest request, each further layer, and each unit with a separate activation."""
    one, many = least(_handled(_body(1))), least(_handled(_body(LAYERS)))
    layer = (many - one) / (LAYERS - 1)
    specs = [{"name": "leaky_relu", "negative_slope": 0.25}] * 400
    unit = (least(_handled(_body(1, specs, 400))) - one) / 400
    return {
        "request": {"call": round(one - layer)},
        "request_layer": {"call": round(layer)},
        "unit": {"call": round(unit)},
    }


def _reading() -> dict[str, Numbers]:
    """A byte of JSON and a number of it, by the fast reader; a number by the slow one; base64."""
    random = np.random.default_rng(1)
    rows = random.normal(size=(200, 300))
    long, short = json.dumps({"inputs": rows.tolist()}).encode(), json.dumps({"inputs": [[1] * 300] * 200}).encode()
    by_long, by_short = (least(partial(decode, body, ARRAYS)) for body in (long, short))
    byte = max((by_long - by_short) / (len(long) - len(short)), 0.1)
    number = max((by_short - byte * len(short)) / rows.size, 0.1)
    field = SCHEMA.fields["inputs"]
    listed = least(lambda: field.deserialize(decode(long)["inputs"])) - byte * len(long)
    packed = as_base64(rows)
    text = json.dumps({"inputs": packed}).encode()
    base64 = least(lambda: field.deserialize(decode(text)["inputs"])) / len(text)
    return {
        "json_byte": {"number": digits(byte)},
        "array_number": {"number": digits(number)},
        "listed_number": {"number": digits(max(listed / rows.size - number, 0.1))},
        "base64_byte": {"number": digits(base64)},
    }


def _writing() -> dict[str, Numbers]:
    """Numbers of an array as JSON, again as a copy, as base64, of lists; records."""
    random = np.random.default_rng(2)
    array, other = random.normal(size=(200, 300)), random.normal(size=(200, 300))
    once = least(lambda: encode({"x": array}))
    twice = least(lambda: encode({"x": array, "y": array})) - once
    base64 = least(lambda: encode(as_base64({"x": array})))
    listed = least(lambda: encode({"x": other.tolist()}))
    call, number = _records()
    return {
        "written_json": {"number": digits(once / array.size)},
        "copied_json": {"number": digits(max(twice, 1.0) / array.size)},
        "written_base64": {"number": digits(base64 / array.size)},
        "listed_json": {"number": digits(listed / array.size)},
        "record": {"call": digits(call), "number": digits(number)},
    }


def _records() -> tuple[float, float]:
    """A record, and a byte of its text: from records of one sample, and of a batch.

    Its answer is 30 MB long: the system takes time for the memory of long texts, too.
    """
    (few, few_bytes), (many, many_bytes) = map(_written_records, (1, 60))
    byte = (many - few) / (many_bytes - few_bytes)
    return max(few / 10_000 - byte * few_bytes / 10_000, 10.0), max(byte, 0.01)


def _written_records(samples: int) -> tuple[float, int]:
    """Nanoseconds and bytes of 10,000 records."""
    random = np.random.default_rng(3)
    layer = {"weights": random.normal(size=(100, 100)).tolist(), "activation": "tanh"}
    rows = random.normal(size=(samples, 100)).tolist()
    asked = SCHEMA.load({"network": {"layers": [layer]}, "inputs": rows, "targets": rows})
    (gradient,) = compute(asked).result.layers
    do_da = gradient.do_da.array()

    def write() -> bytes:
        return encode({"weights": weight_records(gradient, do_da, samples == 1)})

    return least(write), len(write())
