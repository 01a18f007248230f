"""Insert-or-update, spelled the same for SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_ignore(conn: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert rows; those whose key exists are left as they are. How many were inserted, for one
    row."""
    if not rows:
        return 0
    insert = _insert(conn, table).on_conflict_do_nothing()
    insert = insert.execution_options(preserve_rowcount=True)
    # One row goes as one statement: only then does every driver count what it inserted.
    return conn.execute(insert, dict(rows[0]) if len(rows) == 1 else [*map(dict, rows)]).rowcount


def upsert(
    conn: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    replace: Iterable[str],
) -> None:
    """Insert rows; where the primary key exists, the columns `replace` take the new values."""
    if not rows:
        return
    insert = _insert(conn, table)
    key = [column.name for column in table.primary_key.columns]
    statement = insert.on_conflict_do_update(
        index_elements=key, set_={name: insert.excluded[name] for name in replace}
    )
    conn.execute(statement, [dict(row) for row in rows])


def _insert(conn: Connection, table: Table) -> Any:
    return (sqlite if conn.dialect.name == "sqlite" else postgresql).insert(table)
