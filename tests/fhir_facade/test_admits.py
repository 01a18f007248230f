"""The second check, on columns alone."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_facade.policy import (
    AllPatients,
    CategoryFilter,
    Grant,
    GroupMembers,
    PatientSet,
    Reach,
    ReachClass,
    RowFacts,
    SomePatients,
    admits,
)

CLASSES = {
    "Patient": ReachClass.PATIENT,
    "DiagnosticReport": ReachClass.PATIENT,
    "Location": ReachClass.DIRECTORY,
    "Provenance": ReachClass.INHERITED,
    "Group": ReachClass.STAFF,
    "Task": ReachClass.STAFF,
}
ONE = SomePatients(frozenset({"1"}))
TEAM = GroupMembers(frozenset({"g"}))


def reach(*grants: Grant, members: frozenset[str] | None = None) -> Reach:
    return Reach(grants, CLASSES, members)


def grant(level: Any, kind: str, patients: PatientSet, *categories: CategoryFilter) -> Grant:
    return Grant(level, kind, frozenset({"r", "s"}), patients, categories)


def row(kind: str, *patients: str, inherits: str | None = None, categories: Any = ()) -> RowFacts:
    return RowFacts(kind, "x", patients, categories, inherits)


@pytest.mark.parametrize(
    ("given", "facts", "expected"),
    [
        (reach(), row("Patient", "1"), False),
        (reach(grant("patient", "*", ONE)), row("Patient", "1"), True),
        (reach(grant("patient", "*", ONE)), row("Patient", "2"), False),
        (reach(grant("patient", "*", ONE)), row("DiagnosticReport"), False),
        (reach(grant("patient", "*", ONE)), row("DiagnosticReport", "2", "1"), True),
        (reach(grant("user", "*", AllPatients())), row("DiagnosticReport"), True),
        (reach(grant("patient", "Patient", ONE)), row("Location"), False),
        (reach(grant("patient", "Location", ONE)), row("Location"), True),
        (reach(grant("patient", "*", ONE)), row("Task", "1"), False),
        (reach(grant("user", "*", ONE)), row("Task", "1"), True),
        (reach(grant("user", "*", ONE)), row("Group"), False),
        (reach(grant("user", "*", AllPatients())), row("Group"), True),
        (reach(grant("system", "*", TEAM), members=frozenset({"x"})), row("Group"), True),
        (reach(grant("system", "*", TEAM), members=frozenset({"y"})), row("Group"), False),
        (reach(grant("user", "*", AllPatients())), row("Medication", "1"), False),
        (reach(grant("patient", "*", ONE)), row("Provenance", "1", inherits="Patient"), True),
        (reach(grant("patient", "*", ONE)), row("Provenance", "2", inherits="Patient"), False),
        (reach(grant("patient", "*", ONE)), row("Provenance", inherits="Location"), True),
        (reach(grant("patient", "*", ONE)), row("Provenance", "1"), False),
        (reach(grant("patient", "*", ONE)), row("Provenance", "1", inherits="Provenance"), False),
        (
            reach(grant("patient", "Provenance", ONE)),
            row("Provenance", "1", inherits="Patient"),
            False,
        ),
    ],
)
def test_who_may_have_a_row(given: Reach, facts: RowFacts, expected: bool) -> None:
    assert admits(given, facts.type, "s", facts) is expected


def test_letters_and_types_must_fit() -> None:
    one = reach(grant("patient", "Patient", ONE))
    assert admits(one, "Patient", "r", row("Patient", "1"))
    assert not admits(one, "Patient", "u", row("Patient", "1"))
    assert not admits(one, "Patient", "r", row("DiagnosticReport", "1"))


def test_group_members_need_to_be_looked_up() -> None:
    team = reach(grant("system", "*", TEAM))
    facts = row("Patient", "1")
    assert not admits(team, "Patient", "s", facts)
    assert not admits(team, "Patient", "s", facts, {"1": frozenset({"other"})})
    assert admits(team, "Patient", "s", facts, {"1": frozenset({"other", "g"})})


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (CategoryFilter("urn:s", "RAD"), True),
        (CategoryFilter(None, "RAD"), True),
        (CategoryFilter("", "RAD"), False),
        (CategoryFilter("urn:s", "LAB"), False),
    ],
)
def test_categories_narrow(one: CategoryFilter, expected: bool) -> None:
    facts = row("DiagnosticReport", "1", categories=("urn:s|RAD", "|CT"))
    narrow = reach(grant("user", "DiagnosticReport", AllPatients(), one))
    assert admits(narrow, "DiagnosticReport", "s", facts) is expected
