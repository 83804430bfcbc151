"""Detects the resources of the container or, without a limit, of the machine: cores, memory, open files.

It reads the limits of control groups, versions 1 and 2, from every group up to the root. The lowest limit applies.
"""

import math
import os
import resource
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_TOP = Path("/")
_MOST_FILES = 2**20  # if the number of open files is unlimited


def cores(top: Path = _TOP) -> int:
    """The number of cores that this process may use: those of its affinity, or fewer if a CPU quota allows fewer."""
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([own, *(math.ceil(quota) for quota in _cpu_quotas(top))])


def memory(top: Path = _TOP) -> int:
    """The bytes of memory that this process and its children may use together."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([machine, *_memory_limits(top)])


def open_files() -> int:
    """How many files and sockets one process may have open."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_FILES if most == resource.RLIM_INFINITY else most


def _cpu_quotas(top: Path) -> Iterator[float]:
    """The cores allowed by each control group that has a quota."""
    for group in _groups(top, "cpu"):
        quota, _, period = _text(group / "cpu.max").partition(" ")  # version 2: "150000 100000", or "max 100000"
        quota = quota or _text(group / "cpu.cfs_quota_us")  # version 1: -1 without a quota
        period = period or _text(group / "cpu.cfs_period_us")
        if quota.isdecimal() and period.isdecimal():
            yield int(quota) / int(period)


def _memory_limits(top: Path) -> Iterator[int]:
    """The bytes allowed by each control group that has a limit."""
    for group in _groups(top, "memory"):
        # "max" in version 2 and 2⁶³ less a page in version 1 stand for no limit.
        for text in (_text(group / "memory.max"), _text(group / "memory.limit_in_bytes")):
            if text.isdecimal():
                yield int(text)


def _groups(top: Path, controller: str) -> Iterator[Path]:
    """The folders of this process's control group and of all its ancestors.

    Some of them may not exist: a container can see its own group as the root of the tree, while /proc/self/cgroup shows
    the path outside of the container.
    """
    mounted = top / "sys" / "fs" / "cgroup"
    for line in _text(top / "proc" / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)  # "0::/a/b" in version 2, "4:cpu,cpuacct:/a/b" in version 1
        inside = PurePosixPath(path.lstrip("/"))
        roots = (mounted / controller,) if controllers else (mounted, mounted / "unified")
        if not controllers or controller in controllers.split(","):
            yield from (root / folder for root in roots for folder in (inside, *inside.parents))


def _text(file: Path) -> str:
    """The text of a file; "" if it cannot be read."""
    try:
        return file.read_text("ascii").strip()
    except OSError:
        return ""
