"""Content negotiation: the media type of an answer."""

from flask import g, request

from schemas.fields.wording import LONGEST_SHOWN, cut
from service.api.operations import OPERATIONS
from service.problems import NOT_ACCEPTABLE, Refusal

JSON = "application/json"
_ACCEPT_JSON = {"*/*", JSON}


def choose_form() -> None:
    """Negotiate the media type of the answer; 406 if none is acceptable."""
    given = request.environ.get("HTTP_ACCEPT")
    if given is None or given in _ACCEPT_JSON:  # most requests: no need to parse it
        g.form = JSON
        return
    operation = OPERATIONS.get(request.endpoint or "")
    forms = [JSON, *operation.also_as] if operation else [JSON]
    accepted = request.accept_mimetypes
    if accepted and not any(accepted[form] > 0 for form in forms):  # no header accepts everything
        excluding = cut(str(accepted), LONGEST_SHOWN)
        raise Refusal(NOT_ACCEPTABLE, f"the answer is {' or '.join(forms)}, which Accept: {excluding} rules out")
    g.form = accepted.best_match(forms, JSON)
