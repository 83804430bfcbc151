"""What a request took is given back with its answer: to Python at once, and by Python's C library to the system."""

import ctypes
import gc
import json
import subprocess
import sys
from types import FrameType
from typing import Any

import numpy as np
import pytest

from service.app import create_app
from tests.serving import REQUEST

BODIES: dict[str, Any] = {
    "answered": REQUEST,
    "answered at length": REQUEST | {"breakdown": "per_weight", "verify": True, "encoding": "base64"},
    "invalid": {"inputs": [[1.5, 1.0]]},
    "of unequal rows": REQUEST | {"inputs": [[1.0], [2.0, 3.0]]},
    "of shapes that do not fit": REQUEST | {"inputs": [1.0, 2.0]},
    "of no base64": REQUEST | {"inputs": {"shape": [1], "base64": "!"}},
    "over a limit": REQUEST | {"inputs": [[1.0]] * 20_000, "targets": [[1.0]] * 20_000},
    "without a finite answer": REQUEST | {"inputs": [1e200]},
    "too deep": b"[" * 50,
    "malformed": b'{"inputs": [1.5, ',
    "not UTF-8": b'"\xff"',
}


@pytest.mark.parametrize("kind", BODIES)
def test_nothing_of_a_request_waits_for_the_garbage_collector(kind: str) -> None:
    """It might not come before memory is short: no frame, exception, array or document is left in a cycle."""
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


COUNTING = """
import ctypes
from service.malloc import keep_threshold

class Figures(ctypes.Structure):
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
    _fields_ = [(name, ctypes.c_size_t) for name in names]

mallinfo2 = ctypes.CDLL(None).mallinfo2
mallinfo2.restype = Figures
{}
bytearray(20_000_000)  # freed at once
before = mallinfo2().hblks
kept = bytearray(10_000_000)
print(mallinfo2().hblks - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="this is not glibc of 2.33 or newer")
@pytest.mark.parametrize(("line", "mapped"), [("keep_threshold()", "1"), ("", "0")], ids=["as served", "by default"])
def test_a_large_array_is_a_mapping_of_its_own(line: str, mapped: str) -> None:
    """And so goes back to the system when it is freed, also after a larger one was; by default it would not."""
    command = [sys.executable, "-c", COUNTING.format(line)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == mapped
