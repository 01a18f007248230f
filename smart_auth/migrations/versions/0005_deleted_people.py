"""Passwords that others gave, which refresh token came of which, and the names of deleted users."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns and a table. Passwords that are there count as the users' own, and of refresh
    tokens that are there nobody knows the origin."""
    op.add_column(
        "user_account",
        sa.Column("password_temporary", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.add_column("refresh_token", sa.Column("parent_hash", sa.String(length=64), nullable=True))
    op.create_index(
        op.f("ix_refresh_token_tenant_parent_hash"), "refresh_token", ["tenant", "parent_hash"]
    )
    op.create_table(
        "former_user",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("username", sa.String(length=255), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "user_id", name=op.f("pk_former_user")),
        sa.UniqueConstraint("tenant", "username", name=op.f("uq_former_user_tenant_username")),
    )
