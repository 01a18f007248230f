"""One app of a developer: how to launch it, and everything that can be changed about it."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Response, request

from smart_auth.admin import ChangedSince
from smart_auth.portal.app_forms import KINDS, AppForm, kind_of
from smart_auth.portal.apps import NeedsApproval
from smart_auth.portal.desk import Counter, Desk
from smart_auth.portal.fields import InvalidForm
from smart_auth.portal.guide import Endpoints, missing_of, sample_of
from smart_auth.portal.list_views import form_values, window_words
from smart_auth.portal.states import states_of
from smart_auth.records import Client
from smart_auth.web import pages
from smart_auth.web.routes import FORM, READ, Route
from smart_auth.web.times import day

CHANGED = "The app was changed in the meantime: look at it as it is now, and try again."

DONE = {
    "registered": "The app is registered.",
    "saved": "The changes are saved.",
    "waits": "The changes are saved. The app waits for approval.",
    "paused": "The app is inactive now.",
    "resumed": "The app is active again.",
}
"""What happened, by the word in the address of the page."""


class AppViews:
    """`portal/apps/<client_id>` and its forms."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter

    def routes(self) -> list[Route]:
        """The page and its forms."""
        app = "portal/apps/<client_id>"
        return [
            self._counter.route(app, self.show, READ),
            self._counter.route(f"{app}/edit", self.edit, FORM),
            self._counter.route(f"{app}/secret", self.secret, FORM),
            self._counter.route(f"{app}/state", self.state, ("POST",)),
            self._counter.route(f"{app}/delete", self.delete, FORM),
        ]

    def show(self, desk: Desk, app: Client) -> Response:
        """The app as it is."""
        return self._show(desk, app, told=DONE.get(request.args.get("done", ""), ""))

    def edit(self, desk: Desk, app: Client) -> Response:
        """Change it; a change that sends it back to approval is asked about once more."""
        if request.method != "POST":
            return self._form(desk, app, AppForm.from_client(app, desk.tenant))
        if not desk.is_current(app):
            return self._changed(desk, app)
        form = AppForm.of(request.form)
        try:
            desk.apps.edit(app, form, agreed=pages.posted("agreed") == "yes")
        except InvalidForm as refused:
            return self._form(desk, app, form, 422, errors=refused.problems)
        except NeedsApproval as needed:
            return self._form(desk, app, form, 409, wider=needed.why)
        except (ChangedSince, LookupError):
            return self._changed(desk, app)
        after = desk.apps.get(app.client_id)
        waits = app.approved_at is not None and after is not None and after.approved_at is None
        return desk.to(f"portal/apps/{app.client_id}?done={'waits' if waits else 'saved'}")

    def secret(self, desk: Desk, app: Client) -> Response:
        """Ask, then replace the secret and show the new one this once."""
        if kind_of(app) != "secret":
            return desk.problem(404, "An app of this kind has no secret.")
        if request.method != "POST":
            return desk.page("rotate", app=app)
        if not desk.is_current(app):
            return self._changed(desk, app)
        try:
            created = desk.apps.new_secret(app)
        except (ChangedSince, LookupError):
            return self._changed(desk, app)
        return desk.page("secret", app=created.client, secret=created.client_secret, is_new=False)

    def state(self, desk: Desk, app: Client) -> Response:
        """Make it active or inactive."""
        if not desk.is_current(app):
            return self._changed(desk, app)
        wanted = pages.posted("active")
        try:
            if wanted == "yes":
                desk.apps.resume(app)
            elif wanted == "no":
                desk.apps.pause(app)
            else:
                return desk.problem(400, "The form says neither active nor inactive.")
        except PermissionError:
            text = "The provider made this app inactive, and only the provider can undo that."
            return self._show(desk, app, 403, problem=text)
        except (ChangedSince, LookupError):
            return self._changed(desk, app)
        return desk.to(
            f"portal/apps/{app.client_id}?done={'resumed' if wanted == 'yes' else 'paused'}"
        )

    def delete(self, desk: Desk, app: Client) -> Response:
        """Delete it when its name was written as it is."""
        problem = ""
        if request.method == "POST":
            if pages.posted("name").strip() == app.name.strip():
                try:
                    desk.apps.delete(app)
                except LookupError:
                    return desk.missing()
                return desk.to("portal?deleted=yes")
            problem = f"Write the name exactly as it is: {app.name}"
        errors = {"name": problem} if problem else {}
        return desk.page("delete", 422 if problem else 200, app=app, errors=errors)

    def _show(
        self, desk: Desk, app: Client, status: int = 200, *, told: str = "", problem: str = ""
    ) -> Response:
        kind = kind_of(app)
        return desk.page(
            "app",
            status,
            app=app,
            kind=kind,
            kind_label=KINDS[kind].label,
            states=states_of(app),
            missing=missing_of(app, desk.developer),
            ends=Endpoints.of(desk.tenant),
            sample=sample_of(desk.core, desk.tenant, app),
            window=window_words(desk, app),
            zone=str(desk.tenant.zone),
            registered=day(desk.tenant, app.created_at),
            may_resume=desk.apps.may_resume(app),
            scope=str(desk.core.allowed_to(app)),
            told=told,
            problem=problem,
        )

    def _form(
        self,
        desk: Desk,
        app: Client,
        form: AppForm,
        status: int = 200,
        *,
        errors: Mapping[str, str] | None = None,
        wider: tuple[str, ...] = (),
    ) -> Response:
        values = form_values(desk, form, errors)
        asked = desk.core.settings.app_approval == "required" and app.approved_at is not None
        return desk.page("edit", status, app=app, wider=wider, may_wait=asked, **values)

    def _changed(self, desk: Desk, app: Client) -> Response:
        now = desk.apps.get(app.client_id)
        return desk.missing() if now is None else self._show(desk, now, 409, problem=CHANGED)
