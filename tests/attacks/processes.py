"""CPU time and memory of a tree of processes, and a cgroup that bounds its memory, if one can be created."""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_V1, _V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")


def tree(pid: int) -> list[int]:
    """A process and all its descendants."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):  # it has ended meanwhile
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


def session(leader: int) -> list[int]:
    """The running processes of a session."""
    return [int(path.name) for path in Path("/proc").glob("[0-9]*") if _session_of(path) == leader]


def _session_of(folder: Path) -> int | None:
    try:
        state, _, _, number = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
    except OSError:
        return None
    return None if state == "Z" else int(number)


def cpu_seconds(pid: int) -> float:
    """The CPU time of a tree of processes, and of its children that have ended."""
    total = 0
    for each in tree(pid):
        with contextlib.suppress(OSError):
            total += sum(map(int, Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()[11:15]))
    return total / _TICK


def memory(pid: int) -> int:
    """The bytes of a tree of processes (PSS): a shared page counts once."""
    total = 0
    for each in tree(pid):
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
            total += next((1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
    return total


@dataclass(frozen=True)
class Cgroup:
    """A memory cgroup, of either version."""

    folder: Path

    @property
    def kills(self) -> int:
        """How many of its processes the kernel has killed for lack of memory."""
        for name in ("memory.events", "memory.oom_control"):
            if (self.folder / name).exists():
                words = (self.folder / name).read_text().split()
                return int(words[words.index("oom_kill") + 1])
        raise FileNotFoundError(self.folder)

    def command(self, command: list[str]) -> list[str]:
        """The command that runs another command within the cgroup."""
        return ["/bin/sh", "-c", 'echo $$ > "$0" && exec "$@"', str(self.folder / "cgroup.procs"), *command]


@contextlib.contextmanager
def memory_cgroup(limit: int) -> Iterator[Cgroup | None]:
    """A cgroup with at most `limit` bytes, below our own or beside it; None if we cannot create one."""
    made = next(filter(None, (_made(folder, limit) for folder in _places())), None)
    try:
        yield made
    finally:
        if made is not None:
            _remove(made.folder)


def _places() -> Iterator[Path]:
    own = Path("/proc/self/cgroup")
    lines = own.read_text().splitlines() if own.exists() else []
    for number, controllers, path in (line.split(":", 2) for line in lines):
        root = _V1 if "memory" in controllers.split(",") else _V2 if number == "0" else None
        if root is not None:
            below = root / path.strip("/")
            yield from (below, below.parent)  # of version 2, one that holds processes can have no children


def _made(parent: Path, limit: int) -> Cgroup | None:
    folder = parent / f"chainrule-attacks-{os.getpid()}-{time.monotonic_ns()}"
    try:
        folder.mkdir()
    except OSError:
        return None
    names = [name for name in ("memory.max", "memory.limit_in_bytes") if (folder / name).exists()]
    try:
        (folder / names[0]).write_text(str(limit))
        for swap in ("memory.swap.max", "memory.memsw.limit_in_bytes"):
            if (folder / swap).exists():
                (folder / swap).write_text("0" if swap == "memory.swap.max" else str(limit))
    except (IndexError, OSError):
        _remove(folder)
        return None
    return Cgroup(folder)


def _remove(folder: Path) -> None:
    """Remove a cgroup once its last process has ended."""
    for _ in range(400):
        try:
            folder.rmdir()
        except OSError:
            time.sleep(0.05)
        else:
            return
