"""What a sync has yet to pull, asked of the record store itself: nothing has to be remembered.

A process killed in the middle of a sweep finds the rest by the same questions.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

from sqlalchemy import ColumnElement, FromClause, and_, exists, func, select

from fhir_facade.mirror.database import Database
from fhir_facade.mirror.dirty import CHUNK
from fhir_facade.mirror.tables import record, record_link

ANY_SWEEP = 0
"""As `sweep`: a record of any age will do."""


class Worklist:
    """Questions about records that are missing or old. Answers come page by page, by key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def unpulled(
        self, tenant: str, source: str, kind: str, view: str, sweep: int, *, after: str = ""
    ) -> Iterator[str]:
        """Keys of subjects of a kind that records speak of, whose own record in `view` is not there
        or was not seen since `sweep`; from the one after `after` on."""
        link, columns = record_link.c, record.c
        fresh = exists().where(
            columns.tenant == tenant,
            columns.source == source,
            columns.view == view,
            columns.key == link.target_key,
            columns.seen_sweep >= sweep,
        )
        while True:
            query = (
                select(link.target_key)
                .where(link.tenant == tenant, link.source == source, link.target_kind == kind)
                .where(link.target_key > after, ~fresh)
                .distinct()
                .order_by(link.target_key)
                .limit(CHUNK)
            )
            with self._database.read() as conn:
                page = list(conn.execute(query).scalars())
            yield from page
            if len(page) < CHUNK:
                return
            after = page[-1]

    def present(self, tenant: str, source: str, view: str) -> Iterator[str]:
        """Keys of the records of a view that were not found missing."""
        columns, after = record.c, ""
        while True:
            query = (
                select(columns.key)
                .where(columns.tenant == tenant, columns.source == source, columns.view == view)
                .where(columns.key > after, columns.missing_sweeps == 0)
                .order_by(columns.key)
                .limit(CHUNK)
            )
            with self._database.read() as conn:
                page = list(conn.execute(query).scalars())
            yield from page
            if len(page) < CHUNK:
                return
            after = page[-1]

    def missing_sweeps(self, tenant: str, source: str, view: str, key: str) -> int | None:
        """In how many sweeps the record was found missing; None when there is no such record."""
        columns = record.c
        query = select(columns.missing_sweeps).where(
            columns.tenant == tenant,
            columns.source == source,
            columns.view == view,
            columns.key == key,
        )
        with self._database.read() as conn:
            return conn.execute(query).scalar()

    def missing_in(self, tenant: str, source: str, view: str, sweep: int) -> list[tuple[str, int]]:
        """Records found missing in this sweep: (key, in how many sweeps so far), by key."""
        columns = record.c
        query = select(columns.key, columns.missing_sweeps).where(
            columns.tenant == tenant,
            columns.source == source,
            columns.view == view,
            columns.missing_sweep == sweep,
            columns.missing_sweeps > 0,
        )
        with self._database.read() as conn:
            return [(key, count) for key, count in conn.execute(query.order_by(columns.key))]

    def count_subjects(self, tenant: str, source: str, kind: str) -> int:
        """How many subjects of a kind any record speaks of."""
        link = record_link.c
        query = select(func.count(link.target_key.distinct())).where(
            link.tenant == tenant, link.source == source, link.target_kind == kind
        )
        with self._database.read() as conn:
            return conn.execute(query).scalar_one()

    def orphans(self, tenant: str, source: str, view: str, main: str) -> list[str]:
        """Keys of records of `view` that have no record of the view `main` beside them."""
        columns, other = record.c, record.alias()
        beside = exists().where(
            other.c.tenant == tenant,
            other.c.source == source,
            other.c.view == main,
            other.c.key == columns.key,
        )
        query = select(columns.key).where(
            columns.tenant == tenant, columns.source == source, columns.view == view, ~beside
        )
        with self._database.read() as conn:
            return list(conn.execute(query.order_by(columns.key)).scalars())

    def beside(self, tenant: str, source: str, kind: str, key: str, other: str) -> list[str]:
        """Keys of subjects of the kind `other` that share a record with this subject."""
        link = record_link.c
        own = select(link.view, link.key).where(
            link.tenant == tenant,
            link.source == source,
            link.target_kind == kind,
            link.target_key == key,
        )
        found: set[str] = set()
        with self._database.read() as conn:
            # Two steps: as one join, SQLite walks every subject of the other kind.
            rows = sorted(tuple(row) for row in conn.execute(own))
            for view, group in groupby(rows, key=itemgetter(0)):
                keys = [row[1] for row in group]
                for start in range(0, len(keys), CHUNK):
                    targets = select(link.target_key).where(
                        link.tenant == tenant,
                        link.source == source,
                        link.view == view,
                        link.key.in_(keys[start : start + CHUNK]),
                        link.target_kind == other,
                    )
                    found.update(conn.execute(targets).scalars())
        return sorted(found)

    def unlinked(self, tenant: str, source: str, kind: str, to: str) -> int:
        """How many subjects of a kind have no record that also speaks of a subject of kind `to`."""
        own, its = record_link.alias(), record_link.alias()
        query = (
            select(func.count(own.c.target_key.distinct()))
            .select_from(its.join(own, _same_record(own, its)))
            .where(
                its.c.tenant == tenant,
                its.c.source == source,
                its.c.target_kind == to,
                own.c.target_kind == kind,
            )
        )
        with self._database.read() as conn:
            linked = conn.execute(query).scalar_one()
        return self.count_subjects(tenant, source, kind) - linked


def _same_record(one: FromClause, other: FromClause) -> ColumnElement[bool]:
    return and_(
        one.c.tenant == other.c.tenant,
        one.c.source == other.c.source,
        one.c.view == other.c.view,
        one.c.key == other.c.key,
    )
