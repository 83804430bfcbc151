"""How PyTorch, JAX, Keras and ONNX compute what Chainrule computes, held against mpmath.

`twins` says which call of each framework does what a row of our tables does, `measure` holds the calls against the true
numbers, `report` writes docs/frameworks.md from that: `python -m tests.frameworks.report`.
"""
