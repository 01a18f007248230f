"""What an administrator does to what apps were given."""

from __future__ import annotations

from collections.abc import Sequence

from smart_auth import clock
from smart_auth.records import Grant
from smart_auth.store import AuthStore

BY_PROVIDER = "ended by the provider"


def end_grant(store: AuthStore, tenant: str, grant_id: str) -> bool:
    """End a grant: every token of it stops at once. False when it had ended, or never was."""
    return store.grants.revoke(tenant, grant_id, BY_PROVIDER, clock.now())


def end_grants(
    store: AuthStore, tenant: str, *, user_id: str | None = None, client_id: str | None = None
) -> Sequence[Grant]:
    """End all grants of a user, of an app, or of a user with an app; which they were.

    Raises ValueError when neither is named.
    """
    return store.oversight.end_grants(
        tenant, clock.now(), BY_PROVIDER, user_id=user_id, client_id=client_id
    )
