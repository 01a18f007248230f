"""The steps of a login: name and password, then PIN or code for those who have one."""

from __future__ import annotations

from flask import Response

from smart_auth import logins
from smart_auth.core import Core
from smart_auth.logins import FirstStep
from smart_auth.ports import TenantInfo
from smart_auth.records import FactorKind, User
from smart_auth.sessions import Sessions
from smart_auth.web import factor_forms, pages
from smart_auth.web.browser import Browser
from smart_auth.web.caller import caller_address
from smart_auth.web.login_pages import LoginPages
from smart_auth.web.pending import find_pending
from smart_auth.web.routes import Route
from smart_auth.web.steps import enter, stale_form


class LoginViews:
    """Check who somebody is; `tenant` is already known to exist."""

    def __init__(self, core: Core, sessions: Sessions) -> None:
        self._core = core
        self._sessions = sessions

    def routes(self) -> list[Route]:
        """The forms of a login."""
        return [
            Route("/auth/login", self.login, ("POST",)),
            Route("/auth/factor", self.factor, ("POST",)),
            Route("/auth/enrol", self.enrol, ("POST",)),
        ]

    def login(self, tenant: TenantInfo) -> Response:
        """Check user name and password."""
        value, back = pages.posted("request"), pages.posted("back")
        browser = Browser(self._core, self._sessions, tenant)
        if not browser.form_is_ours(f"login/{value}"):
            return stale_form(self._core, tenant)
        outcome = logins.log_in(
            self._core,
            tenant,
            pages.posted("username"),
            pages.posted("password"),
            caller_address(),
        )
        shown = LoginPages(self._core, tenant, browser)
        if outcome.user is None:
            pending = find_pending(self._core, tenant, value)
            return shown.login(value, pending, outcome, back)
        if outcome.needs is not None:
            return shown.second_step(outcome.user, outcome.needs, value, back)
        return self._enter(tenant, outcome.user, logins.PASSWORD)

    def factor(self, tenant: TenantInfo) -> Response:
        """Check PIN or code."""
        value, back, half = pages.posted("request"), pages.posted("back"), pages.posted("half")
        browser = Browser(self._core, self._sessions, tenant)
        if not browser.form_is_ours(f"login/{value}"):
            return stale_form(self._core, tenant)
        shown = LoginPages(self._core, tenant, browser)
        found = logins.half_logged_in(self._core, tenant, half, shown.bound_to(value))
        if found is None:
            return self._again(tenant, browser, value, back)
        user = found.user
        factor = self._core.store.factors.get(tenant.slug, user.user_id)
        if factor is None:
            return self._again(tenant, browser, value, back)
        outcome = logins.check_second(
            self._core, tenant, user, pages.posted("code"), caller_address()
        )
        if outcome.user is None:
            return shown.factor(half, factor.kind, value, outcome, back)
        return self._enter(tenant, user, found.first, factor.kind)

    def enrol(self, tenant: TenantInfo) -> Response:
        """Take the second factor that the user's role needs."""
        value, back, half = pages.posted("request"), pages.posted("back"), pages.posted("half")
        browser = Browser(self._core, self._sessions, tenant)
        if not browser.form_is_ours(f"login/{value}"):
            return stale_form(self._core, tenant)
        shown = LoginPages(self._core, tenant, browser)
        found = logins.half_logged_in(self._core, tenant, half, shown.bound_to(value))
        if found is None or self._core.store.factors.get(tenant.slug, found.user.user_id):
            return self._again(tenant, browser, value, back)
        user = found.user
        kind, errors = factor_forms.take(self._core, tenant, user)
        if kind is None:
            return shown.enrol(half, user, value, errors, back)
        logins.complete(self._core, tenant, user, caller_address())
        return self._enter(tenant, user, found.first, kind)

    def _enter(
        self, tenant: TenantInfo, user: User, first: FirstStep, kind: FactorKind | None = None
    ) -> Response:
        return enter(
            self._core,
            self._sessions,
            tenant,
            user.user_id,
            value=pages.posted("request"),
            back=pages.posted("back"),
            origin=first.origin,
            methods=first.methods if kind is None else first.methods_with(kind),
        )

    def _again(self, tenant: TenantInfo, browser: Browser, value: str, back: str) -> Response:
        problem = "That took too long. Log in again."
        pending = find_pending(self._core, tenant, value)
        shown = LoginPages(self._core, tenant, browser)
        return shown.login(value, pending, back=back, problem=problem)
