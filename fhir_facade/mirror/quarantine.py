"""Quarantine: what could not be stored or served, with the reason in words that hold no values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, select

from fhir_facade import clock
from fhir_facade.mirror.database import Database
from fhir_facade.mirror.tables import quarantine
from fhir_facade.mirror.upsert import upsert
from fhir_facade.resources.subject import Subject


@dataclass(frozen=True)
class QuarantineEntry:
    """One thing held back. `kind` and `key` are those of a subject, or of a view and its key;
    `resource_type` is '' when it is no resource yet. `first_us` and `last_us` are set by the
    store."""

    kind: str
    key: str
    resource_type: str
    reason: str
    first_us: int = 0
    last_us: int = 0


class QuarantineStore:
    """Shown to the operator, counted, never served, never dropped in silence."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, tenant: str, source: str, entries: Sequence[QuarantineEntry]) -> None:
        """Hold these back; one that is held already keeps its first time and takes the new
        reason."""
        now = clock.now_us()
        rows = [
            {
                "tenant": tenant,
                "source": source,
                "kind": entry.kind,
                "key": entry.key,
                "resource_type": entry.resource_type,
                "reason": entry.reason,
                "first_us": now,
                "last_us": now,
            }
            for entry in entries
        ]
        with self._database.write() as conn:
            upsert(conn, quarantine, rows, ("reason", "last_us"))

    def release(self, tenant: str, source: str, subjects: Iterable[Subject]) -> None:
        """Forget what was held of these subjects: they passed."""
        wanted = list(subjects)
        if not wanted:
            return
        with self._database.write() as conn:
            for kind in sorted({subject.kind for subject in wanted}):
                keys = [subject.key for subject in wanted if subject.kind == kind]
                conn.execute(
                    delete(quarantine).where(
                        quarantine.c.tenant == tenant,
                        quarantine.c.source == source,
                        quarantine.c.kind == kind,
                        quarantine.c.key.in_(keys),
                    )
                )

    def list(self, tenant: str, source: str, limit: int = 1000) -> list[QuarantineEntry]:
        """What is held, longest first."""
        columns = quarantine.c
        query = (
            select(
                columns.kind,
                columns.key,
                columns.resource_type,
                columns.reason,
                columns.first_us,
                columns.last_us,
            )
            .where(columns.tenant == tenant, columns.source == source)
            .order_by(columns.first_us, columns.kind, columns.key, columns.resource_type)
            .limit(limit)
        )
        with self._database.read() as conn:
            return [QuarantineEntry(*row) for row in conn.execute(query)]

    def count(self, tenant: str, source: str) -> int:
        """How many are held."""
        query = select(func.count()).where(
            quarantine.c.tenant == tenant, quarantine.c.source == source
        )
        with self._database.read() as conn:
            return conn.execute(query).scalar_one()
