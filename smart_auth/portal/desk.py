"""One request of a developer at the portal: who it is, which app, and the page that answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Response, request

from smart_auth import clock
from smart_auth.core import Core
from smart_auth.portal.apps import Apps
from smart_auth.ports import TenantInfo
from smart_auth.records import Client, Role, User
from smart_auth.sessions import Sessions
from smart_auth.store.limits import WINDOW
from smart_auth.web import pages
from smart_auth.web.routes import Route
from smart_auth.web.steps import stale_form
from smart_auth.web.visitor import Visitor, visit

View = Callable[..., Response]
DEVELOPERS: tuple[Role, ...] = ("developer",)


@dataclass(frozen=True)
class Desk:
    """What a view of the portal works with. A form is good for the page it is sent to and, with
    `once`, for one state of the thing it changes."""

    core: Core
    tenant: TenantInfo
    visitor: Visitor

    @property
    def developer(self) -> User:
        """Who is logged in."""
        return self.visitor.user

    @property
    def apps(self) -> Apps:
        """The developer's apps."""
        return Apps(self.core, self.tenant, self.developer)

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """Render a template of the portal."""
        return pages.page(
            self.core,
            self.tenant,
            f"portal_{template}.html",
            status,
            user=self.developer,
            csrf=self.csrf,
            **values,
        )

    def to(self, page: str) -> Response:
        """After a change: on to a page that may be loaded again."""
        return pages.see_other(self.core, self.tenant, page)

    def problem(self, status: int, text: str) -> Response:
        """A page that says why not."""
        return self.page("problem", status, text=text)

    def missing(self) -> Response:
        """The answer for an app that is not there, or not this developer's: nobody can tell."""
        return self.problem(404, "You have no app at this address.")

    def csrf(self, page: str, once: object = "") -> str:
        """The token for a form that is sent to `page`."""
        return self.visitor.csrf(self._purpose(page, once))

    def form_is_ours(self, page: str) -> bool:
        """Whether the form that was sent was made for `page`, for this developer."""
        purpose = self._purpose(page, pages.posted("once"))
        return self.visitor.form_is_ours(purpose)

    def is_current(self, app: Client) -> bool:
        """Whether the form was made when the app was as it is now."""
        return pages.posted("once") == str(app.version)

    def _purpose(self, page: str, once: object) -> str:
        return f"{page}/{once}"


class Counter:
    """Where developers are let in: makes routes of views that take a `Desk`."""

    def __init__(self, core: Core, sessions: Sessions) -> None:
        self._core = core
        self._sessions = sessions

    def route(self, path: str, view: View, methods: tuple[str, ...]) -> Route:
        """A page at `auth/{path}`: for developers only, forms checked, changes counted. With a
        `client_id` in its path the view gets the app, and another's is not found. A login leads
        back to the page, or to the one above it when this one takes forms only."""

        def answer(tenant: TenantInfo, **values: str) -> Response:
            page = path
            for name, value in values.items():
                page = page.replace(f"<{name}>", value)
            back = page if "GET" in methods else page.rpartition("/")[0]
            visitor = visit(self._core, self._sessions, tenant, back, DEVELOPERS)
            if isinstance(visitor, Response):
                return visitor
            desk = Desk(self._core, tenant, visitor)
            if request.method == "POST" and (refused := self._refused(desk, page)):
                return refused
            if "client_id" not in values:
                return view(desk)
            app = desk.apps.get(values["client_id"])
            return desk.missing() if app is None else view(desk, app)

        return Route(f"/auth/{path}", answer, methods)

    def _refused(self, desk: Desk, page: str) -> Response | None:
        if not desk.form_is_ours(page):
            return stale_form(self._core, desk.tenant)
        now = clock.now()
        most = self._core.settings.effective_limits.portal_changes_per_minute
        bucket = f"portal/{desk.developer.user_id}"
        if self._core.store.limits.count(desk.tenant.slug, bucket, now) <= most:
            return None
        seconds = WINDOW - now % WINDOW
        response = desk.problem(429, f"Too many changes. Try again in {seconds} seconds.")
        response.headers["Retry-After"] = str(seconds)
        return response
