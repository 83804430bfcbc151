"""Example requests, ready to post: the JSON files of two folders, sorted by file name."""

import json
from importlib.resources import files
from typing import Any


def _read(folder: str) -> list[dict[str, Any]]:
    """The examples of a folder: `{"name", "title", "request"}` of each file."""
    entries = sorted((files("service.api") / folder).iterdir(), key=lambda entry: entry.name)
    return [json.loads(entry.read_text("utf-8")) for entry in entries if entry.name.endswith(".json")]


EXAMPLES = _read("example_requests")
_WEIGHT = {"weight": {"layer": 0, "from": 0, "to": 1}}
EXPLANATION_EXAMPLES = [entry | {"request": entry["request"] | _WEIGHT} for entry in EXAMPLES[:1]]
CHECK_EXAMPLES = _read("example_checks")  # of POST /v1/gradient-checks
