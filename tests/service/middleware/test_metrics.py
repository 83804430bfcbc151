"""GET /metrics adds up the files of all workers, also incomplete files and those of ended workers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from service.middleware.metrics import exposition
from service.resources.shared import Shared

_NAME = "chainrule_multiply_adds"
_TOTAL = f"{_NAME}_total"
_KEY = mmap_key(_NAME, _TOTAL, [], [], "Help.")


@pytest.fixture
def ended() -> int:
    """The id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def _counted(file: Path, count: float) -> None:
    counts = MmapedDict(str(file))
    counts.write_value(_KEY, count, 0.0)
    counts.close()


def _lines(directory: Path) -> list[str]:
    return exposition(directory, Shared(2**20)).decode().splitlines()


@pytest.mark.parametrize("kind", ["counter", "histogram", "gauge_livesum"])
def test_a_file_that_a_worker_has_only_just_made_does_not_disturb(tmp_path: Path, kind: str) -> None:
    """prometheus_client creates a file, then sets its size. 1 in 160 scrapes failed while workers were replaced."""
    _counted(tmp_path / "counter_1.db", 3.0)  # process 1 always runs
    (tmp_path / f"{kind}_{os.getpid()}.db").touch()
    assert f"{_TOTAL} 3.0" in _lines(tmp_path)


def test_an_empty_file_of_a_dead_worker_does_not_disturb(tmp_path: Path, ended: int) -> None:
    """A worker may be killed between the two steps. Its file then stays empty."""
    (tmp_path / f"counter_{ended}.db").touch()
    _counted(tmp_path / "counter_1.db", 3.0)
    for _ in range(2):
        assert f"{_TOTAL} 3.0" in _lines(tmp_path)


def test_the_counts_of_dead_workers_are_added_up_in_one_file(tmp_path: Path, ended: int) -> None:
    """2 + 5 = 7, at every scrape."""
    _counted(tmp_path / "counter_0.db", 2.0)
    _counted(tmp_path / f"counter_{ended}.db", 5.0)
    for _ in range(2):
        assert f"{_TOTAL} 7.0" in _lines(tmp_path)
    assert [file.name for file in tmp_path.glob("*.db")] == ["counter_0.db"]
