"""The endpoints, one view each: load, enforce, compute, dump."""

from collections.abc import Callable
from functools import partial
from typing import Any

from flask import Blueprint, Flask, Response, current_app, g, request

from chainrule import __version__
from chainrule.checkpoint import Checkpoint, unlimited
from chainrule.cost import Cost
from chainrule.cost.passes import multiply_adds, parameters
from chainrule.derivation.explain import Derivation, explain
from chainrule.diagnosis.checking import Check, check
from chainrule.functions.activations import ACTIVATIONS
from chainrule.functions.losses import LOSSES
from chainrule.functions.tables import Table
from chainrule.graph.backprop import Gradients, descend, gradients
from chainrule.notices import NonFinite, first_non_finite, first_non_finite_parameter
from chainrule.verification import verify
from schemas.catalogue import activation_document, loss_document
from schemas.checks import CheckRequest, CheckRequestSchema, check_answer
from schemas.cost import Posted, check_cost, explanation_cost, gradients_cost, posted
from schemas.curve import curve, read_curve
from schemas.explanations import ExplanationRequest, ExplanationRequestSchema, explanation
from schemas.explanations_markdown import markdown
from schemas.fields.kinds import array_members
from schemas.fields.strict import StrictSchema
from schemas.fields.wording import did_you_mean, shown
from schemas.gradients import GradientRequest, GradientRequestSchema
from schemas.gradients_answer import Computed, answer
from schemas.known_costs import endpoints_document
from schemas.non_finite import members, place, sentence
from service.api.body import read_body
from service.api.examples import EXAMPLES
from service.api.negotiation import JSON, choose_form
from service.configuration.limits import BODY_BYTES, LIMITS, allows, enforce, enforce_on_body
from service.document import Document
from service.encoding.codec import Outline, decode, encode
from service.pages import explorer
from service.problems import NON_FINITE_RESULT, NOT_FOUND, Refusal
from service.resources.admission import Postponed, admit, reserve
from service.resources.handover import LOADED
from service.resources.stages import Current

GRADIENT_REQUEST = GradientRequestSchema()
EXPLANATION_REQUEST = ExplanationRequestSchema()
CHECK_REQUEST = CheckRequestSchema()
ARRAYS = array_members(CHECK_REQUEST)  # includes the array members of the other requests

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
    asked, cost = _read(current, GRADIENT_REQUEST, gradients_cost)
    _account(current, asked, cost)
    with current.stage("compute"):
        computed = compute(asked, current.checkpoint)
    with current.stage("encode"):
        return _json(answer(asked, computed), current.checkpoint)


@v1.post("/explanations")
def post_explanations() -> Response:
    """The derivation of one derivative, step by step.

    The derivative is with respect to a weight or a bias, for one sample or the whole batch. The steps are the forward
    values, the loss, its derivative, and the way back through every unit. Each line has the formula in symbols, the
    formula in numbers, and the value. LaTeX in JSON, or with `Accept: text/markdown` one page of Markdown.
    """
    current = Current()
    asked, cost = _read(current, EXPLANATION_REQUEST, explanation_cost)
    _account(current, asked.gradients, cost)
    with current.stage("compute"):
        result, derivation = compute_explanation(asked, current.checkpoint)
    with current.stage("encode"):
        response: Response
        if g.form == JSON:
            response = _json(explanation(asked, result, derivation, current.checkpoint), current.checkpoint)
        else:
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
    asked, cost = _read(current, CHECK_REQUEST, check_cost)
    _account(current, asked, cost)
    with current.stage("compute"):
        checked = checked_gradients(asked, current.checkpoint)
    with current.stage("encode"):
        return _json(check_answer(asked, checked), current.checkpoint)


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


def _read(current: Current, schema: StrictSchema, cost_of: Callable[[Any, Posted], Cost]) -> tuple[Any, Cost]:
    """The core values of the body and their cost, once the request is admitted. Raises Refusal if over a limit.

    A request that the event loop has postponed is not read again.
    """
    environ = current.request.environ
    asked, cost = environ.pop(LOADED, None) or _load(current, schema, cost_of)
    try:
        admit(cost.seconds, cost.memory)
    except Postponed:
        environ[LOADED] = asked, cost
        raise
    return asked, cost


def _load(current: Current, schema: StrictSchema, cost_of: Callable[[Any, Posted], Cost]) -> tuple[Any, Cost]:
    """Read the body into core values, and predict their cost. Raises Refusal if over a limit.

    The parsed document ends with this function: numbers in lists are Python objects, which take much memory.
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
        asked = schema.load(document)
        return asked, enforce(limits, cost_of(asked, posted(document, len(body))))


def _account(current: Current, asked: GradientRequest, cost: Cost) -> None:
    """Record the size of the request, for the log and the metrics."""
    known = current.known
    known.parameters, known.work_seconds = parameters(asked.network), cost.seconds
    known.multiply_adds = multiply_adds(asked.network, len(asked.inputs))


def _json(document: Any, checkpoint: Checkpoint = unlimited) -> Document:
    return Document(encode(document, checkpoint), content_type=JSON)


def _row(table: Table[Any], name: str, noun: str) -> Any:
    if name not in table:
        raise Refusal(NOT_FOUND, f"there is no {noun} {shown(name)}{did_you_mean(name, table.all_names)}")
    return table[name]


def compute(asked: GradientRequest, checkpoint: Checkpoint = unlimited) -> Computed:
    """The gradients, with the step and the verification if requested. Raises Refusal if a result is not finite."""
    result = gradients(asked.network, asked.inputs, asked.targets, asked.loss, checkpoint=checkpoint)
    _refuse_non_finite(first_non_finite(result), asked)
    stepped = None
    if asked.learning_rate is not None:
        stepped = descend(asked.network, result.layers, asked.learning_rate)
        _refuse_non_finite(first_non_finite_parameter(stepped), asked)
    verification = None
    if asked.verify:
        verification = verify(asked.network, result.layers, asked.targets, asked.loss, checkpoint=checkpoint)
    return Computed(result, stepped, verification)


def compute_explanation(asked: ExplanationRequest, checkpoint: Checkpoint = unlimited) -> tuple[Gradients, Derivation]:
    """The gradients, and the derivation of the requested one. Raises Refusal if a result is not finite."""
    request = asked.gradients
    result = compute(request, checkpoint).result
    return result, explain(
        request.network, result, request.targets, request.loss, asked.place, asked.sample, checkpoint=checkpoint
    )


def checked_gradients(asked: CheckRequest, checkpoint: Checkpoint = unlimited) -> Check:
    """The check of the client's gradients. Raises Refusal if the correct ones are not finite."""
    right = compute(asked, checkpoint).result
    return check(asked.network, right, asked.targets, asked.loss, asked.given, asked.tolerance, checkpoint=checkpoint)


def _refuse_non_finite(found: NonFinite | None, asked: GradientRequest) -> None:
    if found is not None:
        detail = sentence(found, asked.one_sample)
        errors = [{"pointer": place(found, asked), "detail": detail}]
        raise Refusal(NON_FINITE_RESULT, detail, errors, members(found, asked.one_sample))
