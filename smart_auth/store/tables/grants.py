"""What apps were given."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, Index, String, Table, Text

from smart_auth.store.tables.base import metadata, tenant

access_grant = Table(
    "access_grant",
    metadata,
    tenant(),
    Column("grant_id", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("client_id", String(128), nullable=False),
    Column("user_id", String(64)),
    Column("session_hash", String(64)),
    Column("scope", Text, nullable=False),
    Column("context", Text, nullable=False),
    Column("auth_time", BigInteger),
    Column("methods", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("last_used_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    Column("revoked_why", String(64)),
    Index(None, "tenant", "user_id"),
    Index(None, "tenant", "client_id"),
    Index(None, "expires_at"),
)
"""What one consent or one backend request bought: the family of its tokens. A user and a client see
and end grants, and a token is good only while its grant is."""

refresh_token = Table(
    "refresh_token",
    metadata,
    tenant(),
    Column("token_hash", String(64), primary_key=True),
    Column("grant_id", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("rotated_at", BigInteger),
    Column("parent_hash", String(64)),
    ForeignKeyConstraint(
        ["tenant", "grant_id"], ["access_grant.tenant", "access_grant.grant_id"], ondelete="CASCADE"
    ),
    Index(None, "tenant", "grant_id"),
    Index(None, "tenant", "parent_hash"),
)
"""`parent_hash` is of the token that was exchanged for this one; null for the first of a family."""
