"""The explorer in a real browser: what a user sees, does and does wrong."""

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from playwright.sync_api import Browser, Error, Route

from service.api.examples import EXAMPLES
from service.configuration.settings import read_settings
from service.middleware.keys import new_key
from tests.browsing import FRESH, Visit, served

pytestmark = pytest.mark.slow

REQUESTS: dict[str, Any] = {example["name"]: example["request"] for example in EXAMPLES}
WIDTHS = "all => all.map(line => Number(line.getAttribute('stroke-width')))"
POINT = """line => {
  const {x, y} = line.getPointAtLength(0.35 * line.getTotalLength()), at = line.getScreenCTM();
  return [at.e + x, at.f + y];
}"""  # of a line, on the screen
VALUE = "section.chosen header input"


def test_the_first_example_is_drawn_with_its_factors(visit: Visit) -> None:
    """Mazur's network. The largest gradient of the last layer is chosen: 0.7414 · 0.1868 · 0.5969 = 0.08267."""
    assert visit.chosen() == "h₂ → y₁"
    assert [visit.value(factor) for factor in ("one", "two", "three", "product")] == [
        "0.7414",
        "0.1868",
        "0.5969",
        "0.08267",
    ]
    assert "raise this weight by 0.01 and E rises by about 8.3×10⁻⁴" in visit.page.inner_text(".factor.product")
    assert visit.page.get_attribute(".factor.one .value", "title") == "0.7413650695523157"
    assert visit.page.locator("[role=option]").count() == 12
    assert visit.page.locator(".curve").count() == visit.page.locator(".tangent").count() == 4
    assert visit.page.locator(".unit text").all_text_contents()[:4] == ["h₁", "sigmoid", "0.5933", "∂E/∂a 0.00877"]
    assert "0.2984" in visit.page.text_content(".network .loss")


def test_a_hidden_weight_shows_the_sum_behind_its_first_factor(visit: Visit) -> None:
    """x₁ → h₁: 0.1385 · 0.4 − 0.03810 · 0.5 = 0.05540 − 0.01905 = 0.03635, a row for each unit that h₁ feeds."""
    line = visit.page.locator("#w-0-0-0 .line")
    visit.page.mouse.click(*line.evaluate(POINT))
    assert (visit.chosen(), visit.value("product")) == ("x₁ → h₁", "4.386×10⁻⁴")
    rows = [row.split("\t") for row in visit.page.inner_text(".sum tbody").splitlines()]
    assert [[cell.strip() for cell in row[:5]] for row in rows] == [
        ["y₁", "0.7414", "0.1868", "0.4", "0.05540"],
        ["y₂", "−0.2171", "0.1755", "0.5", "−0.01905"],
    ]
    assert visit.page.inner_text(".sum tfoot").split() == ["sum", "0.03635"]
    assert visit.page.locator(".weight.path").count() == 2


def test_one_derivative_is_followed_from_the_loss_to_the_first_layer_by_keyboard(visit: Visit) -> None:
    """The drawing has one tab stop. Left goes down the path, up and down along the ports, Enter to the value."""
    page = visit.page
    page.focus("#drawing")
    assert page.locator("svg.network [tabindex]").count() == 0
    page.keyboard.press("ArrowLeft")
    assert visit.chosen() == "x₂ → h₂"
    assert page.get_attribute("#drawing", "aria-activedescendant") == "w-0-1-1"
    page.keyboard.press("ArrowDown")
    assert visit.chosen() == "Bias of h₂"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert visit.chosen() == "x₁ → h₂"
    page.keyboard.press("ArrowRight")
    assert visit.chosen() == "h₂ → y₁"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.matches('section.chosen input')")
    assert "h₂ → y₁, gradient 0.08267" in page.inner_text("[aria-live]")


def test_a_row_of_the_table_can_be_chosen(visit: Visit) -> None:
    """By click and by Enter; the table has every weight of the drawing, with all its digits in the title."""
    visit.page.click("table.gradients tr:has-text('bias of y₂') td >> nth=0")
    assert visit.chosen() == "Bias of y₂"
    button = visit.page.locator("table.gradients button", has_text="x₂ → h₁")
    button.focus()
    visit.page.keyboard.press("Enter")
    assert visit.chosen() == "x₂ → h₁"
    assert visit.page.locator("table.gradients tbody tr").count() == 12
    assert visit.page.locator("table.gradients tbody tr.own td").last.get_attribute("title") == "0.0008771354689486939"


def _later(answer: dict[str, Any], step: int) -> Iterator[float]:
    """The numbers that are not known yet after a step of the two passes, from the service's answer."""
    layers = answer["layers"]
    count = len(layers)
    for k, layer in enumerate(layers):
        if step < k + 1:
            yield from (*layer["a"], *layer["o"])
        back = count + 1 + 3 * (count - 1 - k)
        yield from layer["factors"]["dE_do"] if step < back + 1 else ()
        yield from layer["factors"]["do_da"] if step < back + 2 else ()
        yield from (*chain.from_iterable(layer["dE_dw"]), *layer["dE_db"]) if step < back + 3 else ()
    if step < count + 1:
        yield answer["loss"]


