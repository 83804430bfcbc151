"""The faults that the tests must catch: one row each, planted by `tests.faults.plant`.

Kinds that have been seen in libraries of repute or that a suite of tests once let live: a sign, a half, a divisor, a
transposition, a default, a kink's side, a stable form replaced by the plain one, a check that no longer checks.
"""

from tests.faults import in_chainrule, in_repository, in_schemas, in_service

FAULTS = in_chainrule.FAULTS + in_schemas.FAULTS + in_service.FAULTS + in_repository.FAULTS
