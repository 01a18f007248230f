"""Apps, and what lets them register."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from smart_auth import keyring

AuthMethod = Literal["none", "client_secret_basic", "client_secret_post", "private_key_jwt"]

_LOOPBACK_WITH_PORT = re.compile(r"^(http://(?:127\.0\.0\.1|\[::1\])):\d{1,5}(?=/)")


@dataclass(frozen=True)
class Client:
    """A registered app.

    `scope` is what it registered for, `scope_limit` the most the provider lets it have (None: no
    limit). `patients`: a person's launch reaches only these of the person's, a backend these
    besides the members of its groups; None is no such list. `approved_at` is None while a
    developer's app waits for the provider. `may_launch`: a host EHR, which makes launches.
    """

    tenant: str
    client_id: str
    name: str
    auth_method: AuthMethod
    scope: str
    version: int = 1
    active: bool = True
    secret_hash: str | None = field(default=None, repr=False)
    redirect_uris: tuple[str, ...] = ()
    launch_uri: str | None = None
    grant_types: tuple[str, ...] = ()
    jwks: str | None = None
    jwks_uri: str | None = None
    groups: frozenset[str] = frozenset()
    whole_tenant: bool = False
    pkce_optional: bool = False
    may_introspect: bool = False
    valid_from: int | None = None
    valid_to: int | None = None
    created_at: int = 0
    owner: str | None = None
    approved_at: int | None = None
    approved_by: str | None = None
    scope_limit: str | None = None
    patients: frozenset[str] | None = None
    may_launch: bool = False
    details: Mapping[str, Any] = field(default_factory=dict)
    registration_hash: str | None = field(default=None, repr=False)

    @property
    def public(self) -> bool:
        """Whether the client cannot keep a secret."""
        return self.auth_method == "none"

    def usable(self, now: int) -> bool:
        """Whether the client is active and inside its validity window. Approval is not asked here:
        its own developer may launch an app that waits for it."""
        return (
            self.active
            and (self.valid_from is None or self.valid_from <= now)
            and (self.valid_to is None or now < self.valid_to)
        )

    def may_see(self, patient_id: str) -> bool:
        """Whether the patient is one this app may be launched for."""
        return self.patients is None or patient_id in self.patients

    # The names below are those Authlib asks of a client (rfc6749 ClientMixin).

    def get_client_id(self) -> str:
        """The client identifier."""
        return self.client_id

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Exact match with a registered URI (RFC 9700 section 2.1); only a loopback address that
        was registered without a port matches any port (RFC 8252 section 7.3)."""
        return redirect_uri in self.redirect_uris or (
            _LOOPBACK_WITH_PORT.match(redirect_uri) is not None
            and _LOOPBACK_WITH_PORT.sub(r"\1", redirect_uri) in self.redirect_uris
        )

    def check_client_secret(self, client_secret: str) -> bool:
        """Constant-time comparison with the stored hash."""
        return self.secret_hash is not None and keyring.same(
            self.secret_hash, keyring.hash_token(client_secret)
        )

    def check_endpoint_auth_method(self, method: str, _endpoint: str) -> bool:
        """One registered method per client; the two secret methods count as one."""
        if method.startswith("client_secret"):
            return self.auth_method.startswith("client_secret")
        return self.auth_method == method

    def check_grant_type(self, grant_type: str) -> bool:
        """Whether the client was registered for the grant type."""
        return grant_type in self.grant_types


@dataclass(frozen=True)
class InitialAccessToken:
    """What opens dynamic registration; its value is kept as a hash only. `uses_left` None is no
    limit; times in epoch seconds."""

    token_id: str
    name: str
    made_by: str
    created_at: int
    expires_at: int
    uses_left: int | None
    revoked_at: int | None = None

    def good(self, now: int) -> bool:
        """Whether an app may still be registered with it."""
        used_up = self.uses_left is not None and self.uses_left <= 0
        return self.revoked_at is None and now < self.expires_at and not used_up