def test_nothing_is_shown_before_its_step(visit: Visit, client: FlaskClient) -> None:
    """Forward layer by layer, the loss, then three steps for each layer.

    The page contains no digit of a later number.
    """
    answer = client.post("/v1/gradients", json=REQUESTS["two-layers"]).get_json()
    page = visit.page
    sentences = []
    page.click("#tab-response")
    for tab in ("#tab-response", "#tab-table"):
        page.click("[aria-label='To the beginning']")
        page.click(tab)
        for step in range(10):
            content = page.content()
            assert f"{step}/9" in page.inner_text(".sentence")
            assert [number for number in _later(answer, step) if str(number) in content] == []
            shown = page.inner_text("main")
            assert [number for number in _later(answer, step) if f"{number:.4g}".lstrip("-") in shown] == []
            sentences.append(page.inner_text(".sentence"))
            if step < 9:
                page.click("[aria-label='One step forward']")
    assert len(set(sentences)) == 10
    assert "0.08267" in page.content()


def test_stepping_follows_the_chosen_derivative_down(visit: Visit) -> None:
    """From h₂ → y₁ in the output layer to a weight that ends at h₂; the lines turn from weights to gradients."""
    page = visit.page
    page.click("[aria-label='To the beginning']")
    assert page.get_attribute(".picture .switch button >> nth=0", "aria-pressed") == "true"
    for _ in range(7):
        page.click("[aria-label='One step forward']")
    assert visit.chosen() == "x₂ → h₂"
    assert page.get_attribute(".picture .switch button >> nth=1", "aria-pressed") == "true"
    assert visit.value("one") == "0.04137"
    assert visit.value("two") == "…"


def test_an_edit_in_place_is_computed_once_after_a_pause(visit: Visit, client: FlaskClient) -> None:
    """Five keys cause one request. The answer is that of the service for the edited network; 0.750 stays 0.750."""
    before = len(visit.posted)
    visit.page.fill(VALUE, "")
    visit.page.type(VALUE, "0.750", delay=20)
    visit.settle()
    assert len(visit.posted) == before + 1
    assert "[[0.4,0.5],[0.750,0.55]]" in visit.posted[-1]
    answer = client.post("/v1/gradients", data=visit.posted[-1], content_type="application/json").get_json()
    title = visit.page.get_attribute(".factor.product .value", "title")
    assert float(title or "") == answer["layers"][1]["dE_dw"][1][0]
    assert "0.750" in visit.page.inner_text("table.gradients tr.own")


def test_an_earlier_request_is_aborted_and_the_old_result_dimmed(visit: Visit, client: FlaskClient) -> None:
    """The first of two edits is never answered. The page shows the answer to the second."""
    held: list[Route] = []
    page = visit.page
    page.route("**/v1/gradients", lambda route: held.append(route) if not held else route.continue_())
    page.fill(VALUE, "3")
    page.wait_for_selector(".result.stale")
    page.wait_for_timeout(600)
    assert len(held) == 1
    assert float(page.evaluate("getComputedStyle(document.querySelector('.factors')).opacity")) < 0.7
    page.fill(VALUE, "0.6")
    visit.settle()
    assert visit.value("three") == "0.5969"
    assert "0.6,0.55" in visit.posted[-1]
    product = visit.value("product")
    answer = client.post("/v1/gradients", json=REQUESTS["two-layers"]).get_json()
    with contextlib.suppress(Error):  # the page has aborted it, so it cannot be answered any more
        held[0].fulfill(status=200, content_type="application/json", body=json.dumps(answer))
    page.wait_for_timeout(200)
    assert visit.value("product") == product != "0.08267"


@pytest.mark.parametrize("typed", ["0.4x", "", "1e400", "NaN", "true", "1,5"])
def test_text_that_is_no_number_is_explained_at_its_field(visit: Visit, typed: str) -> None:
    """The page shows the service's sentence, marks the field, and dims the last result."""
    visit.expected |= {422}
    visit.page.fill(VALUE, typed)
    visit.page.wait_for_selector("#value-complaint:not(:empty)")
    words = "beyond the range of float64" if typed == "1e400" else "must be a number, not a string"
    assert words in visit.page.inner_text("#value-complaint")
    assert visit.page.get_attribute(VALUE, "aria-invalid") == "true"
    assert visit.value("one") == "0.7414"
    assert visit.page.locator(".result.stale").count() == 1
    assert "h₂ → y₁:" in visit.page.inner_text(".form")
    visit.page.fill(VALUE, "0.45")
    visit.settle()
    assert visit.page.inner_text("#value-complaint") == ""


def test_a_message_is_shown_at_no_other_field(visit: Visit) -> None:
    """One of eight weights and four biases is wrong. Only its field is marked."""
    visit.expected |= {422}
    for summary in visit.page.locator(".layer summary").all():
        summary.click()
    visit.page.fill("[aria-label='x₁ to h₂']", "x")
    visit.page.wait_for_selector(".form .complaint")
    marked = visit.page.locator("[aria-invalid=true]").evaluate_all("all => all.map(e => e.getAttribute('aria-label'))")
    assert marked == ["x₁ to h₂", None]
    assert visit.chosen() == "x₁ → h₂"


