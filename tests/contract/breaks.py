"""Which changes of the OpenAPI document break a client that was written against the published one.

A client may continue to send its requests, and must understand the answers:

    request     what was allowed is still allowed, and means the same
    answer      what was promised is still there, and has no new type

Further paths, statuses, media types, optional members of requests, members of answers, words of an enum, objects among
alternatives are additions. The comparison is keyword by keyword.
The same meaning in other keywords counts as a break, for a person to review.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

Schema = dict[str, Any]

LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems")
UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")
CHOICES = ("anyOf", "oneOf")
WALKED = {
    "type",
    "enum",
    "properties",
    "required",
    "items",
    "additionalProperties",
    "default",
    *LOWER,
    *UPPER,
    *CHOICES,
}
BY_NAME = {"properties", "schemas", "headers", "responses"}  # below these, keys are names and not keywords
SAYS_NOTHING = {"description", "title", "example", "examples", "discriminator", "deprecated"}
TYPES = {"string", "number", "integer", "boolean", "object", "array", "null"}


def breaks(published: Schema, present: Schema) -> list[str]:
    """Every break, as the place and what happened there."""
    return list(_Comparison(published, present).all())


def without_words(document: Any) -> Any:
    """A document without the texts for people, so that a snapshot changes only with the contract."""
    if isinstance(document, list):
        return [without_words(item) for item in document]
    if not isinstance(document, dict):
        return document
    return {
        key: {name: without_words(inner) for name, inner in value.items()} if key in BY_NAME else without_words(value)
        for key, value in document.items()
        if key not in SAYS_NOTHING | {"summary", "tags", "info"}
    }


@dataclass
class _Comparison:
    published: Schema
    present: Schema
    compared: set[tuple[str, str, bool]] = field(default_factory=set)  # pairs of references, which may be circular

    def all(self) -> Iterator[str]:
        for path, operations in self.published["paths"].items():
            for method, then in operations.items():
                now = self.present["paths"].get(path, {}).get(method)
                where = f"{method.upper()} {path}"
                yield from self.operation(then, now, where) if now else (f"{where}: is gone",)

    def operation(self, then: Schema, now: Schema, where: str) -> Iterator[str]:
        if then["operationId"] != now["operationId"]:
            yield f"{where}: is called {now['operationId']}, after which clients name their functions"
        for way_in in then.get("security", [{}]):
            if way_in not in now.get("security", [{}]):
                yield f"{where}: cannot be entered with {list(way_in) or 'no key'}"
        yield from self.parameters(then, now, where)
        yield from self.request_body(then.get("requestBody"), now.get("requestBody"), where)
        for status, answer in then["responses"].items():
            here = f"{where}: {status}"
            if status not in now["responses"]:
                yield f"{here} is gone"
            else:
                yield from self.answer(self.old(answer), self.new(now["responses"][status]), here)

    def parameters(self, then: Schema, now: Schema, where: str) -> Iterator[str]:
        before = {(p["in"], p["name"]): p for p in map(self.old, then.get("parameters", []))}
        after = {(p["in"], p["name"]): p for p in map(self.new, now.get("parameters", []))}
        for key, parameter in after.items():
            if parameter.get("required") and not before.get(key, {}).get("required"):
                yield f"{where}: the {key[0]} parameter {key[1]} is required now"
        for key, parameter in before.items():
            here = f"{where}: the {key[0]} parameter {key[1]}"
            if key not in after:
                yield f"{here} is gone"
            else:
                yield from self.schema(parameter["schema"], after[key]["schema"], here, answer=False)

    def request_body(self, then: Schema | None, now: Schema | None, where: str) -> Iterator[str]:
        if now and now.get("required") and not (then or {}).get("required"):
            yield f"{where}: a body is required now"
        if then:
            yield from self.content(then, now or {}, f"{where}: the body", answer=False)

    def answer(self, then: Schema, now: Schema, where: str) -> Iterator[str]:
        for name, reference in then.get("headers", {}).items():
            header = self.new(now.get("headers", {}).get(name, {}))
            if not header or (self.old(reference).get("required") and not header.get("required")):
                yield f"{where}: the header {name} is gone, or not always there"
        yield from self.content(then, now, where, answer=True)

    def content(self, then: Schema, now: Schema, where: str, *, answer: bool) -> Iterator[str]:
        for media_type, body in then.get("content", {}).items():
            if media_type not in now.get("content", {}):
                yield f"{where}: {media_type} is gone"
            else:
                yield from self.schema(body["schema"], now["content"][media_type]["schema"], where, answer=answer)

    def schema(self, then: Schema, now: Schema, where: str, *, answer: bool) -> Iterator[str]:
        answer = answer and not then.get("$ref", "").endswith("Request")  # an example, to be sent
        pair = (then.get("$ref", ""), now.get("$ref", ""), answer)
        if all(pair[:2]) and "default" not in {*then, *now}:
            if pair in self.compared:
                return
            self.compared.add(pair)
        then, now = self.old(then), self.new(now)
        before, after = self.types(then, self.published), self.types(now, self.present)
        if lost := after - before if answer else before - after:
            yield f"{where}: {'may be' if answer else 'cannot be'} of type {', '.join(sorted(lost))} now"
        yield from self.alternatives(then, now, where, answer=answer)
        if not any(choice in schema for choice in CHOICES for schema in (then, now)):
            yield from _values(then, now, where, answer=answer)
            yield from self.members(then, now, where, answer=answer)
            if "items" in then:
                yield from self.schema(then["items"], now.get("items", {}), f"{where}[]", answer=answer)
        if not answer and then.get("default") != now.get("default"):
            yield f"{where}: the default is {now.get('default')!r}, and was {then.get('default')!r}"

    def alternatives(self, then: Schema, now: Schema, where: str, *, answer: bool) -> Iterator[str]:
        """Each alternative of old is still there: under its name, or else under any."""
        before, after = _alternatives(then), _alternatives(now)
        if before == [then] and after == [now]:
            return
        for number, old in enumerate(before):
            named = [new for new in after if "$ref" in old and new.get("$ref") == old["$ref"]]
            here = f"{where}|{old.get('$ref', number)}".replace("#/components/schemas/", "")
            if named:
                yield from self.schema(old, named[0], here, answer=answer)
            elif not any(self.same(old, new, answer=answer) for new in after):
                yield f"{here}: is gone, or not what it was"

    def same(self, old: Schema, new: Schema, *, answer: bool) -> bool:
        """Whether one schema can stand for the other, without noting that they were compared."""
        tried = _Comparison(self.published, self.present, set(self.compared))
        return not any(tried.schema(old, new, "", answer=answer))

    def members(self, then: Schema, now: Schema, where: str, *, answer: bool) -> Iterator[str]:
        before, after = then.get("properties", {}), now.get("properties", {})
        for name in before:
            if name not in after:
                yield f"{where}.{name}: is gone"
            else:
                yield from self.schema(before[name], after[name], f"{where}.{name}", answer=answer)
        must, must_now = set(then.get("required", [])), set(now.get("required", []))
        for name in sorted(must - must_now if answer else must_now - must):
            yield f"{where}.{name}: {'may be missing now' if answer else 'is required now'}"
        if not answer and then.get("additionalProperties", True) and not now.get("additionalProperties", True):
            yield f"{where}: takes no further members now"

    def types(self, schema: Schema, document: Schema) -> set[str]:
        """The types that any alternative of a schema allows; a number may be an integer."""
        schema = _resolved(schema, document)
        alternatives = _alternatives(schema)
        if alternatives != [schema]:
            return set().union(*(self.types(alternative, document) for alternative in alternatives))
        named = schema.get("type", "string" if isinstance(schema.get("const"), str) else list(TYPES))
        names = {named} if isinstance(named, str) else set(named)
        return names | {"integer"} if "number" in names else names

    def old(self, schema: Schema) -> Schema:
        return _resolved(schema, self.published)

    def new(self, schema: Schema) -> Schema:
        return _resolved(schema, self.present)


def _resolved(schema: Schema, document: Schema) -> Schema:
    """The target of a reference, combined with the keywords beside it."""
    while "$ref" in schema:
        target: Any = document
        for step in schema["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        schema = target | {key: value for key, value in schema.items() if key != "$ref"}
    return schema


def _alternatives(schema: Schema) -> list[Schema]:
    return next((schema[choice] for choice in CHOICES if choice in schema), [schema])


def _values(then: Schema, now: Schema, where: str, *, answer: bool) -> Iterator[str]:
    """Enums, bounds, and whatever else says which values of a type are meant."""
    gone = [word for word in then.get("enum", []) if word not in now.get("enum", [word])]
    if answer and "enum" in then and "enum" not in now and "const" not in now:
        yield f"{where}: may be any word now"
    if not answer and (gone or ("enum" in now and "enum" not in then)):
        yield f"{where}: does not take {gone or 'every value'} now"
    narrower: Callable[[Any, Any], bool]
    for keywords, narrower in ((LOWER, lambda a, b: a > b), (UPPER, lambda a, b: a < b)):
        for keyword in keywords:
            first, second = (then, now) if answer else (now, then)
            if keyword in first and (keyword not in second or narrower(first[keyword], second[keyword])):
                yield f"{where}: {keyword} is {now.get(keyword)}, and was {then.get(keyword)}"
    for keyword in sorted({*then, *now} - WALKED - SAYS_NOTHING):
        first = then if answer else now
        if keyword in first and then.get(keyword) != now.get(keyword):
            yield f"{where}: {keyword} is {now.get(keyword)!r}, and was {then.get(keyword)!r}"
