"""What a logged-in person granted before, and how to end it; the looks of all pages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import Response, request

from smart_auth import clock
from smart_auth.core import Core
from smart_auth.ports import TenantInfo
from smart_auth.records import Grant, User
from smart_auth.scope_words import describe
from smart_auth.sessions import Sessions
from smart_auth.web import pages
from smart_auth.web.browser import Browser
from smart_auth.web.launch_pages import patient_shown
from smart_auth.web.routes import FORM, READ, Route
from smart_auth.web.steps import stale_form
from smart_auth.web.visitor import visit


class AccountViews:
    """The management page; `tenant` is already known to exist."""

    def __init__(self, core: Core, sessions: Sessions) -> None:
        self._core = core
        self._sessions = sessions

    def routes(self) -> list[Route]:
        """A person's own pages."""
        return [
            Route("/auth/manage", self.manage, FORM),
            Route("/auth/logout", self.logout, ("POST",)),
            Route("/auth/style.css", self.stylesheet, READ),
        ]

    def manage(self, tenant: TenantInfo) -> Response:
        """The user's grants; a POST ends one of them."""
        visitor = visit(self._core, self._sessions, tenant, "manage")
        if isinstance(visitor, Response):
            return visitor
        browser, user = visitor.browser, visitor.user
        ended = False
        if request.method == "POST":
            if not browser.form_is_ours("manage"):
                return stale_form(self._core, tenant)
            ended = self._end(tenant, user, pages.posted("grant"))
        grants = self._core.store.grants.live(tenant.slug, clock.now(), user_id=user.user_id)
        response = pages.page(
            self._core,
            tenant,
            "manage.html",
            csrf=browser.csrf("manage"),
            user=user,
            grants=[self._shown(tenant, user, grant) for grant in grants],
            ended=ended,
        )
        return response

    def logout(self, tenant: TenantInfo) -> Response:
        """End the session."""
        browser = Browser(self._core, self._sessions, tenant)
        if not browser.form_is_ours("logout"):
            return stale_form(self._core, tenant)
        session = self._sessions.current(tenant, request)
        if session is not None:
            self._sessions.end(tenant, session)
            self._core.audit(tenant.slug, "logout", "success", user_id=session.user_id)
        response = pages.send_to(self._core, pages.path_of(tenant, "manage"))
        self._sessions.clear_cookie(response, tenant)
        return response

    def stylesheet(self, tenant: TenantInfo) -> Response:
        """The stylesheet of all pages."""
        return pages.stylesheet()

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

    def _shown(self, tenant: TenantInfo, user: User, grant: Grant) -> dict[str, Any]:
        client = self._core.store.clients.get(tenant.slug, grant.client_id)
        patient = patient_shown(self._core, tenant, grant.context.patient)
        return {
            "id": grant.grant_id,
            "patient": None if patient is None else patient.name or patient.id,
            "app": grant.client_id if client is None else client.name,
            "since": _date(grant.created_at),
            "used": _date(grant.last_used_at),
            "until": _date(grant.expires_at),
            "scopes": [describe(item, user.role) for item in self._core.scopes(grant.scope)],
        }


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
