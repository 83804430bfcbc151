"""The explorer's pure functions, run in the browser: formatting of numbers, JSON, links, geometry."""

from itertools import chain, pairwise
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.browsing import Visit

SHOWN = {
    0.7413650695523157: "0.7414",
    0.05: "0.05",
    12.0: "12",
    -0.5: "−0.5",
    0.0: "0",
    0.00043856773447434696: "4.386×10⁻⁴",
    0.0009999: "9.999×10⁻⁴",
    0.00099996: "0.001000",  # which four digits round up to 10⁻³
    0.001: "0.001",
    99999.0: "99999",
    99999.5: "1.000×10⁵",
    100000.0: "1.000×10⁵",
    -1.5e-300: "−1.500×10⁻³⁰⁰",
    1.7976931348623157e308: "1.798×10³⁰⁸",
    1234.56789: "1235",
}


@pytest.fixture(scope="module")
def opened(browser: Browser, explorer_address: str) -> Any:
    """The explorer page, which provides the modules."""
    visit = Visit(browser.new_page(), explorer_address).open()
    yield visit
    visit.page.close()
    assert visit.complaints == []


@pytest.mark.parametrize(("value", "text"), SHOWN.items())
def test_a_number_has_four_digits_and_a_real_minus(opened: Visit, value: float, text: str) -> None:
    """Powers of ten below 10⁻³ and from 10⁵ on; what has no more digits stands as it is."""
    assert opened.module("numbers", "m.shown(given)", value) == text


def test_a_number_that_is_not_finite_is_written_as_such(opened: Visit) -> None:
    """For a factor that the service answers as null."""
    assert opened.module("numbers", "m.shown(given)", None) == "not a finite number"


@pytest.mark.parametrize("text", ["0.10", "1e400", "-0", "12345678901234567890", "1E5", "0.1"])
def test_a_number_keeps_its_text(opened: Visit, text: str) -> None:
    """After it went through the form, or was read from JSON and written again."""
    assert opened.module("json", "m.compact(m.typed(given))", text) == text
    assert opened.module("json", "m.compact(m.parse(given))", f"[{text}]") == f"[{text}]"


@pytest.mark.parametrize("text", ["abc", "", "0x10", "NaN", "01", "1_000", "+1", ".5"])
def test_text_that_is_no_number_becomes_a_string(opened: Visit, text: str) -> None:
    """So the page needs no checks of its own."""
    assert opened.module("json", "m.compact(m.typed(given))", text) == f'"{text}"'


def test_a_typographic_minus_is_accepted(opened: Visit) -> None:
    """It occurs in numbers copied from the page."""
    assert opened.module("json", "m.compact(m.typed(given))", "−0.5") == "-0.5"


LOCATED = '{"a": {"b~c/d": [10, {"x": "q\\"]"}, [1, 2.50]]}, "a2": [[3]]}'


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("#/a/b~0c~1d/0", "10"),
        ("#/a/b~0c~1d/1/x", '"q\\"]"'),
        ("#/a/b~0c~1d/2/1", "2.50"),
        ("#/a2/0", "[3]"),
        ("#", LOCATED),
        ("#/a/missing", None),
        ("#/a2/0/1", None),
    ],
)
def test_a_pointer_is_found_in_the_text(opened: Visit, pointer: str, value: str | None) -> None:
    """Escapes are resolved; null if the pointer leads nowhere."""
    found = opened.module("json", "m.locate(given[0], given[1])", [LOCATED, pointer])
    assert (found if found is None else LOCATED[slice(*found)]) == value


def test_a_link_gives_the_request_back(opened: Visit) -> None:
    """Numbers keep their texts. A link of more than 8,000 characters is refused."""
    request = {"inputs": [0.1, -2], "loss": "µ ⟂ ok"}
    back = opened.module("share", "await m.requestIn(await m.fragmentOf(given))", request)
    assert back == request
    noise = "Array.from({length: 9000}, (_, i) => Math.sin(i) * 1e9)"
    assert opened.module("share", f"await m.fragmentOf({noise})") is None
    assert opened.module("share", "await m.requestIn('#drawing')") is None


@pytest.mark.parametrize(
    ("widths", "style"),
    [
        ([2, 2, 2], "roomy"),
        ([4, 4, 4, 4], "roomy"),
        ([4, 4, 4, 4, 4], "close"),
        ([5, 2], "close"),
        ([9, 9, 8], "close"),  # 81 + 72 = 153 lines
        ([9, 9, 9], "cells"),  # 162
        ([10, 1], "cells"),
        ([64, 64], "cells"),  # 4,096
        ([64, 65], "binned"),
    ],
)
def test_the_size_decides_how_a_network_is_drawn(opened: Visit, widths: list[int], style: str) -> None:
    """Numbers up to 4 × 4, lines up to 9 units and 160 weights, cells up to 4,096, blocks beyond."""
    assert opened.module("layout", "m.styleOf(given)", widths) == style


@pytest.mark.parametrize("widths", [[2, 2, 2], [4, 4, 4, 4], [1, 1], [9, 9, 8], [2, 3, 3, 3, 3, 3, 3, 1]])
def test_boxes_do_not_overlap_and_ports_are_their_unit_s(opened: Visit, widths: list[int]) -> None:
    """Each incoming line has its own port within the height of its unit, with room for its number."""
    given = [widths, [True] * (len(widths) - 1), widths[-1], 1000]
    place = opened.module("layout", "m.layoutOf(...given)", given)
    boxes = [*place["inputs"], *chain.from_iterable(place["units"]), *place["targets"], place["loss"]]
    for index, one in enumerate(boxes):
        assert 0 <= one["x"] <= one["x"] + one["width"] <= place["width"] + 1e-6
        assert 0 <= one["y"] <= one["y"] + one["height"] <= place["height"] + 1e-6
        for other in boxes[:index]:
            apart = (
                one["x"] >= other["x"] + other["width"]
                or other["x"] >= one["x"] + one["width"]
                or one["y"] >= other["y"] + other["height"]
                or other["y"] >= one["y"] + one["height"]
            )
            assert apart
    for layer, units in enumerate(place["units"]):
        for unit in units:
            ports = unit["ports"]
            assert len(ports) == widths[layer]
            assert all(unit["y"] <= port <= unit["y"] + unit["height"] for port in ports)
            steps = [below - above for above, below in pairwise(ports)]
            assert all(step >= (19 if place["roomy"] else 5) for step in steps)


def test_thickness_is_the_square_root_on_one_scale(opened: Visit) -> None:
    """A quarter of the largest value gets half the thickness."""
    thin, half, thick = (opened.module("layout", f"m.thickness({v}, 1, true)") for v in (0, -0.25, 1))
    assert half == pytest.approx((thin + thick) / 2)


def test_what_is_known_grows_with_the_steps(opened: Visit) -> None:
    """Two layers: forward 1, 2; the loss 3; backward 4 to 6 the last layer, 7 to 9 the first."""
    body = """Array.from({length: 10}, (_, step) => {
      const k = new m.Known(2, step);
      return [k.forward(0), k.forward(1), k.loss, k.factor(1, 1), k.factor(1, 2), k.gradient(1),
              k.factor(0, 1), k.factor(0, 2), k.gradient(0)].filter(Boolean).length;
    })"""
    assert opened.module("steps", body) == list(range(10))
