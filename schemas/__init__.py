"""The wire contract: JSON documents to core values and back. Depends on marshmallow and the core, not on a server."""

from marshmallow import ValidationError

__all__ = ["ValidationError"]
