"""Signing keys: made at first use, wrapped at rest, rotated with overlap.

Access tokens are signed with ES256 (ten times cheaper to make), id_tokens with RS256 as SMART asks.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from joserfc.jwk import ECKey, Key, RSAKey, import_key

from smart_auth import clock, keyring
from smart_auth.keyring import Keyring
from smart_auth.records import SigningKey
from smart_auth.store import AuthStore

Algorithm = Literal["ES256", "RS256"]

RELOAD_AFTER = 30.0
"""Seconds a worker signs with the keys it read last."""
UNKNOWN_KID_FLOOR = 2.0
"""Seconds between two reloads caused by unknown key ids."""


@dataclass(frozen=True)
class _Loaded:
    at: float
    keys: tuple[SigningKey, ...]
    public: dict[str, Key]
    signers: dict[Algorithm, tuple[str, Key]]


class SigningKeys:
    """The keys of every tenant as one process sees them."""

    def __init__(self, store: AuthStore, ring: Keyring) -> None:
        self._store = store
        self._ring = ring
        self._lock = threading.Lock()
        self._loaded: dict[str, _Loaded] = {}

    def signer(self, tenant: str, alg: Algorithm) -> tuple[str, Key]:
        """Key id and private key to sign with now."""
        return self._current(tenant).signers[alg]

    def public_key(self, tenant: str, kid: str) -> Key | None:
        """The public key of this id; an unknown id makes the keys be read again, at most now and
        then, since another worker may have rotated them."""
        loaded = self._current(tenant)
        if kid not in loaded.public and time.monotonic() - loaded.at > UNKNOWN_KID_FLOOR:
            loaded = self._load(tenant)
        return loaded.public.get(kid)

    def public_jwks(self, tenant: str) -> list[dict[str, Any]]:
        """Public keys for the JWKS document, read from the database each time."""
        return [json.loads(key.public_jwk) for key in self._load(tenant).keys]

    def ensure(self, tenant: str) -> None:
        """Make the first keys of a tenant if it has none."""
        if not self._store.keys.list(tenant, clock.now()):
            self._store.keys.add_if_none(tenant, _new_keys(tenant, self._ring))

    def rotate(self, tenant: str, overlap: int) -> None:
        """Sign with new keys from now on; the old ones verify for `overlap` more seconds."""
        now = clock.now()
        self._store.keys.rotate(tenant, _new_keys(tenant, self._ring), now, now + overlap)
        self._load(tenant)

    def _current(self, tenant: str) -> _Loaded:
        loaded = self._loaded.get(tenant)
        if loaded is None or time.monotonic() - loaded.at > RELOAD_AFTER:
            loaded = self._load(tenant)
        return loaded

    def _load(self, tenant: str) -> _Loaded:
        with self._lock:
            self.ensure(tenant)
            keys = tuple(self._store.keys.list(tenant, clock.now()))
            public = {key.kid: import_key(json.loads(key.public_jwk)) for key in keys}
            loaded = _Loaded(time.monotonic(), keys, public, self._signers(tenant, keys))
            self._loaded[tenant] = loaded
        return loaded

    def _signers(self, tenant: str, keys: Sequence[SigningKey]) -> dict[Algorithm, tuple[str, Key]]:
        signers: dict[Algorithm, tuple[str, Key]] = {}
        for key in keys:
            if key.retired_at is None and key.alg not in signers:
                private = json.loads(self._ring.unwrap(tenant, key.private_wrapped))
                signers[key.alg] = (key.kid, import_key(private))
        return signers


def _new_keys(tenant: str, ring: Keyring) -> list[SigningKey]:
    now = clock.now()
    pairs: list[tuple[Algorithm, Key]] = [
        ("ES256", ECKey.generate_key("P-256")),
        ("RS256", RSAKey.generate_key(2048)),
    ]
    keys = []
    for alg, pair in pairs:
        kid = keyring.random_token(16)
        public = pair.as_dict(private=False) | {"kid": kid, "alg": alg, "use": "sig"}
        private = pair.as_dict(private=True) | {"kid": kid, "alg": alg, "use": "sig"}
        wrapped = ring.wrap(tenant, json.dumps(private))
        keys.append(SigningKey(kid, alg, json.dumps(public), wrapped, now, None, None))
    return keys
