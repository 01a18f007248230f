"""Client metadata (RFC 7591 section 2), checked so that a bad registration fails at entry."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, cast, get_args
from urllib.parse import SplitResult, urlsplit

from smart_auth import keyring
from smart_auth.client_details import LONGEST_ADDRESS, InvalidDetail, check_name, details_of
from smart_auth.public_keys import PublicKey, public_key
from smart_auth.records import AuthMethod, Client
from smart_auth.settings import LOOPBACK_HOSTS

DEFAULT_LAUNCH_SCOPE = (
    "launch launch/patient openid fhirUser profile offline_access online_access"
    " patient/*.rs user/*.rs"
)
DEFAULT_BACKEND_SCOPE = "system/*.rs"

MOST_REDIRECT_URIS = 50
LONGEST_SCOPE = 10_000

_CLIENT_ID = re.compile(r"[\x21-\x7e]{1,128}")
_VISIBLE = re.compile(r"[\x21-\x7e]*")
_SCOPE = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]*")
_AUTHORITY = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::\d+)?")
_PRIVATE_USE_SCHEME = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+")
_AUTH_METHODS: tuple[str, ...] = get_args(AuthMethod)
_GRANT_TYPES = ("authorization_code", "refresh_token", "client_credentials")


class InvalidClientMetadata(ValueError):
    """The metadata cannot be registered; `error` is the RFC 7591 section 3.2.2 code."""

    def __init__(self, description: str, error: str = "invalid_client_metadata") -> None:
        super().__init__(description)
        self.error = error


def client_from_metadata(
    tenant: str, metadata: Mapping[str, Any], *, demo: bool = False
) -> tuple[Client, str | None]:
    """The client these metadata describe, and its secret if it has one (made when not given).

    Without `token_endpoint_auth_method`: `private_key_jwt` when keys are given,
    `client_secret_basic` when a secret is, otherwise `none`. What is only for people to read goes
    into `Client.details`. In demo mode keys may be at an http address. Raises
    `InvalidClientMetadata`.
    """
    client_id = _client_id(metadata)
    method = _auth_method(metadata)
    redirect_uris = _redirect_uris(metadata)
    grant_types = _grant_types(metadata, method, redirect_uris)
    _check_response_types(metadata, grant_types)
    jwks, jwks_uri = _keys(metadata, method, ("https", "http") if demo else ("https",))
    secret = _secret(metadata, method)
    if metadata.get("pkce_optional") and method == "none":
        raise InvalidClientMetadata("A public client cannot be exempted from PKCE")
    if metadata.get("may_launch") and method == "none":
        raise InvalidClientMetadata("A public client cannot make launches for users")
    name, details = _shown(metadata)
    client = Client(
        tenant=tenant,
        client_id=client_id,
        name=name or client_id,
        auth_method=method,
        scope=_scope(metadata) or _default_scope(grant_types),
        secret_hash=None if secret is None else keyring.hash_token(secret),
        redirect_uris=redirect_uris,
        launch_uri=_launch_uri(metadata),
        grant_types=grant_types,
        jwks=jwks,
        jwks_uri=jwks_uri,
        groups=frozenset(_strings(metadata, "groups")),
        whole_tenant=bool(metadata.get("whole_tenant", False)),
        pkce_optional=bool(metadata.get("pkce_optional", False)),
        may_introspect=bool(metadata.get("may_introspect", False)),
        valid_from=_seconds(metadata, "valid_from"),
        valid_to=_seconds(metadata, "valid_to"),
        may_launch=bool(metadata.get("may_launch", False)),
        details=details,
    )
    return client, secret


def _shown(metadata: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """The app's name and what else people are shown of it."""
    name = _text(metadata, "client_name")
    try:
        return None if name is None else check_name(name), details_of(metadata)
    except InvalidDetail as problem:
        raise InvalidClientMetadata(str(problem)) from None


def _scope(metadata: Mapping[str, Any]) -> str | None:
    """The scope asked for, in the characters of RFC 6749 section 3.3."""
    scope = _text(metadata, "scope")
    if scope is not None and not (len(scope) <= LONGEST_SCOPE and _SCOPE.fullmatch(scope)):
        raise InvalidClientMetadata(
            f"scope must be a list of scopes with spaces between, of at most {LONGEST_SCOPE}"
            " characters, without quotes and backslashes"
        )
    return scope


