"""The record store: what was pulled, as received, and which subjects it speaks of.

Records come first: storing marks the subjects to be mapped in the same transaction, so a process
killed at any point leaves nothing that is stored and not going to be mapped.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, and_, delete, func, select, tuple_, update

from fhir_facade.mirror import dirty
from fhir_facade.mirror.database import Database
from fhir_facade.mirror.dirty import CHUNK, DirtySubject
from fhir_facade.mirror.record_batch import (
    PulledRecord,
    RecordBatch,
    links_of,
    note_seen,
    of_key,
    of_view,
    replace_links,
)
from fhir_facade.mirror.tables import dirty_subject, record, record_link
from fhir_facade.resources.subject import Subject

__all__ = ["PulledRecord", "RecordRow", "RecordStore", "StoreResult", "StoredRecord"]

Key = tuple[str, str]
"""(view, key) of a record."""


class StoredRecord(NamedTuple):
    """One record as stored; `hash` is the SHA-256 of the body."""

    view: str
    key: str
    body: bytes
    hash: bytes
    pulled_us: int
    correlation_id: str | None


class RecordRow(NamedTuple):
    """A record's bookkeeping, without its body."""

    view: str
    key: str
    scope: str
    seen_sweep: int
    missing_sweeps: int
    pulled_us: int


class StoreResult(NamedTuple):
    """How many of the stored records were new or other than before, and how many were the same."""

    changed: int
    unchanged: int


