"""Secrets: made, hashed, derived and wrapped in one place (design: keys and secrets)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Literal

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

Purpose = Literal["signing-key-wrap", "csrf", "browser", "half-login", "sample-pkce"]

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


class UnreadableSecret(ValueError):
    """A stored secret was wrapped by a key that is no longer among the secret keys."""


def random_token(length: int = 43) -> str:
    """A random secret of letters and digits only, so it needs no escaping in URLs (256 bits)."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def hash_token(value: str) -> str:
    """SHA-256 in hex of a random secret, as kept at rest. Not for passwords."""
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()


def same(left: str, right: str) -> bool:
    """Constant-time comparison of two texts."""
    return hmac.compare_digest(left.encode(), right.encode())


class Keyring:
    """Keys derived from the operator's secret keys by HKDF, per tenant and purpose."""

    def __init__(self, secret_keys: Sequence[str]) -> None:
        self._masters = tuple(key.encode() for key in secret_keys)

    def wrap(self, tenant: str, plain: str) -> str:
        """Encrypt a secret for storage with the first secret key."""
        return self._fernet(tenant).encrypt(plain.encode()).decode()

    def unwrap(self, tenant: str, wrapped: str) -> str:
        """Decrypt with any of the secret keys; raises `UnreadableSecret` when none fits."""
        try:
            return self._fernet(tenant).decrypt(wrapped.encode()).decode()
        except InvalidToken:
            raise UnreadableSecret("A stored key cannot be read with the secret keys") from None

    def sign(self, tenant: str, purpose: Purpose, text: str) -> str:
        """HMAC-SHA-256 in hex under the first key of this tenant and purpose."""
        return _mac(self._derive(self._masters[0], tenant, purpose), text)

    def verify(self, tenant: str, purpose: Purpose, text: str, signature: str) -> bool:
        """Whether the signature was made under any of the secret keys."""
        return any(
            same(_mac(self._derive(master, tenant, purpose), text), signature)
            for master in self._masters
        )

    def _fernet(self, tenant: str) -> MultiFernet:
        return MultiFernet(
            [
                Fernet(base64.urlsafe_b64encode(self._derive(master, tenant, "signing-key-wrap")))
                for master in self._masters
            ]
        )

    @staticmethod
    def _derive(master: bytes, tenant: str, purpose: Purpose) -> bytes:
        info = f"smart_auth/{purpose}/{tenant}".encode()
        return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(master)


def _mac(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
