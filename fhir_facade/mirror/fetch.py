"""The shortest way to rows: constant SQL text, straight through the driver.

For the few statements that every request runs; their cost in the toolkit's result machinery is
several times that of the database's answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection


def fetch(conn: Connection, text: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """All rows of a query, plain, without the types of the tables (a boolean of SQLite is 0 or 1).

    `?` marks a value, on both databases. On a reading connection each call sees the last commit.
    """
    marked = text if conn.dialect.name == "sqlite" else text.replace("?", "%s")
    # Both drivers run a statement on the connection itself; a cursor that gave all is done with.
    driver: Any = conn.connection.dbapi_connection
    rows: list[tuple[Any, ...]] = driver.execute(marked, values).fetchall()
    return rows
