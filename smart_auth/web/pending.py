"""The request of an app that a page is a step of."""

from __future__ import annotations

from smart_auth import clock, keyring
from smart_auth.core import Core
from smart_auth.ports import TenantInfo
from smart_auth.records import PendingAuthorization


def find_pending(core: Core, tenant: TenantInfo, value: str) -> PendingAuthorization | None:
    """The request that waits under this value; None when there is none, or it has expired."""
    if not value:
        return None
    return core.store.pending.get(tenant.slug, keyring.hash_token(value), clock.now())
