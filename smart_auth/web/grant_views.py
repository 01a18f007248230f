"""What a person granted, with a button to end it, and what they decided before."""

from __future__ import annotations

from typing import Any

from flask import Response, request

from smart_auth import clock
from smart_auth.core import Core
from smart_auth.ports import TenantInfo
from smart_auth.records import ConsentRecord, Grant, User
from smart_auth.scope_words import describe
from smart_auth.scopes import Scope
from smart_auth.sessions import Sessions
from smart_auth.web import pages
from smart_auth.web.launch_pages import app_name, patient_shown
from smart_auth.web.routes import FORM, Route
from smart_auth.web.steps import stale_form
from smart_auth.web.times import day, moment
from smart_auth.web.visitor import visit

DECISIONS_SHOWN = 50


class GrantViews:
    """The page of a person's apps; `tenant` is already known to exist."""

    def __init__(self, core: Core, sessions: Sessions) -> None:
        self._core = core
        self._sessions = sessions

    def routes(self) -> list[Route]:
        """The page of a person's apps."""
        return [Route("/auth/manage", self.manage, FORM)]

    def manage(self, tenant: TenantInfo) -> Response:
        """The user's grants; a POST ends one of them."""
        visitor = visit(self._core, self._sessions, tenant, "manage")
        if isinstance(visitor, Response):
            return visitor
        user = visitor.user
        if request.method == "POST":
            if not visitor.form_is_ours("manage"):
                return stale_form(self._core, tenant)
            ended = self._end(tenant, user, pages.posted("grant"))
            return pages.see_other(self._core, tenant, "manage?done=ended" if ended else "manage")
        grants = self._core.store.grants.live(tenant.slug, clock.now(), user_id=user.user_id)
        decisions = self._core.store.grants.consents(tenant.slug, user.user_id)
        return pages.page(
            self._core,
            tenant,
            "manage.html",
            csrf=visitor.csrf("manage"),
            user=user,
            grants=[self._grant_shown(tenant, user, grant) for grant in grants],
            decisions=[self._decision_shown(tenant, it) for it in decisions[:DECISIONS_SHOWN]],
            done="The access has ended." if request.args.get("done") == "ended" else None,
        )

    def _end(self, tenant: TenantInfo, user: User, grant_id: str) -> bool:
        """End a grant if it is this user's."""
        grant = self._core.store.grants.get(tenant.slug, grant_id)
        if grant is None or grant.user_id != user.user_id:
            return False
        ended = self._core.store.grants.revoke(
            tenant.slug, grant_id, "ended by the user", clock.now()
        )
        self._core.audit(
            tenant.slug,
            "revoke",
            "success",
            client_id=grant.client_id,
            user_id=user.user_id,
            patient_id=grant.context.patient,
        )
        return ended

    def _grant_shown(self, tenant: TenantInfo, user: User, grant: Grant) -> dict[str, Any]:
        scopes = self._core.scopes(grant.scope)
        return {
            "id": grant.grant_id,
            "app": app_name(self._core, tenant, grant.client_id),
            "patient": self._patient(tenant, grant.context.patient),
            "since": day(tenant, grant.created_at),
            "used": moment(tenant, grant.last_used_at),
            "until": moment(tenant, grant.expires_at),
            "may": [self._sentence(tenant, user, item) for item in scopes],
        }

    def _decision_shown(self, tenant: TenantInfo, decision: ConsentRecord) -> dict[str, Any]:
        return {
            "at": moment(tenant, decision.decided_at),
            "app": app_name(self._core, tenant, decision.client_id),
            "patient": self._patient(tenant, decision.patient_id),
            "granted": decision.decision == "granted",
        }

    def _sentence(self, tenant: TenantInfo, user: User, item: Scope | str) -> str:
        known = () if isinstance(item, str) else self._core.ports.categories(tenant.slug, item.type)
        return describe(item, user.role, known)

    def _patient(self, tenant: TenantInfo, patient_id: str | None) -> str | None:
        patient = patient_shown(self._core, tenant, patient_id)
        return None if patient is None else patient.name or patient.id
