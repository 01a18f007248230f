"""Developers and their apps, second factors, external logins, host EHRs, registration tokens."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns to what is there, then the new tables. Apps that are there count as approved."""
    _extend_client()
    _extend_user_and_session()
    _create_client_patient()
    _create_second_factor()
    _create_federated_identity()
    _create_federated_login()
    _create_login_ticket()
    _create_initial_access_token()


def _extend_client() -> None:
    for column in (
        sa.Column("owner", sa.String(length=64), nullable=True),
        sa.Column("approved_at", sa.BigInteger(), nullable=True),
        sa.Column("approved_by", sa.String(length=64), nullable=True),
        sa.Column("scope_limit", sa.Text(), nullable=True),
        sa.Column("patients_limited", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("may_launch", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("details", sa.Text(), nullable=False, server_default="{}"),
        sa.Column("registration_hash", sa.String(length=64), nullable=True),
    ):
        op.add_column("client", column)
    op.create_index(op.f("ix_client_tenant_owner"), "client", ["tenant", "owner"], unique=False)
    op.execute("UPDATE client SET approved_at = created_at, approved_by = 'operator'")


def _extend_user_and_session() -> None:
    for column in (
        sa.Column("name", sa.Text(), nullable=False, server_default=""),
        sa.Column("service", sa.String(length=16), nullable=True),
        sa.Column("profile", sa.Text(), nullable=False, server_default="{}"),
    ):
        op.add_column("user_account", column)
    op.add_column(
        "session",
        sa.Column("methods", sa.String(length=64), nullable=False, server_default="pwd"),
    )


def _create_client_patient() -> None:
    op.create_table(
        "client_patient",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=128), nullable=False),
        sa.Column("patient_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "client_id"],
            ["client.tenant", "client.client_id"],
            name=op.f("fk_client_patient_client"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "tenant", "client_id", "patient_id", name=op.f("pk_client_patient")
        ),
    )


def _of_user(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["tenant", "user_id"],
        ["user_account.tenant", "user_account.user_id"],
        name=op.f(f"fk_{table}_user_account"),
        ondelete="CASCADE",
    )


def _create_second_factor() -> None:
    op.create_table(
        "second_factor",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("last_step", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        _of_user("second_factor"),
        sa.PrimaryKeyConstraint("tenant", "user_id", name=op.f("pk_second_factor")),
    )


def _create_federated_identity() -> None:
    op.create_table(
        "federated_identity",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("issuer", sa.String(length=255), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("linked_at", sa.BigInteger(), nullable=False),
        _of_user("federated_identity"),
        sa.PrimaryKeyConstraint("tenant", "issuer", "subject", name=op.f("pk_federated_identity")),
    )
    op.create_index(
        op.f("ix_federated_identity_tenant_user_id"),
        "federated_identity",
        ["tenant", "user_id"],
        unique=False,
    )


def _create_federated_login() -> None:
    op.create_table(
        "federated_login",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("state_hash", sa.String(length=64), nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("wrapped", sa.Text(), nullable=False),
        sa.Column("browser_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "state_hash", name=op.f("pk_federated_login")),
    )


def _create_login_ticket() -> None:
    op.create_table(
        "login_ticket",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("ticket_hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("made_by", sa.String(length=128), nullable=False),
        sa.Column("wrapped", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "ticket_hash", name=op.f("pk_login_ticket")),
    )


def _create_initial_access_token() -> None:
    op.create_table(
        "initial_access_token",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("token_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("made_by", sa.String(length=128), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("uses_left", sa.Integer(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "token_hash", name=op.f("pk_initial_access_token")),
        sa.UniqueConstraint(
            "tenant", "token_id", name=op.f("uq_initial_access_token_tenant_token_id")
        ),
    )
