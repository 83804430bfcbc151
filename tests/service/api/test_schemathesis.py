"""Valid and invalid requests generated from the OpenAPI document; every answer is validated by the document.

FUZZ_EXAMPLES is the number for each operation: `FUZZ_EXAMPLES=2000 make slow PYTEST_ARGS=-kschemathesis`.
The requests are the same in every run.
"""

import os

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case
from schemathesis.config import SchemathesisConfig

from service.app import create_app
from tests.fitting import fitting

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "25"))

# A request that is valid by the schema can still be refused: shapes must fit each other (422), a result must be finite,
# a curve has only the parameters of its own activation.
ANSWERS_TO_WHAT_FITS = [200, 304, 422]

CONFIG = SchemathesisConfig.from_dict(
    {
        "generation": {"deterministic": True, "database": "none"},
        "checks": {
            "positive_data_acceptance": {"expected-statuses": ANSWERS_TO_WHAT_FITS},
            "ignored_auth": {"enabled": False},  # no key is required here, so a wrong key is ignored
        },
    }
)
DOCUMENT = schemathesis.openapi.from_wsgi("/openapi.json", create_app(), config=CONFIG)
SETTINGS = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),  # requests are large, and made slowly
)
HEADERS = {"Accept-Encoding": "identity"}  # schemathesis cannot read zstd


def _plain(case: Case) -> Case:
    """A request without Content-Encoding: its body is not compressed, and the 400 would hide everything else."""
    if case.headers.get("Content-Encoding") in {"gzip", "zstd"}:
        del case.headers["Content-Encoding"]
    return case


@DOCUMENT.parametrize()
@SETTINGS
def test_every_answer_is_one_of_the_document(case: Case) -> None:
    """No answer is a 500, or has an undocumented status, type, header or member. No invalid request is accepted."""
    _plain(case).call_and_validate(headers=HEADERS)


@given(case=DOCUMENT["/v1/gradients"]["POST"].as_strategy())
@settings(SETTINGS, max_examples=4 * EXAMPLES)
def test_every_answer_to_a_network_that_fits_is_one_of_the_document(case: Case) -> None:
    """In nine of ten requests generated from the schema, shapes do not fit each other; here they are made to fit."""
    case.body = fitting(case.body)
    _plain(case).call_and_validate(headers=HEADERS)
