"""What an administrator does to people."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from smart_auth import keyring
from smart_auth.admin.clients import ChangedSince
from smart_auth.passwords import hash_password
from smart_auth.records import Ended, Role, User
from smart_auth.store import AuthStore

SHORTEST_PASSWORD = 8
SHORTEST_ADMIN_PASSWORD = 12
LONGEST_PASSWORD = 200


def create_user(
    store: AuthStore,
    tenant: str,
    username: str,
    password: str,
    *,
    role: Role,
    fhir_user: str | None = None,
    whole_tenant: bool = False,
    patients: Collection[str] = (),
    scopes: str | None = None,
    **more: Any,
) -> User:
    """Create someone who can log in. Raises `AlreadyExists`, or ValueError for a bad value.

    `fhir_user` is a relative reference; `patients` are ids without type; `scopes` is the most any
    grant of this user may hold (None for no limit); `more` are further fields of `User`.
    """
    if not username.strip():
        raise ValueError("The user name must not be empty")
    check_new_password(password, username, role)
    user = User(
        tenant=tenant,
        user_id=keyring.random_token(22),
        username=username,
        role=role,
        fhir_user=fhir_user,
        whole_tenant=whole_tenant,
        patients=frozenset(patients),
        scope=scopes,
        password_hash=hash_password(password),
        **more,
    )
    _check_reach(user)
    store.users.add(user)
    return user


def change_user(
    store: AuthStore,
    user: User,
    *,
    as_of: int | None = None,
    spare_last_admin: bool = False,
    **changes: Any,
) -> User:
    """Change fields of a user; it holds for tokens that are already out.

    Raises LookupError, ValueError for a bad value; with `as_of` (the version somebody looked at)
    `ChangedSince`; with `spare_last_admin` `LastAdmin` rather than leave nobody to administer the
    tenant.
    """
    changed = replace(user, **changes)
    _check_reach(changed)
    if not store.users.replace(changed, as_of=as_of, spare_last_admin=spare_last_admin):
        if as_of is not None and store.users.get(user.tenant, user.user_id) is not None:
            raise ChangedSince
        raise LookupError("No such user")
    return changed


def set_password(store: AuthStore, user: User, password: str, *, temporary: bool = False) -> User:
    """Give a user a new password; a `temporary` one has to be changed at the next login. Raises
    ValueError, and `ChangedSince` rather than undo what an administrator did to the user meanwhile;
    sessions and grants go on (`end_sessions`, `end_grants`)."""
    check_new_password(password, user.username, user.role)
    return change_user(
        store,
        user,
        as_of=user.version,
        password_hash=hash_password(password),
        password_temporary=temporary,
    )


def delete_user(store: AuthStore, user: User) -> Ended:
    """Remove a user for good: what opens the account goes, sessions and grants end, the apps of a
    developer stay without one. The user name is nobody's again, and logs go on to name the person.

    Raises `ChangedSince`, LookupError, and `LastAdmin` rather than leave nobody to administer.
    """
    ended = store.users.delete(user)
    if ended is None:
        if store.users.get(user.tenant, user.user_id) is not None:
            raise ChangedSince
        raise LookupError("No such user")
    return ended


def list_users(store: AuthStore, tenant: str) -> list[User]:
    """All users of a tenant."""
    return list(store.users.list(tenant))


def check_new_password(password: str, username: str = "", role: Role | None = None) -> None:
    """Raise ValueError, with a sentence for the person, unless this may become the password of
    somebody with this user name and role."""
    shortest = shortest_password(role)
    if len(password) < shortest:
        raise ValueError(f"The password needs at least {shortest} characters")
    if len(password) > LONGEST_PASSWORD:
        raise ValueError(f"The password may have at most {LONGEST_PASSWORD} characters")
    if username and password.casefold() == username.casefold():
        raise ValueError("The password must not be the user name")


def shortest_password(role: Role | None) -> int:
    """How many characters the password of a user in this role needs."""
    return SHORTEST_ADMIN_PASSWORD if role == "admin" else SHORTEST_PASSWORD


def _check_reach(user: User) -> None:
    if user.role == "patient" and user.whole_tenant:
        raise ValueError("A patient cannot be given the whole tenant")
