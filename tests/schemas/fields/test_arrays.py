"""Arrays on the wire: how good arrays are read, and with which paths and messages bad ones are refused."""

import base64
import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError

from schemas.fields.arrays import MOST_COMPLAINTS, as_base64, read_array
from schemas.fields.strict import flatten

SCALAR, VECTOR, MATRIX, INPUTS, TARGETS = (0,), (1,), (2,), (1, 2), (0, 1, 2)
SAME = settings(derandomize=True, deadline=None, database=None)


def packed(shape: Any, numbers: Any, **beside: Any) -> dict[str, Any]:
    """An array as base64 of little-endian float64."""
    data = base64.b64encode(struct.pack(f"<{len(numbers)}d", *numbers)).decode()
    return {"shape": shape, "base64": data, **beside}


def complaints(value: Any, ranks: tuple[int, ...]) -> list[tuple[tuple[str | int, ...], str]]:
    """The (path, words) of all complaints about an array."""
    with pytest.raises(ValidationError) as refusal:
        read_array(value, ranks)
    return list(flatten(refusal.value.messages))


def same(array: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> bool:
    """Whether shape, type and every bit agree."""
    return (array.shape, array.dtype, array.tobytes()) == (expected.shape, expected.dtype, expected.tobytes())


# Good ones.

GOOD: dict[str, tuple[Any, tuple[int, ...]]] = {
    "a float": (0.5, SCALAR),
    "an integer": (3, SCALAR),
    "negative zero": (-0.0, SCALAR),
    "a number where a list may be": (1, TARGETS),
    "a list of one": ([1.5], VECTOR),
    "integers and floats": ([1, 2.5, -3, -0.0, 5e-324], VECTOR),
    "a list where a matrix may be": ([1, 2], INPUTS),
    "one row": ([[1, 2, 3]], MATRIX),
    "one column": ([[1], [2.5], [3]], MATRIX),
    "one number in a matrix": ([[7]], MATRIX),
    "a matrix": ([[0.1, 0.2], [0.3, 1.7976931348623157e308], [5e-324, -0.0]], INPUTS),
    "2^53 + 1": ([2**53 + 1, 2**53 + 3], VECTOR),
    "beyond 2^63": ([[2**63, 2**64, -(2**70)], [10**300, -(10**300), 2**1023]], MATRIX),
    "half way between two floats": ([2**64 + 2**11, 2**64 + 2**11 + 1, 2**64 + 3 * 2**11], VECTOR),
    "the largest integer of float64": ((2**53 - 1) * 2**971, SCALAR),
}


@pytest.mark.parametrize(("value", "ranks"), GOOD.values(), ids=GOOD)
def test_regular_lists_become_what_numpy_makes_of_them(value: Any, ranks: tuple[int, ...]) -> None:
    """To the last bit, also integers beyond int64: each is rounded once, to the nearest float64."""
    assert same(read_array(value, ranks), np.array(value, dtype=np.float64))


FLOATS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**70), 2**70)


@SAME
@given(st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(FLOATS, min_size=width, max_size=width), min_size=1)))
def test_every_regular_matrix_becomes_what_numpy_makes_of_it(rows: list[list[float]]) -> None:
    """The one-pass path is only a faster np.array, for a matrix and for its rows."""
    assert same(read_array(rows, INPUTS), np.array(rows, dtype=np.float64))
    assert same(read_array(rows[0], INPUTS), np.array(rows[0], dtype=np.float64))


@pytest.mark.parametrize(("value", "ranks"), GOOD.values(), ids=GOOD)
def test_lists_and_base64_give_the_same_array(value: Any, ranks: tuple[int, ...]) -> None:
    """Their values and their checks are the same."""
    array = np.array(value, dtype=np.float64)
    assert same(read_array(packed(list(array.shape), array.ravel()), ranks), array)


