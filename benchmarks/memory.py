"""The memory that large requests of each kind take: `python -m benchmarks.memory`.

Each request is answered in a separate process. The peak is the largest memory of the process minus its memory before
the request: body, numbers, answer and everything in between.
"""

import base64
import itertools
import json
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from service.app import create_app
from service.configuration.settings import read_settings
from tests.attacks.arena import arena
from tests.attacks.witness import witness
from tests.serving import REQUEST, Server, post

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
    """The same request with all arrays as base64, in the answer, too."""
    layers = [
        layer | {"weights": packed(layer["weights"]), "biases": packed(layer["biases"])}
        for layer in request["network"]["layers"]
    ]
    arrays = {name: packed(request[name]) for name in ("inputs", "targets")}
    return request | {"network": {"layers": layers}, "encoding": "base64"} | arrays


KINDS: dict[str, Callable[[], bytes]] = {
    "the smallest": lambda: _json(REQUEST),
    "numbers as JSON, no breakdown": lambda: _json(network(600, 600, 600) | batch(300, 600, 600)),
    "numbers as JSON, per unit": lambda: _json(network(600, 600, 600, breakdown="per_unit") | batch(300, 600, 600)),
    "numbers as base64, no breakdown": lambda: _json(in_base64(network(1000, 1000, 1000, 40) | batch(1000, 1000, 40))),
    "a wide layer and many samples": lambda: _json(network(4, 240, 4) | batch(16_000, 4, 4)),
    "records of weights, one sample": lambda: _json(network(500, 800, 10, breakdown="per_weight")),
    "records of weights, 38 samples": lambda: _json(network(100, 200, 40, breakdown="per_weight") | batch(38, 100, 40)),
    "Jacobians of a softmax": lambda: _json(
        network(8, 128, activation="softmax", breakdown="per_unit") | batch(200, 8, 128)
    ),
    "verified": lambda: _json(network(40, 40, verify=True) | batch(250, 40, 40)),
    "refused: 32 MB of empty lists": lambda: _filled(b"[],"),
    "refused: 32 MB of short strings": lambda: _filled(b'"a",'),
    "refused: 32 MB of brackets that close": lambda: _filled(b"]"),
    "refused: 32 MB of digits": lambda: _filled(b"1,"),
    "refused: 32 MB of fractions": lambda: _filled(b"1.5,"),
    "refused: one number of 32 MB": lambda: _filled(b"1"),
    "refused: one string of 32 MB": lambda: b'{"inputs": "' + b"\xc3\xa9" * (16 * MEGA - 20) + b'"}',
}


def _filled(piece: bytes) -> bytes:
    """Inputs of almost 32 MB that repeat one piece."""
    return b'{"inputs": [' + piece * ((32 * MEGA - 100) // len(piece)) + b"1]}"


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()


def main() -> None:
    """Print both tables. With words as arguments, print only the kinds of the first whose names contain one."""
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
    client.post("/v1/gradients", json=REQUEST)  # so that one-time work is done
    Path("/proc/self/clear_refs").write_text("5")  # reset the peak (proc(5))
    before, start = _resident("VmRSS"), time.perf_counter()
    response = client.post("/v1/gradients", data=body, content_type="application/json")
    seconds, peak = time.perf_counter() - start, _resident("VmHWM") - before
    sizes = f"{len(body) / MEGA:.1f} | {len(response.data) / MEGA:.1f}"
    print(f"| {kind} | {sizes} | {response.status_code} | {seconds:.2f} | {peak:.0f} |", flush=True)
    if response.status_code != 200:
        print("", response.get_json(force=True)["detail"][:200])


def _together() -> None:
    """The memory of the whole service under clients with large requests, in a cgroup of 512 MiB if possible."""
    print("\n| clients | request | answers | MB at rest | MB peak |\n|---|---|---|---|---|")
    for kind in ("numbers as base64, no breakdown", "records of weights, 38 samples"):
        with tempfile.TemporaryDirectory() as folder, arena(Path(folder) / "log") as served:
            served.measure_baseline()
            with witness(served.server) as seen:
                statuses = Counter(_post_all(served.server, KINDS[kind](), CLIENTS))
            reported = ", ".join(f"{count} × {status}" for status, count in sorted(statuses.items()))
            print(
                f"| {CLIENTS} | {kind} | {reported} | {served.rest / MEGA:.0f} | {seen.peak / MEGA:.0f} |", flush=True
            )


def _post_all(server: Server, body: bytes, clients: int) -> list[int]:
    """The statuses of all answers: three for each client."""

    def client(_: int) -> list[int]:
        with server.connection() as connection:
            return [post(connection, body)[0] for _ in range(3)]

    with ThreadPoolExecutor(clients) as pool:
        return list(itertools.chain(*pool.map(client, range(clients))))


def _resident(name: str, process: int | str = "self") -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


if __name__ == "__main__":
    main()
