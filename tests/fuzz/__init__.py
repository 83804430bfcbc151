"""Requests that are right but for a few changes, and whether every answer to them can be true."""
