"""The contract does not depend on how a body is read: plain, padded for the fast parser, or compressed.

Every wrong request of the tests is posted in each of these forms, and its answer is validated by the OpenAPI document.
"""

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from schemas import ValidationError
from schemas.fields.kinds import array_members
from schemas.gradients import GradientRequest, GradientRequestSchema
from schemas.problem import errors_of
from service.encoding.codec import MalformedJSON, decode
from service.encoding.content_codings import CODINGS
from tests.service.api import test_checks, test_explanations
from tests.service.api.test_openapi import _assert_told
from tests.wrong_requests import JSON, LAYER, NOT_JSON, ROWS, TEXT, URL, VALID, put

Case = tuple[str, bytes]  # the path, and the body

FAST = 5000  # bytes from which on the fast parser reads a body
MOST = 64_000  # bytes of an answer to a wrong request
SCHEMA = GradientRequestSchema()
ARRAYS = array_members(SCHEMA)

# Texts in the place of an array that two parsers may read in different ways.
ODD_ARRAYS = (
    *("[]", "[[]]", "[[],[]]", "[[1],[]]", "[[],[1]]", "[[1,[2]]]", "[[[1]]]", "[[[]]]", "[1,[2]]", "[[1],2]", "[{}]"),
    *(
        "{}",
        "[[1,2],[3]]",
        "[true]",
        "[null]",
        '["1"]',
        "[[1,null],[true,2]]",
        "[1e400]",
        "[[-1e400]]",
        "[-0]",
        "[-0.0]",
    ),
    *("[1E2]", "[1e-400]", "[18446744073709551615]", "[18446744073709551616]", "[-9223372036854775809]"),
    *("[0.1e1,1e+2]", "[1.7976931348623159e308]", "[[1] , [2\t]\r\n]", "[ ]", "[[ ]]", "[[[],[]],[[],[]]]", '"[1]"'),
)
ODD_KEYS = (
    "__proto__",
    "constructor",
    "",
    "inputs ",
    "Inputs",
    "a/b",
    "a.b",
    "\\u0069nputs",
    "\\ud800",
    "\\u0000",
    "é",
    "😀",
)


def _odd() -> Iterator[tuple[str, Case]]:
    for path in ("inputs", "targets", f"{LAYER}/weights", f"{LAYER}/biases"):
        for text in ODD_ARRAYS:
            change = put(path, "HERE")(deepcopy(VALID)).replace('"HERE"', text)
            yield f"{path} {text}", (URL, change.encode())
    for key in ODD_KEYS:
        yield f"the key {key}", (URL, TEXT.replace('"inputs"', f'"{key}": 1, "inputs"').encode())
    for before, after in (
        (" ", "\n\n"),
        ("\t", "\r"),
        ("\ufeff", ""),
        ("\u00a0", ""),
        ("", "\0"),
        ("", "\v"),
        ("", "{}"),
    ):
        yield f"{before!r} before, {after!r} behind", (URL, (before + TEXT + after).encode())


def _cases() -> Iterator[tuple[str, Case]]:
    for row in ROWS:
        yield row.mistake, (URL, row.change(deepcopy(VALID)).encode())
    for name, (body, _) in NOT_JSON.items():
        yield name, (URL, body.encode() if isinstance(body, str) else body)
    for name, candidate, _, _ in test_checks.WRONG:
        yield name, (test_checks.URL, json.dumps(test_checks.POSTED | {"candidate": candidate}).encode())
    for name, (change, _) in test_explanations.WRONG.items():
        body = {key: value for key, value in (test_explanations.BATCH | change).items() if value is not ...}
        yield f"explained: {name}", (test_explanations.URL, json.dumps(body).encode())
    yield from _odd()


CASES = dict(_cases())


def _padded(case: Case) -> Case:
    """The same document, with white space behind its first bracket, so that the fast parser reads it."""
    path, body = case
    at = 1 if body[:1] == b"{" else len(body)
    return path, body[:at] + b" " * FAST + body[at:]


def _answered(client: FlaskClient, case: Case, coding: str = "identity") -> TestResponse:
    path, body = case
    sent = CODINGS[coding].compress(body) if coding in CODINGS else body
    answer = client.post(path, data=sent, content_type=JSON, headers={"Content-Encoding": coding})
    assert answer.status_code == 200 or len(answer.get_data()) <= MOST
    return answer


