"""Making a user, and giving one a new password."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from flask import Response, request

from fhir_facade.console.desk import Desk, key_of
from fhir_facade.console.user_forms import (
    ROLES,
    SERVICES,
    UserForm,
    password_problem,
    username_problem,
)
from smart_auth import admin, keyring
from smart_auth.admin.user_rules import sees_one_patient
from smart_auth.patient_search import look_for_patients
from smart_auth.ports import PatientChoice
from smart_auth.records import User
from smart_auth.store import AlreadyExists
from smart_auth.web import pages

MADE_LENGTH = 20
MOST_FOUND = 20


class NewUser:
    """One request for a new user."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._found: Sequence[PatientChoice] = ()

    def answer(self) -> Response:
        """The empty form, the form with what has to change, or what was made."""
        if request.method != "POST":
            return self._page(UserForm(), {})
        form = UserForm.of(request.form)
        password, made = password_of_form()
        user, errors = self._judge(form)
        errors |= {"password": problem} if (problem := password_problem(password, user)) else {}
        if errors:
            return self._page(form, errors, 422)
        try:
            created = admin.create_user(
                self._desk.store,
                self._desk.slug,
                user.username,
                password,
                role=user.role,
                fhir_user=user.fhir_user,
                whole_tenant=user.whole_tenant,
                patients=user.patients,
                name=user.name,
                service=user.service,
                password_temporary=True,
            )
        except AlreadyExists:
            taken = {"username": "There is a user of this name, or was one: choose another."}
            return self._page(form, taken, 409)
        self._desk.acts.record("user created", user_id=created.user_id)
        if made:
            return show_password(self._desk, created, password)
        return self._desk.to(f"/users/{key_of(created.user_id)}?done=created")

    def _judge(self, form: UserForm) -> tuple[User, dict[str, str]]:
        """The user the form is about to make, and what has to change, by field."""
        blank = User(self._desk.slug, "", form.username, "practitioner")
        known_role = form.role in ROLES
        wanted = form.applied(blank) if known_role else blank
        errors: dict[str, str] = {}
        if form.record and sees_one_patient(wanted):
            record, errors["record"] = self._record(form.record)
            if record:
                form = replace(form, fhir_user=f"Patient/{record}")
                blank = replace(blank, patients=frozenset({record}))
        elif form.record:
            errors["record"] = "Patients are assigned to this user afterwards, on their own page."
        errors["username"] = username_problem(form.username)
        problems = form.problems(blank)
        if "record" not in errors and "patients" in problems:
            errors["record"] = "Say whose record it is."
        about_record = ("patients", "fhir_user") if sees_one_patient(wanted) else ("patients",)
        errors |= {name: text for name, text in problems.items() if name not in about_record}
        user = form.applied(blank) if known_role else blank
        return user, {name: problem for name, problem in errors.items() if problem}

    def _record(self, text: str) -> tuple[str, str]:
        """The patient meant, or why it is not known which."""
        ports, slug = self._desk.ports, self._desk.slug
        chosen = pages.posted("chosen")
        for exact in (chosen, text):
            if exact and ports.patient_exists(slug, exact):
                return exact, ""
        desk = self._desk
        self._found = look_for_patients(desk.core, slug, desk.admin, None, text, MOST_FOUND)
        if len(self._found) == 1:
            return self._found[0].id, ""
        return "", "Several patients match: choose one." if self._found else "No patient matches."

    def _page(self, form: UserForm, errors: dict[str, str], status: int = 200) -> Response:
        return self._desk.page(
            "user_new",
            status,
            form=form,
            errors=errors,
            found=self._found,
            roles=list(ROLES.items()),
            services=[("", "Not a developer"), *SERVICES.items()],
        )


def password_of_form() -> tuple[str, bool]:
    """The password that was sent, or one made here; whether it was made."""
    given = request.form.get("password", "")
    return (given, False) if given else (keyring.random_token(MADE_LENGTH), True)


def show_password(desk: Desk, user: User, password: str) -> Response:
    """A password that was made here, this once."""
    return desk.page("password_made", person=user, password=password)
