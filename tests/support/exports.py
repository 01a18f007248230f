"""A small tenant to export: resources made by hand and published through the mirror, groups, and
the means to run an export to its end in this process.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from fhir_facade import clock
from fhir_facade.bulk.download import served_file
from fhir_facade.bulk.files import FileStore, LocalFiles
from fhir_facade.bulk.kickoff import kickoff
from fhir_facade.bulk.model import (
    BulkParts,
    BulkSettings,
    Complete,
    ExportPrincipal,
    KickoffRequest,
    PartKey,
)
from fhir_facade.bulk.part import run_part
from fhir_facade.bulk.part_store import PartStore
from fhir_facade.bulk.status import status
from fhir_facade.fhir import FHIRResource
from fhir_facade.fhir.ids import provenance_id
from fhir_facade.mirror.database import Database, open_database
from fhir_facade.mirror.groups import GroupDefinition, GroupStore, listed
from fhir_facade.mirror.publish import Prepared, Publisher, SubjectOutput
from fhir_facade.policy import Grant, GroupMembers, Letter, Reach
from fhir_facade.resources.registry import REGISTRY
from fhir_facade.resources.subject import Subject
from tests.support.databases import BOTH, copied_url

TENANT = "acme"
GROUP = "g1"
ZONE = ZoneInfo("Australia/Sydney")
BASE = "https://example.org/fhir"
CLASSES = {name: definition.reach for name, definition in REGISTRY.items()}
QUICK = BulkSettings(
    part_rows=50, page_rows=7, lease_seconds=2.0, renew_seconds=0.05, retry_seconds=0.05
)


def bulk_parts(
    db: Database, root: Path, settings: BulkSettings = QUICK, files: FileStore | None = None
) -> BulkParts:
    """The room on this database, with its files under `root`."""
    return BulkParts(
        db=db,
        registry=REGISTRY,
        files=files or LocalFiles(root),
        base=lambda tenant: f"{BASE}/{tenant}",
        zone=lambda _tenant: ZONE,
        settings=settings,
    )


def principal(
    *types: str,
    client: str = "client-1",
    groups: Iterable[str] = (GROUP,),
    letters: Iterable[Letter] = ("r", "s"),
) -> ExportPrincipal:
    """A backend client with `system/{type}.rs` scopes (all types when none is named)."""
    ids = frozenset(groups)
    grants = (
        Grant("system", name, frozenset(letters), GroupMembers(ids)) for name in types or ("*",)
    )
    return ExportPrincipal(client, Reach(tuple(grants), CLASSES, ids))


def patient(number: int, text: str = "one") -> FHIRResource:
    return {
        "resourceType": "Patient",
        "id": f"qubs-P{number:05d}",
        "name": [{"family": f"Family{number}", "given": [text]}],
    }


def appointment(number: int, patient_number: int | None, text: str = "one") -> FHIRResource:
    actors = [{"reference": "Location/qubs-L1"}]
    if patient_number is not None:
        actors.append({"reference": f"Patient/qubs-P{patient_number:05d}"})
    return {
        "resourceType": "Appointment",
        "id": f"qubs-A{number:05d}",
        "status": "booked",
        "description": text,
        "participant": [{"actor": actor, "status": "accepted"} for actor in actors],
    }


def location(number: int = 1) -> FHIRResource:
    return {"resourceType": "Location", "id": f"qubs-L{number}", "name": f"Site {number}"}


def provenance(resource: FHIRResource) -> FHIRResource:
    name, id_ = resource["resourceType"], resource["id"]
    return {
        "resourceType": "Provenance",
        "id": provenance_id(name, id_),
        "target": [{"reference": f"{name}/{id_}"}],
        "recorded": "2026-01-01T00:00:00Z",
        "agent": [{"who": {"display": "x"}}],
    }


def publish(db: Database, *resources: FHIRResource, tenant: str = TENANT) -> None:
    """Each resource is its subject's only one, with a Provenance beside it."""
    _publish(
        db,
        [
            SubjectOutput(
                Subject(one["resourceType"].lower(), one["id"]),
                None,
                (Prepared(one, provenance(one)),),
            )
            for one in resources
        ],
        tenant,
    )


def withdraw(db: Database, *resources: FHIRResource, tenant: str = TENANT) -> None:
    """The subjects yield nothing any more: their resources are deleted."""
    subjects = [Subject(one["resourceType"].lower(), one["id"]) for one in resources]
    _publish(db, [SubjectOutput(subject, None, ()) for subject in subjects], tenant)


def _publish(db: Database, outputs: list[SubjectOutput], tenant: str) -> None:
    publisher = Publisher(db, REGISTRY)
    for start in range(0, len(outputs), 200):
        publisher.publish(tenant, "qubs", outputs[start : start + 200], ZONE)


