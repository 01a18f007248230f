"""Dependencies: whose records a subject was mapped from, so that a change re-maps it too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select

from fhir_facade.mirror import dirty
from fhir_facade.mirror.tables import dependency
from fhir_facade.mirror.upsert import insert_ignore
from fhir_facade.resources.subject import Subject


def replace_dependencies(
    conn: Connection, tenant: str, source: str, wanted: Mapping[Subject, Iterable[Subject]]
) -> None:
    """Note what each subject depends on now, in place of what was noted.

    A subject that newly depends on one that is dirty is marked again: the records it read may have
    been the old ones, and nobody knew to mark it then. Call it after `dirty.take`.
    """
    old = _noted(conn, tenant, source, wanted)
    new = {(subject, on) for subject, all_on in wanted.items() for on in all_on if on != subject}
    gone, fresh = sorted(old - new), sorted(new - old)
    if not gone and not fresh:
        return
    dirty.lock(conn, tenant, source)
    if gone:
        rows = [_row(tenant, source, subject, on) for subject, on in gone]
        conn.execute(_FORGET, [{f"{k}_": value for k, value in row.items()} for row in rows])
    insert_ignore(conn, dependency, [_row(tenant, source, subject, on) for subject, on in fresh])
    stale = dirty.still_dirty(conn, tenant, source, (on for _, on in fresh))
    dirty.mark(conn, tenant, source, (subject for subject, on in fresh if on in stale))


def _noted(
    conn: Connection, tenant: str, source: str, subjects: Iterable[Subject]
) -> set[tuple[Subject, Subject]]:
    columns = dependency.c
    found: set[tuple[Subject, Subject]] = set()
    for kind, keys in dirty.by_kind(subjects):
        query = select(columns.subject_key, columns.on_kind, columns.on_key).where(
            columns.tenant == tenant,
            columns.source == source,
            columns.subject_kind == kind,
            columns.subject_key.in_(keys),
        )
        for key, on_kind, on_key in conn.execute(query):
            found.add((Subject(kind, key), Subject(on_kind, on_key)))
    return found


def _row(tenant: str, source: str, subject: Subject, on: Subject) -> dict[str, Any]:
    return {
        "tenant": tenant,
        "source": source,
        "subject_kind": subject.kind,
        "subject_key": subject.key,
        "on_kind": on.kind,
        "on_key": on.key,
    }


_FORGET = delete(dependency).where(
    *(column == bindparam(f"{column.name}_") for column in dependency.primary_key.columns)
)
