"""What the operations with a body compute, from core values to core values. Refuses results that are not finite."""

from chainrule.checkpoint import Checkpoint, unlimited
from chainrule.derivation.explain import Derivation, explain
from chainrule.diagnosis.checking import Check, check
from chainrule.graph.backprop import Gradients, descend, gradients
from chainrule.notices import NonFinite, first_non_finite, first_non_finite_parameter
from chainrule.verification import verify
from schemas.checks import CheckRequest
from schemas.explanations import ExplanationRequest
from schemas.gradients import GradientRequest
from schemas.gradients_answer import Computed
from schemas.non_finite import members, origin, sentence
from service.problems import NON_FINITE_RESULT, Refusal


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
        errors = [{"pointer": origin(found, asked), "detail": detail}]
        raise Refusal(NON_FINITE_RESULT, detail, errors, members(found, asked.one_sample))