PLACES = {
    "inputs": ("Inputs of sample 1", "0.05, oops", "#inputs-complaint", "no. 2: must be a number"),
    "a target too few": ("Target of sample 1", "0.01", "#targets-complaint", ""),
    "learning rate": (None, "-1", "#rate-complaint", "greater than 0"),
}


@pytest.mark.parametrize("case", PLACES)
def test_a_mistake_in_the_form_is_explained_at_its_place(visit: Visit, case: str) -> None:
    """In inputs, targets, and the learning rate."""
    label, typed, place, words = PLACES[case]
    visit.expected |= {422}
    if label is None:
        visit.page.fill(".descent input", typed)
        visit.page.click("text=one step")
    else:
        visit.page.fill(f"[aria-label='{label}']", typed)
    visit.page.wait_for_selector(place)
    assert words in visit.page.inner_text(place)


@pytest.mark.parametrize("typed", ["0", "-1", "2.5", "many", "5000"])
def test_an_invalid_size_is_explained_at_its_field(visit: Visit, typed: str) -> None:
    """The network stays as it is. A valid size removes the complaint."""
    field = "[aria-label='How many: Layer 1']"
    visit.page.fill(field, typed)
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_selector(".size .complaint")
    assert f'"{typed}" is not a size: enter a whole number from 1 to 4096' in visit.page.inner_text(".size .complaint")
    assert visit.page.input_value(field) == "2"
    visit.page.fill(field, "3")
    visit.page.keyboard.press("Enter")
    visit.settle()
    assert visit.page.locator(".size .complaint").count() == 0


def test_a_page_without_a_clipboard_copies_all_the_same(visit: Visit) -> None:
    """As at an http:// address in a classroom. If the browser allows no copying, a note says so."""
    page = visit.page
    page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined, configurable: true})")
    page.click("text=Copy link")
    page.wait_for_selector(".note:text-is('The link is copied.')")
    page.evaluate("delete navigator.clipboard")
    assert page.evaluate("navigator.clipboard.readText()").startswith(f"{visit.address}/#request=")
    page.evaluate(
        "Object.defineProperty(navigator, 'clipboard', {value: undefined}); document.execCommand = () => false"
    )
    page.click("text=Copy link")
    page.wait_for_selector(".note:has-text('does not let the page copy')")


def test_the_skip_link_leads_to_the_drawing_and_changes_nothing(visit: Visit) -> None:
    """What was typed is still there."""
    visit.page.fill(VALUE, "0.75")
    visit.settle()
    visit.page.focus(".skip")
    visit.page.keyboard.press("Enter")
    assert visit.page.evaluate("document.activeElement.id") == "drawing"
    visit.settle()
    assert visit.page.input_value(VALUE) == "0.75"


def test_json_that_cannot_be_read_is_explained_with_its_line(visit: Visit) -> None:
    """The page posts the text unchanged, and the service names the line.

    A click leads there. The form keeps the last request.
    """
    visit.expected |= {400}
    visit.paste('{\n  "network": ,\n}')
    visit.page.wait_for_selector("#json-complaints .complaint")
    assert "line 2, column 14" in visit.page.inner_text("#json-complaints")
    visit.page.click("#json-complaints button")
    assert visit.page.evaluate("document.getElementById('json').selectionStart") == 15
    visit.page.click("#view-form")
    assert "line 2, column 14" in visit.page.inner_text(".request")
    visit.page.click("#view-json")
    assert visit.page.input_value("#json") == '{\n  "network": ,\n}'


def test_every_mistake_in_the_json_is_shown_with_its_place(visit: Visit) -> None:
    """A boolean weight, a missing member, a misspelt loss, an unknown key; the form shows each at its field too."""
    visit.expected |= {422}
    text = json.dumps(REQUESTS["two-layers"] | {"loss": "hubr", "colour": 1, "inputs": [True, 0.1]}, indent=1).replace(
        '"targets"', '"target"'
    )
    visit.paste(text)
    visit.page.wait_for_selector("#json-complaints li")
    reported = visit.page.inner_text("#json-complaints")
    for pointer in ("#/inputs/0", "#/targets", "#/loss", "#/colour", "#/target"):
        assert pointer in reported
    visit.page.click("#json-complaints button:has-text('#/loss')")
    assert visit.page.locator("#json").evaluate("f => f.value.slice(f.selectionStart, f.selectionEnd)") == '"hubr"'
    visit.page.click("#view-form")
    assert 'did you mean "huber"' in visit.page.inner_text("#loss-complaint")
    assert "is required" in visit.page.inner_text("#targets-complaint")
    assert "#/colour" in visit.page.inner_text(".complaints")


ODD_LAYER = '{"activation": [7, null], "weights": [[1, [2]], {}], "biases": "x"}'
ODD = (
    *("null", "[]", "3", "{}", '{"network": null}', '{"network": {"layers": [null, 5, {"weights": 3}]}}'),
    f'{{"network": {{"layers": [{ODD_LAYER}]}}, "inputs": {{"a": 1}}}}',
    '{"network": {"layers": []}, "inputs": [[]], "targets": null, "loss": 4}',
)


