"""Publishes the contract as the code has it now: `python -m tests.contract.publish`. Additions only.

What is published is promised: from then on, tests/service/api/test_contract.py refuses a change that breaks it.
"""

import json
import sys
from pathlib import Path
from typing import Any

from service.api.openapi import openapi_document
from service.app import create_app
from tests.contract.breaks import breaks, without_words

PUBLISHED = Path(__file__).parent / "v1.json"


def published() -> Any:
    """The contract that clients were written against."""
    return json.loads(PUBLISHED.read_text("utf-8"))


def present() -> Any:
    """The contract as the code has it now."""
    return json.loads(json.dumps(without_words(openapi_document(create_app()))))


def main() -> int:
    """Run the command; the result is the exit code."""
    now = present()
    if PUBLISHED.exists() and (found := breaks(published(), now)):
        print("Not published, as it breaks what was:", *found, sep="\n  ")
        return 1
    PUBLISHED.write_text(json.dumps(now, indent=1, ensure_ascii=False, sort_keys=True) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
