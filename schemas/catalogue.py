"""GET /v1/activations and /v1/losses: the tables of the core, as documents."""

from typing import Any

from chainrule.activations import Activation, activation_spec
from chainrule.catalogue import Parameter
from chainrule.losses import STABLE_PAIRS, Loss


def activation_document(activation: Activation) -> dict[str, Any]:
    """One activation; its kinks are those that it has with the default parameters."""
    spec = activation_spec(activation.name)
    return {
        "name": activation.name,
        "aliases": list(activation.aliases),
        "title": activation.title,
        "formula": activation.formula,
        "derivative": activation.derivative,
        "parameters": [_parameter_document(parameter) for parameter in activation.parameters],
        "elementwise": activation.elementwise,
        "kinks": [
            {"at": kink.at, "left": kink.left, "right": kink.right, "taken": spec.slope(kink.at)}
            for kink in spec.kinks()
        ],
        "reference": activation.reference,
        "note": activation.note,
    }


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
        "targets": "class_indices" if loss.class_indices else "like_outputs",
        "target_range": None if loss.target_range is None else list(loss.target_range),
        "stable_with": [activation for name, activation in STABLE_PAIRS if name == loss.name],
        "reference": loss.reference,
        "note": loss.note,
    }


def _parameter_document(parameter: Parameter) -> dict[str, Any]:
    bounds = {
        "minimum": parameter.minimum,
        "exclusive_minimum": parameter.exclusive_minimum,
        "maximum": parameter.maximum,
        "choices": list(parameter.choices) or None,
    }
    given = {name: bound for name, bound in bounds.items() if bound is not None}
    return {"name": parameter.name, "default": parameter.default, "meaning": parameter.meaning, **given}
