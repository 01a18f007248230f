"""Users: the list, new ones, and what one is and may do."""

from __future__ import annotations

from typing import Any

from flask import Response, request

from fhir_facade.console.desk import CHANGED, USER, Desk, Reception, is_current, key_of
from fhir_facade.console.new_user import NewUser
from fhir_facade.console.user_forms import ROLES, SERVICES, UserForm, self_problems
from smart_auth import admin, clock
from smart_auth.records import User
from smart_auth.store import LastAdmin
from smart_auth.web import pages
from smart_auth.web.routes import FORM, Route
from smart_auth.web.times import moment

PAGE = 50
LAST = "This is the last active administrator: make another one first."
DONE = {
    "created": "The user was created.",
    "changed": "The changes are in force.",
    "password": "The user has a new password, and is logged out everywhere.",
    "deleted": "The user was deleted.",
    "factor": "The second factor was forgotten, and the user is logged out everywhere.",
    "ended": "The user is logged out everywhere, and no app has access through this user any more.",
    "limit": "The limit is in force, for access that was given before as well.",
    "patients": "The patients assigned were changed.",
}


class UserViews:
    """The list and the page of a user, with its acts."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception

    def routes(self) -> list[Route]:
        """All that is about people, but their patients and limits."""
        route = self._reception.route
        return [
            route("/users", self.users),
            route("/users/new", self.new),
            route("/users/<key>", self.user, FORM, USER),
            route("/users/<key>/state", self.state, ("POST",), USER),
            route("/users/<key>/factor", self.factor, ("POST",), USER),
            route("/users/<key>/end", self.end, ("POST",), USER),
        ]

    def users(self, desk: Desk) -> Response:
        """By user name, page by page; a POST searches."""
        text = pages.posted("q").strip()
        role = pages.posted("role") if request.method == "POST" else ""
        behind = desk.store.users.get(desk.slug, request.args.get("after", ""))
        found = desk.store.oversight.users(
            desk.slug,
            text=text,
            role=role,
            after="" if behind is None or text or role else behind.username,
            limit=PAGE + 1,
        )
        return desk.page(
            "users",
            users=found[:PAGE],
            more=found[PAGE - 1].user_id if len(found) > PAGE else None,
            first=behind is None,
            searched=bool(text or role),
            text=text,
            role=role,
            roles=[("", "Any"), *((name, name.title()) for name in ROLES)],
            told=DONE.get(request.args.get("done", ""), ""),
        )

    def new(self, desk: Desk) -> Response:
        """Make a user; the password is shown once when it was made here."""
        return NewUser(desk).answer()

    def user(self, desk: Desk, user: User) -> Response:
        """Who it is; a POST changes that."""
        if request.method != "POST":
            return show_user(desk, user)
        if not is_current(user):
            return show_user(desk, user, 409, problem=CHANGED)
        form = UserForm.of(request.form)
        errors = form.problems(user)
        if not errors and user.user_id == desk.admin.user_id:
            errors = self_problems(user, form.applied(user))
        if errors:
            return show_user(desk, user, 422, form=form, errors=errors)
        wanted = form.applied(user)
        changes = {name: value for name, value in vars(wanted).items() if value != vars(user)[name]}
        return change(desk, user, "user changed", "changed", **changes)

    def state(self, desk: Desk, user: User) -> Response:
        """Let the user log in, or not any more."""
        active = pages.posted("active") == "yes"
        if user.user_id == desk.admin.user_id and not active:
            own = "You cannot make your own account inactive: another administrator has to."
            return show_user(desk, user, 409, problem=own)
        if not is_current(user):
            return show_user(desk, user, 409, problem=CHANGED)
        act = "user made active" if active else "user made inactive"
        response = change(desk, user, act, "changed", active=active)
        if not active and response.status_code == 303:
            desk.acts.record_ended(admin.end_sessions(desk.store, user).grants)
        return response

    def factor(self, desk: Desk, user: User) -> Response:
        """Forget a lost second factor."""
        ended = admin.reset_factor(desk.store, user)
        if ended is None:
            return show_user(desk, user, 409, problem="The user has no second factor.")
        desk.acts.record("second factor reset", user_id=user.user_id)
        desk.acts.record_ended(ended.grants)
        return desk.to(f"/users/{key_of(user.user_id)}?done=factor")

    def end(self, desk: Desk, user: User) -> Response:
        """End all sessions and grants."""
        online = admin.end_sessions(desk.store, user).grants
        ended = admin.end_grants(desk.store, desk.slug, user_id=user.user_id)
        desk.acts.record("sessions and grants of a user ended", user_id=user.user_id)
        desk.acts.record_ended([*online, *ended])
        return desk.to(f"/users/{key_of(user.user_id)}?done=ended")


def change(desk: Desk, user: User, act: str, done: str, **changes: Any) -> Response:
    """Change a user, keep the act, and go on to the user's page, which says so."""
    try:
        admin.change_user(desk.store, user, as_of=user.version, spare_last_admin=True, **changes)
    except LastAdmin:
        return show_user(desk, user, 409, problem=LAST)
    except (admin.ChangedSince, LookupError):
        now = desk.store.users.get(desk.slug, user.user_id)
        return desk.missing("user") if now is None else show_user(desk, now, 409, problem=CHANGED)
    desk.acts.record(act, user_id=user.user_id)
    return desk.to(f"/users/{key_of(user.user_id)}?done={done}")


def show_user(
    desk: Desk,
    user: User,
    status: int = 200,
    *,
    form: UserForm | None = None,
    errors: dict[str, str] | None = None,
    problem: str = "",
) -> Response:
    """The page of a user; with a `problem` as the user is now."""
    now = clock.now()
    sessions = desk.store.sessions.list(desk.slug, user.user_id, now)
    grants = desk.store.grants.live(desk.slug, now, user_id=user.user_id)
    return desk.page(
        "user",
        status,
        person=user,
        form=form or UserForm.from_user(user),
        errors=errors or {},
        problem=problem,
        told=DONE.get(request.args.get("done", ""), ""),
        own=user.user_id == desk.admin.user_id,
        factor=admin.factor_of(desk.store, user),
        grants=len(grants),
        sessions=[(one, moment(desk.tenant, one.auth_time)) for one in sessions],
        roles=[(role, words) for role, words in ROLES.items()],
        services=[("", "Not a developer"), *SERVICES.items()],
    )
