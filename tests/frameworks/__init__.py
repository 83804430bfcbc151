"""How PyTorch, JAX, Keras and ONNX compute the functions of Chainrule, compared with mpmath.

`twins` has the call of each framework for a row of our tables, `measure` compares the calls with the true
numbers, and `report` writes docs/frameworks.md: `python -m tests.frameworks.report`.
"""