@pytest.mark.parametrize("text", ODD)
def test_the_page_survives_any_json(visit: Visit, text: str) -> None:
    """Both views show the service's sentence, and neither fails."""
    visit.expected |= {422, 400}
    visit.paste(text)
    visit.page.wait_for_selector("#json-complaints .complaint")
    visit.page.click("#view-form")
    assert visit.page.locator(".request .complaint").count() > 0
    visit.take("two-layers")
    assert visit.value("product") == "0.08267"


def test_a_request_over_a_limit_is_explained(visit: Visit) -> None:
    """Limits too: the service says which, how much, and what to change."""
    visit.expected |= {422}
    layer = {"activation": "softmax", "weights": [[0.5] * 2000]}  # four million derivatives of one unit by another
    visit.paste(json.dumps({"network": {"layers": [layer]}, "inputs": [1.0], "targets": [0.0] * 2000}))
    visit.page.wait_for_selector("#json-complaints .complaint")
    assert "CHAINRULE_MAX_MEMORY_BYTES" in visit.page.inner_text("#json-complaints")


def test_form_and_json_are_two_views_of_one_request(visit: Visit) -> None:
    """A change in one is shown in the other; a matrix stays a matrix, a number is as it was typed."""
    visit.page.select_option("[aria-label='Activation of layer 1']", "tanh")
    visit.settle()
    visit.page.click("#view-json")
    text = visit.page.input_value("#json")
    assert json.loads(text)["network"]["layers"][0]["activation"] == "tanh"
    assert '"weights": [[0.4, 0.5], [0.45, 0.55]]' in text
    visit.page.fill("#json", text.replace("[0.05, 0.1]", "[0.050, 1]"))
    visit.settle()
    visit.page.click("#view-form")
    assert visit.page.input_value("[aria-label='Inputs of sample 1']") == "0.050, 1"
    assert visit.page.input_value("#example") == ""


def test_layers_units_and_activations_are_changed_in_the_form(visit: Visit) -> None:
    """Another unit, another layer, an activation for each unit, no biases, a sample: each gives a valid request."""
    page = visit.page
    page.click("[aria-label='One more: Layer 1']")
    visit.settle()
    page.click("text=add a hidden layer")
    visit.settle()
    page.select_option("[aria-label='Activation of layer 1']", "")
    visit.settle()
    page.select_option("[aria-label='Activation of a₂']", "leaky_relu")
    visit.settle()
    page.click("fieldset:has(legend:text-is('output layer')) summary")
    page.click("text=without biases >> visible=true")
    visit.settle()
    page.click("[aria-label='One more: Inputs']")
    visit.settle()
    page.click("text=add a sample")
    visit.settle()
    posted = json.loads(visit.posted[-1])
    layers = posted["network"]["layers"]
    assert [len(layer["weights"]) for layer in layers] == [3, 3, 2]
    assert layers[0]["activation"] == ["sigmoid", "leaky_relu", "sigmoid"]
    assert "biases" not in layers[2]
    assert posted["inputs"][0] == posted["inputs"][1]
    page.click("[aria-label='Remove sample 2']")
    page.click("[aria-label='Remove layer 2']")
    visit.settle()
    assert len(json.loads(visit.posted[-1])["network"]["layers"]) == 2


def test_without_a_service_the_last_result_stays(visit: Visit) -> None:
    """A banner says so. When the service is back, one click computes the request of the form."""
    page = visit.page
    page.route("**/v1/gradients", lambda route: route.abort())
    page.fill(VALUE, "0.9")
    page.wait_for_selector(".banner")
    assert "does not answer. The page still shows the last result" in page.inner_text(".banner")
    assert visit.value("product") == "0.08267"
    page.unroute_all()
    page.click("text=Try again")
    visit.settle()
    assert page.locator(".banner").count() == 0
    assert "0.9,0.55" in visit.posted[-1]
    visit.complaints[:] = [reported for reported in visit.complaints if "ERR_FAILED" not in reported]


def test_the_page_says_that_the_service_is_overloaded(visit: Visit) -> None:
    """After a 503, the page shows the service's sentence, and keeps the last result."""
    visit.expected |= {503}
    problem = {"type": "/problems/overloaded", "status": 503, "detail": "too much work is in flight"}
    reply = {"status": 503, "content_type": "application/problem+json", "body": json.dumps(problem)}
    visit.page.route("**/v1/gradients", lambda route: route.fulfill(**reply))
    visit.page.fill(VALUE, "0.9")
    visit.page.wait_for_selector(".banner")
    assert "too much work is in flight" in visit.page.inner_text(".banner")
    visit.page.unroute_all()


def test_the_copied_request_runs_elsewhere(visit: Visit, tmp_path: Path) -> None:
    """The copied curl and Python code get the answer that the page shows."""
    visit.page.click("#tab-request")
    commands = {"curl": ["bash", "-c"], "Python": [sys.executable, "-W", "error", "-c"]}
    for language, command in commands.items():
        visit.page.click(f".details .switch button:text-is('{language}')")
        visit.page.click(".details button:text-is('Copy')")
        visit.page.wait_for_selector(".note.shown")
        text = visit.page.evaluate("navigator.clipboard.readText()")
        assert visit.address in text
        ran = subprocess.run([*command, text], capture_output=True, text=True, timeout=30, check=True, cwd=tmp_path)
        assert "0.08266762784753327" in ran.stdout
    visit.page.click(".details .switch button:text-is('JavaScript')")
    assert "await fetch(" in visit.page.inner_text(".details pre")


