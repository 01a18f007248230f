"""A new password for a user who lost it."""

from __future__ import annotations

from flask import Response, request

from fhir_facade.console.desk import CHANGED, USER, Desk, Reception, is_current
from fhir_facade.console.new_user import password_of_form, show_password
from fhir_facade.console.user_forms import password_problem
from fhir_facade.console.user_views import change, show_user
from smart_auth import admin
from smart_auth.passwords import hash_password
from smart_auth.records import User
from smart_auth.web import pages
from smart_auth.web.routes import FORM, Route

OWN = "Change your own password on the page Account, where you show the present one."


class PasswordViews:
    """One form."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception

    def routes(self) -> list[Route]:
        """The form."""
        return [self._reception.route("/users/<key>/password", self.password, FORM, USER)]

    def password(self, desk: Desk, user: User) -> Response:
        """Give one, or have one made, which the user has to change at the next login; the user is
        logged out everywhere, and on demand the apps' access ends."""
        if user.user_id == desk.admin.user_id:
            return show_user(desk, user, 403, problem=OWN)
        if request.method != "POST":
            return desk.page("password", person=user, error=None)
        if not is_current(user):
            return show_user(desk, user, 409, problem=CHANGED)
        password, made = password_of_form()
        if problem := password_problem(password, user):
            return desk.page("password", 422, person=user, error=problem)
        response = change(
            desk,
            user,
            "password reset",
            "password",
            password_hash=hash_password(password),
            password_temporary=True,
        )
        if response.status_code != 303:
            return response
        desk.acts.record_ended(admin.end_sessions(desk.store, user).grants)
        if pages.posted("apps") == "yes":
            ended = admin.end_grants(desk.store, desk.slug, user_id=user.user_id)
            desk.acts.record_ended(ended)
        return show_password(desk, user, password) if made else response
