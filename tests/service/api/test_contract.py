"""The published contract, tests/contract/v1.json: additions are welcome, a change that breaks a client is refused.

`python -m tests.contract.publish` adds additions to it. The comparison is tested here, too, with planted breaks.
"""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.breaks import breaks, without_words
from tests.contract.publish import present, published

Change = Callable[[Any], object]


@pytest.fixture(scope="module")
def contract() -> Any:
    """The contract as it was published."""
    return published()


def test_nothing_breaks_the_published_contract(contract: Any) -> None:
    """A client that was written for it continues to work."""
    assert breaks(contract, present()) == []


def _post(d: Any) -> Any:
    return d["paths"]["/v1/gradients"]["post"]


def _curve(d: Any) -> Any:
    return d["paths"]["/v1/activations/{name}/curve"]["get"]


def _schema(d: Any, name: str) -> Any:
    return d["components"]["schemas"][name]


def _member(d: Any, schema: str, name: str) -> Any:
    return _schema(d, schema)["properties"][name]


def _query(d: Any, name: str) -> Any:
    return next(p for p in _curve(d)["parameters"] if p.get("name") == name)


def _remove(container: Any, key: Any) -> None:
    container.remove(key) if isinstance(container, list) else container.pop(key)


def _rename(members: Any, old: str, new: str) -> None:
    members[new] = members.pop(old)


