"""Whether to believe an id_token (OpenID Connect Core sections 3.1.3.7 and 3.1.3.8)."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from authlib.oidc.core.util import create_half_hash
from joserfc import jwt
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry

from smart_auth import clock
from smart_auth.federation.problems import declined, untrusted

SKEW = 60
"""Seconds the provider's clock may differ from ours."""
LONGEST_SINCE_ISSUED = 600
LONGEST_SUBJECT = 255
LAST_INSTANT = 2**53

KEY_OF = {
    "RS256": ("RSA", None),
    "PS256": ("RSA", None),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
}
"""The algorithms taken, and the keys they go with."""

RFC_8176 = frozenset(
    "face fpt geo hwk iris kba mca mfa otp pin pop pwd rba retina sc sms swk tel user vbm"
    " wia".split()
)


@dataclass(frozen=True)
class Expected:
    """What the token must say. `login_after` (epoch seconds): not logged in before that."""

    issuer: str
    client_id: str
    nonce: str
    access_token: str | None
    login_after: int | None


@dataclass(frozen=True)
class Assertion:
    """What a believed token says. `auth_time` in epoch seconds, None where it was not said;
    `methods` are the words of `amr` that RFC 8176 knows."""

    subject: str
    claims: Mapping[str, Any]
    auth_time: int | None
    methods: tuple[str, ...]
    acr: str | None


Keys = Callable[[str | None], Sequence[RSAKey | ECKey]]
"""The provider's keys; the argument is the key id that is looked for."""


def believe(token: str, keys: Keys, expected: Expected) -> Assertion:
    """Check signature and claims. Raises `LoginProblem`."""
    registry = JWSRegistry(algorithms=list(KEY_OF), strict_check_header=False)
    try:
        signed = jwt.decode(token, lambda found: _key(found.headers(), keys), registry=registry)
    except UnsupportedAlgorithmError:
        raise untrusted("id_token: algorithm not allowed") from None
    except (JoseError, ValueError, TypeError, RecursionError):
        raise untrusted("id_token: not a JWT, or its signature is wrong") from None
    claims = signed.claims
    _check_parties(claims, expected)
    _check_times(claims)
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not _same(nonce, expected.nonce):
        raise untrusted("id_token: nonce differs")
    _check_access_token(claims, str(signed.header["alg"]), expected.access_token)
    auth_time = _auth_time(claims, expected.login_after)
    acr = claims.get("acr")
    return Assertion(
        subject=_subject(claims),
        claims=claims,
        auth_time=auth_time,
        methods=_methods(claims.get("amr")),
        acr=acr if isinstance(acr, str) else None,
    )


def _key(header: Mapping[str, Any], keys: Keys) -> RSAKey | ECKey:
    """The one key that fits the header. A token without kid is good only while one key fits."""
    alg, kid = header["alg"], header.get("kid")
    fitting = [key for key in keys(kid) if _fits(key, alg) and kid in (None, key.kid)]
    if len(fitting) != 1:
        raise untrusted("id_token: no key of the provider fits it")
    return fitting[0]


def _fits(key: RSAKey | ECKey, alg: str) -> bool:
    kind, curve = KEY_OF[alg]
    values = key.dict_value
    return (
        key.key_type == kind
        and curve in (None, values.get("crv"))
        and values.get("alg", alg) == alg
    )


def _check_parties(claims: Mapping[str, Any], expected: Expected) -> None:
    if claims.get("iss") != expected.issuer:
        raise untrusted("id_token: iss differs")
    audience, party = claims.get("aud"), claims.get("azp")
    listed = audience if isinstance(audience, list) else [audience]
    if expected.client_id not in listed:
        raise untrusted("id_token: aud is not this server")
    if party != expected.client_id and (party is not None or len(listed) > 1):
        raise untrusted("id_token: azp is not this server")


def _check_times(claims: Mapping[str, Any]) -> None:
    now = clock.now()
    expires, issued, begins = (_instant(claims.get(name)) for name in ("exp", "iat", "nbf"))
    if expires is None or expires + SKEW <= now:
        raise untrusted("id_token: expired, or without exp")
    if issued is None or not now - LONGEST_SINCE_ISSUED - SKEW <= issued <= now + SKEW:
        raise untrusted("id_token: iat is missing, in the future or long ago")
    if begins is not None and begins > now + SKEW:
        raise untrusted("id_token: not good yet")


def _check_access_token(claims: Mapping[str, Any], alg: str, access_token: str | None) -> None:
    at_hash = claims.get("at_hash")
    if at_hash is None:
        return
    if access_token is None or not isinstance(at_hash, str):
        raise untrusted("id_token: at_hash without an access token")
    half = create_half_hash(access_token, alg)
    if half is None or not _same(at_hash, half.decode()):
        raise untrusted("id_token: at_hash differs")


def _auth_time(claims: Mapping[str, Any], login_after: int | None) -> int | None:
    found = _instant(claims.get("auth_time"))
    if login_after is not None and (found is None or found + SKEW < login_after):
        raise declined("the provider did not ask the person to log in again")
    return None if found is None else min(int(found), clock.now())


def _subject(claims: Mapping[str, Any]) -> str:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_SUBJECT:
        raise untrusted("id_token: sub is missing or too long")
    if not subject.isascii() or not subject.isprintable():
        raise untrusted("id_token: sub is not ASCII")
    return subject


def _methods(amr: Any) -> tuple[str, ...]:
    words = amr if isinstance(amr, list) else []
    return tuple(word for word in words if isinstance(word, str) and word in RFC_8176)


def _instant(value: Any) -> float | None:
    """A NumericDate (RFC 7519 section 2); None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value < LAST_INSTANT else None


def _same(left: str, right: str) -> bool:
    return hmac.compare_digest(left.encode("utf-8", "replace"), right.encode())
