"""Every attack of the table, on one service as long as it survives: `make attacks`."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.attacks.arena import Arena, Attack, arena
from tests.attacks.rows import ATTACKS


class Arenas:
    """The current arena; replaced after an attack that has succeeded."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._factory = factory
        self._stack = ExitStack()
        self._current: Arena | None = None
        self.measured: list[str] = []

    def sound(self) -> Arena:
        """An arena in which no attack has succeeded yet."""
        if self._current is None or not self._current.sound:
            self.close()
            self._current = self._stack.enter_context(arena(self._factory.mktemp("attacked") / "log"))
            self._current.measure_baseline()
        return self._current

    def close(self) -> None:
        """Stop the service."""
        self._stack.close()
        self._current = None


@pytest.fixture(scope="module")
def arenas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arenas]:
    """The attacked service."""
    made = Arenas(tmp_path_factory)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_does_not_impair_other_clients(
    arenas: Arenas, attack: Attack, record_property: Callable[[str, object], None]
) -> None:
    """Good clients get correct answers within a second.

    No process is killed, nothing is left over, and the cost is bounded.
    """
    found = arenas.sound()
    complaints = found.run(attack)
    record_property("measured", str(found.measured[-1]))
    assert complaints == []
