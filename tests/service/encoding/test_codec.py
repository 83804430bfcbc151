"""Decoding and encoding JSON: exact round trips, refused texts, and the place that a refusal names."""

import json
import math
import struct
import time
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.functions.losses import loss_spec
from chainrule.graph.backprop import gradients
from chainrule.graph.network import Network, dense
from schemas.records import weight_records
from service.encoding.codec import MalformedJSON, decode, encode

SAME = settings(derandomize=True, deadline=None, database=None)


def bits(number: float) -> bytes:
    """The bits of a float, which distinguish -0.0 from 0.0."""
    return struct.pack("<d", number)


def complaint(body: bytes) -> str:
    """The message with which a body is refused."""
    with pytest.raises(MalformedJSON) as refusal:
        decode(body)
    return str(refusal.value)


# Numbers.

HARD_NUMBERS = [
    0.0,
    -0.0,
    0.1,
    1 / 3,
    5e-324,  # the smallest subnormal
    -5e-324,
    2.225073858507201e-308,  # the largest subnormal
    2.2250738585072014e-308,  # the smallest normal
    1.7976931348623157e308,
    1.0000000000000002,
    9007199254740993.0,
    1e22,
    1e23,  # halfway between two floats for a parser that multiplies by powers of ten
    9.5367431640625e-07,
    math.pi,
]


@pytest.mark.parametrize("number", HARD_NUMBERS)
def test_a_float_reads_back_to_the_same_bits(number: float) -> None:
    """By itself and in an array; -0.0 keeps its sign, a subnormal its last bit."""
    assert bits(decode(encode(number))) == bits(number)
    assert bits(decode(encode(np.array([[number]])))[0][0]) == bits(number)
    assert bits(json.loads(encode(number))) == bits(number)


@SAME
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_reads_back_to_the_same_bits(number: float) -> None:
    """The contract: numbers are written so that they read back to the same float64."""
    assert bits(decode(encode([number]))[0]) == bits(number)


@SAME
@given(st.from_regex(r"\A-?(0|[1-9][0-9]{0,30})\.[0-9]{1,30}([eE][+-]?[0-9]{1,2})?\Z"))
def test_a_decimal_is_rounded_as_python_rounds_it(text: str) -> None:
    """To the nearest float64, for any number of digits."""
    assert bits(decode(text.encode())) == bits(float(text))


@pytest.mark.parametrize("number", [0, -1, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 2**64 - 1])
def test_an_integer_of_64_bits_reads_back_exactly(number: int) -> None:
    """2^53 + 1 is not a float64, so it must stay an integer."""
    read = decode(encode(number))
    assert (read, type(read)) == (number, int)


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**30, 10**300, 2**1023])
def test_an_integer_beyond_64_bits_is_read_as_its_float64(number: int) -> None:
    """By the fast parser, and by the slow one, which 1e400 brings in."""
    assert float(decode(str(number).encode())) == float(number)
    assert float(decode(f"[{number}, 1e400]".encode())[0]) == float(number)


@pytest.mark.parametrize("text", ["1e400", "1e309", "1" + "0" * 309, "1" + "0" * 400, "1" + "0" * 5000])
def test_a_number_beyond_float64_is_left_to_the_schema(text: str) -> None:
    """It becomes infinity or an integer beyond float64. The parser raises no error, because it knows no pointer."""
    for sign in ("", "-"):
        read = decode(f'{{"inputs": [0.5, {sign}{text}]}}'.encode())["inputs"]
        assert read[0] == 0.5
        with pytest.raises((OverflowError, AssertionError)):
            assert math.isfinite(float(read[1]))


def test_what_is_not_finite_is_written_as_null() -> None:
    """JSON has no NaN; a factor that is not finite is null."""
    assert encode([float("nan"), float("inf")]) == b"[null,null]\n"
    assert encode(np.array([-np.inf, np.nan, 1.0])) == b"[null,null,1.0]\n"


# Arrays.

