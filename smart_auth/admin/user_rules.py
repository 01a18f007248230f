"""What must hold of a user, whoever made or changed it."""

from __future__ import annotations

import re

from smart_auth.records import User

PERSONS = ("Patient", "Practitioner", "PractitionerRole", "RelatedPerson", "Person")
"""Types that `fhirUser` may name (SMART App Launch 2.2 section 2.1.15)."""

_REFERENCE = re.compile(rf"(?:{'|'.join(PERSONS)})/[A-Za-z0-9.-]{{1,64}}")


def sees_one_patient(user: User) -> bool:
    """Whether this is somebody who works with the own record only: a patient, or a developer who
    builds for patients."""
    return user.role == "patient" or (user.role == "developer" and user.service == "patient")


def user_problems(user: User) -> dict[str, str]:
    """What has to change, by field of `User`; empty when all is well."""
    problems: dict[str, str] = {}
    if (user.role == "developer") != (user.service is not None):
        problems["service"] = (
            "Say for whom the developer builds apps."
            if user.role == "developer"
            else "Only a developer builds apps for somebody."
        )
    if user.fhir_user is not None and not _REFERENCE.fullmatch(user.fhir_user):
        problems["fhir_user"] = "Write a reference such as Practitioner/123."
    if sees_one_patient(user):
        problems |= _own_record_problems(user)
    elif (user.fhir_user or "").startswith("Patient/"):
        problems["fhir_user"] = "Only who sees the own record alone is a Patient."
    return problems


def _own_record_problems(user: User) -> dict[str, str]:
    """A patient has exactly one own record; a developer for patients gets at most one."""
    problems: dict[str, str] = {}
    resource_type, _, own = (user.fhir_user or "").partition("/")
    if user.whole_tenant:
        problems["whole_tenant"] = "Somebody who sees one record cannot see every patient."
    if len(user.patients) > 1:
        problems["patients"] = "Assign one patient: the own record."
    elif user.role == "patient" and not user.patients:
        problems["patients"] = "Assign the patient whose record it is."
    elif resource_type == "Patient" and user.patients != {own}:
        problems["patients"] = "The patient assigned must be the one of fhirUser."
    if user.role == "patient" and user.fhir_user is None:
        problems["fhir_user"] = "Write the patient's own record, such as Patient/123."
    return problems
