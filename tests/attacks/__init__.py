"""Attacks on a running service, and what has to hold meanwhile and afterwards."""
