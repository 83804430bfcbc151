"""Activations and losses: each function beside its derivative, one row a table entry. No network."""
