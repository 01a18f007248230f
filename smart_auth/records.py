"""What the store gives back: frozen records, with the rules that need only their own fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from smart_auth import keyring

_LOOPBACK_WITH_PORT = re.compile(r"^(http://(?:127\.0\.0\.1|\[::1\])):\d{1,5}(?=/)")

Role = Literal["practitioner", "patient", "admin", "developer"]
Service = Literal["patient", "provider"]
FactorKind = Literal["pin", "totp"]
AuthMethod = Literal["none", "client_secret_basic", "client_secret_post", "private_key_jwt"]
GrantKind = Literal["launch", "backend"]


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
class User:
    """A person who can log in; `fhir_user` is relative (`Patient/…`), `scope` limits grants.
    `password_temporary`: somebody else gave the password, so a login asks for another."""

    tenant: str
    user_id: str
    username: str
    role: Role
    fhir_user: str | None = None
    whole_tenant: bool = False
    patients: frozenset[str] = frozenset()
    scope: str | None = None
    active: bool = True
    version: int = 1
    password_hash: str = field(default="", repr=False)
    name: str = ""
    service: Service | None = None
    profile: Mapping[str, str] = field(default_factory=dict, repr=False)
    password_temporary: bool = False

    def may_see(self, patient_id: str) -> bool:
        """Whether the patient is one of the user's."""
        return self.whole_tenant or patient_id in self.patients

    @property
    def own_patients(self) -> frozenset[str]:
        """The records that are this user's own: a patient's, or those of a developer who builds for
        patients."""
        own = self.role == "patient" or (self.role == "developer" and self.service == "patient")
        return self.patients if own else frozenset()


@dataclass(frozen=True)
class FormerUser:
    """Who a deleted user was; `deleted_at` in epoch seconds."""

    user_id: str
    username: str
    name: str
    role: Role
    deleted_at: int


@dataclass(frozen=True)
class LaunchContext:
    """What a launch is about, as it goes into the token response."""

    patient: str | None = None
    encounter: str | None = None
    fhir_context: tuple[Mapping[str, Any], ...] = ()
    need_patient_banner: bool = True
    intent: str | None = None


@dataclass(frozen=True)
class Launch:
    """One launch made by an EHR for one user and one app."""

    launch_hash: str
    user_id: str
    client_id: str
    context: LaunchContext
    expires_at: int
    used_at: int | None


@dataclass(frozen=True)
class Session:
    """A login of a user in a browser. `origin` is who checked the person (login, ehr, an external
    provider), `methods` how, in the words of RFC 8176 (`pwd otp`)."""

    session_hash: str
    user_id: str
    origin: str
    auth_time: int
    expires_at: int
    methods: str = "pwd"


@dataclass(frozen=True)
class SecondFactor:
    """What a user shows besides the password: `secret` is a PIN's argon2 hash or a wrapped TOTP
    seed, `last_step` the time step last accepted."""

    user_id: str
    kind: FactorKind
    secret: str = field(repr=False)
    last_step: int | None
    created_at: int


@dataclass(frozen=True)
class PendingAuthorization:
    """An authorization request that waits for login, patient or consent.

    `login_after`: a login must not be older (epoch seconds). `new_login`: nor be `earlier_session`,
    the one the browser had when it first showed the request.
    """

    request_hash: str
    client_id: str
    parameters: Mapping[str, str]
    launch_hash: str | None
    browser_hash: str | None
    login_after: int | None
    user_id: str | None
    patient_id: str | None
    expires_at: int
    decided_at: int | None
    new_login: bool = False
    earlier_session: str | None = None


@dataclass(frozen=True)
class AuthorizationCode:
    """A code as stored; `used_at` and `grant_id` are set when it was redeemed."""

    code_hash: str
    client_id: str
    user_id: str
    session_hash: str
    redirect_uri: str
    scope: str
    context: LaunchContext
    nonce: str | None
    code_challenge: str | None
    auth_time: int
    expires_at: int
    used_at: int | None = None
    grant_id: str | None = None
    methods: str = ""

    # The names below are those Authlib asks of a code (rfc6749 AuthorizationCodeMixin, rfc7636).

    def get_redirect_uri(self) -> str:
        """The redirect URI of the authorization request."""
        return self.redirect_uri

    def get_scope(self) -> str:
        """The granted scope."""
        return self.scope

    @property
    def code_challenge_method(self) -> str | None:
        """S256 is the only method."""
        return "S256" if self.code_challenge else None


@dataclass(frozen=True)
class Grant:
    """What one consent or one backend request bought: the family of its tokens. `methods` is how
    its user logged in (see `Session`), '' when that is not known."""

    grant_id: str
    kind: GrantKind
    client_id: str
    user_id: str | None
    session_hash: str | None
    scope: str
    context: LaunchContext
    auth_time: int | None
    created_at: int
    expires_at: int
    last_used_at: int
    revoked_at: int | None = None
    revoked_why: str | None = None
    methods: str = ""


@dataclass(frozen=True)
class Ended:
    """What one act ended: how many sessions, and which grants."""

    sessions: int
    grants: tuple[Grant, ...]


@dataclass(frozen=True)
class RefreshToken:
    """A refresh token with its family; `parent_hash` is of the one it was exchanged for."""

    token_hash: str
    grant: Grant
    expires_at: int
    rotated_at: int | None
    parent_hash: str | None = None

    def check_client(self, client: Client) -> bool:
        """Whether the token was issued to this client."""
        return self.grant.client_id == client.client_id

    def get_scope(self) -> str:
        """The scope of the family."""
        return self.grant.scope


@dataclass(frozen=True)
class SigningKey:
    """A key pair of a tenant; the private part is wrapped."""

    kid: str
    alg: Literal["ES256", "RS256"]
    public_jwk: str
    private_wrapped: str = field(repr=False)
    created_at: int
    retired_at: int | None
    remove_at: int | None


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


@dataclass(frozen=True)
class LoginTicket:
    """A host EHR's word, `made_by` a client id, that this user is logged in there; `wrapped` is the
    address it is for, encrypted."""

    user_id: str
    made_by: str
    wrapped: str
    created_at: int
    expires_at: int


@dataclass(frozen=True)
class ConsentRecord:
    """One decision of a user about an app."""

    user_id: str
    client_id: str
    decision: Literal["granted", "denied"]
    asked_scope: str
    granted_scope: str
    patient_id: str | None
    decided_at: int
