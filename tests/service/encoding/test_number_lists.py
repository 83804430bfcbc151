"""Lists of numbers that are parsed directly into arrays: the result is that of the slow parser."""

import json
from typing import Any

import numpy as np
import pytest

from chainrule.functions.tables import Array
from service.encoding.codec import MalformedJSON, decode
from service.encoding.number_lists import Unusual, read
from service.encoding.outline import Outline

pytest.importorskip("simdjson")

ARRAYS = frozenset({"weights", "inputs"})
LONG = ", ".join(["0.1"] * 2000)  # so that a body is large enough to be read this way


def in_lists(document: Any) -> Any:
    """A document with its arrays as lists."""
    if isinstance(document, dict):
        return {key: in_lists(value) for key, value in document.items()}
    return document.tolist() if isinstance(document, np.ndarray) else document


RIGHT = {
    "a list": "[1.5, -2, 0]",
    "a matrix": "[[1.5, -2], [3, 4e-3]]",
    "a matrix of one column": "[[1], [2]]",
    "edges of float64": "[-0.0, 5e-324, 1.7976931348623157e308, 18446744073709551615, -9223372036854775808]",
}


@pytest.mark.parametrize("text", RIGHT.values(), ids=RIGHT)
def test_an_array_has_the_bits_of_the_list(text: str) -> None:
    """Rounded as the standard library rounds, the sign of 0 and integers beyond 2⁵³ included."""
    body = f'{{"inputs": {text}, "other": [{LONG}], "weights": {{"shape": [1], "base64": "AA=="}}}}'.encode()
    found = read(body, ARRAYS, Outline(body).lists)
    assert isinstance(found["inputs"], np.ndarray)
    assert found["inputs"].tobytes() == np.array(json.loads(text), dtype=np.float64).tobytes()
    assert found["other"] == [0.1] * 2000
    assert found["weights"] == {"shape": [1], "base64": "AA=="}


UNUSUAL = {
    "nested unevenly": "[1, [2]]",
    "nested evenly, with the same numbers": "[[1, [2]], [3, 4]]",
    "nested too deep": "[[[1]], [[2]]]",
    "a number in front of rows": "[1, [2, 3]]",
    "a row in front of a number": "[[1], 2]",
    "rows of different lengths": "[[1, 2], [3]]",
    "rows of 7, 8 and 9 numbers, as many as three of 8": str([[1] * 7, [2] * 8, [3] * 9]),
    "an empty list": "[]",
    "an empty row": "[[]]",
    "two empty rows": "[[], []]",
    "rows of which one is empty": "[[1], []]",
    "true": "[1, true]",
    "null": "[1, null]",
    "a string": '[1, "2"]',
    "strings of the length of a row": '[[1, 2], "ab"]',
    "an object": "[1, {}]",
    "beyond float64": "[1, 1e400]",
    "an integer beyond 64 bits": "[1, 18446744073709551616]",
    "many digits": f"[1, 1{'0' * 5000}]",
}


@pytest.mark.parametrize("text", UNUSUAL.values(), ids=UNUSUAL)
def test_lists_that_are_no_arrays_are_read_by_the_slow_parser(text: str) -> None:
    """So the schema sees what the client wrote, and can name the element."""
    body = f'{{"inputs": {text}, "weights": [{LONG}]}}'.encode()
    with pytest.raises(Unusual):
        read(body, ARRAYS, Outline(body).lists)
    assert in_lists(decode(body, ARRAYS)) == in_lists(decode(body))


def test_an_object_with_very_many_members_is_read_by_the_slow_parser() -> None:
    """simdjson searches linearly for a member, which takes too long for a million members."""
    members = ", ".join(f'"{number}": 1' for number in range(65))
    body = f'{{"inputs": [{LONG}], "network": {{{members}}}}}'.encode()
    with pytest.raises(Unusual):
        read(body, ARRAYS, Outline(body).lists)
    assert len(decode(body, ARRAYS)["network"]) == 65


def test_a_duplicate_key_is_refused_in_a_large_body() -> None:
    """simdjson silently keeps one of the values."""
    with pytest.raises(MalformedJSON, match="given twice"):
        decode(f'{{"inputs": [{LONG}], "inputs": [1]}}'.encode(), ARRAYS)


def test_a_byte_order_mark_is_refused_in_a_large_body() -> None:
    """simdjson skips it."""
    with pytest.raises(MalformedJSON):
        decode(b"\xef\xbb\xbf" + f'{{"inputs": [{LONG}]}}'.encode(), ARRAYS)


def test_an_array_outlives_the_body() -> None:
    """Its numbers stay when the parser's memory is reused."""
    body = f'{{"inputs": [{LONG}]}}'.encode()
    kept: Array = decode(body, ARRAYS)["inputs"]
    for _ in range(20):
        decode(body.replace(b"0.1", b"0.2"), ARRAYS)
    assert (kept == 0.1).all()
