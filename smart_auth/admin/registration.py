"""What an administrator does to let apps register themselves (RFC 7591 section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from smart_auth import clock, keyring
from smart_auth.records import InitialAccessToken
from smart_auth.store import AuthStore

DEFAULT_DAYS = 7
LONGEST_DAYS = 366
MOST_USES = 10_000
LONGEST_NAME = 100


@dataclass(frozen=True)
class MadeInitialToken:
    """A token with its value, which is shown this once and kept only as a hash."""

    token: InitialAccessToken
    value: str = field(repr=False)


def make_initial_token(
    store: AuthStore,
    tenant: str,
    name: str,
    made_by: str,
    *,
    days: int = DEFAULT_DAYS,
    uses: int | None = 1,
) -> MadeInitialToken:
    """A token with which `uses` apps (None: any number) may be registered for `days` days.

    `name` says whom it is for, `made_by` is a user id or `OPERATOR`. Raises ValueError.
    """
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise ValueError(f"The name must be 1 to {LONGEST_NAME} printable characters")
    if not 1 <= days <= LONGEST_DAYS:
        raise ValueError(f"A token may last 1 to {LONGEST_DAYS} days")
    if uses is not None and not 1 <= uses <= MOST_USES:
        raise ValueError(f"A token may be used 1 to {MOST_USES} times, or without limit")
    value = keyring.random_token()
    now = clock.now()
    token = InitialAccessToken(
        token_id=keyring.random_token(12),
        name=name.strip(),
        made_by=made_by,
        created_at=now,
        expires_at=now + days * 86_400,
        uses_left=uses,
    )
    store.registration.add_token(tenant, keyring.hash_token(value), token)
    return MadeInitialToken(token, value)


def list_initial_tokens(store: AuthStore, tenant: str) -> Sequence[InitialAccessToken]:
    """All tokens of a tenant that did not expire long ago, newest first."""
    return store.registration.tokens(tenant)


def revoke_initial_token(store: AuthStore, tenant: str, token_id: str) -> None:
    """End a token; apps registered with it stay. Raises LookupError for an unknown or ended one."""
    if not store.registration.revoke_token(tenant, token_id, clock.now()):
        raise LookupError("No such token, or it was revoked before")
