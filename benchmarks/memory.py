"""The memory that the largest requests of each kind take: `python -m benchmarks.memory`.

Each is answered in a process of its own. The peak is what the process held at most while it did, above what it held
before: body, numbers, answer and all between.
"""

import base64
import contextlib
import itertools
import json
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np

from service.app import create_app
from service.configuration.settings import read_settings
from tests.serving import REQUEST, post, serving

MEGA = 2**20
CLIENTS = 8


def network(*widths: int, activation: Any = "tanh", breakdown: str = "none", **more: Any) -> dict[str, Any]:
    """A request for one sample; `batch` gives it more."""
    rng = np.random.default_rng(0)
    layers = [
        {"activation": activation, "weights": rng.normal(0, 0.1, (n_in, n_out)).tolist(), "biases": [0.5] * n_out}
        for n_in, n_out in itertools.pairwise(widths)
    ]
    return {"network": {"layers": layers}, "breakdown": breakdown, **more} | batch(1, widths[0], widths[-1])


def batch(samples: int, n_in: int, n_out: int) -> dict[str, Any]:
    """Inputs and targets."""
    rng = np.random.default_rng(1)
    return {"inputs": rng.normal(size=(samples, n_in)).tolist(), "targets": rng.normal(size=(samples, n_out)).tolist()}


def packed(array: list[Any]) -> dict[str, Any]:
    """An array as base64 of its bytes."""
    data = np.asarray(array, "<f8")
    return {"shape": data.shape, "base64": base64.b64encode(data.tobytes()).decode()}


def in_base64(request: dict[str, Any]) -> dict[str, Any]:
    """The same request with all arrays packed, both ways."""
    layers = [
        layer | {"weights": packed(layer["weights"]), "biases": packed(layer["biases"])}
        for layer in request["network"]["layers"]
    ]
    arrays = {name: packed(request[name]) for name in ("inputs", "targets")}
    return request | {"network": {"layers": layers}, "encoding": "base64"} | arrays


KINDS: dict[str, Callable[[], bytes]] = {
    "the smallest": lambda: _json(REQUEST),
    "32 MB of numbers, no breakdown": lambda: _json(network(600, 600, 600) | batch(700, 600, 600)),
    "32 MB of numbers, per unit": lambda: _json(network(600, 600, 600, breakdown="per_unit") | batch(700, 600, 600)),
    "deep and narrow, as many samples as allowed": lambda: _json(
        network(*[3] * 65, breakdown="none") | batch(16_384, 3, 3)
    ),
    "as many units and samples as allowed": lambda: _json(network(4, *[60] * 4, 4) | batch(16_000, 4, 4)),
    "records of weights": lambda: _json(network(100, 200, 40, breakdown="per_weight") | batch(38, 100, 40)),
    "records of weights of one sample": lambda: _json(network(500, 800, 10, breakdown="per_weight")),
    "records to a softmax": lambda: _json(network(100, 170, activation="softmax", breakdown="per_weight")),
    "Jacobians of a softmax": lambda: _json(
        network(8, 128, activation="softmax", breakdown="per_unit") | batch(400, 8, 128)
    ),
    "Jacobian of the widest softmax": lambda: _json(network(2, 2800, activation="softmax", breakdown="per_unit")),
    "base64, 32 MB": lambda: _json(in_base64(network(1000, 1000, 1000, 40) | batch(1000, 1000, 40))),
    "base64, one sample": lambda: _json(in_base64(network(1240, 1240, 1240))),
    "verified": lambda: _json(network(40, 40, verify=True) | batch(250, 40, 40)),
    "hostile: empty lists": lambda: b'{"inputs": [' + b"[]," * 990_000 + b"[]]}",
    "hostile: short strings": lambda: b'{"inputs": [' + b'"a",' * 990_000 + b'"a"]}',
    "hostile: members": lambda: b"{" + b",".join(b'"%x":1' % i for i in range(990_000)) + b"}",
    "hostile: brackets that close": lambda: b'{"inputs": [' + b"]" * (32 * MEGA - 20) + b"}",
    "hostile: digits": lambda: b'{"inputs": [' + b"1," * (16 * MEGA - 20) + b"1]}",
    "hostile: numbers of three digits": lambda: b'{"inputs": [' + b"999," * (8 * MEGA - 20) + b"1]}",
    "hostile: fractions": lambda: b'{"inputs": [[' + b"1.5," * (8 * MEGA - 20) + b"1]]}",
    "hostile: two columns": lambda: b'{"inputs": [' + b"[1.5,2.5]," * 990_000 + b"[1,2]]}",
    "hostile: one number": lambda: b'{"inputs": [' + b"1" * (32 * MEGA - 20) + b"]}",
    "hostile: one string": lambda: b'{"inputs": "' + b"\xc3\xa9" * (16 * MEGA - 20) + b'"}',
}


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()


def main() -> None:
    """Print both tables; with words, the first of the kinds whose names have one of them."""
    _one_by_one()
    if len(sys.argv) == 1:
        _together()


def _one_by_one() -> None:
    print("| request | MB body | MB answer | status | s | MB peak |\n|---|---|---|---|---|---|")
    for kind in KINDS:
        if len(sys.argv) == 1 or any(word in kind for word in sys.argv[1:]):
            process = multiprocessing.get_context("spawn").Process(target=_measure, args=(kind,))
            process.start()
            process.join()


def _measure(kind: str) -> None:
    body = KINDS[kind]()
    client = create_app(read_settings()).test_client()
    client.post("/v1/gradients", json=REQUEST)  # what is made once is made
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew (proc(5))
    before, start = _resident("VmRSS"), time.perf_counter()
    response = client.post("/v1/gradients", data=body, content_type="application/json")
    seconds, peak = time.perf_counter() - start, _resident("VmHWM") - before
    sizes = f"{len(body) / MEGA:.1f} | {len(response.data) / MEGA:.1f}"
    print(f"| {kind} | {sizes} | {response.status_code} | {seconds:.2f} | {peak:.0f} |", flush=True)
    if response.status_code != 200:
        print("", response.get_json(force=True)["detail"][:200])


def _together() -> None:
    """One worker under clients that all send it what takes most."""
    print("\n| at a time | clients | answers | MB idle | MB peak |\n|---|---|---|---|---|")
    for concurrency in (1, 2, 4):
        with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "log", CONCURRENCY=concurrency) as server:
            (worker,) = server.workers
            idle = _resident("VmRSS", worker)
            statuses = Counter(_post_all(server.port, KINDS["hostile: fractions"](), CLIENTS))
            told = ", ".join(f"{count} × {status}" for status, count in statuses.items())
            print(f"| {concurrency} | {CLIENTS} | {told} | {idle:.0f} | {_resident('VmHWM', worker):.0f} |", flush=True)


def _post_all(port: int, body: bytes, clients: int) -> list[int]:
    """Statuses of as many answers as there are clients, three of each."""

    def client(_: int) -> list[int]:
        with contextlib.closing(HTTPConnection("127.0.0.1", port, timeout=120)) as connection:
            return [post(connection, body)[0] for _ in range(3)]

    with ThreadPoolExecutor(clients) as pool:
        return list(itertools.chain(*pool.map(client, range(clients))))


def _resident(name: str, process: int | str = "self") -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


if __name__ == "__main__":
    main()