def test_the_response_is_shown_and_downloaded(visit: Visit, client: FlaskClient) -> None:
    """Exactly the service's document, with all digits."""
    answer = client.post("/v1/gradients", json=REQUESTS["two-layers"]).get_json()
    visit.page.click("#tab-response")
    assert json.loads(visit.page.inner_text(".details pre")) == answer
    with visit.page.expect_download() as download:
        visit.page.click("text=Download response")
    assert json.loads(Path(download.value.path()).read_text("utf-8")) == answer


def test_a_link_contains_the_request_and_the_server_never_gets_it(visit: Visit) -> None:
    """It is deflated into the fragment. Opened in another browser, it gives the same request and gradients."""
    visit.page.fill(VALUE, "0.375")
    visit.settle()
    product = visit.value("product")
    visit.page.wait_for_timeout(100)
    visit.page.click("text=Copy link")
    visit.page.wait_for_selector(".note:text-is('The link is copied.')")
    link = visit.page.evaluate("navigator.clipboard.readText()")
    assert link.startswith(f"{visit.address}/#request=")
    other = Visit(visit.page.context.new_page(), visit.address)
    asked: list[str] = []
    other.page.on("request", lambda request: asked.append(request.url))
    other.open(link.removeprefix(f"{visit.address}/"))
    assert other.posted[-1] == visit.posted[-1]
    assert other.value("product") == product
    assert not [url for url in asked if "request=" in url]
    assert other.complaints == []


def test_a_damaged_link_is_reported_and_the_first_example_shown(browser: Browser, explorer_address: str) -> None:
    """For example, a mail program has truncated it."""
    visit = Visit(browser.new_page(), explorer_address)
    visit.page.goto(f"{explorer_address}/#request=q1bKS")
    visit.page.wait_for_selector(".factors")
    assert visit.chosen() == "h₂ → y₁"
    assert "The link is damaged" in visit.page.inner_text(".note")
    visit.page.close()
    assert visit.complaints == []


def test_descent_lowers_the_loss_and_can_be_reset(visit: Visit, client: FlaskClient) -> None:
    """Eleven steps from `exclusive-or` have the losses of the service's own steps; then the start is restored."""
    visit.take("exclusive-or")
    request = REQUESTS["exclusive-or"]
    losses = []
    for _ in range(12):
        answer = client.post("/v1/gradients", json=request).get_json()
        losses.append(answer["loss"])
        request = request | {"network": answer["updated_network"]}
    visit.page.click("text=one step")
    visit.settle()
    visit.page.click("text=ten steps")
    visit.page.wait_for_selector("text=after 11 steps")
    titles = visit.page.locator(".descent [title]").evaluate_all("all => all.map(each => Number(each.title))")
    assert titles == [losses[0], losses[-1]]
    assert losses[-1] < losses[0]
    assert visit.page.locator(".losses circle").count() == 12 + 1
    visit.page.click("text=start again")
    visit.settle()
    assert json.loads(visit.posted[-1])["network"] == REQUESTS["exclusive-or"]["network"]
    assert visit.page.locator(".losses").count() == 0


def test_a_softmax_is_a_sum_and_never_a_diagonal(visit: Visit, client: FlaskClient) -> None:
    """Factors 1 and 2 are one card, the sum over the group: one row for each of its outputs, dE/da below them."""
    visit.take("softmax-classifier")
    assert visit.page.locator(".factor.two").count() == 0
    assert visit.page.inner_text(".factor.one .digit") == "1 and 2"
    answer = client.post("/v1/gradients", json=REQUESTS["softmax-classifier"]).get_json()
    titles = visit.page.locator(".sum").first.locator("[title]").evaluate_all("all => all.map(e => Number(e.title))")
    to = int(visit.page.get_attribute("#drawing", "aria-activedescendant").rpartition("-")[2])  # type: ignore[union-attr]
    factors = answer["layers"][1]["factors"]
    expected = []
    for m in range(3):
        dE_do, do_da = factors["dE_do"][0][m], factors["do_da"][0][m][to]
        expected += [dE_do, do_da, dE_do * do_da]
    assert titles == [*expected, answer["layers"][1]["dE_da"][0][to]]


def test_a_lopsided_jacobian_is_read_the_right_way(visit: Visit, client: FlaskClient) -> None:
    """log-softmax: do_m/da_j = [m = j] − softmax_j differs from its transpose; the terms add up to dE/da."""
    layer = {"activation": "log_softmax", "weights": [[0.5, -0.3, 0.9]]}
    request = {"network": {"layers": [layer]}, "inputs": [1.0], "targets": [0.2, 0.7, -0.4], "loss": "squared_error"}
    visit.paste(json.dumps(request))
    visit.settle()
    to = int(visit.page.get_attribute("#drawing", "aria-activedescendant").rpartition("-")[2])  # type: ignore[union-attr]
    terms = visit.page.locator(".sum tbody tr td:nth-of-type(3)").evaluate_all("all => all.map(e => Number(e.title))")
    answer = client.post("/v1/gradients", json=request).get_json()
    assert sum(terms) == pytest.approx(answer["layers"][0]["dE_da"][to], rel=1e-12)


