"""Storing one batch of pulled records inside a transaction."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, select, update

from fhir_facade.mirror import dirty
from fhir_facade.mirror.dirty import CHUNK
from fhir_facade.mirror.tables import record, record_link
from fhir_facade.mirror.upsert import insert_ignore, upsert
from fhir_facade.resources.subject import Subject

Links = frozenset[Subject]
_COMPRESSION = 1


class PulledRecord(NamedTuple):
    """One record as pulled: JSON bytes, the subjects it speaks of (its own included), and the
    `scope` of the sweep that lists it (a site, a status; '' when the view has only one)."""

    view: str
    key: str
    body: bytes
    links: tuple[Subject, ...]
    correlation_id: str | None = None
    scope: str = ""


class RecordBatch(NamedTuple):
    """At most CHUNK records of one source, each (view, key) once."""

    tenant: str
    source: str
    records: Sequence[PulledRecord]
    pulled_us: int
    sweep: int

    def store(self, conn: Connection) -> int:
        """Write what is new or changed, note the sweep on the rest; how many changed."""
        changed = 0
        ordered = sorted(self.records, key=lambda pulled: (pulled.view, pulled.key))
        for view, group in groupby(ordered, key=lambda pulled: pulled.view):
            changed += self._store_view(conn, view, list(group))
        return changed

    def _store_view(self, conn: Connection, view: str, records: list[PulledRecord]) -> int:
        tenant, source = self.tenant, self.source
        keys = [pulled.key for pulled in records]
        query = select(record.c.key, record.c.hash, record.c.scope).where(
            *of_view(tenant, source, view), record.c.key.in_(keys)
        )
        known = {key: (bytes(digest), scope) for key, digest, scope in conn.execute(query)}
        fresh: list[tuple[PulledRecord, bytes]] = []
        same: list[str] = []
        for pulled in records:
            digest = hashlib.sha256(pulled.body).digest()
            if known.get(pulled.key) == (digest, pulled.scope):
                same.append(pulled.key)
            else:
                fresh.append((pulled, digest))
        note_seen(conn, tenant, source, view, same, self.sweep)
        if not fresh:
            return 0
        upsert(conn, record, [self._row(pulled, digest) for pulled, digest in fresh], _REPLACED)
        new = {pulled.key: frozenset(pulled.links) for pulled, _ in fresh}
        old = links_of(conn, tenant, source, view, [key for key in new if key in known])
        replace_links(conn, tenant, source, view, old, new)
        return len(fresh)

    def _row(self, pulled: PulledRecord, digest: bytes) -> dict[str, Any]:
        return {
            "tenant": self.tenant,
            "source": self.source,
            "view": pulled.view,
            "key": pulled.key,
            "hash": digest,
            "body": zlib.compress(pulled.body, _COMPRESSION),
            "pulled_us": self.pulled_us,
            "correlation_id": pulled.correlation_id,
            "seen_sweep": self.sweep,
            "missing_sweeps": 0,
            "missing_sweep": 0,
            "scope": pulled.scope,
        }


_REPLACED = (
    "hash",
    "body",
    "pulled_us",
    "correlation_id",
    "seen_sweep",
    "missing_sweeps",
    "missing_sweep",
    "scope",
)


def of_view(tenant: str, source: str, view: str) -> tuple[Any, ...]:
    """Conditions for the records of one view."""
    return (record.c.tenant == tenant, record.c.source == source, record.c.view == view)


def of_key(tenant: str, source: str, view: str, key: str) -> tuple[Any, ...]:
    """Conditions for one record."""
    return (*of_view(tenant, source, view), record.c.key == key)


def note_seen(
    conn: Connection, tenant: str, source: str, view: str, keys: Sequence[str], sweep: int
) -> None:
    """These records are there; no body is touched."""
    for start in range(0, len(keys), CHUNK):
        conn.execute(
            update(record)
            .where(*of_view(tenant, source, view), record.c.key.in_(keys[start : start + CHUNK]))
            .values(seen_sweep=sweep, missing_sweeps=0, missing_sweep=0)
        )


def links_of(
    conn: Connection, tenant: str, source: str, view: str, keys: Sequence[str]
) -> dict[str, Links]:
    """The subjects each of these records is linked to."""
    columns = record_link.c
    found: dict[str, set[Subject]] = {}
    for start in range(0, len(keys), CHUNK):
        query = select(columns.key, columns.target_kind, columns.target_key).where(
            columns.tenant == tenant,
            columns.source == source,
            columns.view == view,
            columns.key.in_(keys[start : start + CHUNK]),
        )
        for key, kind, target in conn.execute(query):
            found.setdefault(key, set()).add(Subject(kind, target))
    return {key: frozenset(subjects) for key, subjects in found.items()}


def replace_links(
    conn: Connection,
    tenant: str,
    source: str,
    view: str,
    old: Mapping[str, Links],
    new: Mapping[str, Links],
) -> None:
    """Turn old links into new ones and mark everybody on either side, with dependents."""
    none: Links = frozenset()
    gone = _link_rows(tenant, source, view, {k: old.get(k, none) - new[k] for k in new})
    fresh = _link_rows(tenant, source, view, {k: new[k] - old.get(k, none) for k in new})
    if gone:
        conn.execute(_UNLINK, [{f"{name}_": value for name, value in row.items()} for row in gone])
    insert_ignore(conn, record_link, fresh)
    touched = frozenset[Subject]().union(*old.values(), *new.values())
    dirty.mark_with_dependents(conn, tenant, source, touched)


def _link_rows(
    tenant: str, source: str, view: str, links: Mapping[str, Iterable[Subject]]
) -> list[dict[str, str]]:
    return [
        {
            "tenant": tenant,
            "source": source,
            "view": view,
            "key": key,
            "target_kind": kind,
            "target_key": target,
        }
        for key, subjects in links.items()
        for kind, target in sorted(subjects)
    ]


_UNLINK = delete(record_link).where(
    *(column == bindparam(f"{column.name}_") for column in record_link.primary_key.columns)
)
