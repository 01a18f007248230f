"""What an administrator does to apps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from smart_auth import clock, keyring
from smart_auth.client_metadata import client_from_metadata
from smart_auth.records import Client, Grant
from smart_auth.store import AuthStore

OPERATOR = "operator"
"""Who acted, where it was nobody with an account: the command line."""


PAUSED_BY = "paused_by"
"""In a client's details: the developer who made it inactive, and so may make it active again."""


class ChangedSince(ValueError):
    """The client or user was changed since it was read: look at it again."""


@dataclass(frozen=True)
class CreatedClient:
    """A registered client with its secret, which is shown this once and kept only as a hash."""

    client: Client
    client_secret: str | None = field(repr=False)


def create_client(
    store: AuthStore,
    tenant: str,
    metadata: Mapping[str, Any],
    *,
    owner: str | None = None,
    approved_by: str | None = OPERATOR,
    demo: bool = False,
) -> CreatedClient:
    """Register an app from RFC 7591 metadata and our own members.

    Ours: `client_id` and `client_secret` (each made when absent and needed), `launch_uri`,
    `groups`, `whole_tenant`, `valid_from`, `valid_to` (epoch seconds), `pkce_optional`,
    `may_introspect`, `may_launch`.
    `owner` is the developer's user id; `approved_by` None leaves the app waiting for approval;
    `demo`: see `client_from_metadata`.
    Raises `InvalidClientMetadata` or `AlreadyExists`; nothing is kept then.
    """
    client, secret = client_from_metadata(tenant, metadata, demo=demo)
    now = clock.now()
    client = replace(
        client,
        created_at=now,
        owner=owner,
        approved_at=None if approved_by is None else now,
        approved_by=approved_by,
    )
    store.clients.add(client)
    return CreatedClient(client, secret)


def change_client(
    store: AuthStore, client: Client, *, as_of: int | None = None, **changes: Any
) -> Client:
    """Change fields of a client; it holds for tokens that are already out.

    Whoever sets `active` takes it over from the developer who paused the app (`PAUSED_BY`).
    Raises LookupError, and with `as_of` (the version somebody looked at) `ChangedSince`.
    """
    if "active" in changes and "details" not in changes:
        changes["details"] = {k: v for k, v in client.details.items() if k != PAUSED_BY}
    changed = replace(client, **changes)
    if not store.clients.replace(changed, as_of=as_of):
        if as_of is not None and store.clients.get(client.tenant, client.client_id) is not None:
            raise ChangedSince
        raise LookupError("No such client")
    return changed


def approve_client(store: AuthStore, client: Client, approved_by: str) -> Client:
    """Let everybody launch a developer's app, and a backend get tokens: the app as it was read.
    Raises LookupError and `ChangedSince`."""
    now = clock.now()
    return change_client(
        store, client, as_of=client.version, approved_at=now, approved_by=approved_by
    )


def new_client_secret(
    store: AuthStore, client: Client, *, as_of: int | None = None
) -> CreatedClient:
    """Replace a confidential client's secret; the old one stops at once.

    Raises as `change_client`, and ValueError for a client that has none.
    """
    if not client.auth_method.startswith("client_secret"):
        raise ValueError("This client has no secret")
    secret = keyring.random_token()
    changed = change_client(store, client, as_of=as_of, secret_hash=keyring.hash_token(secret))
    return CreatedClient(changed, secret)


def deactivate_client(store: AuthStore, tenant: str, client_id: str) -> None:
    """Refuse the client and its tokens from now on. Raises LookupError."""
    client = store.clients.get(tenant, client_id)
    if client is None:
        raise LookupError("No such client")
    change_client(store, client, active=False)


def delete_client(store: AuthStore, tenant: str, client_id: str) -> Sequence[Grant]:
    """Remove a client; its tokens stop at once. Returns the grants that ended. Raises
    LookupError."""
    ended = store.clients.delete(tenant, client_id)
    if ended is None:
        raise LookupError("No such client")
    return ended.grants


def list_clients(store: AuthStore, tenant: str) -> list[Client]:
    """All clients of a tenant."""
    return list(store.clients.list(tenant))
