"""The audit table, in the auth database (schema `audit` on PostgreSQL)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    insert,
    select,
)
from sqlalchemy.engine import Connection, Engine

metadata = MetaData()

audit_event = Table(
    "audit_event",
    metadata,
    Column(
        "pk", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    ),
    Column("recorded_us", BigInteger, nullable=False),
    Column("tenant", String, nullable=False),
    Column("action", String, nullable=False),
    Column("outcome", String, nullable=False),
    Column("client_id", String),
    Column("user_id", String),
    Column("patients", Text, nullable=False),
    Column("type", String),
    Column("interaction", String),
    Column("resource_id", String),
    Column("status", Integer),
    Column("reason", String),
    Column("correlation_id", String),
    Index("ix_audit_time", "tenant", "recorded_us"),
)
"""`patients` are logical ids, one a line."""


def append(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Add rows; the caller commits."""
    connection.execute(insert(audit_event), list(rows))


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
