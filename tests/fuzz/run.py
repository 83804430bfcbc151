"""Fuzz the service: `python -m tests.fuzz.run [cases] [seed] [--first N]`; with `--serve`, a running one, by HTTP.

Prints how many answers there were of each kind, and every case whose answer is wrong; exit code 1 then.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from flask import Flask
from jsonschema_rs import Draft202012Validator

from service.api.openapi import openapi_document
from service.app import create_app
from tests.fuzz.checker import Answer, complaints
from tests.fuzz.forms import differences, other_form
from tests.fuzz.mutator import CHECKS, EXPLANATIONS, GRADIENTS, Case, case
from tests.serving import SECONDS, serving

Send = Callable[[Case], Answer]
Found = tuple[Counter[str], dict[str, list[str]]]
SEED = 1
REFUSAL_SECONDS = 0.05  # of CPU, for a body of up to 100 kB
_REFUSED_LATE = "non-finite-result"  # the problem that is found only by the computation
_TRIES = 4
_STEP = 1000  # cases between two lines of progress


def in_process(app: Flask) -> Send:
    """Send the request to the WSGI application."""
    client = app.test_client()

    def send(made: Case) -> Answer:
        response = client.post(made.path, data=made.body, headers=made.headers)
        return Answer(response.status_code, {name.lower(): value for name, value in response.headers}, response.data)

    return send


@contextmanager
def by_http() -> Iterator[Send]:
    """Send the request to a running service, on one connection while that is kept open."""
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder) / "log", WORKERS=1) as server,
        closing(HTTPConnection("127.0.0.1", server.port, timeout=SECONDS)) as connection,
    ):

        def send(made: Case) -> Answer:
            connection.request("POST", made.path, made.body, made.headers)
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, headers, response.read())

        yield send


class Judge:
    """Sends cases, and checks their answers."""

    def __init__(self, send: Send, document: Any) -> None:
        self._send = send
        self._validators = {path: _validators(document, path) for path in (GRADIENTS, EXPLANATIONS, CHECKS)}

    def judge(self, seed: int, index: int) -> tuple[Case, Answer, list[str]]:
        """The case, its answer, and the complaints about it."""
        made = case(seed, index)
        answer = self._send(made)
        words = complaints(made, answer) + self._about_schema(made, answer)
        other = other_form(made, seed, index)
        if other is not None and not words:
            words += differences(other, answer, self._send(other))
        if answer.status != 200 and _REFUSED_LATE not in _kind(made, answer):
            words += self.about_refusal(other or made)
        return made, answer, words

    def about_refusal(self, made: Case) -> list[str]:
        """A complaint if a refusal takes too long.

        The minimum of some runs counts, as others may include garbage collection.
        """
        seconds = min(self._seconds(made))
        return [f"refused after {seconds:.3f} s of CPU"] if seconds > REFUSAL_SECONDS else []

    def _seconds(self, made: Case) -> Iterator[float]:
        """The CPU times of repeated answers, up to the first quick one."""
        for _ in range(_TRIES):
            start = time.thread_time()
            self._send(made)
            seconds = time.thread_time() - start
            yield seconds
            if seconds <= REFUSAL_SECONDS:
                return

    def _about_schema(self, made: Case, answer: Answer) -> list[str]:
        """A complaint if the OpenAPI document does not describe the answer."""
        validator = self._validators[made.path].get(str(answer.status))
        if validator is None:
            return [f"the OpenAPI document knows no {answer.status} of {made.path}"]
        try:
            document = answer.document
        except ValueError:
            return []  # other checks report this
        return [f"{error.instance_path}: {error.message:.300}" for error in validator.iter_errors(document)]


def _validators(document: Any, path: str) -> dict[str, Draft202012Validator]:
    """Validators of the answers' JSON, by status."""
    components = {"components": document["components"]}
    found = {}
    for status, response in document["paths"][path]["post"]["responses"].items():
        answer = _resolved(document, response)
        for kind in ("application/json", "application/problem+json"):
            if kind in answer.get("content", {}):
                found[status] = Draft202012Validator(answer["content"][kind]["schema"] | components)
    return found


def _resolved(document: Any, response: dict[str, Any]) -> Any:
    """A response, with its reference resolved."""
    for step in response["$ref"].split("/")[1:] if "$ref" in response else ():
        document = document[step]
    return document if "$ref" in response else response


def run(send: Send, seed: int, indices: range, report: Callable[[int], None] | None = None) -> Found:
    """Run the cases; return the number of answers of each kind, and the complaints about each case."""
    kinds: Counter[str] = Counter()
    wrong = {}
    judge = Judge(send, openapi_document(create_app()))
    for index in indices:
        made, answer, words = judge.judge(seed, index)
        kinds[_kind(made, answer)] += 1
        if words:
            wrong[f"case({seed}, {index}) {made.path} {made.changes}"] = words
        if report is not None and index % _STEP == _STEP - 1:
            report(index + 1)
    return kinds, wrong


def _kind(made: Case, answer: Answer) -> str:
    try:
        problem = "" if answer.status == 200 else answer.document["type"].removeprefix("/problems/")
    except (ValueError, KeyError):
        problem = "unreadable"
    return f"{'as it was' if made.valid else 'changed'}: {answer.status} {problem}".rstrip()


def main() -> int:
    """Run the fuzzer; return the exit code."""
    parser = argparse.ArgumentParser(description="Fuzz the service.")
    parser.add_argument("cases", type=int, nargs="?", default=1000)
    parser.add_argument("seed", type=int, nargs="?", default=SEED)
    parser.add_argument("--first", type=int, default=0, help="the index to go on from")
    parser.add_argument("--serve", action="store_true", help="by HTTP, to a service started for it")
    asked = parser.parse_args()
    indices = range(asked.first, asked.first + asked.cases)
    with by_http() if asked.serve else nullcontext(in_process(create_app())) as send:
        kinds, wrong = run(send, asked.seed, indices, lambda done: print(f"--first {done}", file=sys.stderr))
    print("\n".join(f"{count:7} {kind}" for kind, count in sorted(kinds.items())))
    print("\n".join(f"{name}: {'; '.join(words)}" for name, words in wrong.items()) or "nothing wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
