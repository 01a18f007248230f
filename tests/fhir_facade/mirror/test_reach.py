"""Reach in SQL and the second check on columns decide the same, whatever the grants."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_facade.mirror import find, plan, versions
from fhir_facade.mirror.database import Database
from fhir_facade.mirror.find import FindRequest
from fhir_facade.mirror.groups import GroupDefinition, GroupStore, listed
from fhir_facade.mirror.memberships import memberships
from fhir_facade.mirror.versions import Row
from fhir_facade.policy import (
    AllPatients,
    CategoryFilter,
    Grant,
    GroupMembers,
    PatientSet,
    Reach,
    SomePatients,
    admits,
)
from fhir_facade.resources.registry import REGISTRY
from tests.support.databases import BOTH, shared_database
from tests.support.published import appointment, location, patient, publish, report
from tests.support.soak import examples

CLASSES = {name: definition.reach for name, definition in REGISTRY.items()}
TYPES = ("Patient", "Appointment", "DiagnosticReport", "Location", "Group", "Provenance")
SECTION = "http://terminology.hl7.org/CodeSystem/v2-0074"


def fill(database: Database) -> None:
    publish(
        database,
        location("l1"),
        *(patient(n) for n in (1, 2, 3)),
        appointment(1, 1),
        appointment(2, 2),
        appointment(3),
        appointment(4, 1, participant=[{"actor": {"reference": f"Patient/p{n}"}} for n in (1, 3)]),
        report(1, 1),
        report(2, 2, "CT"),
        with_provenance=True,
    )
    groups = GroupStore(database)
    groups.define("acme", GroupDefinition("g1", "One", "listed", members=listed(("p1", "p9"))))
    groups.define(
        "acme", GroupDefinition("g2", "Two and three", "listed", members=listed(("p2", "p3")))
    )
    groups.refresh("acme")


def all_rows(database: Database, revision: int) -> list[Row]:
    everything = Reach((Grant("user", "*", frozenset({"s"}), AllPatients()),), CLASSES)
    with database.read() as conn:
        return [
            row
            for kind in TYPES
            for row in find.find(
                conn, FindRequest("acme", kind, (), everything, revision, None, 1000)
            )
        ]


patient_sets: st.SearchStrategy[PatientSet] = st.one_of(
    st.just(AllPatients()),
    st.frozensets(st.sampled_from(("p1", "p2", "p3", "p9")), max_size=2).map(SomePatients),
    st.frozensets(st.sampled_from(("g1", "g2", "g9")), max_size=2).map(GroupMembers),
)
filters = st.lists(
    st.builds(
        CategoryFilter,
        st.sampled_from((None, SECTION, "urn:other")),
        st.sampled_from(("RAD", "CT", "LAB")),
    ),
    max_size=2,
).map(tuple)
grants = st.builds(
    Grant,
    st.sampled_from(("patient", "user", "system")),
    st.sampled_from(("*", *TYPES)),
    st.frozensets(st.sampled_from(("c", "r", "u", "d", "s")), max_size=3),
    patient_sets,
    st.one_of(st.just(()), filters),
)
reaches = st.builds(
    Reach,
    st.lists(grants, max_size=4).map(tuple),
    st.just(CLASSES),
    st.one_of(st.none(), st.frozensets(st.sampled_from(("g1", "g2")), max_size=1)),
)


@settings(
    max_examples=examples(20),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(reach=reaches, by_row=st.booleans())
def test_find_returns_what_admits_admits_and_nothing_else(
    clinic: Database, reach: Reach, by_row: bool
) -> None:
    with clinic.read() as conn:
        revision = versions.current_revision(conn, "acme")[0]
        rows = all_rows(clinic, revision)
        of_patient = memberships(conn, "acme", ("p1", "p2", "p3"), ("g1", "g2"), revision)
    with patch.object(plan, "FEW_ROWS", 0 if by_row else 1000):
        for kind in TYPES:
            expected = [row.id for row in rows if admits(reach, kind, "s", row.facts, of_patient)]
            with clinic.read() as conn:
                request = FindRequest("acme", kind, (), reach, revision, None, 1000)
                found = find.find(conn, request)
                checked = find.admitted(conn, "acme", reach, revision, found)
            assert [row.id for row in found] == expected
            assert checked == found


def grant(level: Any, kind: str, patients: PatientSet, **more: Any) -> Grant:
    return Grant(level, kind, frozenset({"r", "s"}), patients, **more)


def ids(database: Database, kind: str, *given_grants: Grant, members: Any = None) -> Sequence[str]:
    reach = Reach(given_grants, CLASSES, members)
    with database.read() as conn:
        revision = versions.current_revision(conn, "acme")[0]
        request = FindRequest("acme", kind, (), reach, revision, None, 1000)
        return [row.id for row in find.find(conn, request)]


@pytest.fixture(scope="module", params=BOTH)
def clinic(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    with shared_database(request.param, tmp_path_factory.mktemp("clinic")) as database:
        fill(database)
        yield database


P1 = SomePatients(frozenset({"p1"}))
G2 = GroupMembers(frozenset({"g2"}))


def test_one_patient_reaches_its_own_and_the_directory(clinic: Database) -> None:
    one = grant("patient", "*", P1)
    assert ids(clinic, "Patient", one) == ["p1"]
    assert ids(clinic, "Appointment", one) == ["a1", "a4"]
    assert ids(clinic, "DiagnosticReport", one) == ["r1"]
    assert ids(clinic, "Location", one) == ["l1"]
    assert ids(clinic, "Group", one) == []
    assert ids(clinic, "Provenance", one) == [
        "Appointment-a1",
        "Appointment-a4",
        "DiagnosticReport-r1",
        "Location-l1",
        "Patient-p1",
    ]


def test_no_grant_reaches_nothing(clinic: Database) -> None:
    assert ids(clinic, "Patient") == []
    assert ids(clinic, "Location", grant("user", "Patient", AllPatients())) == []
    nobody = SomePatients(frozenset())
    assert ids(clinic, "Patient", grant("user", "*", nobody)) == []
    assert ids(clinic, "Patient", Grant("user", "*", frozenset({"c"}), AllPatients())) == []


def test_group_members_at_the_revision(clinic: Database) -> None:
    two = grant("system", "*", G2)
    assert ids(clinic, "Patient", two, members=frozenset({"g2"})) == ["p2", "p3"]
    assert ids(clinic, "Appointment", two, members=frozenset({"g2"})) == ["a2", "a4"]
    assert ids(clinic, "Group", two, members=frozenset({"g2"})) == ["g2"]


def test_categories_narrow_and_grants_add_up(clinic: Database) -> None:
    ct = grant("user", "DiagnosticReport", AllPatients(), categories=(CategoryFilter(None, "CT"),))
    assert ids(clinic, "DiagnosticReport", ct) == ["r2"]
    mine = grant("patient", "DiagnosticReport", P1)
    assert ids(clinic, "DiagnosticReport", ct, mine) == ["r1", "r2"]


def test_provenance_needs_its_own_scope_and_that_of_its_target(clinic: Database) -> None:
    everybody = AllPatients()
    provenance = grant("user", "Provenance", everybody)
    assert ids(clinic, "Provenance", provenance) == []
    assert ids(clinic, "Provenance", grant("user", "DiagnosticReport", everybody)) == []
    ct = grant("user", "DiagnosticReport", everybody, categories=(CategoryFilter(None, "CT"),))
    assert ids(clinic, "Provenance", provenance, ct) == ["DiagnosticReport-r2"]


def test_more_patients_than_a_statement_takes_parameters(clinic: Database) -> None:
    many = SomePatients(frozenset({"p2", *(f"x{n}" for n in range(40_000))}))
    assert ids(clinic, "Patient", grant("user", "*", many)) == ["p2"]


def test_includes_stay_within_reach(clinic: Database) -> None:
    everything = Reach((grant("user", "*", AllPatients()),), CLASSES)
    one = Reach((grant("patient", "*", P1),), CLASSES)
    with clinic.read() as conn:
        revision = versions.current_revision(conn, "acme")[0]
        matches = find.find(
            conn, FindRequest("acme", "Appointment", (), everything, revision, None, 100)
        )
        found = find.included(
            conn, "acme", matches, "actor", ("Patient", "Location"), one, revision, 100
        )
        assert [row.id for row in found] == ["l1", "p1"]
        people = find.find(
            conn, FindRequest("acme", "Patient", (), everything, revision, None, 100)
        )
        back = find.reverse_included(
            conn, "acme", "DiagnosticReport", "patient", people, one, revision, 100
        )
        assert [row.id for row in back] == ["r1"]
