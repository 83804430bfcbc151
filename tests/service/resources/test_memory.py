"""Memory of a request is freed with its answer: by Python at once, and by the C library soon."""

import ctypes
import gc
import json
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

from service.app import create_app
from service.resources import malloc
from tests.costs import GRADIENTS, Asked
from tests.serving import REQUEST, post, serving, wait_until

BODIES: dict[str, Any] = {
    "answered": REQUEST,
    "answered at length": REQUEST | {"breakdown": "per_weight", "verify": True, "encoding": "base64"},
    "invalid": {"inputs": [[1.5, 1.0]]},
    "of unequal rows": REQUEST | {"inputs": [[1.0], [2.0, 3.0]]},
    "of shapes that do not fit": REQUEST | {"inputs": [1.0, 2.0]},
    "of no base64": REQUEST | {"inputs": {"shape": [1], "base64": "!"}},
    "over a limit": Asked(GRADIENTS, (60, 60), ("softmax",), 600, breakdown="per_unit").document,
    "without a finite answer": REQUEST | {"inputs": [1e200]},
    "too deep": b"[" * 50,
    "malformed": b'{"inputs": [1.5, ',
    "not UTF-8": b'"\xff"',
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", BODIES)
def test_nothing_of_a_request_waits_for_the_garbage_collector(kind: str) -> None:
    """It may run too late: no frame, exception, array or document may be left in a reference cycle."""
    client = create_app().test_client()
    body = BODIES[kind] if isinstance(BODIES[kind], bytes) else json.dumps(BODIES[kind]).encode()

    def ask() -> None:
        client.post("/v1/gradients", data=body, content_type="application/json").close()

    ask()  # what is made once is made
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        ask()
        gc.collect()
        left = [_shown(thing) for thing in gc.garbage if _is_of_a_request(thing)]
    finally:
        gc.set_debug(0)
        gc.enable()
        gc.garbage.clear()
    assert left == []


def _is_of_a_request(thing: object) -> bool:
    document = isinstance(thing, dict) and not {"inputs", "network"}.isdisjoint(thing)
    return document or isinstance(thing, FrameType | BaseException | np.ndarray)


def _shown(thing: object) -> str:
    return f"{type(thing).__name__} {thing!s:.200}"


FREED = """
import resource
from service.resources.malloc import keep_freed, give_back

def resident():
    return 4096 * int(open("/proc/self/statm").read().split()[1])

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def use_once():
    before = faults()
    bytearray(b"x") * SIZE  # every page written to, and freed at once
    return faults() - before

SIZE = 20_000_000
{}
idle = resident()
first, second = use_once(), use_once()
kept = resident() - idle
give_back()
print(first > 4000, second < 400, kept > 15e6, resident() - idle < 5e6, sep=", ")
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="this is not glibc")
@pytest.mark.parametrize(
    ("line", "reported"),
    [("keep_freed()", "True, True, True, True"), ("", "True, False, True, True")],
    ids=["as served", "by default"],
)
def test_freed_memory_is_kept_until_it_is_returned_to_the_system(line: str, reported: str) -> None:
    """The kernel clears each new page, which takes longer than most work with it."""
    command = [sys.executable, "-c", FREED.format(line)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == reported


def test_with_another_c_library_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A C library without these two functions is left as it is."""
    monkeypatch.setattr(malloc, "_LIBC", object())
    malloc.keep_freed(2**20)
    malloc.give_back()


def test_a_worker_gives_back_what_a_large_request_took(tmp_path: Path) -> None:
    """After some seconds it is as small as before."""
    rows = np.random.default_rng(0).normal(size=(400, 64)).tolist()
    layers = [{"weights": np.eye(64).tolist(), "biases": [0.5] * 64, "activation": "tanh"}] * 6
    asked = {"network": {"layers": layers}, "inputs": rows, "targets": rows, "loss": "half_squared_error"}
    body = json.dumps(asked | {"breakdown": "per_unit"}).encode()
    with serving(tmp_path / "log") as server, server.connection() as connection:
        (worker,) = server.workers
        assert post(connection, json.dumps(REQUEST).encode())[0] == 200
        idle = _resident_bytes(worker)
        assert post(connection, body)[0] == 200
        grown = _resident_bytes(worker)
        assert grown > idle + 15e6
        wait_until(lambda: _resident_bytes(worker) < idle + 8e6, "the memory to be given back")


def _resident_bytes(pid: int) -> int:
    return 4096 * int(Path(f"/proc/{pid}/statm").read_text().split()[1])
