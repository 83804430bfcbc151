"""The explorer in a real browser without internet: its texts, and the errors of the console."""

import contextlib
import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, sync_playwright
from werkzeug.serving import make_server

from service.app import create_app
from service.configuration.settings import Settings

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-quic"),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # there is no internet
)
FRESH = ".result:not(.stale)"  # a result for the current state of the form
REFUSED = re.compile(r"Failed to load resource: the server responded with a status of (\d+)")


@contextlib.contextmanager
def served(settings: Settings | None = None) -> Iterator[str]:
    """The address of a running service."""
    server = make_server("127.0.0.1", 0, create_app(settings), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """The installed browser; nothing is downloaded."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@dataclass
class Visit:
    """An open page. An error in its console fails the test, except for expected HTTP statuses."""

    page: Page
    address: str
    expected: set[int] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)
    posted: list[Any] = field(default_factory=list)  # the bodies of requests for gradients

    def __post_init__(self) -> None:
        self.page.on("console", lambda message: self._note(message.type, message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(f"{error}\n{error.stack}"))
        self.page.on("request", self._see)

    def _note(self, kind: str, text: str) -> None:
        refused = REFUSED.match(text)
        if kind in {"error", "warning"} and not (refused and int(refused[1]) in self.expected):
            self.complaints.append(text)

    def _see(self, request: Request) -> None:
        if not request.url.startswith((self.address, "blob:")):
            self.complaints.append(f"asks {request.url}")
        if request.method == "POST" and request.url.endswith("/v1/gradients"):
            self.posted.append(request.post_data)

    def open(self, fragment: str = "") -> "Visit":
        """Open the page, and wait for the first result."""
        self.page.goto(f"{self.address}/{fragment}")
        self.settle()
        self.page.wait_for_load_state("networkidle")  # the curves, too
        return self

    def settle(self) -> None:
        """Wait for the answer to the current state of the form."""
        self.page.wait_for_timeout(50)  # until the change is drawn
        self.page.wait_for_selector(FRESH)

    def take(self, example: str) -> None:
        """Choose an example."""
        self.page.select_option("#example", example)
        self.settle()

    def paste(self, text: str) -> None:
        """Paste a text into the JSON view."""
        self.page.click("#view-json")
        self.page.fill("#json", text)

    def value(self, factor: str) -> str:
        """The number on the card of a factor ("one", "two", "three") or of the "product"."""
        return self.page.inner_text(f".factor.{factor} .value")

    def chosen(self) -> str:
        """The name of the chosen weight."""
        return self.page.inner_text("section.chosen h2 strong")

    def module(self, name: str, body: str, given: Any = None) -> Any:
        """The result of a JavaScript expression `body` that may use `m`, a module of the page, and `given`."""
        return self.page.evaluate(
            f"async (given) => {{ const m = await import('/static/explorer/{name}.js'); return {body}; }}", given
        )
