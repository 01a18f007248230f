"""The form of a user: what an administrator wrote, checked field by field."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import cast, get_args

from smart_auth.admin import check_new_password
from smart_auth.admin.user_rules import user_problems
from smart_auth.records import Role, Service, User

LONGEST_NAME = 200
ROLES: Mapping[Role, str] = {
    "practitioner": "Practitioner: sees the patients assigned, or all",
    "patient": "Patient: sees the own record",
    "developer": "Developer: registers apps in the portal",
    "admin": "Administrator: uses this console",
}
SERVICES: Mapping[Service, str] = {
    "provider": "For providers: their apps may work on the patients assigned",
    "patient": "For patients: their apps work on one record",
}


@dataclass(frozen=True)
class UserForm:
    """What was written, each as text. `record` finds the own record of a new patient: by id, name,
    birth date or account number."""

    username: str = ""
    name: str = ""
    role: str = "practitioner"
    service: str = ""
    fhir_user: str = ""
    whole_tenant: bool = False
    record: str = ""

    @classmethod
    def of(cls, form: Mapping[str, str]) -> UserForm:
        """From a form that was sent."""
        texts = {one.name: form.get(one.name, "").strip() for one in fields(cls)}
        return cls(**{**texts, "whole_tenant": bool(texts["whole_tenant"])})  # type: ignore[arg-type]

    @classmethod
    def from_user(cls, user: User) -> UserForm:
        """As it would have to be written to give this user."""
        return cls(
            username=user.username,
            name=user.name,
            role=user.role,
            service=user.service or "",
            fhir_user=user.fhir_user or "",
            whole_tenant=user.whole_tenant,
        )

    def applied(self, user: User) -> User:
        """The user as the form has it; check `problems` first."""
        developer = self.role == "developer"
        return replace(
            user,
            name=self.name,
            role=cast(Role, self.role),
            service=cast(Service, self.service) if developer and self.service else None,
            fhir_user=self.fhir_user or None,
            whole_tenant=self.whole_tenant,
        )

    def problems(self, user: User) -> dict[str, str]:
        """What has to change before it can be applied to the user, by field."""
        found = {"name": text_problem(self.name)}
        if self.role not in get_args(Role):
            found["role"] = "Choose what the user is."
        elif self.service and self.service not in SERVICES:
            found["service"] = "Choose for whom the developer builds apps."
        else:
            found |= user_problems(self.applied(user))
        return {name: problem for name, problem in found.items() if problem}


def username_problem(text: str) -> str:
    """Why nobody can log in by this name, '' when somebody can."""
    if not text or len(text) > LONGEST_NAME:
        return f"Write a user name of 1 to {LONGEST_NAME} characters."
    return text_problem(text)


def text_problem(text: str) -> str:
    """Why this is no line of text, '' when it is one."""
    if len(text) > LONGEST_NAME:
        return f"Write at most {LONGEST_NAME} characters."
    if any(unicodedata.category(letter)[0] == "C" for letter in text):
        return "Leave out line breaks and other characters that cannot be seen."
    return ""


def password_problem(password: str, user: User) -> str:
    """Why this cannot be the user's password, '' when it can."""
    try:
        check_new_password(password, user.username, user.role)
    except ValueError as error:
        return f"{error}."
    return ""


def self_problems(user: User, changed: User) -> dict[str, str]:
    """What administrators may not do to themselves, so that nobody locks the door from inside."""
    problems = {}
    if changed.role != user.role:
        problems["role"] = "You cannot give up your own role: another administrator has to."
    if not changed.active:
        problems[""] = "You cannot make your own account inactive: another administrator has to."
    return problems
