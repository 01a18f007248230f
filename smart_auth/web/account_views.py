"""A person's own account: password, second step, where they are logged in; and the way out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response, request

from smart_auth import admin, clock, logins
from smart_auth.core import Core
from smart_auth.logins import LoginOutcome
from smart_auth.ports import TenantInfo
from smart_auth.records import Session
from smart_auth.sessions import Sessions
from smart_auth.web import factor_forms, pages
from smart_auth.web.browser import Browser
from smart_auth.web.caller import caller_address
from smart_auth.web.routes import FORM, READ, Route
from smart_auth.web.steps import stale_form
from smart_auth.web.times import moment
from smart_auth.web.visitor import Visitor, visit

_DONE = {
    "password": "Your password is changed. You are logged out everywhere else.",
    "factor": "Your second step is set up. You are logged out everywhere else.",
    "removed": "Your second step is removed.",
    "session": "The login is ended.",
    "sessions": "You are logged out everywhere else.",
}
_FACTORS = {"pin": "A PIN", "totp": "An authenticator app"}
_ROLES = {
    "patient": "Patient",
    "practitioner": "Practitioner",
    "admin": "Administrator",
    "developer": "Developer",
}
_METHODS = {"pin": "PIN", "otp": "authenticator app"}


class AccountViews:
    """The account pages; `tenant` is already known to exist."""

    def __init__(self, core: Core, sessions: Sessions) -> None:
        self._core = core
        self._sessions = sessions

    def routes(self) -> list[Route]:
        """A person's own account."""
        return [
            Route("/auth/account", self.account, READ),
            Route("/auth/account/password", self.password, ("POST",)),
            Route("/auth/account/factor", self.factor, FORM),
            Route("/auth/account/sessions", self.sessions, ("POST",)),
            Route("/auth/logout", self.logout, ("POST",)),
            Route("/auth/style.css", self.stylesheet, READ),
        ]

    def account(self, tenant: TenantInfo) -> Response:
        """What there is."""
        visitor = visit(self._core, self._sessions, tenant, "account")
        if isinstance(visitor, Response):
            return visitor
        return self._overview(tenant, visitor, {})

    def password(self, tenant: TenantInfo) -> Response:
        """Change the password."""
        visitor = self._sender(tenant)
        if isinstance(visitor, Response):
            return visitor
        user = visitor.user
        if pages.posted("new") != pages.posted("again"):
            return self._overview(tenant, visitor, {"again": "The two new passwords differ."})
        refused = self._confirm(tenant, visitor, "old")
        if refused:
            return self._overview(tenant, visitor, refused)
        try:
            admin.set_password(self._core.store, user, pages.posted("new"))
        except admin.ChangedSince:
            text = "Your account was changed at the same moment. Try again."
            return self._overview(tenant, visitor, {"old": text})
        except ValueError as error:
            return self._overview(tenant, visitor, {"new": f"{error}."})
        self._sessions.end_others(tenant, visitor.session)
        if pages.posted("apps") == "yes":
            ended = admin.end_grants(self._core.store, tenant.slug, user_id=user.user_id)
            self._core.audit_ended(tenant.slug, ended, "ended with a change of the password")
        return self._done(tenant, visitor, "password", "password changed")

    def factor(self, tenant: TenantInfo) -> Response:
        """Set up a second step, or remove it; the password is asked again for either."""
        if request.method != "POST":
            visitor = visit(self._core, self._sessions, tenant, "account/factor")
            if isinstance(visitor, Response):
                return visitor
            return self._factor_page(tenant, visitor, {})
        visitor = self._sender(tenant)
        if isinstance(visitor, Response):
            return visitor
        if pages.posted("kind") == "none":
            return self._remove_factor(tenant, visitor)
        refused = self._confirm(tenant, visitor, "password")
        if refused:
            return self._factor_page(tenant, visitor, refused)
        kind, errors = factor_forms.take(self._core, tenant, visitor.user)
        if kind is None:
            return self._factor_page(tenant, visitor, errors)
        self._sessions.end_others(tenant, visitor.session)
        return pages.see_other(self._core, tenant, "account?done=factor")

    def sessions(self, tenant: TenantInfo) -> Response:
        """End one login of the user, or all but this one."""
        visitor = self._sender(tenant)
        if isinstance(visitor, Response):
            return visitor
        wanted = pages.posted("session")
        if wanted == "others":
            self._sessions.end_others(tenant, visitor.session)
            return self._done(tenant, visitor, "sessions", "other logins ended")
        own = self._core.store.sessions.list(tenant.slug, visitor.user.user_id, clock.now())
        chosen = next((one for one in own if one.session_hash == wanted), None)
        if chosen is None:
            return pages.see_other(self._core, tenant, "account")
        self._sessions.end(tenant, chosen)
        return self._done(tenant, visitor, "session", "login ended")

    def logout(self, tenant: TenantInfo) -> Response:
        """End the session."""
        session = self._sessions.current(tenant, request)
        browser = Browser(self._core, self._sessions, tenant)
        if session is None or not browser.form_is_ours("logout", session.user_id):
            return stale_form(self._core, tenant)
        self._sessions.end(tenant, session)
        self._core.audit(tenant.slug, "logout", "success", user_id=session.user_id)
        response = pages.see_other(self._core, tenant, "manage")
        self._sessions.clear_cookie(response, tenant)
        return response

    def stylesheet(self, tenant: TenantInfo) -> Response:
        """The stylesheet of all pages."""
        return pages.stylesheet()

    def _sender(self, tenant: TenantInfo) -> Visitor | Response:
        visitor = visit(self._core, self._sessions, tenant, "account")
        if isinstance(visitor, Visitor) and not visitor.form_is_ours("account"):
            return stale_form(self._core, tenant)
        return visitor

    def _confirm(self, tenant: TenantInfo, visitor: Visitor, field: str) -> Mapping[str, str]:
        """What is wrong with the present password in this field, if anything."""
        outcome: LoginOutcome = logins.confirm_password(
            self._core, tenant, visitor.user, pages.posted(field), caller_address()
        )
        if outcome.problem == "wait":
            return {field: f"Too many attempts. Try again in {outcome.retry_after} seconds."}
        return {field: "The password is wrong."} if outcome.problem else {}

    def _remove_factor(self, tenant: TenantInfo, visitor: Visitor) -> Response:
        if visitor.user.role in self._core.settings.require_second_factor:
            return self._overview(tenant, visitor, {"remove": "Your account needs a second step."})
        refused = self._confirm(tenant, visitor, "remove")
        if refused:
            return self._overview(tenant, visitor, refused)
        self._core.store.factors.remove(tenant.slug, visitor.user.user_id)
        return self._done(tenant, visitor, "removed", "second factor removed")

    def _done(self, tenant: TenantInfo, visitor: Visitor, done: str, act: str) -> Response:
        self._core.audit(
            tenant.slug, "account", "success", user_id=visitor.user.user_id, reason=act
        )
        return pages.see_other(self._core, tenant, f"account?done={done}")

    def _overview(
        self, tenant: TenantInfo, visitor: Visitor, errors: Mapping[str, str]
    ) -> Response:
        user = visitor.user
        factor = self._core.store.factors.get(tenant.slug, user.user_id)
        own = self._core.store.sessions.list(tenant.slug, user.user_id, clock.now())
        facts = [("User name", user.username), ("Kind of account", _ROLES[user.role])]
        if user.name:
            facts.insert(1, ("Name", user.name))
        return pages.page(
            self._core,
            tenant,
            "account.html",
            422 if errors else 200,
            user=user,
            csrf=visitor.csrf("account"),
            done=_DONE.get(request.args.get("done", "")),
            errors=errors,
            facts=facts,
            has_password=bool(user.password_hash),
            factor=None if factor is None else _FACTORS[factor.kind],
            removable=user.role not in self._core.settings.require_second_factor,
            shortest=admin.shortest_password(user.role),
            sessions=[_shown(tenant, session, visitor.session) for session in own],
        )

    def _factor_page(
        self, tenant: TenantInfo, visitor: Visitor, errors: Mapping[str, str]
    ) -> Response:
        return pages.page(
            self._core,
            tenant,
            "account_factor.html",
            422 if errors else 200,
            user=visitor.user,
            csrf=visitor.csrf("account"),
            errors=errors,
            kind=pages.posted("kind"),
            setup=factor_forms.offer(self._core, tenant, visitor.user),
        )


def _shown(tenant: TenantInfo, session: Session, present: Session) -> dict[str, Any]:
    return {
        "id": session.session_hash,
        "since": moment(tenant, session.auth_time),
        "until": moment(tenant, session.expires_at),
        "how": _how(session),
        "here": session.session_hash == present.session_hash,
    }


def _how(session: Session) -> str:
    if session.origin == "ehr":
        return "Through the record system"
    if session.origin != "login":
        return f"Through {session.origin}"
    more = [_METHODS[word] for word in session.methods.split() if word in _METHODS]
    return " and ".join(["Password", *more])
