"""Hand-made resources, as large and of the shape that the QUBS mapping gives."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator

from fhir_facade.fhir import FHIRResource
from fhir_facade.fhir.ids import provenance_id

APPOINTMENTS = 25
"""Of each patient."""
REPORTS = 20
"""The first of a patient's appointments that have a report."""
SITES = ("Central Clinic", "Northside Imaging", "Harbour", "West")
_OF_PATIENT = 2 * (1 + APPOINTMENTS + REPORTS)
"""Resources of a patient, each with its Provenance."""

_HOUSE = "https://fhir-facade.dev/fhir"
_SID = "http://127.0.0.1:8000/fhir/acme/sid"
_TERMS = "http://terminology.hl7.org/CodeSystem"
_CORE = "http://hl7.org/fhir/us/core/StructureDefinition"
_FIRST_DAY = dt.date(2026, 1, 1)
_GIVEN = ("Ada", "Bea", "Cy", "Dee", "Eli", "Fay", "Gus", "Hal", "Ida", "Jo")
_FAMILY = ("Nguyen", "Smith", "Okafor", "Rossi", "Larsen", "Haddad", "Silva", "Tanaka")
_STUDIES = (("CT", "CT Chest"), ("MR", "MRI Brain"), ("US", "US Abdomen"), ("DX", "X-ray Hand"))