MATRIX = np.arange(12.0).reshape(3, 4) / 7
READ_ONLY = MATRIX.copy()
READ_ONLY.setflags(write=False)
ARRAYS = {
    "contiguous": MATRIX,
    "transposed": MATRIX.T,
    "every second column": MATRIX[:, ::2],
    "every second row": MATRIX[::2],
    "backwards": MATRIX[::-1, ::-1],
    "a column": MATRIX[:, 1],
    "a diagonal": MATRIX.diagonal(),
    "broadcast": np.broadcast_to(np.array([0.1, 0.2]), (3, 2)),
    "read-only": READ_ONLY,
    "in Fortran's order": np.asfortranarray(MATRIX),
    "three axes, swapped": np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1),
    "empty": np.zeros((0,)),
    "integers": np.arange(3),
    "from bytes": np.frombuffer(struct.pack("<3d", 0.1, -0.0, 5e-324)),
}


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_an_array_is_written_as_its_nested_lists(array: np.ndarray[Any, Any]) -> None:
    """With any strides: orjson itself refuses arrays that are not contiguous."""
    assert encode({"x": [array]}) == encode({"x": [array.tolist()]})


def test_a_numpy_number_is_written_as_a_number() -> None:
    """A float64 from an array is written like a float."""
    assert encode([np.float64(0.1), np.int64(3)]) == b"[0.1,3]\n"


@pytest.mark.parametrize("value", [object(), {1, 2}, 1j, b"bytes"], ids=["an object", "a set", "complex", "bytes"])
def test_a_value_without_a_json_form_raises_type_error(value: Any) -> None:
    """It raises TypeError."""
    with pytest.raises(TypeError):
        encode({"x": value})


def test_a_document_ends_with_a_line_break() -> None:
    """So the shell prompt after curl is on a new line."""
    assert encode({"φ": "tanh"}) == '{"φ":"tanh"}\n'.encode()


# Keys given twice.

TWICE = {
    "at the top": ('{"a": 1, "a": 2}', "#", "a"),
    "with equal values": ('{"a": 1, "a": 1}', "#", "a"),
    "written with an escape": (r'{"a": 1, "\u0061": 2}', "#", "a"),
    "the empty key": ('{"": 1, "": 2}', "#", ""),
    "three times": ('{"a": 1, "a": 2, "a": 3}', "#", "a"),
    "not beside each other": ('{"a": 1, "b": 2, "a": 3}', "#", "a"),
    "in an object": ('{"x": {"a": 1, "a": 2}}', "#/x", "a"),
    "in a list's first entry": ('[{"a": 1, "a": 2}]', "#/0", "a"),
    "in a list's later entry": ('[{"a": 1}, {"b": 1}, {"a": 1, "a": 2}]', "#/2", "a"),
    "in a list that begins with a number": ('[1, {"a": 1, "a": 2}]', "#/1", "a"),
    "in a list that begins with a list": ('[[1], {"a": 1, "a": 2}]', "#/1", "a"),
    "in a list that begins with null": ('{"x": [null, {"a": 1, "a": 2}]}', "#/x/1", "a"),
    "in a list in a list": ('[[[{"a": 1, "a": 2}]]]', "#/0/0/0", "a"),
    "below an activation's name": ('{"x": ["tanh", {"name": "elu", "name": "elu"}]}', "#/x/1", "name"),
    "beside a string with a colon": ('{"a": "1:2", "b": 1, "b": 2}', "#", "b"),
    "with a colon in the key": ('{"a:b": 1, "a:b": 2}', "#", "a:b"),
    "beside escaped colons": (r'{"a": "\u003a", "b": 1, "b": 2}', "#", "b"),
    "hidden in the one that is lost": ('{"a": {"b": 1, "b": 2}, "a": 3}', "#", "a"),
    "after 1e400": ('{"a": 1e400, "b": {"c": 1, "c": 2}}', "#/b", "c"),
    "below a key with a slash": ('{"a/b": {"c": 1, "c": 2}}', "#/a~1b", "c"),
    "below a key with a tilde": ('{"a~b": {"c": 1, "c": 2}}', "#/a~0b", "c"),
    "below a key with a space": ('{"a b": {"c": 1, "c": 2}}', "#/a%20b", "c"),
}


@pytest.mark.parametrize(("text", "pointer", "key"), TWICE.values(), ids=TWICE)
def test_a_duplicate_key_is_refused_with_a_pointer_to_its_object(text: str, pointer: str, key: str) -> None:
    """Fast parsers silently keep the last value. The pointer follows RFC 6901."""
    assert complaint(text.encode()) == f'at {pointer}: the key "{key}" is given twice in one object'


def test_a_duplicate_key_among_many_is_found_quickly() -> None:
    """20,000 keys are 0.2 MB: milliseconds with a set, 9 s if each key were counted in the list of all."""
    body = "{" + ",".join(f'"{number}": 0' for number in range(20_000)) + ', "19999": 1}'
    start = time.process_time()
    assert complaint(body.encode()) == 'at #: the key "19999" is given twice in one object'
    assert time.process_time() - start < 1.0


