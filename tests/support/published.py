"""Hand-made resources and a short way to publish them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from fhir_facade.fhir.ids import provenance_id
from fhir_facade.mirror.database import Database
from fhir_facade.mirror.publish import Prepared, Publisher, PublishResult, SubjectOutput
from fhir_facade.resources.registry import REGISTRY
from fhir_facade.resources.subject import Subject

SYDNEY = ZoneInfo("Australia/Sydney")


def patient(number: int | str, family: str = "Example", **more: Any) -> dict[str, Any]:
    """A Patient `p{number}`."""
    return {
        "resourceType": "Patient",
        "id": f"p{number}",
        "identifier": [{"system": "urn:test:patient", "value": str(number)}],
        "name": [{"family": family, "given": ["Ada"]}],
        "gender": "female",
        "birthDate": "1980-05-01",
    } | more


def appointment(
    number: int | str,
    of_patient: int | str | None = None,
    status: str = "booked",
    start: str = "2026-11-21T09:00:00+11:00",
    location: str = "l1",
    **more: Any,
) -> dict[str, Any]:
    """An Appointment `a{number}` at a Location, of Patient `p{of_patient}` when that is given."""
    actors = [f"Location/{location}"]
    if of_patient is not None:
        actors.append(f"Patient/p{of_patient}")
    return {
        "resourceType": "Appointment",
        "id": f"a{number}",
        "status": status,
        "start": start,
        "participant": [{"actor": {"reference": actor}, "status": "accepted"} for actor in actors],
    } | more


def report(number: int | str, of_patient: int | str, category: str = "RAD") -> dict[str, Any]:
    """A DiagnosticReport `r{number}` with one category coding."""
    coding = {"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": category}
    return {
        "resourceType": "DiagnosticReport",
        "id": f"r{number}",
        "status": "final",
        "category": [{"coding": [coding]}],
        "code": {"text": "CT"},
        "subject": {"reference": f"Patient/p{of_patient}"},
    }


def document(
    number: int | str, of_patient: int | str, category: str = "clinical-note"
) -> dict[str, Any]:
    """A DocumentReference `d{number}` with one category code, its content in Binary `b{number}`."""
    return {
        "resourceType": "DocumentReference",
        "id": f"d{number}",
        "status": "current",
        "category": [{"coding": [{"system": "urn:test:category", "code": category}]}],
        "subject": {"reference": f"Patient/p{of_patient}"},
        "content": [{"attachment": {"url": f"http://example.org/fhir/Binary/b{number}"}}],
    }


def binary(number: int | str) -> dict[str, Any]:
    """A Binary `b{number}` without data."""
    return {"resourceType": "Binary", "id": f"b{number}", "contentType": "application/pdf"}


def with_binary(number: int | str, *targets: dict[str, Any]) -> SubjectOutput:
    """What a subject yields that has these resources and a Binary which is reached as they are."""
    keys = tuple((target["resourceType"], target["id"]) for target in targets)
    prepared = (*(Prepared(target) for target in targets), Prepared(binary(number), None, keys))
    return SubjectOutput(Subject("appointment", f"with b{number}"), None, prepared)


def location(name: str = "l1") -> dict[str, Any]:
    """A Location."""
    return {"resourceType": "Location", "id": name, "name": f"Site {name}", "status": "active"}


def provenance(resource: dict[str, Any]) -> dict[str, Any]:
    """A Provenance of the resource."""
    key = resource["resourceType"], resource["id"]
    return {
        "resourceType": "Provenance",
        "id": provenance_id(*key),
        "target": [{"reference": "/".join(key)}],
        "recorded": "2026-11-20T00:00:00Z",
        "agent": [{"who": {"display": "test"}}],
    }


def output(
    key: str,
    *resources: dict[str, Any],
    mark: int | None = None,
    kept: Iterable[tuple[str, str]] = (),
    dependencies: Sequence[Subject] = (),
    with_provenance: bool = False,
) -> SubjectOutput:
    """What the subject (`appointment`, key) yields."""
    return SubjectOutput(
        Subject("appointment", key),
        mark,
        tuple(Prepared(r, provenance(r) if with_provenance else None) for r in resources),
        frozenset(kept),
        tuple(dependencies),
    )


def publish_outputs(
    database: Database, *outputs: SubjectOutput, tenant: str = "acme"
) -> PublishResult:
    """Publish what subjects yield."""
    return Publisher(database, REGISTRY).publish(tenant, "qubs", outputs, SYDNEY)


def publish(
    database: Database,
    *resources: dict[str, Any],
    tenant: str = "acme",
    with_provenance: bool = False,
) -> PublishResult:
    """Publish each resource as a subject of its own, 200 at a time; the last result."""
    publisher = Publisher(database, REGISTRY)
    result = PublishResult(None, 0, 0, 0, 0)
    for start in range(0, len(resources), 200):
        outputs = [
            output(f"{r['resourceType']}/{r['id']}", r, with_provenance=with_provenance)
            for r in resources[start : start + 200]
        ]
        result = publisher.publish(tenant, "qubs", outputs, SYDNEY)
    return result
