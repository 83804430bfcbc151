"""Paths to positions in a JSON text, and keys given twice, compared with a parsed document."""

import json
import random
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from schemas.fields.strict import Path
from service.encoding.structure import Structure
from tests.service.encoding.test_outline import _document

PLACE = 12345678901


def _paths(document: Any, path: Path = ()) -> Iterator[Path]:
    yield path
    for step, value in (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    ):
        yield from _paths(value, (*path, step))


@pytest.mark.parametrize("seed", range(200))
def test_the_path_to_a_place_is_that_of_the_document(seed: int) -> None:
    """Through lists and objects, with any keys and strings, for the whole text and for its front."""
    chance = random.Random(seed)
    document = [_document(chance)]
    path = chance.choice([path for path in _paths(document) if path])
    node: Any = document
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = PLACE
    text = json.dumps(document, ensure_ascii=chance.random() < 0.5, indent=chance.choice([None, 2])).encode()
    place = text.index(str(PLACE).encode())
    assert Structure(text, orjson.loads).path_to(place) == path
    assert Structure(text[:place], orjson.loads).path_to(place) == path
    assert Structure(text, orjson.loads).key_twice() is None


TWICE: dict[str, tuple[str, tuple[Path, str]]] = {
    "at the top": ('{"a": 1, "a": 2}', ((), "a")),
    "with an escape": (r'{"a": {}, "\u0061": 2}', ((), "a")),
    "in a list": ('[1, [{"b": 1, "c": [], "b": {}}]]', ((1, 0), "b")),
    "the outermost": ('{"x": {"b": 1, "b": 2}, "a": 1, "a": 2}', ((), "a")),
    "the first of two": ('[{"b": 1, "b": 2}, {"a": 1, "a": 2}]', ((0,), "b")),
    "behind an object that is closed": ('{"x": {"a": 1}, "y": {"a": 1}, "y": 1}', ((), "y")),
    "with marks in it": ('{"a,b:{": "}", "a,b:{": 2}', ((), "a,b:{")),
}


@pytest.mark.parametrize(("text", "found"), TWICE.values(), ids=TWICE)
def test_a_duplicate_key_is_found_with_its_object(text: str, found: tuple[Path, str]) -> None:
    """Also if the key is written in two ways, but not if two objects have the same key."""
    assert Structure(text.encode(), orjson.loads).key_twice() == found
