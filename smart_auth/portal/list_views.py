"""The portal's first page: the developer's apps; and where a new one is registered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response, request

from smart_auth import keyring
from smart_auth.portal.advice import advice_on
from smart_auth.portal.app_forms import KINDS, AppForm, kind_of, kinds_for
from smart_auth.portal.desk import Counter, Desk
from smart_auth.portal.fields import InvalidForm, moment
from smart_auth.portal.scope_checks import DEFAULT_SCOPES
from smart_auth.portal.states import State, states_of
from smart_auth.records import Client
from smart_auth.store import AlreadyExists
from smart_auth.web import pages
from smart_auth.web.routes import FORM, READ, Route
from smart_auth.web.times import day


class ListViews:
    """`portal` and `portal/apps/new`."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter

    def routes(self) -> list[Route]:
        """The two pages."""
        return [
            self._counter.route("portal", self.home, READ),
            self._counter.route("portal/apps/new", self.new, FORM),
        ]

    def home(self, desk: Desk) -> Response:
        """All apps with their state and last refusal."""
        apps = [_row(desk, app) for app in desk.apps.all()]
        told = "The app has been deleted." if "deleted" in request.args else ""
        return desk.page("home", apps=apps, told=told, patients=_patients(desk))

    def new(self, desk: Desk) -> Response:
        """First the kind of app, then its form. The id it will have travels with the form, so that
        a form sent twice makes one app."""
        if request.method != "POST":
            kind = request.args.get("kind", "")
            form = AppForm(
                kind=kind,
                scope=DEFAULT_SCOPES[kind == "backend"],
                contacts=desk.developer.profile.get("email", ""),
            )
            return self._form(desk, form, keyring.random_token(22))
        client_id, form = pages.posted("once"), AppForm.of(request.form)
        try:
            created = desk.apps.register(client_id, form)
        except InvalidForm as refused:
            return self._form(desk, form, client_id, refused.problems, 422)
        except AlreadyExists:
            return desk.to(f"portal/apps/{client_id}")
        if created.client_secret is None:
            return desk.to(f"portal/apps/{client_id}?done=registered")
        return desk.page("secret", app=created.client, secret=created.client_secret, is_new=True)

    def _form(
        self,
        desk: Desk,
        form: AppForm,
        client_id: str,
        problems: Mapping[str, str] | None = None,
        status: int = 200,
    ) -> Response:
        offered = kinds_for(desk.developer.service)
        kinds = [(kind, KINDS[kind].label, KINDS[kind].hint) for kind in offered]
        return desk.page(
            "new",
            status,
            client_id=client_id,
            waits=desk.core.settings.app_approval == "required",
            kinds=[] if form.kind in offered else kinds,
            **form_values(desk, form, problems),
        )


def form_values(desk: Desk, form: AppForm, problems: Mapping[str, str] | None) -> dict[str, Any]:
    """What the form of an app is rendered with."""
    return {
        "form": form,
        "errors": problems or {},
        "kind_label": next((words.label for kind, words in KINDS.items() if kind == form.kind), ""),
        "default_scope": DEFAULT_SCOPES[form.kind == "backend"],
        "zone": str(desk.tenant.zone),
    }


def window_words(desk: Desk, app: Client) -> str:
    """From which day to which an app is valid."""
    first = "" if app.valid_from is None else f"from {day(desk.tenant, app.valid_from)}"
    last = "" if app.valid_to is None else f"through {day(desk.tenant, app.valid_to - 1)}"
    return f"{first} {last}".strip() or "without end"


def _row(desk: Desk, app: Client) -> dict[str, Any]:
    refusals = desk.core.ports.refusals(desk.tenant.slug, app.client_id, limit=1)
    states: list[State] = states_of(app)
    return {
        "id": app.client_id,
        "name": app.name,
        "kind": KINDS[kind_of(app)].label,
        "states": states,
        "window": window_words(desk, app),
        "refused": moment(refusals[0].at, desk.tenant.zone) if refusals else "",
        "step": advice_on(refusals[0].refusal.step)[0] if refusals else "",
    }


def _patients(desk: Desk) -> int | None:
    """How many patients the developer has; None for all of the tenant."""
    return None if desk.developer.whole_tenant else len(desk.developer.patients)