def test_base64_is_row_major_and_little_endian() -> None:
    """Written out by hand: 1.0 is 00 00 00 00 00 00 f0 3f, 2.0 is 00 ... 40, 3.0 is 00 ... 08 40."""
    text = base64.b64encode(bytes.fromhex("000000000000f03f 0000000000000040 0000000000000840")).decode()
    assert same(read_array({"shape": [1, 3], "base64": text}, MATRIX), np.array([[1.0, 2.0, 3.0]]))
    assert same(read_array({"shape": [3, 1], "base64": text}, MATRIX), np.array([[1.0], [2.0], [3.0]]))


# Bad ones.

A_MATRIX = "must be a matrix (a list of rows of numbers)"
BEYOND = "is beyond the range of float64, ±1.8e308"
BAD: dict[str, tuple[Any, tuple[int, ...], list[tuple[tuple[str | int, ...], str]]]] = {
    "null for a number": (None, SCALAR, [((), "must be a number, not null")]),
    "true for a number": (True, SCALAR, [((), "must be a number, not a boolean")]),
    "a string for a number": ("1.5", SCALAR, [((), "must be a number, not a string")]),
    "a list for a number": ([1], SCALAR, [((), "must be a number, not a list of numbers")]),
    "an infinite number": (float("inf"), SCALAR, [((), BEYOND)]),
    "10^400 for a number": (10**400, SCALAR, [((), BEYOND)]),
    "the first integer beyond float64": (2**1024 - 2**970, SCALAR, [((), BEYOND)]),
    "null for a list": (None, VECTOR, [((), "must be a list of numbers, not null")]),
    "a number for a list": (1, VECTOR, [((), "must be a list of numbers, not a number")]),
    "a string for a list": ("1, 2", VECTOR, [((), "must be a list of numbers, not a string")]),
    "a matrix for a list": ([[1, 2]], VECTOR, [((), f"must be a list of numbers, not {A_MATRIX[8:]}")]),
    "ragged rows for a list": (
        [[1, 2], [3]],
        VECTOR,
        [((0,), "must be a number, not a list"), ((1,), "must be a number, not a list")],
    ),
    "an empty list": ([], VECTOR, [((), "must not be empty")]),
    "an empty list where a number may be": ([], TARGETS, [((), "must not be empty")]),
    "null in a list": ([1, None], VECTOR, [((1,), "must be a number, not null")]),
    "false in a list": ([False, 1], VECTOR, [((0,), "must be a number, not a boolean")]),
    "a string in a list": ([1, 2, "3"], VECTOR, [((2,), "must be a number, not a string")]),
    "a list in a list": ([1, [2]], VECTOR, [((1,), "must be a number, not a list")]),
    "an empty list in a list": ([1, []], VECTOR, [((1,), "must be a number, not a list")]),
    "an object in a list": ([1, {}], VECTOR, [((1,), "must be a number, not an object")]),
    "10^400 in a list": ([1, 10**400, -(10**400)], VECTOR, [((1,), BEYOND), ((2,), BEYOND)]),
    "1e400 in a list": ([1, float("inf"), 2, float("-inf")], VECTOR, [((1,), BEYOND), ((3,), BEYOND)]),
    "a list for a matrix": ([1, 2], MATRIX, [((), f"{A_MATRIX}, not a list of numbers")]),
    "a number for a matrix": (1.5, MATRIX, [((), f"{A_MATRIX}, not a number")]),
    "true for a matrix": (True, MATRIX, [((), f"{A_MATRIX}, not a boolean")]),
    "an empty matrix": ([], MATRIX, [((), "must not be empty")]),
    "an empty row": ([[]], MATRIX, [((0,), "must not be empty")]),
    "two empty rows": ([[], []], MATRIX, [((0,), "must not be empty"), ((1,), "must not be empty")]),
    "an empty row after others": ([[1], []], MATRIX, [((1,), "must not be empty")]),
    "an empty row before others": ([[], [1], [2]], MATRIX, [((0,), "must not be empty")]),
    "a short row": ([[1, 2], [3]], MATRIX, [((1,), "has 1 number where row 0 has 2")]),
    "a long row": ([[1], [2], [3, 4]], MATRIX, [((2,), "has 2 numbers where row 0 has 1")]),
    "a number for a row": ([[1, 2], 3], MATRIX, [((1,), "must be a list of numbers, not a number")]),
    "a number for the first row": ([1, [2, 3]], MATRIX, [((0,), "must be a list of numbers, not a number")]),
    "null for a row": ([[1, 2], None], MATRIX, [((1,), "must be a list of numbers, not null")]),
    "a string in a row": ([[1, 2], [3, "4"]], MATRIX, [((1, 1), "must be a number, not a string")]),
    "true in a row": ([[True, 2]], MATRIX, [((0, 0), "must be a number, not a boolean")]),
    "a list in a row": ([[1, [2]]], MATRIX, [((0, 1), "must be a number, not a list")]),
    "three lists deep": ([[[1]]], MATRIX, [((0, 0), "must be a number, not a list")]),
    "10^400 in a row": ([[1, 2], [10**400, 4]], MATRIX, [((1, 0), BEYOND)]),
    "1e400 in a row": ([[1, 2], [3, float("inf")]], MATRIX, [((1, 1), BEYOND)]),
    "10^400 and 1e400": ([[10**400, float("inf")]], MATRIX, [((0, 0), BEYOND), ((0, 1), BEYOND)]),
    "1e400 beside a string": (
        [["a", float("inf")]],
        MATRIX,
        [((0, 0), "must be a number, not a string"), ((0, 1), BEYOND)],
    ),
    "a bad number in a short row": (
        [[1, 2], [None]],
        MATRIX,
        [((1, 0), "must be a number, not null"), ((1,), "has 1 number where row 0 has 2")],
    ),
    "true where either may be": (
        True,
        INPUTS,
        [((), "must be a list of numbers or a matrix (a list of rows of numbers), not a boolean")],
    ),
    "a number where either may be": (
        1,
        INPUTS,
        [((), "must be a list of numbers or a matrix (a list of rows of numbers), not a number")],
    ),
    "three lists deep where either may be": ([[[1]]], INPUTS, [((0, 0), "must be a number, not a list")]),
    "mixed where either may be": ([1, [2]], INPUTS, [((1,), "must be a number, not a list")]),
}


