"""Public keys of others, from their JWKs: what may verify a signature here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey, import_key

SMALLEST_RSA = 2048
"""Bits."""

PublicKey = RSAKey | ECKey


def public_key(jwk: Mapping[str, Any]) -> PublicKey | None:
    """An RSA key of a good size, or an EC key of any curve; None for all others."""
    if jwk.get("kty") not in ("RSA", "EC"):
        return None
    # By its text, before importing: joserfc warns of a small key and takes it.
    if jwk["kty"] == "RSA" and len(str(jwk.get("n"))) * 6 < SMALLEST_RSA:
        return None
    try:
        key = import_key({**jwk})
        return key if isinstance(key, PublicKey) and key.raw_value else None
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        return None
