"""Small facts of a source, as JSON: sweeps, tier cursors, budget windows, the last report, unknown
codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, delete, select

from fhir_facade import clock
from fhir_facade.fhir import json
from fhir_facade.mirror.database import Database
from fhir_facade.mirror.tables import sync_state
from fhir_facade.mirror.upsert import insert_ignore, upsert


class StateStore:
    """Values by (tenant, source, name); a value is anything that has a JSON form."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, tenant: str, source: str, name: str) -> Any:
        """The value, or None when there is none."""
        with self._database.read() as conn:
            return _get(conn, tenant, source, name)

    def all(self, tenant: str, source: str, prefix: str = "") -> dict[str, Any]:
        """Every value whose name begins with `prefix`, by name."""
        query = select(sync_state.c.name, sync_state.c.value).where(
            sync_state.c.tenant == tenant, sync_state.c.source == source
        )
        with self._database.read() as conn:
            rows = conn.execute(query.order_by(sync_state.c.name)).all()
        return {name: json.loads(value) for name, value in rows if name.startswith(prefix)}

    def set(self, tenant: str, source: str, name: str, value: Any) -> None:
        """Write the value, whatever was there."""
        with self._database.write() as conn:
            _put(conn, tenant, source, name, value)

    def change(self, tenant: str, source: str, name: str, step: Callable[[Any], Any]) -> Any:
        """Replace the value by `step(value)` (None when there was none) with nobody in between;
        `step` may be called again and must have no other effect. Returns the new value."""
        with self._database.write() as conn:
            row = {"tenant": tenant, "source": source, "name": name}
            # The row must exist to be locked, or two first changes would not see each other.
            insert_ignore(conn, sync_state, [row | {"value": "null", "updated_us": clock.now_us()}])
            value = step(_get(conn, tenant, source, name, lock=True))
            _put(conn, tenant, source, name, value)
            return value

    def remove(self, tenant: str, source: str, name: str) -> None:
        """Forget the value."""
        with self._database.write() as conn:
            conn.execute(delete(sync_state).where(*_key(tenant, source, name)))


def _key(tenant: str, source: str, name: str) -> tuple[Any, ...]:
    columns = sync_state.c
    return (columns.tenant == tenant, columns.source == source, columns.name == name)


def _get(conn: Connection, tenant: str, source: str, name: str, lock: bool = False) -> Any:
    query = select(sync_state.c.value).where(*_key(tenant, source, name))
    value = conn.execute(query.with_for_update() if lock else query).scalar()
    return None if value is None else json.loads(value)


def _put(conn: Connection, tenant: str, source: str, name: str, value: Any) -> None:
    row = {
        "tenant": tenant,
        "source": source,
        "name": name,
        "value": json.dumps(value).decode(),
        "updated_us": clock.now_us(),
    }
    upsert(conn, sync_state, [row], ("value", "updated_us"))
