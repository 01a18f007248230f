"""Scopes in plain words, for the person who decides."""

from __future__ import annotations

import re

from smart_auth.records import Role
from smart_auth.scopes import Category, Level, Scope

_SPECIAL = {
    "launch": "Know what you have open in your record system, such as the patient",
    "launch/patient": "Know which patient was chosen",
    "launch/encounter": "Know which visit was chosen",
    "openid": "Know who you are when you log in",
    "fhirUser": "See your own entry in this server's directory",
    "profile": "See your own entry in this server's directory",
    "offline_access": "Keep this access when you are not using the app, until you end it",
    "online_access": "Keep this access while you stay logged in",
}

_ALL = frozenset("cruds")
_VERBS = {"c": "add", "u": "change", "d": "delete"}

_IRREGULAR = {"Appointment": "appointments", "Media": "media", "AllergyIntolerance": "allergies"}


def describe(item: Scope | str, role: Role) -> str:
    """One sentence fragment that says what the app could do."""
    if isinstance(item, str):
        return _SPECIAL[item]
    return f"{_verbs(item)} {_things(item)} {_whose(item.level, role)}"


def _verbs(scope: Scope) -> str:
    if scope.letters == _ALL:
        return "See, add, change and delete"
    words = []
    if scope.letters & {"r", "s"}:
        words.append(_reading(scope.letters))
    words += [_VERBS[letter] for letter in "cud" if letter in scope.letters]
    text = words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]
    return text[0].upper() + text[1:]


def _reading(letters: frozenset[str]) -> str:
    if {"r", "s"} <= letters:
        return "see"
    return "open" if "r" in letters else "search"


def _things(scope: Scope) -> str:
    noun = "all kinds of data" if scope.type == "*" else _plural(scope.type)
    if not scope.categories:
        return noun
    return f"{noun} in the category {' or '.join(map(_category, scope.categories))}"


def _category(category: Category) -> str:
    return category.code.replace("-", " ")


def _plural(resource_type: str) -> str:
    if resource_type in _IRREGULAR:
        return _IRREGULAR[resource_type]
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", resource_type).lower()
    if words.endswith("y") and words[-2] not in "aeiou":
        return words[:-1] + "ies"
    return words if words.endswith("s") else words + "s"


def _whose(level: Level, role: Role) -> str:
    if level == "patient":
        return "of your own record" if role == "patient" else "of the chosen patient"
    if level == "user":
        return "that you may see yourself" if role == "patient" else "of everybody you may see"
    return "of everybody this app is assigned"
