"""How a request is read: strictly, in its own order, and not beyond twenty complaints."""

from collections.abc import Iterator
from typing import Any

import pytest
from marshmallow import fields

from schemas import ValidationError
from schemas.fields import strict, wording
from schemas.fields.kinds import NumberField
from schemas.fields.strict import MOST_COMPLAINTS, Complaints, StrictSchema, as_messages, flatten
from schemas.gradients import GradientRequestSchema
from schemas.network import LayerSchema, NetworkSchema

Path = tuple[str | int, ...]


class PointSchema(StrictSchema):
    """Two coordinates."""

    x = NumberField(required=True)
    y = NumberField(load_default=0.5)


class LineSchema(StrictSchema):
    """Points with a name for each."""

    points = fields.Nested(PointSchema, many=True, required=True, error_messages={"type": "must be a list of points"})
    origin = fields.Nested(PointSchema, allow_none=True)

    def misfits(self, loaded: dict[str, Any], posted: dict[str, Any]) -> Complaints:
        """Points whose coordinates are equal."""
        for index, point in enumerate(loaded.get("points", [])):
            if "x" in point and point["x"] == point.get("y"):
                yield ("points", index), "is on the diagonal"


def refused(data: Any, schema: StrictSchema | None = None) -> list[tuple[Path, str]]:
    """The complaints about a document, in their order."""
    with pytest.raises(ValidationError) as refusal:
        (schema or LineSchema()).load(data)
    return list(flatten(refusal.value.messages))


def test_a_right_document_is_read_with_its_defaults() -> None:
    """What is missing and has no default stays missing; null stays null where it is allowed."""
    assert LineSchema().load({"points": [{"x": 1}], "origin": None}) == {
        "points": [{"x": 1.0, "y": 0.5}],
        "origin": None,
    }
    assert LineSchema().load({"points": []}) == {"points": []}


def test_complaints_come_in_the_order_of_the_request() -> None:
    """Keys as the client wrote them; what is missing behind those, what does not fit at the end."""
    data = {"origin": {"y": "a", "z": 1}, "pionts": 1, "points": [{"x": 2, "y": 2}, {"y": None, "x": 1}, 5]}
    assert refused(data) == [
        (("origin", "y"), "must be a number, not a string"),
        (("origin", "z"), 'unknown key "z"; known here: x, y'),
        (("origin", "x"), "is required"),
        (("pionts",), 'unknown key "pionts"; did you mean "points"?'),
        (("points", 1, "y"), "must not be null"),
        (("points", 2), "must be an object, not a number"),
        (("points", 0), "is on the diagonal"),
    ]


def test_what_is_no_object_is_one_complaint() -> None:
    """At the place where an object belongs."""
    assert refused([1]) == [((), "must be an object, not a list")]
    assert refused({"points": {"x": 1}}) == [(("points",), "must be a list of points")]
    assert refused({"points": None}) == [(("points",), "Field may not be null.")]


def test_an_entry_that_cannot_be_read_keeps_its_place() -> None:
    """What does not fit is told of the entry behind it, by its own number."""
    found = refused({"points": [None, {"x": 1, "y": 1}]})
    assert found == [(("points", 0), "must be an object, not null"), (("points", 1), "is on the diagonal")]


class Counting(dict[str, Any]):
    """A document that counts how many of its members were looked at."""

    looked_at = 0

    def items(self) -> Any:
        """Each member, counted."""
        return self._counted()

    def _counted(self) -> Iterator[tuple[str, Any]]:
        for pair in super().items():
            self.looked_at += 1
            yield pair


@pytest.mark.parametrize("wrong", [19, 20, 21, 5000])
def test_reading_stops_at_the_twentieth_complaint(monkeypatch: pytest.MonkeyPatch, wrong: int) -> None:
    """Nothing behind it is looked at, compared with known wording, or fitted to anything."""
    compared = 0
    meant = wording.did_you_mean

    def counting(*args: Any) -> str:
        nonlocal compared
        compared += 1
        return meant(*args)

    monkeypatch.setattr(strict, "did_you_mean", counting)
    data = {"points": [{"x": 1, "y": 1}], **{f"key {number}": 1 for number in range(wrong)}}
    found = refused(data)
    assert compared == min(wrong, MOST_COMPLAINTS) == 20 - (wrong == 19)
    assert len(found) == 20
    assert ((("points", 0), "is on the diagonal") in found) == (wrong == 19)


def test_layers_behind_the_twentieth_complaint_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 2,000 wrong layers, ten with two mistakes each."""
    read, asked = StrictSchema.read, 0

    def counting(self: StrictSchema, *args: Any) -> Any:
        nonlocal asked
        asked += isinstance(self, LayerSchema)
        return read(self, *args)

    monkeypatch.setattr(StrictSchema, "read", counting)
    layers = [{"activation": "tahn", "weights": [[1]], "bias": [1]}] * 2000
    found = refused({"network": {"layers": layers}}, GradientRequestSchema())
    assert [path for path, _ in found[:3]] == [
        ("network", "layers", 0, "activation"),
        ("network", "layers", 0, "bias"),
        ("network", "layers", 1, "activation"),
    ]
    assert (len(found), asked) == (20, 10)


def test_mistakes_of_one_value_are_counted_with_all_others() -> None:
    """19 unknown keys and 20 wrong numbers are 20 complaints."""
    data = {f"key {number}": 1 for number in range(19)} | {"layers": [{"activation": "tanh", "weights": [[None] * 30]}]}
    found = refused(data, NetworkSchema())
    assert len(found) == 20
    assert found[-1][0] == ("layers", 0, "weights", 0, 0)


def test_complaints_are_nested_and_flattened_to_the_same() -> None:
    """Also about a key with the name that marshmallow has for an object itself."""
    complaints: list[tuple[Path, str]] = [(("a", 0), "x"), ((), "y"), (("_schema", "_schema"), "z"), (("a",), "w")]
    assert sorted(flatten(as_messages(complaints)), key=str) == sorted(complaints, key=str)
