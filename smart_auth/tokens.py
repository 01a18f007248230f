"""Access tokens (RFC 9068) and id_tokens (OpenID Connect Core): written and read here only."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError

from smart_auth import clock, keyring
from smart_auth.ports import TenantInfo
from smart_auth.records import Grant, User
from smart_auth.signing import SigningKeys

ACCESS_TYPE = "at+jwt"


class InvalidToken(Exception):
    """The token is not good for this tenant now.

    `reason` is a fixed word or two for logs and audit: it never holds anything from the token.
    `client_id` is the client it was issued to, once the signature is known to be good.
    """

    def __init__(self, reason: str, client_id: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.client_id = client_id


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What a signed access token says. `expires_at` in epoch seconds."""

    client_id: str
    subject: str
    grant_id: str
    jti: str
    scope: str
    patient: str | None
    issued_at: int
    expires_at: int


def sign_access_token(
    keys: SigningKeys, tenant: TenantInfo, grant: Grant, scope: str, lifetime: int
) -> str:
    """A new access token of a grant, for `lifetime` seconds."""
    kid, key = keys.signer(tenant.slug, "ES256")
    now = clock.now()
    claims: dict[str, Any] = {
        "iss": tenant.issuer,
        "aud": tenant.issuer,
        "sub": grant.user_id or grant.client_id,
        "client_id": grant.client_id,
        "iat": now,
        "exp": now + lifetime,
        "jti": keyring.random_token(22),
        "scope": scope,
        "gid": grant.grant_id,
    }
    if grant.context.patient is not None:
        claims["patient"] = grant.context.patient
    header = {"alg": "ES256", "kid": kid, "typ": ACCESS_TYPE}
    return jwt.encode(header, claims, key, algorithms=["ES256"])


def read_access_token(keys: SigningKeys, tenant: TenantInfo, token: str) -> AccessClaims:
    """Check signature, type, issuer, audience and expiry; raises `InvalidToken`."""
    claims = _signed_claims(keys, tenant.slug, token)
    if claims.get("iss") != tenant.issuer or claims.get("aud") != tenant.issuer:
        raise InvalidToken("issued for another server")
    if not isinstance(claims.get("exp"), int) or claims["exp"] <= clock.now():
        raise InvalidToken("expired")
    try:
        return AccessClaims(
            client_id=claims["client_id"],
            subject=claims["sub"],
            grant_id=claims["gid"],
            jti=claims["jti"],
            scope=claims["scope"],
            patient=claims.get("patient"),
            issued_at=claims["iat"],
            expires_at=claims["exp"],
        )
    except KeyError:
        raise InvalidToken("incomplete") from None


def _signed_claims(keys: SigningKeys, tenant: str, token: str) -> dict[str, Any]:
    try:
        header = jws.extract_compact(token.encode()).headers()
        if header.get("typ") != ACCESS_TYPE or header.get("alg") != "ES256":
            raise InvalidToken("not an access token")
        key = keys.public_key(tenant, str(header.get("kid")))
        if key is None:
            raise InvalidToken("unknown key")
        return jwt.decode(token, key, algorithms=["ES256"]).claims
    except (JoseError, ValueError, TypeError):
        raise InvalidToken("not a token of this server") from None


def sign_id_token(
    keys: SigningKeys,
    tenant: TenantInfo,
    grant: Grant,
    user: User,
    access_token: str,
    *,
    nonce: str | None,
    fhir_user: bool,
    lifetime: int,
) -> str:
    """An id_token for the client of the grant; `fhirUser` is an absolute URL when granted.

    `auth_time` and `amr` (RFC 8176) are those of the login behind the grant, at a refresh too. The
    one audience needs no `azp`, and without a logout channel there is no `sid`.
    """
    kid, key = keys.signer(tenant.slug, "RS256")
    now = clock.now()
    claims: dict[str, Any] = {
        "iss": tenant.issuer,
        "sub": user.user_id,
        "aud": grant.client_id,
        "iat": now,
        "exp": now + lifetime,
        "auth_time": grant.auth_time,
        "at_hash": half_hash(access_token),
    }
    if grant.methods:
        claims["amr"] = grant.methods.split()
    if nonce is not None:
        claims["nonce"] = nonce
    if fhir_user and user.fhir_user is not None:
        claims["fhirUser"] = f"{tenant.issuer}/{user.fhir_user}"
        claims["profile"] = claims["fhirUser"]
    return jwt.encode({"alg": "RS256", "kid": kid}, claims, key, algorithms=["RS256"])


def half_hash(token: str) -> str:
    """`at_hash` for RS256 (OpenID Connect Core section 3.1.3.6)."""
    digest = hashlib.sha256(token.encode()).digest()
    return base64.urlsafe_b64encode(digest[:16]).rstrip(b"=").decode()
