"""The wire contract: JSON documents into core values and back. Knows marshmallow and the core, no server."""

from marshmallow import ValidationError

__all__ = ["ValidationError"]
