"""The tables of the authorization server.

Every table is keyed by tenant first: tenants share nothing. Times are seconds since the epoch, UTC.
Random secrets are kept as SHA-256, passwords by argon2, signing keys wrapped
(`smart_auth.keyring`). JSON lists and objects are text, so that SQLite and PostgreSQL hold
the same.
"""

from smart_auth.store.tables.base import metadata
from smart_auth.store.tables.clients import (
    assertion_jti,
    client,
    client_group,
    client_jwks,
    client_patient,
    former_client,
    initial_access_token,
)
from smart_auth.store.tables.grants import access_grant, refresh_token
from smart_auth.store.tables.launches import (
    authorization_code,
    consent,
    launch,
    pending_authorization,
)
from smart_auth.store.tables.people import (
    federated_identity,
    federated_login,
    former_user,
    login_ticket,
    second_factor,
    session,
    user_account,
    user_patient,
)
from smart_auth.store.tables.server import attempt, login_failure, signing_key

__all__ = [
    "EXPIRING",
    "access_grant",
    "assertion_jti",
    "attempt",
    "authorization_code",
    "client",
    "client_group",
    "client_jwks",
    "client_patient",
    "consent",
    "federated_identity",
    "federated_login",
    "former_client",
    "former_user",
    "initial_access_token",
    "launch",
    "login_failure",
    "login_ticket",
    "metadata",
    "pending_authorization",
    "refresh_token",
    "second_factor",
    "session",
    "signing_key",
    "user_account",
    "user_patient",
]

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
