"""Problem details (RFC 9457): what an error answer says, and where in the request each mistake is."""

from itertools import islice
from urllib.parse import quote

from marshmallow import ValidationError

from schemas.fields.strict import MOST_COMPLAINTS, Path, flatten
from schemas.fields.wording import cut

LONGEST_STEP = 128  # bytes of a key in UTF-8
LONGEST_POINTER = 600  # characters, from which on no further step is written


def pointer(path: Path) -> str:
    """A path as a JSON Pointer in its URI fragment form (RFC 6901, section 6): ("inputs", 3, 1) is "#/inputs/3/1".

    A key of over 128 bytes is cut, and so is a long path: an ellipsis stands where it would go on.
    """
    written = "#"
    for step in path:
        if len(written) > LONGEST_POINTER:
            return f"{written}/{quote('…')}"
        escaped = _fitting(str(step)).replace("~", "~0").replace("/", "~1")
        written += "/" + quote(escaped, safe="!$&'()*+,;=:@-._~")
    return written


def _fitting(step: str) -> str:
    data = cut(step, LONGEST_STEP).encode()
    whole = data[:LONGEST_STEP].decode("utf-8", "ignore")
    return f"{whole}…" if len(data) > LONGEST_STEP else whole


def errors_of(refusal: ValidationError) -> list[dict[str, str]]:
    """Every mistake of a refused request, at most 20: `{"pointer": ..., "detail": ...}`."""
    first = islice(flatten(refusal.messages), MOST_COMPLAINTS)
    return [{"pointer": pointer(path), "detail": words} for path, words in first]
