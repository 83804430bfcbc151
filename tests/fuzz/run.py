"""Fuzz the service: `python -m tests.fuzz.run [cases] [seed]`; with `--serve`, a running one, by HTTP.

Prints how many answers there were of each kind, and every case whose answer is wrong; exit code 1 then.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

from flask import Flask

from service.app import create_app
from tests.fuzz.checker import Answer, complaints
from tests.fuzz.mutator import Case, case
from tests.serving import SECONDS, serving

Send = Callable[[Case], Answer]
SEED = 1
PATH = "/v1/gradients"


def in_process(app: Flask) -> Send:
    """To the application itself."""
    client = app.test_client()

    def send(made: Case) -> Answer:
        response = client.post(PATH, data=made.body, headers=made.headers)
        return Answer(response.status_code, {name.lower(): value for name, value in response.headers}, response.data)

    return send


@contextmanager
def by_http() -> Iterator[Send]:
    """To a service started for it, on one connection as long as that is kept."""
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder) / "log", WORKERS=1) as server,
        closing(HTTPConnection("127.0.0.1", server.port, timeout=SECONDS)) as connection,
    ):

        def send(made: Case) -> Answer:
            connection.request("POST", PATH, made.body, made.headers)
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, headers, response.read())

        yield send


def run(send: Send, seed: int, indices: range) -> tuple[Counter[str], dict[str, list[str]]]:
    """How many answers there were of each kind, and what is wrong with the answer to which case."""
    kinds: Counter[str] = Counter()
    wrong = {}
    for index in indices:
        made = case(seed, index)
        answer = send(made)
        kinds[_kind(made, answer)] += 1
        if words := complaints(made, answer):
            wrong[f"case({seed}, {index}) {made.changes}"] = words
    return kinds, wrong


def _kind(made: Case, answer: Answer) -> str:
    try:
        problem = "" if answer.status == 200 else answer.document["type"].removeprefix("/problems/")
    except (ValueError, KeyError):
        problem = "unreadable"
    return f"{'as it was' if made.valid else 'changed'}: {answer.status} {problem}".rstrip()


def main() -> int:
    """Run; the result is the exit code."""
    parser = argparse.ArgumentParser(description="Fuzz the service.")
    parser.add_argument("cases", type=int, nargs="?", default=1000)
    parser.add_argument("seed", type=int, nargs="?", default=SEED)
    parser.add_argument("--serve", action="store_true", help="by HTTP, to a service started for it")
    asked = parser.parse_args()
    if asked.serve:
        with by_http() as send:
            kinds, wrong = run(send, asked.seed, range(asked.cases))
    else:
        kinds, wrong = run(in_process(create_app()), asked.seed, range(asked.cases))
    print("\n".join(f"{count:7} {kind}" for kind, count in sorted(kinds.items())))
    print("\n".join(f"{name}: {'; '.join(words)}" for name, words in wrong.items()) or "nothing wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
