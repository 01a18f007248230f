"""The pages of a login, for one request of one browser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from flask import Response

from smart_auth.core import Core
from smart_auth.ports import TenantInfo
from smart_auth.records import PendingAuthorization
from smart_auth.web import pages
from smart_auth.web.browser import Browser


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
        retry_after: int | None = 0,
        back: str = "",
    ) -> Response:
        """`retry_after`: 0 for a first showing, None after a wrong password, else seconds."""
        problem, status = None, 200
        if retry_after is None:
            problem, status = "The user name or the password is wrong.", 403
        elif retry_after:
            problem = f"Too many attempts. Try again in {retry_after} seconds."
            status = 429
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
            providers=self.providers(self._tenant, value),
        )
        if status == 429:
            response.headers["Retry-After"] = str(retry_after)
        return response

    def providers(self, tenant: TenantInfo, value: str) -> Sequence[Provider]:
        """The external providers of a tenant; `value` names the pending request to go on with."""
        return ()
