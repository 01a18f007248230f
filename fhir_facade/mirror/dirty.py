"""Which subjects must be mapped again, and who depends on whom.

A *mark* is a number that changes whenever the subject is marked again, so whoever mapped it takes
away only what it saw.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Connection, String, bindparam, func, literal, select
from sqlalchemy.dialects import postgresql, sqlite

from fhir_facade import clock
from fhir_facade.mirror.tables import dependency, dirty_subject
from fhir_facade.resources.subject import Subject

CHUNK = 500
"""Keys in one IN list, rows in one statement."""


class DirtySubject(NamedTuple):
    """A subject to be mapped again, with the mark seen."""

    subject: Subject
    mark: int


def next_mark() -> int:
    """A new mark: later ones are greater as the clock goes, and two are never equal by chance."""
    return clock.now_us() << 10 | secrets.randbits(10)


def lock(conn: Connection, tenant: str, source: str) -> None:
    """Hold off others who mark or take subjects of this source until the transaction ends.

    Without it a mapping could note a new dependency just as a record it has read already is being
    changed, and neither would see the other. SQLite has one writer at a time anyway.
    """
    if conn.dialect.name == "postgresql":
        name = f"dirty:{tenant}:{source}"
        conn.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


def mark(conn: Connection, tenant: str, source: str, subjects: Iterable[Subject]) -> None:
    """Mark these subjects, those not known yet included."""
    fresh = next_mark()
    rows = [
        {"tenant": tenant, "source": source, "kind": kind, "key": key, "mark": fresh}
        for kind, key in sorted(set(subjects))
    ]
    if rows:
        lock(conn, tenant, source)
        conn.execute(_marking(conn), rows)


def mark_with_dependents(
    conn: Connection, tenant: str, source: str, subjects: Iterable[Subject]
) -> None:
    """Mark these subjects and every subject that was mapped from their records."""
    wanted = set(subjects)
    mark(conn, tenant, source, wanted)
    on = dependency.c
    for kind, keys in by_kind(wanted):
        dependents = select(
            literal(tenant, String),
            literal(source, String),
            on.subject_kind,
            on.subject_key,
            literal(next_mark(), BigInteger),
        ).where(on.tenant == tenant, on.source == source, on.on_kind == kind, on.on_key.in_(keys))
        names = ["tenant", "source", "kind", "key", "mark"]
        # A subject may depend on two of the keys; one statement must not touch a row twice.
        conn.execute(_marking(conn, from_select=(names, dependents.distinct())))


def take(conn: Connection, tenant: str, source: str, seen: Iterable[tuple[Subject, int]]) -> None:
    """Unmark subjects whose mark is still the one seen."""
    rows = [
        {"tenant_": tenant, "source_": source, "kind_": kind, "key_": key, "mark_": seen_mark}
        for (kind, key), seen_mark in seen
    ]
    if rows:
        lock(conn, tenant, source)
        conn.execute(_TAKE, rows)


def still_dirty(
    conn: Connection, tenant: str, source: str, subjects: Iterable[Subject]
) -> set[Subject]:
    """Those of the subjects that are marked."""
    columns = dirty_subject.c
    found: set[Subject] = set()
    for kind, keys in by_kind(subjects):
        query = select(columns.key).where(
            columns.tenant == tenant,
            columns.source == source,
            columns.kind == kind,
            columns.key.in_(keys),
        )
        found.update(Subject(kind, key) for key in conn.execute(query).scalars())
    return found


def by_kind(subjects: Iterable[Subject]) -> Iterator[tuple[str, Sequence[str]]]:
    """Subjects as (kind, keys) with at most CHUNK keys each, sorted."""
    for kind, group in groupby(sorted(set(subjects)), key=lambda subject: subject.kind):
        keys = [subject.key for subject in group]
        for start in range(0, len(keys), CHUNK):
            yield kind, keys[start : start + CHUNK]


_TAKE = dirty_subject.delete().where(
    dirty_subject.c.tenant == bindparam("tenant_"),
    dirty_subject.c.source == bindparam("source_"),
    dirty_subject.c.kind == bindparam("kind_"),
    dirty_subject.c.key == bindparam("key_"),
    dirty_subject.c.mark == bindparam("mark_"),
)


def _marking(conn: Connection, from_select: tuple[list[str], Any] | None = None) -> Any:
    sqlite_dialect = conn.dialect.name == "sqlite"
    insert = (sqlite if sqlite_dialect else postgresql).insert(dirty_subject)
    greatest = func.max if sqlite_dialect else func.greatest
    if from_select is not None:
        insert = insert.from_select(*from_select)
    # Always another mark, even when the clock stands still or goes back.
    fresh = greatest(insert.excluded.mark, dirty_subject.c.mark + 1)
    return insert.on_conflict_do_update(
        index_elements=["tenant", "source", "kind", "key"], set_={"mark": fresh}
    )
