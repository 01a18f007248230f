"""A token for one patient that names another: refused by name, instead of answered with nothing."""

from __future__ import annotations

from fhir_facade.errors import Forbidden
from fhir_facade.mirror.criteria import IdCriterion, ReferenceCriterion
from fhir_facade.policy import Letter, Reach, ReachClass, SomePatients
from fhir_facade.resources.definition import ResourceDefinition
from fhir_facade.search.query import SearchQuery

_PATIENT_PARAMETERS = frozenset({"patient", "subject"})


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


def refuse_other_patients(definition: ResourceDefinition, query: SearchQuery, reach: Reach) -> None:
    """Raise Forbidden when a one-patient token names another patient in a parameter (design
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
        else:
            continue
        if named - {patient}:
            raise Forbidden(
                "The token is for one patient and the request names another.",
                diagnostics="Search for the patient that came with the token only.",
                expression=(name,),
            )
