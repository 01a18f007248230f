"""People, and how they log in."""

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
    false,
)

from smart_auth.store.tables.base import metadata, tenant

user_account = Table(
    "user_account",
    metadata,
    tenant(),
    Column("user_id", String(64), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("username", String(255), nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("fhir_user", Text),
    Column("whole_tenant", Boolean, nullable=False),
    Column("scope", Text),
    Column("active", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("service", String(16)),
    Column("profile", Text, nullable=False),
    Column("password_temporary", Boolean, nullable=False, server_default=false()),
    UniqueConstraint("tenant", "username"),
)
"""`service` says for whom a developer builds: patient or provider. `profile` is a JSON object of
what they said at sign-up. `scope` is the most a user's grants may hold; null is no limit.
`password_temporary`: somebody else gave the password, the user has to choose one."""

user_patient = Table(
    "user_patient",
    metadata,
    tenant(),
    Column("user_id", String(64), primary_key=True),
    Column("patient_id", String(64), primary_key=True),
    ForeignKeyConstraint(
        ["tenant", "user_id"], ["user_account.tenant", "user_account.user_id"], ondelete="CASCADE"
    ),
)

former_user = Table(
    "former_user",
    metadata,
    tenant(),
    Column("user_id", String(64), primary_key=True),
    Column("username", String(255), nullable=False),
    Column("name", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("deleted_at", BigInteger, nullable=False),
    UniqueConstraint("tenant", "username"),
)
"""Who deleted users were: logs name them, and nobody else gets their user names."""

second_factor = Table(
    "second_factor",
    metadata,
    tenant(),
    Column("user_id", String(64), primary_key=True),
    Column("kind", String(8), nullable=False),
    Column("secret", Text, nullable=False),
    Column("last_step", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    ForeignKeyConstraint(
        ["tenant", "user_id"], ["user_account.tenant", "user_account.user_id"], ondelete="CASCADE"
    ),
)
"""`kind` pin: `secret` is an argon2 hash; totp: a seed wrapped by the secret keys, and `last_step`
the time step last accepted, so that no code is good twice."""

federated_identity = Table(
    "federated_identity",
    metadata,
    tenant(),
    Column("issuer", String(255), primary_key=True),
    Column("subject", String(255), primary_key=True),
    Column("user_id", String(64), nullable=False),
    Column("linked_at", BigInteger, nullable=False),
    ForeignKeyConstraint(
        ["tenant", "user_id"], ["user_account.tenant", "user_account.user_id"], ondelete="CASCADE"
    ),
    Index(None, "tenant", "user_id"),
)

federated_login = Table(
    "federated_login",
    metadata,
    tenant(),
    Column("state_hash", String(64), primary_key=True),
    Column("provider", String(64), nullable=False),
    Column("wrapped", Text, nullable=False),
    Column("browser_hash", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
)
"""A login that is under way at an external provider; `wrapped` holds its nonce, code verifier and
the pending request it is for, as encrypted JSON."""

login_ticket = Table(
    "login_ticket",
    metadata,
    tenant(),
    Column("ticket_hash", String(64), primary_key=True),
    Column("user_id", String(64), nullable=False),
    Column("made_by", String(128), nullable=False),
    Column("wrapped", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
)
"""A host EHR's word that this user is logged in there: good once, for the address in `wrapped`."""

session = Table(
    "session",
    metadata,
    tenant(),
    Column("session_hash", String(64), primary_key=True),
    Column("user_id", String(64), nullable=False),
    Column("origin", String(16), nullable=False),
    Column("methods", String(64), nullable=False),
    Column("auth_time", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Index(None, "tenant", "user_id"),
)
