"""A launch, from its beginning to the code that the app gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


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
