"""How a person logged in goes with codes and grants; a request can ask for a login of its own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns; of grants that are there nobody knows how their people logged in."""
    for table in ("authorization_code", "access_grant"):
        op.add_column(
            table,
            sa.Column("methods", sa.String(length=64), nullable=False, server_default=""),
        )
    op.add_column(
        "pending_authorization",
        sa.Column("new_login", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.add_column(
        "pending_authorization", sa.Column("earlier_session", sa.String(length=64), nullable=True)
    )
