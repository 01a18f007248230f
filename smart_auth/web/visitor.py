"""Who opens one of our own pages: logged in, in a role that may, or shown the way."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from flask import Response, request

from smart_auth.core import Core
from smart_auth.ports import TenantInfo
from smart_auth.records import Role, Session, User
from smart_auth.sessions import Sessions
from smart_auth.web import pages
from smart_auth.web.browser import Browser
from smart_auth.web.login_pages import LoginPages


@dataclass(frozen=True)
class Visitor:
    """A logged-in person in their browser."""

    browser: Browser
    session: Session
    user: User

    def csrf(self, purpose: str) -> str:
        """The token for a form of this purpose, of this person in this browser."""
        return self.browser.csrf(purpose, self.user.user_id)

    def form_is_ours(self, purpose: str) -> bool:
        """Whether the form that was sent carries that token."""
        return self.browser.form_is_ours(purpose, self.user.user_id)


def visit(
    core: Core,
    sessions: Sessions,
    tenant: TenantInfo,
    page: str,
    roles: Collection[Role] | None = None,
) -> Visitor | Response:
    """The visitor of one of our pages. Otherwise the answer: a login form that leads back to `page`
    (as `pages.path_of` takes it), or a 403 page for a user of another role than `roles`."""
    browser = Browser(core, sessions, tenant)
    session = sessions.current(tenant, request)
    user = None if session is None else core.store.users.get(tenant.slug, session.user_id)
    if session is None or user is None or not user.active:
        return LoginPages(core, tenant, browser).login("", None, back=page)
    if roles is not None and user.role not in roles:
        text = "This page is not for your account."
        return pages.page(core, tenant, "problem.html", 403, user=user, text=text)
    return Visitor(browser, session, user)
