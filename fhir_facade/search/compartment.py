"""The compartment of a patient (https://hl7.org/fhir/R4/compartmentdefinition-patient.html), and a
token for one patient that names another: refused by name, instead of answered with nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from fhir_facade.errors import Forbidden, OutOfCompartment
from fhir_facade.mirror.criteria import (
    ChainCriterion,
    CompartmentCriterion,
    Criterion,
    HasCriterion,
    IdCriterion,
    ReferenceCriterion,
)
from fhir_facade.policy import Letter, Reach, ReachClass, SomePatients
from fhir_facade.resources.definition import ResourceDefinition
from fhir_facade.search.query import SearchQuery

_PATIENT_PARAMETERS = frozenset({"patient", "subject"})


def in_compartment(definition: ResourceDefinition) -> bool:
    """Whether the compartment of a patient may hold resources of the type. Binary is not in it: its
    data is read one by one.
    """
    return (
        definition.stored
        and definition.type != "Binary"
        and definition.reach in (ReachClass.PATIENT, ReachClass.INHERITED)
    )


def one_patient(reach: Reach, resource_type: str, letter: Letter) -> str | None:
    """The only patient whose resources of this type the token reaches; None when there is none or
    there are more.
    """
    ids: set[str] = set()
    for grant in reach.grants_for(resource_type, letter):
        if not isinstance(grant.patients, SomePatients):
            return None
        ids |= grant.patients.ids
    return next(iter(ids)) if len(ids) == 1 else None


def refuse_types_out_of_scope(query: SearchQuery, reach: Reach) -> None:
    """Raise Forbidden when a chained parameter goes through a type that the token may not search:
    an answer would tell what stands in resources of that type."""
    for name in sorted(_types_on_the_way(query.criteria)):
        if not reach.allows_type(name, "s"):
            raise Forbidden(
                f"The token's scopes do not cover a search through {name}.",
                diagnostics=f"Ask for a scope that searches {name}, such as user/{name}.s.",
            )


def _types_on_the_way(criteria: Iterable[Criterion]) -> set[str]:
    found: set[str] = set()
    for criterion in criteria:
        match criterion:
            case HasCriterion(name, _, inner):
                found |= {name} | _types_on_the_way(inner)
            case ChainCriterion(_, targets) if len(targets) == 1:
                found |= {targets[0][0]} | _types_on_the_way(targets[0][1])
            case ChainCriterion(_, targets):
                # Of several types the token may have some; the reach leaves the others out.
                for _, inner in targets:
                    found |= _types_on_the_way(inner)
    return found


def refuse_other_patients(definition: ResourceDefinition, query: SearchQuery, reach: Reach) -> None:
    """Raise OutOfCompartment when a one-patient token names another patient in a parameter (design
    section 4 "Scopes and reach").
    """
    if definition.reach is ReachClass.DIRECTORY:
        return
    patient = one_patient(reach, definition.type, "s")
    if patient is None:
        return
    for criterion in query.criteria:
        if isinstance(criterion, IdCriterion) and definition.type == "Patient":
            named, name = set(criterion.values), "_id"
        elif isinstance(criterion, ReferenceCriterion):
            name = criterion.param
            named = {
                target_id
                for target_type, target_id in criterion.values
                if target_type == "Patient" or (not target_type and name in _PATIENT_PARAMETERS)
            }
        elif isinstance(criterion, CompartmentCriterion):
            named, name = {criterion.patient_id}, "Patient"
        else:
            continue
        if named - {patient}:
            raise OutOfCompartment(
                "The token is for one patient and the request names another.",
                diagnostics="Search for the patient that came with the token only.",
                expression=(name,),
            )
