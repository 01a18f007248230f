"""$everything and $validate."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_facade.fhir import json
from smart_auth.verify import VerifiedToken
from tests.support.published import appointment, patient, publish
from tests.support.rest_app import RestApp, base_of
from tests.support.tokens import backend_token, user_token

DOCTOR = user_token("user/*.rs")
JSON = {"Content-Type": "application/fhir+json"}


def keys(found: dict[str, Any], mode: str = "match") -> list[str]:
    return [
        f"{entry['resource']['resourceType']}/{entry['resource']['id']}"
        for entry in found.get("entry", ())
        if entry["search"]["mode"] == mode
    ]


def everything(
    rest: RestApp, path: str, token: VerifiedToken = DOCTOR
) -> tuple[list[str], list[str]]:
    """Matches and directory resources of all pages."""
    matches: list[str] = []
    beside: list[str] = []
    while path:
        answer = rest.get(path, token)
        assert answer.status_code == 200, answer.data
        assert answer.json is not None
        matches += keys(answer.json)
        beside += keys(answer.json, "include")
        links = {one["relation"]: one["url"] for one in answer.json["link"]}
        path = links.get("next", "").removeprefix(base_of("acme"))
    return matches, beside


OF_P1 = [
    "Patient/p1",
    "Appointment/a1",
    "Appointment/a6",
    "DiagnosticReport/r1",
    "Provenance/Appointment-a1",
    "Provenance/Appointment-a6",
]


@pytest.mark.parametrize("size", [1, 2, 4, 50])
def test_everything_of_a_patient_and_nothing_of_another(calm: RestApp, size: int) -> None:
    matches, beside = everything(calm, f"/Patient/p1/$everything?_count={size}")
    assert matches == OF_P1
    assert set(beside) == {"Location/l1"}


def test_scopes_narrow_it(calm: RestApp) -> None:
    own = user_token("patient/Patient.rs patient/Appointment.rs", patient="p1")
    assert everything(calm, "/Patient/p1/$everything", own) == (OF_P1[:3], [])
    assert everything(calm, "/Patient/$everything", own) == (OF_P1[:3], [])
    assert calm.get("/Patient/p2/$everything", own).status_code == 404
    assert calm.get("/Patient/none/$everything", DOCTOR).status_code == 404
    reports = user_token("user/DiagnosticReport.rs")
    assert calm.get("/Patient/p1/$everything", reports).status_code == 403
    group = backend_token("system/*.rs", groups=["nobody"])
    assert calm.get("/Patient/p1/$everything", group).status_code == 404
    reading = user_token("user/Patient.r")
    assert calm.get("/Patient/$everything", reading).status_code == 403


def test_dates_types_and_since(rest: RestApp) -> None:
    path = "/Patient/p1/$everything"
    assert everything(rest, f"{path}?_type=Appointment")[0] == OF_P1[1:3]
    in_time = everything(rest, f"{path}?start=2026-11-05&end=2026-11-30")[0]
    assert "Appointment/a6" in in_time
    assert "Appointment/a1" not in in_time
    before = rest.get("/Patient/p1", DOCTOR).json
    publish(rest.database, appointment(20, of_patient=1), patient(1, "Changed"))
    now = rest.get("/Patient/p1", DOCTOR).json
    assert before is not None
    assert now is not None
    changed = everything(rest, f"{path}?_since={now['meta']['lastUpdated']}")[0]
    assert changed == ["Patient/p1", "Appointment/a20"]


def test_pages_keep_to_the_revision_of_the_first(rest: RestApp) -> None:
    first = rest.get("/Patient/p1/$everything?_count=2", DOCTOR).json
    assert first is not None
    links = {one["relation"]: one["url"] for one in first["link"]}
    assert links["self"] == f"{base_of('acme')}/Patient/p1/$everything?_count=2"
    publish(rest.database, appointment("00", of_patient=1), appointment("zz", of_patient=1))
    rest_of_it = everything(rest, links["next"].removeprefix(base_of("acme")))[0]
    assert keys(first) + rest_of_it == OF_P1


def test_everything_by_post_and_what_is_refused(calm: RestApp) -> None:
    path = "/Patient/p1/$everything"
    parameters = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "_type", "valueString": "Appointment"},
            {"name": "_count", "valueInteger": 1},
        ],
    }
    answer = calm.request("POST", path, DOCTOR, JSON, data=json.dumps(parameters))
    assert answer.status_code == 200
    assert answer.json is not None
    assert keys(answer.json) == ["Appointment/a1"]
    assert calm.request("POST", path, DOCTOR).status_code == 200
    for query in ("shoe=9", "start=then", "_count=x", "_since=", "_type=Patient&_type=Patient"):
        assert calm.get(f"{path}?{query}", DOCTOR).status_code == 400, query
    for name in ("start", "end", "_since"):
        refused = calm.get(f"{path}?{name}=gt2026", DOCTOR).json
        assert refused is not None
        assert refused["issue"][0]["expression"] == [name]
    assert calm.get(f"{path}?_type=Nonsense", DOCTOR).status_code == 404
    assert calm.get(f"{path}?_type=Location", DOCTOR).status_code == 400
    for body in (b"{", b"[]", b'{"resourceType":"Patient"}', json.dumps(
        {"resourceType": "Parameters", "parameter": [{"name": "_type"}]}
    )):  # fmt: skip
        assert calm.request("POST", path, DOCTOR, JSON, data=body).status_code == 400
    assert calm.request("DELETE", path, DOCTOR).status_code == 405
    assert calm.get("/Appointment/a1/$everything", DOCTOR).status_code == 404


VALID = {"resourceType": "Patient", "gender": "female", "birthDate": "1980-05-01"}


def validate(rest: RestApp, path: str, document: Any, token: VerifiedToken = DOCTOR) -> Any:
    return rest.request("POST", path, token, JSON, data=json.dumps(document))


def severities(answer: Any) -> set[str]:
    assert answer.status_code == 200, answer.data
    return {issue["severity"] for issue in answer.json["issue"]}


def test_validate_says_what_is_wrong_and_stores_nothing(rest: RestApp) -> None:
    assert severities(validate(rest, "/Patient/$validate", VALID)) == {"information"}
    wrong = validate(rest, "/Patient/$validate", VALID | {"gender": "sometimes", "shoe": 9})
    assert severities(wrong) == {"error"}
    places = {place for issue in wrong.json["issue"] for place in issue["expression"]}
    assert "Patient.gender" in places
    assert len(places) > 1
    assert b"sometimes" not in wrong.data
    other = validate(rest, "/Appointment/$validate", VALID)
    assert severities(other) == {"error"}
    wrapped = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "resource", "resource": VALID},
            {"name": "profile", "valueUri": "http://example.org/Profile"},
        ],
    }
    assert severities(validate(rest, "/Patient/$validate", wrapped)) == {"warning", "information"}
    with_id = VALID | {"id": "p9"}
    assert severities(validate(rest, "/Patient/p9/$validate?mode=update", with_id)) == {
        "information"
    }
    assert severities(validate(rest, "/Patient/p8/$validate", with_id)) == {"error"}
    assert rest.get("/Patient/p9", DOCTOR).status_code == 404


def test_validate_refuses_what_it_cannot_read(calm: RestApp) -> None:
    path = "/Patient/$validate"
    assert calm.request("POST", path, None, JSON, data=b"{}").status_code == 401
    for kind in (
        "text/xml",
        "application/fhir+json; fhirVersion=3.0",
        "application/fhir+json; charset=utf-16",
    ):
        assert calm.request("POST", path, DOCTOR, {"Content-Type": kind}).status_code == 415
    assert calm.request("POST", path, DOCTOR, JSON, data=b"{").status_code == 400
    assert validate(calm, path, []).status_code == 400
    assert validate(calm, f"{path}?mode=delete", VALID).status_code == 400
    assert validate(calm, f"{path}?colour=red", VALID).status_code == 400
    assert validate(calm, "/Nonsense/$validate", VALID).status_code == 404
    empty = {"resourceType": "Parameters", "parameter": []}
    assert validate(calm, path, empty).status_code == 400
    assert calm.get(path, DOCTOR).status_code == 405
