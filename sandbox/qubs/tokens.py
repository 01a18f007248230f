"""The token service: client credentials and refresh tokens in, JWTs with the grants out."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from sandbox.qubs.clock import Clock
from sandbox.qubs.problems import Problem, TokenRefusal
from sandbox.qubs.settings import ClientSpec, ServiceSettings

REFRESH_TTL_S = 5 * 24 * 3600
ID_TOKEN_TTL_S = 3600
ISSUER = "https://authenticate.qubs.io"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as the claims of the token say. ``sites`` restricts a domain where it is named."""

    client_id: str
    domains: frozenset[str]
    billing: bool
    provider_numbers: frozenset[str]
    sites: Mapping[str, frozenset[str]]
    expires: float

    def allowed_sites(self, domain: str) -> frozenset[str] | None:
        """The sites of a domain the caller may use; None means all."""
        return self.sites.get(domain)


class TokenService:
    """Issues and checks tokens. Checked tokens are remembered until they expire."""

    def __init__(self, settings: ServiceSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._clients = {client.client_id: client for client in settings.clients}
        self._key = ECKey.generate_key("P-256", {"kid": secrets.token_hex(4)}, auto_kid=False)
        self._refresh: dict[str, tuple[str, float]] = {}
        self._checked: dict[str, Caller] = {}
        self._lock = threading.Lock()

    def issue(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Answer one token request; raises TokenRefusal."""
        grant = form.get("grant_type", "")
        client = self._client(form, secret_needed=grant != "refresh_token")
        if grant == "refresh_token":
            self._redeem(form.get("refresh_token", ""), client)
        elif grant != "client_credentials":
            raise TokenRefusal(
                "unsupported_grant_type" if grant else "invalid_request",
                "grant_type must be client_credentials or refresh_token",
            )
        return self._answer(client, with_refresh=grant == "client_credentials")

    def check(self, authorization: str | None) -> Caller:
        """The caller of a request by its Authorization header; raises Problem 401."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise _unauthorized("A bearer token is required.")
        name = hashlib.sha256(token.encode()).hexdigest()
        caller = self._checked.get(name) or self._decode(token)
        if caller.expires <= self._clock.now():
            self._checked.pop(name, None)
            raise _unauthorized("The token has expired.")
        with self._lock:
            if len(self._checked) > 1000:
                self._checked.clear()
            self._checked[name] = caller
        return caller

    def jwks(self) -> dict[str, Any]:
        """The public key set."""
        return {"keys": [self._key.as_dict(private=False) | {"use": "sig", "alg": "ES256"}]}

    def _client(self, form: Mapping[str, str], *, secret_needed: bool) -> ClientSpec:
        client = self._clients.get(form.get("client_id", ""))
        secret = form.get("client_secret")
        if client is None or (secret is None and secret_needed):
            raise TokenRefusal("invalid_client", "unknown client or wrong secret", 401)
        if secret is not None and not hmac.compare_digest(secret.encode(), client.secret.encode()):
            raise TokenRefusal("invalid_client", "unknown client or wrong secret", 401)
        return client

    def _redeem(self, token: str, client: ClientSpec) -> None:
        owner, expires = self._refresh.get(hashlib.sha256(token.encode()).hexdigest(), ("", 0.0))
        if owner != client.client_id or expires <= self._clock.now():
            raise TokenRefusal("invalid_grant", "the refresh token is unknown or has expired")

    def _answer(self, client: ClientSpec, *, with_refresh: bool) -> dict[str, Any]:
        now = int(self._clock.now())
        base = {"iss": ISSUER, "sub": client.client_id, "iat": now}
        access = base | {
            "exp": now + self._settings.token_ttl_s,
            "jti": secrets.token_hex(8),
            "token_use": "access",
            "client_id": client.client_id,
            "domains": list(client.domains),
            "grants": ["appointments:read_billing"] if client.billing else [],
            "provider_numbers": list(client.provider_numbers),
            "sites": {domain: list(names) for domain, names in client.sites.items()},
        }
        answer: dict[str, Any] = {
            "access_token": self._sign(access),
            "expires_in": self._settings.token_ttl_s,
            "token_type": "Bearer",
        }
        if self._settings.id_tokens:
            claims = {"exp": now + ID_TOKEN_TTL_S, "aud": client.client_id, "token_use": "id"}
            answer["id_token"] = self._sign(base | claims)
        if self._settings.refresh_tokens and with_refresh:
            refresh = secrets.token_urlsafe(32)
            with self._lock:
                digest = hashlib.sha256(refresh.encode()).hexdigest()
                self._refresh[digest] = (client.client_id, now + REFRESH_TTL_S)
            answer["refresh_token"] = refresh
        return answer

    def _sign(self, claims: dict[str, Any]) -> str:
        return jwt.encode({"alg": "ES256", "kid": self._key.kid}, claims, self._key)

    def _decode(self, token: str) -> Caller:
        try:
            claims = jwt.decode(token, self._key, algorithms=["ES256"]).claims
        except (JoseError, ValueError) as error:
            raise _unauthorized("The token is malformed.") from error
        if claims.get("token_use") != "access":
            raise _unauthorized("The token is not an access token.")
        return Caller(
            client_id=claims["client_id"],
            domains=frozenset(claims["domains"]),
            billing="appointments:read_billing" in claims["grants"],
            provider_numbers=frozenset(claims["provider_numbers"]),
            sites={domain: frozenset(names) for domain, names in claims["sites"].items()},
            expires=float(claims["exp"]),
        )


def _unauthorized(detail: str) -> Problem:
    return Problem(401, detail, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
