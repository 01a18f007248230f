"""Making the index anew from the stored resources, after a release changed search parameters.

Each tenant remembers by which rules the rows of each type were made; the worker compares them with
its own when it starts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, delete, select

from fhir_facade.fhir import json
from fhir_facade.mirror.database import Database
from fhir_facade.mirror.state import StateStore
from fhir_facade.mirror.tables import OPEN, resource_version
from fhir_facade.mirror.version_writer import INDEX_TABLES, add_index_rows, insert_rows
from fhir_facade.mirror.versions import ROW_COLUMNS, Row
from fhir_facade.resources.definition import ResourceDefinition
from fhir_facade.resources.extract import index_values

INDEX_RULES = 2
"""Goes up when `resources.extract` makes other rows of the same parameters."""
_SOURCE = "index"
_BATCH = 200
_v = resource_version.c


def bring_up_to_date(
    database: Database,
    registry: Mapping[str, ResourceDefinition],
    tenant: str,
    zone: ZoneInfo,
) -> int:
    """Reindex the types whose rules are not those of their rows; how many resources that were."""
    states = StateStore(database)
    known = states.all(tenant, _SOURCE)
    total = 0
    for name, definition in sorted(registry.items()):
        rules = _rules(definition, zone)
        if definition.stored and known.get(name) != rules:
            total += reindex(database, {name: definition}, tenant, zone)
            states.set(tenant, _SOURCE, name, rules)
    return total


def _rules(definition: ResourceDefinition, zone: ZoneInfo) -> str:
    """A hash of all that decides on the index rows of a type."""
    text = repr((INDEX_RULES, zone.key, definition.search, definition.category_path))
    return hashlib.sha256(text.encode()).hexdigest()


def reindex(
    database: Database,
    registry: Mapping[str, ResourceDefinition],
    tenant: str,
    zone: ZoneInfo,
) -> int:
    """Replace the index rows of everything that is valid now; how many resources that were.

    No version and no revision is made: the resources stay as they are. Each batch is one
    transaction; begin again after a crash.
    """
    total = 0
    for resource_type, definition in sorted(registry.items()):
        after = ""
        while True:
            with database.write() as conn:
                batch = _current(conn, tenant, resource_type, after)
                _replace(conn, tenant, batch, definition, zone)
            total += len(batch)
            if len(batch) < _BATCH:
                break
            after = batch[-1].id
    return total


def _current(conn: Connection, tenant: str, resource_type: str, after: str) -> list[Row]:
    query = (
        select(*ROW_COLUMNS)
        .where(_v.tenant == tenant, _v.type == resource_type, _v.id > after)
        .where(_v.to_revision == OPEN, _v.deleted.is_(False))
        .order_by(_v.id)
        .limit(_BATCH)
        .with_for_update()
    )
    return [Row._make(row) for row in conn.execute(query)]


def _replace(
    conn: Connection,
    tenant: str,
    batch: list[Row],
    definition: ResourceDefinition,
    zone: ZoneInfo,
) -> None:
    if not batch:
        return
    for table in INDEX_TABLES:
        conn.execute(delete(table).where(table.c.version_pk.in_([row.pk for row in batch])))
    fresh = {table: list[tuple[object, ...]]() for table in INDEX_TABLES}
    for row in batch:
        if row.body is not None:
            values = index_values(definition, json.loads(row.body), zone)
            add_index_rows(fresh, tenant, row.pk, row.facts, values, row.from_revision)
    for table, rows in fresh.items():
        insert_rows(conn, table, rows)
