"""The pages of a login, for one request of one browser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

from flask import Response

from smart_auth import admin, logins
from smart_auth.core import Core
from smart_auth.logins import FirstStep, LoginOutcome, Needs
from smart_auth.ports import TenantInfo
from smart_auth.records import FactorKind, PendingAuthorization, User
from smart_auth.web import factor_forms, pages
from smart_auth.web.browser import Browser
from smart_auth.web.pending import find_pending


class Provider(NamedTuple):
    """Another way to log in: a button that leads to `url`."""

    label: str
    url: str


class LoginPages:
    """Renders them. `value` names the pending request of an app, '' where there is none; `back` is
    the page of ours that was asked for, '' where there is none."""

    def __init__(self, core: Core, tenant: TenantInfo, browser: Browser) -> None:
        self._core = core
        self._tenant = tenant
        self._browser = browser

    def login(
        self,
        value: str,
        pending: PendingAuthorization | None,
        outcome: LoginOutcome | None = None,
        back: str = "",
        problem: str | None = None,
    ) -> Response:
        """`outcome` is what became of the last try, `problem` another reason to log in again."""
        status = 200 if problem is None else 400
        if outcome is not None:
            problem, status = _what_went_wrong(outcome, "The user name or the password is wrong.")
        response = pages.page(
            self._core,
            self._tenant,
            "login.html",
            status,
            None if pending is None else pending.parameters["redirect_uri"],
            request_value=value,
            back=back,
            csrf=self._browser.csrf(f"login/{value}"),
            client=None
            if pending is None
            else self._core.store.clients.get(self._tenant.slug, pending.client_id),
            username=pages.posted("username"),
            problem=problem,
            providers=self.providers(self._tenant, value, back),
            may_sign_up=self._core.settings.sign_up and back.partition("/")[0] == "portal",
        )
        return _with_wait(response, outcome)

    def next_step(
        self,
        user: User,
        needs: Needs,
        value: str,
        back: str = "",
        first: FirstStep = logins.PASSWORD,
    ) -> Response:
        """What comes behind the steps that went well, for those who need more."""
        choosing = needs == "password"
        seconds = logins.SECOND_STEP_SECONDS
        if choosing or needs == "enrol":
            seconds = logins.ENROL_SECONDS
        bound_to = self.bound_to(value, choosing=choosing)
        half = logins.half_login(self._core, self._tenant, user, bound_to, seconds, first)
        if needs == "password":
            return self.new_password(half, user, value, {}, back)
        if needs == "enrol":
            return self.enrol(half, user, value, {}, back)
        return self.factor(half, needs, value, back=back)

    def bound_to(self, value: str, *, choosing: bool = False) -> str:
        """What a half login belongs to: this browser and the request; and of somebody who is to
        choose a password, that step, so that nobody comes to it without the one before."""
        bound_to = f"{self._browser.mark}/{value}"
        return f"password/{bound_to}" if choosing else bound_to

    def factor(
        self,
        half: str,
        kind: FactorKind,
        value: str,
        outcome: LoginOutcome | None = None,
        back: str = "",
    ) -> Response:
        """The second step: PIN or code. `half` says that the first went well."""
        problem, status = None, 200
        if outcome is not None:
            wrong = "The PIN is wrong." if kind == "pin" else "The code is wrong, or was used."
            problem, status = _what_went_wrong(outcome, wrong)
        response = self._step(
            "factor", half, value, back, status=status, kind=kind, problem=problem
        )
        return _with_wait(response, outcome)

    def enrol(
        self, half: str, user: User, value: str, errors: Mapping[str, str], back: str = ""
    ) -> Response:
        """Set up a second factor before the login is whole, where the role needs one."""
        return self._step(
            "enrol",
            half,
            value,
            back,
            status=422 if errors else 200,
            errors=errors,
            setup=factor_forms.offer(self._core, self._tenant, user),
        )

    def new_password(
        self, half: str, user: User, value: str, errors: Mapping[str, str], back: str = ""
    ) -> Response:
        """Choose a password, where somebody else gave the present one."""
        return self._step(
            "new_password",
            half,
            value,
            back,
            status=422 if errors else 200,
            errors=errors,
            username=user.username,
            shortest=admin.shortest_password(user.role),
        )

    def _step(
        self, template: str, half: str, value: str, back: str, *, status: int, **values: Any
    ) -> Response:
        """A page whose form carries on what is known of the login so far."""
        return pages.page(
            self._core,
            self._tenant,
            f"{template}.html",
            status,
            self._redirect_uri(value),
            request_value=value,
            back=back,
            csrf=self._browser.csrf(f"login/{value}"),
            half=half,
            **values,
        )

    def _redirect_uri(self, value: str) -> str | None:
        pending = find_pending(self._core, self._tenant, value)
        return None if pending is None else pending.parameters["redirect_uri"]

    def providers(self, tenant: TenantInfo, value: str, back: str) -> Sequence[Provider]:
        """The external providers of a tenant, with where to go on afterwards."""
        going_on = urlencode({k: v for k, v in (("request", value), ("back", back)) if v})
        query = f"?{going_on}" if going_on else ""
        return [
            Provider(one.label, pages.path_of(tenant, f"federated/{one.name}{query}"))
            for one in self._core.settings.providers.get(tenant.slug, ())
        ]


def _what_went_wrong(outcome: LoginOutcome, wrong: str) -> tuple[str, int]:
    if outcome.problem == "wait":
        return f"Too many attempts. Try again in {outcome.retry_after} seconds.", 429
    return wrong, 403


def _with_wait(response: Response, outcome: LoginOutcome | None) -> Response:
    if outcome is not None and outcome.retry_after:
        response.headers["Retry-After"] = str(outcome.retry_after)
    return response
