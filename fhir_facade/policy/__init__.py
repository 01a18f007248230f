"""What a principal may reach, and the second check of it on every entry that leaves the house.

`smart_auth` verifies a token; `compile_reach` turns its scopes, its patient and what its user and
client are assigned into a `Reach`. `mirror.find` applies the reach as a predicate to every resource
alias of a query; `admits` repeats the decision on the columns of a row as it is written out.
"""

from fhir_facade.policy.check import admits, admits_every_row
from fhir_facade.policy.compile import Principal, compile_reach
from fhir_facade.policy.reach import (
    AllPatients,
    CategoryFilter,
    Grant,
    GroupMembers,
    Letter,
    PatientSet,
    Reach,
    ReachClass,
    RowFacts,
    SomePatients,
    covers_type,
)

__all__ = [
    "AllPatients",
    "CategoryFilter",
    "Grant",
    "GroupMembers",
    "Letter",
    "PatientSet",
    "Principal",
    "Reach",
    "ReachClass",
    "RowFacts",
    "SomePatients",
    "admits",
    "admits_every_row",
    "compile_reach",
    "covers_type",
]