def _told(answer: TestResponse) -> tuple[int, Any]:
    """Status and document, without the members that differ between requests."""
    document = answer.get_json(force=True)
    return answer.status_code, {key: value for key, value in document.items() if key != "instance"}


def _without_places(answer: tuple[int, Any]) -> tuple[int, Any]:
    """An answer without lines and columns, which white space moves."""
    status, document = answer
    words = re.sub(r"line \d+, (column|byte) \d+", "", document.get("detail", ""))
    return status, document | {"detail": words}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_answer_does_not_depend_on_the_form_of_the_body(client: FlaskClient, case: Case) -> None:
    """Plain, with 5 kB of white space in it, and compressed: status, type and errors are the same."""
    answer, padded = _answered(client, case), _padded(case)
    _assert_told(case[0], "post", answer)
    plain, large = _told(answer), _told(_answered(client, padded))
    assert _without_places(large) == _without_places(plain)
    assert _told(_answered(client, case, "gzip")) == plain
    assert _told(_answered(client, padded, "zstd")) == large


def test_wrong_requests_are_wrong_in_every_way_that_the_contract_has() -> None:
    """The cases are those of the other tests, hundreds of them, of all three endpoints."""
    assert len(CASES) > 500
    assert {path for path, _ in CASES.values()} == {URL, test_checks.URL, test_explanations.URL}


# Both readers, over generated JSON.

NUMBERS = st.sampled_from(["0", "-0", "1", "-2.5", "1e3", "1E-2", "0.0", "-0.0", "1e400", "9" * 25, "5e-324", "1.0"])
SCALARS = NUMBERS | st.sampled_from(
    ["true", "null", '"1"', '"a:b"', '"[1]"', "{}", "[]", '{"shape": [1]}', "1.", "NaN"]
)
TEXTS = st.recursive(
    NUMBERS | SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda parts: f"[{','.join(parts)}]")
        | st.lists(NUMBERS, min_size=1, max_size=4).map(lambda parts: f"[{', '.join(parts)}]")
        | st.dictionaries(st.sampled_from(["inputs", "a", "shape", "weights"]), inner, max_size=3).map(
            lambda members: "{" + ",".join(f'"{key}":{value}' for key, value in members.items()) + "}"
        )
    ),
    max_leaves=8,
)


def _outcome(body: bytes) -> Any:
    """The arrays that decoding a body gives, or its refusal."""
    try:
        loaded: GradientRequest = SCHEMA.load(decode(body, ARRAYS))
    except MalformedJSON as refusal:
        return re.sub(r"line \d+, (column|byte) \d+", "", str(refusal))
    except ValidationError as refusal:
        return errors_of(refusal)
    layers = [(layer.weights.tobytes(), np.asarray(layer.biases).tobytes()) for layer in loaded.network.layers]
    return loaded.inputs.tobytes(), loaded.targets.tobytes(), layers, loaded.loss, loaded.one_sample


@settings(max_examples=600, derandomize=True, deadline=None, database=None)
@given(inputs=TEXTS, weights=TEXTS, biases=TEXTS, extra=TEXTS)
def test_both_readers_read_the_same(inputs: str, weights: str, biases: str, extra: str) -> None:
    """With any JSON in the place of an array, and under an unknown key."""
    layer = f'{{"activation": "tanh", "weights": {weights}, "biases": {biases}}}'
    body = f'{{"network": {{"layers": [{layer}]}}, "inputs": {inputs}, "targets": [1], "extra": {extra}}}'.encode()
    assert _outcome(_padded((URL, body))[1]) == _outcome(body)


@settings(max_examples=300, derandomize=True, deadline=None, database=None)
@given(
    rows=st.integers(1, 3).flatmap(
        lambda n: st.lists(st.lists(NUMBERS, min_size=n, max_size=n), min_size=1, max_size=3)
    )
)
def test_both_readers_read_the_same_numbers(rows: list[list[str]]) -> None:
    """To the bit: the sign of 0, integers beyond 2⁶⁴, what rounds to 0. And both refuse what float64 cannot hold."""
    matrix = f"[{','.join('[' + ','.join(row) + ']' for row in rows)}]"
    layer = f'{{"activation": "tanh", "weights": {json.dumps([[1.0]] * len(rows[0]))}}}'
    targets = json.dumps([[1.0]] * len(rows))
    body = f'{{"network": {{"layers": [{layer}]}}, "inputs": {matrix}, "targets": {targets}}}'.encode()
    assert _outcome(_padded((URL, body))[1]) == _outcome(body)
