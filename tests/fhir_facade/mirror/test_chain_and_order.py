"""Criteria on other resources, and other orders than by id, against a reading of the resources."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_facade.fhir.dates import parse_interval
from fhir_facade.mirror import find, plan, versions
from fhir_facade.mirror.criteria import (
    ChainCriterion,
    Criterion,
    DateCriterion,
    DateValue,
    HasCriterion,
    SortKey,
    StringCriterion,
    TokenCriterion,
    TokenValue,
)
from fhir_facade.mirror.database import Database
from fhir_facade.mirror.find import FindRequest
from fhir_facade.policy import AllPatients, CategoryFilter, Grant, Letter, Reach, SomePatients
from fhir_facade.resources.extract import fold
from fhir_facade.resources.registry import REGISTRY
from tests.support.published import SYDNEY, appointment, location, patient, publish, report
from tests.support.soak import examples

CLASSES = {name: definition.reach for name, definition in REGISTRY.items()}
SEARCH: frozenset[Letter] = frozenset({"s"})
tenants = itertools.count()


def grant(resource_type: str, *patients: str, letters: frozenset[Letter] = SEARCH) -> Grant:
    seen = SomePatients(frozenset(patients)) if patients else AllPatients()
    return Grant("user", resource_type, letters, seen)


ALL = Reach((grant("*"),), CLASSES)


def search(
    database: Database,
    tenant: str,
    kind: str,
    *criteria: Criterion,
    reach: Reach = ALL,
    **more: Any,
) -> list[str]:
    with database.read() as conn:
        revision = versions.current_revision(conn, tenant)[0]
        request = FindRequest(tenant, kind, criteria, reach, revision, None, 1000, **more)
        rows = find.find(conn, request)
        assert find.count(conn, request) == len(rows)
        return [row.id for row in rows]


def gender(code: str) -> Criterion:
    return TokenCriterion("gender", (TokenValue(None, code),))


def status(code: str) -> Criterion:
    return TokenCriterion("status", (TokenValue(None, code),))


def of_patient(*criteria: Criterion) -> Criterion:
    return ChainCriterion("patient", (("Patient", criteria),))


def with_appointment(*criteria: Criterion) -> Criterion:
    return HasCriterion("Appointment", "patient", criteria)


@pytest.fixture
def clinic(database: Database) -> Database:
    publish(
        database,
        location("l1"),
        location("l2"),
        patient(1, "Adams", gender="male"),
        patient(2, "Brown"),
        patient(3, "Clark", gender="male"),
        appointment(1, 1, "booked"),
        appointment(2, 2, "booked", location="l2"),
        appointment(3, 3, "cancelled"),
        appointment(4, None, "booked"),
        report(1, 1),
        report(2, 2, "CT"),
    )
    return database


def test_chains_follow_references_forwards_and_backwards(clinic: Database) -> None:
    males = of_patient(gender("male"))
    assert search(clinic, "acme", "Appointment", males) == ["a1", "a3"]
    assert search(clinic, "acme", "Appointment", males, status("booked")) == ["a1"]
    assert search(clinic, "acme", "DiagnosticReport", males) == ["r1"]
    assert search(clinic, "acme", "Patient", with_appointment(status("booked"))) == ["p1", "p2"]
    at_l2 = ChainCriterion(
        "actor", (("Location", (StringCriterion("name", "starts", ("site l2",)),)),)
    )
    assert search(clinic, "acme", "Appointment", at_l2) == ["a2"]
    either = ChainCriterion("actor", (*at_l2.targets, ("Patient", (gender("male"),))))
    assert search(clinic, "acme", "Appointment", either) == ["a1", "a2", "a3"]
    assert search(clinic, "acme", "Patient", with_appointment(at_l2)) == ["p2"]
    twice = of_patient(with_appointment(status("cancelled")))
    assert search(clinic, "acme", "DiagnosticReport", twice) == []
    assert search(clinic, "acme", "Appointment", twice) == ["a3"]


def test_what_is_out_of_reach_is_as_good_as_not_there(clinic: Database) -> None:
    males = of_patient(gender("male"))
    without_patients = Reach((grant("Appointment"),), CLASSES)
    assert search(clinic, "acme", "Appointment", males, reach=without_patients) == []
    reading_only = Reach(
        (grant("Appointment"), grant("Patient", letters=frozenset({"r"}))), CLASSES
    )
    assert search(clinic, "acme", "Appointment", males, reach=reading_only) == []
    one = Reach((grant("Appointment"), grant("Patient", "p3")), CLASSES)
    assert search(clinic, "acme", "Appointment", males, reach=one) == ["a3"]
    reports = Grant(
        "user", "DiagnosticReport", SEARCH, AllPatients(), (CategoryFilter(None, "CT"),)
    )
    has_report = HasCriterion("DiagnosticReport", "patient", (status("final"),))
    granular = Reach((grant("Patient"), reports), CLASSES)
    assert search(clinic, "acme", "Patient", has_report, reach=granular) == ["p2"]
    assert search(clinic, "acme", "Patient", has_report) == ["p1", "p2"]


def test_a_chain_sees_the_revision_of_its_search(clinic: Database) -> None:
    males = of_patient(gender("male"))
    publish(clinic, patient(2, "Brown", gender="male"), appointment(1, 2))
    with clinic.read() as conn:

        def found(revision: int, criterion: Criterion, kind: str) -> list[str]:
            request = FindRequest("acme", kind, (criterion,), ALL, revision, None, 100)
            return [row.id for row in find.find(conn, request)]

        assert found(1, males, "Appointment") == ["a1", "a3"]
        assert found(2, males, "Appointment") == ["a1", "a2", "a3"]
        booked = with_appointment(status("booked"))
        assert found(1, booked, "Patient") == ["p1", "p2"]
        assert found(2, booked, "Patient") == ["p2"]


# Random data: an order is what sorting the resources gives, page after page.

FAMILIES = ("Adams", "adams", "Brown", "Ärm")
BIRTHS = ("1980", "1980-05", "1980-01-01", "1999-12-31")
people = st.lists(
    st.tuples(
        st.lists(st.sampled_from(FAMILIES), max_size=2),
        st.sampled_from((*BIRTHS, None)),
        st.sampled_from(("male", "female", None)),
    ),
    max_size=9,
)
KEYS: dict[str, tuple[str, Callable[[dict[str, Any]], list[Any]]]] = {
    "family": ("string", lambda r: [fold(n["family"]) for n in r["name"]]),
    "birthdate": (
        "date",
        lambda r: [parse_interval(r["birthDate"], SYDNEY).lo] if "birthDate" in r else [],
    ),
    "gender": ("token", lambda r: [r["gender"]] if "gender" in r else []),
}
orders = st.lists(st.tuples(st.sampled_from(sorted(KEYS)), st.booleans()), min_size=1, max_size=3)


def person(number: int, facts: tuple[list[str], str | None, str | None]) -> dict[str, Any]:
    families, born, sex = facts
    resource = patient(number, name=[{"family": family} for family in families])
    for element, value in (("birthDate", born), ("gender", sex)):
        resource.pop(element)
        if value is not None:
            resource[element] = value
    return resource


def ordered(resources: list[dict[str, Any]], order: list[tuple[str, bool]]) -> list[str]:
    """Sort by the last key first: each sort keeps the order of equals."""
    found = sorted(resources, key=lambda r: str(r["id"]))
    for name, descending in reversed(order):
        values = KEYS[name][1]
        there = [r for r in found if values(r)]
        pick = max if descending else min
        there.sort(key=lambda r: pick(values(r)), reverse=descending)
        if descending:
            # A reversed sort turns equals round; turn them back.
            there = [
                r
                for _, equals in itertools.groupby(there, key=lambda r: pick(values(r)))
                for r in sorted(equals, key=found.index)
            ]
        found = there + [r for r in found if not values(r)]
    return [r["id"] for r in found]


@settings(
    max_examples=examples(15),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(crowd=people, order=orders, few=st.sampled_from((0, 4000)), size=st.integers(1, 4))
def test_pages_in_any_order_are_what_sorting_gives(
    database: Database, crowd: list[Any], order: list[tuple[str, bool]], few: int, size: int
) -> None:
    tenant = f"s{next(tenants)}"
    resources = [person(number, facts) for number, facts in enumerate(crowd)]
    publish(database, *resources, tenant=tenant)
    keys = tuple(SortKey(name, KEYS[name][0], down) for name, down in order)  # type: ignore[arg-type]
    paged: list[str] = []
    with patch.object(plan, "FEW_ROWS", few), database.read() as conn:
        revision = versions.current_revision(conn, tenant)[0]
        request = FindRequest(tenant, "Patient", (), ALL, revision, None, size, keys)
        while rows := find.find(conn, request):
            paged += [row.id for row in rows]
            request = FindRequest(
                tenant,
                "Patient",
                (),
                ALL,
                revision,
                find.places_after(conn, request, rows[-1:])[0],
                size,
                keys,
            )
    assert paged == ordered(resources, order)


@pytest.mark.parametrize("descending", [False, True])
def test_by_last_update_and_by_id(database: Database, descending: bool) -> None:
    for number in (3, 1, 2):
        publish(database, patient(number))
    publish(database, patient(3, "Changed"))
    by_update = (SortKey("_lastUpdated", "revision", descending),)
    by_id = (SortKey("_id", "id", descending),)
    expected = ["p1", "p2", "p3"]
    assert search(database, "acme", "Patient", sort=by_id) == expected[:: -1 if descending else 1]
    assert search(database, "acme", "Patient", sort=by_update) == (
        expected[::-1] if descending else expected
    )


def test_an_order_holds_for_matches_of_criteria(clinic: Database) -> None:
    by_name = (SortKey("family", "string", True),)
    assert search(clinic, "acme", "Patient", gender("male"), sort=by_name) == ["p3", "p1"]
    born = DateCriterion("birthdate", (DateValue("ge", *parse_interval("1980", SYDNEY)),))
    assert search(clinic, "acme", "Patient", born, sort=by_name) == ["p3", "p2", "p1"]


@settings(
    max_examples=examples(10),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    sexes=st.lists(st.sampled_from(("male", "female")), min_size=1, max_size=5),
    booked=st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from(("booked", "cancelled"))), max_size=8
    ),
    reachable=st.sets(st.integers(0, 4)),
    few=st.sampled_from((0, 4000)),
)
def test_chains_find_what_reading_every_resource_finds(
    database: Database,
    sexes: list[str],
    booked: list[tuple[int, str]],
    reachable: set[int],
    few: int,
) -> None:
    tenant = f"c{next(tenants)}"
    people_there = [patient(n, gender=sex) for n, sex in enumerate(sexes)]
    visits = [appointment(n, whose, state) for n, (whose, state) in enumerate(booked)]
    publish(database, *people_there, *visits, tenant=tenant)
    males = {n for n, sex in enumerate(sexes) if sex == "male"}
    ids = [f"p{n}" for n in sorted(reachable)] or ["nobody"]
    reach = Reach((grant("Appointment"), grant("Patient", *ids)), CLASSES)
    with patch.object(plan, "FEW_ROWS", few):
        chained = search(database, tenant, "Appointment", of_patient(gender("male")), reach=reach)
        having = search(
            database, tenant, "Patient", with_appointment(status("booked")), reach=reach
        )
        around = search(
            database,
            tenant,
            "Appointment",
            of_patient(gender("male"), with_appointment(status("cancelled"))),
            reach=reach,
        )
    cancelled = {whose for whose, state in booked if state == "cancelled"}
    assert chained == [f"a{n}" for n, (w, _) in enumerate(booked) if w in males & reachable]
    assert having == sorted(
        {f"p{w}" for w, state in booked if state == "booked" and w in reachable and w < len(sexes)}
    )
    assert around == [
        f"a{n}" for n, (w, _) in enumerate(booked) if w in males & reachable & cancelled
    ]