def _default_scope(grant_types: tuple[str, ...]) -> str:
    if "authorization_code" in grant_types:
        return DEFAULT_LAUNCH_SCOPE
    return DEFAULT_BACKEND_SCOPE if grant_types else ""


def check_jwks(document: Any) -> None:
    """Raise `InvalidClientMetadata` unless this is a set of public keys with one we can use.

    Usable is RSA of 2048 bits and more (RS384) or EC P-384 (ES384), with a `kid` of its own.
    """
    keys = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(keys, list) or not all(isinstance(key, Mapping) for key in keys):
        raise InvalidClientMetadata("jwks must be a JSON object with a list of keys")
    if any("d" in key or "k" in key for key in keys):
        raise InvalidClientMetadata("jwks must hold public keys only: remove the private members")
    usable = usable_keys(keys)
    if not usable:
        raise InvalidClientMetadata(
            "jwks needs a key with a kid that is RSA of at least 2048 bits or EC P-384"
        )
    if len({key.kid for key in usable}) != len(usable):
        raise InvalidClientMetadata("Each key in jwks needs a kid that is unique in the set")


def usable_keys(keys: Iterable[Mapping[str, Any]]) -> list[PublicKey]:
    """The keys of a set that may verify a client assertion; others are passed over."""
    return [key for key in map(_usable_key, keys) if key is not None]


def _usable_key(jwk: Mapping[str, Any]) -> PublicKey | None:
    if not isinstance(jwk.get("kid"), str) or not jwk["kid"]:
        return None
    if jwk.get("kty") == "EC" and jwk.get("crv") != "P-384":
        return None
    return public_key(jwk)


def _client_id(metadata: Mapping[str, Any]) -> str:
    client_id = metadata.get("client_id")
    if client_id is None:
        return keyring.random_token(16)
    if not isinstance(client_id, str) or not _CLIENT_ID.fullmatch(client_id):
        raise InvalidClientMetadata("client_id must be 1 to 128 visible ASCII characters")
    return client_id


def _auth_method(metadata: Mapping[str, Any]) -> AuthMethod:
    method = metadata.get("token_endpoint_auth_method")
    if method is None:
        if metadata.get("jwks") or metadata.get("jwks_uri"):
            return "private_key_jwt"
        return "client_secret_basic" if metadata.get("client_secret") else "none"
    if method not in _AUTH_METHODS:
        raise InvalidClientMetadata(
            "token_endpoint_auth_method must be one of " + ", ".join(_AUTH_METHODS)
        )
    return cast(AuthMethod, method)


