"""The explorer as served: who gets the page, its policy, its files, and the switch."""

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from service.app import create_app
from service.configuration.settings import read_settings
from service.pages.explorer import FILES

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'; trusted-types lit-html"
)
LIT_HTML = "b878e7f95dec8a9b6e9b217faca6b6a11bad82ebc44c0caa77419ed83edd81f2"  # lit-html.js of lit-html 3.3.3 on npm
SCRIPTS = sorted(FILES.glob("*.js"))


@pytest.mark.parametrize("accept", [BROWSER, "text/html", "text/html, application/json;q=0.9"])
def test_a_browser_gets_the_page(client: FlaskClient, accept: str) -> None:
    """Its policy allows nothing from other sites, and no inline script."""
    answer = client.get("/", headers={"Accept": accept})
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "Accept" in answer.headers["Vary"].split(", ")


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "application/json, text/html", "text/html;q=0"])
def test_everyone_else_gets_the_links(client: FlaskClient, accept: str | None) -> None:
    """curl, fetch, and clients that do not prefer HTML to JSON. Vary names Accept."""
    answer = client.get("/", headers={} if accept is None else {"Accept": accept})
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert answer.get_json() == client.get("/v1").get_json()
    assert "Accept" in answer.headers["Vary"].split(", ")
    assert "Content-Security-Policy" not in answer.headers


def test_the_page_is_revalidated_each_time(client: FlaskClient) -> None:
    """Caches revalidate it by its ETag, so that modules of two versions are never mixed.

    Unchanged, it is not sent again.
    """
    for path in ("/", "/static/explorer/main.js"):
        with client.get(path, headers={"Accept": BROWSER}) as first:
            assert first.headers["Cache-Control"] == "no-cache"
            tag = first.headers["ETag"]
        with client.get(path, headers={"Accept": BROWSER, "If-None-Match": tag}) as again:
            assert again.status_code == 304


def test_switched_off_there_is_neither_page_nor_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """With CHAINRULE_EXPLORER=off, a browser gets the links like every other client."""
    monkeypatch.setenv("CHAINRULE_EXPLORER", "off")
    client = create_app(read_settings()).test_client()
    assert client.get("/", headers={"Accept": BROWSER}).mimetype == "application/json"
    answer = client.get("/static/explorer/main.js")
    assert (answer.status_code, answer.get_json()["type"]) == (404, "/problems/not-found")
    assert client.get("/docs").status_code == 200
    on = create_app(replace(read_settings(), explorer=True)).test_client()
    assert on.get("/", headers={"Accept": BROWSER}).mimetype == "text/html"


@pytest.mark.parametrize("file", ["none.js", "../docs.css", "%2e%2e/pages.css", "styles"])
def test_no_other_file_is_handed_out(client: FlaskClient, file: str) -> None:
    """Other paths get a problem document."""
    assert client.get(f"/static/explorer/{file}").status_code == 404


def test_the_library_is_the_one_that_its_authors_published() -> None:
    """One file, which imports nothing, beside its licence."""
    library = (FILES / "vendor" / "lit-html.js").read_bytes()
    assert hashlib.sha256(library).hexdigest() == LIT_HTML
    assert not re.search(rb"\bimport\b", library)
    assert "BSD 3-Clause" in (FILES / "vendor" / "LICENSE").read_text("utf-8")
    assert {path.name for path in (FILES / "vendor").iterdir()} == {"lit-html.js", "LICENSE"}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_module_imports_existing_files_and_begins_with_its_purpose(path: Path) -> None:
    """It imports existing files by relative paths, begins with a comment, and has nothing that the policy refuses."""
    text = path.read_text("utf-8")
    for imported in re.findall(r'^import [^;]*?from "([^"]+)"', text, re.MULTILINE):
        assert imported.startswith("./")
        assert (path.parent / imported).is_file()
    assert text.startswith("/**")
    assert not re.search(r"\bstyle=|\.innerHTML|insertAdjacentHTML|\beval\(|new Function|document\.write", text)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_the_page_has_no_second_copy_of_the_mathematics(path: Path) -> None:
    """It contains no function of an activation or a loss, and no name of either except the default loss."""
    text = path.read_text("utf-8")
    assert not re.search(r"Math\.(exp|expm1|tanh|cosh|sinh|log1p|log|log2|erf|pow)\b", text)
    assert set(re.findall(r'"(sigmoid|relu|softmax|squared_error|half_squared_error|tanh)"', text)) <= {
        *({"half_squared_error"} if path.name == "form.js" else set()),  # what a request without a loss has
        *({"tanh"} if path.name == "network.js" else set()),  # what a new layer begins with
    }


def test_modules_form_no_circle() -> None:
    """They can be sorted so that each imports only from those before it."""
    graph = {path.name: set(re.findall(r'from "\./([\w-]+\.js)"', path.read_text("utf-8"))) for path in SCRIPTS}
    while free := {name for name, imports in graph.items() if not imports & graph.keys()}:
        graph = {name: imports for name, imports in graph.items() if name not in free}
    assert graph == {}
