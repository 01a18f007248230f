"""Apps."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from smart_auth.store.tables.base import metadata, tenant

client = Table(
    "client",
    metadata,
    tenant(),
    Column("client_id", String(128), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("auth_method", String(32), nullable=False),
    Column("secret_hash", String(64)),
    Column("redirect_uris", Text, nullable=False),
    Column("launch_uri", Text),
    Column("grant_types", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("jwks", Text),
    Column("jwks_uri", Text),
    Column("whole_tenant", Boolean, nullable=False),
    Column("pkce_optional", Boolean, nullable=False),
    Column("may_introspect", Boolean, nullable=False),
    Column("valid_from", BigInteger),
    Column("valid_to", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("owner", String(64)),
    Column("approved_at", BigInteger),
    Column("approved_by", String(64)),
    Column("scope_limit", Text),
    Column("patients_limited", Boolean, nullable=False),
    Column("may_launch", Boolean, nullable=False),
    Column("details", Text, nullable=False),
    Column("registration_hash", String(64)),
    Index(None, "tenant", "owner"),
)
"""`scope` is what the app registered for, `scope_limit` the most the provider lets it have (null:
no limit). `owner` is the developer's user id. `details` holds what RFC 7591 only shows to people.
`version` goes up with every change to the client or its groups, so that a worker may keep
what it derived from a client as long as the version it reads with each token is the same."""

client_group = Table(
    "client_group",
    metadata,
    tenant(),
    Column("client_id", String(128), primary_key=True),
    Column("group_id", String(64), primary_key=True),
    ForeignKeyConstraint(
        ["tenant", "client_id"], ["client.tenant", "client.client_id"], ondelete="CASCADE"
    ),
)

client_patient = Table(
    "client_patient",
    metadata,
    tenant(),
    Column("client_id", String(128), primary_key=True),
    Column("patient_id", String(64), primary_key=True),
    ForeignKeyConstraint(
        ["tenant", "client_id"], ["client.tenant", "client.client_id"], ondelete="CASCADE"
    ),
)
"""Read only where the client has `patients_limited`."""

former_client = Table(
    "former_client",
    metadata,
    tenant(),
    Column("client_id", String(128), primary_key=True),
    Column("name", Text, nullable=False),
    Column("deleted_at", BigInteger, nullable=False),
)
"""What deleted apps were called: logs name them for as long as anybody reads those."""

client_jwks = Table(
    "client_jwks",
    metadata,
    tenant(),
    Column("client_id", String(128), primary_key=True),
    Column("url", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("fetched_at", BigInteger, nullable=False),
    Column("fresh_until", BigInteger, nullable=False),
)
"""Key sets fetched from clients' JWKS URLs, shared by all workers."""

initial_access_token = Table(
    "initial_access_token",
    metadata,
    tenant(),
    Column("token_hash", String(64), primary_key=True),
    Column("token_id", String(32), nullable=False),
    Column("name", Text, nullable=False),
    Column("made_by", String(128), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("uses_left", Integer),
    Column("revoked_at", BigInteger),
    UniqueConstraint("tenant", "token_id"),
)
"""Opens dynamic registration (RFC 7591 section 3). `uses_left` null is no limit."""

assertion_jti = Table(
    "assertion_jti",
    metadata,
    tenant(),
    Column("client_id", String(128), primary_key=True),
    Column("jti_hash", String(64), primary_key=True),
    Column("expires_at", BigInteger, nullable=False),
)
