"""Appointment: a QUBS appointment as its operational and tele-reporting views tell it."""

from __future__ import annotations

from typing import Any

from fhir_facade.fhir import FHIRResource
from fhir_facade.fhir.data_absent import data_absent
from fhir_facade.fhir.systems import (
    APPOINTMENT_STATUS,
    PARTICIPATION_STATUS,
    QUBS_APPOINTMENT_STATUS,
    QUBS_EXAM_CATEGORY,
    QUBS_MODALITY,
    QUBS_PRIORITY,
    ROOM,
    UPSTREAM_PRIORITY,
    UPSTREAM_STATUS,
    search_parameter,
)
from fhir_facade.policy import ReachClass
from fhir_facade.resources.context import QubsContext
from fhir_facade.resources.definition import (
    ResourceDefinition,
    date,
    include_names,
    reference,
    token,
)
from fhir_facade.resources.qubs_appointment import QubsAppointment
from fhir_facade.resources.qubs_fields import code

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
    date("date", "start", definition=_definition("date"), single=True),
    token("identifier", "identifier", definition=_definition("identifier")),
    reference(
        "location", _ACTOR, targets=("Location",), definition=_definition("location"), narrowed=True
    ),
    token(
        "part-status",
        "participant.status",
        definition=_definition("part-status"),
        system=PARTICIPATION_STATUS,
    ),
    reference(
        "patient", _ACTOR, targets=("Patient",), definition=_definition("patient"), narrowed=True
    ),
    reference(
        "practitioner",
        _ACTOR,
        targets=("Practitioner",),
        definition=_definition("practitioner"),
        narrowed=True,
    ),
    token("reason-code", "reasonCode", definition=_definition("reason-code")),
    token("service-category", "serviceCategory", definition=_definition("service-category")),
    token("service-type", "serviceType", definition=_definition("service-type")),
    token("specialty", "specialty", definition=_definition("specialty")),
    token(
        "status",
        "status",
        definition=_definition("status"),
        system=APPOINTMENT_STATUS,
    ),
)  # no based-on, reason-reference, slot, supporting-info: their targets are not served

DEFINITION = ResourceDefinition(
    type="Appointment",
    reach=ReachClass.PATIENT,
    search=_SEARCH,
    patient_paths=(_ACTOR,),
    includes=include_names("Appointment", _SEARCH),
)


# States that need no time (invariant app-3).
_TIMELESS = frozenset({"proposed", "cancelled", "waitlist"})


def appointment_from_qubs(appointment: QubsAppointment, context: QubsContext) -> FHIRResource:
    """The Appointment (R4 appointment.html) of one merged QUBS appointment."""
    resource: FHIRResource = {"resourceType": "Appointment", "id": appointment.id}
    if extensions := _extensions(appointment):
        resource["extension"] = extensions
    resource["identifier"] = [{"system": context.appointment_system, "value": appointment.key}]
    resource["status"] = appointment.appointment_status
    if categories := _service_categories(appointment):
        resource["serviceCategory"] = categories
    if types := service_types(appointment, context):
        resource["serviceType"] = types
    if appointment.clinical_info:
        resource["reasonCode"] = [{"text": appointment.clinical_info}]
    if appointment.description:
        resource["description"] = appointment.description
    _set_times(resource, appointment)
    resource["participant"] = _participants(appointment, context)
    return resource


def status_extension(status: str) -> dict[str, Any]:
    """The upstream's own status, kept beside the FHIR one."""
    coding = {"system": QUBS_APPOINTMENT_STATUS, "code": code(status)}
    return {"url": UPSTREAM_STATUS, "valueCoding": coding}


def service_types(appointment: QubsAppointment, context: QubsContext) -> list[dict[str, Any]]:
    """What is to be done: the exam codes when a view lists them, else the study description."""
    if not appointment.exams:
        return [{"text": appointment.description}] if appointment.description else []
    concepts = []
    for exam in appointment.exams:
        coding = {"system": context.exam_system, "code": code(exam.code)}
        concept: dict[str, Any] = {"coding": [coding]}
        if exam.description:
            coding["display"] = concept["text"] = exam.description
        concepts.append(concept)
    return concepts


def _extensions(appointment: QubsAppointment) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if appointment.status:
        found.append(status_extension(appointment.status))
    if appointment.priority:
        coding = {"system": QUBS_PRIORITY, "code": code(appointment.priority)}
        found.append({"url": UPSTREAM_PRIORITY, "valueCoding": coding})
    if appointment.room:
        found.append({"url": ROOM, "valueString": appointment.room})
    if appointment.schedule.extension:
        found.append(appointment.schedule.extension)
    return found


def _service_categories(appointment: QubsAppointment) -> list[dict[str, Any]]:
    found = [(QUBS_MODALITY, appointment.modality)] if appointment.modality else []
    categories = {exam.category: None for exam in appointment.exams if exam.category}
    found += [(QUBS_EXAM_CATEGORY, category) for category in categories]
    return [
        {"coding": [{"system": system, "code": code(text)}], "text": text} for system, text in found
    ]


def _set_times(resource: FHIRResource, appointment: QubsAppointment) -> None:
    schedule = appointment.schedule
    nothing_said = schedule == (None, None, None, None, None)
    if nothing_said and resource["status"] in _TIMELESS:
        return
    # app-2 and app-3 want both: an unknown one is there, saying that it is unknown.
    for name, value in (("start", schedule.start), ("end", schedule.end)):
        if value is None:
            resource[f"_{name}"] = data_absent("unknown")
        else:
            resource[name] = value
    if schedule.minutes:
        resource["minutesDuration"] = schedule.minutes


def _participants(appointment: QubsAppointment, context: QubsContext) -> list[dict[str, Any]]:
    actors: list[dict[str, Any]] = []
    if appointment.patient_reference:
        actors.append({"reference": appointment.patient_reference})
    if appointment.site_reference:
        actors.append({"reference": appointment.site_reference, "display": appointment.site})
    elif appointment.site:
        identifier = {"system": context.site_system, "value": appointment.site}
        actors.append({"type": "Location", "identifier": identifier, "display": appointment.site})
    if not actors:
        actors.append(data_absent("unknown"))
    return [{"actor": actor, "status": "accepted"} for actor in actors]
