"""Apps that register themselves and keep their registration (RFC 7591 and 7592).

Such an app can be launched once it is approved, and a person decides what it gets; it is given no
groups, so as a backend it reaches nobody until the provider assigns it some.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from smart_auth import admin, clock, keyring
from smart_auth.client_details import is_public
from smart_auth.client_metadata import InvalidClientMetadata, client_from_metadata
from smart_auth.client_scope import wider
from smart_auth.core import Core
from smart_auth.ports import TenantInfo
from smart_auth.records import Client

TAKEN = frozenset(
    {
        "redirect_uris",
        "grant_types",
        "response_types",
        "token_endpoint_auth_method",
        "scope",
        "jwks",
        "jwks_uri",
        "launch_uri",
    }
)
"""Members an app may set besides those for people to read; all others are ignored (RFC 7591 section
2): what only the provider decides is among those."""

ISSUED = (
    "registration_access_token",
    "registration_client_uri",
    "client_secret_expires_at",
    "client_id_issued_at",
)
"""What an update must not carry (RFC 7592 section 2.2)."""


class NotLetIn(Exception):
    """The bearer token does not open this. `client_id` is set when it was for an app of ours."""

    def __init__(self, text: str, client_id: str | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.client_id = client_id


class NotAllowed(Exception):
    """The app may not change this (403); the message is a fixed text."""


class Busy(Exception):
    """Somebody else changed the app at the same moment."""


@dataclass(frozen=True)
class Registered:
    """An app with its registration access token, and its secret when it was made just now."""

    client: Client
    access_token: str = field(repr=False)
    client_secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Registration:
    """Dynamic registration at one tenant."""

    core: Core
    tenant: TenantInfo

    def let_in(self, token: str | None) -> str | None:
        """The hash of an initial access token that may be used, or None where registration is open
        (the demo) and no token came. Raises `NotLetIn`."""
        if token is None:
            if self.core.settings.demo:
                return None
            raise NotLetIn("Registration needs an initial access token of the provider")
        token_hash = keyring.hash_token(token)
        if not self.core.store.registration.token_is_good(
            self.tenant.slug, token_hash, clock.now()
        ):
            raise _ended_token()
        return token_hash

    def register(self, metadata: Mapping[str, Any], token_hash: str | None) -> Registered:
        """Register the app these metadata describe, and use the token. Raises
        `InvalidClientMetadata`, or `NotLetIn` when the token was used up meanwhile."""
        made, secret = self._judged(metadata)
        now = clock.now()
        access_token = keyring.random_token()
        at_once = self.core.settings.app_approval == "automatic"
        client = replace(
            made,
            created_at=now,
            approved_at=now if at_once else None,
            approved_by="automatic" if at_once else None,
            registration_hash=keyring.hash_token(access_token),
        )
        if not self.core.store.registration.register(client, token_hash, now):
            raise _ended_token()
        return Registered(client, access_token, secret)

    def find(self, client_id: str, token: str | None) -> Client:
        """The app this registration access token is of. Raises `NotLetIn`, the same for an app
        that is unknown or was deleted."""
        client = self.core.store.clients.get(self.tenant.slug, client_id)
        known = None if client is None else client.registration_hash
        given = keyring.hash_token(token or "")
        if client is None or known is None or token is None or not keyring.same(known, given):
            raise NotLetIn(
                "The registration access token is not that of this app",
                None if client is None else client.client_id,
            )
        return client

    def update(self, client: Client, document: Mapping[str, Any], token: str) -> Registered:
        """Replace all the app said of itself, and nothing of what the provider decided.

        What makes an approved app more than it was sends it back to approval, where that is
        required. Raises `InvalidClientMetadata`, `NotAllowed` or `Busy`; nothing is changed then.
        """
        _check_update(client, document)
        if not client.active:
            raise NotAllowed("The app was made inactive by the provider: it cannot be changed")
        wanted, secret = self._judged(
            {name: value for name, value in document.items() if name != "client_secret"},
            client.client_id,
        )
        if wanted.auth_method.startswith("client_secret") and client.secret_hash is not None:
            secret = None
            wanted = replace(wanted, secret_hash=client.secret_hash)
        changed = self._approval(client, _as_provided(client, wanted))
        if not self.core.store.clients.replace(changed, as_of=client.version):
            raise Busy
        return Registered(changed, token, secret)

    def delete(self, client: Client) -> None:
        """Remove the app: its tokens stop at once. Raises `NotAllowed`."""
        if not client.active:
            raise NotAllowed("The app was made inactive by the provider: it cannot be deleted")
        ended = admin.delete_client(self.core.store, self.tenant.slug, client.client_id)
        self.core.audit_ended(self.tenant.slug, ended, "the app removed itself")

    def _judged(
        self, metadata: Mapping[str, Any], client_id: str | None = None
    ) -> tuple[Client, str | None]:
        if "software_statement" in metadata:
            raise InvalidClientMetadata(
                "Software statements are not taken here: send the metadata themselves",
                "unapproved_software_statement",
            )
        taken = {
            name: value
            for name, value in metadata.items()
            if value is not None and (name in TAKEN or is_public(name))
        }
        taken.setdefault("token_endpoint_auth_method", "client_secret_basic")
        if client_id is not None:
            taken["client_id"] = client_id
        return client_from_metadata(self.tenant.slug, taken, demo=self.core.settings.demo)

    def _approval(self, old: Client, new: Client) -> Client:
        required = self.core.settings.app_approval == "required"
        if required and wider(old, new, self.core.ports.scope_types()):
            return replace(new, approved_at=None, approved_by=None)
        return new


def described(registered: Registered, tenant: TenantInfo) -> dict[str, Any]:
    """The answer of RFC 7591 section 3.2.1 and RFC 7592 section 3."""
    client = registered.client
    said: dict[str, Any] = {
        "client_id": client.client_id,
        "client_id_issued_at": client.created_at,
        "client_name": client.name,
        "redirect_uris": list(client.redirect_uris),
        "grant_types": list(client.grant_types),
        "response_types": ["code"] if "authorization_code" in client.grant_types else [],
        "token_endpoint_auth_method": client.auth_method,
        "scope": client.scope,
        "jwks_uri": client.jwks_uri,
        "launch_uri": client.launch_uri,
        "registration_access_token": registered.access_token,
        "registration_client_uri": f"{tenant.issuer}/auth/register/{client.client_id}",
    }
    said |= {name: value for name, value in client.details.items() if is_public(name)}
    if client.jwks is not None:
        said["jwks"] = json.loads(client.jwks)
    if registered.client_secret is not None:
        said |= {"client_secret": registered.client_secret, "client_secret_expires_at": 0}
    return {name: value for name, value in said.items() if value is not None}


def _ended_token() -> NotLetIn:
    return NotLetIn("The initial access token is unknown, used up, revoked or expired")


def _check_update(client: Client, document: Mapping[str, Any]) -> None:
    if document.get("client_id") != client.client_id:
        raise InvalidClientMetadata("client_id must be there, and be that of this app")
    if carried := [name for name in ISSUED if name in document]:
        raise InvalidClientMetadata("An update must not carry " + ", ".join(carried))
    secret = document.get("client_secret")
    if secret is not None and not (isinstance(secret, str) and client.check_client_secret(secret)):
        raise InvalidClientMetadata("client_secret must be the one the app has: leave it out")


def _as_provided(client: Client, wanted: Client) -> Client:
    """What the app wants, with all that is not the app's to say as it is."""
    kept = {name: one for name, one in client.details.items() if not is_public(name)}
    return replace(
        client,
        name=wanted.name,
        auth_method=wanted.auth_method,
        scope=wanted.scope,
        secret_hash=wanted.secret_hash,
        redirect_uris=wanted.redirect_uris,
        launch_uri=wanted.launch_uri,
        grant_types=wanted.grant_types,
        jwks=wanted.jwks,
        jwks_uri=wanted.jwks_uri,
        pkce_optional=client.pkce_optional and not wanted.public,
        may_introspect=client.may_introspect and not wanted.public,
        may_launch=client.may_launch and not wanted.public,
        details=kept | dict(wanted.details),
    )
