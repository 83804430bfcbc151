"""Documents of many shapes, and the memory that decoding each of them really takes, as a command for a fresh process.

The resident memory of a process includes the memory of simdjson and orjson, which tracemalloc does not see.
"""

import ctypes
import gc
import json
import random
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from schemas import ValidationError
from service.encoding.codec import MalformedJSON, decode
from service.encoding.outline import Outline

ARRAYS = frozenset({"weights", "biases", "inputs", "targets"})
_NUMBERS = random.Random(1)


def _rows(rows: int, columns: int, digits: int) -> str:
    """A matrix as JSON."""
    return json.dumps([[round(_NUMBERS.gauss(0, 1), digits) for _ in range(columns)] for _ in range(rows)])


def _request(inputs: str, layers: str, **beside: str) -> bytes:
    more = "".join(f', "{key}": {value}' for key, value in beside.items())
    return f'{{"network": {{"layers": [{layers}]}}, "inputs": {inputs}{more}}}'.encode()


def _layer(rows: int, columns: int, digits: int, activation: str = '"tanh"') -> str:
    return f'{{"activation": {activation}, "weights": {_rows(rows, columns, digits)}}}'


_UNITS = ", ".join(['"tanh"', '{"name": "elu", "alpha": 2.5}'] * 500)
ORDINARY: Mapping[str, bytes] = {
    "17 digits": _request(_rows(600, 200, 17), _layer(200, 100, 17)),
    "one digit": _request(_rows(2000, 100, 1), _layer(100, 50, 2)),
    "whole numbers": _request(_rows(2000, 100, 0).replace(".0", ""), _layer(100, 50, 4)),
    "narrow": _request(_rows(30_000, 8, 6), _layer(8, 4, 17)),
    "many layers": _request(_rows(100, 40, 17), ", ".join([_layer(40, 40, 8)] * 64)),
    "base64": _request(f'{{"shape": [1000, 200], "base64": "{"AAAA" * 530_000}"}}', _layer(200, 100, 17)),
    "a word with an accent": _request(_rows(600, 200, 12), _layer(200, 100, 17), note='"größe"'),
    "a word with an escape": _request(_rows(600, 200, 12), _layer(200, 100, 17), note=r'"gr\u00f6\u00dfe"'),
    "an activation for each unit": _request(_rows(100, 100, 17), ", ".join([_layer(100, 1000, 4, f"[{_UNITS}]")] * 2)),
}


def _filled(piece: str, times: int, before: str = '{"inputs": [', behind: str = "0]}") -> bytes:
    return (before + piece * times + behind).encode()


HOSTILE: Mapping[str, bytes] = {
    **{piece: _filled(piece, 200_000) for piece in ("0,", "0.5,", "[],", "[0],", "[[0.5]],", '"",', '"ab",', "true,")},
    **{piece: _filled(piece, 100_000) for piece in ("{},", '{"a":0},', '"é",', '"😀",', "18446744073709551615,")},
    "seven keys": _filled('{"a":0,"b":0,"c":0,"d":0,"e":0,"f":0,"g":0},', 30_000),
    "keys of its own": ("{" + ",".join(f'"{number:08}":0' for number in range(50_000)) + "}").encode(),
    "one string": _filled("abcdefgh", 200_000, '{"inputs": "', '"}'),
    "one string with a wide character": _filled("abcdefgh", 200_000, '{"inputs": "😀', '"}'),
    "one string with a wide escape": _filled("abcdefgh", 200_000, '{"inputs": "\\ud83d\\ude00', '"}'),
    "one string of escapes": _filled("\\u0041", 200_000, '{"inputs": "', '"}'),
    "white space": _filled(" ", 2_000_000),
    "white space around a wide character": _filled(" ", 2_000_000, '😀{"inputs": ['),
    "cut short": _filled("0.5,", 200_000, behind=""),
    "beyond float64 at the end": _filled("0.5,", 200_000, behind="1e400]}"),
    "beyond float64, few values": _filled(" " * 100, 20_000, behind="1e400]}"),
    "a key twice": _filled("0.5,", 200_000, behind='0], "a": 1, "a": 2}'),
    "rows of two lengths": _filled("[0.5],", 100_000, behind="[1,2]]}"),
    "an empty row at the end": _filled("[0.5],", 100_000, behind="[]]}"),
}


def read(body: bytes, arrays: frozenset[str]) -> object:
    """The document, or the refusal."""
    try:
        return decode(body, arrays)
    except (MalformedJSON, ValidationError) as refusal:
        return str(refusal)


def _status(key: str) -> int:
    """Bytes of an entry in /proc/self/status."""
    match = re.search(rf"^{key}:\s+(\d+) kB", Path("/proc/self/status").read_text("ascii"), re.MULTILINE)
    assert match is not None
    return int(match[1]) * 1024


def resident(body: bytes, arrays: frozenset[str]) -> int:
    """The increase of the resident memory of this process, at its peak, while a body is decoded."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", "ascii")  # the peak begins anew, see proc(5)
    before = _status("VmRSS")
    read(body, arrays)
    return _status("VmHWM") - before


if __name__ == "__main__":
    read(ORDINARY["17 digits"], ARRAYS)  # what is made at the first call
    taken = {
        name: [len(body), Outline(body).memory, resident(body, ARRAYS), resident(body, frozenset())]
        for name, body in (ORDINARY | HOSTILE).items()
    }
    sys.stdout.write(json.dumps(taken))
