"""Bytes to documents and back: JSON and content codings, within bounds. No HTTP, no Flask."""
