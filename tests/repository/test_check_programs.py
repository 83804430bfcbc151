"""The programs of docs/check-your-backprop.md, run against a real service if their tools are installed."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import Server, environment, serving

FOLDER = Path(__file__).parents[2] / "examples" / "check"
SECONDS = 120.0  # enough for a compiler on a busy machine

# the file, the command that builds it into {out}, the command that runs it, and its mistake
PROGRAMS = [
    ("check.c", "cc -std=gnu11 -Wall -Wextra -Werror {file} -lm -o {out}", "{out} 127.0.0.1 {port}", "last_unit_only"),
    ("check.js", "", "node {file} http://127.0.0.1:{port}", "derivative_at_output"),
    ("check.rs", "rustc -D warnings {file} -o {out}", "{out} 127.0.0.1:{port}", "bias_of_last_sample"),
    ("check.go", "go build -o {out} {file}", "{out} http://127.0.0.1:{port}", "sign"),
    ("check.R", "", "Rscript {file} 127.0.0.1 {port}", "bias_averaged"),
    ("check.m", "", "octave --quiet --no-gui {file}", "updated_weights_on_the_way_down"),
]
AT_HAND = [
    row for row in PROGRAMS if shutil.which((row[1] or row[2]).split()[0])
]  # the others are not counted as skipped, because nobody needs them all


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service on a separate port."""
    with serving(tmp_path_factory.mktemp("checks") / "log") as running:
        yield running


@pytest.mark.parametrize(("name", "build", "run", "cause"), AT_HAND, ids=[row[0] for row in AT_HAND])
def test_an_example_program_prints_its_mistake(
    server: Server, tmp_path: Path, name: str, build: str, run: str, cause: str
) -> None:
    """It builds without a warning, posts its own gradients, and prints the verdict with its mistake."""
    places = {"file": FOLDER / name, "out": tmp_path / "program", "port": server.port}
    more = environment() | {"CHAINRULE_URL": f"http://127.0.0.1:{server.port}"}
    for command in filter(None, (build, run)):
        words = [word.format(**places) for word in command.split()]
        ended = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, env=more, check=False)
        assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"One mistake reproduces these numbers: {cause}.\n"


def test_every_program_is_run() -> None:
    """Every file of the folder has a test."""
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(row[0] for row in PROGRAMS)
