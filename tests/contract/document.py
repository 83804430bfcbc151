"""Writes docs/openapi.json, the OpenAPI document of a service with its default settings: `make openapi`."""

import json
from pathlib import Path

from service.api.openapi import openapi_document
from service.app import create_app
from service.encoding.codec import encode

WRITTEN = Path(__file__).parents[2] / "docs" / "openapi.json"


def main() -> None:
    """Write the document, for people and for other tools."""
    document = json.loads(encode(openapi_document(create_app())))
    WRITTEN.write_text(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
