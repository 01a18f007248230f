"""Searches over several types: what is found, in which order, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_facade.fhir.validation import deep_check
from smart_auth.verify import VerifiedToken
from tests.support.published import patient, publish, report
from tests.support.rest_app import RestApp, base_of
from tests.support.tokens import user_token

DOCTOR = user_token("user/*.rs")


def bundle(rest: RestApp, path: str, token: VerifiedToken = DOCTOR, **more: Any) -> dict[str, Any]:
    answer = rest.request(more.pop("method", "GET"), path, token, **more)
    assert answer.status_code == 200, answer.data
    found = answer.json
    assert found is not None
    # The Bundle itself: its resources are the fixture's.
    assert not [one for one in deep_check(found) if ".resource." not in one.expression]
    return found


def keys(found: dict[str, Any], mode: str = "match") -> list[str]:
    return [
        f"{entry['resource']['resourceType']}/{entry['resource']['id']}"
        for entry in found.get("entry", ())
        if entry["search"]["mode"] == mode
    ]


def link(found: dict[str, Any], relation: str) -> str:
    links = {one["relation"]: one["url"] for one in found["link"]}
    return links.get(relation, "").removeprefix(base_of("acme"))


def walk(rest: RestApp, path: str, token: VerifiedToken = DOCTOR) -> list[str]:
    found: list[str] = []
    while path:
        page = bundle(rest, path, token)
        found += keys(page)
        path = link(page, "next")
    return found


def test_types_are_searched_together_and_in_pages(calm: RestApp) -> None:
    path = "?_type=Patient,DiagnosticReport&_count=2"
    first = bundle(calm, path)
    assert first["total"] == 7
    assert link(first, "self") == path
    expected = [f"DiagnosticReport/r{n}" for n in (1, 2)] + [f"Patient/p{n}" for n in range(1, 6)]
    assert walk(calm, path) == expected
    assert walk(calm, "/?_type=Patient&_type=DiagnosticReport") == expected
    assert keys(bundle(calm, "?_type=Patient&_id=p2,p9")) == ["Patient/p2"]


def test_without_types_everything_in_scope_is_searched(calm: RestApp) -> None:
    own = user_token("patient/Patient.rs patient/Appointment.rs", patient="p1")
    assert walk(calm, "?_count=1", own) == ["Appointment/a1", "Appointment/a6", "Patient/p1"]
    everything = walk(calm, "?_count=100")
    assert {"Location/l1", "Patient/p5", "DiagnosticReport/r2", "Appointment/a10"} <= {*everything}
    assert not [key for key in everything if key.startswith("ConceptMap")]


def test_parameters_have_to_be_of_every_type(calm: RestApp) -> None:
    both = "?_type=Appointment,DiagnosticReport"
    found = keys(bundle(calm, f"{both}&patient=Patient/p1"))
    assert found == ["Appointment/a1", "Appointment/a6", "DiagnosticReport/r1"]
    refused = calm.get(f"{both}&part-status=accepted", DOCTOR)
    assert refused.status_code == 400
    assert b"part-status" in refused.data
    chained = keys(bundle(calm, f"{both}&patient.family=family2"))
    assert chained == ["Appointment/a2", "Appointment/a7", "DiagnosticReport/r2"]


def test_an_order_runs_through_all_types(rest: RestApp) -> None:
    publish(rest.database, patient(3, "Newer"))
    publish(rest.database, report(1, 1) | {"status": "amended"})
    publish(rest.database, patient(1, "Newest"))
    newest = walk(rest, "?_type=Patient,DiagnosticReport&_sort=-_lastUpdated&_count=2")
    assert newest[:3] == ["Patient/p1", "DiagnosticReport/r1", "Patient/p3"]
    assert len(newest) == len(set(newest)) == 7
    oldest = walk(rest, "?_type=Patient,DiagnosticReport&_sort=_lastUpdated&_count=3")
    assert oldest[-3:] == newest[2::-1]
    assert {*oldest} == {*newest}
    by_date = walk(rest, "?_type=Appointment,DiagnosticReport&_sort=-date,_id&_count=4")
    assert by_date[:2] == ["Appointment/a10", "Appointment/a9"]
    assert by_date[-2:] == ["DiagnosticReport/r1", "DiagnosticReport/r2"]


def test_includes_count_for_the_types_that_have_them(calm: RestApp) -> None:
    path = "?_type=Patient,Appointment&_id=p1,a2&_include=Appointment:patient"
    found = bundle(calm, f"{path}&_revinclude=DiagnosticReport:patient")
    assert keys(found) == ["Appointment/a2", "Patient/p1"]
    assert sorted(keys(found, "include")) == ["DiagnosticReport/r1", "Patient/p2"]
    refused = calm.get("?_type=Patient,Location&_include=Appointment:patient", DOCTOR)
    assert refused.status_code == 400


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("_type=Nonsense", 404),
        ("_type=Patient,", 404),
        ("_type=Observation", 404),
        ("_type=ConceptMap,Patient", 400),
        ("_type=Patient&nickname=x", 400),
        ("_type=Patient,Appointment&_sort=family", 400),
        ("_type=Patient&_cursor=x", 400),
    ],
)
def test_refuses(calm: RestApp, query: str, status: int) -> None:
    assert calm.get(f"?{query}", DOCTOR).status_code == status


def test_scopes_decide_on_each_type(calm: RestApp) -> None:
    own = user_token("patient/Patient.rs", patient="p1")
    assert calm.get("?_type=Patient,Appointment", own).status_code == 403
    assert calm.get("?_type=Patient&_id=p2", own).status_code == 403
    reading = user_token("patient/Patient.r", patient="p1")
    assert calm.get("", reading).status_code == 403


def test_by_post_no_value_is_in_a_link(calm: RestApp) -> None:
    found = bundle(
        calm,
        "/_search",
        method="POST",
        data="_type=Patient&family=family1,family2,family3&_count=2",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert keys(found) == ["Patient/p1", "Patient/p2"]
    assert all("family" not in one["url"] for one in found["link"])
    assert keys(bundle(calm, link(found, "next"))) == ["Patient/p3"]
    assert keys(bundle(calm, link(found, "self"))) == keys(found)