ONCE = {
    "colons in a string": '{"a": "::::", "b": ":"}',
    "colons in a key": '{"a:b:c": 1, ":": {":": 2}}',
    "an escaped colon": r'{"a": "\u003a"}',
    "one key in two objects": '{"a": {"x": 1}, "b": {"x": 1}}',
    "one key in two entries": '[{"x": 1}, {"x": 1}, [{"x": 1}]]',
    "one key inside itself": '{"a": {"a": {"a": 1}}}',
    "keys that differ in case": '{"a": 1, "A": 2}',
    "keys that look alike": '{"é": 1, "e\u0301": 2}',
    "a list that begins with a number": '[1, {"a": 1}]',
    "a string that looks like a document": r'{"a": "{\"b\": 1, \"b\": 2}"}',
}


@pytest.mark.parametrize("text", ONCE.values(), ids=ONCE)
def test_a_document_that_only_seems_to_have_a_duplicate_key_is_read(text: str) -> None:
    """The result is that of the standard library."""
    assert decode(text.encode()) == json.loads(text)


LETTERS = st.characters(exclude_categories=["Cs"]) | st.just(":")  # no lone surrogates: orjson refuses them
KEYS = st.text(LETTERS, max_size=3)
DOCUMENTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(LETTERS, max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@SAME
@given(DOCUMENTS)
def test_every_document_is_read_as_the_standard_library_reads_it(document: Any) -> None:
    """Including documents with colons in strings and lists of mixed entries, where counting colons is not enough."""
    text = json.dumps(document)
    assert decode(text.encode()) == json.loads(text)
    assert decode(json.dumps(document, ensure_ascii=False).encode()) == document


def _with_a_key_twice(document: Any) -> str:
    """The document as text, with a key of its last object repeated; "" if it has no object."""
    if isinstance(document, list):
        parts = [_with_a_key_twice(entry) for entry in document]
        at = next((k for k in reversed(range(len(parts))) if parts[k]), None)
        if at is None:
            return ""
        return "[" + ",".join(parts[k] if k == at else json.dumps(entry) for k, entry in enumerate(document)) + "]"
    if isinstance(document, dict) and document:
        text, key = json.dumps(document), json.dumps(next(iter(document)))
        return f"{text[:-1]}, {key}: 0}}"
    return ""


@SAME
@given(DOCUMENTS)
def test_every_document_with_a_duplicate_key_is_refused(document: Any) -> None:
    """Counting colons and keys finds it in any place, with any colons in strings."""
    text = _with_a_key_twice(document)
    if text:
        assert "is given twice in one object" in complaint(text.encode())


# Places.

PLACES = {
    "NaN": (b'{"a": NaN}', "line 1, column 7: NaN is not JSON"),
    "NaN on a later line": (b'{"a": 1,\r\n\r\n  "b": NaN}', "line 3, column 8: NaN is not JSON"),
    "NaN after wide characters": ('{"φ": "😀", "b": NaN}'.encode(), "line 1, column 17: NaN is not JSON"),
    "Infinity": (b"[Infinity]", "line 1, column 2: Infinity is not JSON"),
    "-Infinity": (b"[-Infinity]", "line 1, column 2: -Infinity is not JSON"),
    "NaN after 1e400": (b'{"a": [1e400, 0, NaN]}', "at #/a/2: NaN is not JSON"),
    "NaN below an odd key, after 1e400": (b'{"a/b": [1e400, NaN]}', "at #/a~1b/1: NaN is not JSON"),
    "a trailing comma": (b"[1,\n2,\n]", "line 2, column 2: trailing comma is not allowed"),
    "single quotes": (b"{\n'a': 1}", "line 2, column 1: strings and keys are written in double quotes"),
    "single quotes for a value": (b"{\"a\": 'b'}", "line 1, column 7: strings and keys are written in double quotes"),
    "an apostrophe is no quote": (b'{"it\'s": tanh}', "line 1, column 10"),
    "nothing": (b"", "the body is empty"),
    "white space": (b" \t\r\n", "the body is empty"),
    "cut off": (b'{"a": [1, 2', "line 1, column 12: unexpected end of data"),
    "not UTF-8": (b'{"a":\n"\xff"}', "line 2, byte 2: the byte 0xff is not UTF-8 (invalid start byte)"),
    "not UTF-8 at the very end": (b"\n\n\xc3", "line 3, byte 1: the byte 0xc3 is not UTF-8 (unexpected end of data)"),
    "not UTF-8, after 1e400": (b'[1e400,\n"\xff"]', "line 2, byte 2: the byte 0xff is not UTF-8"),
    "UTF-16": ("[1]".encode("utf-16"), "line 1, byte 1: the byte 0xff is not UTF-8"),
}


@pytest.mark.parametrize(("body", "words"), PLACES.values(), ids=PLACES)
def test_a_refusal_names_the_place(body: bytes, words: str) -> None:
    """Line and column count from 1, and lead to the first wrong character; to a byte if it is not UTF-8."""
    assert complaint(body).startswith(words)


@pytest.mark.parametrize("deep", [b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000])
@pytest.mark.parametrize("before", [b"", b"[1e400, "], ids=["fast", "careful"])
def test_deep_nesting_is_refused_without_a_recursion_error(before: bytes, deep: bytes) -> None:
    """At any depth, by both parsers."""
    assert "nested" in complaint(before + deep)


@pytest.mark.parametrize("depth", [6, 30])
def test_nesting_that_a_request_needs_is_read(depth: int) -> None:
    """The contract's own requests nest objects 5 deep."""
    body = b'{"a":' * depth + b"1" + b"}" * depth
    assert decode(body) == json.loads(body)


def test_an_array_that_occurs_twice_in_a_document_is_written_twice() -> None:
    """Its text is made once. An equal array, or a slice of it, is written separately."""
    o, equal = np.arange(5000.0).reshape(50, 100), np.arange(5000.0).reshape(50, 100)
    document = {"layers": [{"o": o, "half": o[25:]}, {"factors": {"da_dw": o}, "a": equal}], "outputs": o.T}
    whole, half, turned = o.tolist(), o[25:].tolist(), o.T.tolist()
    expected = {"layers": [{"o": whole, "half": half}, {"factors": {"da_dw": whole}, "a": whole}], "outputs": turned}
    assert json.loads(encode(document)) == expected
    many = document | {"more": [{"a": np.zeros((600, 600))}]}  # so that the document is written in pieces
    assert json.loads(encode(many)) == expected | {"more": [{"a": [[0.0] * 600] * 600}]}


PIECES = {
    "a list": np.arange(100_000.0),
    "a matrix": np.arange(120_000.0).reshape(1200, 100) / 7,
    "one long row": np.arange(100_000.0).reshape(1, 100_000),
    "long rows": np.arange(200_000.0).reshape(2, 100_000),
    "three axes": np.arange(120_000.0).reshape(40, 3000, 1) - 0.5,
    "a transposed matrix": np.arange(120_000.0).reshape(1200, 100).T,
    "not finite": np.full((70_000,), np.nan),
}


@pytest.mark.parametrize("array", PIECES.values(), ids=PIECES)
def test_an_array_is_written_in_pieces_as_it_would_be_in_one(
    array: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes are the same, and the checkpoint is called between the pieces."""
    monkeypatch.setattr("service.encoding.codec._AT_ONCE", 0)
    looks: list[None] = []
    document = {"a": [1.5], "b": [{"array": array}, {"array": array[:2]}]}
    whole = orjson.dumps(
        {"a": [1.5], "b": [{"array": array.tolist()}, {"array": array[:2].tolist()}]}, option=orjson.OPT_APPEND_NEWLINE
    )
    assert encode(document, lambda: looks.append(None)) == whole
    assert len(looks) >= 2


def test_an_exception_of_the_checkpoint_reaches_the_caller_of_the_encoder() -> None:
    """The exception is unchanged: orjson would turn it into a TypeError."""

    class Stop(Exception):
        pass

    def stop() -> None:
        raise Stop

    for part in (np.ones(300_000), np.ones((600, 600))):
        with pytest.raises(Stop):
            encode({"layers": [{"part": part}]}, stop)


def test_few_records_are_written_even_after_the_deadline() -> None:
    """An exception within orjson would become a 500."""

    def over() -> None:
        raise TimeoutError

    layer = dense([[0.5]], "tanh")
    result = gradients(Network((layer,)), np.ones((1, 1)), np.ones((1, 1)), loss_spec("half_squared_error"))
    only = result.layers[0]
    records = weight_records(only, only.do_da.array(), True)
    assert json.loads(encode({"weights": records}, over))["weights"][0]["value"] == 0.5
