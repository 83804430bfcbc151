"""What a request costs: seconds of a reference core and peak bytes, from shapes alone, before anything is computed."""

from chainrule.cost.parts import Cost, Part, cost_of

__all__ = ["Cost", "Part", "cost_of"]