def test_each_unit_of_a_mixed_layer_has_its_own_cards(visit: Visit) -> None:
    """The tanh unit beside a softmax has three factors, the softmax units have the sum over their three."""
    visit.take("mixed-units")
    visit.page.click("table.gradients button:text-is('h₁ → y₄')")
    assert visit.page.locator(".factor.two").count() == 1
    visit.page.click("table.gradients button:text-is('h₁ → y₂')")
    assert visit.page.locator(".factor.two").count() == 0
    assert visit.page.locator(".sum tbody tr").count() == 3


def test_a_batch_is_the_sum_of_its_samples(visit: Visit, client: FlaskClient) -> None:
    """A row for each sample; "whole batch" shows the gradient that the service returns, "this sample" its part."""
    visit.take("exclusive-or")
    answer = client.post("/v1/gradients", json=REQUESTS["exclusive-or"]).get_json()
    terms = visit.page.locator(".sum tbody tr td:nth-of-type(4)").evaluate_all("all => all.map(e => Number(e.title))")
    assert len(terms) == 4
    assert sum(terms) == pytest.approx(answer["layers"][1]["dE_dw"][0][0], rel=1e-12)
    visit.page.click("text=whole batch >> nth=0")
    assert visit.page.get_attribute(".factor.product .value", "title") == str(answer["layers"][1]["dE_dw"][0][0])
    visit.page.click("text=this sample")
    visit.page.click("[aria-label='Next sample']")
    assert visit.page.get_attribute(".factor.product .value", "title") == str(terms[1])
    assert "sample 2 of 4" in visit.page.inner_text("section.chosen")


def test_the_first_choice_is_never_a_zero(visit: Visit) -> None:
    """tanh(x₁ − x₂) = 0 for equal inputs: the last layer's only gradient is 0, the layer below has ±."""
    layers = [{"activation": "tanh", "weights": [[1.0], [-1.0]]}, {"activation": "identity", "weights": [[2.0]]}]
    request = {"network": {"layers": layers}, "inputs": [0.5, 0.5], "targets": [1.0]}
    link = visit.module("share", "await m.fragmentOf(given)", request)
    visit.page.goto("about:blank")
    visit.open(link)
    assert visit.chosen() == "x₁ → h₁"
    assert visit.value("product") == "−1"


def test_widths_have_one_scale_over_all_layers(visit: Visit) -> None:
    """Vanishing gradients are visible: the first layer has thinner lines than the last, and a strip shows the ratio."""
    visit.take("vanishing")
    widths = [max(visit.page.locator(f"[id^='w-{k}-'] .line").evaluate_all(WIDTHS)) for k in (0, 6)]
    assert widths[0] < 1.2
    assert widths[1] > 4
    assert visit.page.locator(".layers li").count() == 7
    assert "Only the chosen line has its number: all numbers fit only for up to" in visit.page.inner_text(".picture")


def test_signs_are_visible_without_colours(visit: Visit) -> None:
    """Negative is dashed, zero dotted, positive solid; numbers have a real minus sign."""
    visit.take("exclusive-or")
    dash = "e => getComputedStyle(e).strokeDasharray"
    assert visit.page.locator(".weight.positive .line").first.evaluate(dash) == "none"
    negative, zero = (visit.page.locator(f".weight.{kind} .line").first.evaluate(dash) for kind in ("negative", "zero"))
    assert "none" not in {negative, zero}
    assert negative != zero
    assert "−0.00454" in visit.page.text_content(".network")


def test_a_wide_network_is_drawn_as_matrices(visit: Visit) -> None:
    """It has 24 · 16 + 16 · 10 cells and a sentence with the reason; a click and the arrow keys choose a weight."""
    visit.take("wide")
    page = visit.page
    assert page.locator(".cells [data-at]").count() == 24 * 16 + 16 * 10
    assert "with more than 9 units in a layer or 160 weights" in page.inner_text(".picture")
    page.click("[data-at='0 3 4']")
    assert visit.chosen() == "x₄ → h₅"
    page.focus("#drawing")
    page.keyboard.press("ArrowDown")
    assert visit.chosen() == "x₅ → h₅"
    assert page.locator("table.gradients tr.own").inner_text().startswith("x₅ → h₅")


def test_a_very_wide_network_is_drawn_in_blocks(visit: Visit) -> None:
    """784-128-10: each layer has a canvas. A click chooses the largest weight of a block. There is no link."""
    visit.take("wide")
    page = visit.page
    for label, size in (("Inputs", "784"), ("Layer 1", "128")):
        page.fill(f"[aria-label='How many: {label}']", size)
        page.keyboard.press("Enter")
        visit.settle()
    assert page.locator("canvas").count() == 2
    painted = page.locator("canvas").evaluate_all(
        "all => all.map(c => new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size)"
    )
    assert min(painted) > 20
    assert "each cell is a block of weights, and shows the largest" in page.inner_text(".picture")
    before = visit.chosen()
    page.locator("canvas").first.click(position={"x": 200, "y": 30})
    assert visit.chosen() != before
    assert page.locator("table.gradients tbody tr").count() == 50
    page.wait_for_timeout(300)
    assert page.locator("button:text-is('Copy link')").is_disabled()
    assert "8,000" in (page.get_attribute("button:text-is('Copy link')", "title") or "")


