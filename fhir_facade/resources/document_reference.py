"""DocumentReference: one for each attachment of an appointment whose patient is known."""

from __future__ import annotations

from typing import Any

from fhir_facade.fhir import FHIRResource
from fhir_facade.fhir.systems import (
    BCP_13,
    DOCUMENT_REFERENCE_STATUS,
    DOCUMENT_RELATIONSHIP_TYPE,
    IHE_FORMAT_CODE,
    LOINC,
    QUBS_ATTACHMENT_CATEGORY,
    US_CORE_DOCUMENT_CATEGORY,
    US_CORE_DOCUMENT_REFERENCE,
    V3_NULL_FLAVOR,
    search_parameter,
    us_core_search_parameter,
)
from fhir_facade.policy import ReachClass
from fhir_facade.resources.context import QubsContext
from fhir_facade.resources.definition import (
    PROFILE,
    ResourceDefinition,
    date,
    include_names,
    reference,
    string,
    token,
    uri,
)
from fhir_facade.resources.diagnostic_report import radiology_categories
from fhir_facade.resources.qubs_appointment import QubsAppointment
from fhir_facade.resources.qubs_attachments import Attachment


def _definition(name: str) -> str:
    return search_parameter(f"DocumentReference-{name}")


def _us_core(name: str) -> str:
    return us_core_search_parameter(f"documentreference-{name}")


_PARTIES = ("Organization", "Practitioner")

_SEARCH = (
    PROFILE,
    reference(
        "authenticator", "authenticator", targets=_PARTIES, definition=_definition("authenticator")
    ),
    reference("author", "author", targets=(*_PARTIES, "Patient"), definition=_definition("author")),
    token("category", "category", definition=_us_core("category")),
    token(
        "contenttype",
        "content.attachment.contentType",
        definition=_definition("contenttype"),
        system=BCP_13,
    ),
    reference(
        "custodian", "custodian", targets=("Organization",), definition=_definition("custodian")
    ),
    date("date", "date", definition=_us_core("date"), single=True),
    string("description", "description", definition=_definition("description")),
    token("event", "context.event", definition=_definition("event")),
    token("facility", "context.facilityType", definition=_definition("facility")),
    token("format", "content.format", definition=_definition("format")),
    token(
        "identifier",
        "masterIdentifier",
        "identifier",
        definition=search_parameter("clinical-identifier"),
    ),
    token("language", "content.attachment.language", definition=_definition("language")),
    uri("location", "content.attachment.url", definition=_definition("location")),
    reference(
        "patient", "subject", targets=("Patient",), definition=_us_core("patient"), narrowed=True
    ),
    date("period", "context.period", definition=_us_core("period"), single=True),
    reference(
        "related", "context.related", targets=("Appointment",), definition=_definition("related")
    ),
    reference(
        "relatesto",
        "relatesTo.target",
        targets=("DocumentReference",),
        definition=_definition("relatesto"),
    ),
    token(
        "relation",
        "relatesTo.code",
        definition=_definition("relation"),
        system=DOCUMENT_RELATIONSHIP_TYPE,
    ),
    token("security-label", "securityLabel", definition=_definition("security-label")),
    token("setting", "context.practiceSetting", definition=_definition("setting")),
    token("status", "status", definition=_us_core("status"), system=DOCUMENT_REFERENCE_STATUS),
    reference(
        "subject",
        "subject",
        targets=("Patient", "Practitioner", "Group"),
        definition=_definition("subject"),
    ),
    token("type", "type", definition=_us_core("type")),
)  # no encounter: it is not served; no relationship: a composite

DEFINITION = ResourceDefinition(
    type="DocumentReference",
    reach=ReachClass.PATIENT,
    search=_SEARCH,
    profiles=(US_CORE_DOCUMENT_REFERENCE,),
    patient_paths=("subject",),
    category_path="category",
    includes=include_names("DocumentReference", _SEARCH),
)

_FORMAT = {
    "system": IHE_FORMAT_CODE,
    "code": "urn:ihe:iti:xds:2017:mimeTypeSufficient",
    "display": "mimeType Sufficient",
}
_CLINICAL_NOTE = {
    "coding": [
        {"system": US_CORE_DOCUMENT_CATEGORY, "code": "clinical-note", "display": "Clinical Note"}
    ]
}


def document_from_qubs(
    attachment: Attachment, appointment: QubsAppointment, context: QubsContext
) -> FHIRResource | None:
    """The DocumentReference of one attachment; None while the patient is not known.

    US Core's profile, which wants content, is claimed once there is some.
    """
    if appointment.patient_reference is None:
        return None
    resource: FHIRResource = {"resourceType": "DocumentReference", "id": attachment.id}
    if attachment.has_content:
        resource["meta"] = {"profile": [US_CORE_DOCUMENT_REFERENCE]}
    resource["identifier"] = [{"system": context.attachment_system, "value": attachment.guid}]
    resource["status"] = "current"
    resource["type"] = _type(attachment)
    resource["category"] = _categories(attachment)
    resource["subject"] = {"reference": appointment.patient_reference}
    if attachment.added:
        resource["date"] = attachment.added
    resource["custodian"] = {"reference": context.organization_reference}
    resource["content"] = [{"attachment": attachment.form(context), "format": _FORMAT}]
    resource["context"] = _context(appointment)
    return resource


def _type(attachment: Attachment) -> dict[str, Any]:
    if attachment.type_code:
        concept: dict[str, Any] = {"coding": [{"system": LOINC, "code": attachment.type_code}]}
    else:
        unknown = {"system": V3_NULL_FLAVOR, "code": "UNK", "display": "unknown"}
        concept = {"coding": [unknown]}
    if attachment.category:
        concept["text"] = attachment.category
    return concept


def _categories(attachment: Attachment) -> list[dict[str, Any]]:
    """What US Core wants, what QUBS says, and of a report those of its DiagnosticReport: whoever
    may read reports of a category by a granular scope may read their documents too."""
    found: list[dict[str, Any]] = [_CLINICAL_NOTE]
    if attachment.category:
        own: dict[str, Any] = {"text": attachment.category}
        if attachment.code:
            own["coding"] = [{"system": QUBS_ATTACHMENT_CATEGORY, "code": attachment.code}]
        found.append(own)
    if attachment.is_report:
        found += radiology_categories()
    return found


def _context(appointment: QubsAppointment) -> dict[str, Any]:
    context: dict[str, Any] = {"related": [{"reference": f"Appointment/{appointment.id}"}]}
    if period := _period(appointment):
        context = {"period": period, **context}
    return context


def _period(appointment: QubsAppointment) -> dict[str, str] | None:
    """When the service was: the scan, else the scheduled time, else the local day."""
    start, end = appointment.scan_start, appointment.scan_end
    if start and end and start[-1] == end[-1] == "Z" and start < end:
        return {"start": start, "end": end}
    schedule = appointment.schedule
    if schedule.start and schedule.end:
        return {"start": schedule.start, "end": schedule.end}
    if first := start or schedule.start:
        return {"start": first}
    return {"start": schedule.day, "end": schedule.day} if schedule.day else None