@pytest.mark.parametrize(("value", "ranks", "expected"), BAD.values(), ids=BAD)
def test_bad_lists_are_refused_element_by_element(value: Any, ranks: tuple[int, ...], expected: Any) -> None:
    """Every bad element, its path down to the element, and what it is instead; nothing else."""
    assert sorted(complaints(value, ranks), key=str) == sorted(expected, key=str)


@pytest.mark.parametrize("bad", [None, float("inf"), 10**400], ids=["null", "1e400", "10^400"])
def test_only_the_first_twenty_bad_elements_are_named(bad: Any) -> None:
    """In the order of the array: a million wrong numbers do not make an answer of megabytes."""
    paths = [path for path, _ in complaints([[0.5, bad]] * 50, MATRIX)]
    assert paths == [(row, 1) for row in range(MOST_COMPLAINTS)]
    assert MOST_COMPLAINTS == 20


@pytest.mark.parametrize("rank", [1, 2])
def test_mistakes_far_apart_in_a_long_list_are_all_named(rank: int) -> None:
    """At the first and last entry and between them, in any block; also numbers beyond float64."""
    places = {0: None, 1: 10**400, 1023: "x", 1024: True, 2999: float("inf"), 4999: []}
    value: list[Any] = [0.5 if rank == 1 else [0.5, 1]] * 5000
    for place, wrong in places.items():
        value[place] = wrong if rank == 1 else [0.5, wrong]
    expected = [(place,) if rank == 1 else (place, 1) for place in places]
    assert [path for path, _ in complaints(value, VECTOR if rank == 1 else MATRIX)] == expected


def test_a_row_of_another_length_far_behind_is_named() -> None:
    """Also if all rows of its block have that length."""
    value = [[1.0]] * 4096 + [[1.0, 2.0]] * 4
    found = complaints(value, MATRIX)
    assert found == [((row,), "has 2 numbers where row 0 has 1") for row in range(4096, 4100)]


