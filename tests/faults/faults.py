"""The faults that the tests must catch: one row each, planted by `tests.faults.plant`.

They are of kinds that well-known libraries have had, or that an earlier version of the tests did not catch: a sign, a
half, a divisor, a transposition, a default, a kink's side, a stable form replaced by the plain one, a missing check.
"""

from tests.faults import in_chainrule, in_repository, in_schemas, in_service

FAULTS = in_chainrule.FAULTS + in_schemas.FAULTS + in_service.FAULTS + in_repository.FAULTS
