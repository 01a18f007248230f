"""What apps were given and who is logged in, and how to end it."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

from flask import Response, request

from fhir_facade.console.desk import Desk, Reception, id_of, key_of
from smart_auth import admin, clock
from smart_auth.records import Grant, Session
from smart_auth.web import pages
from smart_auth.web.routes import FORM, Route
from smart_auth.web.times import moment

PAGE = 50
DONE = {
    "one": "It has ended.",
    "gone": "It had ended before.",
    "all": "All that were asked for have ended.",
}


class GrantViews:
    """One page."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception

    def routes(self) -> list[Route]:
        """Look, and end."""
        route = self._reception.route
        return [
            route("/grants", self.grants, FORM),
            route("/grants/end", self.end, ("POST",)),
            route("/grants/end-all", self.end_all, ("POST",)),
        ]

    def grants(self, desk: Desk) -> Response:
        """Grants and sessions in force, newest first. A POST asks for those of a user, an app or a
        patient, and leads to an address that names them by id."""
        if request.method == "POST":
            return self._search(desk)
        user_id, client_id = request.args.get("user", ""), id_of(request.args.get("app", ""))
        patient = request.args.get("patient", "")
        now = clock.now()
        grants = desk.store.oversight.grants(
            desk.slug,
            now,
            user_id=user_id or None,
            client_id=client_id or None,
            patient=patient or None,
            after=_cursor(request.args.get("after", "")),
            limit=PAGE + 1,
        )
        sessions = desk.store.oversight.sessions(
            desk.slug,
            now,
            user_id=user_id or None,
            after=_cursor(request.args.get("before", "")),
            limit=PAGE + 1,
        )
        if client_id or patient:
            sessions = []
        user = desk.store.users.get(desk.slug, user_id) if user_id else None
        return self._page(
            desk,
            grants=grants,
            sessions=sessions,
            username="" if user is None else user.username,
            client_id=client_id,
            patient=patient,
        )

    def end(self, desk: Desk) -> Response:
        """End one grant, or one session."""
        if value := pages.posted("session"):
            session = desk.store.sessions.get(desk.slug, value, clock.now())
            ended = desk.store.sessions.end(desk.slug, value, clock.now())
            if session is None or not ended.sessions:
                return _back(desk, "gone")
            desk.acts.record("sessions ended", user_id=session.user_id)
            desk.acts.record_ended(ended.grants)
            return _back(desk, "one")
        grant = desk.store.grants.get(desk.slug, pages.posted("grant"))
        if grant is None or not admin.end_grant(desk.store, desk.slug, grant.grant_id):
            return _back(desk, "gone")
        desk.acts.record(
            "grant ended",
            client_id=grant.client_id,
            user_id=grant.user_id,
            patient_id=grant.context.patient,
        )
        return _back(desk, "one")

    def end_all(self, desk: Desk) -> Response:
        """End all grants of a user, of an app, or of a user with an app."""
        user_id, client_id = pages.posted("user") or None, pages.posted("app") or None
        if user_id is None and client_id is None:
            return desk.problem(400, "Say of which user or app the access is to end.")
        ended = admin.end_grants(desk.store, desk.slug, user_id=user_id, client_id=client_id)
        of = "a user" if client_id is None else "an app"
        desk.acts.record(f"grants of {of} ended", user_id=user_id, client_id=client_id)
        desk.acts.record_ended(ended)
        return _back(desk, "all")

    def _search(self, desk: Desk) -> Response:
        username, patient = pages.posted("username").strip(), pages.posted("patient").strip()
        client_id = pages.posted("client_id").strip()
        errors: dict[str, str] = {}
        asked: dict[str, str] = {"patient": patient}
        if username:
            user = desk.store.users.by_username(desk.slug, username)
            asked["user"] = "" if user is None else user.user_id
            errors |= {} if user else {"username": "There is no user of this name."}
        if client_id:
            asked["app"] = key_of(client_id)
            known = desk.store.clients.get(desk.slug, client_id)
            errors |= {} if known else {"client_id": "There is no app of this id."}
        if patient and not desk.ports.patient_exists(desk.slug, patient):
            errors["patient"] = "There is no patient of this account."
        if errors:
            return self._page(
                desk, 422, username=username, client_id=client_id, patient=patient, errors=errors
            )
        query = urlencode({name: value for name, value in asked.items() if value})
        return desk.to(f"/grants?{query}" if query else "/grants")

    def _page(
        self,
        desk: Desk,
        status: int = 200,
        *,
        grants: Sequence[Grant] = (),
        sessions: Sequence[Session] = (),
        errors: dict[str, str] | None = None,
        **asked: str,
    ) -> Response:
        users = {one.user_id for one in grants[:PAGE]} | {one.user_id for one in sessions[:PAGE]}
        apps = {one.client_id for one in grants[:PAGE]}
        clients = {one: desk.store.clients.get(desk.slug, one) for one in apps}
        return desk.page(
            "grants",
            status,
            grants=[(one, moment(desk.tenant, one.last_used_at)) for one in grants[:PAGE]],
            sessions=[(one, moment(desk.tenant, one.auth_time)) for one in sessions[:PAGE]],
            names=desk.store.oversight.names(desk.slug, users),
            apps={one: app.name for one, app in clients.items() if app is not None},
            older_grants=_page_behind("after", [(one.created_at, one.grant_id) for one in grants]),
            older_sessions=_page_behind(
                "before", [(one.auth_time, one.session_hash) for one in sessions]
            ),
            asked=asked,
            user_id=request.args.get("user", ""),
            filters=urlencode(_filters()),
            errors=errors or {},
            told=DONE.get(request.args.get("done", ""), ""),
        )


def _filters() -> dict[str, str]:
    return {name: request.args[name] for name in ("user", "app", "patient") if name in request.args}


def _page_behind(name: str, keys: list[tuple[int, str]]) -> str | None:
    """The query of the page behind a full one."""
    if len(keys) <= PAGE:
        return None
    at, identifier = keys[PAGE - 1]
    return urlencode({**_filters(), name: f"{at}.{identifier}"})


def _cursor(text: str) -> tuple[int, str] | None:
    at, _, identifier = text.partition(".")
    good = at.isascii() and at.isdecimal() and len(at) < 15 and identifier
    return (int(at), identifier) if good else None


def _back(desk: Desk, done: str) -> Response:
    """On to the page the form came from, by what it was asked for."""
    asked = {name: pages.posted(f"asked_{name}") for name in ("user", "app", "patient")}
    query = urlencode({name: value for name, value in asked.items() if value} | {"done": done})
    return desk.to(f"/grants?{query}")