def test_a_long_matrix_has_its_rows_in_order() -> None:
    """3,000 rows are joined from several blocks."""
    rows = [[float(row), row + 0.5] for row in range(3000)]
    assert same(read_array(rows, MATRIX), np.array(rows))
    assert same(read_array([row[0] for row in rows], VECTOR), np.arange(3000.0))


@pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 3)])
def test_an_array_without_numbers_is_refused_as_lists_are(shape: tuple[int, ...]) -> None:
    """A codec may pass arrays instead of lists."""
    array = np.zeros(shape)
    assert complaints(array, (1, 2)) == complaints(array.tolist(), (1, 2)) != []


FOUR = packed([2, 2], [1, 2, 3, 4])["base64"]
ABSENT = "is required in an array given as base64"
LENGTHS = "must hold whole numbers greater than 0"
BAD_BASE64: dict[str, tuple[dict[str, Any], str, str]] = {  # for a matrix: the value, the key, the words
    "foreign characters": ({"shape": [2, 2], "base64": f"*{FOUR}"}, "base64", "is not base64: "),
    "spaces": ({"shape": [2, 2], "base64": f" {FOUR}"}, "base64", "is not base64: "),
    "a line break": ({"shape": [2, 2], "base64": f"{FOUR}\n"}, "base64", "is not base64: "),
    "no padding": ({"shape": [2, 2], "base64": FOUR.rstrip("=")}, "base64", "is not base64: "),
    "an umlaut": ({"shape": [2, 2], "base64": "ü"}, "base64", "is not base64: "),
    "one character": ({"shape": [2, 2], "base64": "A"}, "base64", "is not base64: "),
    "nothing": ({"shape": [2, 2], "base64": ""}, "base64", "holds 0 bytes; the shape [2, 2] of float64 takes 32"),
    "one byte": ({"shape": [2, 2], "base64": "AA=="}, "base64", "holds 1 byte; the shape [2, 2] of float64 takes 32"),
    "too little": (packed([2, 2], [1, 2, 3]), "base64", "holds 24 bytes; the shape [2, 2] of float64 takes 32"),
    "too much": (packed([2, 2], [1] * 5), "base64", "holds 40 bytes; the shape [2, 2] of float64 takes 32"),
    "a number for text": ({"shape": [2, 2], "base64": 1}, "base64", "must be a string, not a number"),
    "null for text": ({"shape": [2, 2], "base64": None}, "base64", "must be a string, not null"),
    "no text": ({"shape": [2, 2]}, "base64", ABSENT),
    "no shape": ({"base64": FOUR}, "shape", ABSENT),
    "an extra key": (packed([2, 2], range(4), order="C"), "order", 'unknown key "order"; known here: shape, base64'),
    "a misspelt key": (packed([2, 2], range(4), Base64=1), "Base64", 'unknown key "Base64"; did you mean "base64"?'),
    "a length of 0": (packed([0, 2], []), "shape", LENGTHS),
    "negative lengths": (packed([-2, -2], range(4)), "shape", LENGTHS),
    "a length of true": (packed([True, 4], range(4)), "shape", LENGTHS),
    "a length of 2.0": (packed([2.0, 2], range(4)), "shape", LENGTHS),
    "a length of null": (packed([None, 2], range(4)), "shape", LENGTHS),
    "rank 0": (packed([], [1]), "shape", "must be a list of 2 lengths"),
    "rank 1": (packed([4], range(4)), "shape", "must be a list of 2 lengths"),
    "rank 3": (packed([1, 2, 2], range(4)), "shape", "must be a list of 2 lengths"),
    "a shape of null": (packed(None, range(4)), "shape", "must be a list of 2 lengths"),
    "a shape in a string": (packed("22", range(4)), "shape", "must be a list of 2 lengths"),
    "NaN": (packed([2, 2], [1, float("nan"), 3, 4]), "base64", "element [0, 1] is not a finite number"),
    "-infinity": (packed([2, 2], [1, 2, 3, float("-inf")]), "base64", "element [1, 1] is not a finite number"),
}


