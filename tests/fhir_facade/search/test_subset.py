"""`_elements` and `_summary`: parts of a resource, marked as such."""

from __future__ import annotations

import pytest

from fhir_facade.fhir import json
from fhir_facade.search import element_table
from fhir_facade.search.query import Summary
from fhir_facade.search.subset import subset

APPOINTMENT = json.dumps(
    {
        "resourceType": "Appointment",
        "id": "a",
        "meta": {"versionId": "3"},
        "text": {"status": "generated", "div": "<div>x</div>"},
        "status": "booked",
        "_start": {"extension": []},
        "description": "MRI",
        "participant": [{"status": "accepted"}],
    }
)
ALWAYS = {"resourceType", "id", "meta"}
MANDATORY = {"status", "participant"}


@pytest.mark.parametrize(
    ("summary", "elements", "kept"),
    [
        ("false", ("description",), ALWAYS | MANDATORY | {"description"}),
        ("false", ("start",), ALWAYS | MANDATORY | {"_start"}),
        ("text", (), ALWAYS | MANDATORY | {"text"}),
        ("data", (), ALWAYS | MANDATORY | {"_start", "description"}),
        ("true", (), ALWAYS | MANDATORY | {"_start"}),
    ],
)
def test_keeps_what_is_asked_and_mandatory(
    summary: Summary, elements: tuple[str, ...], kept: set[str]
) -> None:
    resource = json.loads(subset(APPOINTMENT, summary, elements))
    assert set(resource) == kept
    assert resource["meta"]["versionId"] == "3"
    assert [tag["code"] for tag in resource["meta"]["tag"]] == ["SUBSETTED"]


def test_a_choice_is_asked_by_its_stem() -> None:
    report = {
        "resourceType": "DiagnosticReport",
        "id": "r",
        "effectiveDateTime": "2026",
        "conclusion": "x",
    }
    kept = json.loads(subset(json.dumps(report), "false", ("effective",)))
    assert "effectiveDateTime" in kept
    assert "conclusion" not in kept


def test_without_a_wish_the_bytes_stay() -> None:
    assert subset(APPOINTMENT, "false", ()) is APPOINTMENT


def test_the_table_is_what_the_models_say() -> None:
    assert json.loads(element_table.PATH.read_bytes()) == element_table.build()
