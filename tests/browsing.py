"""The explorer in a real browser, with nothing but the service to talk to: what it says, and what it complains of."""

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
FRESH = ".result:not(.stale)"  # a result that answers what the form says
REFUSED = re.compile(r"Failed to load resource: the server responded with a status of (\d+)")


@contextlib.contextmanager
def served(settings: Settings | None = None) -> Iterator[str]:
    """The address of the service, on a port of its own."""
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
    """The browser of this machine; nothing is downloaded."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@dataclass
class Visit:
    """A page that is open. Whatever it complains of fails the test, but for the statuses that the test expects."""

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
        """Open the page, until the first result is there."""
        self.page.goto(f"{self.address}/{fragment}")
        self.settle()
        self.page.wait_for_load_state("networkidle")  # the curves, too
        return self

    def settle(self) -> None:
        """Wait for the answer to what the form says now."""
        self.page.wait_for_timeout(50)  # until what was done is drawn
        self.page.wait_for_selector(FRESH)

    def take(self, example: str) -> None:
        """Pick an example."""
        self.page.select_option("#example", example)
        self.settle()

    def paste(self, text: str) -> None:
        """Put a text into the JSON view."""
        self.page.click("#view-json")
        self.page.fill("#json", text)

    def value(self, factor: str) -> str:
        """The number on a card: of factor "one", "two", "three", or of the "product"."""
        return self.page.inner_text(f".factor.{factor} .value")

    def chosen(self) -> str:
        """The name of the chosen weight."""
        return self.page.inner_text("section.chosen h2 strong")

    def module(self, name: str, body: str, given: Any = None) -> Any:
        """What a function of a module of the page makes of something: `body` uses `m`, the module, and `given`."""
        return self.page.evaluate(
            f"async (given) => {{ const m = await import('/static/explorer/{name}.js'); return {body}; }}", given
        )
