"""A short run of the fuzzer, and whether it detects wrong answers."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from service.api.openapi import openapi_document
from service.app import create_app
from tests.fuzz.checker import LARGEST_REFUSAL, Answer, complaints
from tests.fuzz.mutator import Case, case
from tests.fuzz.run import REFUSAL_SECONDS, SEED, Judge, Send, in_process, run

CASES = 600
KINDS = {
    "as it was: 200", "as it was: 422 non-finite-result", "changed: 200", "changed: 400 bad-request",
    "changed: 400 malformed-json", "changed: 406 not-acceptable", "changed: 415 unsupported-media-type",
    "changed: 422 invalid-request", "changed: 422 non-finite-result",
}  # fmt: skip


@pytest.fixture(scope="module")
def send() -> Send:
    """Send a request to the service, but only once: a check takes long, and the tests below send the same requests."""
    ask = in_process(create_app())
    known: dict[str, Answer] = {}

    def answered(made: Case) -> Answer:
        key = repr((made.path, made.body, made.headers))
        if key not in known:
            known[key] = ask(made)
        return known[key]

    return answered


def test_no_answer_is_wrong(send: Send) -> None:
    """Every kind of answer occurs."""
    kinds, wrong = run(send, SEED, range(CASES))
    assert wrong == {}
    assert kinds.keys() >= KINDS


def test_a_case_can_be_made_again() -> None:
    """It depends only on its seed and index."""
    assert case(3, 5) == case(3, 5)
    assert case(3, 5) != case(3, 6)
    assert case(3, 5) != case(4, 5)


def _is_another(found: list[str]) -> bool:
    return any(words.startswith("another form gets") for words in found)


def test_another_answer_to_another_form_is_found(send: Send) -> None:
    """If padded and compressed bodies are refused, every request in such a form is reported."""
    refused = send(Case(b"{", valid=False))
    forms = set()

    def lying(made: Case) -> Answer:
        if not (made.body.endswith(b" " * 100) or "Content-Encoding" in made.headers):
            return send(made)
        forms.add(made.body)
        return refused

    _, wrong = run(lying, SEED, range(100))
    assert len(forms) > 20
    assert sum(map(_is_another, wrong.values())) > 0.5 * len(forms)


def test_a_slow_refusal_is_detected(send: Send) -> None:
    """A refusal with 60 ms of CPU is reported, but not a thread that only waits."""

    def slow(made: Case) -> Answer:
        until = time.thread_time() + 1.2 * REFUSAL_SECONDS
        while made.body == b"{" and time.thread_time() < until:
            pass
        time.sleep(0 if made.body == b"{" else 0.06)
        return send(made)

    judge = Judge(slow, openapi_document(create_app()))
    assert judge.about_refusal(Case(b"{", valid=False)) != []
    assert judge.about_refusal(Case(b"[", valid=False)) == []


def test_a_loss_whose_derivative_cancels_is_no_finding(send: Send) -> None:
    """Poisson's 1 - t/o is 1e-8 there, and has eight digits; the closed form e^a - t has all of them."""
    made = case(41, 5827)
    answer = send(made)
    assert answer.status == 200
    assert complaints(made, answer) == []


def test_a_large_refusal_is_found(send: Send) -> None:
    """A refusal with a body over 64 kB is reported."""
    answer = send(Case(b"{", valid=False))
    large = Answer(answer.status, answer.headers, answer.body.ljust(LARGEST_REFUSAL + 1))
    assert complaints(Case(b"{", valid=False), answer) == []
    assert complaints(Case(b"{", valid=False), large) == [f"a refusal of {LARGEST_REFUSAL + 1} bytes"]


def _first_layer(document: Any) -> Any:
    return document["layers"][0]


def _spoil(document: Any, where: Callable[[Any], Any], key: str) -> None:
    """Change the first number of an array that is not null."""
    holder = where(document)
    numbers: Any = {"": holder[key]}
    step: Any = ""
    while isinstance(numbers[step], list):
        numbers, step = numbers[step], 0
    numbers[step] = 1e3 + (numbers[step] or 0.0)
    if numbers is not holder and "" in numbers:
        holder[key] = numbers[""]


def _say(document: Any, **members: object) -> None:
    """Replace existing members. Raises KeyError if one is missing."""
    for name in members:
        document[name]
    document.update(members)


def _say_more(document: Any, **members: object) -> None:
    """Add members."""
    document.update(members)


LIES: dict[str, Callable[[Any], None]] = {
    "dE_dw": lambda document: _spoil(document, _first_layer, "dE_dw"),
    "dE_da": lambda document: _spoil(document, _first_layer, "dE_da"),
    "dE_do": lambda document: _spoil(document, lambda d: _first_layer(d)["factors"], "dE_do"),
    "da_dw": lambda document: _spoil(document, lambda d: _first_layer(d)["factors"], "da_dw"),
    "dE_db": lambda document: _spoil(document, _first_layer, "dE_db"),
    "loss": lambda document: _spoil(document, lambda d: d, "loss"),
    "sample_losses": lambda document: _spoil(document, lambda d: d, "sample_losses"),
    "record": lambda document: _spoil(document, lambda d: _first_layer(d)["weights"][0], "dE_dw"),
    "NaN": lambda document: _say(document, loss=float("nan")),
    "missing": lambda document: document.pop("layers"),
    "pointer": lambda document: document["errors"][0].update(pointer="#/nowhere/at/all"),
    "no places": lambda document: document.pop("errors"),
    "instance": lambda document: _say(document, instance="another"),
    "status": lambda document: _say(document, status=418),
    "type": lambda document: _say(document, type="/problems/unheard-of"),
    "a member": lambda document: _say_more(document["errors"][0], hint="none that the OpenAPI document knows"),
    "agrees": lambda document: _say(document, agrees=not document["agrees"], verdict="so it is"),
    "steps": lambda document: document["steps"].clear(),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_wrong_answer_is_found(send: Send, lie: str) -> None:
    """Nearly every answer changed in this way is reported as wrong. A null or a zero may hide the change."""
    is_lie = False

    def lying(made: Case) -> Answer:
        nonlocal is_lie
        answer = send(made)
        try:
            document = answer.document
            LIES[lie](document)
        except (KeyError, TypeError, IndexError):
            return answer
        is_lie = True
        headers = {name: value for name, value in answer.headers.items() if name != "content-encoding"}
        return Answer(answer.status, headers, json.dumps(document).encode())

    judge = Judge(lying, openapi_document(create_app()))
    reported = found = 0
    for index in range(300):
        is_lie = False
        words = judge.judge(SEED, index)[-1]
        reported += is_lie
        found += is_lie and bool(words)
    assert reported > 10
    assert found > 0.6 * reported


@pytest.mark.parametrize("status", [500, 503])
def test_a_fault_of_the_server_is_found(send: Send, status: int) -> None:
    """A 5xx is reported with any document."""
    _, wrong = run(lambda made: Answer(status, (answer := send(made)).headers, answer.body), SEED, range(20))
    assert len(wrong) == 20
    assert all(words[0] == f"status {status}" for words in wrong.values())
