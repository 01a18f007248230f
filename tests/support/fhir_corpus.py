"""Valid R4 resources, at least one of each type the fast gate knows; synthetic, nobody's data."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.support.fhir_definitions import DEFINITIONS

ABSENT = {
    "extension": [
        {
            "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
            "valueCode": "unknown",
        }
    ]
}
NARRATIVE = {
    "status": "generated",
    "div": '<div xmlns="http://www.w3.org/1999/xhtml"><p>A <b>summary</b> &amp; more</p></div>',
}
US_CORE_RACE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race"
OMB = "urn:oid:2.16.840.1.113883.6.238"


def concept(code: str, system: str = "http://loinc.org") -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, "display": "Shown"}], "text": "Said"}


PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "qubs-220000",
    "meta": {
        "versionId": "3",
        "lastUpdated": "2026-05-14T08:30:00.123+10:00",
        "profile": ["http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient"],
        "security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "X"}],
    },
    "text": NARRATIVE,
    "extension": [
        {
            "url": US_CORE_RACE,
            "extension": [
                {"url": "ombCategory", "valueCoding": {"system": OMB, "code": "2106-3"}},
                {"url": "text", "valueString": "White"},
            ],
        }
    ],
    "identifier": [
        {
            "use": "usual",
            "type": concept("MR", "http://terminology.hl7.org/CodeSystem/v2-0203"),
            "system": "https://h.example/fhir/acme/sid/qubs-patient-id",
            "value": "220000",
            "period": {"start": "2020", "end": "2024-05"},
            "assigner": {"display": "Somebody"},
        }
    ],
    "active": True,
    "name": [
        {"use": "official", "family": "Example", "given": ["Ann", None], "_given": [None, ABSENT]}
    ],
    "telecom": [{"system": "phone", "value": "555-0101", "use": "mobile", "rank": 1}],
    "gender": "female",
    "birthDate": "1984-02-29",
    "_birthDate": ABSENT,
    "deceasedBoolean": False,
    "address": [{"use": "home", "type": "both", "line": ["1 Main Street"], "country": "AU"}],
    "maritalStatus": concept("M", "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus"),
    "multipleBirthInteger": 2,
    "contact": [{"relationship": [concept("C")], "name": {"text": "Next Kin"}, "gender": "male"}],
    "communication": [{"language": concept("en-AU", "urn:ietf:bcp:47"), "preferred": True}],
    "generalPractitioner": [{"reference": "Practitioner/qubs-7", "display": "Dr Example"}],
    "managingOrganization": {"reference": "Organization/qubs-acme"},
    "link": [{"other": {"reference": "Patient/qubs-1"}, "type": "seealso"}],
}
APPOINTMENT: dict[str, Any] = {
    "resourceType": "Appointment",
    "id": "qubs-A1",
    "identifier": [{"system": "https://h.example/sid/a", "value": "A1"}],
    "status": "booked",
    "serviceCategory": [concept("37")],
    "serviceType": [concept("CT01")],
    "reasonCode": [concept("R51")],
    "description": "CT HEAD",
    "start": "2026-10-04T03:30:00+11:00",
    "end": "2026-10-04T04:00:00+11:00",
    "minutesDuration": 30,
    "created": "2026-09-01",
    "comment": "Bring films",
    "requestedPeriod": [{"start": "2026-10", "end": "2026-10-09"}],
    "participant": [
        {
            "actor": {"reference": "Patient/qubs-220000"},
            "required": "required",
            "status": "accepted",
        },
        {"actor": {"reference": "Location/qubs-North.20Ryde"}, "status": "accepted"},
        {"type": [concept("PPRF")], "status": "tentative", "period": {"start": "2026-10-04"}},
    ],
}
APPOINTMENT_WITHOUT_TIME: dict[str, Any] = {
    **{k: v for k, v in APPOINTMENT.items() if k not in ("start", "end")},
    "id": "qubs-A2",
    "_start": ABSENT,
    "_end": ABSENT,
}
APPOINTMENT_CANCELLED: dict[str, Any] = {
    "resourceType": "Appointment",
    "id": "qubs-A3",
    "status": "cancelled",
    "cancelationReason": concept("pat"),
    "participant": [{"actor": {"reference": "Location/qubs-x"}, "status": "declined"}],
}
DIAGNOSTIC_REPORT: dict[str, Any] = {
    "resourceType": "DiagnosticReport",
    "id": "qubs-A1",
    "basedOn": [{"reference": "ServiceRequest/qubs-A1"}],
    "status": "appended",
    "category": [
        concept("LP29684-5"),
        concept("RAD", "http://terminology.hl7.org/CodeSystem/v2-0074"),
    ],
    "code": concept("24590-2"),
    "subject": {"reference": "Patient/qubs-220000", "type": "Patient"},
    "effectivePeriod": {"start": "2026-10-04T03:30:00+11:00", "end": "2026-10-04T03:50:00+11:00"},
    "issued": "2026-10-04T14:10:23.512+11:00",
    "performer": [{"reference": "Organization/qubs-acme"}],
    "resultsInterpreter": [{"reference": "PractitionerRole/qubs-7"}],
    "conclusion": "1. No acute change.\n2. Sinuses\u00a0clear.",
    "presentedForm": [
        {
            "contentType": "application/pdf",
            "url": "https://h.example/fhir/acme/Binary/qubs-1",
            "size": 1024,
            "hash": "2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
        }
    ],
}
OTHERS: list[dict[str, Any]] = [
    {
        "resourceType": "Organization",
        "id": "qubs-acme",
        "active": True,
        "name": "Acme Imaging",
        "telecom": [{"system": "phone", "value": "1", "use": "work"}],
        "contact": [{"name": {"text": "Desk"}, "purpose": concept("ADMIN")}],
    },
    {
        "resourceType": "Location",
        "id": "qubs-North.20Ryde",
        "status": "active",
        "mode": "instance",
        "name": "North Ryde",
        "position": {"longitude": Decimal("151.10"), "latitude": -33.8},
        "hoursOfOperation": [
            {"daysOfWeek": ["mon", "tue"], "openingTime": "08:00:00", "closingTime": "17:30:00"}
        ],
        "managingOrganization": {"reference": "Organization/qubs-acme"},
    },
    {
        "resourceType": "Practitioner",
        "id": "qubs-7",
        "name": [{"text": "Dr Example", "prefix": ["Dr"]}],
        "gender": "other",
        "qualification": [{"code": concept("MD"), "period": {"start": "1999"}}],
    },
    {
        "resourceType": "PractitionerRole",
        "id": "qubs-7",
        "period": {"start": "2020-01-01", "end": "2020-01-01"},
        "practitioner": {"reference": "Practitioner/qubs-7"},
        "location": [{"reference": "Location/qubs-x"}],
        "availableTime": [{"daysOfWeek": ["sun"], "allDay": True}],
    },
    {
        "resourceType": "HealthcareService",
        "id": "qubs-CT01",
        "name": "CT",
        "appointmentRequired": True,
        "availableTime": [{"daysOfWeek": ["fri"], "availableStartTime": "23:59:60"}],
        "notAvailable": [{"description": "Holidays", "during": {"start": "2026-12-25"}}],
    },
    {
        "resourceType": "Group",
        "id": "everybody",
        "type": "person",
        "actual": True,
        "quantity": 1,
        "characteristic": [{"code": concept("c"), "valueBoolean": True, "exclude": False}],
        "member": [{"entity": {"reference": "Patient/qubs-220000"}, "inactive": False}],
    },
    {
        "resourceType": "AuditEvent",
        "id": "61c2f0a7b3e400",
        "type": {"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "110106"},
        "subtype": [{"system": "http://hl7.org/fhir/restful-interaction", "code": "operation"}],
        "action": "E",
        "recorded": "2026-05-14T08:30:00.125Z",
        "outcome": "4",
        "outcomeDesc": "The token's scopes do not cover this.",
        "agent": [
            {
                "who": {"reference": "Practitioner/qubs-12"},
                "altId": "u1",
                "requestor": True,
                "network": {"address": "10.0.0.1", "type": "2"},
            },
            {"altId": "app", "requestor": False},
        ],
        "source": {"observer": {"display": "Acme"}},
        "entity": [
            {"what": {"reference": "Group/all"}, "name": "all"},
            {"query": "UGF0aWVudD9uYW1l", "detail": [{"type": "status", "valueString": "403"}]},
        ],
    },
    {
        "resourceType": "ConceptMap",
        "id": "qubs-appointment-status",
        "url": "https://h.example/fhir/acme/ConceptMap/qubs-appointment-status",
        "status": "active",
        "sourceUri": "https://h.example/a",
        "targetCanonical": "http://hl7.org/fhir/ValueSet/appointmentstatus|4.0.1",
        "group": [
            {
                "source": "https://h.example/s",
                "element": [
                    {
                        "code": "NOT ARRIVED",
                        "target": [
                            {"code": "booked", "equivalence": "equivalent"},
                            {"code": "x", "equivalence": "inexact", "comment": "Why"},
                        ],
                    }
                ],
                "unmapped": {"mode": "fixed", "code": "pending"},
            }
        ],
    },
    {
        "resourceType": "Provenance",
        "id": "Patient-qubs-220000",
        "target": [{"reference": "Patient/qubs-220000/_history/3"}],
        "occurredDateTime": "2026-05",
        "recorded": "2026-05-14T08:30:00Z",
        "agent": [{"who": {"display": "Facade"}}],
        "entity": [{"role": "source", "what": {"identifier": {"value": "r1"}}}],
    },
    {
        "resourceType": "Encounter",
        "id": "qubs-A1",
        "status": "in-progress",
        "statusHistory": [{"status": "arrived", "period": {"start": "2026-10-04"}}],
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "period": {"start": "2026-10-04T03:20:00+11:00"},
        "length": {"value": 20, "system": "http://unitsofmeasure.org", "code": "min"},
        "location": [{"location": {"reference": "Location/qubs-x"}, "status": "active"}],
    },
    {
        "resourceType": "ServiceRequest",
        "id": "qubs-A1",
        "status": "active",
        "intent": "order",
        "priority": "stat",
        "code": concept("CT01"),
        "orderDetail": [concept("d")],
        "subject": {"reference": "Patient/qubs-220000"},
        "occurrenceTiming": {
            "repeat": {"frequency": 1, "period": 1, "periodUnit": "d", "when": ["MORN", "PCV"]}
        },
        "quantityRatio": {"numerator": {"value": 1}, "denominator": {"value": Decimal("2.50")}},
    },
    {
        "resourceType": "Task",
        "id": "qubs-A1",
        "status": "ready",
        "intent": "order",
        "priority": "urgent",
        "authoredOn": "2026-10-04",
        "lastModified": "2026-10-04T03:30:00Z",
        "executionPeriod": {"start": "2026-10-04", "end": "2026-10-05"},
        "restriction": {"period": {"end": "2026-10-05T00:00:00Z"}},
        "input": [{"type": {"text": "t"}, "valueAge": {"value": 3, "code": "a"}}],
    },
    {
        "resourceType": "DocumentReference",
        "id": "qubs-1",
        "status": "current",
        "docStatus": "final",
        "content": [{"attachment": {"contentType": "application/dicom", "url": "Binary/qubs-1"}}],
        "context": {"related": [{"reference": "Appointment/qubs-A1"}]},
    },
    {"resourceType": "Binary", "contentType": "text/plain", "data": "aGVsbG8="},
    {
        "resourceType": "Communication",
        "id": "qubs-c1",
        "status": "completed",
        "priority": "routine",
        "payload": [{"contentString": "Patient called\r\n\tback"}],
    },
    {
        "resourceType": "Flag",
        "id": "qubs-c2",
        "status": "active",
        "code": {"text": "Latex"},
        "subject": {"reference": "Patient/qubs-220000"},
    },
    {
        "resourceType": "ChargeItem",
        "id": "qubs-A1",
        "status": "billed",
        "code": concept("56001"),
        "subject": {"reference": "Patient/qubs-220000"},
        "priceOverride": {"value": Decimal("12.30"), "currency": "AUD"},
    },
    {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-11-21",
        "kind": "instance",
        "implementation": {"description": "Facade", "url": "https://h.example:8443/fhir/acme"},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [
            {
                "mode": "server",
                "security": {
                    "extension": [
                        {
                            "url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
                            "extension": [{"url": "token", "valueUri": "https://h.example/t"}],
                        }
                    ]
                },
                "resource": [
                    {
                        "type": "Patient",
                        "interaction": [{"code": "read"}, {"code": "search-type"}],
                        "versioning": "versioned",
                        "searchParam": [{"name": "_id", "type": "token"}],
                        "searchInclude": ["*"],
                    }
                ],
                "interaction": [{"code": "search-system"}],
            }
        ],
    },
    {
        "resourceType": "OperationOutcome",
        "issue": [
            {
                "severity": "error",
                "code": "code-invalid",
                "details": {"text": "Wrong."},
                "expression": ["Patient.gender"],
            }
        ],
    },
    {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 1,
        "link": [{"relation": "self", "url": "https://h.example/fhir/acme/Patient"}],
        "entry": [
            {
                "fullUrl": "https://h.example/fhir/acme/Flag/f",
                "resource": {
                    "resourceType": "Flag",
                    "id": "f",
                    "status": "inactive",
                    "code": {"text": "x"},
                    "subject": {"reference": "Group/g"},
                },
                "search": {"mode": "match", "score": 1},
            }
        ],
    },
    {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "a", "valueString": "x"},
            {"name": "b", "resource": {"resourceType": "Basic", "code": {"text": "y"}}},
            {"name": "c", "part": [{"name": "d", "valueDate": "2024"}]},
        ],
    },
    {
        "resourceType": "ImagingStudy",
        "id": "i",
        "status": "available",
        "subject": {"reference": "Patient/qubs-220000"},
        "series": [
            {
                "uid": "1.2.3",
                "modality": {
                    "system": "http://dicom.nema.org/resources/ontology/DCM",
                    "code": "CT",
                },
                "instance": [{"uid": "1.2.3.4", "sopClass": {"code": "x"}}],
            }
        ],
    },
    {
        "resourceType": "Observation",
        "id": "o",
        "status": "preliminary",
        "code": concept("a"),
        "subject": {"reference": "Patient/qubs-220000"},
        "valueQuantity": {
            "value": Decimal("1.50"),
            "comparator": "<",
            "unit": "mm",
            "system": "http://unitsofmeasure.org",
            "code": "mm",
        },
        "referenceRange": [{"low": {"value": 1}}],
        "component": [{"code": concept("b"), "valueTime": "10:00:00"}],
    },
    {
        "resourceType": "Condition",
        "id": "c",
        "clinicalStatus": concept(
            "resolved", "http://terminology.hl7.org/CodeSystem/condition-clinical"
        ),
        "subject": {"reference": "#p"},
        "abatementString": "last year",
        "evidence": [{"code": [concept("e")]}],
        "contained": [{"resourceType": "Patient", "id": "p", "active": True}],
    },
]
VALID: list[dict[str, Any]] = [
    PATIENT,
    APPOINTMENT,
    APPOINTMENT_WITHOUT_TIME,
    APPOINTMENT_CANCELLED,
    DIAGNOSTIC_REPORT,
    *OTHERS,
    *DEFINITIONS,
]
