"""A search over the trail finds the events whose resources match, by every parameter and prefix."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine
from sqlalchemy.engine import Engine

from fhir_facade.audit import AccessRow, Trail, migrate, store
from fhir_facade.audit import log as log_module
from fhir_facade.audit.query import Among, AuditQuery, AuditRow, Condition, Not, Present
from fhir_facade.errors import InvalidRequest
from fhir_facade.fhir.dates import format_instant
from fhir_facade.fhir.validation import deep_check, fast_check
from fhir_facade.resources.audit_acts import INTERACTIONS, OTHERS
from fhir_facade.resources.audit_event import AuditSource, audit_event
from fhir_facade.resources.registry import REGISTRY
from fhir_facade.rest.audit_search import condition
from fhir_facade.search.evaluate import matches
from fhir_facade.search.parse import parse
from fhir_facade.search.query import SearchContext
from tests.support.soak import examples

DEFINITION = REGISTRY["AuditEvent"]
BASE = "https://fhir.example.org/fhir/acme"
SOURCE = AuditSource(BASE, "Acme")
ZONE = ZoneInfo("Australia/Sydney")
CONTEXT = SearchContext(REGISTRY, ZONE, BASE)
START_US = 1_790_000_000_000_000

_PATIENTS = ("p1", "p2", "p3")
_MAYBE = st.sampled_from
ROWS = st.builds(
    AccessRow,
    tenant=st.just("acme"),
    action=_MAYBE(["rest", "rest", "rest", *OTHERS]),
    outcome=_MAYBE(["success", "refused", "error"]),
    client_id=_MAYBE([None, "app1", "app2"]),
    user_id=_MAYBE([None, "u1", "u2"]),
    fhir_user=_MAYBE([None, "Patient/p1", "Practitioner/d1"]),
    actor=_MAYBE([None, None, "u1", "operator"]),
    patient_ids=st.lists(_MAYBE(_PATIENTS), max_size=2, unique=True).map(tuple),
    type=_MAYBE([None, "Patient", "Appointment", "Group"]),
    interaction=_MAYBE([*INTERACTIONS]),
    resource_id=_MAYBE([None, "p1", "d1", "g"]),
    query=_MAYBE([(), ("name", "birthdate"), ("_id",)]),
    job_id=_MAYBE([None, "j1"]),
    status=_MAYBE([None, 200, 403, 404, 500, 503]),
    reason=_MAYBE([None, "because"]),
    step=_MAYBE([None, "scope"]),
    **dict.fromkeys(("revision", "error", "text", "expected", "received"), st.none()),
    correlation_id=_MAYBE([None, "corr-1234", "corr-5678"]),
)


def as_stored(row: AccessRow) -> AccessRow:
    """A row as the house writes it: an interaction only of the FHIR interface, an app's or user's
    FHIR identity only with the user."""
    values = row._asdict()
    if row.action != "rest":
        values["interaction"] = None
    if row.user_id is None or row.actor is not None:
        values["fhir_user"] = None
    if row.step is not None:
        values |= {"error": "forbidden", "text": "No.", "expected": "x", "received": "y"}
    return AccessRow(**values)


QUERIES = st.sampled_from(
    [
        *(("action", code) for code in ("C", "R", "U", "D", "E", "R,D", "X")),
        ("action", "http://hl7.org/fhir/audit-event-action|R"),
        ("action", "urn:other|R"),
        ("action:not", "R,E"),
        *(("outcome", code) for code in ("0", "4", "8", "12", "4,8")),
        ("outcome", "http://hl7.org/fhir/audit-event-outcome|8"),
        ("outcome:not", "0"),
        *(("type", code) for code in ("rest", "110106", "110113", "110114", "unknown")),
        ("type", "http://dicom.nema.org/resources/ontology/DCM|"),
        *(("subtype", word) for word in (*INTERACTIONS, *OTHERS, "operation", "110122", "no")),
        ("subtype:not", "read,login"),
        ("subtype", "http://hl7.org/fhir/restful-interaction|"),
        *(("agent", who) for who in ("p1", "Patient/p1", "Practitioner/d1", "Practitioner/p1")),
        ("agent", f"{BASE}/Practitioner/d1"),
        ("agent", "https://elsewhere.example.org/Practitioner/d1"),
        ("agent:Practitioner", "d1"),
        ("agent:missing", "true"),
        ("agent:missing", "false"),
        *(("altid", who) for who in ("app1", "u1", "operator", "nobody", "app1,u2")),
        ("altid", "|app1"),
        ("altid:not", "app1"),
        ("altid:missing", "true"),
        *(("entity", what) for what in ("p1", "Patient/p1", "Group/g", "Appointment/d1", "g")),
        ("entity:missing", "true"),
        *(("patient", who) for who in ("p1", "Patient/p2", "p1,p3", "g", "Practitioner/d1")),
        ("patient:missing", "true"),
        ("patient:missing", "false"),
        *(("entity-type", code) for code in ("1", "2", "4", "XrequestId", "9", "1,4")),
        ("entity-type:missing", "true"),
        ("entity-type:not", "1"),
        ("outcome:missing", "true"),
        ("date:missing", "false"),
        ("subtype:missing", "true"),
    ]
)


@st.composite
def dates(draw: st.DrawFn) -> tuple[str, str]:
    """A date near the rows, of any precision."""
    us = START_US + draw(st.integers(-3, 14)) * 500_000 + draw(st.integers(-2, 2)) * 250
    instant = format_instant(us)
    cut = draw(st.sampled_from([4, 7, 10, 19, 21, 22, 23]))
    text = instant[:cut] + ("Z" if cut > 10 else "")
    if draw(st.booleans()) and cut == 23:
        text = instant[:23] + f"{us % 1000:03d}Z"
    prefix = draw(st.sampled_from(["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"]))
    return draw(st.sampled_from(["date", "_lastUpdated"])), prefix + text


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    made = create_engine(f"sqlite:///{tmp_path_factory.mktemp('trail')}/audit.sqlite")
    migrate.upgrade(made)
    yield made
    made.dispose()


_tenants = iter(range(1_000_000))


@settings(
    max_examples=examples(120),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    rows=st.lists(ROWS.map(as_stored), min_size=1, max_size=12),
    asked=st.lists(st.one_of(QUERIES, dates()), min_size=1, max_size=3),
)
def test_the_search_finds_what_the_resources_say(
    engine: Engine, rows: list[AccessRow], asked: list[tuple[str, str]]
) -> None:
    number = next(_tenants)
    tenant, start_us = f"t{number}", START_US + number % 900
    store.append(
        engine,
        [
            log_module._values(row, start_us + n * 500_125) | {"tenant": tenant}
            for n, row in enumerate(rows)
        ],
    )
    trail = Trail(engine)
    query = parse(DEFINITION, asked, CONTEXT)
    expected = [
        row.pk
        for row in trail.find(AuditQuery(tenant))
        if matches(DEFINITION, query.criteria, resource(row), ZONE, shown_us(row))
    ]
    conditions = tuple(condition(criterion) for criterion in query.criteria)
    assert [row.pk for row in trail.find(AuditQuery(tenant, conditions))] == expected
    assert trail.count(AuditQuery(tenant, conditions)) == len(expected)
    # Page by page and backwards it is the same.
    paged: list[int] = []
    while page := trail.find(AuditQuery(tenant, conditions, paged[-1] if paged else None, 2)):
        paged += [row.pk for row in page]
    assert paged == expected
    backwards = trail.find(AuditQuery(tenant, conditions, oldest_first=True))
    assert [row.pk for row in backwards] == expected[::-1]


def shown_us(row: AuditRow) -> int:
    """The instant as the resource shows it, in whole milliseconds."""
    return row.recorded_us - row.recorded_us % 1000


def resource(row: Any) -> dict[str, Any]:
    return audit_event(row, SOURCE)


@settings(max_examples=examples(80), deadline=None)
@given(row=ROWS.map(as_stored))
def test_every_event_is_valid_by_both_gates(row: AccessRow) -> None:
    values = log_module._values(row, START_US) | {"pk": store.key_at(START_US)}
    made = resource(AuditRow(**values))
    assert fast_check(made) == []
    assert deep_check(made) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("patient.name", "x"),
        ("_has:Provenance:target:_id", "x"),
        ("agent:identifier", "x"),
        ("type:text", "x"),
    ],
)
def test_what_the_trail_cannot_say_is_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidRequest):
        asked(name, value)


def asked(name: str, value: str) -> Condition:
    (criterion,) = parse(DEFINITION, [(name, value)], CONTEXT).criteria
    return condition(criterion)


def test_a_correlation_id_is_found_as_it_is() -> None:
    assert asked("correlation-id", "corr-1234") == Among("correlation_id", ("corr-1234",))
    assert asked("correlation-id:missing", "true") == Not(Present("correlation_id"))
