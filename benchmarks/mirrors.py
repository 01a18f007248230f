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
from fhir_facade import clock
from fhir_facade.fhir import FHIRResource, json
from fhir_facade.mirror import migrate
from fhir_facade.mirror.database import Database, open_database
from fhir_facade.mirror.groups import GroupDefinition, GroupStore
from fhir_facade.mirror.revisions import lock_tenant, take_next
from fhir_facade.mirror.statistics import refresh_statistics
from fhir_facade.mirror.version_writer import NewVersion, VersionWriter
from fhir_facade.policy import RowFacts
from fhir_facade.resources import extract
from fhir_facade.resources.registry import REGISTRY
from fhir_facade.resources.subject import Subject

ROOT = Path(__file__).resolve().parents[1]
STATE = ROOT / "var" / "bench"
TENANT = "acme"
GROUP = "all-patients"
_BATCH = 1_000
"""Resources of a transaction, each with its Provenance."""
ZONE = ZoneInfo("Australia/Sydney")
_MAKERS = (
    "fhir_facade/mirror/migrations",
    "fhir_facade/mirror/publication.py",
    "fhir_facade/mirror/version_writer.py",
    "fhir_facade/mirror/groups.py",
    "fhir_facade/mirror/group_rules.py",
    "fhir_facade/resources",
)


def place() -> Path:
    """Where folders of a run may lie: on the disk that the kept mirrors are on."""
    STATE.mkdir(parents=True, exist_ok=True)
    return STATE.parent


def copy_of(size: int, folder: Path) -> Path:
    """A copy of the mirror with about `size` resources, as `mirror.db` in `folder`."""
    target = folder / "mirror.db"
    shutil.copyfile(kept(size), target)
    return target


def kept(size: int) -> Path:
    """The mirror with about `size` resources; built when there is none, or other code built it."""
    place()
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
    """A new mirror on SQLite, filled."""
    url = f"sqlite:///{path}"
    migrate.upgrade(url)
    database = open_database(url)
    try:
        fill(database, size)
        with database.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        database.close()


def fill(database: Database, size: int) -> None:
    """Write about `size` resources, Provenance included, and a group of all patients: straight to
    the tables, for a publisher would validate each and look for what it was before."""
    count = made.patients_for(size)
    for batch in _batches([*made.directory()], made.patients(count)):
        with database.write() as conn:
            last = lock_tenant(conn, TENANT)
            revision = take_next(conn, TENANT, last, clock.now_us())
            versions = [version for one in batch for version in _versions(one)]
            VersionWriter(conn, TENANT, revision).write(versions)
    groups = GroupStore(database)
    groups.define(TENANT, GroupDefinition(GROUP, "All patients", "tenant"))
    groups.refresh(TENANT)
    refresh_statistics(database)


def _versions(resource: FHIRResource) -> Iterator[NewVersion]:
    """The resource and its Provenance."""
    definition = REGISTRY[resource["resourceType"]]
    facts = RowFacts(
        definition.type,
        resource["id"],
        extract.patients_of(definition, resource),
        extract.categories_of(definition, resource),
        None,
    )
    beside = made.provenance(resource)
    inherited = RowFacts("Provenance", beside["id"], facts.patients, facts.categories, facts.type)
    for one, what in ((resource, facts), (beside, inherited)):
        digest = bytes.fromhex(json.content_hash(one))
        values = extract.index_values(REGISTRY[what.type], one, ZONE)
        yield NewVersion(what, 1, "qubs", Subject(facts.type, facts.id), digest, one, values)


def _batches(*sources: Iterable[FHIRResource]) -> Iterator[list[FHIRResource]]:
    for source in sources:
        rest = iter(source)
        while batch := list(islice(rest, _BATCH)):
            yield batch


def _version() -> str:
    """A digest of the code that makes a mirror."""
    digest = hashlib.sha256()
    for maker in (*_MAKERS, "benchmarks/mirrors.py", "benchmarks/resources.py"):
        path = ROOT / maker
        for source in [path] if path.is_file() else sorted(path.rglob("*.py")):
            digest.update(source.read_bytes())
    return digest.hexdigest()[:16]