def group(db: Database, *patients: int, group_id: str = GROUP, tenant: str = TENANT) -> None:
    """Define a group of these patients, or change it to them."""
    members = tuple(f"qubs-P{number:05d}" for number in patients)
    store = GroupStore(db)
    store.define(tenant, GroupDefinition(group_id, "Some", "listed", members=listed(members)))
    store.refresh(tenant)


def seed(db: Database, patients: int = 20, appointments: int = 120) -> None:
    """Patients 0…n-1, of whom the even ones are in the group, with appointments in turn."""
    publish(db, location(), *(patient(n) for n in range(patients)))
    publish(db, *(appointment(n, n % patients) for n in range(appointments)))
    group(db, *range(0, patients, 2))


def start(
    parts: BulkParts,
    who: ExportPrincipal | None = None,
    *params: tuple[str, str],
    tenant: str = TENANT,
    group_id: str = GROUP,
    prefer: str | None = "respond-async",
) -> str:
    """Kick off an export; its job id."""
    request = KickoffRequest(
        level="Group",
        group_id=group_id,
        params=params,
        url=f"{BASE}/{tenant}/Group/{group_id}/$export",
        accept="application/fhir+json",
        prefer=prefer,
    )
    return kickoff(parts, tenant, who or principal(), request).job_id


def run_all(parts: BulkParts, seconds: float = 30.0) -> None:
    """Run whatever may be claimed, failed parts again after their pause, till nothing waits."""
    stop, deadline = threading.Event(), clock.monotonic() + seconds
    store = PartStore(parts.db)
    while clock.monotonic() < deadline:
        keys = store.claimable(clock.now_us())
        for key in keys:
            run_part(parts, key, stop)
        if not keys and not store.claimable(clock.now_us() + 60_000_000):
            return
    raise AssertionError("the export did not end")


def run_one(parts: BulkParts, job_id: str, n: int) -> bool:
    """Run one part here."""
    return run_part(parts, PartKey(job_id, n), threading.Event())


@dataclass(frozen=True)
class Exported:
    """A complete export as its client sees it."""

    manifest: Mapping[str, Any]
    files: Mapping[str, bytes]
    """File name → bytes."""

    def digests(self) -> dict[str, str]:
        """File name → SHA-256."""
        return {name: hashlib.sha256(data).hexdigest() for name, data in self.files.items()}

    def resources(self, section: str = "output") -> list[FHIRResource]:
        """All lines of a section, parsed."""
        names = [item["url"].rpartition("/")[2] for item in self.manifest[section]]
        return [json.loads(line) for name in names for line in self.files[name].splitlines()]

    def ids(self, resource_type: str) -> list[str]:
        """The ids of one type, in the order of the files."""
        return [one["id"] for one in self.resources() if one["resourceType"] == resource_type]


def exported(
    parts: BulkParts, job_id: str, who: ExportPrincipal | None = None, tenant: str = TENANT
) -> Exported:
    """Fetch a complete export, checking every file against its manifest entry."""
    who = who or principal()
    found = status(parts, tenant, who, job_id)
    assert isinstance(found, Complete), found
    files = {}
    for section in ("output", "deleted", "error"):
        for item in found.manifest[section]:
            prefix, _, name = item["url"].rpartition("/")
            assert prefix == f"{BASE}/{tenant}/bulkfiles/{job_id}"
            served = served_file(parts, tenant, who, job_id, name)
            data = Path(served.path).read_bytes()
            assert served.size == len(data) > 0
            assert data.endswith(b"\n")
            assert served.etag == hashlib.sha256(data).hexdigest()
            assert served.etag in item["extension"].values()
            assert len(data) in item["extension"].values()
            assert data.count(b"\n") == item["count"]
            types = {json.loads(line)["resourceType"] for line in data.splitlines()}
            assert types == {item["type"]}
            files[name] = data
    return Exported(found.manifest, files)


def export(
    parts: BulkParts, *params: tuple[str, str], who: ExportPrincipal | None = None
) -> Exported:
    """Start, run and fetch an export."""
    job_id = start(parts, who, *params)
    run_all(parts)
    return exported(parts, job_id, who)


def with_settings(parts: BulkParts, **changes: Any) -> BulkParts:
    """The same room with other limits."""
    return replace(parts, settings=replace(parts.settings, **changes))


@pytest.fixture(params=BOTH)
def seeded_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database with the tenant of `seed` in it, the test's own."""
    return copied_url(request.param, tmp_path, seed)


@pytest.fixture
def seeded(seeded_url: str) -> Iterator[Database]:
    """That database, open."""
    opened = open_database(seeded_url)
    yield opened
    opened.close()
