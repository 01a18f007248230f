"""What an administrator does to signing keys."""

from __future__ import annotations

from smart_auth.keyring import Keyring
from smart_auth.settings import AuthSettings
from smart_auth.signing import SigningKeys
from smart_auth.store import AuthStore

KEY_OVERLAP = 86_400
"""Seconds a rotated signing key still verifies: longer than any access or id_token lives."""


def create_tenant_keys(store: AuthStore, settings: AuthSettings, tenant: str) -> None:
    """Make the signing keys of a tenant unless it has some."""
    SigningKeys(store, Keyring(settings.secret_keys)).ensure(tenant)


def rotate_keys(
    store: AuthStore, settings: AuthSettings, tenant: str, overlap: int = KEY_OVERLAP
) -> None:
    """Sign with new keys; the old ones stay in the JWKS for `overlap` seconds."""
    SigningKeys(store, Keyring(settings.secret_keys)).rotate(tenant, overlap)
