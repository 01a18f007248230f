"""Where search parameters look, and what kind they are: from the SearchParameter definitions of R4
and US Core, not from the code under test.

A path is dotted; `|` joins alternatives, `[a=b]` keeps members, `->Type` references to a type.
"""

from __future__ import annotations

import json
from pathlib import Path

_LIST = Path(__file__).with_name("r4_search_parameters.json")
_ADDRESSED = {
    "address": "address",
    "address-city": "address.city",
    "address-country": "address.country",
    "address-postalcode": "address.postalCode",
    "address-state": "address.state",
    "address-use": "address.use",
}
_PROFILE = {"_profile": "meta.profile"}
_PERSON = {
    **_PROFILE,
    **_ADDRESSED,
    "active": "active",
    "email": "telecom[system=email]",
    "family": "name.family",
    "gender": "gender",
    "given": "name.given",
    "identifier": "identifier",
    "name": "name",
    "phone": "telecom[system=phone]",
    "telecom": "telecom",
}
_PUBLISHED = {
    name: name for name in ("date", "description", "name", "publisher", "status", "url", "version")
}
ADDRESSED_TYPES = ("Location", "Organization", "Patient", "Practitioner")
PUBLISHED_TYPES = (
    "CodeSystem", "ConceptMap", "OperationDefinition", "SearchParameter", "StructureDefinition",
    "ValueSet",
)  # fmt: skip
PATHS: dict[str, dict[str, str]] = {
    "Appointment": {
        "actor": "participant.actor",
        "appointment-type": "appointmentType",
        "date": "start",
        "identifier": "identifier",
        "location": "participant.actor->Location",
        "part-status": "participant.status",
        "patient": "participant.actor->Patient",
        "practitioner": "participant.actor->Practitioner",
        "reason-code": "reasonCode",
        "service-category": "serviceCategory",
        "service-type": "serviceType",
        "specialty": "specialty",
        "status": "status",
    },
    "Binary": {},
    "CodeSystem": {
        **_PUBLISHED,
        "code": "concept.code",
        "content-mode": "content",
        "identifier": "identifier",
        "language": "concept.designation.language",
        "system": "url",
        "title": "title",
    },
    "ConceptMap": {
        **_PUBLISHED,
        "identifier": "identifier",
        "source": "sourceCanonical",
        "source-code": "group.element.code",
        "source-system": "group.source",
        "target": "targetCanonical",
        "target-code": "group.element.target.code",
        "target-system": "group.target",
        "title": "title",
    },
    "DiagnosticReport": {
        **_PROFILE,
        "category": "category",
        "code": "code",
        "conclusion": "conclusionCode",
        "date": "effectiveDateTime|effectivePeriod",
        "identifier": "identifier",
        "issued": "issued",
        "patient": "subject->Patient",
        "performer": "performer",
        "results-interpreter": "resultsInterpreter",
        "status": "status",
        "subject": "subject",
    },
    "DocumentReference": {
        **_PROFILE,
        "authenticator": "authenticator",
        "author": "author",
        "category": "category",
        "contenttype": "content.attachment.contentType",
        "custodian": "custodian",
        "date": "date",
        "description": "description",
        "event": "context.event",
        "facility": "context.facilityType",
        "format": "content.format",
        "identifier": "masterIdentifier|identifier",
        "language": "content.attachment.language",
        "location": "content.attachment.url",
        "patient": "subject->Patient",
        "period": "context.period",
        "related": "context.related",
        "relatesto": "relatesTo.target",
        "relation": "relatesTo.code",
        "security-label": "securityLabel",
        "setting": "context.practiceSetting",
        "status": "status",
        "subject": "subject",
        "type": "type",
    },
    "Group": {
        "actual": "actual",
        "characteristic": "characteristic.code",
        "code": "code",
        "exclude": "characteristic.exclude",
        "identifier": "identifier",
        "managing-entity": "managingEntity",
        "member": "member.entity",
        "type": "type",
        "value": "characteristic.valueCodeableConcept|characteristic.valueBoolean",
    },
    "Location": {
        **_PROFILE,
        **_ADDRESSED,
        "identifier": "identifier",
        "name": "name|alias",
        "operational-status": "operationalStatus",
        "organization": "managingOrganization",
        "partof": "partOf",
        "status": "status",
        "type": "type",
    },
    "OperationDefinition": {
        **_PUBLISHED,
        "base": "base",
        "code": "code",
        "instance": "instance",
        "kind": "kind",
        "system": "system",
        "title": "title",
        "type": "type",
    },
    "Organization": {
        **_PROFILE,
        **_ADDRESSED,
        "active": "active",
        "identifier": "identifier",
        "name": "name|alias",
        "partof": "partOf",
        "type": "type",
    },
    "Patient": {
        **_PERSON,
        "birthdate": "birthDate",
        "death-date": "deceasedDateTime",
        "deceased": "deceasedBoolean|deceasedDateTime",
        "general-practitioner": "generalPractitioner",
        "language": "communication.language",
        "link": "link.other",
        "organization": "managingOrganization",
    },
    "Practitioner": {**_PERSON, "communication": "communication"},
    "Provenance": {
        **_PROFILE,
        "agent": "agent.who",
        "agent-role": "agent.role",
        "agent-type": "agent.type",
        "entity": "entity.what",
        "location": "location",
        "patient": "target->Patient",
        "recorded": "recorded",
        "signature-type": "signature.type",
        "target": "target",
        "when": "occurredDateTime",
    },
    "SearchParameter": {
        **_PUBLISHED,
        "base": "base",
        "code": "code",
        "target": "target",
        "type": "type",
    },
    "StructureDefinition": {
        **_PUBLISHED,
        "abstract": "abstract",
        "base": "baseDefinition",
        "base-path": "snapshot.element.base.path|differential.element.base.path",
        "derivation": "derivation",
        "experimental": "experimental",
        "ext-context": "context.type",
        "identifier": "identifier",
        "keyword": "keyword",
        "kind": "kind",
        "path": "snapshot.element.path|differential.element.path",
        "title": "title",
        "type": "type",
    },
    "ValueSet": {
        **_PUBLISHED,
        "code": "expansion.contains.code|compose.include.concept.code",
        "expansion": "expansion.identifier",
        "identifier": "identifier",
        "reference": "compose.include.system",
        "title": "title",
    },
}
_HL7 = "http://hl7.org/fhir/"
IMPLIED = {
    ("Appointment", "part-status"): f"{_HL7}participationstatus",
    ("Appointment", "status"): f"{_HL7}appointmentstatus",
    ("CodeSystem", "content-mode"): f"{_HL7}codesystem-content-mode",
    ("DiagnosticReport", "status"): f"{_HL7}diagnostic-report-status",
    ("DocumentReference", "contenttype"): "urn:ietf:bcp:13",
    ("DocumentReference", "relation"): f"{_HL7}document-relationship-type",
    ("DocumentReference", "status"): f"{_HL7}document-reference-status",
    ("Group", "type"): f"{_HL7}group-type",
    ("Location", "status"): f"{_HL7}location-status",
    ("OperationDefinition", "kind"): f"{_HL7}operation-kind",
    ("Patient", "gender"): f"{_HL7}administrative-gender",
    ("Practitioner", "gender"): f"{_HL7}administrative-gender",
    ("SearchParameter", "base"): f"{_HL7}resource-types",
    ("SearchParameter", "target"): f"{_HL7}resource-types",
    ("SearchParameter", "type"): f"{_HL7}search-param-type",
    ("StructureDefinition", "derivation"): f"{_HL7}type-derivation-rule",
    ("StructureDefinition", "ext-context"): f"{_HL7}extension-context-type",
    ("StructureDefinition", "kind"): f"{_HL7}structure-definition-kind",
    **{(name, "address-use"): f"{_HL7}address-use" for name in ADDRESSED_TYPES},
    **{(name, "status"): f"{_HL7}publication-status" for name in PUBLISHED_TYPES},
}
"""The systems that bound `code` elements imply (R4 search.html#token)."""


def kinds() -> dict[tuple[str, str], str]:
    """(type, name) → parameter type, as R4 lists them."""
    listed = json.loads(_LIST.read_text(encoding="utf-8"))
    found = {
        (name, param): facts[0]
        for name, params in listed.items()
        for param, facts in params.items()
        if param in PATHS.get(name, {})
    }
    for name in PATHS:
        if "_profile" in PATHS[name]:
            found[(name, "_profile")] = "uri"
    return found


KINDS = kinds()