CHECKED = {
    "agrees": False,
    "first_wrong_layer": 0,
    "verdict": "One mistake reproduces these numbers.",
    "layers": [
        {"dE_dw": {"agrees": False, "elements": [[False, True], [True, True]]}, "dE_db": {"agrees": True}},
        {"dE_dw": {"agrees": True}, "dE_db": None},
    ],
    "diagnoses": [{"cause": "missing_activation_derivative", "detail": "do/da is left out", "residual": 0.0}],
    "blind_to": ["batch_not_averaged"],
    "better_probe": REQUESTS["exclusive-or"],
}


def test_own_gradients_are_compared_and_diagnosed(visit: Visit) -> None:
    """The request and the candidate are posted. The tab shows which weights agree, the cause, and a probe."""
    sent: list[Any] = []

    def reply(route: Route) -> None:
        sent.append(route.request.post_data_json)
        route.fulfill(status=200, content_type="application/json", body=json.dumps(CHECKED))

    visit.page.route("**/v1/gradient-checks", reply)
    visit.page.click("#tab-check")
    visit.page.click("text=Fill in the right gradients")
    candidate = json.loads(visit.page.input_value("#candidate"))
    candidate["layers"][0]["dE_dw"][0][0] = 0.5
    visit.page.fill("#candidate", json.dumps(candidate))
    visit.page.click("button:text-is('Compare')")
    visit.page.wait_for_selector(".verdict")
    assert sent[0]["candidate"] == candidate
    assert sent[0]["network"] == REQUESTS["two-layers"]["network"]
    reported = visit.page.inner_text(".check")
    for words in (
        "differ",
        "One mistake reproduces",
        "nearest to the output is layer 1",
        "missing activation derivative",
        "do/da is left out",
        "batch not averaged",
    ):
        assert words in reported
    assert visit.page.locator(".check tr.differs").all_inner_texts()[0].split("\t")[:2] == ["x₁ → h₁", "0.5"]
    assert visit.page.locator(".check tr.differs").count() == 1
    assert reported.count("✓ agrees") == 3 + 2 + 4
    assert visit.page.locator(".check tbody tr").count() == 12
    visit.page.click("text=reveals more")
    visit.settle()
    assert json.loads(visit.posted[-1])["inputs"] == REQUESTS["exclusive-or"]["inputs"]


def test_a_mistake_in_the_users_gradients_is_named(visit: Visit) -> None:
    """All signs are reversed: every weight differs, and the service names the cause. Then a probe is drawn."""
    visit.page.click("#tab-check")
    visit.page.click("text=Fill in the right gradients")
    candidate = json.loads(visit.page.input_value("#candidate"))
    for layer in candidate["layers"]:
        layer["dE_dw"] = [[-number for number in row] for row in layer["dE_dw"]]
        layer["dE_db"] = [-number for number in layer["dE_db"]]
    visit.page.fill("#candidate", json.dumps(candidate))
    visit.page.click("button:text-is('Compare')")
    visit.page.wait_for_selector(".verdict")
    reported = visit.page.inner_text(".check")
    assert "One mistake reproduces these numbers: sign" in reported
    assert visit.page.locator(".check tr.differs").count() == 12
    visit.page.click("text=reveals more")
    visit.settle()
    assert len(json.loads(visit.posted[-1])["inputs"]) > 1


def test_without_gradient_checks_the_tab_says_so(visit: Visit) -> None:
    """The service answers 404, because it does not offer them."""
    visit.expected |= {404}
    problem = {"type": "/problems/not-found", "status": 404, "detail": "there is nothing"}
    reply = {"status": 404, "content_type": "application/problem+json", "body": json.dumps(problem)}
    visit.page.route("**/v1/gradient-checks", lambda route: route.fulfill(**reply))
    visit.page.click("#tab-check")
    visit.page.fill("#candidate", "{}")
    visit.page.click("button:text-is('Compare')")
    visit.page.wait_for_selector(".notice")
    assert "does not offer" in visit.page.inner_text(".notice")


def test_base64_arrays_and_pytorchs_layout_are_drawn(visit: Visit) -> None:
    """Weights as packed float64, n_out × n_in: the same gradients as Mazur's, weight by weight."""
    layers = json.loads(json.dumps(REQUESTS["two-layers"]["network"]["layers"]))
    layers[0]["weights"] = [[0.15, 0.2], [0.25, 0.3]]
    layers[1]["weights"] = {"shape": [2, 2], "base64": "mpmZmZmZ2T/NzMzMzMzcPwAAAAAAAOA/mpmZmZmZ4T8="}
    network = {"layers": layers, "weights_layout": "out_in"}
    visit.paste(json.dumps(REQUESTS["two-layers"] | {"network": network}))
    visit.settle()
    assert (visit.chosen(), visit.value("product")) == ("h₂ → y₁", "0.08267")
    assert visit.page.input_value(VALUE) == "0.45"
    visit.page.click("table.gradients button:text-is('x₁ → h₂')")
    assert visit.value("product") == "4.977×10⁻⁴"


