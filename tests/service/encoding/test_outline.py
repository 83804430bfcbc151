"""The outline of a JSON text: an upper bound of the memory of decoding, and the bytes outside of strings."""

import gc
import json
import random
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from service.encoding import outline
from service.encoding.outline import Outline, nesting, slices_outside_strings
from tests.decoding import ARRAYS, HOSTILE, ORDINARY, read

ROOT = Path(__file__).parents[3]
SHAPES = ORDINARY | HOSTILE
SLACK = 2**20  # bytes: the variation of the memory of a process
Taken = dict[
    str, tuple[int, int, int, int]
]  # by name: bytes of the body, predicted bytes, bytes taken by the fast parser and by the plain one


@pytest.fixture(scope="module")
def measured() -> Taken:
    """The memory that decoding each document takes in a new process."""
    command = [sys.executable, "-m", "tests.decoding"]
    found: Taken = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    return found


@pytest.mark.parametrize("name", SHAPES)
def test_decoding_takes_no_more_memory_than_predicted(measured: Taken, name: str) -> None:
    """Measured as the resident memory of a process, parsers included, with the fast parser and without it."""
    _, predicted, fast, plain = measured[name]
    assert max(fast, plain) <= predicted + SLACK


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_documents_take_at_least_a_third_of_the_prediction(measured: Taken, name: str) -> None:
    """Otherwise requests would be refused, or wait, for memory that they do not use."""
    _, predicted, fast, plain = measured[name]
    assert predicted <= 3 * max(fast, plain) + SLACK


@pytest.mark.slow
@pytest.mark.parametrize("arrays", [ARRAYS, frozenset()], ids=["fast", "plain"])
@pytest.mark.parametrize("name", SHAPES)
def test_a_document_takes_no_more_memory_than_predicted(name: str, arrays: frozenset[str]) -> None:
    """Python's objects and the arrays, to the byte. tracemalloc is wrong for the parsers' memory.

    It does not see simdjson's. For orjson it counts twelve times the text, most of which is never touched.
    """
    predicted = Outline(SHAPES[name]).memory
    gc.collect()
    tracemalloc.start()
    try:
        document = read(SHAPES[name], arrays)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert document is not None
    assert kept <= predicted


def test_the_prediction_is_the_same_for_small_and_large_documents() -> None:
    """Short and long texts are counted by different code."""
    for size in (1, 10, 1000, 5000):
        text = b"[" + b'{"a":[1,"x"]},' * size + b"0]"
        found = Outline(text)
        assert (found.lists, found.objects, found.strings, found.colons) == (size + 1, size, 2 * size, size)
        assert found.values == 2 * size + found.lists + found.objects + 1


PIECES = ('a,b:[{\\"', "\\", "\\\\", '"', "é😀", "", "]}", '\\\\\\"')


def _document(chance: random.Random, depth: int = 0) -> Any:
    kind = chance.random()
    if depth > 4 or kind < 0.4:
        return chance.choice([1, 2.5, None, True, *PIECES])
    entries = [_document(chance, depth + 1) for _ in range(chance.randrange(4))]
    return entries if kind < 0.7 else {f"{chance.choice(PIECES)}{k}": entry for k, entry in enumerate(entries)}


def _outside(text: bytes) -> list[tuple[int, int]]:
    """The marks outside of strings and their positions, found byte by byte."""
    found, inside, escaped = [], False, False
    for at, byte in enumerate(text):
        if inside:
            escaped, inside = byte == b"\\"[0] and not escaped, byte != b'"'[0] or escaped
        elif byte == b'"'[0]:
            inside = True
        elif byte in b"[]{},:":
            found.append((byte, at))
    return found


def _depth(document: Any) -> int:
    values = document.values() if isinstance(document, dict) else document if isinstance(document, list) else None
    return 0 if values is None else 1 + max(map(_depth, values), default=0)


@pytest.mark.parametrize("size", [5, 64, 2**18])
def test_the_marks_outside_of_strings_are_those_of_a_plain_reader(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """With quotes in strings, runs of backslashes in front of them, and both across the edges of slices."""
    monkeypatch.setattr(outline, "_SLICE", size)
    for seed in range(300):
        chance = random.Random(seed)
        document = _document(chance)
        text = json.dumps(document, ensure_ascii=chance.random() < 0.5).encode()
        slices = list(slices_outside_strings(text, b"[]{},:"))
        found = [pair for marks, at, _ in slices for pair in zip(marks.tolist(), at.tolist(), strict=True)]
        assert found == _outside(text)
        assert nesting(text) == _depth(document)
