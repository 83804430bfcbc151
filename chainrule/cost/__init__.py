"""Predict the cost of a request from its shapes: seconds of a reference core, and peak bytes of memory."""

from chainrule.cost.parts import Cost, Part, cost_of

__all__ = ["Cost", "Part", "cost_of"]
