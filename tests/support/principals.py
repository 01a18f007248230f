"""Who may ask, and what each may see: written from the rules of reach, not from the code.

A grant covers types (None: all), a category (`system|code`, for DiagnosticReports) and patients
(None: everybody, and what is of nobody). Organizations, locations and practitioners need only the
type; a Provenance and a Binary need their target, too; a Group is seen by those it was given to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from smart_auth.verify import VerifiedToken
from tests.support import search_oracle as oracle
from tests.support.tokens import backend_token, user_token

Resource = dict[str, Any]
Key = tuple[str, str]

BEHIND = ("Binary", "Provenance")
"""Seen by those who see the resource they stand behind."""
DIRECTORY = frozenset({"Location", "Organization", "Practitioner"})
CATEGORY = "urn:s:1|a"
MEMBERS = {"g1": ("p1", "p2"), "g2": ("p3", "p4")}
"""The groups that there are, with their members."""


def behind(resource: Resource) -> str:
    """`Type/id` of what a resource stands behind; '' for all others."""
    found = resource["target"][0] if "target" in resource else resource.get("securityContext", {})
    return str(found.get("reference", ""))


def key_of(reference: str) -> Key:
    kind, _, one_id = reference.partition("/")
    return kind, one_id


@dataclass(frozen=True)
class Granted:
    types: frozenset[str] | None
    patients: frozenset[str] | None
    category: str | None = None

    def covers(self, kind: str) -> bool:
        return self.types is None or kind in self.types


@dataclass(frozen=True)
class Principal:
    token: VerifiedToken
    grants: tuple[Granted, ...]
    groups: frozenset[str] = frozenset()

    def sees(self, resource: Resource, world: Mapping[Key, Resource]) -> bool:
        """Whether anything may tell that the resource is there."""
        kind = resource["resourceType"]
        return any(self._by(grant, kind, resource, world) for grant in self.grants)

    def _by(
        self, grant: Granted, kind: str, resource: Resource, world: Mapping[Key, Resource]
    ) -> bool:
        if not grant.covers(kind):
            return False
        if kind == "Group":
            return resource["id"] in self.groups
        if kind in BEHIND:
            target = world[key_of(behind(resource))]
            return self._has_patient(grant, target) and self.sees(target, world)
        if grant.category is not None:
            found = {f"{system}|{code}" for system, code in oracle.tokens(resource, "category")}
            if grant.category not in found:
                return False
        return self._has_patient(grant, resource)

    def _has_patient(self, grant: Granted, resource: Resource) -> bool:
        kind = resource["resourceType"]
        if kind in DIRECTORY or grant.patients is None:
            return True
        if kind == "Patient":
            return resource["id"] in grant.patients
        named = oracle.references(resource, "actor" if kind == "Appointment" else "subject")
        return any(f"Patient/{one}" in named for one in grant.patients)


def _grant(*patients: str, types: str = "", category: str | None = None) -> Granted:
    return Granted(
        frozenset(types.split()) if types else None,
        frozenset(patients) if patients else None,
        category,
    )


PRINCIPALS: dict[str, Principal] = {
    "a patient's launch": Principal(
        user_token("patient/*.rs", patient="p1"),
        (_grant("p1"),),
    ),
    "a patient": Principal(
        user_token("user/*.rs", fhir_user="Patient/p2", role="patient"), (_grant("p2"),)
    ),
    "a launch for reports of one category": Principal(
        user_token(
            "patient/Patient.rs patient/Provenance.rs patient/Location.rs"
            f" patient/DiagnosticReport.rs?category={CATEGORY}",
            patient="p1",
        ),
        (
            _grant("p1", types="Patient Provenance Location"),
            _grant("p1", types="DiagnosticReport", category=CATEGORY),
        ),
    ),
    "a launch for a few types": Principal(
        user_token("patient/Appointment.rs patient/Organization.rs", patient="p3"),
        (_grant("p3", types="Appointment Organization"),),
    ),
    "mixed levels": Principal(
        user_token(
            "patient/Appointment.rs patient/Provenance.rs user/Patient.rs user/Practitioner.rs",
            patient="p1",
            whole_tenant=False,
            patients={"p1", "p2"},
        ),
        (
            _grant("p1", types="Appointment Provenance"),
            _grant("p1", "p2", types="Patient Practitioner"),
        ),
    ),
    "staff with assigned patients": Principal(
        user_token("user/*.rs", whole_tenant=False, patients={"p1", "p4"}), (_grant("p1", "p4"),)
    ),
    "staff through an app with a list": Principal(
        user_token("user/*.rs", app_patients={"p2"}), (_grant("p2"),)
    ),
    "staff with assigned patients through an app with a list": Principal(
        user_token(
            "user/*.rs", whole_tenant=False, patients={"p1", "p2"}, app_patients={"p2", "p3"}
        ),
        (_grant("p2"),),
    ),
    "staff with types": Principal(
        user_token("user/Appointment.rs user/Location.rs user/Provenance.rs"),
        (_grant(types="Appointment Location Provenance"),),
    ),
    "a backend with a group": Principal(
        backend_token("system/*.rs", groups=["g1"]), (_grant("p1", "p2"),), frozenset({"g1"})
    ),
    "a backend with two groups and types": Principal(
        backend_token("system/Patient.rs system/Group.rs", groups=["g1", "g2"]),
        (_grant("p1", "p2", "p3", "p4", types="Patient Group"),),
        frozenset({"g1", "g2"}),
    ),
    "a backend with a group and a patient": Principal(
        replace(
            backend_token("system/*.rs", groups=["g2"]),
            client_patients=frozenset({"p1"}),
        ),
        (_grant("p1", "p3", "p4"),),
        frozenset({"g2"}),
    ),
    "who may only read": Principal(user_token("patient/*.r", patient="p2"), (_grant("p2"),)),
    "who may only search": Principal(user_token("patient/*.s", patient="p2"), (_grant("p2"),)),
}
