"""Bodies of hostile requests: small on the wire, and as costly as possible."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from service.encoding.content_codings import CODINGS

Body = Callable[[], bytes]  # made when it is needed: some are 32 MB

MOST = 32 * 2**20  # bytes of a body by default


def gradients(layers: list[dict[str, Any]], samples: int, loss: str = "half_squared_error", **members: Any) -> Body:
    """A request with a batch of zeros, or with one sample without a sample axis if `samples` is 0."""

    def made() -> bytes:
        n_in, n_out = len(layers[0]["weights"]), len(layers[-1]["weights"][0])
        inputs, targets = [0] * n_in, [0] * n_out
        batch = {"inputs": [inputs] * samples, "targets": [targets] * samples} if samples else {}
        asked = {"network": {"layers": layers}, "inputs": inputs, "targets": targets, "loss": loss}
        return _written(asked | batch | members)

    return made


def chain(activation: Any, units: int, layers: int, weight: float = 0.5) -> list[dict[str, Any]]:
    """A network of equal layers."""
    return [{"activation": activation, "weights": [[weight] * units] * units}] * layers


def wide(activation: Any, units: int, inputs: int = 1, weight: float = 0.5) -> dict[str, Any]:
    """A network with one wide layer."""
    return {"activation": activation, "weights": [[weight] * units] * inputs}


def groups(name: str, units: int) -> list[dict[str, str]]:
    """A layer in which every unit is a group of its own."""
    return [{"name": name, "group": f"{unit}"} for unit in range(units)]


def candidate(layers: list[dict[str, Any]], value: float = 1.0) -> dict[str, Any]:
    """Wrong gradients of a client, for which every known mistake is replayed."""
    return {"layers": [{"dE_dw": [[value] * len(row) for row in layer["weights"]]} for layer in layers]}


def checks(layers: list[dict[str, Any]], samples: int, loss: str = "half_squared_error", **members: Any) -> Body:
    """A gradient check with mistakes everywhere. The inputs of one layer vary, so that all replays differ."""
    return gradients(layers, samples, loss, candidate=candidate(layers), **members)


def explained(layers: list[dict[str, Any]], samples: int = 0, **members: Any) -> Body:
    """The explanation of the deepest derivative."""
    weight = {"layer": 0, "from": 0, "to": 0}
    return gradients(layers, samples, weight=weight, **members)


def unknown_names(layers: int) -> Body:
    """Layers whose names are nearly those of activations."""
    return lambda: _written(
        {"network": {"layers": [{"activation": f"sigmoid{n}", "weights": [[1]]} for n in range(layers)]}}
    )


def document(inputs: str, weights: str = '"weights": [[1.0]]', more: str = "") -> Body:
    """The smallest request, with these pieces of JSON added."""
    layer = f'{{"activation": "tanh", {weights}}}'
    return f'{{"network": {{"layers": [{layer}]}}, "targets": [[1.0], [1.0]], "inputs": {inputs}{more}}}'.encode


def inputs(text: str) -> Body:
    """The smallest network, with this JSON as inputs."""
    network = '{"network": {"layers": [{"activation": "tanh", "weights": [[1.0]]}]}, "targets": [1.0], "inputs": '
    return f"{network}{text}}}".encode


def repeated(piece: str, before: str = "", after: str = "", size: int = MOST - 1024) -> Body:
    """Inputs of almost 32 MB that repeat one piece."""

    def made() -> bytes:
        return inputs(before + piece * (size // len(piece)) + after)()

    return made


def padded(body: Body, size: int = 5000) -> Body:
    """The same document with white space behind it."""
    return lambda: body().ljust(size)


def _written(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def coded(body: bytes, coding: str | None) -> bytes:
    """The body, encoded with this Content-Encoding."""
    return body if coding is None else CODINGS[coding].compress(body)


def chunked(body: bytes, size: int) -> Iterable[bytes]:
    """The body in chunks of `size` bytes, joined to pieces of some megabytes."""
    pieces = (body[at : at + size] for at in range(0, len(body), size))
    batch: list[bytes] = []
    for piece in pieces:
        batch.append(b"%x\r\n%b\r\n" % (len(piece), piece))
        if len(batch) == 100_000:
            yield b"".join(batch)
            batch.clear()
    yield b"".join(batch) + b"0\r\n\r\n"
