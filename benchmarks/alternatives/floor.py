"""The minimal work, without checks: the fastest parser, bare NumPy, the fastest writer.

As a WSGI application under gunicorn it is the floor of a framework; `floor_socket` serves it without one.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import orjson
import pybase64
import simdjson

from benchmarks.alternatives.answer import document
from benchmarks.alternatives.bare_numpy import Given, gradients

_SMALL = 4096  # bytes; in smaller bodies, lists are faster than buffers


class _Texts:
    """Writes arrays as JSON, each once: one layer's da_dw is the o of the layer below."""

    def __init__(self) -> None:
        self._written: dict[
            int, tuple[np.ndarray, orjson.Fragment]
        ] = {}  # the array is kept, too, so that its id is not reused

    def __call__(self, array: np.ndarray) -> orjson.Fragment:
        if id(array) not in self._written:
            text = orjson.dumps(np.ascontiguousarray(array), option=orjson.OPT_SERIALIZE_NUMPY)
            self._written[id(array)] = array, orjson.Fragment(text)
        return self._written[id(array)][1]


def answer(body: bytes) -> bytes:
    """The answer to a request, which must be valid: nothing is checked."""
    if len(body) < _SMALL:
        asked, read = orjson.loads(body), np.array
    else:
        asked, read = simdjson.Parser().parse(body), _from_buffer
    layers = asked["network"]["layers"]
    network = [Given(layer["activation"], read(layer["weights"]), read(layer["biases"])) for layer in layers]
    inputs, targets = read(asked["inputs"]), read(asked["targets"])
    one_sample = inputs.ndim == 1
    parts, losses, dE_dx = gradients(network, np.atleast_2d(inputs), np.atleast_2d(targets))
    if asked["encoding"] == "base64":
        write: Any = _packed
    else:
        write = np.ascontiguousarray if one_sample else _Texts()
    found = document(parts, losses, dE_dx, asked["breakdown"], one_sample, write)
    return orjson.dumps(found, option=orjson.OPT_SERIALIZE_NUMPY)


def _from_buffer(value: Any) -> np.ndarray:
    if isinstance(value, simdjson.Object):
        return np.frombuffer(pybase64.b64decode(value["base64"])).reshape(value["shape"].as_list())
    flat = np.frombuffer(value.as_buffer(of_type="d"))
    return flat.reshape(len(value), -1) if isinstance(value[0], simdjson.Array) else flat


def _packed(array: np.ndarray) -> dict[str, Any]:
    return {"shape": array.shape, "base64": pybase64.b64encode_as_string(np.ascontiguousarray(array).data)}


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The WSGI application."""
    content = answer(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(content)))])
    return [content]
