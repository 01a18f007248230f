"""What providers say of themselves: their endpoints (OpenID Connect Discovery 1.0) and keys.

Each process keeps them for as long as their Cache-Control says, within `outbound`'s bounds, and
asks again for an unknown key id. After a failure or a fetch it asks nothing for `FLOOR` seconds, so
that a provider that is slow or gone cannot hold up the threads of a server.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import structlog

from smart_auth import clock, outbound
from smart_auth.federation.problems import LoginProblem, unavailable
from smart_auth.login_provider import LoginProvider
from smart_auth.outbound import Unreachable
from smart_auth.public_keys import PublicKey, public_key

FLOOR = 5

log = structlog.get_logger(__name__)

Read = Callable[[Mapping[str, Any]], Any]


@dataclass(frozen=True)
class Metadata:
    """`auth_method` is how we prove ourselves to the token endpoint; `says_issuer` whether each
    authorization response names the issuer (RFC 9207)."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    auth_method: str
    says_issuer: bool


@dataclass(frozen=True)
class _Kept:
    """What a document said, or why there is none; good until `until` (epoch seconds)."""

    value: Any
    fetched_at: int
    until: int
    failure: str | None = None


class Directory:
    """Reads and keeps; shared by the threads of a process."""

    def __init__(self, *, demo: bool) -> None:
        self._demo = demo
        self._kept: dict[str, _Kept] = {}

    def metadata(self, provider: LoginProvider) -> Metadata:
        """The provider's endpoints. Raises `LoginProblem`."""
        url = provider.issuer.removesuffix("/") + "/.well-known/openid-configuration"
        kept = self._kept.get(url)
        if kept is None or kept.until <= clock.now():
            kept = self._fetch(provider, url, lambda found: self._metadata(provider, found))
        found: Metadata = _value(kept)
        return found

    def keys(self, provider: LoginProvider, metadata: Metadata, kid: str | None) -> list[PublicKey]:
        """The provider's public keys; fetched again when none of them is called `kid`. Raises
        `LoginProblem`."""
        url, now = metadata.jwks_uri, clock.now()
        kept = self._kept.get(url)
        fresh = kept is not None and now < kept.until
        if kept is None or not fresh or (_lacks(kept, kid) and now - kept.fetched_at >= FLOOR):
            kept = self._fetch(provider, url, _public_keys)
        found: list[PublicKey] = _value(kept)
        return found

    def _fetch(self, provider: LoginProvider, url: str, read: Read) -> _Kept:
        now = clock.now()
        try:
            answer = outbound.get(url, network=provider.network(self._demo))
            document = json.loads(answer.body.decode())
            if not isinstance(document, dict):
                raise ValueError
            kept = _Kept(read(document), now, now + answer.fresh_seconds)
        except Unreachable as error:
            kept = _failed(provider, f"an address of the provider: {error}")
        except LoginProblem as problem:
            kept = _failed(provider, problem.reason)
        except (ValueError, RecursionError):
            kept = _failed(provider, "an address of the provider: its answer is not a JSON object")
        self._kept[url] = kept
        return kept

    def _metadata(self, provider: LoginProvider, document: Mapping[str, Any]) -> Metadata:
        if document.get("issuer") != provider.issuer:
            raise unavailable("discovery names another issuer")
        userinfo = document.get("userinfo_endpoint")
        return Metadata(
            authorization_endpoint=self._address(provider, document.get("authorization_endpoint")),
            token_endpoint=self._address(provider, document.get("token_endpoint")),
            jwks_uri=self._address(provider, document.get("jwks_uri")),
            userinfo_endpoint=None if userinfo is None else self._address(provider, userinfo),
            auth_method=_auth_method(document.get("token_endpoint_auth_methods_supported")),
            says_issuer=document.get("authorization_response_iss_parameter_supported") is True,
        )

    def _address(self, provider: LoginProvider, value: Any) -> str:
        allowed = ("https", "http") if provider.network(self._demo) == "any" else ("https",)
        try:
            parts = urlsplit(value) if isinstance(value, str) else None
        except ValueError:
            parts = None
        if parts is None or parts.scheme not in allowed or not parts.hostname or parts.fragment:
            raise unavailable("discovery lacks an endpoint, or names one that is not https")
        return str(value)


def _failed(provider: LoginProvider, reason: str) -> _Kept:
    log.warning("login_provider_unusable", provider=provider.name, reason=reason)
    now = clock.now()
    return _Kept(None, now, now + FLOOR, reason)


def _value(kept: _Kept) -> Any:
    if kept.failure is not None:
        raise unavailable(kept.failure)
    return kept.value


def _lacks(kept: _Kept, kid: str | None) -> bool:
    return kept.failure is None and kid is not None and all(key.kid != kid for key in kept.value)


def _auth_method(supported: Any) -> str:
    """Basic when the provider takes it (the default of Discovery section 3), else post."""
    offered = ["client_secret_basic"] if supported is None else supported
    for method in ("client_secret_basic", "client_secret_post"):
        if isinstance(offered, list) and method in offered:
            return method
    raise unavailable("the provider takes no client secret, neither basic nor post")


def _public_keys(document: Mapping[str, Any]) -> list[PublicKey]:
    keys = document.get("keys")
    if not isinstance(keys, list):
        raise unavailable("the provider's keys are not a JWK Set")
    read = [_public_key(key) for key in keys if isinstance(key, dict)]
    return [key for key in read if key is not None]


def _public_key(jwk: Mapping[str, Any]) -> PublicKey | None:
    """A key that may have signed an id_token; None for others, which are passed over."""
    return public_key(jwk) if jwk.get("use", "sig") == "sig" else None
