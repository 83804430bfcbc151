"""Every attack of the table, on one service as long as it stands: `make attacks`."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.attacks.arena import Arena, Attack, arena
from tests.attacks.rows import ATTACKS


class Arenas:
    """The arena in use; another one once an attack has got through."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._factory = factory
        self._stack = ExitStack()
        self._current: Arena | None = None
        self.measured: list[str] = []

    def sound(self) -> Arena:
        """An arena in which nothing has gone wrong yet."""
        if self._current is None or not self._current.sound:
            self.close()
            self._current = self._stack.enter_context(arena(self._factory.mktemp("attacked") / "log"))
            self._current.learn()
        return self._current

    def close(self) -> None:
        """End the service."""
        self._stack.close()
        self._current = None


@pytest.fixture(scope="module")
def arenas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arenas]:
    """The service that is attacked."""
    made = Arenas(tmp_path_factory)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_takes_nothing_away_from_the_others(
    arenas: Arenas, attack: Attack, record_property: Callable[[str, object], None]
) -> None:
    """Good clients are answered rightly within a second, nobody is killed, nothing is left, and the cost is bounded."""
    found = arenas.sound()
    complaints = found.suffer(attack)
    record_property("measured", str(found.measured[-1]))
    assert complaints == []
