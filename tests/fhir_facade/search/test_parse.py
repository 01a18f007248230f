"""Query strings become criteria, or an error that names the parameter and never its value."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_facade.errors import FacadeError, InvalidRequest, UnsupportedParameter
from fhir_facade.fhir.dates import parse_interval
from fhir_facade.mirror.criteria import (
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
from fhir_facade.resources.registry import REGISTRY
from fhir_facade.search.parse import parse, parse_shape, read_pairs
from fhir_facade.search.query import Include, SearchContext, SearchQuery, Shape

SYDNEY = ZoneInfo("Australia/Sydney")
BASE = "https://fhir.example.org/fhir/acme"
STRICT = SearchContext(REGISTRY, SYDNEY, BASE)
LENIENT = replace(STRICT, lenient=True)


def parsed(resource_type: str, query: str, context: SearchContext = STRICT) -> SearchQuery:
    return parse(REGISTRY[resource_type], read_pairs(query.encode()), context)


@pytest.mark.parametrize(
    ("resource_type", "query", "criterion"),
    [
        ("Patient", "gender=male", TokenCriterion("gender", (TokenValue(None, "male"),))),
        (
            "Patient",
            "gender=male,female",
            TokenCriterion("gender", (TokenValue(None, "male"), TokenValue(None, "female"))),
        ),
        (
            "Patient",
            "gender:not=male",
            TokenCriterion("gender", (TokenValue(None, "male"),), negated=True),
        ),
        (
            "Patient",
            "identifier=http://a%7C12",
            TokenCriterion("identifier", (TokenValue("http://a", "12"),)),
        ),
        ("Patient", "identifier=%7C12", TokenCriterion("identifier", (TokenValue("", "12"),))),
        (
            "Patient",
            "identifier=http://a%7C",
            TokenCriterion("identifier", (TokenValue("http://a", None),)),
        ),
        (
            "Patient",
            r"identifier=a\,b\|c\\d\$",
            TokenCriterion("identifier", (TokenValue(None, r"a,b|c\d$"),)),
        ),
        ("Patient", "name=Ångström", StringCriterion("name", "starts", ("angstrom",))),
        ("Patient", "name:contains=ÖB", StringCriterion("name", "contains", ("ob",))),
        ("Patient", "name:exact=De%20Wit", StringCriterion("name", "exact", ("De Wit",))),
        ("Patient", "name:missing=true", MissingCriterion("name", "string", True)),
        ("Patient", "_id=a,b", IdCriterion(("a", "b"))),
        ("Patient", "_id=a%20b", NothingCriterion()),
        (
            "Appointment",
            "patient=p1",
            ReferenceCriterion("patient", (("", "p1"),)),
        ),
        (
            "Appointment",
            f"patient=Patient/p1,{BASE}/Patient/p2",
            ReferenceCriterion("patient", (("Patient", "p1"), ("Patient", "p2"))),
        ),
        (
            "Appointment",
            "actor:Location=l1",
            ReferenceCriterion("actor", (("Location", "l1"),)),
        ),
        ("Appointment", "patient=https://other.example/fhir/Patient/p1", NothingCriterion()),
        ("Appointment", "patient=Location/p1", NothingCriterion()),
        ("Appointment", "patient:missing=false", MissingCriterion("patient", "reference", False)),
        ("ConceptMap", "url=http://x/y", TokenCriterion("url", (TokenValue(None, "http://x/y"),))),
    ],
)
def test_reads_each_kind_of_value(resource_type: str, query: str, criterion: object) -> None:
    assert parsed(resource_type, query).criteria == (criterion,)


@pytest.mark.parametrize(
    ("text", "prefix", "moment"),
    [
        ("2026", "eq", "2026"),
        ("ge2026-11", "ge", "2026-11"),
        ("sa2026-11-21", "sa", "2026-11-21"),
        ("ap2026-11-21T09:30Z", "ap", "2026-11-21T09:30Z"),
        ("lt2026-11-21T09:30:00%2B10:00", "lt", "2026-11-21T09:30:00+10:00"),
        ("lt2026-11-21T09:30:00+10:00", "lt", "2026-11-21T09:30:00+10:00"),
    ],
)
def test_reads_dates_as_intervals_in_the_tenants_zone(text: str, prefix: str, moment: str) -> None:
    lo, hi = parse_interval(moment, SYDNEY)
    value = DateValue(prefix, lo, hi)  # type: ignore[arg-type]
    expected = DateCriterion("date", (value,), single=True)
    assert parsed("Appointment", f"date={text}").criteria == (expected,)


def test_reads_the_total_that_fhirpy_asks_for() -> None:
    query = parsed("Patient", "_count=0&_totalMethod=count")
    assert (query.total, query.count_only) == ("accurate", True)


def test_repeats_are_and() -> None:
    query = parsed("Appointment", "date=ge2026&date=lt2027&_lastUpdated=gt2020")
    assert [criterion.param for criterion in query.criteria] == [  # type: ignore[union-attr]
        "date",
        "date",
        "_lastUpdated",
    ]


@pytest.mark.parametrize(
    ("resource_type", "query", "named"),
    [
        ("Patient", "nickname=x", "nickname"),
        ("Patient", "name.given=x", "name.given"),
        ("Patient", "_has:Location:patient:status=active", "_has:Location:patient:status"),
        ("Patient", "_has:Appointment:location:date=2026", "_has:Appointment:location:date"),
        ("Patient", "_has:Appointment:patient:nickname=x", "nickname"),
        ("Appointment", "patient.nickname=x", "patient.nickname"),
        ("Appointment", "actor:Group.name=x", "actor:Group.name"),
        (
            "Location",
            "_has:Appointment:location:patient.organization.partof.name=x",
            "organization.partof.name",
        ),
        ("Patient", "_filter=x", "_filter"),
        ("Patient", "name:phonetic=x", "name:phonetic"),
        ("Patient", "gender:text=x", "gender:text"),
        ("Patient", "birthdate:exact=2000", "birthdate:exact"),
        ("Patient", "_id:not=x", "_id:not"),
        ("Patient", "_count:missing=true", "_count:missing"),
        ("Appointment", "patient:below=x", "patient:below"),
        ("Patient", "_sort=-shoe-size", "_sort"),
        ("Patient", "_include=Patient:nickname", "_include"),
        ("ConceptMap", "_include=*", "_include"),
        ("Patient", "_include:again=Patient:organization", "_include:again"),
        ("Patient", "_revinclude=Location:organization", "_revinclude"),
        ("Patient", "_revinclude=Observation:subject", "_revinclude"),
    ],
)
def test_refuses_what_it_does_not_serve(resource_type: str, query: str, named: str) -> None:
    with pytest.raises(UnsupportedParameter) as refusal:
        parsed(resource_type, query)
    assert refusal.value.expression == (named,)
    assert refusal.value.diagnostics


@pytest.mark.parametrize(
    ("resource_type", "query", "named"),
    [
        ("Patient", "name=", "name"),
        ("Patient", "name", "name"),
        ("Patient", "gender=a,,b", "gender"),
        ("Patient", "birthdate=yesterday", "birthdate"),
        ("Patient", "birthdate=1990-02-31", "birthdate"),
        ("Patient", "birthdate=xx1990", "birthdate"),
        ("Patient", "identifier=%7C", "identifier"),
        ("Patient", "identifier=a%7Cb%7Cc", "identifier"),
        ("Patient", "name:missing=maybe", "name:missing"),
        ("Patient", "_count=-1", "_count"),
        ("Patient", "_count=ten", "_count"),
        ("Patient", "_count=1&_count=2", "_count"),
        ("Patient", "_summary=some", "_summary"),
        ("Patient", "_total=maybe", "_total"),
        ("Patient", "_totalMethod=estimate", "_totalMethod"),
        ("Patient", "_elements=name,", "_elements"),
        ("Patient", "_elements=name&_summary=text", "_elements"),
        ("Patient", "_include=Patient", "_include"),
        ("Patient", "_include=Appointment:patient", "_include"),
        ("Patient", "_revinclude=Nonsense:patient", "_revinclude"),
        ("Appointment", "patient=not%20an%20id", "patient"),
        ("Appointment", "patient=urn:uuid:1", "patient"),
    ],
)
@pytest.mark.parametrize("context", [STRICT, LENIENT], ids=["strict", "lenient"])
def test_refuses_malformed_values_always(
    resource_type: str, query: str, named: str, context: SearchContext
) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        parsed(resource_type, query, context)
    assert refusal.value.expression == (named,)


def test_lenient_leaves_unknown_parameters_out_and_names_them() -> None:
    query = parsed("Patient", "nickname=x&gender=male&_sort=shoe-size&nickname=y", LENIENT)
    assert query.ignored == ("nickname", "_sort")
    assert query.used == (("gender", "male"),)


def test_lenient_still_refuses_modifiers() -> None:
    with pytest.raises(UnsupportedParameter):
        parsed("Patient", "name:phonetic=x", LENIENT)


def test_caps_the_page_and_says_so() -> None:
    query = parsed("Patient", "_count=99999")
    assert query.count == 1000
    assert query.used == (("_count", "1000"),)


@pytest.mark.parametrize("text", ["_count=0", "_summary=count"])
def test_count_only(text: str) -> None:
    assert parsed("Patient", text).count_only


def test_reads_includes() -> None:
    query = parsed(
        "Appointment",
        "_include=Appointment:actor:Location&_include=Appointment:patient"
        "&_revinclude=Provenance:target&_include=Appointment:patient",
    )
    assert query.includes == (
        Include("Appointment", "actor", ("Location",), ("Appointment",), reverse=False),
        Include("Appointment", "patient", ("Patient",), ("Appointment",), reverse=False),
        Include("Provenance", "target", ("Appointment",), ("Appointment",), reverse=True),
    )


def test_a_read_takes_shapes_only() -> None:
    patient = REGISTRY["Patient"]
    assert parse_shape(patient, [("_elements", "name"), ("_format", "json")], STRICT) == Shape(
        "false", ("name",)
    )
    for name, value in (("name", "x"), ("_summary", "count"), ("_count", "1")):
        with pytest.raises(UnsupportedParameter):
            parse_shape(patient, [(name, value)], STRICT)


@pytest.mark.parametrize("raw", [b"name=%ff", b"name=%00", b"name=a%0Ab", b"a=1&" * 300])
def test_refuses_what_is_no_text(raw: bytes) -> None:
    with pytest.raises(InvalidRequest):
        read_pairs(raw)


NAMES = st.sampled_from(
    [p.name for d in REGISTRY.values() for p in d.search]
    + ["_id", "_lastUpdated", "_count", "_include", "_revinclude", "_elements", "_summary", "_sort"]
)


@given(
    resource_type=st.sampled_from(sorted(REGISTRY)),
    pairs=st.lists(
        st.tuples(
            st.one_of(NAMES, st.text(max_size=20)),
            st.sampled_from(["", ":not", ":missing", ":exact", ":Patient", ":"]),
            st.text(max_size=40),
        ),
        max_size=5,
    ),
    context=st.sampled_from([STRICT, LENIENT]),
)
def test_never_fails_otherwise_and_never_repeats_a_value(
    resource_type: str, pairs: list[tuple[str, str, str]], context: SearchContext
) -> None:
    secret = "zQ7secretQz"
    given_pairs = [(name + modifier, value + secret) for name, modifier, value in pairs]
    try:
        query = parse(REGISTRY[resource_type], given_pairs, context)
    except FacadeError as error:
        told = f"{error.text} {error.diagnostics} {error.expression} {error}"
        assert secret not in told
    else:
        again = parse(REGISTRY[resource_type], query.used, STRICT)
        assert again.criteria == query.criteria
