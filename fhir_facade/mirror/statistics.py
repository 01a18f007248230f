"""What the planner knows of the tables."""

from __future__ import annotations

from sqlalchemy import text

from fhir_facade.mirror.database import Database


def refresh_statistics(database: Database) -> None:
    """Have PostgreSQL look at its tables now: after a bulk load its own look-out comes minutes
    late, and until then it joins as if they were empty. SQLite plans well without.
    """
    if database.dialect == "postgresql":
        with database.read() as conn:
            conn.execute(text("ANALYZE"))
