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


def wider(old: Client, new: Client, types: Collection[str]) -> list[str]:
    """In which ways an app would be more, or look like more, than the app that was approved; each
    in a few words. New keys of the same kind are no such way: keys have to be rotated."""
    had = ScopeSet.parse(old.scope, types)
    weaker = old.auth_method != new.auth_method and new.auth_method != "private_key_jwt"
    found = {
        "another name": new.name != old.name,
        "a new redirect URI": not set(new.redirect_uris) <= set(old.redirect_uris),
        "another launch URI": new.launch_uri not in (None, old.launch_uri),
        "wider scopes": not had.covers(ScopeSet.parse(new.scope, types)),
        "another grant type": not set(new.grant_types) <= set(old.grant_types),
        "a weaker way to authenticate": weaker,
        "a longer validity": (new.valid_from or 0) < (old.valid_from or 0)
        or _end(new.valid_to) > _end(old.valid_to),
    }
    return [words for words, holds in found.items() if holds]


def _end(valid_to: int | None) -> float:
    return float("inf") if valid_to is None else valid_to
