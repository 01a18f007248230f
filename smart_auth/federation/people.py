"""Whose account an external identity opens.

Only what the operator or an administrator vouched for counts: a link made by an administrator, or a
claim that the operator's settings call trustworthy. No claim gives a role, a patient or an account
that is not there. A claim links at the first login only, only to an account that no identity of
this issuer opens yet (so that a user name which is given to somebody else later opens nothing), and
never to an administrator, nor to a developer, who may have made the account in another's name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from smart_auth import clock
from smart_auth.core import Core
from smart_auth.federation.id_token import Assertion
from smart_auth.federation.problems import LoginProblem, unknown
from smart_auth.login_provider import LoginProvider
from smart_auth.records import Role, User
from smart_auth.store.federation import FederatedIdentity

LINKED_BY_CLAIM: frozenset[Role] = frozenset({"practitioner", "patient"})
LONGEST_NAME = 255

MoreClaims = Callable[[], Mapping[str, Any]]
"""Claims that cost a call: asked for at a first login only, when the id_token lacks the one wanted.
"""


def find_user(
    core: Core, tenant: str, provider: LoginProvider, said: Assertion, more: MoreClaims
) -> User:
    """The active user of this identity; links one at the first login where the settings say so.
    Raises `LoginProblem`."""
    user_id = core.store.federation.user_of(tenant, provider.issuer, said.subject)
    if user_id is None:
        name = None
        if provider.link != "linked":
            name = _user_name(provider, said.claims) or _user_name(provider, more())
        return _link(core, tenant, provider, said.subject, name)
    user = core.store.users.get(tenant, user_id)
    if user is None:
        raise unknown("identity not linked")
    if not user.active:
        raise LoginProblem(
            "the user is inactive", "knows you, but your account here is not active.", 403
        )
    return user


def _link(core: Core, tenant: str, provider: LoginProvider, subject: str, name: str | None) -> User:
    user = None if name is None else core.store.users.by_username(tenant, name)
    if user is None:
        raise unknown("identity not linked")
    if user.role not in LINKED_BY_CLAIM or not user.active:
        raise unknown("an account that a claim may not link")
    identity = FederatedIdentity(provider.issuer, subject, user.user_id, clock.now())
    if not core.store.federation.link_first(tenant, identity):
        # Another worker may have linked this very identity a moment ago.
        if core.store.federation.user_of(tenant, provider.issuer, subject) == user.user_id:
            return user
        raise unknown("the account is linked to another identity of this issuer")
    core.audit(
        tenant,
        "account",
        "success",
        user_id=user.user_id,
        reason=f"linked to an identity of {provider.name} at its first login",
    )
    return user


def _user_name(provider: LoginProvider, claims: Mapping[str, Any]) -> str | None:
    """The user name here that the claims speak of."""
    if provider.link == "email":
        # `true` itself (Core section 5.1): a text or a number is no verification.
        verified = claims.get("email_verified") is True
        value = claims.get("email") if verified else None
    else:
        value = claims.get(provider.username_claim)
    usable = isinstance(value, str) and 0 < len(value) <= LONGEST_NAME and "\x00" not in value
    return value if usable else None
