"""The resources of a machine or container, read from file trees like those of real machines."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from service.configuration import machine

MIB = 2**20
NO_LIMIT_V1 = str(2**63 - 4096)

# Where this process is, as /proc/self/cgroup says, and what stands below /sys/fs/cgroup.
MEMORY = {
    "version 2, in a container": ("0::/\n", {"memory.max": str(512 * MIB)}, 512),
    "version 2, as a unit of systemd": (
        "0::/system.slice/chainrule.service\n",
        {"system.slice/chainrule.service/memory.max": str(300 * MIB), "system.slice/memory.max": "max"},
        300,
    ),
    "version 2, where a group above is tighter": (
        "0::/pods/pod/container\n",
        {"pods/pod/container/memory.max": str(512 * MIB), "pods/memory.max": str(256 * MIB)},
        256,
    ),
    "version 2, in a container that sees the path outside": (
        "0::/../../docker/0123\n",
        {"memory.max": str(128 * MIB)},
        128,
    ),
    "version 1, in a container": (
        "12:cpu,cpuacct:/\n4:memory:/\n",
        {"memory/memory.limit_in_bytes": str(512 * MIB)},
        512,
    ),
    "version 1, in a group that is mounted as the top": (
        "4:memory:/docker/0123\n",
        {"memory/memory.limit_in_bytes": str(64 * MIB)},
        64,
    ),
    "version 1, where a group above has the limit": (
        "4:memory:/a/b\n",
        {"memory/a/b/memory.limit_in_bytes": NO_LIMIT_V1, "memory/a/memory.limit_in_bytes": str(200 * MIB)},
        200,
    ),
    "both versions": (
        "4:memory:/a\n0::/a\n",
        {"memory/a/memory.limit_in_bytes": str(100 * MIB), "unified/a/cgroup.procs": "1"},
        100,
    ),
}
UNLIMITED: dict[str, tuple[str, Mapping[str, str]]] = {
    "no control groups": ("", {}),
    "version 2 without a limit": ("0::/a\n", {"a/memory.max": "max", "memory.max": "max"}),
    "version 1 without a limit": ("4:memory:/\n", {"memory/memory.limit_in_bytes": NO_LIMIT_V1}),
    "a limit of another group": ("0::/a\n", {"b/memory.max": str(64 * MIB)}),
}


def tree(top: Path, groups: str, files: Mapping[str, str]) -> Path:
    """A folder with these files, in place of the root of a machine."""
    if groups:
        (top / "proc" / "self").mkdir(parents=True)
        (top / "proc" / "self" / "cgroup").write_text(groups)
    for name, text in files.items():
        file = top / "sys" / "fs" / "cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    return top


@pytest.mark.parametrize(("groups", "files", "mib"), MEMORY.values(), ids=MEMORY)
def test_the_tightest_limit_of_memory_is_in_force(
    tmp_path: Path, groups: str, files: Mapping[str, str], mib: int
) -> None:
    """The lowest limit of the process's own control group and all its ancestors."""
    assert machine.memory(tree(tmp_path, groups, files)) == mib * MIB


@pytest.mark.parametrize(("groups", "files"), UNLIMITED.values(), ids=UNLIMITED)
def test_without_a_limit_the_memory_is_the_machines(tmp_path: Path, groups: str, files: Mapping[str, str]) -> None:
    """The kernel's number, which is larger than the limits of these tests."""
    (total,) = [line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal:")]
    assert machine.memory(tree(tmp_path, groups, files)) == 1024 * int(total.split()[1])


QUOTAS = {
    "version 2": ("0::/\n", {"cpu.max": "100000 100000"}, 1),
    "version 2, a fraction": ("0::/\n", {"cpu.max": "50000 100000"}, 1),
    "version 2, above": ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "100000 100000"}, 1),
    "version 1": ("3:cpu,cpuacct:/a\n", {"cpu/a/cpu.cfs_quota_us": "90000", "cpu/a/cpu.cfs_period_us": "100000"}, 1),
}


@pytest.mark.parametrize(("groups", "files", "cores"), QUOTAS.values(), ids=QUOTAS)
def test_a_quota_of_the_processor_bounds_the_cores(
    tmp_path: Path, groups: str, files: Mapping[str, str], cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is rounded up: half a core counts as one."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: range(8))
    assert machine.cores(tree(tmp_path, groups, files)) == cores


def test_a_quota_of_several_cores_is_rounded_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """2.5 count as 3, but never more than the affinity allows."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: range(8))
    assert machine.cores(tree(tmp_path / "a", "0::/\n", {"cpu.max": "250000 100000"})) == 3
    assert machine.cores(tree(tmp_path / "b", "0::/\n", {"cpu.max": "9000000 100000"})) == 8


@pytest.mark.parametrize("text", ["max 100000", "-1"])
def test_without_a_quota_the_cores_are_those_of_the_affinity(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In both versions of control groups."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: range(8))
    name = "cpu.max" if "max" in text else "cpu/cpu.cfs_quota_us"
    files = {name: text, "cpu/cpu.cfs_period_us": "100000"}
    assert machine.cores(tree(tmp_path, "0::/\n3:cpu:/\n", files)) == 8


def test_no_limit_of_open_files_is_still_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """RLIM_INFINITY is -1, which cannot be an upper bound."""
    monkeypatch.setattr("resource.getrlimit", lambda _: (1024, -1))
    assert machine.open_files() == 2**20
    monkeypatch.setattr("resource.getrlimit", lambda _: (1024, 4096))
    assert machine.open_files() == 4096