def test_warnings_and_factors_beyond_float64_are_shown(visit: Visit) -> None:
    """A saturated sigmoid under cross-entropy: factor 1 is no finite number, the gradient is right."""
    layer = {"activation": "sigmoid", "weights": [[-1000.0]]}
    one = {"inputs": [1.0], "targets": [1.0], "loss": "binary_cross_entropy"}
    visit.paste(json.dumps({"network": {"layers": [layer]}} | one))
    visit.settle()
    assert visit.value("one") == "not a finite number"
    assert visit.value("product") == "−1"
    assert visit.page.locator(".warnings li").count() > 0


def test_the_page_asks_for_a_key_if_the_service_requires_one(browser: Browser, tmp_path: Path) -> None:
    """A banner has a field for the key. With the key everything works, and the key is not stored."""
    key, line = new_key("class")
    (tmp_path / "keys").write_text(line + "\n")
    with served(replace(read_settings(), api_keys_file=str(tmp_path / "keys"))) as address:
        visit = Visit(browser.new_page(), address, expected={401})
        visit.page.goto(address)
        visit.page.fill(".banner input", key)
        visit.page.click("text=Use it")
        visit.settle()
        assert visit.value("product") == "0.08267"
        assert visit.page.evaluate("JSON.stringify({...localStorage, ...sessionStorage}) + document.cookie") == "{}"
        visit.page.close()
        assert visit.complaints == []


@pytest.mark.parametrize("example", REQUESTS)
def test_a_narrow_page_scrolls_only_downwards(browser: Browser, explorer_address: str, example: str) -> None:
    """At 320 px, with the form folded and unfolded by tapping; the chosen weight is visible."""
    context = browser.new_context(viewport={"width": 320, "height": 700}, has_touch=True)
    visit = Visit(context.new_page(), explorer_address).open()
    visit.take(example)
    visit.page.tap("summary >> nth=0")
    assert visit.page.evaluate("document.documentElement.scrollWidth") == 320
    box = visit.page.locator(".network .unit.end, .mark").first.bounding_box()
    assert box is not None
    assert 0 <= box["x"] < 320
    visit.page.tap("table.gradients button >> nth=0")
    assert visit.page.locator("table.gradients tr.own").count() == 1
    context.close()
    assert visit.complaints == []


def test_the_colours_follow_the_system_until_the_button(browser: Browser, explorer_address: str) -> None:
    """The button changes the system's dark theme, for later visits, too. A second click restores the system's."""
    context = browser.new_context(color_scheme="dark")
    visit = Visit(context.new_page(), explorer_address).open()
    ground = "getComputedStyle(document.body).backgroundColor"
    assert visit.page.evaluate(ground) == "rgb(14, 19, 26)"
    visit.page.click("[aria-label='Light colours']")
    assert visit.page.evaluate(ground) == "rgb(246, 247, 249)"
    visit.page.reload()
    visit.settle()
    assert visit.page.evaluate(ground) == "rgb(246, 247, 249)"
    visit.page.click("[aria-label='Dark colours']")
    visit.page.emulate_media(color_scheme="light")
    assert visit.page.evaluate(ground) == "rgb(246, 247, 249)"
    context.close()
    assert visit.complaints == []


def test_there_is_no_animation_with_reduced_motion(browser: Browser, explorer_address: str) -> None:
    """prefers-reduced-motion: no transition; forced colours: lines and numbers are still there."""
    context = browser.new_context(reduced_motion="reduce", forced_colors="active")
    visit = Visit(context.new_page(), explorer_address).open()
    assert visit.page.locator(".weight .line").first.evaluate("e => getComputedStyle(e).transitionDuration") == "0s"
    assert visit.page.locator(".network .number").first.is_visible()
    context.close()
    assert visit.complaints == []


def test_tabs_are_walked_with_the_arrows(visit: Visit) -> None:
    """The tabs have one tab stop. Right opens the next tab, and after the last the first."""
    visit.page.focus("#tab-table")
    for name in ("request", "response", "check", "table"):
        visit.page.keyboard.press("ArrowRight")
        assert visit.page.get_attribute(f"#tab-{name}", "aria-selected") == "true"
    assert visit.page.locator("[role=tablist] [tabindex='0']").count() == 2


def test_copying_a_number_copies_all_its_digits(visit: Visit) -> None:
    """Four digits are shown, all are copied."""
    visit.page.locator(".factor.one .value").click(click_count=3)
    visit.page.keyboard.press("Control+c")
    assert visit.page.evaluate("navigator.clipboard.readText()") == "0.7413650695523157"


@pytest.mark.parametrize("example", REQUESTS)
def test_every_example_is_drawn_without_a_complaint(visit: Visit, example: str) -> None:
    """All weights, in the drawing or in cells, all steps, and lines with weights and with gradients."""
    visit.take(example)
    for _ in range(2):
        visit.page.click("[aria-label='One step back']")
    visit.page.click("[aria-label='To the beginning']")
    visit.page.click("[aria-label='To the end']")
    visit.page.click(".picture .switch button:text-is('weights')")
    assert visit.page.locator(FRESH).count() == 1
    assert not re.search(r"NaN|undefined|Infinity|\[object", visit.page.inner_text("body"))
