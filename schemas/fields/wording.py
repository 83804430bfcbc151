"""Words for messages: what a JSON value is called, what was probably meant, how a client's own text is shown."""

import difflib
from collections.abc import Iterable
from typing import Any

LONGEST_SHOWN = 60


def kind(value: Any) -> str:
    """What a JSON value is, as the end of a sentence: "a string"."""
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list", dict: "an object"}
    return names[type(value)]


def cut(text: str, longest: int) -> str:
    """A client's own text, with an ellipsis in the place of what is beyond so many characters.

    What cannot be written as UTF-8 is escaped.
    """
    fitting = text[: longest + 1].encode("utf-8", "backslashreplace").decode()
    return f"{fitting[:longest]}…" if len(fitting) > longest else fitting


def shown(text: str) -> str:
    """A client's own text, quoted and cut."""
    return f'"{cut(text, LONGEST_SHOWN)}"'


def counted(number: int, noun: str) -> str:
    """A number and its noun: "1 unit", "2 units"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def did_you_mean(word: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """The end of a sentence that names the nearest known word, or else all of them: "; did you mean "weights"?"."""
    known = tuple(known)
    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word[:LONGEST_SHOWN].lower(), by_lower, n=1, cutoff=likeness)
    if near:
        return f'; did you mean "{by_lower[near[0]]}"?'
    return f"; known here: {', '.join(known)}" if known else ""
