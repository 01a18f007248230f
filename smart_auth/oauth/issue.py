"""Token responses: what a launch and a backend client get (SMART App Launch section 2.0.10)."""

from __future__ import annotations

from typing import Any

from smart_auth import clock
from smart_auth.core import Core
from smart_auth.ports import TenantInfo
from smart_auth.records import Client, Grant, User
from smart_auth.scopes import ScopeSet
from smart_auth.style import style_url
from smart_auth.tokens import sign_access_token, sign_id_token


def launch_answer(
    core: Core,
    tenant: TenantInfo,
    grant: Grant,
    user: User,
    scope: ScopeSet,
    *,
    nonce: str | None,
    refresh_token: str | None,
) -> dict[str, Any]:
    """The token response of a launch or a refresh. `scope` may be narrower than the grant's.

    With online access no token outlives the grant.
    """
    lifetime = core.settings.lifetimes.launch_access_token
    if "online_access" in scope:
        lifetime = max(1, min(lifetime, grant.expires_at - clock.now()))
    access_token = sign_access_token(core.keys, tenant, grant, str(scope), lifetime)
    answer: dict[str, Any] = {
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": lifetime,
        "scope": str(scope),
        "smart_style_url": style_url(tenant),
        "need_patient_banner": grant.context.need_patient_banner,
        "tenant": tenant.slug,
    }
    answer |= context_members(grant)
    if refresh_token is not None:
        answer["refresh_token"] = refresh_token
    if "openid" in scope:
        answer["id_token"] = sign_id_token(
            core.keys,
            tenant,
            grant,
            user,
            access_token,
            nonce=nonce,
            fhir_user="fhirUser" in scope,
            lifetime=lifetime,
        )
    return answer


def context_members(grant: Grant) -> dict[str, Any]:
    """Launch context as members of a token or introspection response; absent ones are left out."""
    context = grant.context
    members = {
        "patient": context.patient,
        "encounter": context.encounter,
        "fhirContext": [dict(item) for item in context.fhir_context] or None,
        "intent": context.intent,
    }
    return {name: value for name, value in members.items() if value is not None}


def backend_answer(core: Core, tenant: TenantInfo, grant: Grant) -> dict[str, Any]:
    """The token response of a backend client: never a refresh token."""
    lifetime = core.settings.lifetimes.backend_access_token
    return {
        "access_token": sign_access_token(core.keys, tenant, grant, grant.scope, lifetime),
        "token_type": "Bearer",
        "expires_in": lifetime,
        "scope": grant.scope,
    }


def refresh_lifetime_end(
    core: Core, client: Client, scope: ScopeSet, created_at: int
) -> int | None:
    """When a refresh token given now ends (epoch seconds); None when there is to be none.

    Offline access slides by the refresh lifetime with each use; online access ends with the working
    day of the session that began it.
    """
    if not client.check_grant_type("refresh_token"):
        return None
    lifetimes = core.settings.lifetimes
    if "offline_access" in scope:
        return clock.now() + lifetimes.refresh_token
    if "online_access" in scope:
        return created_at + lifetimes.online_grant
    return None
