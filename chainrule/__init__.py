"""Gradients of feed-forward networks, broken into their three chain-rule factors.

    dE/dw_ij = dE/do_j · do_j/da_j · da_j/dw_ij

`dense` and `Network` say what a network is, `gradients` computes, `descend` takes a step. NumPy alone is needed.
"""

from chainrule.functions.activations import ACTIVATIONS, activation_spec
from chainrule.functions.losses import LOSSES, loss_spec
from chainrule.graph.backprop import Gradients, LayerGradient, descend, gradients
from chainrule.graph.network import Layer, Network, dense

__version__ = "0.1.0"

__all__ = [
    "ACTIVATIONS",
    "LOSSES",
    "Gradients",
    "Layer",
    "LayerGradient",
    "Network",
    "activation_spec",
    "dense",
    "descend",
    "gradients",
    "loss_spec",
]
