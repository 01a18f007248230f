"""read and vread: bytes, validators, reach, tombstones."""

from __future__ import annotations

import pytest

from tests.support.published import appointment, patient, publish
from tests.support.rest_app import RestApp
from tests.support.tokens import backend_token, user_token

DOCTOR = user_token("user/*.rs")
PATIENT_1 = user_token("patient/*.rs", patient="p1", fhir_user="Patient/p1", whole_tenant=False)


def test_reads_a_resource_as_stored(rest: RestApp) -> None:
    answer = rest.get("/Patient/p1", DOCTOR)
    assert answer.status_code == 200
    assert answer.content_type == "application/fhir+json"
    assert answer.json is not None
    assert answer.json["id"] == "p1"
    assert answer.json["meta"]["versionId"] == "1"
    assert answer.headers["ETag"] == 'W/"1"'
    assert answer.headers["Last-Modified"].endswith("GMT")
    assert answer.headers["Cache-Control"] == "private, no-store"


def test_head_has_the_headers_and_no_body(rest: RestApp) -> None:
    got = rest.get("/Patient/p1", DOCTOR)
    head = rest.request("HEAD", "/Patient/p1", DOCTOR)
    assert head.status_code == 200
    assert head.data == b""
    assert head.headers["ETag"] == got.headers["ETag"]
    assert head.headers["Content-Length"] == got.headers["Content-Length"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-None-Match": 'W/"1"'}, 304),
        ({"If-None-Match": '"1"'}, 304),
        ({"If-None-Match": '"0", W/"1"'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": 'W/"2"'}, 200),
        ({"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, 304),
        ({"If-Modified-Since": "Fri, 01 Jan 2010 00:00:00 GMT"}, 200),
        ({"If-Modified-Since": "not a date"}, 200),
        (
            {"If-None-Match": 'W/"9"', "If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"},
            200,
        ),
        ({"If-Match": 'W/"1"'}, 200),
        ({"If-Match": "*", "If-None-Match": "*"}, 304),
        ({"If-Unmodified-Since": "not a date"}, 200),
        ({"If-Unmodified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, 200),
    ],
)
def test_conditional_reads(rest: RestApp, headers: dict[str, str], status: int) -> None:
    answer = rest.get("/Patient/p1", DOCTOR, headers=headers)
    assert answer.status_code == status
    assert answer.headers["ETag"] == 'W/"1"'
    if status == 304:
        assert answer.data == b""


@pytest.mark.parametrize(
    "headers",
    [
        {"If-Match": 'W/"2"'},
        {"If-Match": 'W/"2"', "If-None-Match": 'W/"1"'},
        {"If-Unmodified-Since": "Fri, 01 Jan 2010 00:00:00 GMT"},
    ],
)
def test_another_version_than_the_one_wanted_is_412(rest: RestApp, headers: dict[str, str]) -> None:
    answer = rest.get("/Patient/p1", DOCTOR, headers=headers)
    assert answer.status_code == 412
    assert answer.json is not None
    assert answer.json["issue"][0]["code"] == "conflict"


def test_vread_gives_each_version(rest: RestApp) -> None:
    publish(rest.database, patient(1, family="Changed"))
    now = rest.get("/Patient/p1", DOCTOR)
    old = rest.get("/Patient/p1/_history/1", DOCTOR)
    assert now.json is not None
    assert old.json is not None
    assert now.json["name"][0]["family"] == "Changed"
    assert now.headers["ETag"] == 'W/"2"'
    assert old.json["name"][0]["family"] == "Family1"
    assert old.headers["ETag"] == 'W/"1"'
    for version in ("3", "0", "x", "99999999999999999999", "-1", "1.0"):
        assert rest.get(f"/Patient/p1/_history/{version}", DOCTOR).status_code == 404


def test_vread_is_judged_on_the_current_version_too(rest: RestApp) -> None:
    publish(rest.database, appointment(1, of_patient=2))
    assert rest.get("/Appointment/a1/_history/1", PATIENT_1).status_code == 404
    other = user_token("patient/*.rs", patient="p2")
    assert rest.get("/Appointment/a1/_history/2", other).status_code == 200
    assert rest.get("/Appointment/a1/_history/1", other).status_code == 404


def test_outside_the_reach_is_not_found(rest: RestApp) -> None:
    for path in ("/Patient/p2", "/Appointment/a2", "/Patient/nobody", "/Patient/not%20an%20id"):
        answer = rest.get(path, PATIENT_1)
        assert answer.status_code == 404
        assert answer.json is not None
        assert answer.json["issue"][0]["code"] == "not-found"
        assert answer.json["issue"][0]["details"]["text"] == "Not found"
    assert rest.get("/Patient/p1", PATIENT_1).status_code == 200
    assert rest.get("/Appointment/a1", PATIENT_1).status_code == 200
    assert rest.get("/Location/l1", PATIENT_1).status_code == 200


def test_provenance_follows_its_target(rest: RestApp) -> None:
    assert rest.get("/Provenance/Appointment-a1", PATIENT_1).status_code == 200
    assert rest.get("/Provenance/Appointment-a2", PATIENT_1).status_code == 404
    only_provenance = user_token("patient/Provenance.rs", patient="p1")
    assert rest.get("/Provenance/Appointment-a1", only_provenance).status_code == 404


def test_deleted_is_gone_to_those_who_could_have_read_it(rest: RestApp) -> None:
    gone = rest.get("/Appointment/agone", DOCTOR)
    assert gone.status_code == 410
    assert gone.json is not None
    assert gone.json["issue"][0]["code"] == "deleted"
    assert rest.get("/Appointment/agone", PATIENT_1).status_code == 410
    other = user_token("patient/*.rs", patient="p2")
    assert rest.get("/Appointment/agone", other).status_code == 404
    assert rest.get("/Appointment/agone/_history/1", DOCTOR).status_code == 200
    assert rest.get("/Appointment/agone/_history/2", DOCTOR).status_code == 410
    assert rest.get("/Appointment/agone/_history/1", other).status_code == 404


def test_granular_scopes_hold_for_reads(rest: RestApp) -> None:
    radiology = user_token("user/DiagnosticReport.rs?category=RAD")
    assert rest.get("/DiagnosticReport/r1", radiology).status_code == 200
    assert rest.get("/DiagnosticReport/r2", radiology).status_code == 404


def test_a_backend_without_members_reads_nothing_of_patients(rest: RestApp) -> None:
    backend = backend_token("system/*.rs", groups={"g1"})
    assert rest.get("/Patient/p1", backend).status_code == 404
    assert rest.get("/Location/l1", backend).status_code == 200


def test_parts_of_a_resource(rest: RestApp) -> None:
    answer = rest.get("/Patient/p1?_elements=birthDate&_pretty=true", DOCTOR)
    assert answer.json is not None
    assert set(answer.json) == {"resourceType", "id", "meta", "birthDate"}
    assert answer.data.startswith(b"{\n")
    assert rest.get("/Patient/p1?name=x", DOCTOR).status_code == 400
    lenient = rest.get("/Patient/p1?name=x", DOCTOR, headers={"Prefer": "handling=lenient"})
    assert lenient.status_code == 200


def test_concept_maps_are_read_like_the_rest(rest: RestApp) -> None:
    found = rest.get("/ConceptMap", DOCTOR).json
    assert found is not None
    assert found["total"] == len(found["entry"]) > 1
    one = found["entry"][0]["resource"]
    answer = rest.get(f"/ConceptMap/{one['id']}", DOCTOR)
    assert answer.json == one
    assert rest.get(f"/ConceptMap/{one['id']}/_history/1", DOCTOR).json == one
    assert rest.get("/ConceptMap/none", DOCTOR).status_code == 404
    by_url = rest.get(f"/ConceptMap?url={one['url']}", DOCTOR).json
    assert by_url is not None
    assert by_url["total"] == 1


def test_each_access_is_one_audit_row_without_values(rest: RestApp) -> None:
    correlation = {"X-Correlation-Id": "abc-12345"}
    rest.get("/Patient/p1", DOCTOR, headers=correlation)
    rest.get("/Patient?name=Family2", DOCTOR, headers=correlation)
    rest.get("/Patient/p2", PATIENT_1, headers=correlation)
    rest.get("/Group/g", PATIENT_1, headers=correlation)
    rows = rest.audited()[::-1]
    found = {
        (r["interaction"], r["type"], r["resource_id"], r["outcome"], r["status"], r["patients"])
        for r in rows
    }
    assert found == {
        ("read", "Patient", "p1", "success", 200, "p1"),
        ("search-type", "Patient", None, "success", 200, "p2"),
        ("read", "Patient", "p2", "refused", 404, ""),
        ("read", "Group", None, "refused", 403, ""),
    }
    assert len(rows) == 4
    assert all(row["correlation_id"] == "abc-12345" for row in rows)
    assert "Family" not in str(rows)
