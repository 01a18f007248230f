"""Kick-off parameters: what is taken, what is refused, what is named as left out."""

from __future__ import annotations

import contextlib
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_facade.bulk.parameters import (
    ExportOrder,
    Handling,
    check_accept,
    from_body,
    parse_order,
    parse_prefer,
)
from fhir_facade.errors import InvalidRequest, UnsupportedParameter

ZONE = ZoneInfo("Australia/Sydney")
NOW_US = 1_800_000_000_000_000


def order(*pairs: tuple[str, str], handling: Handling = None) -> ExportOrder:
    return parse_order(pairs, handling, zone=ZONE, now_us=NOW_US)


def test_nothing_asked_is_everything() -> None:
    assert order() == ExportOrder(types=None, since_us=None, left_out=())


def test_types_may_be_repeated_and_listed() -> None:
    found = order(("_type", "Patient,Appointment"), ("_type", "Patient"), ("_type", "Group"))
    assert found.types == ("Patient", "Appointment", "Group")


@pytest.mark.parametrize("value", ["Pacient", "", "Patient,", "patient", "Patient,Foo", "*"])
def test_types_that_are_not_r4_are_refused(value: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        order(("_type", value), handling="lenient")
    assert caught.value.expression == ("_type",)


@pytest.mark.parametrize(
    "value", ["application/fhir+ndjson", "application/ndjson", "ndjson", "application/fhir ndjson"]
)
def test_three_spellings_of_ndjson(value: str) -> None:
    assert order(("_outputFormat", value)).types is None


@pytest.mark.parametrize("value", ["text/csv", "", "application/fhir+json", "parquet"])
def test_other_output_formats_are_refused(value: str) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        order(("_outputFormat", value), handling="lenient")
    assert caught.value.expression == ("_outputFormat",)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2026-01-31T09:30:00Z", 1_769_851_800),
        ("2026-01-31T09:30:00.000Z", 1_769_851_800),
        ("2026-01-31T20:30:00+11:00", 1_769_851_800),
        ("2026-01-31T20:30:00 11:00", 1_769_851_800),
        ("2026-01-31T20:30:00", 1_769_851_800),
        ("2026-01-31", 1_769_778_000),
    ],
)
def test_since_is_an_instant_a_lost_plus_is_found(value: str, seconds: int) -> None:
    assert order(("_since", value)).since_us == seconds * 1_000_000


@pytest.mark.parametrize(
    "value", ["yesterday", "", "2026-13-01", "1769851800000", "2026-01-31T09:30:00 Z", "2030-01-01"]
)
def test_a_bad_or_future_since_is_refused(value: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        order(("_since", value), handling="lenient")
    assert caught.value.expression == ("_since",)
    assert value == "" or value not in caught.value.text


@pytest.mark.parametrize("name", ["_since", "_outputFormat"])
def test_single_parameters_must_not_be_repeated(name: str) -> None:
    value = {"_since": "2026-01-01", "_outputFormat": "ndjson"}[name]
    with pytest.raises(InvalidRequest, match="more than once"):
        order((name, value), (name, value))


@pytest.mark.parametrize("handling", [None, "strict"])
@pytest.mark.parametrize(
    "name", ["_elements", "_typeFilter", "patient", "_foo", "includeAssociatedData"]
)
def test_what_is_not_served_is_refused_by_name(name: str, handling: Handling) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        order((name, "secret value"), handling=handling)
    assert caught.value.expression == (name,)
    assert "secret" not in caught.value.text + (caught.value.diagnostics or "")


def test_lenient_leaves_it_out_and_says_so_once() -> None:
    pairs = [("_elements", "id"), ("_elements", "name"), ("<script>", "x")]
    found = order(*pairs, handling="lenient")
    assert [one.expression for one in found.left_out] == ["_elements", "parameter"]
    assert all("ignored" in one.text and "<" not in one.text for one in found.left_out)


@pytest.mark.parametrize(
    ("header", "handling"),
    [
        (None, None),
        ("respond-async", None),
        ("Respond-Async, handling=lenient", "lenient"),
        ("respond-async,handling=strict;x=1", "strict"),
        ('handling="lenient", wait=10', "lenient"),
        ("respond-async, return=minimal", None),
    ],
)
def test_prefer(header: str | None, handling: Handling) -> None:
    assert parse_prefer(header) == handling


@pytest.mark.parametrize("header", ["", "respond-sync", "return=minimal", "handling=loose"])
def test_a_wrong_prefer_is_refused(header: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_prefer(header)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "*/*",
        "application/fhir+json",
        "text/html, application/json;q=0.5",
        "application/*",
    ],
)
def test_accept_that_admits_json(header: str | None) -> None:
    check_accept(header)


@pytest.mark.parametrize(
    "header",
    ["text/html", "application/fhir+xml", "application/fhir+json;q=0", "application/fhir+ndjson"],
)
def test_accept_that_does_not(header: str) -> None:
    with pytest.raises(InvalidRequest):
        check_accept(header)


def test_a_parameters_body() -> None:
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "_type", "valueString": "Patient"},
            {"name": "_since", "valueInstant": "2026-01-01T00:00:00Z"},
            {"name": "patient", "valueReference": {"reference": "Patient/1"}},
            {"name": "allowPartialManifests", "valueBoolean": True},
        ],
    }
    assert from_body(body) == [
        ("_type", "Patient"),
        ("_since", "2026-01-01T00:00:00Z"),
        ("patient", "Patient/1"),
        ("allowPartialManifests", "true"),
    ]
    assert from_body({"resourceType": "Parameters"}) == []


@pytest.mark.parametrize(
    "body",
    [
        {"resourceType": "Patient"},
        {"resourceType": "Parameters", "parameter": {}},
        {"resourceType": "Parameters", "parameter": ["_type"]},
        {"resourceType": "Parameters", "parameter": [{"valueString": "x"}]},
        {"resourceType": "Parameters", "parameter": [{"name": "_type"}]},
        {"resourceType": "Parameters", "parameter": [{"name": "_type", "valueInteger": 1}]},
        {"resourceType": "Parameters", "parameter": [{"name": "_type", "part": []}]},
    ],
)
def test_a_body_that_is_none(body: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest):
        from_body(body)


NAMES = st.sampled_from(["_type", "_since", "_outputFormat", "_format", "patient"]) | st.text()


@given(
    st.lists(st.tuples(NAMES, st.text())), st.sampled_from([None, "strict", "lenient"]), st.text()
)
def test_any_request_is_taken_or_refused(
    pairs: list[tuple[str, str]], handling: Handling, header: str
) -> None:
    """Never another exception, whatever comes."""
    for check in (
        lambda: order(*pairs, handling=handling),
        lambda: parse_prefer(header),
        lambda: check_accept(header),
    ):
        with contextlib.suppress(InvalidRequest):
            check()
