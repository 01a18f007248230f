"""Numbers, quantities, URIs and the rows that modifiers ask, from the query text to the rows found.

The served types have no number or quantity of their own yet, so these are asked of a type made up
here; the index and a reading of each resource must agree.
"""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_facade.errors import InvalidRequest
from fhir_facade.mirror import find, versions
from fhir_facade.mirror.database import Database
from fhir_facade.mirror.find import FindRequest
from fhir_facade.mirror.publish import Publisher
from fhir_facade.mirror.reindex import bring_up_to_date
from fhir_facade.policy import AllPatients, Grant, Reach, ReachClass
from fhir_facade.resources.definition import (
    ResourceDefinition,
    number,
    quantity,
    reference,
    string,
    token,
    uri,
)
from fhir_facade.resources.provenance import DEFINITION as PROVENANCE
from fhir_facade.search.evaluate import matches
from fhir_facade.search.parse import parse, read_pairs
from fhir_facade.search.query import SearchContext
from tests.support.published import SYDNEY, output
from tests.support.soak import examples

CHARGE = ResourceDefinition(
    type="ChargeItem",
    reach=ReachClass.STAFF,
    search=(
        number("factor-override", "factorOverride"),
        quantity("quantity", "quantity"),
        quantity("price-override", "priceOverride"),
        token("code", "code"),
        token("status", "status", system="http://hl7.org/fhir/chargeitem-status"),
        token("identifier", "identifier"),
        reference("performing-organization", "performingOrganization", targets=("Organization",)),
        uri("definition", "definitionUri"),
        string("note", "note"),
    ),
)
REGISTRY = {"ChargeItem": CHARGE, "Provenance": PROVENANCE}
CONTEXT = SearchContext(REGISTRY, ZoneInfo("UTC"), "https://facade.example/fhir/acme")
ALL = Reach((Grant("user", "*", frozenset({"s"}), AllPatients()),), {"ChargeItem": CHARGE.reach})
UCUM = "http://unitsofmeasure.org"
tenants = itertools.count()


def charge(name: int, **more: Any) -> dict[str, Any]:
    return {"resourceType": "ChargeItem", "id": f"c{name}", "status": "billable"} | more


def publish(database: Database, tenant: str, *resources: dict[str, Any]) -> None:
    outputs = [output(f"ChargeItem/{one['id']}", one) for one in resources]
    Publisher(database, REGISTRY).publish(tenant, "qubs", outputs, SYDNEY)


def search(database: Database, tenant: str, query: str) -> list[str]:
    parsed = parse(CHARGE, read_pairs(query.encode()), CONTEXT)
    with database.read() as conn:
        revision = versions.current_revision(conn, tenant)[0]
        request = FindRequest(
            tenant, "ChargeItem", parsed.criteria, ALL, revision, None, 1000, parsed.sort
        )
        return [row.id for row in find.find(conn, request)]


@pytest.fixture
def ledger(database: Database) -> Database:
    """Nine charges, each with something of its own."""
    publish(
        database,
        "acme",
        charge(1, factorOverride=Decimal("0.8"), quantity={"value": 5}),
        charge(2, factorOverride=100, quantity={"value": 5, "unit": "mg"}),
        charge(
            3,
            factorOverride=Decimal("100.4"),
            quantity={"value": 5, "system": UCUM, "code": "mg", "unit": "milligram"},
        ),
        charge(4, quantity={"value": 50, "comparator": ">", "system": UCUM, "code": "mg"}),
        charge(5, priceOverride={"value": Decimal("12.50"), "currency": "AUD"}),
        charge(
            6,
            code={
                "text": "Chest X-ray",
                "coding": [{"system": "urn:x", "code": "CXR", "display": "Radiograph of chest"}],
            },
        ),
        charge(7, performingOrganization={"identifier": {"system": "urn:org", "value": "77"}}),
        charge(
            8,
            definitionUri="http://example.org/a/b",
            identifier=[{"type": {"text": "Invoice number"}, "value": "INV1"}],
        ),
        charge(9, definitionUri="http://example.org/a/b/c"),
    )
    return database


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("factor-override=100", ["c2", "c3"]),
        ("factor-override=100.0", ["c2"]),
        ("factor-override=1e2", ["c2", "c3"]),
        ("factor-override=0.8,100.4", ["c1", "c3"]),
        ("factor-override=gt100", ["c3"]),
        ("factor-override=ge100", ["c2", "c3"]),
        ("factor-override=lt1", ["c1"]),
        ("factor-override=ne100", ["c1"]),
        ("factor-override=ap105", ["c2", "c3"]),
        ("factor-override=-5", []),
        ("factor-override:missing=false", ["c1", "c2", "c3"]),
        ("quantity=5", ["c1", "c2", "c3"]),
        (f"quantity=5|{UCUM}|mg", ["c3"]),
        ("quantity=5||mg", ["c2", "c3"]),
        ("quantity=5||milligram", ["c3"]),
        (f"quantity=5|{UCUM}|", ["c3"]),
        ("quantity=gt60", ["c4"]),
        (f"quantity=ge5|{UCUM}|mg", ["c3", "c4"]),
        ("quantity=sa5", ["c4"]),
        ("price-override=12.50|urn:iso:std:iso:4217|AUD", ["c5"]),
        ("price-override=12.5", ["c5"]),
        ("price-override=12.5|urn:iso:std:iso:4217|USD", []),
        ("code:text=chest", ["c6"]),
        ("code:text=radiograph", ["c6"]),
        ("code:text=cxr", []),
        ("identifier:text=invoice", ["c8"]),
        ("performing-organization:identifier=urn:org|77", ["c7"]),
        ("performing-organization:identifier=77", ["c7"]),
        ("performing-organization:identifier=urn:other|77", []),
        ("performing-organization:missing=false", ["c7"]),
        ("performing-organization:missing=true&_id=c7", []),
        ("performing-organization:missing=true&_id=c6,c7", ["c6"]),
        ("definition=http://example.org/a/b", ["c8"]),
        ("definition:below=http://example.org/a/b", ["c8", "c9"]),
        ("definition:below=http://example.org/a/b/c/d", []),
        ("definition:above=http://example.org/a/b/c/d", ["c8", "c9"]),
        ("definition:above=http://example.org/a", []),
        ("_sort=-factor-override,_id&factor-override:missing=false", ["c3", "c2", "c1"]),
        ("_sort=-quantity&quantity:missing=false", ["c4", "c1", "c2", "c3"]),
    ],
)
def test_finds(ledger: Database, query: str, found: list[str]) -> None:
    assert search(ledger, "acme", query) == found


