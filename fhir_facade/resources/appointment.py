"""Appointment: a QUBS appointment as its operational and tele-reporting views tell it."""

from __future__ import annotations

from fhir_facade.fhir.systems import search_parameter
from fhir_facade.policy import ReachClass
from fhir_facade.resources.definition import (
    ResourceDefinition,
    date,
    include_names,
    reference,
    token,
)

_ACTOR = "participant.actor"


def _definition(name: str) -> str:
    return search_parameter(f"Appointment-{name}")


_SEARCH = (
    reference(
        "actor",
        _ACTOR,
        targets=("Patient", "Location", "Practitioner"),
        definition=_definition("actor"),
    ),
    token("appointment-type", "appointmentType", definition=_definition("appointment-type")),
    date("date", "start", definition=_definition("date")),
    token("identifier", "identifier", definition=_definition("identifier")),
    reference("location", _ACTOR, targets=("Location",), definition=_definition("location")),
    token("part-status", "participant.status", definition=_definition("part-status")),
    reference("patient", _ACTOR, targets=("Patient",), definition=_definition("patient")),
    reference(
        "practitioner", _ACTOR, targets=("Practitioner",), definition=_definition("practitioner")
    ),
    token("reason-code", "reasonCode", definition=_definition("reason-code")),
    token("service-category", "serviceCategory", definition=_definition("service-category")),
    token("service-type", "serviceType", definition=_definition("service-type")),
    token("specialty", "specialty", definition=_definition("specialty")),
    token("status", "status", definition=_definition("status")),
)  # no based-on, reason-reference, slot, supporting-info: their targets are not served

DEFINITION = ResourceDefinition(
    type="Appointment",
    reach=ReachClass.PATIENT,
    search=_SEARCH,
    patient_paths=(_ACTOR,),
    includes=include_names("Appointment", _SEARCH),
)
