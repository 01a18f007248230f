"""The tenant's revisions: counted up under a row lock, with instants that strictly increase."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, select, update

from fhir_facade.mirror.tables import revision_log, tenant_revision
from fhir_facade.mirror.upsert import insert_ignore


class Revision(NamedTuple):
    """A revision and its instant in microseconds UTC, whole milliseconds (FHIR instants show no
    more)."""

    number: int
    instant_us: int


def lock_tenant(conn: Connection, tenant: str) -> Revision:
    """The tenant's last revision, locked against other publishers until the transaction ends."""
    columns = tenant_revision.c
    query = select(columns.revision, columns.instant_us).where(columns.tenant == tenant)
    row = conn.execute(query.with_for_update()).first()
    if row is None:
        first = {"tenant": tenant, "revision": 0, "instant_us": 0, "floor_revision": 0}
        insert_ignore(conn, tenant_revision, [first])
        row = conn.execute(query.with_for_update()).one()
    return Revision(*row)


def take_next(conn: Connection, tenant: str, last: Revision, now_us: int) -> Revision:
    """The revision after `last`, which `lock_tenant` returned in this transaction; its instant is
    `now_us`, or a millisecond after the last one when the clock stands or goes back."""
    instant_ms = max(now_us // 1000, last.instant_us // 1000 + 1)
    taken = Revision(last.number + 1, instant_ms * 1000)
    values = {"revision": taken.number, "instant_us": taken.instant_us}
    conn.execute(update(tenant_revision).where(tenant_revision.c.tenant == tenant).values(values))
    conn.execute(revision_log.insert().values(tenant=tenant, **values))
    return taken
