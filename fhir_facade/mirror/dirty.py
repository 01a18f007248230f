"""Which subjects must be mapped again, and who depends on whom.

A *mark* is a number that changes whenever the subject is marked again, so whoever mapped it takes
away only what it saw.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, bindparam, func, or_, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from fhir_facade import clock
from fhir_facade.mirror.database import Database
from fhir_facade.mirror.tables import dependency, dirty_subject
from fhir_facade.resources.subject import Subject

CHUNK = 500
"""Keys in one IN list, rows in one statement."""
FEW_DEPENDENTS = 1_000
"""Dependents that are marked at once, with what they depend on."""
_DEPENDENTS = "dependents:"
_AFTER_DEPENDENTS = "dependents;"
"""Kinds of notes begin with the first and are lower than the second."""


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
    """Mark these subjects and every subject that was mapped from their records; where those are
    many, note that they are to be marked (`spread`), so that no writer waits."""
    wanted = set(subjects)
    if not wanted:
        return
    lock(conn, tenant, source)
    on, marked = dependency.c, set(wanted)
    for kind, keys in by_kind(wanted):
        query = select(on.subject_kind, on.subject_key).where(
            on.tenant == tenant, on.source == source, on.on_kind == kind, on.on_key.in_(keys)
        )
        dependents = conn.execute(query.limit(FEW_DEPENDENTS + 1)).all()
        if len(dependents) <= FEW_DEPENDENTS:
            marked.update(Subject(*row) for row in dependents)
        else:
            marked.update(Subject(_DEPENDENTS + kind, key) for key in keys)
    mark(conn, tenant, source, marked)


def spread(database: Database, tenant: str, source: str) -> None:
    """Mark the dependents that `mark_with_dependents` left, a chunk a transaction. The note goes
    when all are marked, so a process killed in between begins again."""
    with database.read() as conn:
        noted = conn.execute(
            select(dirty_subject.c.kind, dirty_subject.c.key, dirty_subject.c.mark)
            .where(dirty_subject.c.tenant == tenant, dirty_subject.c.source == source)
            .where(dirty_subject.c.kind >= _DEPENDENTS, dirty_subject.c.kind < _AFTER_DEPENDENTS)
        ).all()
    for kind, key, seen in noted:
        _spread_one(database, tenant, source, Subject(kind.removeprefix(_DEPENDENTS), key))
        with database.write() as conn:
            take(conn, tenant, source, [(Subject(kind, key), seen)])


def is_subject() -> ColumnElement[bool]:
    """The condition that a row of `dirty_subject` is a subject, not a note for `spread`."""
    kind = dirty_subject.c.kind
    return or_(kind < _DEPENDENTS, kind >= _AFTER_DEPENDENTS)


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
            columns.kind.in_((kind, _DEPENDENTS + kind)),
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


def _spread_one(database: Database, tenant: str, source: str, on_what: Subject) -> None:
    on, after = dependency.c, ("", "")
    while True:
        query = (
            select(on.subject_kind, on.subject_key)
            .where(on.tenant == tenant, on.source == source)
            .where(on.on_kind == on_what.kind, on.on_key == on_what.key)
            .where(tuple_(on.subject_kind, on.subject_key) > after)
            .order_by(on.subject_kind, on.subject_key)
            .limit(CHUNK)
        )
        with database.write() as conn:
            page = [Subject(*row) for row in conn.execute(query)]
            mark(conn, tenant, source, page)
        if len(page) < CHUNK:
            return
        after = page[-1]


def _marking(conn: Connection) -> Any:
    sqlite_dialect = conn.dialect.name == "sqlite"
    insert = (sqlite if sqlite_dialect else postgresql).insert(dirty_subject)
    greatest = func.max if sqlite_dialect else func.greatest
    # Always another mark, even when the clock stands still or goes back.
    fresh = greatest(insert.excluded.mark, dirty_subject.c.mark + 1)
    return insert.on_conflict_do_update(
        index_elements=["tenant", "source", "kind", "key"], set_={"mark": fresh}
    )
