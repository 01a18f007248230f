"""Adding to the audit tables. Nothing here lets a row be changed or deleted, and triggers of the
database refuse it to everybody else.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.engine import Engine
from sqlalchemy.exc import IntegrityError

from fhir_facade.audit.tables import audit_event, audit_patient

_KEYS = 1024
_TRIES = 10


def key_at(instant_us: int) -> int:
    """The lowest key of rows recorded at an instant, in microseconds UTC, or later."""
    return instant_us * _KEYS


def append(engine: Engine, rows: Sequence[dict[str, Any]]) -> None:
    """Add rows (the columns of `audit_event` without `pk`), all in one transaction.

    Keys follow time. Their last bits are drawn, so that processes need not ask each other; should
    two draw the same, all are drawn anew.
    """
    for left in reversed(range(_TRIES)):
        keyed = [{**row, "pk": key_at(row["recorded_us"]) + random.getrandbits(10)} for row in rows]
        try:
            _insert(engine, keyed)
            return
        except IntegrityError:
            if not left:
                raise


def _insert(engine: Engine, rows: list[dict[str, Any]]) -> None:
    of_patients = [
        {"tenant": row["tenant"], "patient_id": patient, "event_pk": row["pk"]}
        for row in rows
        if row["patients"]
        for patient in row["patients"].split("\n")
    ]
    with engine.begin() as connection:
        connection.execute(insert(audit_event), rows)
        if of_patients:
            connection.execute(insert(audit_patient), of_patients)


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
