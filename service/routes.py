"""The endpoints, one view each: load, enforce, compute, dump."""

from typing import Any

from flask import Blueprint, Response, current_app, g, request

from chainrule import __version__
from chainrule.activations import ACTIVATIONS
from chainrule.backprop import descend, gradients
from chainrule.catalogue import Table
from chainrule.losses import LOSSES
from chainrule.remarks import NonFinite, first_non_finite, first_non_finite_parameter
from chainrule.verification import verify
from schemas.catalogue import activation_document, loss_document
from schemas.curve import curve, read_curve
from schemas.fields import array_members
from schemas.gradients import GradientRequest, GradientRequestSchema
from schemas.gradients_answer import Computed, answer
from schemas.non_finite import members, place, sentence
from schemas.words import did_you_mean, shown
from service.body import read_body
from service.codec import decode, encode
from service.examples import EXAMPLES
from service.limits import BODY_BYTES, LIMITS, enforce, enforce_on_body
from service.problems import NON_FINITE_RESULT, NOT_FOUND, Refusal
from service.requests import accept_json, stage

GRADIENT_REQUEST = GradientRequestSchema()
ARRAYS = array_members(GRADIENT_REQUEST)

DESCRIPTION = "Gradients of feed-forward networks, broken into their three chain-rule factors"
LINKS = {
    "gradients": "/v1/gradients",
    "activations": "/v1/activations",
    "losses": "/v1/losses",
    "limits": "/v1/limits",
    "examples": "/v1/examples",
    "problems": "/problems",
    "openapi": "/openapi.json",
    "docs": "/docs",
}

v1 = Blueprint("v1", __name__, url_prefix="/v1")
v1.before_request(accept_json)

root = Blueprint("root", __name__)


@v1.post("/gradients")
def post_gradients() -> Response:
    """Outputs, loss, and every derivative in its three factors.

    dE/dw_ij = dE/do_j · do_j/da_j · da_j/dw_ij, with E the loss over all samples. The answer mirrors the request: for
    one sample its arrays have no axis of the samples, matrices are laid out as they were posted. `breakdown` says how
    far the derivatives are broken down, `encoding` how arrays are written. A request that fits this schema can still be
    refused, where shapes do not fit each other.
    """
    with stage("decode"):
        body = read_body(request, _limits()[BODY_BYTES])
        enforce_on_body(_limits(), body)
        document = decode(body, ARRAYS)
    with stage("validate"):
        asked: GradientRequest = GRADIENT_REQUEST.load(document)
        size = enforce(_limits(), asked)
        g.parameters, g.multiply_adds = size["parameters"], size["multiply_adds"]
    with stage("compute"):
        computed = compute(asked)
    with stage("encode"):
        return _json(answer(asked, computed))


@v1.get("/activations")
def get_activations() -> Response:
    """Every activation."""
    return _json({"activations": [activation_document(row) for row in ACTIVATIONS.values()]})


@v1.get("/activations/<name>")
def get_activation(name: str) -> Response:
    """One activation, by name or alias."""
    return _json(activation_document(_row(ACTIVATIONS, name, "activation")))


@v1.get("/activations/<name>/curve")
def get_curve(name: str) -> Response:
    """One activation of single units, drawn.

    The query takes the parameters of the activation beside the range. Each is given at most once.
    """
    return _json(curve(read_curve(_row(ACTIVATIONS, name, "activation"), request.args.to_dict(flat=False))))


@v1.get("/losses")
def get_losses() -> Response:
    """Every loss."""
    return _json({"losses": [loss_document(row) for row in LOSSES.values()]})


@v1.get("/losses/<name>")
def get_loss(name: str) -> Response:
    """One loss, by name or alias."""
    return _json(loss_document(_row(LOSSES, name, "loss")))


@v1.get("/limits")
def get_limits() -> Response:
    """The limits in force."""
    limits = _limits()
    rows = [
        {"name": row.name, "value": limits[row.name], "meaning": row.meaning, "setting": row.setting} for row in LIMITS
    ]
    return _json({"limits": rows})


@v1.get("/examples")
def get_examples() -> Response:
    """Requests that are ready to post."""
    return _json({"examples": EXAMPLES})


@v1.get("")
def get_v1() -> Response:
    """Name, version and links."""
    return _json(
        {
            "name": "Chainrule",
            "version": __version__,
            "description": DESCRIPTION,
            "links": LINKS,
        }
    )


@root.get("/")
def get_root() -> Response:
    """What /v1 says, for who begins at the beginning."""
    return get_v1()


def _limits() -> Any:
    return current_app.config["SETTINGS"].limits


def _json(document: Any) -> Response:
    return Response(encode(document), content_type="application/json")


def _row(table: Table[Any], name: str, noun: str) -> Any:
    if name not in table:
        raise Refusal(NOT_FOUND, f"there is no {noun} {shown(name)}{did_you_mean(name, table.all_names)}")
    return table[name]


def compute(asked: GradientRequest) -> Computed:
    """The gradients, and what else was asked for; all of it finite."""
    result = gradients(asked.network, asked.inputs, asked.targets, asked.loss)
    _refuse_non_finite(first_non_finite(result), asked)
    stepped = None
    if asked.learning_rate is not None:
        stepped = descend(asked.network, result.layers, asked.learning_rate)
        _refuse_non_finite(first_non_finite_parameter(stepped), asked)
    verification = verify(asked.network, result.layers, asked.targets, asked.loss) if asked.verify else None
    return Computed(result, stepped, verification)


def _refuse_non_finite(found: NonFinite | None, asked: GradientRequest) -> None:
    if found is not None:
        detail = sentence(found, asked.one_sample)
        errors = [{"pointer": place(found, asked.one_sample), "detail": detail}]
        raise Refusal(NON_FINITE_RESULT, detail, errors, members(found, asked.one_sample))
