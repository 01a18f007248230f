"""`private_key_jwt`: a client proves itself by a JWT signed with its own key.

https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html. Only RS384 and
ES384; at most five minutes ahead; each `jti` once, whichever worker sees it.
"""

from __future__ import annotations

import math
from typing import Any, TypeGuard

from authlib.oauth2.rfc6749 import InvalidClientError
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, RSAKey

from smart_auth import clock, keyring
from smart_auth.core import Core
from smart_auth.oauth.errors import OAuthRefusal, invalid_client
from smart_auth.oauth.jwks import client_keys
from smart_auth.ports import TenantInfo
from smart_auth.records import Client
from smart_auth.refusals import listed, without_query

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS = ("RS384", "ES384")
TYPES = ("JWT", "client-authentication+jwt")
"""SMART's `typ` and that of draft-ietf-oauth-rfc7523bis; many libraries send none, which RFC 7519
(section 5.1) allows. What a client's key signs for other uses names another type."""

EXPIRED_LEEWAY = 5
"""Seconds an assertion is still taken after its `exp`."""
AHEAD_LEEWAY = 30
"""Seconds by which `exp` may pass the five minutes."""
CLOCK_LEEWAY = 60
"""Seconds a client's clock may be ahead, for `iat` and `nbf`."""
LONGEST_JTI = 512


def _bad(description: str, *, expected: str = "", received: str = "") -> OAuthRefusal:
    return invalid_client(description, "assertion", expected=expected, received=received)


class SmartClientAssertion(JWTBearerClientAssertion):
    """Authlib's flow with SMART's algorithms, limits and messages; one object per request.

    Every message is ours: Authlib and joserfc put quotes into theirs, which OAuth forbids.
    """

    CLIENT_AUTH_METHOD = "private_key_jwt"  # type: ignore[misc]

    def __init__(self, core: Core, tenant: TenantInfo, called: str | None = None) -> None:
        """`called`: the name of the endpoint that is called, when it is not the token endpoint."""
        super().__init__()
        self._core = core
        self._tenant = tenant
        self._called = called
        self._header: dict[str, Any] = {}

    def extract_assertion(self, assertion: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Header and claims before any check of the signature."""
        try:
            header, claims = super().extract_assertion(assertion)
        except (InvalidClientError, ValueError, RecursionError):
            raise _bad("client_assertion is not a signed JWT") from None
        if header.get("alg") not in ALGORITHMS:
            raise _bad(
                "client_assertion must be signed with RS384 or ES384",
                expected="RS384 ES384",
                received=str(header.get("alg")),
            )
        if header.get("typ", "JWT") not in TYPES:
            raise _bad("The header of client_assertion must have typ JWT", expected="JWT")
        if not isinstance(header.get("kid"), str):
            raise _bad("The header of client_assertion must name its key by kid")
        if not isinstance(claims.get("sub"), str):
            raise _bad("client_assertion must have sub: the client_id")
        self._header = header
        return header, claims

    def resolve_client_public_key(self, client: Client) -> RSAKey | ECKey | KeySet:
        """The registered key that the header names."""
        if client.auth_method != "private_key_jwt":
            raise invalid_client(
                f"This client is registered for the authentication method {client.auth_method}",
                expected=client.auth_method,
                received="private_key_jwt",
            )
        if "jku" in self._header and self._header["jku"] != client.jwks_uri:
            raise _bad(
                "jku differs from the JWKS URL the client registered",
                expected=without_query(client.jwks_uri or "") or "no jku: the keys are inline",
                received=without_query(str(self._header["jku"])),
            )
        wanted = RSAKey if self._header["alg"] == "RS384" else ECKey
        keys = client_keys(self._core, client, self._header["kid"])
        for key in keys:
            if key.kid == self._header["kid"] and isinstance(key, wanted):
                return key
        raise _bad(
            "No registered key of this client has the kid and type of the header",
            expected=listed(f"{key.kid} ({key.key_type})" for key in keys),
            received=f"{self._header['kid']} ({self._header['alg']})",
        )

    def process_assertion_claims(self, assertion: str, resolve_key: Any) -> dict[str, Any]:
        """Signature first, then the claims."""
        try:
            claims = jwt.decode(assertion, resolve_key, algorithms=list(ALGORITHMS)).claims
        except (JoseError, ValueError, TypeError):
            raise _bad("The signature of client_assertion is wrong") from None
        self.verify_claims(claims)
        return claims

    def verify_claims(self, claims: dict[str, Any]) -> None:
        """iss, sub, aud, exp, iat, nbf, and last jti, which is used up by this."""
        if claims.get("iss") != claims["sub"]:
            raise _bad("iss and sub of client_assertion must both be the client_id")
        audience = claims.get("aud")
        named = audience if isinstance(audience, list) else [audience]
        if not named or any(url not in self.get_audiences() for url in named):
            raise _bad(
                "aud of client_assertion must be the token endpoint URL or the issuer, and name"
                " nobody else",
                expected=self.get_audiences()[0],
                received=listed(without_query(str(url)) for url in named),
            )
        expires_at = self._check_times(claims)
        jti = claims.get("jti")
        if not isinstance(jti, str) or not 0 < len(jti) <= LONGEST_JTI:
            raise _bad("client_assertion must have a jti of its own")
        if not self._core.store.limits.use_jti(
            self._tenant.slug, claims["sub"], keyring.hash_token(jti), expires_at + CLOCK_LEEWAY
        ):
            raise _bad("This jti was used before: sign a new client_assertion")

    def _check_times(self, claims: dict[str, Any]) -> int:
        now = clock.now()
        expires_at = claims.get("exp")
        if not _is_time(expires_at):
            raise _bad("client_assertion must have exp in seconds since the epoch")
        if expires_at <= now - EXPIRED_LEEWAY:
            raise _bad("client_assertion has expired: sign a new one")
        if expires_at > now + self._core.settings.lifetimes.assertion + AHEAD_LEEWAY:
            raise _bad("exp of client_assertion must be at most 5 minutes ahead")
        for name in ("iat", "nbf"):
            value = claims.get(name, now)
            if not _is_time(value) or value > now + CLOCK_LEEWAY:
                raise _bad("iat or nbf of client_assertion is in the future")
        return int(expires_at)

    def get_audiences(self) -> list[str]:
        """What `aud` may name, each alone or together: the token endpoint with and without a
        trailing slash (SMART), the issuer (draft-ietf-oauth-rfc7523bis section 3, and what OpenID
        clients sign for unless told otherwise), and the endpoint called.

        Nobody else may be named beside them: an assertion that another server takes as well could
        be carried here by that server.
        """
        issuer = self._tenant.issuer
        called = [] if self._called is None else [f"{issuer}/auth/{self._called}"]
        return [f"{issuer}/auth/token", f"{issuer}/auth/token/", issuer, *called]


def _is_time(value: Any) -> TypeGuard[float]:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)
