"""Names of deleted apps are kept for the logs; sessions are found by their person."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table and the index; of apps deleted before nobody knows the names."""
    op.create_table(
        "former_client",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=128), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "client_id", name=op.f("pk_former_client")),
    )
    op.create_index(op.f("ix_session_tenant_user_id"), "session", ["tenant", "user_id"])
