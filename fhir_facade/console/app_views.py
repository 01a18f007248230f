"""Apps: the list, and what the provider decides about one."""

from __future__ import annotations

from typing import Any

from flask import Response, request

from fhir_facade.console.app_forms import AppForm, is_backend
from fhir_facade.console.desk import APP, CHANGED, Desk, Reception, id_of, is_current, key_of
from smart_auth import admin, clock
from smart_auth.portal.app_forms import KINDS, kind_of
from smart_auth.portal.states import states_of
from smart_auth.records import Client
from smart_auth.web import pages
from smart_auth.web.routes import FORM, READ, Route
from smart_auth.web.times import day, moment

PAGE = 50
REFUSALS = 20
DONE = {
    "changed": "The changes are in force, for access that was given before as well.",
    "approved": "The app is approved.",
    "withdrawn": "The approval is withdrawn: only the app's developer can launch it.",
    "ended": "No access that this app was given is left.",
}


class AppViews:
    """The list and the page of an app, with its acts."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception

    def routes(self) -> list[Route]:
        """All that is about apps, but their patients and limits."""
        route = self._reception.route
        return [
            route("/apps", self.apps, READ),
            route("/apps/<key>", self.app, FORM, APP),
            route("/apps/<key>/approval", self.approval, ("POST",), APP),
            route("/apps/<key>/state", self.state, ("POST",), APP),
            route("/apps/<key>/end", self.end, ("POST",), APP),
        ]

    def apps(self, desk: Desk) -> Response:
        """By id, those that wait for approval first."""
        apps = desk.store.clients.list(desk.slug)
        waiting = [app for app in apps if app.approved_at is None]
        behind = id_of(request.args.get("after", ""))
        rest = [app for app in apps if app.approved_at is not None and app.client_id > behind]
        shown = [*([] if behind else waiting), *rest[:PAGE]]
        used = desk.store.oversight.last_used(desk.slug)
        return desk.page(
            "apps",
            apps=[
                {
                    "app": app,
                    "states": states_of(app),
                    "kind": KINDS[kind_of(app)].label,
                    "used": day(desk.tenant, used[app.client_id])
                    if app.client_id in used
                    else "never",
                }
                for app in shown
            ],
            owners=desk.store.oversight.names(desk.slug, {app.owner for app in shown}),
            more=rest[PAGE - 1].client_id if len(rest) > PAGE else None,
            first=not behind,
        )

    def app(self, desk: Desk, app: Client) -> Response:
        """What it is; a POST changes what the provider decides."""
        if request.method != "POST":
            return show_app(desk, app)
        if not is_current(app):
            return show_app(desk, app, 409, problem=CHANGED)
        form = AppForm.of(request.form)
        known = {group.group_id for group in desk.parts.groups.list(desk.slug, members=False)}
        changes, errors = form.judged(app, desk.zone, known)
        if errors:
            return show_app(desk, app, 422, form=form, errors=errors)
        acts = ["groups of an app changed"] if "groups" in changes else []
        acts += ["app changed"] if set(changes) - {"groups"} else []
        return _change(desk, app, acts, "changed", **changes)

    def approval(self, desk: Desk, app: Client) -> Response:
        """Approve the app, or take that back."""
        if not is_current(app):
            return show_app(desk, app, 409, problem=CHANGED)
        if pages.posted("approved") == "yes":
            now, by = clock.now(), desk.admin.user_id
            return _change(desk, app, ["app approved"], "approved", approved_at=now, approved_by=by)
        act = "app approval withdrawn"
        return _change(desk, app, [act], "withdrawn", approved_at=None, approved_by=None)

    def state(self, desk: Desk, app: Client) -> Response:
        """Let the app work, or refuse it and its tokens."""
        if not is_current(app):
            return show_app(desk, app, 409, problem=CHANGED)
        active = pages.posted("active") == "yes"
        act = "app made active" if active else "app made inactive"
        return _change(desk, app, [act], "changed", active=active)

    def end(self, desk: Desk, app: Client) -> Response:
        """End all its grants."""
        ended = admin.end_grants(desk.store, desk.slug, client_id=app.client_id)
        desk.acts.record("grants of an app ended", client_id=app.client_id)
        desk.acts.record_ended(ended)
        return desk.to(f"/apps/{key_of(app.client_id)}?done=ended")


def _change(desk: Desk, app: Client, acts: list[str], done: str, **changes: Any) -> Response:
    """Change an app, keep the acts, and go on to the app's page, which says so."""
    try:
        if changes:
            admin.change_client(desk.store, app, as_of=app.version, **changes)
    except (admin.ChangedSince, LookupError):
        now = desk.store.clients.get(desk.slug, app.client_id)
        return desk.missing("app") if now is None else show_app(desk, now, 409, problem=CHANGED)
    for act in acts:
        desk.acts.record(act, client_id=app.client_id)
    return desk.to(f"/apps/{key_of(app.client_id)}?done={done}")


def show_app(
    desk: Desk,
    app: Client,
    status: int = 200,
    *,
    form: AppForm | None = None,
    errors: dict[str, str] | None = None,
    problem: str = "",
) -> Response:
    """The page of an app; with a `problem` as the app is now."""
    now = clock.now()
    refusals = desk.ports.refusals(desk.slug, app.client_id, limit=REFUSALS)
    groups = desk.parts.groups.list(desk.slug, members=False)
    named = {group.group_id for group in groups}
    return desk.page(
        "app",
        status,
        app=app,
        form=form or AppForm.from_app(app, desk.zone),
        errors=errors or {},
        problem=problem,
        told=DONE.get(request.args.get("done", ""), ""),
        states=states_of(app),
        kind=KINDS[kind_of(app)].label,
        backend=is_backend(app),
        people=desk.store.oversight.names(desk.slug, {app.owner, app.approved_by}),
        made=day(desk.tenant, app.created_at),
        approved=None if app.approved_at is None else day(desk.tenant, app.approved_at),
        allowed=str(desk.core.allowed_to(app)),
        groups=[
            *((group.group_id, group.name, group.group_id) for group in groups),
            *((gone, gone, "this group is gone") for gone in sorted(app.groups - named)),
        ],
        grants=len(desk.store.grants.live(desk.slug, now, client_id=app.client_id)),
        refusals=[(one, moment(desk.tenant, one.at)) for one in refusals],
    )
