"""The explorer as it is installed: a wheel in an environment of its own has the page and every file that it names."""

import json
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).parents[3]
CRAWL = r"""
import json, re
from posixpath import dirname, join, normpath
import service
from service.app import create_app

client = create_app().test_client()
page = client.get("/", headers={"Accept": "text/html"}).text
left, seen = re.findall(r'(?:href|src)="(/static/[^"]+)"', page), {}
while left:
    path = left.pop()
    if path in seen:
        continue
    answer = client.get(path)
    seen[path] = answer.status_code
    named = re.findall(r'^import [^;]*?from "(\./[^"]+)"|(?<!\w)url\("?([^")]+)"?\)', answer.text, re.MULTILINE)
    left += [normpath(join(dirname(path), one or other)) for one, other in named]
print(json.dumps({"service": service.__file__, "seen": seen}))
"""


def _run(*command: str, cwd: Path) -> str:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=True).stdout


def test_a_wheel_has_the_page_and_every_file_it_names(tmp_path: Path) -> None:
    """Built and installed without a network; only the libraries are those of this environment."""
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path), cwd=ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    own = tmp_path / "environment"
    venv.create(own, with_pip=False, symlinks=True)
    python = str(own / "bin" / "python")
    install = ("install", "-qq", "--no-index", "--no-deps", "--disable-pip-version-check", str(wheel))
    _run(sys.executable, "-m", "pip", "--python", python, *install, cwd=tmp_path)
    (packages,) = own.glob("lib/python*/site-packages")
    # A path that is named so is searched last, and its own .pth files, of the editable install, are not read.
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    reported = json.loads(_run(python, "-c", CRAWL, cwd=tmp_path))
    assert Path(reported["service"]).is_relative_to(own)
    assert [path for path, status in reported["seen"].items() if status != 200] == []
    files = {path.name for path in (ROOT / "service" / "pages" / "static" / "explorer").rglob("*") if path.is_file()}
    assert {path.rpartition("/")[2] for path in reported["seen"]} == files - {"LICENSE"}
    assert (packages / "service" / "pages" / "static" / "explorer" / "vendor" / "LICENSE").is_file()
