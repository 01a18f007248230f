"""Counters and single-use marks that all workers share."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from smart_auth.store import tables as t
from smart_auth.store.database import Database

WINDOW = 60
"""Seconds of one counting window."""


class LimitStore:
    """Fixed-window counters, login delays and used assertion ids."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def count(self, tenant: str, bucket: str, now: int) -> int:
        """Count one attempt in the current minute; returns the attempts so far, with this one."""
        dialect = sqlite if self._database.is_sqlite else postgresql
        minute = now - now % WINDOW
        statement = dialect.insert(t.attempt).values(
            tenant=tenant, bucket=bucket, minute=minute, attempts=1
        )
        upsert = statement.on_conflict_do_update(
            index_elements=["tenant", "bucket", "minute"],
            set_={"attempts": t.attempt.c.attempts + 1},
        ).returning(t.attempt.c.attempts)
        with self._database.write() as connection:
            return int(connection.execute(upsert).scalar_one())

    def use_jti(self, tenant: str, client_id: str, jti_hash: str, expires_at: int) -> bool:
        """Mark an assertion id as used; False when it was used before, by whichever worker."""
        try:
            with self._database.write() as connection:
                connection.execute(
                    insert(t.assertion_jti).values(
                        tenant=tenant, client_id=client_id, jti_hash=jti_hash, expires_at=expires_at
                    )
                )
        except IntegrityError:
            return False
        return True

    def blocked_until(self, tenant: str, subject: str) -> int:
        """When the next login of this subject is looked at (epoch seconds; 0 for at once)."""
        c = t.login_failure.c
        with self._database.read() as connection:
            found = connection.execute(
                select(c.blocked_until).where(c.tenant == tenant, c.subject == subject)
            ).scalar()
        return found or 0

    def fail(self, tenant: str, subject: str, now: int, free: int, longest: int) -> None:
        """Count a failed login; past `free` failures each doubles the wait, up to `longest` s."""
        c = t.login_failure.c
        with self._database.write() as connection:
            row = connection.execute(
                select(c.failures, c.last_at).where(c.tenant == tenant, c.subject == subject)
            ).first()
            stale = row is None or now - row.last_at > 60 * longest
            failures = 1 if row is None or stale else row.failures + 1
            wait = 0 if failures < free else min(longest, 2 ** min(failures - free, 16))
            values = {"failures": failures, "last_at": now, "blocked_until": now + wait}
            _put_failure(connection, tenant, subject, row is not None, values)

    def succeed(self, tenant: str, subject: str) -> None:
        """Forget the failures of a subject after a good login."""
        c = t.login_failure.c
        with self._database.write() as connection:
            connection.execute(
                delete(t.login_failure).where(c.tenant == tenant, c.subject == subject)
            )

    def purge(self, before: int) -> None:
        """Drop what expired before this instant, of all tenants; table by table, so that nobody
        waits long for the write lock."""
        counters = ((t.attempt, t.attempt.c.minute), (t.login_failure, t.login_failure.c.last_at))
        for table, at in (*t.EXPIRING, *counters):
            with self._database.write() as connection:
                connection.execute(delete(table).where(at < before))


def _put_failure(
    connection: Connection, tenant: str, subject: str, known: bool, values: dict[str, int]
) -> None:
    c = t.login_failure.c
    if known:
        connection.execute(
            update(t.login_failure).where(c.tenant == tenant, c.subject == subject).values(**values)
        )
    else:
        connection.execute(insert(t.login_failure).values(tenant=tenant, subject=subject, **values))