@pytest.mark.parametrize(("value", "key", "words"), BAD_BASE64.values(), ids=BAD_BASE64)
def test_bad_base64_is_refused_at_the_key(value: dict[str, Any], key: str, words: str) -> None:
    """One complaint, at "shape", "base64" or an unknown key; an element is named by its indices in the array."""
    [(path, sentence)] = complaints(value, MATRIX)
    assert path == (key,)
    assert sentence.startswith(words)


def test_a_shape_of_one_length_has_a_grammatical_message() -> None:
    """The message is grammatical: biases have a shape of one length."""
    assert complaints(packed([2, 2], range(4)), VECTOR) == [(("shape",), "must be a list of 1 length")]


def test_every_wrong_key_is_named_at_once() -> None:
    """No shape, no text, and two keys that do not belong: four complaints."""
    found = complaints({"dtype": "f8", "data": ""}, MATRIX)
    assert {path for path, _ in found} == {("shape",), ("base64",), ("dtype",), ("data",)}


def test_only_the_first_twenty_elements_in_base64_are_named() -> None:
    """As for lists, by the same number."""
    found = complaints(packed([30, 1], [float("nan")] * 30), MATRIX)
    assert found == [(("base64",), f"element [{row}, 0] is not a finite number") for row in range(20)]


@pytest.mark.parametrize("shape", [[10**9, 10**9], [2**31, 2**31], [2**62, 4]])
def test_a_huge_shape_allocates_no_memory(shape: list[int]) -> None:
    """The number of bytes is compared with the product of the lengths before any array is made."""
    [(path, words)] = complaints(packed(shape, [1.0]), MATRIX)
    assert path == ("base64",)
    assert f"takes {8 * shape[0] * shape[1]}" in words


# Written.

BASE = np.arange(12.0).reshape(3, 4) / 7
WRITTEN = {
    "a vector": np.array([0.1, -0.0, 5e-324, 1.7976931348623157e308]),
    "a matrix": BASE,
    "transposed": BASE.T,
    "strided": BASE[::2, 1::2],
    "backwards": BASE[::-1],
    "big-endian": BASE.astype(">f8"),
    "whole numbers": np.arange(3),
}


@pytest.mark.parametrize("array", WRITTEN.values(), ids=WRITTEN)
def test_what_is_written_as_base64_reads_back_to_the_same_bits(array: np.ndarray[Any, Any]) -> None:
    """For any strides and byte order."""
    document = json.loads(json.dumps(as_base64(array)))
    assert same(read_array(document, INPUTS), np.ascontiguousarray(array, dtype=np.float64))
    assert document["shape"] == list(array.shape)


def test_an_array_of_three_axes_is_written_row_by_row() -> None:
    """do/da of a softmax: samples × units × units."""
    cube = np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1)
    document = as_base64(cube)
    assert document["shape"] == [4, 2, 3]
    assert np.frombuffer(base64.b64decode(document["base64"]), "<f8").tolist() == cube.ravel().tolist()


def test_only_arrays_are_rewritten() -> None:
    """Names, numbers, lists and records stay unchanged at any depth, and so does the given document."""
    array = np.array([1.5])
    document = {"loss": 0.5, "name": "tanh", "none": None, "layers": [{"a": array, "weights": [{"from": 0}]}], "w": []}
    written = as_base64(document)
    assert written == {**document, "layers": [{"a": as_base64(array), "weights": [{"from": 0}]}]}
    assert document["layers"][0]["a"] is array  # type: ignore[index]


@pytest.mark.parametrize("value", [[1.7e308, 1.7e308], [10**308, 10**308, 0.5], [-1.7e308, -(10**308), 0.5]], ids=str)
def test_numbers_may_add_up_to_more_than_a_float(value: list[float]) -> None:
    """Only each single number must be within float64."""
    assert same(read_array(value, VECTOR), np.array(value, dtype=np.float64))
    assert same(read_array([value, value], MATRIX), np.array([value, value], dtype=np.float64))
