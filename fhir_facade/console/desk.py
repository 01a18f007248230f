"""One request of an administrator at the console: who it is, and the page that answers."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from flask import Response, request

from fhir_facade.console.acts import ProviderActs
from fhir_facade.console.parts import ConsoleParts
from fhir_facade.mirror.groups import GroupDefinition
from smart_auth.core import Core
from smart_auth.ports import Facade, TenantInfo
from smart_auth.records import Client, Role, User
from smart_auth.store import AuthStore
from smart_auth.web import pages
from smart_auth.web.routes import FORM, Route
from smart_auth.web.steps import stale_form
from smart_auth.web.visitor import Visitor, visit

View = Callable[..., Response]
ADMINS: tuple[Role, ...] = ("admin",)
CHANGED = "It was changed meanwhile. Below is how it is now: look at it again."
PAGES = (
    ("Overview", ""),
    ("Users", "/users"),
    ("Apps", "/apps"),
    ("Groups", "/groups"),
    ("Grants and sessions", "/grants"),
    ("Registration tokens", "/tokens"),
    ("Audit", "/audit"),
    ("Signing keys", "/keys"),
)
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Desk:
    """What a view of the console works with. A form is good for the page it is sent to, for this
    administrator and, with `once`, for one version of the thing it changes."""

    parts: ConsoleParts
    tenant: TenantInfo
    visitor: Visitor

    @property
    def admin(self) -> User:
        """Who is logged in."""
        return self.visitor.user

    @property
    def core(self) -> Core:
        """The authorization server."""
        return self.parts.auth.core

    @property
    def store(self) -> AuthStore:
        """What the authorization server remembers."""
        return self.core.store

    @property
    def ports(self) -> Facade:
        """What it asks of the house."""
        return self.core.ports

    @property
    def slug(self) -> str:
        """The tenant's."""
        return self.tenant.slug

    @property
    def zone(self) -> ZoneInfo:
        """In which the tenant's days begin."""
        return self.parts.zone(self.slug)

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """Render a template of the console."""
        return pages.page(
            self.core,
            self.tenant,
            f"console/{template}.html",
            status,
            user=self.admin,
            csrf=self.csrf,
            key=key_of,
            sections=self._sections(),
            **values,
        )

    def to(self, page: str) -> Response:
        """After a change: on to a page of the console that may be loaded again."""
        return pages.see_other(self.core, self.tenant, f"console{page}")

    def problem(self, status: int, text: str) -> Response:
        """A page that says why not."""
        return self.page("problem", status, text=text)

    def missing(self, what: str) -> Response:
        """The answer for something that is not there."""
        return self.problem(404, f"There is no such {what}.")

    def csrf(self, page: str, once: object = "") -> str:
        """The token for a form that is sent to `page` of the console."""
        return self.visitor.csrf(self._purpose(page, once))

    def form_is_ours(self, page: str) -> bool:
        """Whether the form that was sent was made for `page`, for this administrator."""
        return self.visitor.form_is_ours(self._purpose(page, pages.posted("once")))

    @property
    def acts(self) -> ProviderActs:
        """What this administrator does, for the audit trail."""
        return ProviderActs(self.ports, self.slug, self.admin.user_id, self.parts.audit)

    def _purpose(self, page: str, once: object) -> str:
        return f"console{page}/{once}"

    def _sections(self) -> list[pages.NavItem]:
        here = request.path.partition("/auth/console")[2].rstrip("/")
        return [
            pages.NavItem(
                label,
                pages.path_of(self.tenant, f"console{path}"),
                here == path or (path != "" and here.startswith(f"{path}/")),
            )
            for label, path in PAGES
        ]


def is_current(thing: User | Client | GroupDefinition) -> bool:
    """Whether the form was made when the user, app or group was as it is now."""
    return pages.posted("once") == str(thing.version)


def key_of(identifier: str) -> str:
    """An id as one segment of a path; ids of apps and groups may hold what a path cannot."""
    if _PLAIN.fullmatch(identifier):
        return identifier
    return "-" + urlsafe_b64encode(identifier.encode()).decode().rstrip("=")


def id_of(key: str) -> str:
    """The id a segment stands for, '' for none."""
    if not key.startswith("-"):
        return key if _PLAIN.fullmatch(key) else ""
    try:
        return urlsafe_b64decode(key[1:] + "=" * (-len(key[1:]) % 4)).decode()
    except (NotBase64, ValueError):
        return ""


class Thing(NamedTuple):
    """What a page can be about: its name for people, and how it is found by id."""

    name: str
    find: Callable[[Desk, str], Any]


USER = Thing("user", lambda desk, key: desk.store.users.get(desk.slug, key))
APP = Thing("app", lambda desk, key: desk.store.clients.get(desk.slug, key))
GROUP = Thing("group", lambda desk, key: desk.parts.groups.get(desk.slug, key, members=False))


class Reception:
    """Where administrators are let in: makes routes of views that take a `Desk`."""

    def __init__(self, parts: ConsoleParts) -> None:
        self._parts = parts

    def route(
        self, path: str, view: View, methods: tuple[str, ...] = FORM, about: Thing | None = None
    ) -> Route:
        """A page at `auth/console{path}`: for administrators only, forms checked. With `<key>` in
        its path the view gets the thing it is `about`; an unknown one is not found."""

        def answer(tenant: TenantInfo, **values: str) -> Response:
            page = path.replace("<key>", values.get("key", ""))
            auth = self._parts.auth
            visitor = visit(auth.core, auth.sessions, tenant, f"console{page}", ADMINS)
            if isinstance(visitor, Response):
                return visitor
            desk = Desk(self._parts, tenant, visitor)
            if request.method == "POST" and not desk.form_is_ours(page):
                return stale_form(auth.core, tenant)
            if about is None:
                return view(desk)
            thing = about.find(desk, id_of(values["key"]))
            return desk.missing(about.name) if thing is None else view(desk, thing)

        return Route(f"/auth/console{path}", answer, methods)
