"""Keys in the order of time, refusals, exports, a patient's rows; nothing is changed or deleted."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_EVENT: dict[str, Any] = {
    "actor": sa.String,
    "fhir_user": sa.String,
    "query": sa.String,
    "job_id": sa.String,
    "revision": sa.BigInteger,
    "step": sa.String,
    "error": sa.String,
    "text": sa.String,
    "expected": sa.String,
    "received": sa.String,
}
_FAILED = sa.text("outcome <> 'success'")
_INDEXES: tuple[tuple[str, tuple[str, ...], Any], ...] = (
    ("ix_audit_tenant", ("tenant", "pk"), None),
    ("ix_audit_client", ("tenant", "client_id", "pk"), None),
    ("ix_audit_user", ("tenant", "user_id", "pk"), sa.text("user_id IS NOT NULL")),
    ("ix_audit_fhir_user", ("tenant", "fhir_user", "pk"), sa.text("fhir_user IS NOT NULL")),
    ("ix_audit_actor", ("tenant", "actor", "pk"), sa.text("actor IS NOT NULL")),
    ("ix_audit_interaction", ("tenant", "interaction", "pk"), sa.text("interaction IS NOT NULL")),
    (
        "ix_audit_resource",
        ("tenant", "type", "resource_id", "pk"),
        sa.text("resource_id IS NOT NULL"),
    ),
    ("ix_audit_correlation", ("tenant", "correlation_id"), None),
    ("ix_audit_refused", ("tenant", "client_id", "pk"), sa.text("step IS NOT NULL")),
    ("ix_audit_failed", ("tenant", "pk"), _FAILED),
    ("ix_audit_act", ("tenant", "action", "pk"), sa.text("action <> 'rest'")),
)
_REFUSE_SQLITE = """
CREATE TRIGGER {table}_{act} BEFORE {act} ON {table}
BEGIN SELECT RAISE(ABORT, 'the audit trail is only ever added to'); END
"""
_FUNCTION_POSTGRESQL = """
CREATE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the audit trail is only ever added to'; END $$
"""
_REFUSE_POSTGRESQL = """
CREATE TRIGGER {table}_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change()
"""
_BATCH = 1000


def upgrade() -> None:
    for name, kind in _EVENT.items():
        op.add_column("audit_event", sa.Column(name, kind))
    op.drop_index("ix_audit_time", "audit_event")
    # What 0001 numbered from 1 gets keys as they are now made; rows of one microsecond that it
    # wrote have numbers that differ in their last ten bits.
    op.execute("UPDATE audit_event SET pk = recorded_us * 1024 + pk % 1024 WHERE pk < 4294967296")
    op.execute(
        "UPDATE audit_event SET interaction = 'other'"
        " WHERE action = 'rest' AND coalesce(interaction, '') = ''"
    )
    op.create_table(
        "audit_patient",
        sa.Column("tenant", sa.String, primary_key=True),
        sa.Column("patient_id", sa.String, primary_key=True),
        sa.Column("event_pk", sa.BigInteger, primary_key=True, autoincrement=False),
        sqlite_with_rowid=False,
    )
    _fill_patients()
    for index, columns, where in _INDEXES:
        op.create_index(
            index, "audit_event", list(columns), sqlite_where=where, postgresql_where=where
        )
    _refuse_changes()


def _fill_patients() -> None:
    connection = op.get_bind()
    event = sa.table("audit_event", sa.column("pk"), sa.column("tenant"), sa.column("patients"))
    patient = sa.table(
        "audit_patient", sa.column("tenant"), sa.column("patient_id"), sa.column("event_pk")
    )
    after = 0
    while True:
        found = connection.execute(
            sa.select(event.c.pk, event.c.tenant, event.c.patients)
            .where(event.c.pk > after)
            .order_by(event.c.pk)
            .limit(_BATCH)
        ).all()
        rows = [
            {"tenant": tenant, "patient_id": one, "event_pk": pk}
            for pk, tenant, patients in found
            for one in dict.fromkeys(patients.split("\n"))
            if one
        ]
        if rows:
            connection.execute(sa.insert(patient), rows)
        if len(found) < _BATCH:
            return
        after = found[-1][0]


def _refuse_changes() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    if not sqlite:
        op.execute(_FUNCTION_POSTGRESQL)
    for table in ("audit_event", "audit_patient"):
        if sqlite:
            for act in ("UPDATE", "DELETE"):
                op.execute(_REFUSE_SQLITE.format(table=table, act=act))
        else:
            op.execute(_REFUSE_POSTGRESQL.format(table=table))
