"""Shared fixtures, such as an in-process client, and the rule that TESTS_MAY_NOT_SKIP makes skipped tests fail."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from playwright.sync_api import Browser

from service.app import create_app
from tests.browsing import Visit, chromium, served

NO_SKIPS = "TESTS_MAY_NOT_SKIP"


@pytest.fixture(scope="session")
def client() -> FlaskClient:
    """A client of the service with its default settings, without a socket."""
    return create_app().test_client()


@pytest.fixture(scope="session")
def post(client: FlaskClient) -> Callable[[Any], Any]:
    """A function that posts a request to /v1/gradients and returns its answer, a 200."""

    def post(request: Any) -> Any:
        response = client.post("/v1/gradients", json=request)
        assert response.status_code == 200, response.get_json()
        return response.get_json()

    return post


@pytest.fixture(scope="session")
def explorer_address() -> Iterator[str]:
    """The service on a port of its own, for a browser."""
    with served() as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The browser of this machine, started once for a file: as long as it is open, asyncio can run nothing else."""
    with chromium() as started:
        yield started


@pytest.fixture
def visit(browser: Browser, explorer_address: str) -> Iterator[Visit]:
    """The explorer on a desktop screen. At the end, the console must be empty."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    visited = Visit(context.new_page(), explorer_address).open()
    yield visited
    assert "style=" not in visited.page.content()
    context.close()
    assert visited.complaints == []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """With TESTS_MAY_NOT_SKIP, a skipped test fails."""
    report = yield
    if report.skipped and os.environ.get(NO_SKIPS) and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, though {NO_SKIPS} is set: {call.excinfo.value}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """The same for a whole file that is skipped."""
    report = yield
    if report.skipped and os.environ.get(NO_SKIPS):
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} skipped itself, though {NO_SKIPS} is set"
    return report
