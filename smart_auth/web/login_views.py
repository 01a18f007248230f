"""The steps of a login: name and password, then PIN or code for those who have one, and a password
of one's own for those who were given theirs."""

from __future__ import annotations

from flask import Response

from smart_auth import admin, logins
from smart_auth.core import Core
from smart_auth.logins import FirstStep, Needs
from smart_auth.ports import TenantInfo
from smart_auth.records import User
from smart_auth.sessions import Sessions
from smart_auth.web import factor_forms, pages
from smart_auth.web.browser import Browser
from smart_auth.web.caller import caller_address
from smart_auth.web.login_pages import LoginPages
from smart_auth.web.pending import find_pending
from smart_auth.web.routes import Route
from smart_auth.web.steps import enter, stale_form

DIFFERENT = "The two new passwords differ."


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
            Route("/auth/new-password", self.new_password, ("POST",)),
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
        return self._go_on(tenant, shown, outcome.user, outcome.needs, logins.PASSWORD)

    def factor(self, tenant: TenantInfo) -> Response:
        """Check PIN or code."""
        found = self._half(tenant)
        if isinstance(found, Response):
            return found
        shown, user, first = found
        factor = self._core.store.factors.get(tenant.slug, user.user_id)
        if factor is None:
            return self._again(tenant, shown)
        outcome = logins.check_second(
            self._core, tenant, user, pages.posted("code"), caller_address(), first
        )
        if outcome.user is None:
            half, value, back = (pages.posted(name) for name in ("half", "request", "back"))
            return shown.factor(half, factor.kind, value, outcome, back)
        return self._go_on(tenant, shown, user, outcome.needs, first.and_with(factor.kind))

    def enrol(self, tenant: TenantInfo) -> Response:
        """Take the second factor that the user's role needs."""
        found = self._half(tenant)
        if isinstance(found, Response):
            return found
        shown, user, first = found
        if self._core.store.factors.get(tenant.slug, user.user_id):
            return self._again(tenant, shown)
        kind, errors = factor_forms.take(self._core, tenant, user)
        if kind is None:
            half, value, back = (pages.posted(name) for name in ("half", "request", "back"))
            return shown.enrol(half, user, value, errors, back)
        outcome = logins.conclude(self._core, tenant, user, caller_address(), first)
        return self._go_on(tenant, shown, user, outcome.needs, first.and_with(kind))

    def new_password(self, tenant: TenantInfo) -> Response:
        """Take a password of the user's own."""
        found = self._half(tenant, choosing=True)
        if isinstance(found, Response):
            return found
        shown, user, first = found
        half, value, back = (pages.posted(name) for name in ("half", "request", "back"))
        if pages.posted("new") != pages.posted("again"):
            return shown.new_password(half, user, value, {"again": DIFFERENT}, back)
        try:
            logins.choose_password(self._core, tenant, user, pages.posted("new"), caller_address())
        except admin.ChangedSince:
            return self._again(tenant, shown)
        except ValueError as error:
            return shown.new_password(half, user, value, {"new": f"{error}."}, back)
        return self._go_on(tenant, shown, user, None, first)

    def _half(
        self, tenant: TenantInfo, *, choosing: bool = False
    ) -> tuple[LoginPages, User, FirstStep] | Response:
        """Who took the steps before this one, in this browser and for this request."""
        value = pages.posted("request")
        browser = Browser(self._core, self._sessions, tenant)
        if not browser.form_is_ours(f"login/{value}"):
            return stale_form(self._core, tenant)
        shown = LoginPages(self._core, tenant, browser)
        bound_to = shown.bound_to(value, choosing=choosing)
        found = logins.half_logged_in(self._core, tenant, pages.posted("half"), bound_to)
        if found is None:
            return self._again(tenant, shown)
        return shown, found.user, found.first

    def _go_on(
        self,
        tenant: TenantInfo,
        shown: LoginPages,
        user: User,
        needs: Needs | None,
        done: FirstStep,
    ) -> Response:
        """On to what the login still needs, or in."""
        value, back = pages.posted("request"), pages.posted("back")
        if needs is not None:
            return shown.next_step(user, needs, value, back, done)
        return enter(
            self._core,
            self._sessions,
            tenant,
            user.user_id,
            value=value,
            back=back,
            origin=done.origin,
            methods=done.methods,
        )

    def _again(self, tenant: TenantInfo, shown: LoginPages) -> Response:
        value, back = pages.posted("request"), pages.posted("back")
        pending = find_pending(self._core, tenant, value)
        return shown.login(value, pending, back=back, problem="That took too long. Log in again.")
