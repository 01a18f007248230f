"""The patients an app may be used for, picked from those the provider assigned to the developer."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Response, request

from smart_auth.admin import ChangedSince
from smart_auth.patient_search import look_for_patients, searched_for
from smart_auth.portal.app_forms import kind_of
from smart_auth.portal.app_views import CHANGED
from smart_auth.portal.apps import NeedsApproval
from smart_auth.portal.desk import Counter, Desk
from smart_auth.ports import PatientChoice
from smart_auth.records import Client
from smart_auth.web import pages
from smart_auth.web.routes import FORM, Route

MOST_FOUND = 50

DONE = {
    "added": "The list of patients has grown.",
    "removed": "The patient is no longer on the list.",
    "ended": "The app has no list of patients any more.",
}


class PatientViews:
    """`portal/apps/<client_id>/patients`. What is searched for is posted, so that it stands in no
    address."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter

    def routes(self) -> list[Route]:
        """The one page."""
        return [self._counter.route("portal/apps/<client_id>/patients", self.patients, FORM)]

    def patients(self, desk: Desk, app: Client) -> Response:
        """The list; a POST searches, adds, removes or ends it."""
        if request.method != "POST":
            return self._page(desk, app, told=DONE.get(request.args.get("done", ""), ""))
        action = pages.posted("action")
        if action == "search":
            text = searched_for(pages.posted("q"))
            return self._page(desk, app, text=text, found=self._find(desk, app, text))
        if not desk.is_current(app):
            return self._changed(desk, app)
        try:
            return self._change(desk, app, action)
        except NeedsApproval:
            return self._page(desk, app, 409, asks_to_end=True)
        except PermissionError:
            text = "One of these patients is not assigned to you any more. Nothing was added."
            return self._page(desk, app, 403, problem=text)
        except (ChangedSince, LookupError):
            return self._changed(desk, app)

    def _change(self, desk: Desk, app: Client, action: str) -> Response:
        if action == "add":
            chosen = request.form.getlist("patient")[:MOST_FOUND]
            if not chosen:
                return self._page(desk, app, 422, problem="Tick at least one patient to add.")
            desk.apps.pick(app, chosen)
            done = "added"
        elif action == "remove":
            desk.apps.drop(app, pages.posted("patient"))
            done = "removed"
        elif action == "end":
            desk.apps.end_list(app, agreed=pages.posted("agreed") == "yes")
            done = "ended"
        else:
            return desk.problem(400, "The form does not say what to do.")
        return desk.to(f"portal/apps/{app.client_id}/patients?done={done}")

    def _find(self, desk: Desk, app: Client, text: str) -> Sequence[PatientChoice]:
        """Those of the developer's that match and are not on the list; one more than are shown."""
        allowed = None if desk.developer.whole_tenant else desk.developer.patients
        listed = app.patients or frozenset()
        most = MOST_FOUND + 1 + len(listed)
        found = look_for_patients(
            desk.core,
            desk.tenant.slug,
            desk.developer,
            allowed,
            text,
            most,
            client_id=app.client_id,
        )
        return [one for one in found if one.id not in listed][: MOST_FOUND + 1]

    def _changed(self, desk: Desk, app: Client) -> Response:
        now = desk.apps.get(app.client_id)
        return desk.missing() if now is None else self._page(desk, now, 409, problem=CHANGED)

    def _page(
        self,
        desk: Desk,
        app: Client,
        status: int = 200,
        *,
        text: str = "",
        found: Sequence[PatientChoice] | None = None,
        told: str = "",
        problem: str = "",
        asks_to_end: bool = False,
    ) -> Response:
        listed = app.patients or frozenset()
        known = desk.core.ports.patients(desk.tenant.slug, listed)
        gone = sorted(listed - {one.id for one in known})
        return desk.page(
            "patients",
            status,
            app=app,
            backend=kind_of(app) == "backend",
            listed=[*known, *(PatientChoice(one, "", "", "") for one in gone)],
            own=None if desk.developer.whole_tenant else len(desk.developer.patients),
            text=text,
            found=None if found is None else found[:MOST_FOUND],
            more=found is not None and len(found) > MOST_FOUND,
            told=told,
            problem=problem,
            asks_to_end=asks_to_end,
        )
