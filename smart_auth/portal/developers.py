"""Developers' accounts: who signs up, checked as they write it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields

from smart_auth import admin
from smart_auth.acts import Acts
from smart_auth.core import Core
from smart_auth.portal.fields import (
    InvalidForm,
    birth_date_problem,
    email_problem,
    phone_problem,
    text_problem,
)
from smart_auth.ports import TenantInfo
from smart_auth.records import Service, User
from smart_auth.store import AlreadyExists

_USERNAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{2,63}")

SERVICES: Mapping[Service, str] = {
    "patient": "Patient: apps with which people see their own record",
    "provider": "Provider: apps for those who treat patients, and backend services",
}


@dataclass(frozen=True)
class SignUp:
    """What somebody wrote to become a developer, each as text; passwords stay outside."""

    first_name: str = ""
    middle_name: str = ""
    last_name: str = ""
    birth_date: str = ""
    email: str = ""
    phone: str = ""
    city: str = ""
    state: str = ""
    facility: str = ""
    service: str = ""
    username: str = ""

    @classmethod
    def of(cls, form: Mapping[str, str]) -> SignUp:
        """From a form that was sent."""
        return cls(**{one.name: form.get(one.name, "").strip() for one in fields(cls)})


PROFILE_FIELDS = tuple(
    one.name for one in fields(SignUp) if one.name not in ("username", "service")
)
"""What of it is kept in `User.profile`."""


def sign_up(core: Core, tenant: TenantInfo, form: SignUp, password: str, repeated: str) -> User:
    """Make the account, active at once and without any patient. Raises `InvalidForm`."""
    problems = _problems(form, tenant) | _password_problems(form.username, password, repeated)
    if "username" not in problems and core.store.users.by_username(tenant.slug, form.username):
        problems["username"] = "This user name is taken: choose another."
    if problems:
        raise InvalidForm(problems)
    profile = {name: getattr(form, name) for name in PROFILE_FIELDS}
    try:
        user = admin.create_user(
            core.store,
            tenant.slug,
            form.username,
            password,
            role="developer",
            name=f"{form.first_name} {form.last_name}",
            service=form.service,
            profile={name: value for name, value in profile.items() if value},
        )
    except AlreadyExists:
        raise InvalidForm({"username": "This user name is taken: choose another."}) from None
    acts = Acts(core.ports, tenant.slug, user.user_id)
    acts.record("developer signed up", user_id=user.user_id)
    return user


def _problems(form: SignUp, tenant: TenantInfo) -> dict[str, str]:
    found = {
        "first_name": text_problem(form.first_name, "your first name", required=True),
        "middle_name": text_problem(form.middle_name, "your middle name", required=False),
        "last_name": text_problem(form.last_name, "your last name", required=True),
        "birth_date": birth_date_problem(form.birth_date, tenant.zone),
        "email": email_problem(form.email),
        "phone": phone_problem(form.phone) if form.phone else "",
        "city": text_problem(form.city, "your city", required=False),
        "state": text_problem(form.state, "your state", required=False),
        "facility": text_problem(
            form.facility, "the facility you work for", required=form.service == "provider"
        ),
        "service": "" if form.service in SERVICES else "Choose for whom you build apps.",
        "username": ""
        if _USERNAME.fullmatch(form.username)
        else "Use 3 to 64 letters and digits (and . _ - @ between them).",
    }
    return {name: problem for name, problem in found.items() if problem}


def _password_problems(username: str, password: str, repeated: str) -> dict[str, str]:
    try:
        admin.check_new_password(password, username, "developer")
    except ValueError as refused:
        return {"password": f"{refused}."}
    if password != repeated:
        return {"password2": "The two passwords are not the same: write both again."}
    return {}