def _redirect_uris(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    uris = _strings(metadata, "redirect_uris")
    if len(uris) > MOST_REDIRECT_URIS:
        raise InvalidClientMetadata(
            f"At most {MOST_REDIRECT_URIS} redirect_uris are taken", "invalid_redirect_uri"
        )
    for uri in uris:
        if not redirect_uri_allowed(uri):
            raise InvalidClientMetadata(
                "Each redirect_uri must be an absolute https address (http only on loopback, or a"
                " private scheme with a dot in its name) without fragment, user or wildcard",
                "invalid_redirect_uri",
            )
    return tuple(dict.fromkeys(uris))


def _launch_uri(metadata: Mapping[str, Any]) -> str | None:
    """Where an EHR sends the browser: a web address, held to the rules of redirect URIs."""
    uri = _text(metadata, "launch_uri")
    if uri is not None and not (uri.startswith(("http:", "https:")) and redirect_uri_allowed(uri)):
        raise InvalidClientMetadata(
            "launch_uri must be an absolute https address (http only on loopback) without fragment,"
            " user or wildcard"
        )
    return uri


def redirect_uri_allowed(uri: str) -> bool:
    """Whether an app may register the address: https, http on loopback, or a private-use scheme
    with a dot (RFC 8252 section 7), with nothing in it that could match another."""
    if not _VISIBLE.fullmatch(uri) or "#" in uri or len(uri) > LONGEST_ADDRESS:
        return False
    parts = _split(uri)
    if parts is None:
        return False
    if parts.scheme == "https":
        return bool(parts.hostname)
    if parts.scheme == "http":
        # Names under .localhost are loopback too (RFC 6761 section 6.3).
        host = parts.hostname or ""
        return host in LOOPBACK_HOSTS or host.endswith(".localhost")
    return bool(_PRIVATE_USE_SCHEME.fullmatch(parts.scheme))


def _split(uri: str) -> SplitResult | None:
    """The parts of an address; None when its authority is not a plain host with a possible port."""
    try:
        parts = urlsplit(uri)
        known_port = parts.port is None or parts.port > 0
    except ValueError:
        return None
    good = known_port and (not parts.netloc or _AUTHORITY.fullmatch(parts.netloc))
    return parts if good else None


def _grant_types(
    metadata: Mapping[str, Any], method: AuthMethod, redirect_uris: tuple[str, ...]
) -> tuple[str, ...]:
    if redirect_uris:
        default = ["authorization_code", "refresh_token"]
    elif method != "private_key_jwt" and (
        metadata.get("may_launch") or metadata.get("may_introspect")
    ):
        default = []
    else:
        default = ["client_credentials"]
    grant_types = _strings(metadata, "grant_types") or default
    unknown = [name for name in grant_types if name not in _GRANT_TYPES]
    if unknown:
        raise InvalidClientMetadata("grant_types may hold only " + ", ".join(_GRANT_TYPES))
    if "authorization_code" in grant_types and not redirect_uris:
        raise InvalidClientMetadata(
            "authorization_code needs redirect_uris", "invalid_redirect_uri"
        )
    if "client_credentials" in grant_types and method != "private_key_jwt":
        raise InvalidClientMetadata("client_credentials needs the private_key_jwt method and keys")
    return tuple(dict.fromkeys(grant_types))


def _check_response_types(metadata: Mapping[str, Any], grant_types: tuple[str, ...]) -> None:
    """They must go with the grant types (RFC 7591 section 2.1)."""
    said = _strings(metadata, "response_types")
    if said and said != ["code"]:
        raise InvalidClientMetadata("response_types may hold only code")
    if said and "authorization_code" not in grant_types:
        raise InvalidClientMetadata("response_types code needs the grant type authorization_code")


def _keys(
    metadata: Mapping[str, Any], method: AuthMethod, schemes: Collection[str]
) -> tuple[str | None, str | None]:
    jwks, jwks_uri = metadata.get("jwks"), _text(metadata, "jwks_uri")
    if method != "private_key_jwt":
        if jwks or jwks_uri:
            raise InvalidClientMetadata("jwks and jwks_uri are for the private_key_jwt method only")
        return None, None
    if bool(jwks) == bool(jwks_uri):
        raise InvalidClientMetadata("private_key_jwt needs either jwks or jwks_uri")
    if jwks_uri:
        parts = _split(jwks_uri) if _VISIBLE.fullmatch(jwks_uri) else None
        if parts is None or not parts.netloc or len(jwks_uri) > LONGEST_ADDRESS:
            raise InvalidClientMetadata("jwks_uri must be an absolute address")
        if parts.scheme not in schemes:
            raise InvalidClientMetadata(f"jwks_uri must be an {' or '.join(schemes)} address")
        return None, jwks_uri
    check_jwks(jwks)
    return json.dumps(jwks), None


def _secret(metadata: Mapping[str, Any], method: AuthMethod) -> str | None:
    given = _text(metadata, "client_secret")
    if not method.startswith("client_secret"):
        if given:
            raise InvalidClientMetadata("client_secret is for the client_secret methods only")
        return None
    return given or keyring.random_token()


def _text(metadata: Mapping[str, Any], name: str) -> str | None:
    value = metadata.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidClientMetadata(f"{name} must be a string")
    return value or None


def _seconds(metadata: Mapping[str, Any], name: str) -> int | None:
    value = metadata.get(name)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise InvalidClientMetadata(f"{name} must be in seconds since the epoch")
    return value


def _strings(metadata: Mapping[str, Any], name: str) -> list[str]:
    value = metadata.get(name)
    if value is None:
        return []
    if not isinstance(value, list | tuple | set | frozenset) or not all(
        isinstance(item, str) for item in value
    ):
        raise InvalidClientMetadata(f"{name} must be a list of strings")
    return sorted(value) if isinstance(value, set | frozenset) else list(value)
