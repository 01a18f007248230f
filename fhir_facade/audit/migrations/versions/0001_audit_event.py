"""The audit table."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "audit_event",
        sa.Column(
            "pk",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            primary_key=True,
            autoincrement=True,
        ),
        sa.Column("recorded_us", sa.BigInteger, nullable=False),
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("action", sa.String, nullable=False),
        sa.Column("outcome", sa.String, nullable=False),
        sa.Column("client_id", sa.String),
        sa.Column("user_id", sa.String),
        sa.Column("patients", sa.Text, nullable=False),
        sa.Column("type", sa.String),
        sa.Column("interaction", sa.String),
        sa.Column("resource_id", sa.String),
        sa.Column("status", sa.Integer),
        sa.Column("reason", sa.String),
        sa.Column("correlation_id", sa.String),
    )
    op.create_index("ix_audit_time", "audit_event", ["tenant", "recorded_us"])


def downgrade() -> None:
    op.drop_table("audit_event")
