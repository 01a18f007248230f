"""Checking who somebody is, with delays that slow guessing and never lock anybody out.

A login is a password, a PIN or code for those who have a second factor, and a password of one's own
for those whose password was given by somebody else. Failures of the first two count together, by
user name and address, and are forgotten only when the whole login went well.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from smart_auth import admin, clock, factors, keyring
from smart_auth.core import Core
from smart_auth.passwords import check_password
from smart_auth.ports import TenantInfo
from smart_auth.records import FactorKind, User
from smart_auth.store.limits import WINDOW

SECOND_STEP_SECONDS = 300
"""How long a person has for the second step."""
ENROL_SECONDS = 1800
"""How long to set one up, for which an app has to be found and installed, or to find a password."""

ELSEWHERE_TIMES = 10
"""So many times the failures of one address are free, of all addresses together, in the second
step: enough to stop guessing from many places, and hard to delay the person with."""

METHODS: dict[FactorKind, str] = {"pin": "pin", "totp": "otp"}
"""What a second factor is called (RFC 8176)."""

Needs = FactorKind | Literal["enrol", "password"]
"""What a user has to show, to set up, or to choose, before the login is whole."""


@dataclass(frozen=True)
class FirstStep:
    """What went before the next step: who checked the person and how, as in `Session`."""

    origin: str = "login"
    methods: str = "pwd"

    def and_with(self, kind: FactorKind) -> FirstStep:
        """The same with a second factor."""
        methods = dict.fromkeys([*self.methods.split(), METHODS[kind]])
        return replace(self, methods=" ".join(methods))


PASSWORD = FirstStep()

_HALF = re.compile(
    r"(?P<user>\w{1,64})\.(?P<expires>[0-9]{1,12})\.(?P<origin>[a-z0-9-]{1,16})"
    r"\.(?P<methods>[a-z+]{0,64})\.(?P<signature>[0-9a-f]{64})",
    re.ASCII,
)


@dataclass(frozen=True)
class HalfLogin:
    """Somebody who took the first step a moment ago."""

    user: User
    first: FirstStep


@dataclass(frozen=True)
class LoginOutcome:
    """`user` when it went well; otherwise why not, and how long to wait (seconds). `needs` says
    what is still to come."""

    user: User | None
    problem: Literal["wrong", "wait"] | None = None
    retry_after: int = 0
    needs: Needs | None = None


def log_in(
    core: Core, tenant: TenantInfo, username: str, password: str, address: str
) -> LoginOutcome:
    """Check the password unless this user name or address has to wait; every outcome is audited.

    Delays belong to a user name at an address: nobody elsewhere can keep a person out.
    """
    subject = keyring.hash_token(f"{username}/{address}")
    wait = _wait(core, tenant, address, subject)
    if wait:
        return _refuse(core, tenant, None, "wait", wait)
    user = core.store.users.by_username(tenant.slug, username)
    stored = None if user is None else user.password_hash
    if not check_password(stored, password) or user is None or not user.active:
        _fail(core, tenant, subject)
        return _refuse(core, tenant, user, "wrong")
    needs = second_needed(core, tenant, user)
    return LoginOutcome(user, needs=needs) if needs else conclude(core, tenant, user, address)


def second_needed(core: Core, tenant: TenantInfo, user: User) -> Needs | None:
    """The second step of this user, if there is one."""
    factor = core.store.factors.get(tenant.slug, user.user_id)
    if factor is not None:
        return factor.kind
    return "enrol" if user.role in core.settings.require_second_factor else None


def check_second(
    core: Core,
    tenant: TenantInfo,
    user: User,
    code: str,
    address: str,
    first: FirstStep = PASSWORD,
) -> LoginOutcome:
    """The second step of somebody whose `first` went well.

    Failures count for the user at any address too, later: only who knows the password makes some.
    """
    here, anywhere = keyring.hash_token(f"{user.username}/{address}"), _second_subject(user)
    wait = _wait(core, tenant, address, here, anywhere)
    if wait:
        return _refuse(core, tenant, user, "wait", wait)
    factor = core.store.factors.get(tenant.slug, user.user_id)
    if factor is None or not factors.accept(core.store, core.ring, tenant.slug, factor, code):
        _fail(core, tenant, here)
        _fail(core, tenant, anywhere, free=ELSEWHERE_TIMES)
        return _refuse(core, tenant, user, "wrong", reason="wrong second factor")
    return conclude(core, tenant, user, address, first)


def confirm_password(
    core: Core, tenant: TenantInfo, user: User, password: str, address: str
) -> LoginOutcome:
    """Ask a logged-in user for the password again, before something that matters."""
    subject = keyring.hash_token(f"{user.username}/{address}")
    wait = _wait(core, tenant, address, subject)
    if wait:
        return _refuse(core, tenant, user, "wait", wait)
    if not check_password(user.password_hash, password):
        _fail(core, tenant, subject)
        return _refuse(core, tenant, user, "wrong", reason="wrong password in the account")
    core.store.limits.succeed(tenant.slug, subject)
    return LoginOutcome(user)


def conclude(
    core: Core, tenant: TenantInfo, user: User, address: str, first: FirstStep = PASSWORD
) -> LoginOutcome:
    """Who somebody is was shown: the login is whole, unless it was shown by a password that
    somebody else gave."""
    if user.password_temporary and first.origin == PASSWORD.origin:
        return LoginOutcome(user, needs="password")
    return complete(core, tenant, user, address)


def choose_password(
    core: Core, tenant: TenantInfo, user: User, password: str, address: str
) -> LoginOutcome:
    """The last step of somebody whose password was given by another: one of their own. Raises
    ValueError, with a sentence for the person, and `ChangedSince`."""
    if check_password(user.password_hash, password):
        raise ValueError("Choose another password than the one you were given")
    changed = admin.set_password(core.store, user, password)
    reason = "password changed at login"
    core.audit(tenant.slug, "account", "success", user_id=user.user_id, reason=reason)
    return complete(core, tenant, changed, address)


def complete(core: Core, tenant: TenantInfo, user: User, address: str) -> LoginOutcome:
    """The login is whole: forget its failures."""
    core.store.limits.succeed(tenant.slug, keyring.hash_token(f"{user.username}/{address}"))
    core.store.limits.succeed(tenant.slug, _second_subject(user))
    core.audit(tenant.slug, "login", "success", user_id=user.user_id)
    return LoginOutcome(user)


def half_login(
    core: Core,
    tenant: TenantInfo,
    user: User,
    bound_to: str,
    seconds: int = SECOND_STEP_SECONDS,
    first: FirstStep = PASSWORD,
) -> str:
    """A form value that says this user took the first step a moment ago, good for so many seconds.
    `bound_to` names the browser and the request it is for."""
    expires = clock.now() + seconds
    shown = f"{first.origin}.{first.methods.replace(' ', '+')}"
    text = _half_text(user, bound_to, expires, shown)
    signature = core.ring.sign(tenant.slug, "half-login", text)
    return f"{user.user_id}.{expires}.{shown}.{signature}"


def half_logged_in(core: Core, tenant: TenantInfo, value: str, bound_to: str) -> HalfLogin | None:
    """Who such a value is of; None when it is not ours, too old, or the account was changed."""
    found = _HALF.fullmatch(value)
    if found is None or int(found["expires"]) <= clock.now():
        return None
    user = core.store.users.get(tenant.slug, found["user"])
    if user is None or not user.active:
        return None
    shown = f"{found['origin']}.{found['methods']}"
    text = _half_text(user, bound_to, int(found["expires"]), shown)
    if not core.ring.verify(tenant.slug, "half-login", text, found["signature"]):
        return None
    return HalfLogin(user, FirstStep(found["origin"], found["methods"].replace("+", " ")))


def _half_text(user: User, bound_to: str, expires: int, shown: str) -> str:
    return f"{user.user_id}/{user.version}/{expires}/{shown}/{bound_to}"


def _second_subject(user: User) -> str:
    return keyring.hash_token(f"second factor/{user.user_id}")


def _wait(core: Core, tenant: TenantInfo, address: str, *subjects: str) -> int:
    """Seconds until this address may try again, and all of these subjects."""
    now = clock.now()
    count = core.store.limits.count(tenant.slug, f"login/{address}", now)
    if count > core.settings.effective_limits.logins_per_minute:
        return WINDOW - now % WINDOW
    return max(0, *(core.store.limits.blocked_until(tenant.slug, it) - now for it in subjects))


def _fail(core: Core, tenant: TenantInfo, subject: str, free: int = 1) -> None:
    limits = core.settings.effective_limits
    most = free * limits.failures_before_delay
    core.store.limits.fail(tenant.slug, subject, clock.now(), most, limits.longest_delay)


def _refuse(
    core: Core,
    tenant: TenantInfo,
    user: User | None,
    problem: Literal["wrong", "wait"],
    retry_after: int = 0,
    reason: str = "wrong user name or password",
) -> LoginOutcome:
    if problem == "wait":
        reason = "too many attempts"
    user_id = None if user is None else user.user_id
    core.audit(tenant.slug, "login", "refused", user_id=user_id, reason=reason)
    return LoginOutcome(None, problem, retry_after)
