"""Requests that are ready to post: the files in `service/examples`, in the order of their names."""

import json
from importlib.resources import files
from typing import Any


def _read() -> list[dict[str, Any]]:
    """`{"name", "title", "request"}` of each file."""
    folder = files("service") / "example_requests"
    entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    return [json.loads(entry.read_text("utf-8")) for entry in entries if entry.name.endswith(".json")]


EXAMPLES = _read()
