"""Which patients a user or an app may work on: found by name, birth date or account number."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Response, request

from fhir_facade.console.desk import APP, CHANGED, USER, Desk, Reception, is_current, key_of
from smart_auth import admin
from smart_auth.admin.user_rules import sees_one_patient
from smart_auth.patient_search import look_for_patients, searched_for
from smart_auth.ports import PatientChoice
from smart_auth.records import Client, User
from smart_auth.web import pages
from smart_auth.web.routes import FORM, Route

MOST_FOUND = 50
MOST_LOOKED_AT = 400
PAGE = 100


@dataclass(frozen=True)
class Search:
    """What was looked for, and found among all patients; None while nobody searched."""

    text: str = ""
    found: Sequence[PatientChoice] | None = None
    more: bool = False


def search_patients(desk: Desk, there: Callable[[Sequence[str]], Collection[str]]) -> Search:
    """The patients that match the form's `q`, without those who are there already: `there` says who
    of the ids is."""
    text = searched_for(pages.posted("q"))
    found = look_for_patients(desk.core, desk.slug, desk.admin, None, text, MOST_LOOKED_AT)
    listed = there([patient.id for patient in found])
    others = [patient for patient in found if patient.id not in listed]
    more = len(others) > MOST_FOUND or len(found) == MOST_LOOKED_AT
    return Search(text, others[:MOST_FOUND], more)


def chosen_patients(desk: Desk) -> list[str]:
    """The patients ticked in the form, those that are known."""
    ids = request.form.getlist("patient")[:MOST_FOUND]
    return [patient.id for patient in desk.ports.patients(desk.slug, ids)]


def shown_patients(desk: Desk, ids: Sequence[str]) -> list[PatientChoice]:
    """The patients as people know them, by name; those that are gone by id alone, at the end."""
    known = desk.ports.patients(desk.slug, ids)
    gone = sorted(set(ids) - {patient.id for patient in known})
    return [*known, *(PatientChoice(one, "", "", "") for one in gone)]


class PatientViews:
    """The same page for users and apps."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception

    def routes(self) -> list[Route]:
        """Both pages."""
        route = self._reception.route
        return [
            route("/users/<key>/patients", self.of_user, FORM, USER),
            route("/apps/<key>/patients", self.of_app, FORM, APP),
        ]

    def of_user(self, desk: Desk, user: User) -> Response:
        """Patients assigned to a user."""
        return _answer(desk, _UserPatients(desk, user))

    def of_app(self, desk: Desk, app: Client) -> Response:
        """The list of patients an app may be used for."""
        return _answer(desk, _AppPatients(desk, app))


class _UserPatients:
    """Assigned to a user."""

    template = "user_patients"

    def __init__(self, desk: Desk, user: User) -> None:
        self.desk, self.thing = desk, user
        self.patients = user.patients
        self.page = f"/users/{key_of(user.user_id)}/patients"
        self.values: dict[str, Any] = {"person": user, "one": sees_one_patient(user)}

    def add(self, ids: Sequence[str]) -> str:
        """What is wrong with adding them, '' when they were added."""
        user = self.thing
        if not sees_one_patient(user):
            return self._put(user.patients | set(ids))
        if len(ids) != 1:
            return "Choose one: this user sees one record only."
        own = user.role == "patient" or (user.fhir_user or "").startswith("Patient/")
        return self._put(frozenset(ids), **({"fhir_user": f"Patient/{ids[0]}"} if own else {}))

    def remove(self, patient: str) -> str:
        """As `add`."""
        user = self.thing
        if user.role == "patient":
            return "A patient always has the own record: choose another one instead."
        left = user.patients - {patient}
        own = {"fhir_user": None} if user.fhir_user == f"Patient/{patient}" else {}
        return self._put(left, **own)

    def _put(self, patients: frozenset[str], **more: Any) -> str:
        user = self.thing
        admin.change_user(self.desk.store, user, as_of=user.version, patients=patients, **more)
        for act, ids in (
            ("patient assigned to a user", patients - user.patients),
            ("patient taken from a user", user.patients - patients),
        ):
            for patient in sorted(ids):
                self.desk.acts.record(act, user_id=user.user_id, patient_id=patient)
        return ""

    def end_list(self) -> str:
        """Users have no list to end."""
        return "The form does not say what to do."

    def again(self) -> _UserPatients | None:
        """As it is now."""
        now = self.desk.store.users.get(self.desk.slug, self.thing.user_id)
        return None if now is None else _UserPatients(self.desk, now)


