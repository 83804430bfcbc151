"""Attacks on a running service, and the conditions that must hold during and after them."""
