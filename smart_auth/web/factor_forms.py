"""The forms that set up a second factor, at a login and in the account."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from smart_auth import clock, factors
from smart_auth.core import Core
from smart_auth.factors import Enrolment
from smart_auth.ports import TenantInfo
from smart_auth.records import FactorKind, User
from smart_auth.web.pages import posted

SEED_SECONDS = 1800
"""How long a page with a new seed may be answered."""


@dataclass(frozen=True)
class Setup:
    """A new seed to be copied, and the same sealed for the form, so that nothing is kept of seeds
    that nobody uses."""

    enrolment: Enrolment
    sealed: str


def offer(core: Core, tenant: TenantInfo, user: User) -> Setup:
    """A seed for this user: the one of the form that was sent, or a new one."""
    sealed = posted("sealed")
    seed = _unseal(core, tenant, user, sealed)
    if seed is None:
        seed = factors.new_seed()
        content = [user.user_id, clock.now() + SEED_SECONDS, seed]
        sealed = core.ring.wrap(tenant.slug, json.dumps(content))
    return Setup(factors.enrolment(seed, tenant.name, user.username), sealed)


def take(core: Core, tenant: TenantInfo, user: User) -> tuple[FactorKind | None, Mapping[str, str]]:
    """Set up what the form holds: the kind, or what is wrong by field. Nothing changes then."""
    if posted("kind") == "totp":
        errors = _take_totp(core, tenant, user)
    elif posted("kind") == "pin":
        errors = _take_pin(core, user)
    else:
        errors = {"": "Choose a PIN or an authenticator app."}
    if errors:
        return None, errors
    kind: FactorKind = "totp" if posted("kind") == "totp" else "pin"
    core.audit(tenant.slug, "account", "success", user_id=user.user_id, reason=f"{kind} set up")
    return kind, {}


def _take_pin(core: Core, user: User) -> dict[str, str]:
    pin = posted("pin")
    if pin != posted("pin_again"):
        return {"pin_again": "The two PINs differ."}
    try:
        factors.set_pin(core.store, user, pin)
    except ValueError as error:
        return {"pin": f"{error}."}
    return {}


def _take_totp(core: Core, tenant: TenantInfo, user: User) -> dict[str, str]:
    seed = _unseal(core, tenant, user, posted("sealed"))
    if seed is None:
        return {"code": "The page was open too long. Copy the new key and enter its code."}
    step = factors.matching_step(seed, "".join(posted("code").split()), clock.now())
    if step is None:
        return {"code": "This is not the present code of the key above. Is the phone's time right?"}
    factors.set_totp(core.store, core.ring, user, seed, step)
    return {}


def _unseal(core: Core, tenant: TenantInfo, user: User, sealed: str) -> str | None:
    try:
        user_id, expires, seed = json.loads(core.ring.unwrap(tenant.slug, sealed))
    except (ValueError, TypeError):
        return None
    if user_id != user.user_id or expires <= clock.now():
        return None
    return str(seed)
