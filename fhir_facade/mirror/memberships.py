"""Which groups patients belong to at a revision."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import Connection, select

from fhir_facade.mirror.tables import group_member

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
