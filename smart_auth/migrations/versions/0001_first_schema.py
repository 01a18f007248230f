"""The first schema of the authorization server."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table, those that others refer to first."""
    _create_access_grant()
    _create_assertion_jti()
    _create_attempt()
    _create_authorization_code()
    _create_client()
    _create_client_jwks()
    _create_consent()
    _create_launch()
    _create_login_failure()
    _create_pending_authorization()
    _create_session()
    _create_signing_key()
    _create_user_account()
    _create_client_group()
    _create_refresh_token()
    _create_user_patient()


def _create_access_grant() -> None:
    op.create_table(
        "access_grant",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("grant_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("client_id", sa.String(length=128), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=True),
        sa.Column("session_hash", sa.String(length=64), nullable=True),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("context", sa.Text(), nullable=False),
        sa.Column("auth_time", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("last_used_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_why", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "grant_id", name=op.f("pk_access_grant")),
    )
    op.create_index(
        op.f("ix_access_grant_expires_at"), "access_grant", ["expires_at"], unique=False
    )
    op.create_index(
        op.f("ix_access_grant_tenant_client_id"),
        "access_grant",
        ["tenant", "client_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_access_grant_tenant_user_id"), "access_grant", ["tenant", "user_id"], unique=False
    )


def _create_assertion_jti() -> None:
    op.create_table(
        "assertion_jti",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=128), nullable=False),
        sa.Column("jti_hash", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "client_id", "jti_hash", name=op.f("pk_assertion_jti")),
    )


def _create_attempt() -> None:
    op.create_table(
        "attempt",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("bucket", sa.String(length=255), nullable=False),
        sa.Column("minute", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "bucket", "minute", name=op.f("pk_attempt")),
    )


def _create_authorization_code() -> None:
    op.create_table(
        "authorization_code",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("code_hash", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=128), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("session_hash", sa.String(length=64), nullable=False),
        sa.Column("redirect_uri", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("context", sa.Text(), nullable=False),
        sa.Column("nonce", sa.Text(), nullable=True),
        sa.Column("code_challenge", sa.String(length=128), nullable=True),
        sa.Column("auth_time", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.Column("grant_id", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "code_hash", name=op.f("pk_authorization_code")),
    )


def _create_client() -> None:
    op.create_table(
        "client",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=128), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("auth_method", sa.String(length=32), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=True),
        sa.Column("redirect_uris", sa.Text(), nullable=False),
        sa.Column("launch_uri", sa.Text(), nullable=True),
        sa.Column("grant_types", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("jwks", sa.Text(), nullable=True),
        sa.Column("jwks_uri", sa.Text(), nullable=True),
        sa.Column("whole_tenant", sa.Boolean(), nullable=False),
        sa.Column("pkce_optional", sa.Boolean(), nullable=False),
        sa.Column("may_introspect", sa.Boolean(), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=True),
        sa.Column("valid_to", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "client_id", name=op.f("pk_client")),
    )


def _create_client_jwks() -> None:
    op.create_table(
        "client_jwks",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=128), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("fetched_at", sa.BigInteger(), nullable=False),
        sa.Column("fresh_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "client_id", name=op.f("pk_client_jwks")),
    )


def _create_consent() -> None:
    op.create_table(
        "consent",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("consent_id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=128), nullable=False),
        sa.Column("decision", sa.String(length=16), nullable=False),
        sa.Column("asked_scope", sa.Text(), nullable=False),
        sa.Column("granted_scope", sa.Text(), nullable=False),
        sa.Column("patient_id", sa.String(length=64), nullable=True),
        sa.Column("decided_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "consent_id", name=op.f("pk_consent")),
    )
    op.create_index(
        op.f("ix_consent_tenant_user_id"), "consent", ["tenant", "user_id"], unique=False
    )


def _create_launch() -> None:
    op.create_table(
        "launch",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("launch_hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=128), nullable=False),
        sa.Column("context", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "launch_hash", name=op.f("pk_launch")),
    )


def _create_login_failure() -> None:
    op.create_table(
        "login_failure",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("blocked_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "subject", name=op.f("pk_login_failure")),
    )


def _create_pending_authorization() -> None:
    op.create_table(
        "pending_authorization",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("request_hash", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=128), nullable=False),
        sa.Column("parameters", sa.Text(), nullable=False),
        sa.Column("launch_hash", sa.String(length=64), nullable=True),
        sa.Column("browser_hash", sa.String(length=64), nullable=True),
        sa.Column("login_after", sa.BigInteger(), nullable=True),
        sa.Column("user_id", sa.String(length=64), nullable=True),
        sa.Column("patient_id", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "request_hash", name=op.f("pk_pending_authorization")),
    )


def _create_session() -> None:
    op.create_table(
        "session",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("session_hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("auth_time", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "session_hash", name=op.f("pk_session")),
    )


def _create_signing_key() -> None:
    op.create_table(
        "signing_key",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("kid", sa.String(length=64), nullable=False),
        sa.Column("alg", sa.String(length=16), nullable=False),
        sa.Column("public_jwk", sa.Text(), nullable=False),
        sa.Column("private_wrapped", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("retired_at", sa.BigInteger(), nullable=True),
        sa.Column("remove_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "kid", name=op.f("pk_signing_key")),
    )


def _create_user_account() -> None:
    op.create_table(
        "user_account",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("username", sa.String(length=255), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("fhir_user", sa.Text(), nullable=True),
        sa.Column("whole_tenant", sa.Boolean(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "user_id", name=op.f("pk_user_account")),
        sa.UniqueConstraint("tenant", "username", name=op.f("uq_user_account_tenant_username")),
    )


def _create_client_group() -> None:
    op.create_table(
        "client_group",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=128), nullable=False),
        sa.Column("group_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "client_id"],
            ["client.tenant", "client.client_id"],
            name=op.f("fk_client_group_client"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant", "client_id", "group_id", name=op.f("pk_client_group")),
    )


def _create_refresh_token() -> None:
    op.create_table(
        "refresh_token",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("grant_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("rotated_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant", "grant_id"],
            ["access_grant.tenant", "access_grant.grant_id"],
            name=op.f("fk_refresh_token_access_grant"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant", "token_hash", name=op.f("pk_refresh_token")),
    )
    op.create_index(
        op.f("ix_refresh_token_tenant_grant_id"),
        "refresh_token",
        ["tenant", "grant_id"],
        unique=False,
    )


def _create_user_patient() -> None:
    op.create_table(
        "user_patient",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("patient_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "user_id"],
            ["user_account.tenant", "user_account.user_id"],
            name=op.f("fk_user_patient_user_account"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant", "user_id", "patient_id", name=op.f("pk_user_patient")),
    )
