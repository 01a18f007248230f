"""The page where a developer's account begins."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Response, request

from smart_auth import clock
from smart_auth.admin.users import LONGEST_PASSWORD, shortest_password
from smart_auth.core import Core
from smart_auth.portal.developers import SERVICES, SignUp, sign_up
from smart_auth.portal.fields import InvalidForm
from smart_auth.ports import TenantInfo
from smart_auth.sessions import Sessions
from smart_auth.store.limits import WINDOW
from smart_auth.web import pages
from smart_auth.web.browser import Browser
from smart_auth.web.caller import caller_address
from smart_auth.web.routes import FORM, READ, Route
from smart_auth.web.steps import stale_form

CLOSED = "Developers cannot sign up here: ask the provider for an account."


class SignUpViews:
    """Sign up, and what happens next; nobody is logged in yet."""

    def __init__(self, core: Core, sessions: Sessions) -> None:
        self._core = core
        self._sessions = sessions

    def routes(self) -> list[Route]:
        """The two pages."""
        return [
            Route("/auth/signup", self.sign_up, FORM),
            Route("/auth/signup/done", self.done, READ),
        ]

    def sign_up(self, tenant: TenantInfo) -> Response:
        """The form; a POST makes the account."""
        if not self._core.settings.sign_up:
            return pages.page(self._core, tenant, "portal_closed.html", 403, text=CLOSED)
        if request.method != "POST":
            return self._form(tenant, SignUp())
        browser = Browser(self._core, self._sessions, tenant)
        if not browser.form_is_ours("signup"):
            return stale_form(self._core, tenant)
        form = SignUp.of(request.form)
        if seconds := self._wait(tenant):
            problem = {"": f"Too many accounts from your address. Try again in {seconds} seconds."}
            response = self._form(tenant, form, problem, 429)
            response.headers["Retry-After"] = str(seconds)
            return response
        try:
            sign_up(self._core, tenant, form, pages.posted("password"), pages.posted("password2"))
        except InvalidForm as refused:
            return self._form(tenant, form, refused.problems, 422)
        return pages.see_other(self._core, tenant, "signup/done")

    def done(self, tenant: TenantInfo) -> Response:
        """What happens next."""
        waits = self._core.settings.app_approval == "required"
        return pages.page(self._core, tenant, "portal_signed_up.html", waits=waits)

    def _form(
        self,
        tenant: TenantInfo,
        form: SignUp,
        problems: Mapping[str, str] | None = None,
        status: int = 200,
    ) -> Response:
        return pages.page(
            self._core,
            tenant,
            "portal_signup.html",
            status,
            csrf=Browser(self._core, self._sessions, tenant).csrf("signup"),
            form=form,
            errors=problems or {},
            services=list(SERVICES.items()),
            shortest_password=shortest_password("developer"),
            longest_password=LONGEST_PASSWORD,
        )

    def _wait(self, tenant: TenantInfo) -> int:
        """Count an attempt of this address; seconds to wait when it is one too many, else 0."""
        now = clock.now()
        bucket = f"signup/{caller_address()}"
        most = self._core.settings.effective_limits.sign_ups_per_minute
        too_many = self._core.store.limits.count(tenant.slug, bucket, now) > most
        return WINDOW - now % WINDOW if too_many else 0
