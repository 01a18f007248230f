"""The tables of the authorization server.

Every table is keyed by tenant first: tenants share nothing. Times are seconds since the epoch, UTC.
Random secrets are kept as SHA-256, passwords by argon2, signing keys wrapped
(`smart_auth.keyring`). JSON lists and objects are text, so that SQLite and PostgreSQL hold
the same.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

metadata = MetaData(naming_convention=NAMING)


def _tenant() -> Column[str]:
    return Column("tenant", String(64), primary_key=True)


client = Table(
    "client",
    metadata,
    _tenant(),
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
    _tenant(),
    Column("client_id", String(128), primary_key=True),
    Column("group_id", String(64), primary_key=True),
    ForeignKeyConstraint(
        ["tenant", "client_id"], ["client.tenant", "client.client_id"], ondelete="CASCADE"
    ),
)

client_patient = Table(
    "client_patient",
    metadata,
    _tenant(),
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
    _tenant(),
    Column("client_id", String(128), primary_key=True),
    Column("name", Text, nullable=False),
    Column("deleted_at", BigInteger, nullable=False),
)
"""What deleted apps were called: logs name them for as long as anybody reads those."""

client_jwks = Table(
    "client_jwks",
    metadata,
    _tenant(),
    Column("client_id", String(128), primary_key=True),
    Column("url", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("fetched_at", BigInteger, nullable=False),
    Column("fresh_until", BigInteger, nullable=False),
)
"""Key sets fetched from clients' JWKS URLs, shared by all workers."""

user_account = Table(
    "user_account",
    metadata,
    _tenant(),
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
    _tenant(),
    Column("user_id", String(64), primary_key=True),
    Column("patient_id", String(64), primary_key=True),
    ForeignKeyConstraint(
        ["tenant", "user_id"], ["user_account.tenant", "user_account.user_id"], ondelete="CASCADE"
    ),
)

former_user = Table(
    "former_user",
    metadata,
    _tenant(),
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
    _tenant(),
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
    _tenant(),
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
    _tenant(),
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
    _tenant(),
    Column("ticket_hash", String(64), primary_key=True),
    Column("user_id", String(64), nullable=False),
    Column("made_by", String(128), nullable=False),
    Column("wrapped", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
)
"""A host EHR's word that this user is logged in there: good once, for the address in `wrapped`."""

initial_access_token = Table(
    "initial_access_token",
    metadata,
    _tenant(),
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

session = Table(
    "session",
    metadata,
    _tenant(),
    Column("session_hash", String(64), primary_key=True),
    Column("user_id", String(64), nullable=False),
    Column("origin", String(16), nullable=False),
    Column("methods", String(64), nullable=False),
    Column("auth_time", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Index(None, "tenant", "user_id"),
)

pending_authorization = Table(
    "pending_authorization",
    metadata,
    _tenant(),
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
    _tenant(),
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
    _tenant(),
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

access_grant = Table(
    "access_grant",
    metadata,
    _tenant(),
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
    _tenant(),
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

assertion_jti = Table(
    "assertion_jti",
    metadata,
    _tenant(),
    Column("client_id", String(128), primary_key=True),
    Column("jti_hash", String(64), primary_key=True),
    Column("expires_at", BigInteger, nullable=False),
)

signing_key = Table(
    "signing_key",
    metadata,
    _tenant(),
    Column("kid", String(64), primary_key=True),
    Column("alg", String(16), nullable=False),
    Column("public_jwk", Text, nullable=False),
    Column("private_wrapped", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("retired_at", BigInteger),
    Column("remove_at", BigInteger),
)
"""A retired key signs nothing more and stays in the JWKS until `remove_at`."""

attempt = Table(
    "attempt",
    metadata,
    _tenant(),
    Column("bucket", String(255), primary_key=True),
    Column("minute", BigInteger, primary_key=True),
    Column("attempts", Integer, nullable=False),
)

login_failure = Table(
    "login_failure",
    metadata,
    _tenant(),
    Column("subject", String(64), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("blocked_until", BigInteger, nullable=False),
)
"""`subject` is a hash of user name and address, so that the table holds neither."""

consent = Table(
    "consent",
    metadata,
    _tenant(),
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

EXPIRING = (
    (session, session.c.expires_at),
    (pending_authorization, pending_authorization.c.expires_at),
    (launch, launch.c.expires_at),
    (federated_login, federated_login.c.expires_at),
    (login_ticket, login_ticket.c.expires_at),
    (initial_access_token, initial_access_token.c.expires_at),
    (authorization_code, authorization_code.c.expires_at),
    (refresh_token, refresh_token.c.expires_at),
    (access_grant, access_grant.c.expires_at),
    (assertion_jti, assertion_jti.c.expires_at),
)
"""Tables whose rows mean nothing some time after they expired."""
