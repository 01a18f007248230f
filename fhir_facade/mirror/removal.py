"""Removing versions with all that hangs on them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete

from fhir_facade.mirror.tables import resource_version
from fhir_facade.mirror.version_writer import INDEX_TABLES

BATCH = 200
"""Versions removed in one transaction, so that no writer waits long."""


def remove_versions(conn: Connection, pks: Sequence[int]) -> int:
    """Remove at most BATCH versions and their index rows; how many there were."""
    for table in INDEX_TABLES:
        conn.execute(delete(table).where(table.c.version_pk.in_(pks)))
    return conn.execute(delete(resource_version).where(resource_version.c.pk.in_(pks))).rowcount
