"""Deleting a user for good."""

from __future__ import annotations

from flask import Response, request

from fhir_facade.console.desk import CHANGED, USER, Desk, Reception, is_current
from fhir_facade.console.user_views import LAST, show_user
from smart_auth import admin
from smart_auth.records import User
from smart_auth.store import LastAdmin
from smart_auth.web import pages
from smart_auth.web.routes import FORM, Route

OWN = "You cannot delete your own account: another administrator has to."


class UserDeleteViews:
    """One form."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception

    def routes(self) -> list[Route]:
        """The form."""
        return [self._reception.route("/users/<key>/delete", self.delete, FORM, USER)]

    def delete(self, desk: Desk, user: User) -> Response:
        """Delete the user when the user name was written as it is; never the last administrator,
        nor the one who asks."""
        if user.user_id == desk.admin.user_id:
            return show_user(desk, user, 403, problem=OWN)
        if request.method != "POST":
            return _page(desk, user)
        if not is_current(user):
            return show_user(desk, user, 409, problem=CHANGED)
        if pages.posted("username").strip() != user.username.strip():
            wrong = {"username": f"Write the user name exactly as it is: {user.username}"}
            return _page(desk, user, wrong)
        try:
            ended = admin.delete_user(desk.store, user)
        except LastAdmin:
            return show_user(desk, user, 409, problem=LAST)
        except (admin.ChangedSince, LookupError):
            now = desk.store.users.get(desk.slug, user.user_id)
            return (
                desk.missing("user") if now is None else show_user(desk, now, 409, problem=CHANGED)
            )
        desk.acts.record("user deleted", user_id=user.user_id)
        desk.acts.record_ended(ended.grants)
        return desk.to("/users?done=deleted")


def _page(desk: Desk, user: User, errors: dict[str, str] | None = None) -> Response:
    return desk.page(
        "user_delete",
        422 if errors else 200,
        person=user,
        apps=desk.store.clients.owned(desk.slug, user.user_id),
        errors=errors or {},
    )
