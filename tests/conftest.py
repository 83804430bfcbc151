"""What the tests share: a client of the service in process, and the rule that a CI run skips nothing."""

import os
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from service.app import create_app

NO_SKIPS = "TESTS_MAY_NOT_SKIP"


@pytest.fixture(scope="session")
def client() -> FlaskClient:
    """A client that speaks to the service with its default settings, without a socket."""
    return create_app().test_client()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Where nothing may be skipped, a skipped test has failed."""
    report = yield
    if report.skipped and os.environ.get(NO_SKIPS) and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, though {NO_SKIPS} is set: {call.excinfo.value}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """The same for whole files that skip themselves."""
    report = yield
    if report.skipped and os.environ.get(NO_SKIPS):
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} skipped itself, though {NO_SKIPS} is set"
    return report