BREAKS: dict[str, tuple[Change, str]] = {
    "a path is gone": (lambda d: d["paths"].pop("/v1/limits"), "GET /v1/limits: is gone"),
    "a method is gone": (lambda d: d["paths"]["/v1/losses"].pop("get"), "GET /v1/losses: is gone"),
    "a status is gone": (lambda d: _post(d)["responses"].pop("422"), "422 is gone"),
    "a media type is gone": (
        lambda d: _post(d)["responses"]["200"].update(content={}),
        "200: application/json is gone",
    ),
    "an operation is renamed": (lambda d: _post(d).update(operationId="post"), "is called post"),
    "a key is asked for": (lambda d: _post(d)["security"].remove({}), "cannot be entered with no key"),
    "a way to give the key is gone": (lambda d: _post(d)["security"].pop(), "cannot be entered with ['apiKey']"),
    "a header of an answer is gone": (
        lambda d: _post(d)["responses"]["200"]["headers"].pop("X-Request-ID"),
        "the header X-Request-ID is gone",
    ),
    "a header may be missing": (
        lambda d: d["components"]["headers"]["Allow"].pop("required"),
        "the header Allow is gone",
    ),
    "a parameter is gone": (
        lambda d: _remove(_curve(d)["parameters"], _query(d, "points")),
        "query parameter points is gone",
    ),
    "a parameter becomes required": (
        lambda d: _query(d, "from").update(required=True),
        "query parameter from is required",
    ),
    "a new parameter is required": (
        lambda d: _curve(d)["parameters"].append({"in": "query", "name": "x", "required": True, "schema": {}}),
        "query parameter x is required now",
    ),
    "a name leaves the path": (
        lambda d: _remove(_curve(d)["parameters"][0]["schema"]["enum"], "swish"),
        "does not take ['swish']",
    ),
    "a bound of a query narrows": (
        lambda d: _query(d, "points")["schema"].update(maximum=100),
        "maximum is 100, and was 10000",
    ),
    "a default of a query changes": (
        lambda d: _query(d, "to")["schema"].update(default=5.0),
        "the default is 5.0, and was 6.0",
    ),
    "a member of a request is gone": (
        lambda d: _remove(_schema(d, "GradientRequest")["properties"], "verify"),
        ".verify: is gone",
    ),
    "a member of a request is renamed": (
        lambda d: _rename(_schema(d, "Layer")["properties"], "biases", "bias"),
        ".biases: is gone",
    ),
    "a member of a request becomes required": (
        lambda d: _schema(d, "GradientRequest")["required"].append("loss"),
        ".loss: is required now",
    ),
    "a new member of a request is required": (
        lambda d: (_schema(d, "Step")["properties"].update(decay={}), _schema(d, "Step")["required"].append("decay")),
        ".decay: is required now",
    ),
    "an enum of a request loses a word": (
        lambda d: _remove(_member(d, "GradientRequest", "breakdown")["enum"], "per_unit"),
        "does not take ['per_unit']",
    ),
    "a type of a request narrows": (
        lambda d: _schema(d, "Vector")["items"].update(type="integer"),
        "cannot be of type number",
    ),
    "a bound of a request narrows": (
        lambda d: _member(d, "Step", "learning_rate").update(maximum=1),
        "maximum is 1, and was None",
    ),
    "a lower bound becomes exclusive": (
        lambda d: _rename(_member(d, "EluActivation", "alpha"), "minimum", "exclusiveMinimum"),
        "exclusiveMinimum is 0.0",
    ),
    "a list of a request may not be short": (
        lambda d: _schema(d, "Matrix").update(minItems=2),
        "minItems is 2, and was 1",
    ),
    "a pattern of a request changes": (
        lambda d: _member(d, "VectorBase64", "base64").update(pattern="^$"),
        "pattern is '^$'",
    ),
    "a default of a request changes": (
        lambda d: _member(d, "GradientRequest", "encoding").update(default="base64"),
        "the default is 'base64'",
    ),
    "a default beside a reference changes": (
        lambda d: _member(d, "GradientRequest", "loss").update(default="mse"),
        "the default is 'mse'",
    ),
    "a default of an activation changes": (
        lambda d: _member(d, "LeakyReluActivation", "negative_slope").update(default=0.2),
        "the default is 0.2",
    ),
    "an activation is gone": (
        lambda d: _remove(_schema(d, "ActivationObject")["oneOf"], {"$ref": "#/components/schemas/MishActivation"}),
        "MishActivation: is gone",
    ),
    "an alternative form is gone": (
        lambda d: _remove(
            _member(d, "GradientRequest", "inputs")["anyOf"], {"$ref": "#/components/schemas/MatrixBase64"}
        ),
        "MatrixBase64: is gone",
    ),
    "an answer loses a member": (
        lambda d: (
            _remove(_schema(d, "Verification")["properties"], "left_out"),
            _remove(_schema(d, "Verification")["required"], "left_out"),
        ),
        ".left_out: is gone",
    ),
    "a member of an answer is renamed": (
        lambda d: _rename(_schema(d, "WeightRecordOfBatch")["properties"], "dE_dw", "dEdw"),
        ".dE_dw: is gone",
    ),
    "a member of an answer may be missing": (
        lambda d: _remove(_schema(d, "Curve")["required"], "kinks"),
        ".kinks: may be missing now",
    ),
    "a member of an answer may be null": (
        lambda d: _member(d, "Kink", "at").update(type=["number", "null"]),
        "may be of type null now",
    ),
    "a member of an answer is of another type": (
        lambda d: _member(d, "LossEntry", "note").update(type="array"),
        "may be of type array now",
    ),
    "an alternative of an answer is of another type": (
        lambda d: _schema(d, "ActivationEntry")["properties"]["kinks"]["anyOf"].append({"type": "null"}),
        "may be of type null now",
    ),
    "a member of an answer may be any word": (
        lambda d: _member(d, "Warning", "code").pop("enum"),
        "may be any word now",
    ),
    "a list of an answer may be empty": (lambda d: _schema(d, "Vector").pop("minItems"), "minItems is None, and was 1"),
    "a constant of an answer changes": (
        lambda d: _member(d, "InvalidRequestProblem", "type").update(const="/problems/bad"),
        "const is '/problems/bad'",
    ),
    "a media type of the body is gone": (
        lambda d: _rename(_post(d)["requestBody"]["content"], "application/json", "text/json"),
        "the body: application/json is gone",
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_break_is_found(contract: Any, name: str) -> None:
    """At its place, and in words that say what happened."""
    change, words = BREAKS[name]
    now = copy.deepcopy(contract)
    change(now)
    found = breaks(contract, now)
    assert any(words in line for line in found), found


def _add_activation(d: Any) -> None:
    _schema(d, "ActivationName")["enum"].append("bent")
    for prefix, choice in (("", "ActivationObject"), ("Resolved", "ResolvedActivation")):
        d["components"]["schemas"][f"{prefix}BentActivation"] = {"type": "object"}
        _schema(d, choice)["oneOf"].append({"$ref": f"#/components/schemas/{prefix}BentActivation"})
    _schema(d, "ActivationEntry")["properties"]["name"]["enum"].append("bent")


ADDITIONS: dict[str, Change] = {
    "nothing": lambda d: None,
    "a path": lambda d: d["paths"].update({"/v1/more": {"get": {}}}),
    "a method": lambda d: d["paths"]["/v1/gradients"].update(get={}),
    "a status": lambda d: _post(d)["responses"].update({"429": {"description": ""}}),
    "a header of an answer": lambda d: _post(d)["responses"]["200"]["headers"].update(Age={"schema": {}}),
    "a media type of an answer": lambda d: _post(d)["responses"]["200"]["content"].update({"text/csv": {"schema": {}}}),
    "a parameter": lambda d: _curve(d)["parameters"].append({"in": "query", "name": "x", "schema": {}}),
    "an optional member of a request": lambda d: _schema(d, "GradientRequest")["properties"].update(seed={}),
    "a member of a request is no longer needed": lambda d: _schema(d, "GradientRequest")["required"].remove("targets"),
    "a word of a request": lambda d: _member(d, "GradientRequest", "breakdown")["enum"].append("all"),
    "a wider bound of a request": lambda d: _query(d, "points")["schema"].update(maximum=20_000),
    "a wider type of a request": lambda d: _member(d, "GradientRequest", "verify").update(type=["boolean", "null"]),
    "a further form of a request": lambda d: _member(d, "GradientRequest", "inputs")["anyOf"].append({"type": "null"}),
    "a form beside the only one": lambda d: _schema(d, "Step")["properties"].update(
        learning_rate={"anyOf": [_member(d, "Step", "learning_rate"), {"type": "string"}]}
    ),
    "a member of an answer": lambda d: _schema(d, "Curve")["properties"].update(more={}),
    "a promised member of an answer": lambda d: _schema(d, "Curve")["required"].append("more"),
    "a word of an answer": lambda d: _member(d, "Warning", "code")["enum"].append("new"),
    "a narrower type of an answer": lambda d: _member(d, "Parameter", "default").update(type="number"),
    "an activation": _add_activation,
}


@pytest.mark.parametrize("name", ADDITIONS)
def test_an_addition_is_allowed(contract: Any, name: str) -> None:
    """The requests of a client are still accepted, and the members that it reads are still there."""
    now = copy.deepcopy(contract)
    ADDITIONS[name](now)
    assert breaks(contract, now) == []


def test_words_for_people_are_no_part_of_the_contract() -> None:
    """Descriptions and examples are left out, but not members with these names."""
    document = {"description": "x", "properties": {"title": {"type": "string", "title": "y", "examples": []}}}
    assert without_words(document) == {"properties": {"title": {"type": "string"}}}
