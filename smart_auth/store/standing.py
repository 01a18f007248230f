"""The one look-up behind every token check: does the grant stand, and has anything changed?"""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from typing import Any, NamedTuple

from sqlalchemy.pool import PoolProxiedConnection

from smart_auth.store.database import Database

_SQL = """
SELECT g.revoked_at IS NULL, c.version, u.version
  FROM access_grant g
  JOIN client c ON c.tenant = g.tenant AND c.client_id = g.client_id
  LEFT JOIN user_account u ON u.tenant = g.tenant AND u.user_id = g.user_id
 WHERE g.tenant = {0} AND g.grant_id = {0}
"""


_KEPT = 8


class Standing(NamedTuple):
    """Whether the grant is in force, and the versions of its client and user now."""

    in_force: bool
    client_version: int
    user_version: int | None


class StandingLookup:
    """Reads below SQLAlchemy's statement layer: it runs with every request, and that layer would
    cost several times the query itself. On SQLite it keeps its connections, for the same reason."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = _SQL.format("?" if database.is_sqlite else "%s")
        self._ready: deque[PoolProxiedConnection] = deque()
        self._inherited: list[PoolProxiedConnection] = []
        self._pid = os.getpid()

    def get(self, tenant: str, grant_id: str) -> Standing | None:
        """The standing of a grant; None when it is unknown or its client was deleted."""
        connection = self._take()
        try:
            driver: Any = connection.dbapi_connection
            rows = driver.execute(self._sql, (tenant, grant_id)).fetchall()
        except BaseException:
            connection.close()
            raise
        if self._database.is_sqlite and len(self._ready) < _KEPT:
            self._ready.append(connection)
        else:
            connection.close()
        return Standing(bool(rows[0][0]), *rows[0][1:]) if rows else None

    def close(self) -> None:
        """Close the connections that are kept."""
        if self._pid == os.getpid():
            with suppress(IndexError):
                while True:
                    self._ready.pop().close()

    def _take(self) -> PoolProxiedConnection:
        if self._pid != os.getpid():
            # A connection is never used, nor closed, by another process than the one it is of.
            self._inherited.extend(self._ready)
            self._ready.clear()
            self._pid = os.getpid()
        try:
            return self._ready.pop()
        except IndexError:
            return self._database.engine.raw_connection()
