"""A launch, from its beginning to the code that the app gets."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, String, Table, Text

from smart_auth.store.tables.base import metadata, tenant

pending_authorization = Table(
    "pending_authorization",
    metadata,
    tenant(),
    Column("request_hash", String(64), primary_key=True),
    Column("client_id", String(128), nullable=False),
    Column("parameters", Text, nullable=False),
    Column("launch_hash", String(64)),
    Column("browser_hash", String(64)),
    Column("login_after", BigInteger),
    Column("new_login", Boolean, nullable=False),
    Column("earlier_session", String(64)),
    Column("user_id", String(64)),
    Column("patient_id", String(64)),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("decided_at", BigInteger),
)
"""One authorization request between its arrival and the decision; each browser tab has its own.
`earlier_session` is the login the browser had when it first showed the request."""

launch = Table(
    "launch",
    metadata,
    tenant(),
    Column("launch_hash", String(64), primary_key=True),
    Column("user_id", String(64), nullable=False),
    Column("client_id", String(128), nullable=False),
    Column("context", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
)

authorization_code = Table(
    "authorization_code",
    metadata,
    tenant(),
    Column("code_hash", String(64), primary_key=True),
    Column("client_id", String(128), nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("session_hash", String(64), nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("context", Text, nullable=False),
    Column("nonce", Text),
    Column("code_challenge", String(128)),
    Column("auth_time", BigInteger, nullable=False),
    Column("methods", String(64), nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
    Column("grant_id", String(64)),
)

consent = Table(
    "consent",
    metadata,
    tenant(),
    Column("consent_id", String(64), primary_key=True),
    Column("user_id", String(64), nullable=False),
    Column("client_id", String(128), nullable=False),
    Column("decision", String(16), nullable=False),
    Column("asked_scope", Text, nullable=False),
    Column("granted_scope", Text, nullable=False),
    Column("patient_id", String(64)),
    Column("decided_at", BigInteger, nullable=False),
    Index(None, "tenant", "user_id"),
)
