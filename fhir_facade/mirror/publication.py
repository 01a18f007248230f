"""One publishing transaction: what is valid now, what becomes of it, and the revision that it takes
only if something changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select, update

from fhir_facade.fhir import FHIRResource, json
from fhir_facade.mirror import dirty
from fhir_facade.mirror.revisions import Revision, lock_tenant, take_next
from fhir_facade.mirror.tables import OPEN, resource_version
from fhir_facade.mirror.version_writer import NewVersion, VersionWriter
from fhir_facade.policy import RowFacts
from fhir_facade.resources import extract
from fhir_facade.resources.definition import ResourceDefinition
from fhir_facade.resources.index_rows import IndexValues
from fhir_facade.resources.subject import Subject

_CHUNK = 500
_NO_INDEX = IndexValues()
_v = resource_version.c
_COLUMNS = (
    _v.pk,
    _v.type,
    _v.id,
    _v.version_id,
    _v.content_hash,
    _v.deleted,
    _v.source,
    _v.subject_kind,
    _v.subject_key,
    _v.patients,
    _v.categories,
    _v.inherits,
)


class OpenVersion(NamedTuple):
    """A version that is valid now, tombstones included, without its body."""

    pk: int
    type: str
    id: str
    version_id: int
    content_hash: bytes
    deleted: bool
    source: str
    subject_kind: str
    subject_key: str
    patients: str
    categories: str
    inherits: str | None


@dataclass
class Candidate:
    """A resource that may become a version."""

    definition: ResourceDefinition
    resource: FHIRResource
    content_hash: bytes
    source: str
    subject: Subject
    zone: ZoneInfo
    provenance: FHIRResource | None = None
    provenance_definition: ResourceDefinition | None = None
    facts: RowFacts | None = None
    index: IndexValues | None = None

    @property
    def key(self) -> tuple[str, str]:
        """(type, id)."""
        return self.resource["resourceType"], self.resource["id"]

    def same_as(self, existing: OpenVersion | None) -> bool:
        """Whether publishing it would change nothing but the version's number."""
        return (
            existing is not None
            and not existing.deleted
            and bytes(existing.content_hash) == self.content_hash
        )

    def prepare_facts(self) -> RowFacts:
        """What decides on reach, worked out once; given from the start for what inherits it."""
        if self.facts is None:
            patients = extract.patients_of(self.definition, self.resource)
            categories = extract.categories_of(self.definition, self.resource)
            self.facts = RowFacts(*self.key, patients, categories, None)
        return self.facts

    def prepare_index(self) -> IndexValues:
        """The index values, worked out once."""
        if self.index is None:
            self.index = extract.index_values(self.definition, self.resource, self.zone)
        return self.index


def open_by_keys(
    conn: Connection, tenant: str, keys: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], OpenVersion]:
    """The versions of these (type, id) that are valid now."""
    by_type: dict[str, list[str]] = {}
    for resource_type, resource_id in keys:
        by_type.setdefault(resource_type, []).append(resource_id)
    found: dict[tuple[str, str], OpenVersion] = {}
    for resource_type, ids in by_type.items():
        for start in range(0, len(ids), _CHUNK):
            query = select(*_COLUMNS).where(
                _v.tenant == tenant,
                _v.type == resource_type,
                _v.id.in_(ids[start : start + _CHUNK]),
                _v.to_revision == OPEN,
            )
            for row in conn.execute(query):
                found[row[1], row[2]] = OpenVersion._make(row)
    return found


