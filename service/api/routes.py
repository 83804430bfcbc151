"""The endpoints, one view each: load, enforce, compute, dump."""

from functools import partial
from typing import Any

from flask import Blueprint, Flask, Response, current_app, g, request

from chainrule import __version__
from chainrule.checkpoint import Checkpoint, unlimited
from chainrule.cost import Cost
from chainrule.cost.passes import multiply_adds, parameters
from chainrule.functions.activations import ACTIVATIONS
from chainrule.functions.losses import LOSSES
from chainrule.functions.tables import Table
from schemas.catalogue import activation_document, loss_document
from schemas.cost import check_portions, posted
from schemas.curve import curve, read_curve
from schemas.explanations_markdown import markdown
from schemas.fields.kinds import array_members
from schemas.fields.wording import did_you_mean, shown
from schemas.gradients import GradientRequest
from schemas.known_costs import endpoints_document
from service.api.body import read_body
from service.api.examples import EXAMPLES
from service.api.negotiation import JSON, choose_form
from service.api.operations import CHECK, EXPLANATION, GRADIENTS, Body
from service.configuration.limits import BODY_BYTES, LIMITS, allows, enforce, enforce_on_body
from service.document import Document
from service.encoding.codec import decode, encode
from service.encoding.outline import Outline
from service.pages import explorer
from service.problems import NOT_FOUND, Refusal
from service.resources.admission import Postponed, admit, first_seconds, reserve
from service.resources.handover import LOADED
from service.resources.stages import Current

ARRAYS = array_members(CHECK.schema)  # includes the array members of the other requests

_KNOWN_COSTS = "chainrule.known_costs"  # key of an app's extensions: the document of known costs

MARKDOWN = "text/markdown; charset=utf-8; variant=GFM"  # RFC 7763, RFC 7764

DESCRIPTION = "Gradients of feed-forward networks, broken into their three chain-rule factors"
LINKS = {
    "gradients": "/v1/gradients",
    "explanations": "/v1/explanations",
    "gradient_checks": "/v1/gradient-checks",
    "activations": "/v1/activations",
    "losses": "/v1/losses",
    "limits": "/v1/limits",
    "examples": "/v1/examples",
    "problems": "/problems",
    "openapi": "/openapi.json",
    "docs": "/docs",
}

v1 = Blueprint("v1", __name__, url_prefix="/v1")
v1.before_request(choose_form)

root = Blueprint("root", __name__)


@v1.post("/gradients")
def post_gradients() -> Response:
    """Outputs, loss, and every derivative in its three factors.

    dE/dw_ij = dE/do_j · do_j/da_j · da_j/dw_ij, with E the loss over all samples. For one sample the arrays of the
    answer have no sample axis; matrices have the layout of the posted ones. `breakdown` sets how far the derivatives
    are broken down, `encoding` how arrays are written. A request that matches this schema is still refused if shapes
    do not fit each other.
    """
    current = Current()
    asked, _ = _read(current, GRADIENTS)
    with current.stage("compute"):
        computed = GRADIENTS.compute(asked, current.checkpoint)
    with current.stage("encode"):
        return _json(GRADIENTS.document(asked, computed, current.checkpoint), current.checkpoint)


@v1.post("/explanations")
def post_explanations() -> Response:
    """The derivation of one derivative, step by step.

    The derivative is with respect to a weight or a bias, for one sample or the whole batch. The steps are the forward
    values, the loss, its derivative, and the way back through every unit. Each line has the formula in symbols, the
    formula in numbers, and the value. LaTeX in JSON, or with `Accept: text/markdown` one page of Markdown.
    """
    current = Current()
    asked, _ = _read(current, EXPLANATION)
    with current.stage("compute"):
        computed = EXPLANATION.compute(asked, current.checkpoint)
    with current.stage("encode"):
        response: Response
        if g.form == JSON:
            response = _json(EXPLANATION.document(asked, computed, current.checkpoint), current.checkpoint)
        else:
            result, derivation = computed
            response = Response(markdown(asked, result, derivation, current.checkpoint), content_type=MARKDOWN)
    response.vary.add("Accept")
    return response


