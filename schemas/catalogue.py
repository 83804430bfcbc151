"""GET /v1/activations and /v1/losses: the tables of the core, as documents."""

import math
from dataclasses import asdict
from typing import Any

from chainrule.functions.activations import Activation, ActivationSpec, activation_spec
from chainrule.functions.losses import Loss
from chainrule.functions.stable_pairs import STABLE_PAIRS
from chainrule.functions.tables import Border, Parameter


def activation_document(activation: Activation) -> dict[str, Any]:
    """One activation; its kinks are those that it has with the default parameters."""
    return {
        "name": activation.name,
        "aliases": list(activation.aliases),
        "title": activation.title,
        "formula": activation.formula,
        "derivative": activation.derivative,
        "parameters": [_parameter_document(parameter) for parameter in activation.parameters],
        "elementwise": activation.elementwise,
        "kinks": kink_documents(activation_spec(activation.name)),
        "value_ulps": activation.value_ulps,
        "derivative_ulps": activation.derivative_ulps,
        "elsewhere": [asdict(other) for other in activation.elsewhere],
        "reference": activation.reference,
        "note": activation.note,
    }


def kink_documents(phi: ActivationSpec) -> list[dict[str, Any]]:
    """The kinks of an activation with its parameters: numbers for one of single units, LaTeX for one of a group."""
    numbers = [
        {"at": kink.at, "left": kink.left, "right": kink.right, "jump": kink.jump, "taken": phi.slope(kink.at)}
        for kink in phi.kinks()
    ]
    return numbers if phi.activation.border is None else [_border_document(phi.activation.border)]


def loss_document(loss: Loss) -> dict[str, Any]:
    """One loss, with the activations that it has a stable closed form with."""
    return {
        "name": loss.name,
        "aliases": [{"name": alias, "reduction": reduction} for alias, reduction in loss.aliases.items()],
        "title": loss.title,
        "formula": loss.formula,
        "derivative": loss.derivative_formula,
        "parameters": [_parameter_document(parameter) for parameter in loss.parameters],
        "per": loss.per,
        "targets": _targets(loss),
        "target_range": None if loss.target_range is None else [_bound(bound) for bound in loss.target_range],
        "target_values": list(loss.target_values) or None,
        "kinks": [_border_document(border) for border in loss.borders],
        "stable_with": [activation for name, activation in STABLE_PAIRS if name == loss.name],
        "value_ulps": loss.value_ulps,
        "derivative_ulps": loss.derivative_ulps,
        "elsewhere": [asdict(other) for other in loss.elsewhere],
        "reference": loss.reference,
        "note": loss.note,
    }


def _targets(loss: Loss) -> str:
    if loss.class_indices:
        return "class_indices"
    return "like_outputs" if loss.outputs_per_target == 1 else "one_for_each_pair_of_outputs"


def _bound(bound: float) -> float | None:
    return bound if math.isfinite(bound) else None


def _border_document(border: Border) -> dict[str, Any]:
    return {"where": border.where, "below": border.below, "above": border.above, "taken": border.taken}


def _parameter_document(parameter: Parameter) -> dict[str, Any]:
    bounds = {
        "minimum": parameter.minimum,
        "exclusive_minimum": parameter.exclusive_minimum,
        "maximum": parameter.maximum,
        "whole": parameter.whole or None,
        "choices": list(parameter.choices) or None,
    }
    given = {name: bound for name, bound in bounds.items() if bound is not None}
    return {
        "name": parameter.name,
        "symbol": parameter.symbol,
        "default": parameter.default,
        "meaning": parameter.meaning,
        **given,
    }
