"""What the operator decides about the authorization server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from smart_auth.login_provider import LoginProvider
from smart_auth.records import Role

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


class UnsafeSettings(ValueError):
    """A setting that would make the server unsafe; the message is one sentence that names it."""


@dataclass(frozen=True)
class Lifetimes:
    """How long each thing lives, in seconds."""

    launch_access_token: int = 3600
    backend_access_token: int = 300
    authorization_code: int = 60
    launch: int = 300
    refresh_token: int = 90 * 86_400
    refresh_grace: int = 30
    online_grant: int = 8 * 3600
    session: int = 8 * 3600
    pending_authorization: int = 1800
    assertion: int = 300
    federated_login: int = 600


@dataclass(frozen=True)
class Limits:
    """Attempts from one address (changes in the portal: of one user) in a minute, and when login
    failures begin to be delayed."""

    logins_per_minute: int = 30
    token_requests_per_minute: int = 600
    authorizations_per_minute: int = 120
    introspections_per_minute: int = 1200
    registrations_per_minute: int = 20
    launches_per_minute: int = 600
    sign_ups_per_minute: int = 5
    portal_changes_per_minute: int = 60
    failures_before_delay: int = 5
    longest_delay: int = 30


DEMO_LIMITS = Limits(
    logins_per_minute=120,
    token_requests_per_minute=6000,
    authorizations_per_minute=6000,
    introspections_per_minute=6000,
    registrations_per_minute=600,
    launches_per_minute=6000,
    sign_ups_per_minute=120,
    portal_changes_per_minute=600,
)

Approval = Literal["automatic", "required"]
"""Whether an app that was not registered by an administrator works at once."""


@dataclass(frozen=True)
class AuthSettings:
    """`public_url` is the address clients see, with any proxy prefix and no trailing slash.

    `secret_keys`: the first encrypts, all decrypt. `demo` allows http on loopback, JWKS on private
    addresses and generous limits. `approve_apps`: what becomes of apps that developers register
    (None: see `app_approval`); `sign_up`: whether developers may make accounts of their own.
    `require_second_factor`: users of these roles who have none set one up at their next login here.
    `providers`: external OpenID providers to log in with, by tenant. Raises `UnsafeSettings` for an
    unsafe combination.
    """

    public_url: str
    secret_keys: tuple[str, ...] = field(repr=False)
    demo: bool = False
    lifetimes: Lifetimes = field(default_factory=Lifetimes)
    limits: Limits | None = None
    approve_apps: Approval | None = None
    require_second_factor: frozenset[Role] = frozenset()
    sign_up: bool = True
    providers: Mapping[str, Sequence[LoginProvider]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parts = urlsplit(self.public_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UnsafeSettings("The public URL must be an absolute http or https address.")
        if parts.scheme == "http" and not self.demo:
            raise UnsafeSettings("The public URL must use https outside demo mode.")
        if not self.secret_keys or any(len(key) < 16 for key in self.secret_keys):
            raise UnsafeSettings("The secret keys must be set, each of at least 16 characters.")
        for providers in self.providers.values():
            self._check_providers(providers)

    def _check_providers(self, providers: Sequence[LoginProvider]) -> None:
        if len({one.name for one in providers}) < len(providers):
            raise UnsafeSettings("Two login providers of a tenant have the same name.")
        if not self.demo and any(not one.issuer.startswith("https://") for one in providers):
            raise UnsafeSettings("The issuer of a login provider must use https outside demo mode.")

    def provider(self, tenant: str, name: str) -> LoginProvider | None:
        """The login provider of this name at a tenant."""
        found = (one for one in self.providers.get(tenant, ()) if one.name == name)
        return next(found, None)

    @property
    def cookie_secure(self) -> bool:
        """Whether cookies carry the Secure attribute: whenever the server is reached by https."""
        return self.public_url.startswith("https://")

    @property
    def effective_limits(self) -> Limits:
        """The limits in force: those given, or the defaults of the mode."""
        if self.limits is not None:
            return self.limits
        return DEMO_LIMITS if self.demo else Limits()

    @property
    def app_approval(self) -> Approval:
        """The rule in force for apps of developers: as set, or automatic in the demo only."""
        if self.approve_apps is not None:
            return self.approve_apps
        return "automatic" if self.demo else "required"
