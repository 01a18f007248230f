"""Scopes in plain words, for the person who decides: whole sentences, and names of their parts."""

from __future__ import annotations

import re
from collections.abc import Sequence

from smart_auth.ports import CategoryChoice
from smart_auth.records import Role
from smart_auth.scopes import Category, Scope

_SPECIAL = {
    "launch": "Know what is open in the record system, such as the patient.",
    "launch/patient": "Know which patient was chosen.",
    "launch/encounter": "Know which visit was chosen.",
    "openid": "Know that it is you who logged in, by an identifier.",
    "fhirUser": "Know which entry in this server's directory is yours, and see it.",
    "profile": "Know which entry in this server's directory is yours.",
    "offline_access": "Keep this access when you are not using the app, until you end it.",
    "online_access": "Keep this access while you stay logged in here.",
}

_OF_PATIENTS = {
    "AllergyIntolerance": "allergies",
    "Appointment": "appointments",
    "CarePlan": "care plans",
    "CareTeam": "care teams",
    "Condition": "diagnoses and health problems",
    "Consent": "consents",
    "Coverage": "insurance",
    "DiagnosticReport": "reports of examinations",
    "DocumentReference": "documents",
    "Encounter": "visits",
    "ImagingStudy": "images",
    "Immunization": "vaccinations",
    "MedicationRequest": "prescriptions",
    "MedicationStatement": "medication",
    "Observation": "measurements and results",
    "Patient": "personal details",
    "Provenance": "notes on where entries come from",
    "AuditEvent": "log of who used the record",
    "RelatedPerson": "relatives and contacts",
    "ServiceRequest": "orders and referrals",
}

_OF_THE_CLINIC = {
    "ConceptMap": "how the clinic's codes are translated",
    "Group": "lists of patients",
    "HealthcareService": "the services the clinic offers",
    "Location": "the clinic's places",
    "Medication": "the list of medicines",
    "Organization": "the clinic and organizations it works with",
    "Practitioner": "the clinic's staff",
    "PractitionerRole": "what the clinic's staff does",
    "Schedule": "the clinic's calendars",
    "Slot": "free times of the clinic",
}

_VERBS = {"c": "add", "u": "change", "d": "delete"}
_READING = {frozenset("rs"): "see", frozenset("r"): "open", frozenset("s"): "search"}


def describe(item: Scope | str, role: Role, known: Sequence[CategoryChoice] = ()) -> str:
    """One sentence that says what the app could do, to a user of this role. `known` are categories
    of the scope's type with the words people have for them."""
    if isinstance(item, str):
        return _SPECIAL[item]
    verbs = _verbs(item)
    text = f"{verbs[0].upper()}{verbs[1:]} {_things(item, role)}"
    if item.categories:
        text += f", only {_categories(item, known)}"
    return text + "."


def name_of(scope: Scope, known: Sequence[CategoryChoice] = ()) -> str:
    """What one type, or categories of it, is called in a list."""
    words = _categories(scope, known) if scope.categories else noun(scope.type)
    return words[0].upper() + words[1:]


def _categories(scope: Scope, known: Sequence[CategoryChoice]) -> str:
    names = dict.fromkeys(category_name(category, known) for category in scope.categories)
    return " or ".join(names)


def category_name(category: Category, known: Sequence[CategoryChoice]) -> str:
    """What people call a category: its text here, or the words of its code."""
    for choice in known:
        if choice.code == category.code and category.system in (None, choice.system):
            return choice.text
    return category.code.replace("-", " ")


def _verbs(scope: Scope) -> str:
    reading = scope.letters & {"r", "s"}
    words = [_READING[reading]] if reading else []
    words += [_VERBS[letter] for letter in "cud" if letter in scope.letters]
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def _things(scope: Scope, role: Role) -> str:
    """What it is about, and whose it is."""
    if scope.type in _OF_THE_CLINIC:
        return _OF_THE_CLINIC[scope.type]
    everything, name = scope.type == "*", noun(scope.type)
    if scope.level == "patient":
        whose = "your" if role == "patient" else "this patient's"
        return f"everything in {whose} record" if everything else f"{whose} {name}"
    if scope.level == "user" and role == "patient":
        return f"{'everything' if everything else f'the {name}'} you may see yourself"
    whom = "every patient you may see" if scope.level == "user" else "the patients it is assigned"
    return f"everything about {whom}" if everything else f"the {name} of {whom}"


def noun(resource_type: str) -> str:
    """What resources of a type are called, in the plural."""
    name = _OF_PATIENTS.get(resource_type) or _OF_THE_CLINIC.get(resource_type)
    if name is not None:
        return name
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", resource_type).lower()
    if words.endswith("y") and words[-2] not in "aeiou":
        return words[:-1] + "ies"
    return words if words.endswith("s") else words + "s"
