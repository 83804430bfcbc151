"""Measurements of the service, each a program: `.venv/bin/python -m benchmarks.<name>`."""
