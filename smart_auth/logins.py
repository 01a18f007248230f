"""Checking a user name and password, with delays that slow guessing and never lock anybody out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from smart_auth import clock, keyring
from smart_auth.core import Core
from smart_auth.passwords import check_password
from smart_auth.ports import TenantInfo
from smart_auth.records import User
from smart_auth.store.limits import WINDOW


@dataclass(frozen=True)
class LoginOutcome:
    """`user` when it went well; otherwise why not, and how long to wait (seconds)."""

    user: User | None
    problem: Literal["wrong", "wait"] | None = None
    retry_after: int = 0


def log_in(
    core: Core, tenant: TenantInfo, username: str, password: str, address: str
) -> LoginOutcome:
    """Check the password unless this user name or address has to wait; every outcome is audited.

    Delays belong to a user name at an address: nobody elsewhere can keep a person out.
    """
    now = clock.now()
    limits = core.settings.effective_limits
    count = core.store.limits.count(tenant.slug, f"login/{address}", now)
    if count > limits.logins_per_minute:
        return _refuse(core, tenant, None, "wait", WINDOW - now % WINDOW)
    subject = keyring.hash_token(f"{username}/{address}")
    blocked = core.store.limits.blocked_until(tenant.slug, subject)
    if blocked > now:
        return _refuse(core, tenant, None, "wait", blocked - now)
    user = core.store.users.by_username(tenant.slug, username)
    stored = None if user is None else user.password_hash
    if not check_password(stored, password) or user is None or not user.active:
        core.store.limits.fail(
            tenant.slug, subject, now, limits.failures_before_delay, limits.longest_delay
        )
        return _refuse(core, tenant, user, "wrong", 0)
    core.store.limits.succeed(tenant.slug, subject)
    core.audit(tenant.slug, "login", "success", user_id=user.user_id)
    return LoginOutcome(user)


def _refuse(
    core: Core,
    tenant: TenantInfo,
    user: User | None,
    problem: Literal["wrong", "wait"],
    retry_after: int,
) -> LoginOutcome:
    reason = "too many attempts" if problem == "wait" else "wrong user name or password"
    user_id = None if user is None else user.user_id
    core.audit(tenant.slug, "login", "refused", user_id=user_id, reason=reason)
    return LoginOutcome(None, problem, retry_after)
