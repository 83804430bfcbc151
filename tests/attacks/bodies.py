"""The bodies of hostile requests: small on the wire, and as costly as they can be."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from service.encoding.content_codings import CODINGS

Body = Callable[[], bytes]  # made when it is needed: some are 32 MB

MOST = 32 * 2**20  # bytes of a body by default


def gradients(layers: list[dict[str, Any]], samples: int, loss: str = "half_squared_error", **members: Any) -> Body:
    """A request over a batch of zeros; of one sample without an axis where `samples` is 0."""

    def made() -> bytes:
        n_in, n_out = len(layers[0]["weights"]), len(layers[-1]["weights"][0])
        inputs, targets = [0] * n_in, [0] * n_out
        batch = {"inputs": [inputs] * samples, "targets": [targets] * samples} if samples else {}
        asked = {"network": {"layers": layers}, "inputs": inputs, "targets": targets, "loss": loss}
        return _written(asked | batch | members)

    return made


def chain(activation: Any, units: int, layers: int, weight: float = 0.5) -> list[dict[str, Any]]:
    """So many layers, all alike."""
    return [{"activation": activation, "weights": [[weight] * units] * units}] * layers


def wide(activation: Any, units: int, inputs: int = 1, weight: float = 0.5) -> dict[str, Any]:
    """One wide layer."""
    return {"activation": activation, "weights": [[weight] * units] * inputs}


def groups(name: str, units: int) -> list[dict[str, str]]:
    """Every unit of a layer as a group of its own."""
    return [{"name": name, "group": f"{unit}"} for unit in range(units)]


def candidate(layers: list[dict[str, Any]], value: float = 1.0) -> dict[str, Any]:
    """Gradients of a client's own, which are wrong: every known mistake is replayed."""
    return {"layers": [{"dE_dw": [[value] * len(row) for row in layer["weights"]]} for layer in layers]}


def checks(layers: list[dict[str, Any]], samples: int, loss: str = "half_squared_error", **members: Any) -> Body:
    """A gradient check that finds a mistake everywhere. One layer's inputs vary, so that no replay is like another."""
    return gradients(layers, samples, loss, candidate=candidate(layers), **members)


def explained(layers: list[dict[str, Any]], samples: int = 0, **members: Any) -> Body:
    """The derivation of the derivative that lies deepest."""
    weight = {"layer": 0, "from": 0, "to": 0}
    return gradients(layers, samples, weight=weight, **members)


def unknown_names(layers: int) -> Body:
    """Layers, each with a name that is nearly an activation's."""
    return lambda: _written(
        {"network": {"layers": [{"activation": f"sigmoid{n}", "weights": [[1]]} for n in range(layers)]}}
    )


def document(inputs: str, weights: str = '"weights": [[1.0]]', more: str = "") -> Body:
    """The smallest request, with these pieces of JSON in it."""
    layer = f'{{"activation": "tanh", {weights}}}'
    return f'{{"network": {{"layers": [{layer}]}}, "targets": [[1.0], [1.0]], "inputs": {inputs}{more}}}'.encode


def inputs(text: str) -> Body:
    """The smallest network, with this JSON as its inputs."""
    network = '{"network": {"layers": [{"activation": "tanh", "weights": [[1.0]]}]}, "targets": [1.0], "inputs": '
    return f"{network}{text}}}".encode


def repeated(piece: str, before: str = "", after: str = "", size: int = MOST - 1024) -> Body:
    """Inputs of almost 32 MB, of one piece over and over."""

    def made() -> bytes:
        return inputs(before + piece * (size // len(piece)) + after)()

    return made


def padded(body: Body, size: int = 5000) -> Body:
    """The same with white space behind it."""
    return lambda: body().ljust(size)


def _written(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def coded(body: bytes, coding: str | None) -> bytes:
    """The body as this Content-Encoding has it."""
    return body if coding is None else CODINGS[coding].compress(body)


def chunked(body: bytes, size: int) -> Iterable[bytes]:
    """The body in chunks of so many bytes, some megabytes at a time."""
    pieces = (body[at : at + size] for at in range(0, len(body), size))
    batch: list[bytes] = []
    for piece in pieces:
        batch.append(b"%x\r\n%b\r\n" % (len(piece), piece))
        if len(batch) == 100_000:
            yield b"".join(batch)
            batch.clear()
    yield b"".join(batch) + b"0\r\n\r\n"
