"""QUBS records as sync would hold them, for the tests of the mapping."""

from __future__ import annotations

from typing import Any

from fhir_facade.fhir import FHIRResource
from fhir_facade.resources.qubs import MappedSubject, QubsContext, SubjectRecords, map_subject
from fhir_facade.resources.subject import Subject

BASE = "http://127.0.0.1:8000/fhir/acme"
DOMAIN = "acme"
SITE = "Central Clinic"
CONTEXT = QubsContext(BASE, DOMAIN, "Acme Imaging")


def site_records(time_zone: str | None = "Australia/Sydney", name: str = SITE) -> dict[Any, Any]:
    """The records of a site; no `timeZone` member when None."""
    settings = {"domain": DOMAIN, "siteName": name}
    if time_zone is not None:
        settings["timeZone"] = time_zone
    return {
        ("sites", name): {"domain": DOMAIN, "siteName": name},
        ("site-settings", name): settings,
        ("exam-codes", name): [
            {"examCodeId": "EC100", "key": "CT_CHEST", "site": name, "category": "CT"}
        ],
    }


def operational(key: str = "A1", **members: Any) -> dict[str, Any]:
    """An operational record, lean (no patient), with `members` laid over it."""
    return {
        "domain": DOMAIN,
        "appointmentId": key,
        "scheduledSite": SITE,
        "status": "NOT ARRIVED",
        "appointmentDate": "2026-11-20",
        "startTime": "13:45:00",
        "endTime": "14:00:00",
        "modality": "CT",
        "studyDescription": "CT Chest",
        **members,
    }


def map_appointment(
    body: Any,
    *,
    site: dict[Any, Any] | None = None,
    more: dict[Any, Any] | None = None,
    context: QubsContext = CONTEXT,
) -> MappedSubject:
    """Map appointment A1 from its operational body and `more` records; None: no operational one."""
    own = {} if body is None else {("operational", "A1"): body}
    own |= more or {}
    sites = site_records() if site is None else site
    related = {Subject("site", SITE): sites} if sites else {}
    return map_subject(Subject("appointment", "A1"), SubjectRecords(own, related), context)


def only(mapped: MappedSubject, resource_type: str) -> FHIRResource:
    """The one resource of a type that a subject mapped to."""
    (found,) = [r for r in mapped.resources if r["resourceType"] == resource_type]
    return found


def types_of(mapped: MappedSubject) -> list[str]:
    """The types of the resources, in order."""
    return [resource["resourceType"] for resource in mapped.resources]
