"""The steps of a login."""

from __future__ import annotations

from flask import Response, request

from smart_auth.core import Core
from smart_auth.logins import log_in
from smart_auth.ports import TenantInfo
from smart_auth.sessions import Sessions
from smart_auth.web import pages
from smart_auth.web.browser import Browser
from smart_auth.web.login_pages import LoginPages
from smart_auth.web.routes import Route
from smart_auth.web.steps import enter, find_pending, stale_form


class LoginViews:
    """Check who somebody is; `tenant` is already known to exist."""

    def __init__(self, core: Core, sessions: Sessions) -> None:
        self._core = core
        self._sessions = sessions

    def routes(self) -> list[Route]:
        """The forms of a login."""
        return [Route("/auth/login", self.login, ("POST",))]

    def login(self, tenant: TenantInfo) -> Response:
        """Check the login form; on success a new session begins."""
        value, back = pages.posted("request"), pages.posted("back")
        browser = Browser(self._core, self._sessions, tenant)
        if not browser.form_is_ours(f"login/{value}"):
            return stale_form(self._core, tenant)
        outcome = log_in(
            self._core,
            tenant,
            pages.posted("username"),
            pages.posted("password"),
            request.remote_addr or "",
        )
        if outcome.user is None:
            pending = find_pending(self._core, tenant, value)
            return LoginPages(self._core, tenant, browser).login(
                value, pending, outcome.retry_after or None, back
            )
        return enter(
            self._core, self._sessions, tenant, outcome.user.user_id, value=value, back=back
        )
