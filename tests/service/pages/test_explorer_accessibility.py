"""Accessibility of the explorer: axe-core finds no violation in any example, light and dark, on desktop and phone."""

from collections.abc import Iterator
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import Browser

from service.api.examples import EXAMPLES
from tests.browsing import Visit

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")
pytestmark = pytest.mark.slow

NAMES = [example["name"] for example in EXAMPLES]
SCREENS = {"desk": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}
VIOLATIONS = """async () => (await axe.run()).violations.map(
  ({id, nodes}) => `${id}: ${nodes.map(node => node.target + " " + node.failureSummary).join("; ").slice(0, 600)}`)"""


VIEWS = [(screen, theme) for screen in SCREENS for theme in ("light", "dark")]


@pytest.fixture(scope="module", params=VIEWS, ids="-".join)
def seen(request: pytest.FixtureRequest, browser: Browser, explorer_address: str) -> Iterator[Visit]:
    """The page on a screen in a theme, with axe-core evaluated in it, because the policy refuses script tags."""
    screen, theme = request.param
    context = browser.new_context(viewport=SCREENS[screen], color_scheme=theme)
    visit = Visit(context.new_page(), explorer_address).open()
    visit.page.evaluate(AXE)
    yield visit
    context.close()
    assert visit.complaints == []


def _violations(visit: Visit) -> list[str]:
    visit.page.wait_for_timeout(250)  # what fades in is there
    found: list[str] = visit.page.evaluate(VIOLATIONS)
    return found


def _unfold(visit: Visit) -> None:
    """Unfold the form on a phone."""
    if not visit.page.locator(".folding[open]").count():
        visit.page.click("summary >> nth=0")


@pytest.mark.parametrize("name", NAMES)
def test_no_example_has_a_violation(seen: Visit, name: str) -> None:
    """The whole page, with the form unfolded."""
    _unfold(seen)
    seen.take(name)
    assert _violations(seen) == []


STATES = {
    "a step in between": ["[aria-label='One step back']"] * 4,
    "request": ["#tab-request"],
    "response": ["[aria-label='To the end']", "#tab-response"],
    "check": ["#tab-check"],
    "JSON": ["#view-json"],
    "whole batch": ["text=whole batch >> nth=0"],
}  # and what is clicked to get there


def test_no_state_has_a_violation(seen: Visit) -> None:
    """Between the steps, in every tab, in the JSON view, with the whole batch."""
    _unfold(seen)
    seen.take("exclusive-or")
    for name, clicked in STATES.items():
        for place in clicked:
            seen.page.click(place)
        assert (name, _violations(seen)) == (name, [])
    seen.page.click("#view-form")


def test_axe_finds_a_planted_violation(seen: Visit) -> None:
    """It finds a button without a name. Otherwise it might report nothing at all."""
    for name in ("aria-label", "title"):
        seen.page.evaluate(f"document.querySelector('.steps button').removeAttribute('{name}')")
    assert any(found.startswith("button-name") for found in _violations(seen))