class Publication:
    """Collects the changes of one transaction, then writes them under the next revision.

    Making one locks the tenant against other publishers until the transaction ends.
    """

    def __init__(self, conn: Connection, tenant: str, now_us: int) -> None:
        self._conn = conn
        self._tenant = tenant
        self._now_us = now_us
        self._last = lock_tenant(conn, tenant)
        self._taken: Revision | None = None
        self._known: dict[tuple[str, str], OpenVersion | None] = {}
        self._closed: list[int] = []
        self._new: list[NewVersion] = []

    def revision(self) -> Revision:
        """The revision of this publication, taken on the first call."""
        if self._taken is None:
            self._taken = take_next(self._conn, self._tenant, self._last, self._now_us)
        return self._taken

    def open_of_subjects(self, source: str, subjects: Iterable[Subject]) -> list[OpenVersion]:
        """What these subjects own now."""
        rows: list[OpenVersion] = []
        for kind, keys in dirty.by_kind(subjects):
            query = select(*_COLUMNS).where(
                _v.tenant == self._tenant,
                _v.source == source,
                _v.subject_kind == kind,
                _v.subject_key.in_(keys),
                _v.to_revision == OPEN,
            )
            rows.extend(OpenVersion._make(row) for row in self._conn.execute(query))
        self._known.update({(row.type, row.id): row for row in rows})
        return rows

    def load(self, keys: Iterable[tuple[str, str]]) -> None:
        """Read what is valid now of these (type, id), unless it is known already."""
        unknown = [key for key in keys if key not in self._known]
        found = open_by_keys(self._conn, self._tenant, unknown)
        self._known.update({key: found.get(key) for key in unknown})

    def known(self, key: tuple[str, str]) -> OpenVersion | None:
        """What was valid of (type, id) when the publication began."""
        if key not in self._known:
            self.load([key])
        return self._known[key]

    def adopt(self, key: tuple[str, str], candidate: Candidate) -> None:
        """An unchanged resource passes to the subject that yields it now, Provenance and all."""
        existing = self.known(key)
        owner = (candidate.source, *candidate.subject)
        if existing is None or existing[6:9] == owner:
            return
        pks = [existing.pk]
        if candidate.provenance is not None:
            beside = self.known(("Provenance", candidate.provenance["id"]))
            pks += [] if beside is None else [beside.pk]
        self._conn.execute(
            update(resource_version)
            .where(_v.pk.in_(pks))
            .values(source=owner[0], subject_kind=owner[1], subject_key=owner[2])
        )

    def add(self, candidate: Candidate) -> None:
        """The candidate becomes the next version, with its Provenance."""
        facts, digest = candidate.prepare_facts(), candidate.content_hash
        self._supersede(candidate, facts, candidate.resource, digest, candidate.prepare_index())
        beside = candidate.provenance
        if beside is None or candidate.provenance_definition is None:
            return
        index = extract.index_values(candidate.provenance_definition, beside, candidate.zone)
        inherited = RowFacts(
            "Provenance", beside["id"], facts.patients, facts.categories, facts.type
        )
        digest = bytes.fromhex(json.content_hash(beside))
        self._supersede(candidate, inherited, beside, digest, index)

    def delete(self, row: OpenVersion) -> None:
        """The resource becomes a tombstone, which keeps what decides on reach and nothing else."""
        facts = RowFacts(
            row.type, row.id, _lines(row.patients), _lines(row.categories), row.inherits
        )
        self._closed.append(row.pk)
        subject = Subject(row.subject_kind, row.subject_key)
        self._new.append(
            NewVersion(facts, row.version_id + 1, row.source, subject, b"", None, _NO_INDEX)
        )

    def flush(self) -> int | None:
        """Write it all; the revision, or None when there was nothing to write."""
        if self._new:
            writer = VersionWriter(self._conn, self._tenant, self.revision())
            writer.close_versions(self._closed)
            writer.write(self._new)
        self._new, self._closed = [], []
        return None if self._taken is None else self._taken.number

    def _supersede(
        self,
        candidate: Candidate,
        facts: RowFacts,
        resource: FHIRResource,
        digest: bytes,
        index: IndexValues,
    ) -> None:
        existing = self.known((facts.type, facts.id))
        if existing is not None:
            self._closed.append(existing.pk)
        number = 1 if existing is None else existing.version_id + 1
        self._new.append(
            NewVersion(facts, number, candidate.source, candidate.subject, digest, resource, index)
        )


def _lines(text: str) -> tuple[str, ...]:
    return tuple(text.split("\n")) if text else ()
