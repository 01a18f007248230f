"""What an operator does to users, clients and keys, for the command line and the demo."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from smart_auth import clock, keyring
from smart_auth.client_metadata import InvalidClientMetadata, client_from_metadata
from smart_auth.keyring import Keyring
from smart_auth.passwords import hash_password
from smart_auth.records import Client, Role, User
from smart_auth.settings import AuthSettings
from smart_auth.signing import SigningKeys
from smart_auth.store import AuthStore

__all__ = [
    "CreatedClient",
    "InvalidClientMetadata",
    "change_client",
    "change_user",
    "create_client",
    "create_tenant_keys",
    "create_user",
    "deactivate_client",
    "delete_client",
    "list_clients",
    "list_users",
    "new_client_secret",
    "rotate_keys",
    "set_password",
]

SHORTEST_PASSWORD = 8
KEY_OVERLAP = 86_400
"""Seconds a rotated signing key still verifies: longer than any access or id_token lives."""


@dataclass(frozen=True)
class CreatedClient:
    """A registered client with its secret, which is shown this once and kept only as a hash."""

    client: Client
    client_secret: str | None = field(repr=False)


def create_tenant_keys(store: AuthStore, settings: AuthSettings, tenant: str) -> None:
    """Make the signing keys of a tenant unless it has some."""
    SigningKeys(store, Keyring(settings.secret_keys)).ensure(tenant)


def rotate_keys(
    store: AuthStore, settings: AuthSettings, tenant: str, overlap: int = KEY_OVERLAP
) -> None:
    """Sign with new keys; the old ones stay in the JWKS for `overlap` seconds."""
    SigningKeys(store, Keyring(settings.secret_keys)).rotate(tenant, overlap)


def create_user(
    store: AuthStore,
    tenant: str,
    username: str,
    password: str,
    *,
    role: Role,
    fhir_user: str | None = None,
    whole_tenant: bool = False,
    patients: Collection[str] = (),
    scopes: str | None = None,
) -> User:
    """Create someone who can log in. Raises `AlreadyExists`, or ValueError for a bad value.

    `fhir_user` is a relative reference; `patients` are ids without type; `scopes` is the most any
    grant of this user may hold (None for no limit).
    """
    if not username.strip():
        raise ValueError("The user name must not be empty")
    _check_password(password)
    if role == "patient" and whole_tenant:
        raise ValueError("A patient cannot be given the whole tenant")
    user = User(
        tenant=tenant,
        user_id=keyring.random_token(22),
        username=username,
        role=role,
        fhir_user=fhir_user,
        whole_tenant=whole_tenant,
        patients=frozenset(patients),
        scope=scopes,
        password_hash=hash_password(password),
    )
    store.users.add(user)
    return user


def change_user(store: AuthStore, user: User, **changes: Any) -> User:
    """Change fields of a user; it holds for tokens that are already out. Raises LookupError."""
    changed = replace(user, **changes)
    if not store.users.replace(changed):
        raise LookupError("No such user")
    return changed


def set_password(store: AuthStore, user: User, password: str) -> User:
    """Give a user a new password."""
    _check_password(password)
    return change_user(store, user, password_hash=hash_password(password))


def list_users(store: AuthStore, tenant: str) -> list[User]:
    """All users of a tenant."""
    return list(store.users.list(tenant))


def create_client(store: AuthStore, tenant: str, metadata: Mapping[str, Any]) -> CreatedClient:
    """Register an app from RFC 7591 metadata and our own members.

    Ours: `client_id` and `client_secret` (each made when absent and needed), `launch_uri`,
    `groups`, `whole_tenant`, `valid_from`, `valid_to` (epoch seconds), `pkce_optional`,
    `may_introspect`.
    Raises `InvalidClientMetadata` or `AlreadyExists`; nothing is kept then.
    """
    client, secret = client_from_metadata(tenant, metadata)
    client = replace(client, created_at=clock.now())
    store.clients.add(client)
    return CreatedClient(client, secret)


def change_client(store: AuthStore, client: Client, **changes: Any) -> Client:
    """Change fields of a client; it holds for tokens that are already out. Raises LookupError."""
    changed = replace(client, **changes)
    if not store.clients.replace(changed):
        raise LookupError("No such client")
    return changed


def new_client_secret(store: AuthStore, client: Client) -> CreatedClient:
    """Replace a confidential client's secret; the old one stops at once."""
    if not client.auth_method.startswith("client_secret"):
        raise ValueError("This client has no secret")
    secret = keyring.random_token()
    changed = change_client(store, client, secret_hash=keyring.hash_token(secret))
    return CreatedClient(changed, secret)


def deactivate_client(store: AuthStore, tenant: str, client_id: str) -> None:
    """Refuse the client and its tokens from now on. Raises LookupError."""
    client = store.clients.get(tenant, client_id)
    if client is None:
        raise LookupError("No such client")
    change_client(store, client, active=False)


def delete_client(store: AuthStore, tenant: str, client_id: str) -> None:
    """Remove a client; its tokens stop at once. Raises LookupError."""
    if not store.clients.delete(tenant, client_id):
        raise LookupError("No such client")


def list_clients(store: AuthStore, tenant: str) -> list[Client]:
    """All clients of a tenant."""
    return list(store.clients.list(tenant))


def _check_password(password: str) -> None:
    if len(password) < SHORTEST_PASSWORD:
        raise ValueError(f"The password needs at least {SHORTEST_PASSWORD} characters")
