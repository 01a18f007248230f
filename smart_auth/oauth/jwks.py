"""A client's public keys: registered inline, or fetched from its JWKS URL.

A fetched set is kept for as long as its Cache-Control says (at most an hour), shared by all
workers, and fetched again for an unknown key id, though not more often than every few seconds.
"""

from __future__ import annotations

import ipaddress
import json
import re
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
import structlog
from authlib.oauth2.rfc6749 import InvalidClientError
from joserfc.jwk import ECKey, RSAKey
from requests.adapters import HTTPAdapter

from smart_auth import clock
from smart_auth.client_metadata import usable_keys
from smart_auth.core import Core
from smart_auth.records import Client
from smart_auth.store import FetchedKeys

LARGEST_DOCUMENT = 262_144
TIMEOUT = (2.0, 3.0)
LONGEST_FRESH = 3600
DEFAULT_FRESH = 300
REFETCH_FLOOR = 5

log = structlog.get_logger(__name__)


class KeysUnavailable(Exception):
    """The JWKS URL gave no usable key set; the message is a fixed text."""


@dataclass(frozen=True)
class _Target:
    """Where to connect: one checked address, so that a second DNS answer cannot change it."""

    url: str
    host: str
    address: str


def client_keys(core: Core, client: Client, kid: str) -> list[RSAKey | ECKey]:
    """The keys of a client; `kid` is the one asked for, which may make a URL be fetched again.

    Raises InvalidClientError when the URL gives no key set.
    """
    if client.jwks is not None:
        return usable_keys(json.loads(client.jwks)["keys"])
    now = clock.now()
    known = core.store.clients.fetched_keys(client.tenant, client.client_id)
    if known is not None and known.url == client.jwks_uri and now < known.fresh_until:
        keys = _read(known.body)
        if any(key.kid == kid for key in keys) or now - known.fetched_at < REFETCH_FLOOR:
            return keys
    try:
        fetched = fetch(str(client.jwks_uri), allow_private=core.settings.demo)
    except KeysUnavailable as reason:
        log.warning("jwks_unavailable", client_id=client.client_id, reason=str(reason))
        raise InvalidClientError(f"The registered JWKS URL gave no keys: {reason}") from None
    core.store.clients.keep_fetched_keys(client.tenant, client.client_id, fetched)
    return _read(fetched.body)


def fetch(url: str, *, allow_private: bool) -> FetchedKeys:
    """Get a key set; raises `KeysUnavailable`. No redirects, no large bodies, no private addresses
    unless allowed, and plain http only where private addresses are allowed."""
    target = _resolve(url, allow_private)
    with requests.Session() as session:
        session.trust_env = False
        session.mount(f"{urlsplit(url).scheme}://", _PinnedAdapter(target.host))
        try:
            with session.get(
                target.url,
                headers={"Host": urlsplit(url).netloc, "Accept": "application/json"},
                timeout=TIMEOUT,
                allow_redirects=False,
                stream=True,
            ) as response:
                body = _body(response)
                cache_control = response.headers.get("Cache-Control", "")
        except requests.RequestException:
            raise KeysUnavailable("it did not answer") from None
    if not _is_key_set(body):
        raise KeysUnavailable("its answer is not a JWK Set")
    now = clock.now()
    return FetchedKeys(url, body, now, now + fresh_seconds(cache_control))


def fresh_seconds(cache_control: str) -> int:
    """How long an answer may be used (RFC 9111 section 5.2.2), within our bounds."""
    directives = cache_control.lower()
    if "no-store" in directives or "no-cache" in directives:
        return REFETCH_FLOOR
    found = re.search(r"max-age=\"?(\d{1,9})", directives)
    seconds = int(found[1]) if found else DEFAULT_FRESH
    return max(REFETCH_FLOOR, min(seconds, LONGEST_FRESH))


def _resolve(url: str, allow_private: bool) -> _Target:
    parts = urlsplit(url)
    if not parts.hostname or (parts.scheme != "https" and not allow_private):
        raise KeysUnavailable("it is not an https address")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except OSError:
        raise KeysUnavailable("its host name is unknown") from None
    addresses = [str(entry[4][0]) for entry in found]
    if not allow_private and not all(ipaddress.ip_address(a).is_global for a in addresses):
        raise KeysUnavailable("it leads to a private address")
    address = addresses[0]
    netloc = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    pinned = urlunsplit((parts.scheme, netloc, parts.path, parts.query, ""))
    return _Target(pinned, parts.hostname, address)


class _PinnedAdapter(HTTPAdapter):
    """Connects to a checked address while TLS still asks for, and checks, the host's name."""

    def __init__(self, host: str) -> None:
        self._host = host
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Give the pool the name the certificate must carry."""
        kwargs["assert_hostname"] = self._host
        kwargs["server_hostname"] = self._host
        super().init_poolmanager(*args, **kwargs)


def _body(response: requests.Response) -> str:
    if response.status_code != 200:
        raise KeysUnavailable("it did not answer 200")
    body = b""
    for chunk in response.iter_content(16_384):
        body += chunk
        if len(body) > LARGEST_DOCUMENT:
            raise KeysUnavailable("its answer is too large")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise KeysUnavailable("its answer is not a JWK Set") from None


def _is_key_set(body: str) -> bool:
    try:
        document = json.loads(body)
    except ValueError:
        return False
    keys = document.get("keys") if isinstance(document, dict) else None
    return isinstance(keys, list) and all(isinstance(key, dict) for key in keys)


def _read(body: str) -> list[RSAKey | ECKey]:
    return usable_keys(json.loads(body)["keys"])