@v1.post("/gradient-checks")
def post_gradient_checks() -> Response:
    """A check of your own gradients: where they are wrong, and which known mistake reproduces them.

    Every number is compared with the correct one. If some disagree, each known mistake is replayed in the backward
    pass, alone and then in pairs. The answer names the mistakes that reproduce your numbers. `blind_to` lists the
    mistakes that this request could not reveal, `better_probe` is a request that can.
    """
    current = Current()
    asked, cost = _read(current, CHECK)

    def admit_portion(seconds: float) -> None:
        current.known.work_seconds = max(current.known.work_seconds, seconds)
        admit(seconds, cost.memory)

    with current.stage("compute"):
        checked = CHECK.compute(asked, check_portions(asked, cost, current.checkpoint, admit_portion))
    with current.stage("encode"):
        return _json(CHECK.document(asked, checked, current.checkpoint), current.checkpoint)


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
    """Points on the curve of an elementwise activation.

    The query takes the range and the parameters of the activation, each at most once.
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
    """The limits in force, and the predicted cost of requests of some shapes.

    Seconds are those of a reference core. `most_samples` is the largest batch that the limits allow for such a request,
    with its numbers written in full as JSON.
    """
    limits = _limits()
    rows = [
        {"name": row.name, "value": limits[row.name], "meaning": row.meaning, "setting": row.setting} for row in LIMITS
    ]
    return _json({"limits": rows, "endpoints": known_costs(current_app)})


def known_costs(app: Flask) -> Any:
    """The costs of requests of known shapes, with the limits of an app. Cached: computing them takes 20 to 60 ms."""
    if _KNOWN_COSTS not in app.extensions:
        app.extensions[_KNOWN_COSTS] = endpoints_document(partial(allows, app.config["SETTINGS"].limits))
    return app.extensions[_KNOWN_COSTS]


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
    """The same as GET /v1; a browser gets the explorer page."""
    answer = explorer.page() if explorer.wants_page() else get_v1()
    answer.vary.add("Accept")
    return answer


def _limits() -> Any:
    return current_app.config["SETTINGS"].limits


def _read(current: Current, expected: Body) -> tuple[Any, Cost]:
    """The core values of the body and their cost, once the request is admitted. Raises Refusal if it is over a limit.

    A request that the event loop has postponed is not read again.
    """
    environ = current.request.environ
    asked, cost = environ.pop(LOADED, None) or _load(current, expected)
    try:
        admit(first_seconds(cost), cost.memory)
    except Postponed:
        environ[LOADED] = asked, cost
        raise
    _account(current, expected.gradients(asked), cost)
    return asked, cost


def _load(current: Current, expected: Body) -> tuple[Any, Cost]:
    """Read the body into core values, and predict their cost. Raises Refusal if over a limit.

    The parsed document is freed when this function returns: numbers in lists take much memory.
    """
    limits = _limits()
    with current.stage("decode"):
        body = read_body(current.request, limits[BODY_BYTES])
        outline = Outline(body)
        enforce_on_body(limits, outline)
        coded = "HTTP_CONTENT_ENCODING" in current.request.environ
        reserve((2 * len(body) if coded else 0) + outline.memory)
        document = decode(body, ARRAYS, outline)
    with current.stage("validate"):
        asked = expected.schema.load(document)
        return asked, enforce(limits, expected.cost(asked, posted(document, len(body))))


def _account(current: Current, asked: GradientRequest, cost: Cost) -> None:
    """Record the size of the request, for the log and the metrics."""
    known = current.known
    known.parameters, known.work_seconds = parameters(asked.network), first_seconds(cost)
    known.multiply_adds = multiply_adds(asked.network, len(asked.inputs))


def _json(document: Any, checkpoint: Checkpoint = unlimited) -> Document:
    return Document(encode(document, checkpoint), content_type=JSON)


def _row(table: Table[Any], name: str, noun: str) -> Any:
    if name not in table:
        raise Refusal(NOT_FOUND, f"there is no {noun} {shown(name)}{did_you_mean(name, table.all_names)}")
    return table[name]
