"""From resources to index values: every kind of element a parameter may lead to."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_facade.fhir.dates import MAX_US, MIN_US
from fhir_facade.policy import ReachClass
from fhir_facade.resources.definition import (
    ResourceDefinition,
    SearchParameter,
    date,
    reference,
    string,
    token,
)
from fhir_facade.resources.element_path import compile_path
from fhir_facade.resources.extract import (
    FOLDED_LENGTH,
    categories_of,
    fold,
    index_values,
    patients_of,
    token_key,
)

SYDNEY = ZoneInfo("Australia/Sydney")
HOUR = 3_600_000_000


def values(parameter: SearchParameter, resource: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The rows of one parameter, without its name and without those of its modifiers."""
    definition = ResourceDefinition("Basic", ReachClass.PATIENT, search=(parameter,))
    index = index_values(definition, resource, SYDNEY)
    rows = (*index.tokens, *index.strings, *index.dates, *index.references)
    return [tuple(row)[1:] for row in rows if row.param == parameter.name]


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ({}, "false"),
        ({"deceasedBoolean": False}, "false"),
        ({"deceasedBoolean": True}, "true"),
        ({"deceasedDateTime": "2026-01-01"}, "true"),
        ({"deceased": True, "deceasedly": True}, "false"),
    ],
)
def test_whether_something_is_there(resource: dict[str, Any], expected: str) -> None:
    parameter = token("deceased", "deceased[x].exists()")
    assert values(parameter, resource) == [("", expected)]


@pytest.mark.parametrize(
    ("element", "expected"),
    [
        ("booked", [("", "booked")]),
        (True, [("", "true")]),
        (False, [("", "false")]),
        (
            {"coding": [{"system": "urn:s", "code": "a"}, {"code": "b"}]},
            [("urn:s", "a"), ("", "b")],
        ),
        ({"system": "urn:s", "code": "a", "display": "A"}, [("urn:s", "a")]),
        ({"system": "urn:s", "value": "1"}, [("urn:s", "1")]),
        ({"system": "phone", "value": "555"}, [("", "555")]),
        ([{"code": "a"}, {"code": "a"}], [("", "a")]),
        ({"text": "only words"}, []),
        ({"coding": [{"system": "urn:s"}, "x"]}, []),
        (7, []),
        (None, []),
    ],
)
def test_tokens(element: Any, expected: list[Any]) -> None:
    assert values(token("p", "e"), {"e": element}) == expected


def test_long_codes_are_held_by_their_hash() -> None:
    long = "x" * 300
    [(_, code)] = values(token("p", "e"), {"e": long})
    assert code == token_key(long)
    assert len(code) < 100
    assert token_key(long) != token_key(long + "y")


def test_strings_of_names_and_addresses() -> None:
    name = {"family": "Müller", "given": ["Anna ", "B"], "text": "Anna Müller", "use": "usual"}
    assert {row[0] for row in values(string("p", "name"), {"name": [name]})} == {
        "muller",
        "anna",
        "b",
        "anna muller",
    }
    address = {"line": ["1 Main St"], "city": "Perth", "postalCode": "6000", "country": "AU"}
    assert [row[1] for row in values(string("p", "a"), {"a": address})] == [
        "1 Main St",
        "Perth",
        "6000",
        "AU",
    ]
    assert values(string("p", "name.family"), {"name": [name, {}]}) == [("muller", "Müller")]


def test_long_strings_are_cut_for_the_index_only() -> None:
    [(folded, exact)] = values(string("p", "e"), {"e": "Ä" * 1000})
    assert folded == "a" * FOLDED_LENGTH
    assert exact == "Ä" * 1000


def test_what_a_database_cannot_hold_is_replaced() -> None:
    assert values(string("p", "e"), {"e": "a\x00b\ud800"}) == [("a\ufffdb\ufffd", "a\ufffdb\ufffd")]


@pytest.mark.parametrize(
    ("element", "width"),
    [("2026-11-21", 24 * HOUR), ("2026-11-21T09:00:00+11:00", 1_000_000), ("2026", 8760 * HOUR)],
)
def test_dates_are_intervals(element: str, width: int) -> None:
    [(lo, hi)] = values(date("p", "e"), {"e": element})
    assert hi - lo == width


def test_periods_and_choices() -> None:
    whole = {"start": "2026-11-21T00:00:00Z", "end": "2026-11-21T01:00:00Z"}
    [(lo, hi)] = values(date("p", "e[x]"), {"ePeriod": whole})
    assert hi - lo == HOUR + 1_000_000
    [(_, open_end)] = values(date("p", "e[x]"), {"ePeriod": {"start": "2026"}})
    assert open_end == MAX_US
    [(open_start, _)] = values(date("p", "e[x]"), {"ePeriod": {"end": "2026"}})
    assert open_start == MIN_US
    assert values(date("p", "e[x]"), {"eDateTime": "2026", "edge": "2025", "_eDateTime": {}}) != []
    assert values(date("p", "e"), {"e": "soon"}) == []
    assert values(date("p", "e"), {"e": {}}) == []
    assert values(date("p", "e"), {"e": {"start": "2026", "end": "2025"}}) == []


def test_references_of_the_targets_on_this_server() -> None:
    actor = reference("p", "actor", targets=("Patient",))
    texts = [
        "Patient/1",
        "Patient/2/_history/3",
        "Location/9",
        "http://elsewhere/Patient/4",
        "urn:uuid:0",
        "#c",
    ]
    elements = [{"reference": text} for text in texts]
    assert values(actor, {"actor": [*elements, {"display": "x"}]}) == [
        ("Patient", "1"),
        ("Patient", "2"),
    ]
    anything = reference("p", "actor", targets=())
    assert ("Location", "9") in values(anything, {"actor": elements})


def test_a_path_may_keep_members_of_one_value() -> None:
    telecom = [{"system": "phone", "value": "1"}, {"system": "email", "value": "2"}, "x"]
    assert values(token("p", "telecom(system=email)"), {"telecom": telecom}) == [("", "2")]


@pytest.mark.parametrize("path", ["", "a..b", "a[y]", "a(b)", "a b"])
def test_a_malformed_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="malformed element path"):
        compile_path(path)


def test_patients_and_categories() -> None:
    definition = ResourceDefinition(
        "Basic",
        ReachClass.PATIENT,
        patient_paths=("subject", "participant.actor"),
        category_path="category",
    )
    resource = {
        "resourceType": "Basic",
        "id": "b",
        "subject": {"reference": "Patient/2"},
        "participant": [
            {"actor": {"reference": "Patient/1"}},
            {"actor": {"reference": "Location/1"}},
            {"actor": {"reference": "Patient/2"}},
        ],
        "category": [{"coding": [{"system": "urn:s", "code": "x"}]}, {"coding": [{"code": "y"}]}],
    }
    assert patients_of(definition, resource) == ("1", "2")
    assert categories_of(definition, resource) == ("urn:s|x", "|y")
    itself = ResourceDefinition("Patient", ReachClass.PATIENT, patient_paths=("",))
    assert patients_of(itself, {"resourceType": "Patient", "id": "7"}) == ("7",)
    assert categories_of(itself, resource) == ()


@given(st.text())
def test_folding_is_stable_and_blind_to_case(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    assert "\x00" not in fold(text)


@pytest.mark.parametrize(
    ("text", "folded"),
    [("  Ann\t Marie ", "ann marie"), ("STRASSE", "strasse"), ("Straße", "strasse"), ("ÉÈ", "ee")],
)
def test_folding(text: str, folded: str) -> None:
    assert fold(text) == folded