class _AppPatients:
    """On the list of an app; without a list there is no bound."""

    template = "app_patients"

    def __init__(self, desk: Desk, app: Client) -> None:
        self.desk, self.thing = desk, app
        self.patients = app.patients or frozenset()
        self.page = f"/apps/{key_of(app.client_id)}/patients"
        backend = app.check_grant_type("client_credentials")
        self.values: dict[str, Any] = {"app": app, "backend": backend}

    def add(self, ids: Sequence[str]) -> str:
        """What is wrong with adding them, '' when they were added."""
        return self._put(self.patients | set(ids))

    def remove(self, patient: str) -> str:
        """As `add`."""
        return self._put(self.patients - {patient})

    def end_list(self) -> str:
        """Let it be used for whomever its users and groups reach."""
        return self._put(None)

    def _put(self, patients: frozenset[str] | None) -> str:
        app, name = self.thing, self.thing.client_id
        admin.change_client(self.desk.store, app, as_of=app.version, patients=patients)
        if (patients is None) != (app.patients is None):
            ended = patients is None
            act = "list of patients ended" if ended else "list of patients begun"
            self.desk.acts.record(act, client_id=name)
        left = patients or frozenset()
        for act, ids in (
            ("patient given to an app", left - self.patients),
            ("patient taken from an app", self.patients - left),
        ):
            for patient in sorted(ids):
                self.desk.acts.record(act, client_id=name, patient_id=patient)
        return ""

    def again(self) -> _AppPatients | None:
        """As it is now."""
        now = self.desk.store.clients.get(self.desk.slug, self.thing.client_id)
        return None if now is None else _AppPatients(self.desk, now)


_Holder = _UserPatients | _AppPatients


def _answer(desk: Desk, holder: _Holder) -> Response:
    if request.method != "POST":
        return _show(desk, holder)
    action = pages.posted("action")
    if action == "search":
        return _show(desk, holder, search=search_patients(desk, holder.patients.intersection))
    if not is_current(holder.thing):
        return _show(desk, holder, 409, problem=CHANGED)
    try:
        problem = _act(desk, holder, action)
    except (admin.ChangedSince, LookupError):
        now = holder.again()
        return desk.missing("page") if now is None else _show(desk, now, 409, problem=CHANGED)
    if problem:
        return _show(desk, holder, 422, problem=problem)
    return desk.to(f"{holder.page}?done=yes")


def _act(desk: Desk, holder: _Holder, action: str) -> str:
    if action == "add":
        chosen = chosen_patients(desk)
        return holder.add(chosen) if chosen else "Tick at least one patient to add."
    if action == "remove":
        return holder.remove(pages.posted("patient"))
    if action == "end":
        return holder.end_list()
    return "The form does not say what to do."


def _show(
    desk: Desk,
    holder: _Holder,
    status: int = 200,
    *,
    search: Search | None = None,
    problem: str = "",
) -> Response:
    ids = sorted(holder.patients)
    behind = request.args.get("after", "")
    page = [one for one in ids if one > behind][: PAGE + 1]
    return desk.page(
        holder.template,
        status,
        listed=shown_patients(desk, page[:PAGE]),
        total=len(ids),
        more=page[PAGE - 1] if len(page) > PAGE else None,
        first=not behind,
        here=holder.page,
        once=holder.thing.version,
        search=search or Search(),
        problem=problem,
        told="The change is in force." if request.args.get("done") else "",
        **holder.values,
    )