def patients_for(resources: int) -> int:
    """How many patients make up so many resources, Provenance included."""
    return max(resources // _OF_PATIENT, 1)


def patient_id(number: int) -> str:
    """The id of a patient."""
    return f"qubs-{220000 + number}"


def appointment_id(number: int, of_patient: int) -> str:
    """The id of the n-th appointment of a patient, and of its report."""
    return f"qubs-A{of_patient * APPOINTMENTS + number:08d}"


def directory() -> list[FHIRResource]:
    """The Organization and its Locations."""
    organization = {
        "resourceType": "Organization",
        "id": "qubs-acme",
        "active": True,
        "name": "Acme Imaging",
    }
    return [organization, *map(_location, SITES)]


def patients(count: int) -> Iterator[FHIRResource]:
    """Each patient, followed by their appointments and reports."""
    for number in range(count):
        yield _patient(number)
        for n in range(APPOINTMENTS):
            yield _appointment(n, number)
            if n < REPORTS:
                yield _report(n, number)


def provenance(resource: FHIRResource) -> FHIRResource:
    """The Provenance of a resource with two source records."""
    type_, id_ = resource["resourceType"], resource["id"]
    organization = {"reference": "Organization/qubs-acme"}
    return {
        "resourceType": "Provenance",
        "id": provenance_id(type_, id_),
        "meta": {"profile": [f"{_CORE}/us-core-provenance"]},
        "target": [{"reference": f"{type_}/{id_}"}],
        "recorded": "2026-11-18T11:06:40.000Z",
        "agent": [
            {"type": _participant("author", "Author"), "who": organization},
            {
                "type": _participant("assembler", "Assembler"),
                "who": {"display": "FHIR Facade"},
                "onBehalfOf": organization,
            },
        ],
        "entity": [_source("operational", id_), _source("site-settings", "Central Clinic")],
    }


def _location(name: str) -> FHIRResource:
    key = name.replace(" ", ".20")
    return {
        "resourceType": "Location",
        "id": f"qubs-{key}",
        "identifier": [{"system": f"{_SID}/qubs-site-name", "value": name}],
        "status": "active",
        "name": name,
        "mode": "instance",
        "managingOrganization": {"reference": "Organization/qubs-acme"},
    }


def _patient(number: int) -> FHIRResource:
    born = dt.date(1930, 1, 1) + dt.timedelta(days=number * 37 % 32_000)
    family, given = _FAMILY[number % 8], _GIVEN[number // 8 % 10]
    return {
        "resourceType": "Patient",
        "id": patient_id(number),
        "meta": {"profile": [f"{_CORE}/us-core-patient"]},
        "identifier": [
            {
                "use": "usual",
                "type": _coded(f"{_TERMS}/v2-0203", "PI", "Patient internal identifier"),
                "system": f"{_SID}/qubs-patient-id",
                "value": str(220000 + number),
            }
        ],
        "name": [{"text": f"{given} {family}", "family": family, "given": [given]}],
        "telecom": [{"system": "phone", "value": f"+61 491 570 {number % 1000:03d}"}],
        "gender": ("female", "male", "other")[number % 3],
        "birthDate": born.isoformat(),
        "address": [{"line": [f"{number % 300} Station St"], "city": "Sydney", "country": "AU"}],
        "managingOrganization": {"reference": "Organization/qubs-acme"},
    }


def _appointment(n: int, of_patient: int) -> FHIRResource:
    number = of_patient * APPOINTMENTS + n
    modality, study = _STUDIES[number % 4]
    site = SITES[number % 4]
    day = _FIRST_DAY + dt.timedelta(days=number * 101 % 360)
    start = f"{day}T{8 + number % 9:02d}:{number % 4 * 15:02d}"
    actors = (
        {"reference": f"Patient/{patient_id(of_patient)}"},
        {"reference": "Location/qubs-" + site.replace(" ", ".20"), "display": site},
    )
    return {
        "resourceType": "Appointment",
        "id": appointment_id(n, of_patient),
        "extension": [
            _upstream_status("FINALISED" if n < REPORTS else "BOOKED"),
            {
                "url": f"{_HOUSE}/StructureDefinition/upstream-priority",
                "valueCoding": {"system": f"{_HOUSE}/CodeSystem/qubs-priority", "code": "Routine"},
            },
            {"url": f"{_HOUSE}/StructureDefinition/room", "valueString": f"{modality} 1"},
        ],
        "identifier": [{"system": f"{_SID}/qubs-appointment-id", "value": f"A{number:08d}"}],
        "status": "fulfilled" if n < REPORTS else "booked",
        "serviceCategory": [
            {
                "coding": [{"system": f"{_HOUSE}/CodeSystem/qubs-modality", "code": modality}],
                "text": modality,
            }
        ],
        "serviceType": [{"text": study}],
        "description": study,
        "start": f"{start}:00+10:00",
        "end": f"{start}:30+10:00",
        "minutesDuration": 15,
        "participant": [{"actor": actor, "status": "accepted"} for actor in actors],
    }


def _report(n: int, of_patient: int) -> FHIRResource:
    number = of_patient * APPOINTMENTS + n
    day = _FIRST_DAY + dt.timedelta(days=number * 101 % 360)
    return {
        "resourceType": "DiagnosticReport",
        "id": appointment_id(n, of_patient),
        "meta": {"profile": [f"{_CORE}/us-core-diagnosticreport-note"]},
        "extension": [_upstream_status("FINALISED")],
        "identifier": [{"system": f"{_SID}/qubs-appointment-id", "value": f"A{number:08d}"}],
        "status": "final",
        "category": [
            _coded("http://loinc.org", "LP29684-5", "Radiology"),
            _coded(f"{_TERMS}/v2-0074", "RAD", "Radiology"),
        ],
        "code": _coded("http://loinc.org", "18748-4", "Diagnostic imaging study")
        | {"text": _STUDIES[number % 4][1]},
        "subject": {"reference": f"Patient/{patient_id(of_patient)}"},
        "effectivePeriod": {"start": f"{day}T02:50:00Z", "end": f"{day}T03:05:00Z"},
        "performer": [{"reference": "Organization/qubs-acme"}],
    }


def _upstream_status(code: str) -> FHIRResource:
    system = f"{_HOUSE}/CodeSystem/qubs-appointment-status"
    url = f"{_HOUSE}/StructureDefinition/upstream-status"
    return {"url": url, "valueCoding": {"system": system, "code": code}}


def _coded(system: str, code: str, display: str) -> FHIRResource:
    return {"coding": [{"system": system, "code": code, "display": display}]}


def _participant(code: str, display: str) -> FHIRResource:
    return _coded(f"{_TERMS}/provenance-participant-type", code, display)


def _source(view: str, key: str) -> FHIRResource:
    digest = hashlib.sha256(key.encode()).hexdigest()
    told = {
        "system": "qubs",
        "view": view,
        "key": key,
        "correlationId": digest[:16],
        "mappingVersion": "1",
        "hash": digest,
    }
    extension = {
        "url": f"{_HOUSE}/StructureDefinition/source-record",
        "extension": [{"url": name, "valueString": value} for name, value in told.items()],
    }
    identifier = {"system": f"{_SID}/qubs-{view}", "value": key}
    what = {"identifier": identifier, "display": view}
    return {"extension": [extension], "role": "source", "what": what}
