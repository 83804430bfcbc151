"""Plants every fault of the table, one at a time, and prints the test that catches it: `python -m tests.faults.plant`.

It works on copies of the repository, and never writes to the repository itself. The exit code is 1 if a fault is not
caught, if its text is not in the source exactly once, if its tests did not run, or if the table has fewer than 40 rows.
"""

import argparse
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.faults.fault import Fault
from tests.faults.faults import FAULTS

FEWEST = 40
LONGEST = 300  # seconds; a planted fault may cause an endless loop
_TREE = Path(__file__).resolve().parents[2]
_NOT_COPIED = shutil.ignore_patterns(".[!d]*", "__pycache__", "node_modules", "build", "dist")  # .dockerignore is
_PASSED, _FAILED = 0, 1  # pytest's exit codes; with any other, tests did not run
_FIRST_FAILURE = re.compile(r"^(?:FAILED|ERROR) (\S+(?: \S+)*?)(?: - .*)?$", re.MULTILINE)


def run(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the copy, with its packages. No bytecode: its time stamps are too coarse for quick changes."""
    environment = os.environ | {
        "PYTHONPATH": str(copy),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=copy, env=environment, capture_output=True, text=True, timeout=LONGEST, check=False
    )


def run_tests(copy: Path, tests: tuple[str, ...], *options: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in the copy."""
    return run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header", "-m", "", *options, *tests)


def copy_of_the_tree(folder: Path) -> Path:
    """Copy the repository to `folder`. Raises SystemExit if Python would import the packages from elsewhere."""
    copy = folder / "tree"
    shutil.copytree(_TREE, copy, ignore=_NOT_COPIED)
    asked = "import chainrule, schemas, service\nfor package in chainrule, schemas, service: print(package.__file__)"
    found = run(copy, "-c", asked).stdout.splitlines()
    if len(found) != 3 or not all(Path(path).is_relative_to(copy) for path in found):
        sys.exit(f"the copy in {copy} is not what Python imports, but {found}")
    return copy


def stale(fault: Fault, tree: Path = _TREE) -> str:
    """The reason why a fault cannot be planted; empty if its text is in its file exactly once, and changes."""
    times = (tree / fault.file).read_text("utf-8").count(fault.old)
    if times != 1:
        return f"its text is {times} times in {fault.file}, not once"
    return "" if fault.old != fault.new else "it changes nothing"


@contextmanager
def planted(fault: Fault, copy: Path) -> Iterator[None]:
    """Plant the fault in the copy within this context, and restore the file at its end."""
    file = copy / fault.file
    sound = file.read_text("utf-8")
    file.write_text(sound.replace(fault.old, fault.new), "utf-8")
    try:
        yield
    finally:
        file.write_text(sound, "utf-8")


def verdict(fault: Fault, copy: Path) -> tuple[bool, str]:
    """Whether the fault is caught, and the test that catches it, or the reason."""
    if why := stale(fault, copy):
        return False, f"STALE   {why}"
    with planted(fault, copy):
        try:
            result = run_tests(copy, fault.tests, "-x")
        except subprocess.TimeoutExpired:
            return True, f"caught  no answer within {LONGEST} s"
    if result.returncode == _PASSED:
        return False, "LIVES   " + " ".join(fault.tests)
    found = _FIRST_FAILURE.search(result.stdout)
    if result.returncode != _FAILED or found is None:
        last = (result.stdout + result.stderr).strip().splitlines()[-1:]
        return False, f"BROKEN  the tests did not run: {' '.join(last)}"
    return True, f"caught  {found[1]}"


def _sound(copy: Path, faults: list[Fault]) -> None:
    """Exit if the tests fail without any fault: then their failure would not show that they catch one."""
    tests = tuple(dict.fromkeys(test for fault in faults for test in fault.tests))
    result = run_tests(copy, tests, "-x")
    if result.returncode != _PASSED:
        sys.exit(f"without any fault the tests must pass:\n{result.stdout}{result.stderr}")


def plant_all(faults: list[Fault], jobs: int) -> int:
    """Plant each of the faults, and print a line for it; return the number that was not caught."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as pool:
        copies: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for number in range(jobs):
            copies.put(copy_of_the_tree(Path(folder, str(number))))
        _sound(Path(folder, "0", "tree"), faults)

        def in_some_copy(fault: Fault) -> tuple[bool, str]:
            copy = copies.get()
            try:
                return verdict(fault, copy)
            finally:
                copies.put(copy)

        missed = 0
        for fault, (caught, line) in zip(faults, pool.map(in_some_copy, faults), strict=True):
            print(f"{line}\n        {fault.name} ({fault.file})", flush=True)
            missed += not caught
    return missed


def main() -> int:
    """Run the command line; the result is the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.plant", description=__doc__)
    parser.add_argument("-k", metavar="words", default="", help="only faults with these words in their name or file")
    parser.add_argument("-j", metavar="jobs", type=int, default=2, help="how many at a time")
    asked = parser.parse_args()
    faults = [fault for fault in FAULTS if asked.k.lower() in f"{fault.name} {fault.file}".lower()]
    missed = plant_all(faults, asked.j)
    print(f"{len(faults)} faults planted, {len(faults) - missed} caught, {missed} not")
    if len(FAULTS) < FEWEST:
        print(f"the table has {len(FAULTS)} faults, and must have {FEWEST}")
    return 1 if missed or not faults or len(FAULTS) < FEWEST else 0


if __name__ == "__main__":
    sys.exit(main())
