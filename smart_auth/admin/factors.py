"""What an administrator does to the second factors of people."""

from __future__ import annotations

from smart_auth import clock, factors
from smart_auth.keyring import Keyring
from smart_auth.records import Ended, FactorKind, User
from smart_auth.settings import AuthSettings
from smart_auth.store import AuthStore


def factor_of(store: AuthStore, user: User) -> FactorKind | None:
    """Which second factor this user has."""
    factor = store.factors.get(user.tenant, user.user_id)
    return None if factor is None else factor.kind


def give_pin(store: AuthStore, user: User, pin: str) -> None:
    """Let the user log in with this PIN besides the password. Raises ValueError."""
    factors.set_pin(store, user, pin)


def give_totp(
    store: AuthStore, settings: AuthSettings, user: User, issuer: str
) -> factors.Enrolment:
    """Let the user log in with the codes of a new seed, which is given back this once."""
    made = factors.enrolment(factors.new_seed(), issuer, user.username)
    factors.set_totp(store, Keyring(settings.secret_keys), user, made.seed)
    return made


def reset_factor(store: AuthStore, user: User) -> Ended | None:
    """Forget a lost second factor and end the user's sessions; None when there was none."""
    removed = store.factors.remove(user.tenant, user.user_id)
    return end_sessions(store, user) if removed else None


def end_sessions(store: AuthStore, user: User) -> Ended:
    """Log the user out everywhere. Grants stay, but for those of online access."""
    return store.sessions.end_all(user.tenant, user.user_id, clock.now())
