"""The way of a launch through the browser: authorize, login, patient, consent, back to the app.

Each browser tab has its own pending request, named by a random value in a hidden field; where the
person stands in it is worked out anew at every step.
"""

from __future__ import annotations

from urllib.parse import quote

from flask import Response, request

from smart_auth import clock, consent, rates
from smart_auth.authorization import (
    AuthorizationRequest,
    CannotRedirect,
    Parameters,
    Refused,
    find_client,
    fresh_enough,
    judge,
)
from smart_auth.core import Core
from smart_auth.ports import TenantInfo
from smart_auth.records import PendingAuthorization, Session, User
from smart_auth.refusals import trace, trace_unsendable
from smart_auth.sessions import Sessions
from smart_auth.web import pages
from smart_auth.web.browser import Browser
from smart_auth.web.caller import caller_address
from smart_auth.web.launch_pages import LaunchPages, problem_page
from smart_auth.web.login_pages import LoginPages
from smart_auth.web.pending import find_pending
from smart_auth.web.routes import FORM, READ, Route
from smart_auth.web.steps import go_on, stale_form


class LaunchViews:
    """The pages of a launch; `tenant` is already known to exist."""

    def __init__(self, core: Core, sessions: Sessions) -> None:
        self._core = core
        self._sessions = sessions

    def routes(self) -> list[Route]:
        """The steps of a launch."""
        return [
            Route("/auth/authorize", self.authorize, FORM),
            Route("/auth/continue", self.next_step, READ),
            Route("/auth/patient", self.patient, ("POST",)),
            Route("/auth/consent", self.consent, ("POST",)),
        ]

    def authorize(self, tenant: TenantInfo) -> Response:
        """The authorization endpoint, by GET and POST."""
        seconds = rates.wait(
            self._core,
            tenant,
            "authorize",
            caller_address(),
            lambda: request.values.get("client_id"),
        )
        if seconds:
            return _too_many(self._core, tenant, seconds)
        try:
            parameters = Parameters.read(_encoded_parameters())
            client, redirect_uri = find_client(self._core, tenant, parameters)
        except CannotRedirect as refusal:
            trace_unsendable(self._core, tenant, refusal)
            return problem_page(self._core, tenant, refusal.text, refusal.received)
        try:
            judged = judge(self._core, tenant, parameters, client, redirect_uri)
            self._check_prompt_none(tenant, judged)
        except Refused as refusal:
            trace(self._core, tenant, client.client_id, refusal)
            return self._back_with_error(redirect_uri, parameters.raw_state, refusal)
        value = consent.keep_pending(self._core, tenant, judged)
        if request.method == "POST":
            # A form from another site arrives without our cookies; the redirect gets them.
            return go_on(self._core, tenant, value)
        return self._step(tenant, value)

    def next_step(self, tenant: TenantInfo) -> Response:
        """Show where the request stands."""
        return self._step(tenant, request.args.get("request", ""))

    def patient(self, tenant: TenantInfo) -> Response:
        """Search again, or take the chosen patient.

        Enter anywhere presses the form's first button, which is Search: a changed text is a search,
        an unchanged one with a patient chosen goes on, whichever button was pressed.
        """
        value = pages.posted("request")
        browser = Browser(self._core, self._sessions, tenant)
        pending = find_pending(self._core, tenant, value)
        if pending is None:
            return stale_form(self._core, tenant)
        found = self._logged_in(tenant, pending)
        if found is None:
            return LoginPages(self._core, tenant, browser).login(value, pending)
        _, user = found
        if not browser.form_is_ours(f"patient/{value}", user.user_id):
            return stale_form(self._core, tenant)
        text, chosen = pages.posted("q"), pages.posted("patient")
        pressed_search = pages.posted("action") == "search" and not chosen
        searching = pressed_search or text != pages.posted("shown")
        if searching:
            return self._pages(tenant, browser).picker(value, pending, user, text)
        client = self._core.store.clients.get(tenant.slug, pending.client_id)
        if (
            not chosen
            or client is None
            or not consent.may_choose(self._core, tenant, client, user, chosen)
        ):
            problem = "Choose a patient of the list."
            return self._pages(tenant, browser).picker(value, pending, user, text, problem)
        self._core.store.pending.choose_patient(
            tenant.slug, pending.request_hash, user.user_id, chosen
        )
        return go_on(self._core, tenant, value)

    def consent(self, tenant: TenantInfo) -> Response:
        """Take the decision and go back to the app."""
        value = pages.posted("request")
        browser = Browser(self._core, self._sessions, tenant)
        pending = find_pending(self._core, tenant, value)
        found = None if pending is None else self._logged_in(tenant, pending)
        if pending is None or found is None:
            return self._step(tenant, value)
        session, user = found
        if not browser.form_is_ours(f"consent/{value}", user.user_id):
            return stale_form(self._core, tenant)
        decision = pages.posted("decision")
        if decision == "other":
            return self._log_out(tenant, session, value)
        if decision not in ("allow", "deny"):
            return self._step(tenant, value)
        if decision == "deny":
            consent.deny(self._core, tenant, pending, user)
            return self._refuse(tenant, pending, Refused("access_denied", "The user denied access"))
        try:
            asked = consent.question(self._core, tenant, pending, user)
            if asked.needs_patient and asked.patient is None:
                return self._step(tenant, value)
            ticked = request.form.getlist("scope")
            code = consent.allow(self._core, tenant, pending, asked, session, ticked)
        except Refused as refusal:
            return self._refuse(tenant, pending, refusal)
        raw_state = pending.parameters["raw_state"]
        target = with_query(pending.parameters["redirect_uri"], f"code={code}&state={raw_state}")
        return pages.send_to(self._core, target)

    def _log_out(self, tenant: TenantInfo, session: Session, value: str) -> Response:
        """Somebody else is to answer."""
        self._sessions.end(tenant, session)
        self._core.audit(tenant.slug, "logout", "success", user_id=session.user_id)
        response = go_on(self._core, tenant, value)
        self._sessions.clear_cookie(response, tenant)
        return response

    def _step(self, tenant: TenantInfo, value: str) -> Response:
        browser = Browser(self._core, self._sessions, tenant)
        pending = find_pending(self._core, tenant, value)
        if pending is None:
            text = "This request has expired or was answered already. Start again from the app."
            return problem_page(self._core, tenant, text)
        session = self._sessions.current(tenant, request)
        if not self._core.store.pending.bind_browser(
            tenant.slug,
            pending.request_hash,
            browser.mark,
            None if session is None else session.session_hash,
        ):
            return problem_page(self._core, tenant, "This request was begun in another browser.")
        pending = find_pending(self._core, tenant, value) or pending
        found = self._logged_in(tenant, pending)
        if found is None:
            return LoginPages(self._core, tenant, browser).login(value, pending)
        _, user = found
        try:
            asked = consent.question(self._core, tenant, pending, user)
        except Refused as refusal:
            return self._refuse(tenant, pending, refusal)
        if asked.needs_patient and asked.patient is None:
            return self._pages(tenant, browser).picker(value, pending, user)
        return self._pages(tenant, browser).consent(value, pending, asked)

    def _pages(self, tenant: TenantInfo, browser: Browser) -> LaunchPages:
        return LaunchPages(self._core, tenant, browser)

    def _logged_in(
        self, tenant: TenantInfo, pending: PendingAuthorization
    ) -> tuple[Session, User] | None:
        """Session and user, when the login is good enough for this request."""
        session = self._sessions.current(tenant, request)
        if session is None or not fresh_enough(pending, session):
            return None
        user = self._core.store.users.get(tenant.slug, session.user_id)
        return (session, user) if user is not None and user.active else None

    def _check_prompt_none(self, tenant: TenantInfo, judged: AuthorizationRequest) -> None:
        """Consent is asked each time, so a request that allows no page is always refused."""
        if judged.prompt_none:
            if self._sessions.current(tenant, request) is None:
                raise Refused("login_required", "The user has to log in")
            raise Refused("consent_required", "The user has to consent")

    def _refuse(
        self, tenant: TenantInfo, pending: PendingAuthorization, refusal: Refused
    ) -> Response:
        """End a pending request with an error to the app."""
        self._core.store.pending.decide(tenant.slug, pending.request_hash, clock.now())
        trace(self._core, tenant, pending.client_id, refusal)
        return self._back_with_error(
            pending.parameters["redirect_uri"], pending.parameters["raw_state"], refusal
        )

    def _back_with_error(self, redirect_uri: str, raw_state: str, refusal: Refused) -> Response:
        query = f"error={refusal.error}&error_description={quote(refusal.description)}"
        if raw_state:
            query += f"&state={raw_state}"
        return pages.send_to(self._core, with_query(redirect_uri, query))


def with_query(uri: str, query: str) -> str:
    """The address with more parameters behind those it has."""
    return f"{uri}{'&' if '?' in uri else '?'}{query}"


def _too_many(core: Core, tenant: TenantInfo, seconds: int) -> Response:
    text = f"{rates.TOO_MANY}. Try again in {seconds} seconds."
    response = problem_page(core, tenant, text)
    response.status_code = 429
    response.headers["Retry-After"] = str(seconds)
    return response


def _encoded_parameters() -> bytes:
    if request.method != "POST":
        return request.query_string
    if request.mimetype != "application/x-www-form-urlencoded":
        raise CannotRedirect("The app must send a form (application/x-www-form-urlencoded).")
    return request.get_data()
