"""DiagnosticReport: exactly one for each appointment that has reached imaging."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fhir_facade.fhir import FHIRResource
from fhir_facade.fhir.data_absent import data_absent
from fhir_facade.fhir.systems import (
    DIAGNOSTIC_REPORT_STATUS,
    LOINC,
    US_CORE_DIAGNOSTIC_REPORT_NOTE,
    V2_0074,
    search_parameter,
    us_core_search_parameter,
)
from fhir_facade.policy import ReachClass
from fhir_facade.resources.appointment import status_extension
from fhir_facade.resources.context import QubsContext
from fhir_facade.resources.definition import (
    PROFILE,
    ResourceDefinition,
    date,
    include_names,
    reference,
    token,
)
from fhir_facade.resources.qubs_appointment import QubsAppointment
from fhir_facade.resources.qubs_attachments import Attachment
from fhir_facade.resources.qubs_fields import code


def _definition(name: str) -> str:
    return search_parameter(f"DiagnosticReport-{name}")


def _us_core(name: str) -> str:
    return us_core_search_parameter(f"diagnosticreport-{name}")


_SEARCH = (
    PROFILE,
    token("category", "category", definition=_us_core("category")),
    token("code", "code", definition=_us_core("code")),
    token("conclusion", "conclusionCode", definition=_definition("conclusion")),
    date("date", "effective[x]", definition=_us_core("date"), single=True),
    token("identifier", "identifier", definition=search_parameter("clinical-identifier")),
    date("issued", "issued", definition=_definition("issued"), single=True),
    reference(
        "patient", "subject", targets=("Patient",), definition=_us_core("patient"), narrowed=True
    ),
    reference(
        "performer",
        "performer",
        targets=("Organization", "Practitioner"),
        definition=_definition("performer"),
    ),
    reference(
        "results-interpreter",
        "resultsInterpreter",
        targets=("Practitioner", "Organization"),
        definition=_definition("results-interpreter"),
    ),
    token(
        "status",
        "status",
        definition=_us_core("status"),
        system=DIAGNOSTIC_REPORT_STATUS,
    ),
    reference(
        "subject",
        "subject",
        targets=("Patient", "Group", "Location"),
        definition=_definition("subject"),
    ),
)  # no based-on, encounter, media, result, specimen: their targets are not served

DEFINITION = ResourceDefinition(
    type="DiagnosticReport",
    reach=ReachClass.PATIENT,
    search=_SEARCH,
    profiles=(US_CORE_DIAGNOSTIC_REPORT_NOTE,),
    patient_paths=("subject",),
    category_path="category",
    includes=include_names("DiagnosticReport", _SEARCH),
)


def radiology_categories() -> list[dict[str, Any]]:
    """What every imaging report is filed under."""
    return [
        {"coding": [{"system": LOINC, "code": "LP29684-5", "display": "Radiology"}]},
        {"coding": [{"system": V2_0074, "code": "RAD", "display": "Radiology"}]},
    ]


def report_from_qubs(
    appointment: QubsAppointment, context: QubsContext, attachments: Iterable[Attachment] = ()
) -> FHIRResource | None:
    """The DiagnosticReport of one merged QUBS appointment; None before imaging is done. Of its
    attachments, those that are the report are its presented form.

    US Core's profile is claimed once the patient is known. `issued` is absent: no view tells when
    a report was written (R4 diagnosticreport.html).
    """
    if appointment.report_status is None:
        return None
    resource: FHIRResource = {"resourceType": "DiagnosticReport", "id": appointment.id}
    if appointment.patient_reference:
        resource["meta"] = {"profile": [US_CORE_DIAGNOSTIC_REPORT_NOTE]}
    if appointment.status:
        resource["extension"] = [status_extension(appointment.status)]
    resource["identifier"] = [{"system": context.appointment_system, "value": appointment.key}]
    resource["status"] = appointment.report_status
    resource["category"] = radiology_categories()
    resource["code"] = _code(appointment, context)
    if appointment.patient_reference:
        resource["subject"] = {"reference": appointment.patient_reference}
    _set_effective(resource, appointment)
    resource["performer"] = [{"reference": context.organization_reference}]
    forms = [one.form(context) for one in attachments if one.is_report and one.has_content]
    if forms:
        resource["presentedForm"] = forms
    return resource


def _code(appointment: QubsAppointment, context: QubsContext) -> dict[str, Any]:
    """What was examined, after the general code that every imaging report has."""
    codings = [{"system": LOINC, "code": "18748-4", "display": "Diagnostic imaging study"}]
    for exam in appointment.exams:
        coding = {"system": context.exam_system, "code": code(exam.code)}
        if exam.description:
            coding["display"] = exam.description
        codings.append(coding)
    concept: dict[str, Any] = {"coding": codings}
    described = [exam.description for exam in appointment.exams if exam.description]
    text = appointment.description or ", ".join(described)
    if text:
        concept["text"] = text
    return concept


def _set_effective(resource: FHIRResource, appointment: QubsAppointment) -> None:
    """The scan, else the scheduled start, else the local day, else said to be unknown."""
    start, end = appointment.scan_start, appointment.scan_end
    if start and end and start[-1] == end[-1] == "Z" and start < end:
        resource["effectivePeriod"] = {"start": start, "end": end}
        return
    moment = start or end or appointment.schedule.start or appointment.schedule.day
    if moment:
        resource["effectiveDateTime"] = moment
    else:
        resource["_effectiveDateTime"] = data_absent("unknown")
