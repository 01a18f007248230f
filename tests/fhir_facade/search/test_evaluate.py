"""Criteria held against a resource in memory."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
import time_machine

from fhir_facade.resources.registry import REGISTRY
from fhir_facade.search.evaluate import matches
from fhir_facade.search.parse import parse, read_pairs
from fhir_facade.search.query import SearchContext

UTC = ZoneInfo("UTC")
CONTEXT = SearchContext(REGISTRY, UTC, "https://x.example/fhir/acme")
APPOINTMENT = {
    "resourceType": "Appointment",
    "id": "a1",
    "status": "booked",
    "start": "2026-11-21T10:00:00Z",
    "identifier": [{"system": "http://s", "value": "A1"}],
    "participant": [{"actor": {"reference": "Patient/p1"}}],
}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("status=booked", True),
        ("status=booked,noshow", True),
        ("status=noshow", False),
        ("status:not=noshow", True),
        ("status:not=booked", False),
        ("identifier=http://s%7CA1", True),
        ("identifier=%7CA1", False),
        ("identifier=http://s%7C", True),
        ("_id=a1,b", True),
        ("_id=b", False),
        ("patient=p1", True),
        ("patient=Patient/p1", True),
        ("patient=p2", False),
        ("actor:Location=p1", False),
        ("patient:missing=false", True),
        ("location:missing=true", True),
        ("location:missing=false", False),
        ("date=2026-11-21", True),
        ("date=2026-11-22", False),
        ("date=ne2026-11-21", False),
        ("date=gt2026-11-20", True),
        ("date=gt2026-11-21", False),
        ("date=ge2026-11-21", True),
        ("date=lt2026-11-22", True),
        ("date=lt2026-11-21", False),
        ("date=le2026-11-21", True),
        ("date=sa2026-11-20", True),
        ("date=sa2026-11-21", False),
        ("date=eb2026-11-22", True),
        ("date=ap2026-11-20", True),
        ("date=ap2020", False),
        ("_lastUpdated=1970", True),
        ("_lastUpdated=2026", False),
        ("status=booked&patient=p2", False),
    ],
)
def test_criteria(query: str, expected: bool) -> None:
    definition = REGISTRY["Appointment"]
    criteria = parse(definition, read_pairs(query.encode()), CONTEXT).criteria
    with time_machine.travel("2026-12-21T00:00:00Z", tick=False):
        assert matches(definition, criteria, APPOINTMENT, UTC, 1_000_000) is expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("name=anders", True),
        ("name=ande", True),
        ("name=nders", False),
        ("name:contains=NDER", True),
        ("name:exact=Anders", True),
        ("name:exact=anders", False),
        ("family=wit", False),
    ],
)
def test_strings(query: str, expected: bool) -> None:
    definition = REGISTRY["Patient"]
    patient = {"resourceType": "Patient", "id": "p", "name": [{"given": ["Anders"]}]}
    criteria = parse(definition, read_pairs(query.encode()), CONTEXT).criteria
    assert matches(definition, criteria, patient, UTC, 0) is expected
