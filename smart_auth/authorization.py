"""An authorization request, judged before anybody is asked to log in.

RFC 6749 section 4.1.1, RFC 7636, SMART App Launch section 2.0.9. Until client and redirect URI are
known to belong together nothing is redirected anywhere; after that, every refusal goes to the app.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote_plus

from smart_auth import clock
from smart_auth.client_metadata import LONGEST_SCOPE
from smart_auth.core import Core
from smart_auth.launches import Launches
from smart_auth.ports import TenantInfo
from smart_auth.records import Client, Launch, PendingAuthorization, Session
from smart_auth.refusals import (
    CannotRedirect,
    Refused,
    listed,
    refusal,
    scope_words,
    without_query,
)
from smart_auth.scopes import ScopeSet

__all__ = ["AuthorizationRequest", "CannotRedirect", "Parameters", "Refused"]

LARGEST_REQUEST = 65_536

_CHALLENGE = re.compile(r"[A-Za-z0-9\-._~]{43,128}")
_SAFE_RAW = re.compile(r"[A-Za-z0-9\-._~!$'()*,;:@/?%+=]*")


@dataclass(frozen=True)
class Parameters:
    """Decoded parameters by name, those that came twice, and `state` exactly as it was written."""

    values: Mapping[str, str]
    repeated: frozenset[str]
    raw_state: str

    @classmethod
    def read(cls, encoded: bytes) -> Parameters:
        """Read a query or form body. Parameters without a value count as absent.

        Raises CannotRedirect when it is not form-encoded text.
        """
        if len(encoded) > LARGEST_REQUEST:
            raise CannotRedirect("The request is too long.")
        values: dict[str, str] = {}
        repeated: set[str] = set()
        raw_state = ""
        for part in encoded.decode("latin-1").split("&"):
            raw_name, _, raw_value = part.partition("=")
            name = unquote_plus(raw_name, errors="replace")
            value = unquote_plus(raw_value.encode("latin-1").decode("utf-8", "replace"))
            if not value:
                continue
            if name in values:
                repeated.add(name)
            values[name] = value
            if name == "state":
                raw_state = _redirectable(raw_value)
        return cls(values, frozenset(repeated), raw_state)


@dataclass(frozen=True)
class AuthorizationRequest:
    """A request that may be put before a person. `scope` is what the app may have of what it asked;
    the user's own limits come later. `login_after`: a login must not be older than this;
    `new_login`: nor may it be the one the browser had when the request came."""

    client: Client
    redirect_uri: str
    raw_state: str
    asked_scope: str
    scope: ScopeSet
    nonce: str | None
    code_challenge: str | None
    launch: Launch | None
    login_after: int | None
    new_login: bool
    prompt_none: bool


def find_client(core: Core, tenant: TenantInfo, parameters: Parameters) -> tuple[Client, str]:
    """The app and the redirect URI, when they belong together; raises CannotRedirect."""
    if parameters.repeated & {"client_id", "redirect_uri"}:
        raise CannotRedirect("client_id or redirect_uri came more than once.")
    client_id = parameters.values.get("client_id")
    if client_id is None:
        raise CannotRedirect("The app did not send its client_id.")
    client = core.store.clients.get(tenant.slug, client_id)
    if client is None:
        raise CannotRedirect("No app of this client_id is registered here.", client_id)
    redirect_uri = parameters.values.get("redirect_uri")
    if redirect_uri is None:
        raise _bad_redirect(client, "The app did not send its redirect_uri.", None)
    if not client.check_redirect_uri(redirect_uri):
        text = "This redirect_uri is not registered for the app."
        raise _bad_redirect(client, text, redirect_uri)
    return client, redirect_uri


def _bad_redirect(client: Client, text: str, received: str | None) -> CannotRedirect:
    noted = refusal(
        "invalid_request",
        text,
        "redirect",
        expected=listed(client.redirect_uris),
        received=without_query(received or ""),
    )
    return CannotRedirect(text, received, client_id=client.client_id, refusal=noted)


def judge(
    core: Core,
    tenant: TenantInfo,
    parameters: Parameters,
    client: Client,
    redirect_uri: str,
) -> AuthorizationRequest:
    """Check everything that needs no person; raises `Refused`."""
    values = parameters.values
    if parameters.repeated:
        raise Refused("invalid_request", "A parameter came more than once")
    _check_client(client)
    _check_response(values)
    if not parameters.raw_state:
        raise Refused("invalid_request", "state is missing: send an unguessable value")
    _check_audience(tenant, values)
    challenge = _code_challenge(client, values)
    launch = _launch(core, tenant, client, values)
    scope = _scope(core, client, values, launch)
    prompts = values.get("prompt", "").split()
    if "none" in prompts and len(prompts) > 1:
        raise Refused(
            "invalid_request", "prompt=none cannot be combined with another value", "login"
        )
    login_after, new_login = _login_wanted(values, prompts)
    return AuthorizationRequest(
        client=client,
        redirect_uri=redirect_uri,
        raw_state=parameters.raw_state,
        asked_scope=values["scope"],
        scope=scope,
        nonce=values.get("nonce"),
        code_challenge=challenge,
        launch=launch,
        login_after=login_after,
        new_login=new_login,
        prompt_none="none" in prompts,
    )


def _check_client(client: Client) -> None:
    if not client.usable(clock.now()):
        raise Refused("unauthorized_client", "The app is inactive or outside its validity window")
    if not client.check_grant_type("authorization_code"):
        raise Refused(
            "unauthorized_client",
            "The app is not registered for authorization_code",
            expected=listed(client.grant_types),
            received="authorization_code",
        )


def _check_response(values: Mapping[str, str]) -> None:
    if "response_type" not in values:
        raise Refused(
            "invalid_request", "response_type is missing: it must be code", expected="code"
        )
    if values["response_type"] != "code":
        raise Refused(
            "unsupported_response_type",
            "response_type must be code",
            expected="code",
            received=values["response_type"],
        )
    if values.get("response_mode", "query") != "query":
        raise Refused(
            "invalid_request",
            "response_mode must be query",
            expected="query",
            received=values["response_mode"],
        )
    if "request" in values:
        raise Refused("request_not_supported", "Request objects are not supported")
    if "request_uri" in values:
        raise Refused("request_uri_not_supported", "Request objects are not supported")


def _check_audience(tenant: TenantInfo, values: Mapping[str, str]) -> None:
    audience = values.get("aud")
    if audience is None:
        raise Refused(
            "invalid_request", "aud is missing: send the FHIR base URL", "aud", tenant.issuer
        )
    if audience.removesuffix("/") != tenant.issuer:
        raise Refused(
            "invalid_request",
            f"aud must be the FHIR base URL {tenant.issuer}",
            "aud",
            expected=tenant.issuer,
            received=without_query(audience),
        )


def _code_challenge(client: Client, values: Mapping[str, str]) -> str | None:
    challenge = values.get("code_challenge")
    method = values.get("code_challenge_method")
    if challenge is None:
        if client.public or not client.pkce_optional or method is not None:
            raise _pkce(
                "code_challenge is missing: PKCE with S256 is required", "code_challenge", ""
            )
        return None
    if method != "S256":
        raise _pkce("code_challenge_method must be S256", "S256", method or "")
    if not _CHALLENGE.fullmatch(challenge):
        raise _pkce(
            "code_challenge must be 43 to 128 unreserved characters",
            "43 to 128 characters of A-Z a-z 0-9 - . _ ~",
            f"{len(challenge)} characters",
        )
    return challenge


def _pkce(text: str, expected: str, received: str) -> Refused:
    return Refused("invalid_request", text, "pkce", expected, received)


def _launch(
    core: Core, tenant: TenantInfo, client: Client, values: Mapping[str, str]
) -> Launch | None:
    if "launch" not in values:
        return None
    launch = Launches(core).find(tenant.slug, values["launch"])
    if launch is None or launch.client_id != client.client_id:
        raise _bad_launch("The launch value is not one made for this app here")
    if launch.used_at is not None:
        raise _bad_launch("The launch value was used before: launch the app again")
    if launch.expires_at <= clock.now():
        raise _bad_launch("The launch value has expired: launch the app again")
    return launch


def _bad_launch(text: str) -> Refused:
    return Refused("invalid_request", text, "launch", "a launch value made for this app, unused")


def _scope(
    core: Core, client: Client, values: Mapping[str, str], launch: Launch | None
) -> ScopeSet:
    if "scope" not in values:
        raise Refused("invalid_scope", "scope is missing", expected=client.scope)
    if len(values["scope"]) > LONGEST_SCOPE:
        raise Refused("invalid_scope", f"scope may have at most {LONGEST_SCOPE} characters")
    asked = core.scopes(values["scope"]).at_level("patient", "user")
    scope = asked.intersect(core.allowed_to(client))
    if launch is None:
        scope = scope.without("launch", "launch/encounter")
    elif launch.context.encounter is None:
        scope = scope.without("launch/encounter")
    if not client.check_grant_type("refresh_token"):
        scope = scope.without("offline_access", "online_access")
    if not scope.meaningful:
        raise Refused(
            "invalid_scope",
            "No scope is left that this server knows and the app may have",
            expected=str(core.allowed_to(client).at_level("patient", "user")),
            received=scope_words(values["scope"]),
        )
    return scope


def _login_wanted(values: Mapping[str, str], prompts: list[str]) -> tuple[int | None, bool]:
    """The instant (epoch seconds) a login must not be older than, and whether it must be another
    than the browser has (OpenID Connect Core 3.1.2.1); `max_age=0` means the same as prompt=login.
    """
    now = clock.now()
    max_age = values.get("max_age")
    if max_age is not None and not re.fullmatch(r"[0-9]{1,9}", max_age):
        raise Refused("invalid_request", "max_age must be a number of seconds", "login")
    if {"login", "select_account"} & set(prompts) or (max_age and int(max_age) == 0):
        return now, True
    return (None if max_age is None else now - int(max_age)), False


def fresh_enough(pending: PendingAuthorization, session: Session) -> bool:
    """Whether this login answers what the request asks of it: its age, and with prompt=login that
    it is not the one that was there when the request was first shown in this browser."""
    if pending.login_after is not None and session.auth_time < pending.login_after:
        return False
    if not pending.new_login:
        return True
    shown = pending.browser_hash is not None
    return shown and session.session_hash != pending.earlier_session


def _redirectable(raw: str) -> str:
    """The value as it was written, when it may stand in a Location header; otherwise escaped."""
    return raw if _SAFE_RAW.fullmatch(raw) else quote(raw.encode("latin-1"), safe="%+")