@pytest.mark.parametrize(
    "query",
    [
        "factor-override=",
        "factor-override=ten",
        "factor-override=1e",
        "factor-override=xx5",
        "factor-override=NaN",
        "factor-override=1e999",
        "factor-override:exact=5",
        "quantity=5|mg",
        "quantity=5|a|b|c",
        "quantity:text=5",
        "status:text=billable",
        "code:in=urn:x",
        "definition:contains=a",
        "performing-organization:identifier=a|b|c",
        "note:text=x",
    ],
)
def test_refuses(query: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        parse(CHARGE, read_pairs(query.encode()), CONTEXT)
    assert refusal.value.expression


amounts = st.sampled_from(["0", "5", "5.0", "5.4", "-3", "100", "99.5", "100.49", "0.05"])
units = st.sampled_from([{}, {"unit": "mg"}, {"system": UCUM, "code": "mg"}, {"code": "g"}])
comparators = st.sampled_from([{}, {"comparator": "<"}, {"comparator": ">="}])
prefixes = st.sampled_from(["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"])
asked_units = st.sampled_from(["", f"|{UCUM}|mg", "||mg", "||g", f"|{UCUM}|"])


@settings(
    max_examples=examples(20),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    there=st.lists(st.tuples(amounts, units, comparators), max_size=8),
    asked=st.lists(st.tuples(prefixes, amounts, asked_units), min_size=1, max_size=2),
)
def test_the_index_and_a_reading_of_each_resource_agree(
    database: Database,
    there: list[tuple[str, dict[str, str], dict[str, str]]],
    asked: list[tuple[str, str, str]],
) -> None:
    tenant = f"q{next(tenants)}"
    resources = [
        charge(n, quantity={"value": Decimal(value)} | unit | comparator)
        for n, (value, unit, comparator) in enumerate(there)
    ]
    publish(database, tenant, *resources)
    query = "&".join(f"quantity={prefix}{value}{unit}" for prefix, value, unit in asked)
    criteria = parse(CHARGE, read_pairs(query.encode()), CONTEXT).criteria
    expected = [r["id"] for r in resources if matches(CHARGE, criteria, r, SYDNEY, 0)]
    assert search(database, tenant, query) == sorted(expected)


def test_rows_made_by_other_rules_are_made_anew(ledger: Database) -> None:
    without = ResourceDefinition("ChargeItem", ReachClass.STAFF, search=CHARGE.search[:1])
    assert bring_up_to_date(ledger, {"ChargeItem": without}, "acme", SYDNEY) == 9
    assert search(ledger, "acme", "quantity=5") == []
    assert search(ledger, "acme", "factor-override=100.4") == ["c3"]
    assert bring_up_to_date(ledger, REGISTRY, "acme", SYDNEY) == 9
    assert search(ledger, "acme", "quantity=5") == ["c1", "c2", "c3"]
    assert bring_up_to_date(ledger, REGISTRY, "acme", SYDNEY) == 0
    assert bring_up_to_date(ledger, REGISTRY, "acme", ZoneInfo("UTC")) == 9
