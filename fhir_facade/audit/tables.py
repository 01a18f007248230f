"""The audit tables, in the auth database. Alembic migrations in `migrations/` build exactly these,
and triggers that refuse every change and deletion of a row.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, Text, text

metadata = MetaData()


def _index(name: str, *columns: str, where: str | None = None) -> Index:
    condition: Any = None if where is None else text(where)
    return Index(name, *columns, sqlite_where=condition, postgresql_where=condition)


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
    Column("actor", String),
    Column("fhir_user", String),
    Column("query", String),
    Column("job_id", String),
    Column("revision", BigInteger),
    Column("step", String),
    Column("error", String),
    Column("text", String),
    Column("expected", String),
    Column("received", String),
    _index("ix_audit_tenant", "tenant", "pk"),
    _index("ix_audit_client", "tenant", "client_id", "pk"),
    _index("ix_audit_user", "tenant", "user_id", "pk", where="user_id IS NOT NULL"),
    _index("ix_audit_fhir_user", "tenant", "fhir_user", "pk", where="fhir_user IS NOT NULL"),
    _index("ix_audit_actor", "tenant", "actor", "pk", where="actor IS NOT NULL"),
    _index("ix_audit_interaction", "tenant", "interaction", "pk", where="interaction IS NOT NULL"),
    _index(
        *("ix_audit_resource", "tenant", "type", "resource_id", "pk"),
        where="resource_id IS NOT NULL",
    ),
    _index("ix_audit_correlation", "tenant", "correlation_id"),
    _index("ix_audit_refused", "tenant", "client_id", "pk", where="step IS NOT NULL"),
    _index("ix_audit_failed", "tenant", "pk", where="outcome <> 'success'"),
    _index("ix_audit_act", "tenant", "action", "pk", where="action <> 'rest'"),
)
"""`pk` grows with time (`store.key_at`), so the trail is read newest first along it. `patients` are
logical ids, one a line; `query` the names of search parameters, one a line. `step` to `received`
say why a request was refused (`smart_auth.ports.Refusal`). `job_id` and `revision` are those of an
export; `actor` is who did an administrative act to the client or user of the row."""

audit_patient = Table(
    "audit_patient",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("patient_id", String, primary_key=True),
    Column("event_pk", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
"""The rows of each patient, so that a patient's log is one walk along the key."""
