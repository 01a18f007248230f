"""The one look-up behind every token check: does the grant stand, and has anything changed?"""

from __future__ import annotations

from dataclasses import dataclass

from smart_auth.store.database import Database

_SQL = """
SELECT g.revoked_at IS NULL, c.version, u.version
  FROM access_grant g
  JOIN client c ON c.tenant = g.tenant AND c.client_id = g.client_id
  LEFT JOIN user_account u ON u.tenant = g.tenant AND u.user_id = g.user_id
 WHERE g.tenant = {0} AND g.grant_id = {0}
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether the grant is in force, and the versions of its client and user now."""

    in_force: bool
    client_version: int
    user_version: int | None


class StandingLookup:
    """Reads below SQLAlchemy's statement layer: it runs with every request, and that layer would
    cost several times the query itself."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = _SQL.format("?" if database.is_sqlite else "%s")

    def get(self, tenant: str, grant_id: str) -> Standing | None:
        """The standing of a grant; None when it is unknown or its client was deleted."""
        connection = self._database.engine.raw_connection()
        try:
            cursor = connection.cursor()
            cursor.execute(self._sql, (tenant, grant_id))
            row = cursor.fetchone()
            cursor.close()
        finally:
            connection.close()
        return None if row is None else Standing(bool(row[0]), row[1], row[2])
