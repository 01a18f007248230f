"""Purging a patient: everything the mirror holds of one, its history and its records included.

What others hold of the patient (export files, audit) is theirs to remove.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Table, delete, select

from fhir_facade.mirror import dirty
from fhir_facade.mirror.database import Database
from fhir_facade.mirror.removal import BATCH, remove_versions
from fhir_facade.mirror.tables import (
    OPEN,
    compartment,
    dependency,
    dirty_subject,
    group_listed,
    group_member,
    index_reference,
    quarantine,
    record,
    record_link,
    resource_version,
)
from fhir_facade.resources.subject import Subject

_v = resource_version.c
Owner = tuple[str, Subject]
"""A source and one of its subjects."""


def purge_patient(database: Database, tenant: str, patient_id: str) -> int:
    """Remove every version in the patient's compartment, current or not, with its index rows; the
    records they were mapped from; what is quarantined of them; the memberships. How many versions.

    A resource of several patients goes too. No revision is taken: the versions are gone from all of
    them. Begin again after a crash: what is left is found again, records last.
    """
    with database.read() as conn:
        owners = _owners(conn, tenant, patient_id)
    removed = 0
    while True:
        with database.write() as conn:
            _forget_records(conn, tenant, owners)
            pks = _versions_of(conn, tenant, patient_id)
            removed += remove_versions(conn, pks) if pks else 0
            for table in (group_member, group_listed):
                m = table.c
                conn.execute(delete(table).where(m.tenant == tenant, m.patient_id == patient_id))
        if not pks:
            return removed


def _owners(conn: Connection, tenant: str, patient_id: str) -> set[Owner]:
    """The subjects that the patient's resources were mapped from."""
    c = compartment.c
    query = (
        select(_v.source, _v.subject_kind, _v.subject_key)
        .join_from(compartment, resource_version, _v.pk == c.version_pk)
        .where(c.tenant == tenant, c.patient_id == patient_id)
        .distinct()
    )
    return {(source, Subject(kind, key)) for source, kind, key in conn.execute(query)}


def _versions_of(conn: Connection, tenant: str, patient_id: str) -> list[int]:
    """Some versions of the patient, and superseded Groups that name it as a member."""
    c, r = compartment.c, index_reference.c
    own = select(c.version_pk).where(c.tenant == tenant, c.patient_id == patient_id)
    naming = select(r.version_pk).where(
        r.tenant == tenant,
        r.type == "Group",
        r.param == "member",
        r.target_id == patient_id,
        r.to_revision != OPEN,
    )
    found = conn.execute(own.union(naming).limit(BATCH))
    return list(found.scalars())


def _forget_records(conn: Connection, tenant: str, owners: Iterable[Owner]) -> None:
    by_source: dict[str, set[Subject]] = {}
    for source, subject in owners:
        by_source.setdefault(source, set()).add(subject)
    for source, subjects in by_source.items():
        for kind, keys in dirty.by_kind(subjects):
            _forget(conn, tenant, source, kind, keys)


def _forget(conn: Connection, tenant: str, source: str, kind: str, keys: Any) -> None:
    link = record_link.c
    linked = select(link.view, link.key).where(
        link.tenant == tenant,
        link.source == source,
        link.target_kind == kind,
        link.target_key.in_(keys),
    )
    for view, key in conn.execute(linked.distinct()).all():
        for table in (record, record_link):
            of = table.c
            mine = (of.tenant == tenant, of.source == source, of.view == view, of.key == key)
            conn.execute(delete(table).where(*mine))
    tables: tuple[tuple[Table, str, str], ...] = (
        (dirty_subject, "kind", "key"),
        (quarantine, "kind", "key"),
        (dependency, "subject_kind", "subject_key"),
    )
    for table, kind_name, key_name in tables:
        of = table.c
        conn.execute(
            delete(table).where(
                of.tenant == tenant,
                of.source == source,
                of[kind_name] == kind,
                of[key_name].in_(keys),
            )
        )
