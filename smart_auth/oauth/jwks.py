"""A client's public keys: registered inline, or fetched from its JWKS URL.

A fetched set is kept for as long as its Cache-Control says (at most an hour), shared by all
workers, and fetched again for an unknown key id, though not more often than every few seconds. An
address that gave no keys is left alone for as long, so that a slow one cannot hold every thread.
"""

from __future__ import annotations

import json

import structlog
from joserfc.jwk import ECKey, RSAKey

from smart_auth import clock, keyring, outbound
from smart_auth.client_metadata import usable_keys
from smart_auth.core import Core
from smart_auth.oauth.errors import OAuthRefusal, invalid_client
from smart_auth.outbound import Unreachable
from smart_auth.records import Client
from smart_auth.store import FetchedKeys

REFETCH_FLOOR = 5

log = structlog.get_logger(__name__)


def client_keys(core: Core, client: Client, kid: str) -> list[RSAKey | ECKey]:
    """The keys of a client; `kid` is the one asked for, which may make a URL be fetched again.

    Raises `OAuthRefusal` (invalid_client) when the URL gives no key set.
    """
    if client.jwks is not None:
        return usable_keys(json.loads(client.jwks)["keys"])
    now = clock.now()
    known = core.store.clients.fetched_keys(client.tenant, client.client_id)
    if known is not None and known.url == client.jwks_uri and now < known.fresh_until:
        keys = _read(known.body)
        if any(key.kid == kid for key in keys) or now - known.fetched_at < REFETCH_FLOOR:
            return keys
    fetched = _fetched(core, client, now)
    core.store.clients.keep_fetched_keys(client.tenant, client.client_id, fetched)
    return _read(fetched.body)


def _fetched(core: Core, client: Client, now: int) -> FetchedKeys:
    """Ask the client's URL, unless it failed a few seconds ago, for whichever worker."""
    url, limits = str(client.jwks_uri), core.store.limits
    subject = keyring.hash_token(f"jwks/{client.client_id}/{url}")
    if limits.blocked_until(client.tenant, subject) > now:
        raise _no_keys("it gave none a moment ago")
    try:
        return fetch(url, network=outbound.network_of(core.settings.demo))
    except Unreachable as reason:
        log.warning("jwks_unavailable", client_id=client.client_id, reason=str(reason))
        limits.fail(client.tenant, subject, clock.now(), 0, REFETCH_FLOOR)
        raise _no_keys(str(reason)) from None


def _no_keys(reason: str) -> OAuthRefusal:
    return invalid_client(
        f"The registered JWKS URL gave no keys: {reason}",
        "assertion",
        expected="a JWK Set, by 200, without redirect, within 5 seconds",
        received=reason,
    )


def fetch(url: str, *, network: outbound.Network) -> FetchedKeys:
    """Get a key set by the rules of `outbound`; raises `Unreachable`."""
    answer = outbound.get(url, network=network)
    if not _is_key_set(answer.body):
        raise Unreachable("its answer is not a JWK Set")
    now = clock.now()
    return FetchedKeys(url, answer.body.decode(), now, now + answer.fresh_seconds)


def _is_key_set(body: bytes) -> bool:
    try:
        document = json.loads(body.decode())
    except (ValueError, RecursionError):
        return False
    keys = document.get("keys") if isinstance(document, dict) else None
    return isinstance(keys, list) and all(isinstance(key, dict) for key in keys)


def _read(body: str) -> list[RSAKey | ECKey]:
    return usable_keys(json.loads(body)["keys"])
