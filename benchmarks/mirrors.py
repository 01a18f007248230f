"""Mirrors of a given size, built once and kept under var/bench/ for the code they were built by."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

from benchmarks import resources as made
from fhir_facade.fhir import FHIRResource
from fhir_facade.mirror import migrate
from fhir_facade.mirror.database import open_database
from fhir_facade.mirror.groups import GroupDefinition, GroupStore
from fhir_facade.mirror.publish import LARGEST_BATCH, Prepared, Publisher, SubjectOutput
from fhir_facade.resources.registry import REGISTRY
from fhir_facade.resources.subject import Subject

ROOT = Path(__file__).resolve().parents[1]
STATE = ROOT / "var" / "bench"
TENANT = "acme"
GROUP = "all-patients"
ZONE = ZoneInfo("Australia/Sydney")
_MAKERS = (
    "fhir_facade/mirror/migrations",
    "fhir_facade/mirror/publication.py",
    "fhir_facade/mirror/version_writer.py",
    "fhir_facade/mirror/groups.py",
    "fhir_facade/mirror/group_rules.py",
    "fhir_facade/resources",
)


def copy_of(size: int, folder: Path) -> Path:
    """A copy of the mirror with about `size` resources, as `mirror.db` in `folder`."""
    target = folder / "mirror.db"
    shutil.copyfile(kept(size), target)
    return target


def kept(size: int) -> Path:
    """The mirror with about `size` resources; built when there is none, or other code built it."""
    STATE.mkdir(parents=True, exist_ok=True)
    path = STATE / f"mirror-{size}-{_version()}.db"
    if not path.exists():
        for old in STATE.glob(f"mirror-{size}-*.db"):
            old.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(dir=STATE) as own:
            unfinished = Path(own) / "mirror.db"
            build(unfinished, size)
            os.replace(unfinished, path)
    return path


def build(path: Path, size: int) -> None:
    """Publish about `size` resources, Provenance included, and a group of all patients."""
    url = f"sqlite:///{path}"
    migrate.upgrade(url)
    database = open_database(url)
    try:
        publisher = Publisher(database, REGISTRY)
        count = made.patients_for(size)
        for batch in _batches([*made.directory()], made.patients(count)):
            publisher.publish(TENANT, "qubs", [_output(one) for one in batch], ZONE)
        groups = GroupStore(database)
        groups.define(TENANT, GroupDefinition(GROUP, "All patients", "tenant"))
        groups.refresh(TENANT)
        with database.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        database.close()


def _output(resource: FHIRResource) -> SubjectOutput:
    subject = Subject(resource["resourceType"], resource["id"])
    return SubjectOutput(subject, None, (Prepared(resource, made.provenance(resource)),))


def _batches(*sources: Iterable[FHIRResource]) -> Iterator[list[FHIRResource]]:
    for source in sources:
        rest = iter(source)
        while batch := list(islice(rest, LARGEST_BATCH)):
            yield batch


def _version() -> str:
    """A digest of the code that makes a mirror."""
    digest = hashlib.sha256()
    for maker in (*_MAKERS, "benchmarks/mirrors.py", "benchmarks/resources.py"):
        place = ROOT / maker
        for source in [place] if place.is_file() else sorted(place.rglob("*.py")):
            digest.update(source.read_bytes())
    return digest.hexdigest()[:16]
