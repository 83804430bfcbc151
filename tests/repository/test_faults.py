"""The table of planted faults fits the code. Planting them takes minutes: `make faults`."""

from collections import Counter
from pathlib import Path

import pytest

from tests.faults.fault import Fault
from tests.faults.faults import FAULTS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_can_be_planted(fault: Fault) -> None:
    """Its text occurs exactly once in the code, and its tests exist.

    Otherwise pytest would fail because they are missing.
    """
    assert (ROOT / fault.file).read_text("utf-8").count(fault.old) == 1
    assert fault.new != fault.old
    for test in fault.tests:
        file, _, name = test.partition("::")
        assert f"def {name.partition('[')[0]}" in (ROOT / file).read_text("utf-8")


def test_there_are_many_faults_and_none_twice() -> None:
    """At least 40, each with a name of its own."""
    assert len(FAULTS) >= 40
    assert max(Counter(fault.name for fault in FAULTS).values()) == 1
