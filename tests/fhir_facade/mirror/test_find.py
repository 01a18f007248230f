"""Searches on both databases: each kind of criterion, paging, includes, history of a search."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_facade.fhir.dates import parse_interval
from fhir_facade.fhir.systems import APPOINTMENT_STATUS
from fhir_facade.mirror import find, plan, versions
from fhir_facade.mirror.criteria import (
    Criterion,
    DateCriterion,
    DateValue,
    IdCriterion,
    MissingCriterion,
    NothingCriterion,
    ReferenceCriterion,
    StringCriterion,
    TokenCriterion,
    TokenValue,
)
from fhir_facade.mirror.database import Database
from fhir_facade.mirror.find import FindRequest
from fhir_facade.mirror.publish import Publisher
from fhir_facade.policy import AllPatients, CategoryFilter, Grant, Reach, SomePatients
from fhir_facade.resources.extract import fold
from fhir_facade.resources.registry import REGISTRY
from tests.support.databases import BOTH, shared_database
from tests.support.published import (
    SYDNEY,
    appointment,
    location,
    output,
    patient,
    publish,
    report,
)
from tests.support.soak import examples

CLASSES = {name: definition.reach for name, definition in REGISTRY.items()}
ALL = Reach((Grant("user", "*", frozenset({"r", "s"}), AllPatients()),), CLASSES)


def search(
    database: Database,
    kind: str,
    *criteria: Criterion,
    reach: Reach = ALL,
    revision: int | None = None,
    after: str | None = None,
    limit: int = 1000,
    tenant: str = "acme",
) -> list[str]:
    with database.read() as conn:
        at = versions.current_revision(conn, tenant)[0] if revision is None else revision
        place = None if after is None else (after,)
        request = FindRequest(tenant, kind, criteria, reach, at, place, limit)
        rows = find.find(conn, request)
        if after is None and len(rows) < limit:
            assert find.count(conn, request) == len(rows)
        return [row.id for row in rows]


def token(param: str, *values: tuple[str | None, str | None], negated: bool = False) -> Criterion:
    return TokenCriterion(param, tuple(TokenValue(*value) for value in values), negated)


def when(param: str, *values: str) -> DateCriterion:
    parsed = []
    for value in values:
        prefix: Any = value[:2] if value[0].isalpha() else "eq"
        lo, hi = parse_interval(value.removeprefix(prefix), SYDNEY)
        parsed.append(DateValue(prefix, lo, hi))
    return DateCriterion(param, tuple(parsed))


@pytest.fixture(scope="module", params=BOTH)
def clinic(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    with shared_database(request.param, tmp_path_factory.mktemp("clinic")) as database:
        publish(
            database,
            location("l1"),
            location("l2"),
            patient(1, "Müller", telecom=[{"system": "phone", "value": "555"}]),
            patient(2, "Mulligan", gender="male", birthDate="1980"),
            patient(3, "O_Neil%", birthDate="1980-05"),
            appointment(1, 1, "booked", "2026-11-21T09:00:00+11:00"),
            appointment(2, 2, "fulfilled", "2026-11-20T23:59:59+11:00", "l2"),
            appointment(3, None, "waitlist", start="2026-11-22T00:00:00+11:00"),
            report(1, 1),
            report(2, 2, "CT"),
        )
        yield database


def test_tokens(clinic: Database) -> None:
    assert search(clinic, "Patient", token("gender", (None, "male"))) == ["p2"]
    assert search(clinic, "Patient", token("gender", (None, "male"), negated=True)) == ["p1", "p3"]
    assert search(clinic, "Patient", token("identifier", ("urn:test:patient", "3"))) == ["p3"]
    assert search(clinic, "Patient", token("identifier", ("urn:other", "3"))) == []
    assert search(clinic, "Patient", token("identifier", ("", "3"))) == []
    assert len(search(clinic, "Patient", token("identifier", ("urn:test:patient", None)))) == 3
    assert search(clinic, "Patient", token("phone", (None, "555"))) == ["p1"]
    assert search(clinic, "Patient", token("email", (None, "555"))) == []
    either = token("status", (None, "booked"), (APPOINTMENT_STATUS, "waitlist"))
    assert search(clinic, "Appointment", either) == ["a1", "a3"]
    neither = token("status", (None, "booked"), (None, "waitlist"), negated=True)
    assert search(clinic, "Appointment", neither) == ["a2"]
    assert search(clinic, "Appointment", token("status", ("urn:other", "booked"))) == []
    assert search(clinic, "Patient", token("gender", (None, "nul\x00"))) == []


@pytest.mark.parametrize(
    ("mode", "value", "found"),
    [
        ("starts", "mul", ["p1", "p2"]),
        ("starts", "MULLER", ["p1"]),
        ("starts", "uller", []),
        ("contains", "ll", ["p1", "p2"]),
        ("contains", "_neil%", ["p3"]),
        ("contains", "%", ["p3"]),
        ("starts", "o_", ["p3"]),
        ("exact", "Müller", ["p1"]),
        ("exact", "Muller", []),
        ("exact", "müller", []),
    ],
)
def test_strings(clinic: Database, mode: Any, value: str, found: list[str]) -> None:
    given_value = value if mode == "exact" else fold(value)
    assert search(clinic, "Patient", StringCriterion("name", mode, (given_value,))) == found
    assert search(clinic, "Patient", StringCriterion("family", mode, (given_value,))) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("2026-11-21", ["a1"]),
        ("ne2026-11-21", ["a2", "a3"]),
        ("gt2026-11-21", ["a3"]),
        ("ge2026-11-21", ["a1", "a3"]),
        ("lt2026-11-21", ["a2"]),
        ("le2026-11-21", ["a1", "a2"]),
        ("sa2026-11-21", ["a3"]),
        ("eb2026-11-21", ["a2"]),
        ("2026-11", ["a1", "a2", "a3"]),
        ("2026-11-21T09:00:00+11:00", ["a1"]),
        ("2026-11-20T22:00:00Z", ["a1"]),
    ],
)
def test_dates(clinic: Database, value: str, found: list[str]) -> None:
    assert search(clinic, "Appointment", when("date", value)) == found


def test_a_partial_date_is_an_interval(clinic: Database) -> None:
    assert search(clinic, "Patient", when("birthdate", "1980")) == ["p1", "p2", "p3"]
    assert search(clinic, "Patient", when("birthdate", "1980-05")) == ["p1", "p3"]
    assert search(clinic, "Patient", when("birthdate", "1980-05-01")) == ["p1"]
    assert search(clinic, "Patient", when("birthdate", "gt1980-05-01")) == ["p2", "p3"]
    assert search(clinic, "Patient", when("birthdate", "le1980-05-01")) == ["p1", "p2"]
    assert search(clinic, "Patient", when("birthdate", "sa1980-04", "eb1981")) == ["p1", "p2", "p3"]


def test_approximately_is_a_tenth_of_the_distance_to_now(clinic: Database) -> None:
    assert search(clinic, "Patient", when("birthdate", "ap1977")) == ["p1", "p2", "p3"]
    assert search(clinic, "Patient", when("birthdate", "ap1965")) == []


def test_references_and_ids(clinic: Database) -> None:
    def of(kind: str, param: str, *values: tuple[str, str]) -> list[str]:
        return search(clinic, kind, ReferenceCriterion(param, values))

    assert of("Appointment", "patient", ("Patient", "p1")) == ["a1"]
    assert of("Appointment", "patient", ("", "p1"), ("", "p2")) == ["a1", "a2"]
    assert of("Appointment", "patient", ("Location", "p1")) == []
    assert of("Appointment", "location", ("", "l1")) == ["a1", "a3"]
    assert of("Appointment", "actor", ("Location", "l2")) == ["a2"]
    assert search(clinic, "Patient", IdCriterion(("p3", "p1", "p9"))) == ["p1", "p3"]
    many = tuple(f"p{n}" for n in range(1, 40_000))
    assert search(clinic, "Patient", IdCriterion(many)) == ["p1", "p2", "p3"]
    assert search(clinic, "Patient", IdCriterion(("p1",)), NothingCriterion()) == []


def test_missing(clinic: Database) -> None:
    assert search(clinic, "Appointment", MissingCriterion("patient", "reference", True)) == ["a3"]
    assert search(clinic, "Patient", MissingCriterion("phone", "token", False)) == ["p1"]
    assert search(clinic, "Patient", MissingCriterion("birthdate", "date", True)) == []
    assert search(clinic, "Patient", MissingCriterion("address", "string", True)) == [
        "p1",
        "p2",
        "p3",
    ]


def test_criteria_hold_together(clinic: Database) -> None:
    booked = token("status", (None, "booked"))
    here = ReferenceCriterion("location", (("Location", "l1"),))
    assert search(clinic, "Appointment", booked, here, when("date", "2026-11-21")) == ["a1"]
    assert search(clinic, "Appointment", booked, here, when("date", "ne2026-11-21")) == []


def test_last_updated_names_a_millisecond(database: Database) -> None:
    publish(database, patient(1))
    publish(database, patient(2))
    publish(database, patient(1, "Other"))
    with database.read() as conn:
        instants = [versions.instant_of(conn, "acme", number) for number in (1, 2, 3)]
    second, third = instants[1], instants[2]
    assert second is not None
    assert third is not None

    def at(prefix: Any, us: int, width: int = 1000) -> list[str]:
        value = DateValue(prefix, us, us + width)
        return search(database, "Patient", DateCriterion("_lastUpdated", (value,)))

    assert at("eq", second) == ["p2"]
    assert at("ne", second) == ["p1"]
    assert at("gt", second) == ["p1"]
    assert at("ge", second) == ["p1", "p2"]
    assert at("le", second) == ["p2"]
    assert at("lt", third) == ["p2"]
    assert at("sa", second) == ["p1"]
    assert at("eb", third) == ["p2"]
    assert at("eq", second - 5, 2_000_000) == ["p1", "p2"]
    assert at("gt", third) == []
    assert "p1" in at("ap", third)
    assert at("ap", third - 10_000_000) == []


def test_pages_of_a_revision_have_no_gap_while_data_changes(database: Database) -> None:
    publish(database, *(patient(n) for n in range(10, 20)))
    first = search(database, "Patient", revision=1, limit=4)
    publish(database, patient(9), patient(15, "Changed"), patient(21))
    second = search(database, "Patient", revision=1, after=first[-1], limit=4)
    third = search(database, "Patient", revision=1, after=second[-1], limit=4)
    assert first + second + third == [f"p{n}" for n in range(10, 20)]
    family = StringCriterion("family", "starts", ("changed",))
    assert search(database, "Patient", family, revision=1) == []
    assert search(database, "Patient", family) == ["p15"]


def test_includes(clinic: Database) -> None:
    with clinic.read() as conn:
        request = FindRequest("acme", "Appointment", (), ALL, 1, None, 100)
        matches = find.find(conn, request)
        targets = ("Patient", "Location")
        both = find.included(conn, "acme", matches, "actor", targets, ALL, 1, 100)
        assert [row.id for row in both] == ["l1", "l2", "p1", "p2"]
        patients = find.included(conn, "acme", matches, "actor", ("Patient",), ALL, 1, 100)
        assert [row.id for row in patients] == ["p1", "p2"]
        cut = find.included(conn, "acme", matches, "actor", targets, ALL, 1, 3)
        assert [row.id for row in cut] == ["l1", "l2", "p1"]
        back = find.reverse_included(
            conn, "acme", "DiagnosticReport", "patient", patients, ALL, 1, 100
        )
        assert [row.id for row in back] == ["r1", "r2"]
        assert find.included(conn, "acme", [], "actor", targets, ALL, 1, 100) == []


def test_no_more_than_at_most_are_counted(clinic: Database) -> None:
    with clinic.read() as conn:
        request = FindRequest("acme", "Patient", (), ALL, 1, None, 1)
        assert find.count(conn, request) == 3
        assert find.count(conn, request, at_most=2) == 2


def test_what_was_deleted_is_not_counted(database: Database) -> None:
    publish(database, report(1, 1), report(2, 2))
    subject = output("DiagnosticReport/r1")
    Publisher(database, REGISTRY).publish("acme", "qubs", [subject], SYDNEY)
    radiology = (CategoryFilter(None, "RAD"),)
    by_category = Reach(
        (Grant("user", "*", frozenset({"r", "s"}), AllPatients(), radiology),), CLASSES
    )
    of_one = Reach(
        (Grant("user", "*", frozenset({"r", "s"}), SomePatients(frozenset({"p1"}))),), CLASSES
    )
    final = token("status", (None, "final"))
    for reach, found in ((by_category, ["r2"]), (of_one, []), (ALL, ["r2"])):
        assert search(database, "DiagnosticReport", reach=reach) == found
        assert search(database, "DiagnosticReport", final, reach=reach) == found


# The index against a reading of the resources themselves, on random data.

NAMES = ("Anna", "anna", "ÄNNA", "Ann", "Annabel", "B%", "b_", "Zoë")
DATES = ("1980", "1980-05", "1980-05-01", "1980-06", "1981-01-01", "2000-02-29")
GENDERS = ("male", "female", None)
tenants = itertools.count()
people = st.lists(
    st.tuples(
        st.lists(st.sampled_from(NAMES), max_size=2),
        st.sampled_from((*DATES, None)),
        st.sampled_from(GENDERS),
        st.sampled_from(("l1", "l2", None)),
    ),
    max_size=8,
)
prefixes = st.sampled_from(("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"))
questions = st.one_of(
    st.tuples(
        st.just("name"), st.sampled_from(("starts", "contains", "exact")), st.sampled_from(NAMES)
    ),
    st.tuples(st.just("birthdate"), prefixes, st.sampled_from(DATES)),
    st.tuples(st.just("gender"), st.booleans(), st.sampled_from(("male", "female", "other"))),
    st.tuples(
        st.just("organization"),
        st.sampled_from(("", "Organization", "Location")),
        st.sampled_from(("l1", "l2", "l3")),
    ),
)


def asked(question: tuple[str, Any, Any]) -> Criterion:
    name, how, value = question
    if name == "name":
        return StringCriterion("family", how, (value if how == "exact" else fold(value),))
    if name == "birthdate":
        return when("birthdate", f"{how}{value}")
    if name == "gender":
        return token("gender", (None, value), negated=how)
    return ReferenceCriterion("organization", ((how, value),))


def holds(question: tuple[str, Any, Any], resource: dict[str, Any]) -> bool:
    """What the criterion means, read from the resource."""
    name, how, value = question
    if name == "name":
        families = [n["family"] for n in resource["name"]]
        folded, plain = fold(value), value
        return any(
            f == plain
            if how == "exact"
            else (folded in fold(f) if how == "contains" else fold(f).startswith(folded))
            for f in families
        )
    if name == "gender":
        return (resource.get("gender") == value) is not bool(how)
    if name == "organization":
        expected = {"reference": f"Organization/{value}"}
        given_one = resource.get("managingOrganization")
        return given_one == expected and how in ("", "Organization")
    if "birthDate" not in resource:
        return False
    lo, hi = parse_interval(resource["birthDate"], SYDNEY)
    first, end = parse_interval(value, SYDNEY)
    contained = first <= lo and hi <= end
    return {
        "eq": contained,
        "ne": not contained,
        "gt": hi > end,
        "lt": lo < first,
        "ge": hi > end or contained,
        "le": lo < first or contained,
        "sa": lo >= end,
        "eb": hi <= first,
    }[how]


def person(number: int, facts: tuple[Sequence[str], str | None, str | None, str | None]) -> Any:
    names, born, gender, organization = facts
    resource = patient(number, name=[{"family": name} for name in names])
    for element, value in (("birthDate", born), ("gender", gender)):
        resource.pop(element)
        if value is not None:
            resource[element] = value
    if organization is not None:
        resource["managingOrganization"] = {"reference": f"Organization/{organization}"}
    return resource


@settings(
    max_examples=examples(10),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    crowd=people,
    asking=st.lists(questions, min_size=1, max_size=3),
    few=st.sampled_from((0, 1, 4000)),
    steps=st.sampled_from((0, 1, 3, 2000)),
    pages=st.sampled_from((0, 1, 20)),
)
def test_the_index_finds_what_reading_every_resource_finds(
    database: Database,
    crowd: list[Any],
    asking: list[tuple[str, Any, Any]],
    few: int,
    steps: int,
    pages: int,
) -> None:
    tenant = f"t{next(tenants)}"
    resources = [person(number, facts) for number, facts in enumerate(crowd)]
    publish(database, *resources, tenant=tenant)
    expected = sorted(r["id"] for r in resources if all(holds(q, r) for q in asking))
    criteria = [asked(q) for q in asking]
    with patch.multiple(plan, FEW_ROWS=few, FIRST_STEPS=steps, _PAGES_LISTED=pages):
        assert search(database, "Patient", *criteria, tenant=tenant) == expected
        paged: list[str] = []
        while page := search(
            database,
            "Patient",
            *criteria,
            tenant=tenant,
            after=paged[-1] if paged else None,
            limit=2,
        ):
            paged += page
        assert paged == expected


@settings(
    max_examples=examples(15),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    births=st.lists(st.sampled_from((*DATES, None)), max_size=6),
    bounds=st.lists(
        st.lists(st.tuples(prefixes, st.sampled_from(DATES)), min_size=1, max_size=2),
        min_size=1,
        max_size=3,
    ),
    few=st.sampled_from((0, 4000)),
)
def test_bounds_on_a_single_date_are_met_together(
    database: Database,
    births: list[str | None],
    bounds: list[list[tuple[str, str]]],
    few: int,
) -> None:
    tenant = f"t{next(tenants)}"
    resources = [person(number, ((), born, None, None)) for number, born in enumerate(births)]
    publish(database, *resources, tenant=tenant)
    expected = [
        r["id"]
        for r in resources
        if all(any(holds(("birthdate", *one), r) for one in either) for either in bounds)
    ]
    apart = [when("birthdate", *(how + value for how, value in either)) for either in bounds]
    together = [replace(criterion, single=True) for criterion in apart]
    with patch.object(plan, "FEW_ROWS", few):
        assert search(database, "Patient", *together, tenant=tenant) == expected
        assert search(database, "Patient", *apart, tenant=tenant) == expected