class RecordStore:
    """Records of every tenant and source. Bodies are kept compressed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def store(
        self,
        tenant: str,
        source: str,
        records: Sequence[PulledRecord],
        *,
        pulled_us: int,
        sweep: int,
    ) -> StoreResult:
        """Keep these records (the last one wins where a key comes twice).

        Those that changed take the new body, links and time of pulling, and mark the subjects they
        spoke of, those they speak of now and all dependents. The same body again only notes the
        sweep. Each CHUNK of records is one transaction, whole or not at all.
        """
        latest = list({(pulled.view, pulled.key): pulled for pulled in records}.values())
        changed = 0
        for start in range(0, len(latest), CHUNK):
            batch = RecordBatch(tenant, source, latest[start : start + CHUNK], pulled_us, sweep)
            with self._database.write() as conn:
                changed += batch.store(conn)
        return StoreResult(changed, len(latest) - changed)

    def body(self, tenant: str, source: str, view: str, key: str) -> bytes | None:
        """The JSON bytes of one record, or None."""
        query = select(record.c.body).where(*of_key(tenant, source, view, key))
        with self._database.read() as conn:
            packed = conn.execute(query).scalar()
        return None if packed is None else zlib.decompress(packed)

    def bodies(
        self, conn: Connection, tenant: str, source: str, subject: Subject
    ) -> dict[Key, bytes]:
        """The records linked to one subject, by (view, key)."""
        found = self.stored(conn, tenant, source, [subject])
        return {key: stored.body for key, stored in found[subject].items()}

    def stored(
        self, conn: Connection, tenant: str, source: str, subjects: Iterable[Subject]
    ) -> dict[Subject, dict[Key, StoredRecord]]:
        """The records linked to each of the subjects, by (view, key): two queries for a batch."""
        result: dict[Subject, dict[Key, StoredRecord]] = {subject: {} for subject in subjects}
        for kind, keys in dirty.by_kind(result):
            query = _LINKED.where(
                record_link.c.tenant == tenant,
                record_link.c.source == source,
                record_link.c.target_kind == kind,
                record_link.c.target_key.in_(keys),
            )
            for target, view, key, packed, digest, pulled_us, correlation in conn.execute(query):
                result[Subject(kind, target)][view, key] = StoredRecord(
                    view, key, zlib.decompress(packed), digest, pulled_us, correlation
                )
        return result

    def unseen(
        self, tenant: str, source: str, view: str, sweep: int, scope: str | None = None
    ) -> Iterator[RecordRow]:
        """Records of a view that neither `sweep` nor a later one has seen, longest unseen first;
        page by page, so others may write in between."""
        columns = record.c
        place = tuple_(columns.seen_sweep, columns.key)
        after = (-1, "")
        while True:
            query = (
                select(
                    columns.view,
                    columns.key,
                    columns.scope,
                    columns.seen_sweep,
                    columns.missing_sweeps,
                    columns.pulled_us,
                )
                .where(*of_view(tenant, source, view), columns.seen_sweep < sweep)
                .where(place > after, *([] if scope is None else [columns.scope == scope]))
                .order_by(columns.seen_sweep, columns.key)
                .limit(CHUNK)
            )
            with self._database.read() as conn:
                page = [RecordRow(*row) for row in conn.execute(query)]
            yield from page
            if len(page) < CHUNK:
                return
            after = (page[-1].seen_sweep, page[-1].key)

    def mark_missing(self, tenant: str, source: str, view: str, key: str, sweep: int) -> int:
        """Note that the by-id read answered 404 in this sweep; how many sweeps have found that by
        now. The same sweep counts once; being seen again starts from zero."""
        counted = (
            update(record)
            .where(*of_key(tenant, source, view, key), record.c.missing_sweep < sweep)
            .values(missing_sweeps=record.c.missing_sweeps + 1, missing_sweep=sweep)
        )
        query = select(record.c.missing_sweeps).where(*of_key(tenant, source, view, key))
        with self._database.write() as conn:
            conn.execute(counted)
            return conn.execute(query).scalar() or 0

    def mark_seen(
        self, tenant: str, source: str, view: str, keys: Sequence[str], sweep: int
    ) -> None:
        """Note that these records are there, without their bodies: a by-id read found them."""
        with self._database.write() as conn:
            note_seen(conn, tenant, source, view, keys, sweep)

    def remove(self, tenant: str, source: str, view: str, key: str) -> bool:
        """Forget a record and mark what it spoke of, with dependents; False when there is none."""
        with self._database.write() as conn:
            if not conn.execute(delete(record).where(*of_key(tenant, source, view, key))).rowcount:
                return False
            links = links_of(conn, tenant, source, view, [key]).get(key, frozenset())
            replace_links(conn, tenant, source, view, {key: links}, {key: frozenset()})
            return True

    def relink(self, tenant: str, source: str, links: Mapping[Key, Iterable[Subject]]) -> None:
        """Give stored records other links (the rule for them changed); old and new are marked."""
        with self._database.write() as conn:
            for view in sorted({view for view, _ in links}):
                new = {key: frozenset(now) for (of, key), now in links.items() if of == view}
                old = links_of(conn, tenant, source, view, list(new))
                replace_links(conn, tenant, source, view, old, new)

    def mark_dirty(self, tenant: str, source: str, subjects: Iterable[Subject]) -> None:
        """Have these subjects mapped again."""
        with self._database.write() as conn:
            dirty.mark(conn, tenant, source, subjects)

    def mark_all_dirty(self, tenant: str, source: str) -> int:
        """Have every subject that a record speaks of mapped again, a chunk a transaction, and
        how many there are. Subjects without records are the caller's to mark."""
        columns = record_link.c
        after, total = Subject("", ""), 0
        while True:
            query = (
                select(columns.target_kind, columns.target_key)
                .where(columns.tenant == tenant, columns.source == source)
                .where(
                    (columns.target_kind > after.kind)
                    | and_(columns.target_kind == after.kind, columns.target_key > after.key)
                )
                .distinct()
                .order_by(columns.target_kind, columns.target_key)
                .limit(CHUNK)
            )
            with self._database.write() as conn:
                page = [Subject(*row) for row in conn.execute(query)]
                dirty.mark(conn, tenant, source, page)
            total += len(page)
            if len(page) < CHUNK:
                return total
            after = page[-1]

    def dirty(
        self, tenant: str, source: str, limit: int, kinds: Sequence[str] = ()
    ) -> list[DirtySubject]:
        """Subjects to be mapped, longest marked first, of these kinds or of all."""
        dirty.spread(self._database, tenant, source)
        columns = dirty_subject.c
        query = select(columns.kind, columns.key, columns.mark).where(
            columns.tenant == tenant, columns.source == source, dirty.is_subject()
        )
        if kinds:
            query = query.where(columns.kind.in_(kinds))
        with self._database.read() as conn:
            rows = conn.execute(query.order_by(columns.mark).limit(limit)).all()
        return [DirtySubject(Subject(kind, key), mark) for kind, key, mark in rows]

    def dirty_count(self, tenant: str, source: str) -> int:
        """How many subjects wait to be mapped; dependents that are not marked yet count as one."""
        query = select(func.count()).where(
            dirty_subject.c.tenant == tenant, dirty_subject.c.source == source
        )
        with self._database.read() as conn:
            return conn.execute(query).scalar_one()

    def counts(self, tenant: str, source: str, scope: str | None = None) -> dict[str, int]:
        """How many records each view holds, in all or in one scope."""
        query = select(record.c.view, func.count()).where(
            record.c.tenant == tenant, record.c.source == source
        )
        if scope is not None:
            query = query.where(record.c.scope == scope)
        with self._database.read() as conn:
            return {view: count for view, count in conn.execute(query.group_by(record.c.view))}


_LINKED = select(
    record_link.c.target_key,
    record.c.view,
    record.c.key,
    record.c.body,
    record.c.hash,
    record.c.pulled_us,
    record.c.correlation_id,
).join_from(
    record_link,
    record,
    and_(
        record.c.tenant == record_link.c.tenant,
        record.c.source == record_link.c.source,
        record.c.view == record_link.c.view,
        record.c.key == record_link.c.key,
    ),
)
