"""The answer of POST /v1/gradients, as a document with arrays in it."""

from dataclasses import dataclass
from typing import Any

from chainrule.functions.tables import Array
from chainrule.graph.backprop import Gradients, LayerGradient
from chainrule.graph.network import Network
from chainrule.verification import METHOD, Comparison, Verification
from schemas.fields.arrays import as_base64
from schemas.fields.kinds import resolved_activation, resolved_loss
from schemas.gradients import GradientRequest
from schemas.network import as_in_out
from schemas.notices import warnings
from schemas.records import weight_records


@dataclass(frozen=True)
class Computed:
    """The results of a request: the gradients, the network after a step, the verification; None if not requested."""

    result: Gradients
    stepped: Network | None = None
    verification: Verification | None = None


def answer(request: GradientRequest, computed: Computed) -> dict[str, Any]:
    """The answer to a request, as a document with arrays in it."""
    result, stepped = computed.result, computed.stepped
    document: dict[str, Any] = {
        "loss": result.loss,
        "sample_losses": mirrored(result.sample_losses, request),
        "outputs": mirrored(result.outputs, request),
        "layers": [_layer_answer(layer, request) for layer in result.layers],
        "loss_function": resolved_loss(request.loss),
    }
    if request.breakdown != "none":
        document["dE_dx"] = mirrored(result.dE_dx, request)
    if stepped is not None:
        document["updated_network"] = network_document(stepped, request.weights_layout)
    if computed.verification is not None:
        document["verification"] = _verification_document(computed.verification)
    document["warnings"] = warnings(request, result)
    return as_base64(document) if request.encoding == "base64" else document


def _layer_answer(gradient: LayerGradient, request: GradientRequest) -> dict[str, Any]:
    layer = gradient.activity.layer
    document = {
        "activation": resolved_activation(layer.activation),
        "dE_dw": as_in_out(gradient.dE_dw, request.weights_layout),
    }
    if gradient.dE_db is not None:
        document["dE_db"] = gradient.dE_db
    if request.breakdown == "none":
        return document
    _, (x,), a, o, _, _ = gradient.activity
    do_da = gradient.do_da.whole.diagonal if gradient.do_da.whole.left is None else gradient.do_da.array()
    arrays = a, o, gradient.dE_da, gradient.dE_do, do_da, x
    if request.one_sample:
        arrays = tuple([array[0] for array in arrays])
    document["a"], document["o"], document["dE_da"], *factors = arrays
    document["factors"] = dict(zip(("dE_do", "do_da", "da_dw"), factors, strict=True))
    if request.breakdown == "per_weight":
        document["weights"] = weight_records(gradient, do_da, request.one_sample)
    return document


def network_document(network: Network, layout: str) -> dict[str, Any]:
    """A network as a document that can be posted, with matrices in the request's layout."""
    layers = []
    for layer in network.layers:
        biases = {} if layer.biases is None else {"biases": layer.biases}
        activation = resolved_activation(layer.activation)
        layers.append({"activation": activation, "weights": as_in_out(layer.weights, layout), **biases})
    return {"layers": layers, "weights_layout": layout}


def _verification_document(verification: Verification) -> dict[str, Any]:
    worst, beyond = verification.worst, verification.worst_beyond_noise
    return {
        "method": METHOD,
        "checked": verification.checked,
        "left_out": verification.left_out,
        "max_relative_error": None if worst is None else worst.relative_error,
        "worst": None if worst is None else _comparison_document(worst),
        "agrees": verification.agrees,
        "disagreeing": verification.disagreeing,
        "worst_beyond_noise": None if beyond is None else _comparison_document(beyond),
    }


def _comparison_document(found: Comparison) -> dict[str, Any]:
    """One derivative, analytic and numeric; the parameter is named as `weight` and `bias` elsewhere in the contract."""
    ends = {"to": found.unit} if found.unit_before is None else {"from": found.unit_before, "to": found.unit}
    numbers = {"analytic": found.analytic, "numeric": found.numeric, "relative_error": found.relative_error}
    return {"layer": found.layer, **ends, **numbers, "noise": found.noise}


def mirrored(array: Array, request: GradientRequest) -> Any:
    """An array over the samples in the form of the request: without the samples axis if one sample was posted."""
    if not request.one_sample:
        return array
    return array[0] if array.ndim > 1 else float(array[0])
