"""Problem details (RFC 9457): what an error answer says, and where in the request each mistake is."""

from itertools import islice
from urllib.parse import quote

from marshmallow import ValidationError

from schemas.strict import MOST_COMPLAINTS, Path, flatten


def pointer(path: Path) -> str:
    """A path as a JSON Pointer in its URI fragment form (RFC 6901, section 6): ("inputs", 3, 1) is "#/inputs/3/1"."""
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in path)
    return "#" + "".join("/" + quote(step, safe="!$&'()*+,;=:@-._~", errors="backslashreplace") for step in steps)


def errors_of(refusal: ValidationError) -> list[dict[str, str]]:
    """Every mistake of a refused request, at most 20: `{"pointer": ..., "detail": ...}`."""
    first = islice(flatten(refusal.messages), MOST_COMPLAINTS)
    return [{"pointer": pointer(path), "detail": words} for path, words in first]
