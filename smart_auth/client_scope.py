"""The most an app may be granted: what it registered for, within what the provider lets it have."""

from __future__ import annotations

from collections.abc import Collection

from smart_auth.records import Client
from smart_auth.scopes import ScopeSet


def allowed_to(client: Client, types: Collection[str]) -> ScopeSet:
    """The app's scopes, cut down to the provider's limit. `types`: the R4 types scopes may name.

    A limit speaks of resource scopes only; special scopes stay as registered.
    """
    registered = ScopeSet.parse(client.scope, types)
    if client.scope_limit is None:
        return registered
    return registered.limit(ScopeSet.parse(client.scope_limit, types))
