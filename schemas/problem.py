"""Problem details (RFC 9457): what an error answer says, and where in the request each mistake is."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from marshmallow import ValidationError

from schemas.strict import Path, flatten

MOST_ERRORS = 20


def pointer(path: Path) -> str:
    """A path as a JSON Pointer in its URI fragment form (RFC 6901, section 6): ("inputs", 3, 1) is "#/inputs/3/1"."""
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in path)
    return "#" + "".join("/" + quote(step, safe="!$&'()*+,;=:@-._~", errors="backslashreplace") for step in steps)


def errors_of(refusal: ValidationError) -> list[dict[str, str]]:
    """Every mistake of a refused request, at most 20: `{"pointer": ..., "detail": ...}`."""
    return list(_first(refusal.messages))


def _first(messages: Any) -> Iterator[dict[str, str]]:
    for number, (path, words) in enumerate(flatten(messages)):
        if number == MOST_ERRORS:
            return
        yield {"pointer": pointer(path), "detail": words}
