"""batch: each entry answered as if it had come by itself."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_facade.fhir import json
from fhir_facade.rest.batch import MAX_ENTRIES
from smart_auth.verify import VerifiedToken
from tests.support.rest_app import RestApp, base_of
from tests.support.tokens import user_token

DOCTOR = user_token("user/*.rs")
BASE = base_of("acme")


def send(rest: RestApp, document: Any, token: VerifiedToken | None = DOCTOR, **headers: str) -> Any:
    sent = {"Content-Type": "application/fhir+json", **headers}
    return rest.request("POST", "", token, sent, data=json.dumps(document))


def batch(rest: RestApp, *wanted: Any, token: VerifiedToken = DOCTOR) -> list[dict[str, Any]]:
    requests = [{"method": "GET", "url": one} if isinstance(one, str) else one for one in wanted]
    entries = [{"request": one} for one in requests]
    answer = send(rest, {"resourceType": "Bundle", "type": "batch", "entry": entries}, token)
    assert answer.status_code == 200, answer.data
    found = answer.json
    assert found["type"] == "batch-response"
    assert len(found.get("entry", [])) == len(wanted)
    made: list[dict[str, Any]] = found.get("entry", [])
    return made


def statuses(entries: list[dict[str, Any]]) -> list[str]:
    return [entry["response"]["status"][:3] for entry in entries]


def test_entries_are_answered_each_by_itself_and_in_order(calm: RestApp) -> None:
    entries = batch(
        calm,
        "Patient/p1",
        "Patient/none",
        f"{BASE}/Appointment?patient=Patient/p1&_count=1",
        "Appointment/agone",
        "Nonsense/1",
        "Patient?shoe=9",
        "Patient/p1/_history/1",
        "metadata",
        "?_type=Location&_id=l1",
        {"method": "HEAD", "url": "Patient/p1"},
    )
    assert statuses(entries) == [
        "200", "404", "200", "410", "404", "400", "200", "200", "200", "200",
    ]  # fmt: skip
    read = calm.get("/Patient/p1", DOCTOR)
    assert json.dumps(entries[0]["resource"]) == read.data
    assert entries[0]["response"]["etag"] == read.headers["ETag"]
    assert entries[0]["response"]["lastModified"].endswith("Z")
    assert "resource" not in entries[1]
    assert entries[1]["response"]["outcome"]["resourceType"] == "OperationOutcome"
    links = {one["relation"]: one["url"] for one in entries[2]["resource"]["link"]}
    assert links["next"].startswith(f"{BASE}/Appointment?_cursor=")
    assert "resource" not in entries[9]


def test_scopes_and_reach_hold_for_each_entry(calm: RestApp) -> None:
    own = user_token("patient/Patient.rs", patient="p1")
    entries = batch(calm, "Patient/p1", "Patient/p2", "Appointment/a1", "Patient", token=own)
    assert statuses(entries) == ["200", "404", "403", "200"]
    assert len(entries[3]["resource"]["entry"]) == 1
    rows = calm.audited()
    assert rows[0]["interaction"] == "batch"
    assert {row["interaction"] for row in rows[1:5]} == {"read", "search-type"}
    assert len({row["correlation_id"] for row in rows[:5]}) == 1


def test_conditions_travel_with_an_entry(calm: RestApp) -> None:
    read = calm.get("/Patient/p1", DOCTOR)
    known = {"method": "GET", "url": "Patient/p1", "ifNoneMatch": read.headers["ETag"]}
    later = {"method": "GET", "url": "Patient/p1", "ifModifiedSince": "2999-01-01T00:00:00Z"}
    earlier = {"method": "GET", "url": "Patient/p1", "ifModifiedSince": "1999-01-01T00:00:00Z"}
    entries = batch(calm, known, later, earlier)
    assert statuses(entries) == ["304", "304", "200"]
    assert "resource" not in entries[0]


@pytest.mark.parametrize(
    "url",
    [
        "%61uth/manage",
        "%2561uth/manage",
        "Group/all/%24export",
        "%42inary/1",
        "%2FBinary/1",
        "docs",
        "openapi.json",
    ],
)
def test_no_way_of_writing_leads_where_a_batch_may_not_go(calm: RestApp, url: str) -> None:
    entries = [{"request": {"method": "GET", "url": url}}]
    answer = send(calm, {"resourceType": "Bundle", "type": "batch", "entry": entries})
    (entry,) = answer.json["entry"]
    assert entry["response"]["status"].startswith("400")
    assert "that a batch may ask" in str(entry["response"]["outcome"])


@pytest.mark.parametrize(
    "wanted",
    [
        {"method": "POST", "url": "Patient"},
        {"method": "DELETE", "url": "Patient/p1"},
        {"method": "get", "url": "Patient/p1"},
        {"method": "GET"},
        {"method": "GET", "url": 7},
        {"method": "GET", "url": "https://elsewhere.example/fhir/Patient/p1"},
        {"method": "GET", "url": "//elsewhere.example/Patient"},
        {"method": "GET", "url": "Group/all/$export"},
        {"method": "GET", "url": "bulkstatus/1"},
        {"method": "GET", "url": "auth/manage"},
        {"method": "GET", "url": "../globex/Patient"},
        {"method": "GET", "url": "Patient/p1#x"},
        {"method": "GET", "url": "Patient\nX: y"},
        {"method": "GET", "url": "Patient/p1", "ifModifiedSince": "yesterday"},
        {"method": "GET", "url": ""},
        None,
        "GET Patient/p1",
    ],
)
def test_what_cannot_be_asked_spoils_only_its_own_entry(calm: RestApp, wanted: Any) -> None:
    entries = [{"request": wanted}, {"request": {"method": "GET", "url": "Patient/p1"}}]
    answer = send(calm, {"resourceType": "Bundle", "type": "batch", "entry": entries})
    assert answer.status_code == 200
    first, second = answer.json["entry"]
    if wanted == {"method": "GET", "url": ""}:
        assert first["resource"]["resourceType"] == "Bundle"
    else:
        other = wanted == {"method": "POST", "url": "Patient"} or "DELETE" in str(wanted)
        assert first["response"]["status"][:3] in (("405",) if other else ("400", "404"))
        assert first["response"]["outcome"]["issue"]
    assert second["response"]["status"] == "200 OK"


@pytest.mark.parametrize(
    ("document", "status"),
    [
        ([], 400),
        ({"resourceType": "Patient"}, 400),
        ({"resourceType": "Bundle", "type": "transaction", "entry": []}, 400),
        ({"resourceType": "Bundle", "type": "batch", "entry": {}}, 400),
        ({"resourceType": "Bundle", "type": "batch", "entry": [{}] * (MAX_ENTRIES + 1)}, 413),
        ({"resourceType": "Bundle", "type": "batch"}, 200),
        ({"resourceType": "Bundle", "type": "batch", "entry": [None, 1, {}]}, 200),
    ],
)
def test_the_bundle_itself_is_checked(calm: RestApp, document: Any, status: int) -> None:
    answer = send(calm, document)
    assert answer.status_code == status
    if status != 200:
        assert answer.json["resourceType"] == "OperationOutcome"


def test_the_batch_needs_a_token_and_json(calm: RestApp) -> None:
    document = {"resourceType": "Bundle", "type": "batch"}
    assert send(calm, document, None).status_code == 401
    headers = {"Content-Type": "text/plain"}
    assert calm.request("POST", "/", DOCTOR, headers, data=b"{}").status_code == 415
    headers = {"Content-Type": "application/json"}
    assert calm.request("POST", "/", DOCTOR, headers, data=b"{").status_code == 400
