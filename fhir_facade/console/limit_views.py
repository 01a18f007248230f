"""The resource scopes that a user or an app may be granted at most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Response, request

from fhir_facade.console.desk import APP, CHANGED, USER, Desk, Reception, is_current, key_of
from fhir_facade.console.limits import (
    ACCESS,
    EVERY_TYPE,
    USER_LEVELS,
    LimitForm,
    UnknownScopes,
    form_of,
    levels_of,
    limit_of,
)
from smart_auth import admin
from smart_auth.records import Client, User
from smart_auth.scopes import Level
from smart_auth.web import pages
from smart_auth.web.routes import FORM, Route


class LimitViews:
    """The same page for users and apps."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception

    def routes(self) -> list[Route]:
        """Both pages."""
        route = self._reception.route
        return [
            route("/users/<key>/limit", self.of_user, FORM, USER),
            route("/apps/<key>/limit", self.of_app, FORM, APP),
        ]

    def of_user(self, desk: Desk, user: User) -> Response:
        """What grants of a user may hold."""
        page = _Page(desk, user, USER_LEVELS, user.scope)
        page.path, page.name = f"/users/{key_of(user.user_id)}", user.username

        def keep(limit: str | None) -> None:
            admin.change_user(desk.store, user, as_of=user.version, scope=limit)
            desk.acts.record("user scopes limited", user_id=user.user_id)

        return page.answer(keep, lambda: USER.find(desk, user.user_id))

    def of_app(self, desk: Desk, app: Client) -> Response:
        """What grants of an app may hold; of a backend service that is what it may export."""
        page = _Page(desk, app, levels_of(app), app.scope_limit)
        page.path, page.name = f"/apps/{key_of(app.client_id)}", app.name
        page.registered = app.scope

        def keep(limit: str | None) -> None:
            admin.change_client(desk.store, app, as_of=app.version, scope_limit=limit)
            desk.acts.record("app scopes limited", client_id=app.client_id)

        return page.answer(keep, lambda: APP.find(desk, app.client_id))


class _Page:
    """One request for one limit."""

    path = name = ""
    registered: str | None = None

    def __init__(
        self, desk: Desk, thing: User | Client, levels: Sequence[Level], limit: str | None
    ) -> None:
        self._desk = desk
        self._thing = thing
        self._levels = levels
        self._limit = limit
        served = {name for level in levels for name in desk.ports.resource_types(desk.slug, level)}
        self._rows = (EVERY_TYPE, *sorted(served))
        self._types = desk.ports.scope_types()

    def answer(self, keep: Any, find: Any) -> Response:
        """The form, or what became of it."""
        if request.method != "POST":
            return self._show(self._stored())
        if not is_current(self._thing):
            return self._show(self._stored(), 409, problem=CHANGED)
        form = LimitForm(
            limited=pages.posted("limited") == "yes",
            ticks=frozenset(request.form.getlist("tick")),
            further=pages.posted("further"),
        )
        if form.limited and not form.ticks and not form.further.strip():
            text = "Tick what may be granted, or make the user or app inactive if it is nothing."
            return self._show(form, 422, errors={"ticks": text})
        try:
            limit = limit_of(form, self._rows, self._levels, self._types)
        except UnknownScopes as error:
            words = ", ".join(word[:100] for word in error.words[:10])
            text = f"These are no resource scopes of this server: {words}."
            return self._show(form, 422, errors={"further": text})
        try:
            keep(limit)
        except (admin.ChangedSince, LookupError):
            return self._changed(find())
        return self._desk.to(f"{self.path}/limit?done=yes")

    def _stored(self) -> LimitForm:
        return form_of(self._limit, self._rows, self._levels, self._types)

    def _changed(self, now: User | Client | None) -> Response:
        if now is None:
            return self._desk.missing("page")
        self._thing = now
        self._limit = now.scope if isinstance(now, User) else now.scope_limit
        return self._show(self._stored(), 409, problem=CHANGED)

    def _show(
        self,
        form: LimitForm,
        status: int = 200,
        *,
        errors: dict[str, str] | None = None,
        problem: str = "",
    ) -> Response:
        return self._desk.page(
            "limit",
            status,
            form=form,
            rows=self._rows,
            access=list(ACCESS),
            levels=self._levels,
            limit=self._limit,
            name=self.name,
            back=self.path,
            here=f"{self.path}/limit",
            once=self._thing.version,
            registered=self.registered,
            errors=errors or {},
            problem=problem,
            told="The limit is in force, for access given before as well."
            if request.args.get("done")
            else "",
        )
