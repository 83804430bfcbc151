"""One planted fault."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """A wrong text in the place of a right one, and the tests that must fail then."""

    name: str
    file: str
    old: str  # in the file exactly once
    new: str
    tests: tuple[str, ...]  # the small and fast first
