"""Leases: one holder at a time for a name, by compare-and-set, so that processes and hosts
agree."""

from __future__ import annotations

from sqlalchemy import and_, bindparam, delete, or_, update

from fhir_facade import clock
from fhir_facade.mirror.database import Database
from fhir_facade.mirror.tables import lease
from fhir_facade.mirror.upsert import insert_ignore

_TAKE = (
    update(lease)
    .where(
        lease.c.name == bindparam("key"),
        or_(lease.c.owner == bindparam("me"), lease.c.until_us < bindparam("now")),
    )
    .values(owner=bindparam("me"), until_us=bindparam("end"))
)
_RENEW = (
    update(lease)
    .where(
        and_(
            lease.c.name == bindparam("key"),
            lease.c.owner == bindparam("me"),
            lease.c.until_us >= bindparam("now"),
        )
    )
    .values(until_us=bindparam("end"))
)


class LeaseStore:
    """Names such as `sync:{tenant}:{source}`. Hosts must agree on the time to within a fraction of
    a lease."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def acquire(self, name: str, owner: str, seconds: float) -> bool:
        """Take the lease when it is free, has run out, or is ours already; False when another holds
        it."""
        now = clock.now_us()
        end = now + int(seconds * 1_000_000)
        with self._database.write() as conn:
            taken = conn.execute(_TAKE, {"key": name, "me": owner, "now": now, "end": end})
            if taken.rowcount:
                return True
            row = {"name": name, "owner": owner, "until_us": end}
            return insert_ignore(conn, lease, [row]) == 1

    def renew(self, name: str, owner: str, seconds: float) -> bool:
        """Extend our lease; False when it ran out or was taken over: stop the work then."""
        now = clock.now_us()
        end = now + int(seconds * 1_000_000)
        with self._database.write() as conn:
            return (
                conn.execute(_RENEW, {"key": name, "me": owner, "now": now, "end": end}).rowcount
                == 1
            )

    def release(self, name: str, owner: str) -> None:
        """Give our lease back at once; somebody else's is left alone."""
        with self._database.write() as conn:
            conn.execute(delete(lease).where(lease.c.name == name, lease.c.owner == owner))
