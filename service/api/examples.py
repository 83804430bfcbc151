"""Example requests, ready to post: the JSON files of two folders, sorted by file name."""

import json
from importlib.resources import files
from typing import Any


def _read(folder: str) -> list[dict[str, Any]]:
    """The examples of a folder: `{"name", "title", "request"}` of each file."""
    entries = sorted((files("service.api") / folder).iterdir(), key=lambda entry: entry.name)
    return [json.loads(entry.read_text("utf-8")) for entry in entries if entry.name.endswith(".json")]


EXAMPLES = _read("example_requests")
CHECK_EXAMPLES = _read("example_checks")  # of POST /v1/gradient-checks
