"""Which groups patients belong to at a revision."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, and_, func, select

from fhir_facade.mirror.tables import group_member, revision_log

_CHUNK = 500


def memberships(
    conn: Connection,
    tenant: str,
    patients: Collection[str],
    group_ids: Collection[str],
    revision: int,
) -> Mapping[str, frozenset[str]]:
    """Of these groups, those each patient belongs to; patients in none are left out."""
    found: dict[str, set[str]] = {}
    m, ordered = group_member.c, sorted(patients)
    for start in range(0, len(ordered), _CHUNK):
        query = select(m.patient_id, m.group_id).where(
            m.tenant == tenant,
            m.patient_id.in_(ordered[start : start + _CHUNK]),
            m.group_id.in_(sorted(group_ids)),
            m.to_revision > revision,
            m.from_revision <= revision,
        )
        for patient, group in conn.execute(query):
            found.setdefault(patient, set()).add(group)
    return {patient: frozenset(groups) for patient, groups in found.items()}


class Membership(NamedTuple):
    """A time in a group: from the revision that the patient joined with, which was published at
    `from_us` (microseconds UTC), until before `to_revision`."""

    group_id: str
    from_revision: int
    to_revision: int
    from_us: int


def memberships_of(conn: Connection, tenant: str, patient_id: str) -> list[Membership]:
    """Every time the patient was or is in a group, by group and revision."""
    m, log = group_member.c, revision_log.c
    joined = and_(log.tenant == m.tenant, log.revision == m.from_revision)
    query = (
        select(m.group_id, m.from_revision, m.to_revision, func.coalesce(log.instant_us, 0))
        .join_from(group_member, revision_log, joined, isouter=True)
        .where(m.tenant == tenant, m.patient_id == patient_id)
        .order_by(m.group_id, m.from_revision)
    )
    return [Membership._make(row) for row in conn.execute(query)]
