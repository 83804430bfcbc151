"""The same request in other forms, which must get the same answer: padded to 5 kB, compressed, both."""

import random
from dataclasses import replace
from typing import Any

from service.encoding.content_codings import CODINGS
from tests.fuzz.checker import Answer
from tests.fuzz.mutator import Case

PADDED = 5000  # bytes: larger bodies are read by another parser
_CODED = ("Content-Encoding", "Accept")  # with these headers, another form may get another answer


def other_form(made: Case, seed: int, index: int) -> Case | None:
    """The case in another form, for every second index; None if the case is about its own coding."""
    rng = random.Random(f"form/{seed}/{index}")
    if rng.random() < 0.5 or any(name in made.headers for name in _CODED):
        return None
    body = made.body if rng.random() < 0.3 else made.body.ljust(PADDED)
    coding = rng.choice(sorted(CODINGS)) if rng.random() < 0.6 or body == made.body else None
    if coding is None:
        return replace(made, body=body, changes=[*made.changes, "padded"])
    headers = made.headers | {"Content-Encoding": coding}
    changes = [*made.changes, f"{coding} of {len(body)} bytes"]
    return replace(made, body=CODINGS[coding].compress(body), headers=headers, changes=changes)


def differences(made: Case, first: Answer, second: Answer) -> list[str]:
    """The differences between the answers to two forms of a case.

    If the bytes are damaged, positions in complaints include the white space. Then only the types are compared.
    """
    said = [_said(made, answer) for answer in (first, second)]
    return [] if said[0] == said[1] else [f"another form gets {said[1]!s:.600} instead of {said[0]!s:.600}"]


def _said(made: Case, answer: Answer) -> Any:
    document = answer.document
    document.pop("instance", None)
    if made.document is None and answer.status != 200:
        return answer.status, document["type"]
    return answer.status, document
