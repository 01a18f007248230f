"""Adding to the audit tables. Nothing here lets a row be changed or deleted, and triggers of the
database refuse it to everybody else.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Table, select
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import IntegrityError

from fhir_facade.audit.tables import audit_event, audit_patient

_KEYS = 1024
_LATEST_US = (2**63 - 1) // _KEYS
"""Keys are 64 bits: no instant beyond has one (the year 2255)."""
_TRIES = 10
_columns = itemgetter(*(name for name in audit_event.columns.keys() if name != "pk"))


def key_at(instant_us: int) -> int:
    """The lowest key of rows recorded at an instant, in microseconds UTC, or later."""
    return min(instant_us, _LATEST_US) * _KEYS


def append(engine: Engine, rows: Sequence[dict[str, Any]]) -> None:
    """Add rows (the columns of `audit_event` without `pk`), all in one transaction.

    Keys follow time. Their last bits are drawn, for all rows at once, so that processes need not
    ask each other; should two draw the same, they draw anew.
    """
    for left in reversed(range(_TRIES)):
        drawn = secrets.randbelow(_KEYS)
        keys = [key_at(row["recorded_us"]) + (drawn + n) % _KEYS for n, row in enumerate(rows)]
        try:
            _insert(engine, keys, rows)
            return
        except IntegrityError:
            if not left:
                raise


def _insert(engine: Engine, keys: list[int], rows: Sequence[dict[str, Any]]) -> None:
    events = [(key, *_columns(row)) for key, row in zip(keys, rows, strict=True)]
    of_patients = [
        (row["tenant"], patient, key)
        for key, row in zip(keys, rows, strict=True)
        if row["patients"]
        for patient in row["patients"].split("\n")
    ]
    with engine.begin() as connection:
        # As text: half of the cost of a row is in what the toolkit does with each value.
        connection.exec_driver_sql(_text(connection, audit_event), events)
        if of_patients:
            connection.exec_driver_sql(_text(connection, audit_patient), of_patients)


def _text(connection: Connection, table: Table) -> str:
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    marks = ", ".join([mark] * len(table.columns))
    return f"INSERT INTO {table.name} ({', '.join(table.columns.keys())}) VALUES ({marks})"  # noqa: S608


def recent(engine: Engine, tenant: str, limit: int = 100) -> list[dict[str, Any]]:
    """The newest rows of a tenant, newest first."""
    query = (
        select(audit_event)
        .where(audit_event.c.tenant == tenant)
        .order_by(audit_event.c.pk.desc())
        .limit(limit)
    )
    with engine.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(query)]
