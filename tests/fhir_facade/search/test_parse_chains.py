"""Chained parameters, `_has`, `_sort` and includes that go on, from text to values."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from fhir_facade.errors import InvalidRequest, UnsupportedParameter
from fhir_facade.mirror.criteria import (
    ChainCriterion,
    Criterion,
    HasCriterion,
    MissingCriterion,
    ReferenceCriterion,
    SortKey,
    StringCriterion,
    TokenCriterion,
    TokenValue,
)
from fhir_facade.resources.registry import REGISTRY
from fhir_facade.search.parse import parse, read_pairs
from fhir_facade.search.query import Include, SearchContext, SearchQuery
from fhir_facade.search.values.text import UnknownParameter

CONTEXT = SearchContext(REGISTRY, ZoneInfo("Australia/Sydney"), "https://facade.example/fhir/acme")
MALE = TokenCriterion("gender", (TokenValue(None, "male"),))
BOOKED = TokenCriterion("status", (TokenValue(None, "booked"),))


def parsed(resource_type: str, query: str) -> SearchQuery:
    return parse(REGISTRY[resource_type], read_pairs(query.encode()), CONTEXT)


def named(text: str) -> StringCriterion:
    return StringCriterion("name", "starts", (text,))


@pytest.mark.parametrize(
    ("resource_type", "query", "criterion"),
    [
        ("Appointment", "patient.gender=male", ChainCriterion("patient", (("Patient", (MALE,)),))),
        (
            "Appointment",
            "actor:Location.name:exact=Site%5C%2C",
            ChainCriterion(
                "actor", (("Location", (StringCriterion("name", "exact", ("Site,",)),)),)
            ),
        ),
        (
            "DiagnosticReport",
            "subject:Patient.birthdate:missing=true",
            ChainCriterion(
                "subject", (("Patient", (MissingCriterion("birthdate", "date", True),)),)
            ),
        ),
        (
            "Patient",
            "_has:Appointment:patient:status=booked",
            HasCriterion("Appointment", "patient", (BOOKED,)),
        ),
        (
            "Location",
            "_has:Appointment:location:patient.gender=male",
            HasCriterion(
                "Appointment",
                "location",
                (ChainCriterion("patient", (("Patient", (MALE,)),)),),
            ),
        ),
        (
            "DiagnosticReport",
            "patient._has:Appointment:patient:status=booked",
            ChainCriterion(
                "patient", (("Patient", (HasCriterion("Appointment", "patient", (BOOKED,)),)),)
            ),
        ),
    ],
)
def test_reads_chains(resource_type: str, query: str, criterion: Criterion) -> None:
    assert parsed(resource_type, query).criteria == (criterion,)


def test_a_chain_means_every_target_that_has_the_parameter() -> None:
    (criterion,) = parsed("Appointment", "actor.name=x").criteria
    assert isinstance(criterion, ChainCriterion)
    assert {name for name, _ in criterion.targets} == {"Patient", "Practitioner", "Location"}
    assert all(inner == (named("x"),) for _, inner in criterion.targets)
    (narrower,) = parsed("Appointment", "actor.gender=male").criteria
    assert isinstance(narrower, ChainCriterion)
    assert {name for name, _ in narrower.targets} == {"Patient", "Practitioner"}


def test_a_chain_means_the_targets_whose_parameter_takes_the_modifier() -> None:
    # `location` is a reference of Appointment and a URI of DocumentReference.
    (criterion,) = parsed("Provenance", "target.location:Location=l1").criteria
    at_l1 = ReferenceCriterion("location", (("Location", "l1"),))
    assert criterion == ChainCriterion("target", (("Appointment", (at_l1,)),))
    with pytest.raises(UnsupportedParameter, match="modifier") as refusal:
        parsed("Provenance", "target.location:exact=l1")
    assert not isinstance(refusal.value, UnknownParameter)


def test_a_query_has_so_many_values_and_no_more() -> None:
    thousand = ",".join(f"v{number}" for number in range(1000))
    assert parsed("Patient", f"identifier={thousand}&name={thousand}").criteria
    with pytest.raises(InvalidRequest, match="2000 values"):
        parsed("Patient", f"identifier={thousand}&name={thousand}&gender=male")
    assert parsed("Provenance", f"target:Patient.identifier={thousand}").criteria
    with pytest.raises(InvalidRequest, match="2000 values"):
        parsed("Provenance", f"target.identifier={thousand}")


@pytest.mark.parametrize(
    "query",
    [
        "_has:Appointment=x",
        "_has:Appointment:patient=x",
        "_has:Nonsense:patient:status=x",
        "_has:Appointment::status=x",
        "_sort=",
        "_sort=-",
        "_sort=birthdate,,family",
        "_sort=birthdate,family,given,name,gender,phone",
        "_include=Patient:organization:Organization:x",
        "_include=Patient:*:Organization",
        "_include:iterate=Patient",
        "organization.name=",
    ],
)
def test_refuses_what_is_malformed(query: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        parsed("Patient", query)
    assert refusal.value.expression


def test_reads_orders() -> None:
    assert parsed("Patient", "_sort=-birthdate,family,_id").sort == (
        SortKey("birthdate", "date", True),
        SortKey("family", "string"),
        SortKey("_id", "id"),
    )
    assert parsed("ConceptMap", "_sort=-_lastUpdated,url").sort == (
        SortKey("_lastUpdated", "revision", True),
        SortKey("url", "token"),
    )


def test_reads_wildcards_and_iterations() -> None:
    every = parsed("Appointment", "_include=*").includes
    assert every == parsed("Appointment", "_include=Appointment:*").includes
    assert {include.param for include in every} == {
        one.name for one in REGISTRY["Appointment"].search if one.type == "reference"
    } - {"supporting-info"}
    back = parsed("Patient", "_revinclude=*").includes
    assert {(one.type, one.param) for one in back} >= {
        ("Appointment", "patient"),
        ("DiagnosticReport", "subject"),
        ("Provenance", "target"),
        ("Group", "member"),
    }
    assert all(one.targets == ("Patient",) and one.reverse for one in back)
    (further,) = parsed("Appointment", "_include:iterate=Patient:organization").includes
    assert further == Include(
        "Patient", "organization", ("Organization",), ("Patient",), reverse=False, iterate=True
    )
    (behind,) = parsed("Patient", "_revinclude:iterate=Provenance:target:Appointment").includes
    assert behind == Include(
        "Provenance", "target", ("Appointment",), ("Appointment",), reverse=True, iterate=True
    )
