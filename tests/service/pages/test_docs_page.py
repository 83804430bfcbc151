"""GET /docs in a real browser without internet: it renders, and obeys its Content-Security-Policy."""

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.serving import make_server

from chainrule import __version__
from service.api.operations import OPERATIONS, TAGS
from service.app import create_app
from service.pages.pages import ASSETS, SWAGGER_UI

pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-extensions"),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # there is no internet
    "--enable-logging=stderr",  # the errors of the page
    "--virtual-time-budget=8000",  # milliseconds of virtual time, which passes as fast as the page can work
)
LONGEST = 60  # seconds
VIOLATION = re.compile(r"CONSOLE.*(?:Content Security Policy|Refused to|ERR_|Uncaught|Failed to load)", re.IGNORECASE)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The service on a separate port."""
    server = make_server("127.0.0.1", 0, create_app(), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def _drawn(address: str, folder: Path) -> tuple[str, list[str]]:
    """The page after its scripts have run, and the errors of the browser's console."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here")
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder}", "--dump-dom", address]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=True)
    return ran.stdout, VIOLATION.findall(ran.stderr)


def test_the_api_reference_is_rendered(address: str, tmp_path: Path) -> None:
    """Every operation, our name and version; one is open by its address, with the examples, ready to be tried out.

    There is no violation of the policy, no missing file, and no badge of an external validator.
    """
    page, complaints = _drawn(f"{address}/docs#/gradients/postGradients", tmp_path)
    assert complaints == []
    drawn = re.findall(r'data-path="([^"]+)"', page)
    assert len(drawn) == len(OPERATIONS)
    assert {"/v1/gradients", "/v1/activations/{name}/curve"} <= set(drawn)
    assert re.search(rf"Chainrule.*{re.escape(__version__)}", page, re.DOTALL)
    assert all(f'data-tag="{tag}"' in page for tag in TAGS)
    assert all(words in page for words in ("Try it out", "softmax-classifier", "half_squared_error", "X-Request-ID"))
    assert "validator" not in page.lower()


class _Sources(HTMLParser):
    """Collects the addresses that a page loads, and the inline code that a strict policy would forbid."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.inline: list[str] = []
        self._script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        named = dict(attributes)
        self.sources += [value for name, value in attributes if name == "src" and value]
        self.sources += [named["href"] or ""] if tag == "link" else []
        self.inline += [name for name in named if name == "style" or name.startswith("on")]
        self._script = tag in {"script", "style"}

    def handle_data(self, data: str) -> None:
        self.inline += [data] if self._script and data.strip() else []

    def handle_endtag(self, tag: str) -> None:
        self._script = False


def test_the_page_fetches_from_the_service_alone(client: FlaskClient) -> None:
    """There is no inline code, every file is served, and none of our styles and scripts names another site."""
    page = _Sources(client.get("/docs").text)
    assert page.inline == []
    own = [source for source in page.sources if source != "data:,"]
    assert len(own) == 4
    for source in own:
        assert source.startswith("/")
        with client.get(source) as answer:
            assert answer.status_code == 200
            assert source.startswith("/docs/assets/") or "://" not in answer.text
    assert not re.search(r"url\((?!['\"]?(?:data:|#))|@import", (SWAGGER_UI / "swagger-ui.css").read_text("utf-8"))


def test_the_policy_allows_nothing_else(client: FlaskClient) -> None:
    """It allows scripts and styles from our own files, data: images, and requests to our own address."""
    policy = dict(part.split(" ", 1) for part in client.get("/docs").headers["Content-Security-Policy"].split("; "))
    assert policy == {
        **dict.fromkeys(("default-src", "frame-ancestors", "base-uri", "form-action"), "'none'"),
        **dict.fromkeys(("script-src", "style-src", "connect-src"), "'self'"),
        "img-src": "data:",
    }
    assert client.get("/docs").headers["X-Content-Type-Options"] == "nosniff"
    assert "script-src" not in client.get("/problems").headers["Content-Security-Policy"]


@pytest.mark.parametrize(("file", "content_type"), ASSETS.items())
def test_an_asset_is_cached_for_long(client: FlaskClient, file: str, content_type: str) -> None:
    """Its address contains the version of Swagger UI."""
    with client.get(f"/docs/assets/{file}") as answer:
        assert answer.mimetype == content_type
        assert {"public", "immutable", "max-age=31536000"} <= set(answer.headers["Cache-Control"].split(", "))
        assert answer.data == (SWAGGER_UI / file).read_bytes()
    assert f"/docs/assets/{file}?v={(SWAGGER_UI / 'VERSION').read_text().strip()}" in client.get("/docs").text


@pytest.mark.parametrize(
    "file", ["VERSION", "swagger-ui.js", "oauth2-redirect.html", "../__init__.py", "%2e%2e%2fLICENSE"]
)
def test_no_other_file_is_served(client: FlaskClient, file: str) -> None:
    """Only the files that the page needs."""
    assert client.get(f"/docs/assets/{file}").status_code == 404
