"""Gradients of neural networks, broken into their three chain-rule factors.

    dE/dw_ij = dE/do_j · do_j/da_j · da_j/dw_ij

`dense` and `Network` define a network, `gradients` computes its derivatives, and `descend` takes a gradient step. NumPy
is the only dependency.
"""

from chainrule.functions.activations import ACTIVATIONS, activation_spec
from chainrule.functions.losses import LOSSES, loss_spec
from chainrule.graph.backprop import Gradients, LayerGradient, descend, gradients
from chainrule.graph.layer_types import LAYER_TYPES
from chainrule.graph.network import Layer, Network, Shared, dense

__version__ = "0.1.0"

__all__ = [
    "ACTIVATIONS",
    "LAYER_TYPES",
    "LOSSES",
    "Gradients",
    "Layer",
    "LayerGradient",
    "Network",
    "Shared",
    "activation_spec",
    "dense",
    "descend",
    "gradients",
    "loss_spec",
]
