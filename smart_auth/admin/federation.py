"""What an administrator does to the links between external identities and users."""

from __future__ import annotations

from collections.abc import Sequence

from smart_auth import clock
from smart_auth.federation.id_token import LONGEST_SUBJECT
from smart_auth.login_provider import LoginProvider
from smart_auth.records import User
from smart_auth.store import AuthStore, FederatedIdentity


def link_identity(
    store: AuthStore, user: User, provider: LoginProvider, subject: str
) -> FederatedIdentity:
    """Let an account at a provider log in as this user. `subject` is its `sub` there, which is
    never given to another person (OpenID Connect Core section 2).

    Raises `AlreadyExists` when that account is linked already, LookupError for an unknown user, and
    ValueError for what cannot be a subject.
    """
    if not 0 < len(subject) <= LONGEST_SUBJECT or not (subject.isascii() and subject.isprintable()):
        raise ValueError(f"A subject is 1 to {LONGEST_SUBJECT} printable ASCII characters")
    identity = FederatedIdentity(provider.issuer, subject, user.user_id, clock.now())
    store.federation.link(user.tenant, identity)
    return identity


def unlink_identity(store: AuthStore, tenant: str, issuer: str, subject: str) -> bool:
    """Take a link away; False when there was none. Sessions that it began go on until they end: see
    `end_sessions`."""
    return store.federation.unlink(tenant, issuer, subject)


def list_identities(
    store: AuthStore, tenant: str, user_id: str | None = None
) -> Sequence[FederatedIdentity]:
    """The links of a tenant, or those of one user."""
    return store.federation.identities(tenant, user_id)
