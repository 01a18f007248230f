"""Retention: superseded versions and tombstones are kept for the tenant's history period, and while
somebody may still ask for them."""

from __future__ import annotations

from sqlalchemy import Connection, and_, or_, select, update

from fhir_facade import clock
from fhir_facade.mirror import versions
from fhir_facade.mirror.database import Database
from fhir_facade.mirror.removal import BATCH, remove_versions
from fhir_facade.mirror.tables import OPEN, resource_version, tenant_revision

CURSOR_LIFE_US = 3_600_000_000
"""A search's cursor names a revision for one hour."""
_v = resource_version.c


def drop_old(database: Database, tenant: str, history_us: int, keep_from: int | None = None) -> int:
    """Drop what ended more than `history_us` ago; how many versions that were.

    Kept is whatever is visible at a revision of the last hour (cursors) or from `keep_from` on, the
    oldest revision an unfinished job reads; None when there is no such job. What is valid now is
    never dropped, except tombstones of that age: their ids are unknown afterwards. Who was in which
    group is kept, and the log of revisions: a patient's access log tells of exports by them.
    """
    now = clock.now_us()
    with database.read() as conn:
        limit = versions.revision_at(conn, tenant, now - max(history_us, CURSOR_LIFE_US))
        limit = limit if keep_from is None else min(limit, keep_from)
        if limit <= versions.floor_revision(conn, tenant):
            return 0
        types = conn.execute(select(_v.type).where(_v.tenant == tenant).distinct()).scalars().all()
    _raise_floor(database, tenant, limit)
    return sum(_drop_type(database, tenant, name, limit) for name in sorted(types))


def _raise_floor(database: Database, tenant: str, limit: int) -> None:
    """First of all: who asks for changes since an older revision must be refused from now on."""
    t = tenant_revision
    with database.write() as conn:
        conn.execute(
            update(t)
            .where(t.c.tenant == tenant, t.c.floor_revision < limit)
            .values(floor_revision=limit)
        )


def _drop_type(database: Database, tenant: str, resource_type: str, limit: int) -> int:
    dropped, after = 0, ""
    while True:
        with database.read() as conn:
            page = _ended(conn, tenant, resource_type, limit, after)
        if page:
            with database.write() as conn:
                dropped += remove_versions(conn, [pk for pk, _ in page])
        if len(page) < BATCH:
            return dropped
        # The last id may have more versions to drop than the page held.
        after = page[-1][1]


def _ended(
    conn: Connection, tenant: str, resource_type: str, limit: int, from_id: str
) -> list[tuple[int, str]]:
    old_tombstone = and_(_v.to_revision == OPEN, _v.deleted.is_(True), _v.from_revision <= limit)
    query = (
        select(_v.pk, _v.id)
        .where(_v.tenant == tenant, _v.type == resource_type, _v.id >= from_id)
        .where(or_(_v.to_revision <= limit, old_tombstone))
        .order_by(_v.id)
        .limit(BATCH)
    )
    return [(pk, resource_id) for pk, resource_id in conn.execute(query)]
