"""Logging in with an account at an external provider: the way there and back.

State belongs to one browser and is good once. Whatever goes wrong, the app's request stays as it
was, and the page that says so leads back to the login form. A log-out here is not one there.
"""

from __future__ import annotations

from flask import Response, request

from smart_auth import clock, logins
from smart_auth.core import Core
from smart_auth.federation.flow import Federation, Known, Underway
from smart_auth.federation.problems import LoginProblem, untrusted
from smart_auth.login_provider import LoginProvider
from smart_auth.logins import FirstStep
from smart_auth.ports import TenantInfo
from smart_auth.sessions import Sessions
from smart_auth.store.limits import WINDOW
from smart_auth.web import pages
from smart_auth.web.browser import Browser
from smart_auth.web.caller import caller_address
from smart_auth.web.launch_pages import problem_page
from smart_auth.web.login_pages import LoginPages
from smart_auth.web.pending import find_pending
from smart_auth.web.routes import Route
from smart_auth.web.steps import enter, path_on

LONGEST_ANSWER = 8192


class FederationViews:
    """Both ways; `tenant` is already known to exist, the provider is not."""

    def __init__(self, core: Core, sessions: Sessions) -> None:
        self._core = core
        self._sessions = sessions
        self._federation = Federation(core)

    def routes(self) -> list[Route]:
        """There, and back."""
        return [
            Route("/auth/federated/<provider>", self.leave, ("GET",)),
            Route("/auth/federated/<provider>/callback", self.come_back, ("GET",)),
        ]

    def leave(self, tenant: TenantInfo, provider: str) -> Response:
        """Send the browser to the provider."""
        found = self._federation.provider(tenant, provider)
        if found is None:
            return self._no_provider(tenant)
        value, back = request.args.get("request", ""), request.args.get("back", "")
        if wait := self._wait(tenant):
            return self._too_many(tenant, found, value, back, wait)
        browser = Browser(self._core, self._sessions, tenant)
        pending = find_pending(self._core, tenant, value)
        if value and pending is None:
            text = "This request has expired or was answered already. Start again from the app."
            return problem_page(self._core, tenant, text)
        try:
            url = self._federation.begin(
                tenant, found, browser.mark, value=value, back=back, pending=pending
            )
        except LoginProblem as problem:
            return self._failed(tenant, found, problem, value, back)
        return browser.remember(pages.send_to(self._core, url))

    def come_back(self, tenant: TenantInfo, provider: str) -> Response:
        """Take the provider's answer, and log the person in whom it means."""
        found = self._federation.provider(tenant, provider)
        if found is None:
            return self._no_provider(tenant)
        if wait := self._wait(tenant):
            return self._too_many(tenant, found, "", "", wait)
        browser = Browser(self._core, self._sessions, tenant)
        login: Underway | None = None
        try:
            state = request.args.get("state", "")
            login = self._federation.find(tenant, found, browser.mark, state)
            known = self._federation.finish(tenant, found, login, _answer())
        except LoginProblem as problem:
            value, back = ("", "") if login is None else (login.request, login.back)
            return self._failed(tenant, found, problem, value, back)
        return self._go_in(tenant, found, browser, login, known)

    def _go_in(
        self,
        tenant: TenantInfo,
        provider: LoginProvider,
        browser: Browser,
        login: Underway,
        known: Known,
    ) -> Response:
        """A session, or our second step where the provider asked for one factor only."""
        first = FirstStep(provider.name, known.methods)
        if not known.two_factors:
            needs = logins.second_needed(self._core, tenant, known.user)
            if needs is not None:
                return LoginPages(self._core, tenant, browser).next_step(
                    known.user, needs, login.request, login.back, first
                )
        self._core.audit(
            tenant.slug,
            "login",
            "success",
            user_id=known.user.user_id,
            reason=f"by the login provider {provider.name}",
        )
        return enter(
            self._core,
            self._sessions,
            tenant,
            known.user.user_id,
            value=login.request,
            back=login.back,
            origin=provider.name,
            methods=known.methods,
            auth_time=known.auth_time,
        )

    def _wait(self, tenant: TenantInfo) -> int:
        """Seconds until this address may go on; each login counts twice, there and back."""
        now = clock.now()
        bucket = f"federated/{caller_address()}"
        count = self._core.store.limits.count(tenant.slug, bucket, now)
        most = 2 * self._core.settings.effective_limits.logins_per_minute
        return WINDOW - now % WINDOW if count > most else 0

    def _failed(
        self,
        tenant: TenantInfo,
        provider: LoginProvider,
        problem: LoginProblem,
        value: str,
        back: str,
    ) -> Response:
        self._core.audit(
            tenant.slug,
            "login",
            "refused",
            reason=f"login provider {provider.name}: {problem.reason}",
        )
        return self._page(tenant, f"{provider.label} {problem.text}", problem.status, value, back)

    def _too_many(
        self, tenant: TenantInfo, provider: LoginProvider, value: str, back: str, wait: int
    ) -> Response:
        problem = LoginProblem("too many attempts", "", 429)
        self._core.audit(
            tenant.slug,
            "login",
            "refused",
            reason=f"login provider {provider.name}: {problem.reason}",
        )
        text = f"Too many attempts. Try again in {wait} seconds."
        response = self._page(tenant, text, 429, value, back)
        response.headers["Retry-After"] = str(wait)
        return response

    def _no_provider(self, tenant: TenantInfo) -> Response:
        return self._page(tenant, "There is no such way to log in here.", 404, "", "")

    def _page(self, tenant: TenantInfo, text: str, status: int, value: str, back: str) -> Response:
        return pages.page(
            self._core,
            tenant,
            "federated.html",
            status,
            text=text,
            again=pages.path_of(tenant, path_on(value, back)),
        )


def _answer() -> dict[str, str]:
    """What the provider sent back, each parameter once. Raises `LoginProblem`."""
    if len(request.query_string) > LONGEST_ANSWER:
        raise untrusted("the authorization response is too long")
    if any(len(values) > 1 for _, values in request.args.lists()):
        raise untrusted("a parameter of the authorization response came twice")
    return request.args.to_dict()
