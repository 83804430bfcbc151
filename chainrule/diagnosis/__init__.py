"""Gradient checks: what is wrong with a client's gradient, and which known mistake explains it. No HTTP."""
