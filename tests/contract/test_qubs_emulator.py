"""The emulator is held to the OpenAPI document: every operation, status, schema and member, in
requests and answers both. The tests of one module share one emulator and one count."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

import sandbox.qubs
from sandbox.qubs.settings import ServiceSettings, default_clients
from sandbox.qubs.vocabulary import PENDING, STATUSES
from tests.support.openapi import Contract
from tests.support.qubs import CLIENT_ID, CLIENT_SECRET, QubsCaller, Running, emulator_thread

DOCUMENT = Path(sandbox.qubs.__file__).with_name("openapi.yaml")
CONTRACT = Contract(DOCUMENT)
SITE = "Ōrākei Radiology"
POSTS: dict[str, dict[str, Any]] = {
    "integrations_creatependingreportingappointmentcomment": {
        "commentText": "Report sent to referrer.",
        "commentType": "AC",
        "isAlert": False,
        "commentDateTime": "2026-11-20T03:04:05Z",
    },
    "integrations_creatependingreportingappointmentreportattachments": {
        "items": [{"fileName": "report.pdf", "contentType": "application/pdf"}]
    },
    "integrations_submitpendingreportingappointmentreport": {
        "reportText": "No acute abnormality detected.\r\n",
        "reportStatus": "Preliminary",
        "reportedAtUtc": "2026-11-20T03:04:05Z",
        "interpretingClinician": {},
    },
}
DOMAIN_OPERATIONS = sorted(set(CONTRACT.operations) - {"oauth2_token"})


@pytest.fixture(scope="module")
def emulator() -> Iterator[Running]:
    service = ServiceSettings(
        default_clients(), patient_list=True, refresh_tokens=True, id_tokens=True
    )
    with emulator_thread(service=service) as running:
        yield running


@pytest.fixture(scope="module")
def caller(emulator: Running) -> Iterator[QubsCaller]:
    with QubsCaller(emulator.url) as session:
        yield session


@pytest.fixture(scope="module")
def known(emulator: Running, caller: QubsCaller) -> dict[str, str]:
    """Values for the path parameters that lead to real records."""
    rows = caller.api("acme", "/reporting/appointments/pending").json()["items"]
    found: dict[str, str] = {"domain": "acme", "siteName": SITE, "status": PENDING}
    for row in rows:
        base = f"/appointments/{row['appointmentId']}"
        comments = caller.api("acme", base + "/comments").json()
        attachments = caller.api("acme", base + "/attachments").json()
        if comments and attachments and row.get("patientId"):
            return found | {
                "appointmentId": row["appointmentId"],
                "patientId": row["patientId"],
                "commentGuid": comments[0]["guid"],
                "attachmentGuid": attachments[0]["guid"],
            }
    raise AssertionError("the demo world has no pending appointment with comments and attachments")


def _url(emulator: Running, operation_id: str, values: dict[str, str]) -> str:
    path = CONTRACT.operations[operation_id][1]
    for name, value in values.items():
        path = path.replace("{" + name + "}", quote(value, safe=""))
    return emulator.url + path


def call(
    emulator: Running,
    session: requests.Session,
    operation_id: str,
    values: dict[str, str],
    **options: Any,
) -> requests.Response:
    """One call, its answer held to the document."""
    method = CONTRACT.operations[operation_id][0]
    if method == "post" and not {"json", "data"} & set(options):
        options["json"] = POSTS[operation_id]
    url = _url(emulator, operation_id, values)
    response = session.request(method, url, timeout=30, **options)
    CONTRACT.hold_answer(operation_id, response)
    return response


@pytest.mark.parametrize("operation_id", DOMAIN_OPERATIONS)
def test_each_operation_answers_and_echoes_the_correlation_id(
    emulator: Running, caller: QubsCaller, known: dict[str, str], operation_id: str
) -> None:
    response = call(
        emulator, caller, operation_id, known, headers={"X-Correlation-Id": "4b7f0a91b4f54f2a"}
    )
    assert response.status_code == 200
    assert response.headers["X-Correlation-Id"] == "4b7f0a91b4f54f2a"
    CONTRACT.hold_request(operation_id, response)
    assert CONTRACT.operation_of(response.request.method or "", _path(response)) == operation_id


def _path(response: requests.Response) -> str:
    return requests.utils.urlparse(response.request.url).path


@pytest.mark.parametrize("operation_id", DOMAIN_OPERATIONS)
def test_each_operation_refuses_in_every_declared_way(
    emulator: Running, caller: QubsCaller, known: dict[str, str], operation_id: str
) -> None:
    headers = {"X-Correlation-Id": "x" * 129}
    assert call(emulator, caller, operation_id, known, headers=headers).status_code == 400
    with requests.Session() as nobody:
        refused = call(emulator, nobody, operation_id, known)
        assert refused.status_code == 401
        assert refused.headers["X-Correlation-Id"]
        assert refused.json()["requestId"]
        torn = call(emulator, nobody, operation_id, known, headers={"Authorization": "Bearer x.y"})
        assert torn.status_code == 401
    with QubsCaller(emulator.url, "sandbox-acme") as other:
        foreign = known | {"domain": "zenith"}
        assert call(emulator, other, operation_id, foreign).status_code == 403
    with QubsCaller(emulator.url, "sandbox-elsewhere") as lost:
        assert call(emulator, lost, operation_id, known | {"domain": "nowhere"}).status_code == 404
    for status in (429, 500):
        emulator.control.add_fault(
            "status", operation=operation_id, status=status, retry_after="5", count=1
        )
        failed = call(emulator, caller, operation_id, known)
        assert (failed.status_code, failed.headers["Retry-After"]) == (status, "5")


@pytest.mark.parametrize("operation_id", sorted(POSTS))
def test_a_key_used_with_another_payload_is_a_conflict(
    emulator: Running, caller: QubsCaller, known: dict[str, str], operation_id: str
) -> None:
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    first = call(emulator, caller, operation_id, known, headers=headers)
    again = call(emulator, caller, operation_id, known, headers=headers)
    assert first.status_code == 200
    assert first.content == again.content
    other = {**POSTS[operation_id], "more": 1}
    conflict = call(emulator, caller, operation_id, known, headers=headers, json=other)
    assert conflict.status_code == 409


MISSING_RECORDS = [
    (operation_id, name)
    for operation_id in DOMAIN_OPERATIONS
    for name in CONTRACT.parameters(operation_id, "path")
    if name not in ("domain", "status")
]


@pytest.mark.parametrize(("operation_id", "name"), MISSING_RECORDS)
def test_an_unknown_record_is_not_found(
    emulator: Running, caller: QubsCaller, known: dict[str, str], operation_id: str, name: str
) -> None:
    for value in ("A999999", "0", "ghost", "ed6ef45a-4e3d-41b2-8049-7aec53bb9ab1", "\u0663"):
        response = call(emulator, caller, operation_id, known | {name: value})
        assert response.status_code == 404


def _wrong_values(schema: dict[str, Any]) -> list[str]:
    schema = CONTRACT.resolve(schema)
    wrong = ["", "x\u00e9"]
    if "minimum" in schema:
        wrong += [str(schema["minimum"] - 1), str(schema["maximum"] + 1), "1.5", "9" * 30]
    if schema.get("format") == "date":
        wrong += ["01-01-2025", "2025-02-30", "20250101", "2025-W01-1"]
    return wrong


QUERY_PARAMETERS = [
    (operation_id, name)
    for operation_id in DOMAIN_OPERATIONS
    for name, parameter in CONTRACT.parameters(operation_id, "query").items()
    if {"minimum", "enum"} & set(parameter["schema"]) or parameter["schema"].get("format")
]


@pytest.mark.parametrize(("operation_id", "name"), QUERY_PARAMETERS)
def test_a_query_value_outside_its_schema_is_refused(
    emulator: Running, caller: QubsCaller, known: dict[str, str], operation_id: str, name: str
) -> None:
    schema = CONTRACT.parameters(operation_id, "query")[name]["schema"]
    for value in _wrong_values(schema):
        response = call(emulator, caller, operation_id, known, params={name: value})
        assert response.status_code == 400, value
    for value in {schema.get("minimum"), schema.get("maximum"), *schema.get("enum", ())} - {None}:
        response = call(emulator, caller, operation_id, known, params={name: value})
        assert response.status_code == 200, value


def test_every_status_is_listed_and_others_are_refused(
    emulator: Running, caller: QubsCaller, known: dict[str, str]
) -> None:
    operations = [each for each in DOMAIN_OPERATIONS if "{status}" in CONTRACT.operations[each][1]]
    assert len(operations) == 3
    for operation_id in operations:
        for status in STATUSES:
            page = call(emulator, caller, operation_id, known | {"status": status}).json()
            assert all(row["status"] == status for row in page["items"])
        for status in ("APPOINTMENT CANCELLED", "finalised", "FINALISED "):
            response = call(emulator, caller, operation_id, known | {"status": status})
            assert response.status_code == 400


BODIES: dict[str, tuple[list[Any], list[Any]]] = {
    "integrations_creatependingreportingappointmentcomment": (
        [
            {"commentText": "x"},
            {"commentText": "x", "commentType": None, "isAlert": None, "commentDateTime": None},
            {"commentText": "x", "commentType": "PA", "isAlert": True},
        ],
        [
            {},
            {"commentText": ""},
            {"commentText": None},
            {"commentText": 1},
            {"commentText": "x", "commentType": "XX"},
            {"commentText": "x", "commentType": 1},
            {"commentText": "x", "isAlert": "yes"},
            {"commentText": "x", "commentDateTime": "yesterday"},
            {"commentText": "x", "commentDateTime": 5},
            [],
            "x",
            None,
        ],
    ),
    "integrations_creatependingreportingappointmentreportattachments": (
        [
            {"items": [{"fileName": "a"}]},
            {"items": [{"fileName": "b" * 255, "contentType": None}]},
            {
                "items": [
                    {"fileName": f"{n}.dcm", "contentType": "application/dicom"} for n in range(20)
                ]
            },
        ],
        [
            {},
            {"items": []},
            {"items": [{"fileName": "c"}] * 21},
            {"items": [{"fileName": ""}]},
            {"items": [{"fileName": "d" * 256}]},
            {"items": [{"contentType": "application/pdf"}]},
            {"items": [{"fileName": "e", "contentType": "text/plain"}]},
            {"items": ["f"]},
            {"items": {"fileName": "g"}},
        ],
    ),
    "integrations_submitpendingreportingappointmentreport": (
        [
            {"reportText": "x", "reportStatus": "FINAL"},
            {"reportText": "x", "reportStatus": "preliminary", "reportedAtUtc": None},
            {"reportText": "é\n", "reportStatus": "final", "interpretingClinician": None},
        ],
        [
            {},
            {"reportText": "x"},
            {"reportStatus": "final"},
            {"reportText": "", "reportStatus": "final"},
            {"reportText": 1, "reportStatus": "final"},
            {"reportText": "x", "reportStatus": "done"},
            {"reportText": "x", "reportStatus": "final", "reportedAtUtc": "2026-13-01T00:00:00Z"},
            {"reportText": "x", "reportStatus": "final", "interpretingClinician": "Dr X"},
        ],
    ),
}


@pytest.mark.parametrize("operation_id", sorted(POSTS))
def test_bodies_are_taken_and_refused_as_their_schema_says(
    emulator: Running, caller: QubsCaller, known: dict[str, str], operation_id: str
) -> None:
    body = CONTRACT.operations[operation_id][2]["requestBody"]
    schema = body["content"]["application/json"]["schema"]
    good, bad = BODIES[operation_id]
    for payload in [*good, body["content"]["application/json"]["example"]]:
        assert not CONTRACT.problems(schema, payload)
        response = call(emulator, caller, operation_id, known, json=payload)
        assert response.status_code == 200
        CONTRACT.hold_request(operation_id, response)
    for payload in bad:
        assert CONTRACT.problems(schema, payload)
        response = call(emulator, caller, operation_id, known, **_sent_as(json.dumps(payload)))
        assert response.status_code == 400, payload
    for text, content_type in (("{", "application/json"), ("{}", "text/plain")):
        response = call(emulator, caller, operation_id, known, **_sent_as(text, content_type))
        assert response.status_code == 400


def _sent_as(text: str, content_type: str = "application/json") -> dict[str, Any]:
    return {"data": text, "headers": {"Content-Type": content_type}}


@pytest.mark.parametrize("key", ["k" * 129, "", "k\u00e9"])
def test_a_bad_idempotency_key_is_refused(
    emulator: Running, caller: QubsCaller, known: dict[str, str], key: str
) -> None:
    for operation_id in POSTS:
        headers = {"Idempotency-Key": key.encode("latin-1")}
        response = call(emulator, caller, operation_id, known, headers=headers)
        assert response.status_code == 400


def test_the_token_service_keeps_its_schemas(emulator: Running) -> None:
    form = {
        "grant_type": "client_credentials",
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
    }
    schema = CONTRACT.operations["oauth2_token"][2]["requestBody"]["content"][
        "application/x-www-form-urlencoded"
    ]["schema"]

    def ask(fields: dict[str, str]) -> requests.Response:
        response = requests.post(f"{emulator.url}/oauth2/token", data=fields, timeout=30)
        CONTRACT.hold_answer("oauth2_token", response)
        return response

    CONTRACT.hold(schema, form)
    granted = ask(form)
    assert granted.json()["token_type"] == "Bearer"
    assert granted.json()["expires_in"] == 3600
    exchange = {
        "grant_type": "refresh_token",
        "client_id": CLIENT_ID,
        "refresh_token": granted.json()["refresh_token"],
    }
    CONTRACT.hold(schema, exchange)
    assert ask(exchange).status_code == 200
    assert ask({**form, "client_secret": "wrong"}).json()["error"] == "invalid_client"
    assert ask({**form, "client_secret": "wrong"}).status_code == 401
    assert ask({**form, "client_id": "ghost"}).status_code == 401
    assert ask({**form, "grant_type": "password"}).json()["error"] == "unsupported_grant_type"
    assert ask({**exchange, "refresh_token": "x"}).json()["error"] == "invalid_grant"


def _all_rows(caller: QubsCaller, path: str) -> Iterator[dict[str, Any]]:
    skip = 0
    while True:
        response = caller.api("acme", path, params={"skip": skip, "take": 500})
        CONTRACT.hold_answer(CONTRACT.operation_of("GET", _path(response)), response)
        rows = response.json()
        yield from rows
        skip += 500
        if len(rows) < 500:
            return


def test_the_whole_demo_world_keeps_the_schemas(emulator: Running, caller: QubsCaller) -> None:
    emulator.control.change("site", "acme", SITE, patientIds=True)
    rows = list(_all_rows(caller, "/appointments/operational"))
    assert len(rows) == 2000
    assert {row["status"] for row in rows} == set(STATUSES)
    assert len(list(_all_rows(caller, "/patients"))) == 300
    for path in ("/appointments/referrer", "/appointments/referrer/operational"):
        assert 0 < len(list(_all_rows(caller, path))) < 2000
    for row in rows[:120]:
        for tail in ("comments", "attachments", "billing"):
            response = caller.api("acme", f"/appointments/{row['appointmentId']}/{tail}")
            CONTRACT.hold_answer(CONTRACT.operation_of("GET", _path(response)), response)
    for site in caller.api("acme", "/sites").json():
        for tail in ("/settings", "/exam-codes", "/staff-skills"):
            response = caller.api("acme", f"/sites/{quote(site['siteName'], safe='')}{tail}")
            CONTRACT.hold_answer(CONTRACT.operation_of("GET", _path(response)), response)


def test_the_legacy_worklist_keeps_its_schema(emulator: Running, caller: QubsCaller) -> None:
    emulator.control.change_settings(legacy_pending=True)
    try:
        items = caller.api("acme", "/reporting/appointments/pending").json()["items"]
    finally:
        emulator.control.change_settings(legacy_pending=False)
    assert items
    for item in items:
        CONTRACT.hold({"$ref": "#/components/schemas/LegacyClinicalAppointment"}, item)


def test_every_operation_status_schema_and_member_is_exercised(
    emulator: Running, caller: QubsCaller, known: dict[str, str]
) -> None:
    CONTRACT.forget()
    for operation_id in DOMAIN_OPERATIONS:
        test_each_operation_answers_and_echoes_the_correlation_id(
            emulator, caller, known, operation_id
        )
        test_each_operation_refuses_in_every_declared_way(emulator, caller, known, operation_id)
    for operation_id in POSTS:
        test_a_key_used_with_another_payload_is_a_conflict(emulator, caller, known, operation_id)
    test_every_status_is_listed_and_others_are_refused(emulator, caller, known)
    test_the_token_service_keeps_its_schemas(emulator)
    test_the_whole_demo_world_keeps_the_schemas(emulator, caller)
    test_the_legacy_worklist_keeps_its_schema(emulator, caller)
    for operation_id, (_, _, operation) in CONTRACT.operations.items():
        declared = {int(status) for status in operation["responses"]}
        assert CONTRACT.exercised[operation_id] == declared, operation_id
    schemas = CONTRACT.document["components"]["schemas"]
    assert set(schemas) - CONTRACT.schemas == set()
    wanted = {
        (name, member)
        for name, schema in schemas.items()
        for member in schema.get("properties", {})
        if name not in ("LegacyClinicalAppointment", "ProblemDetails")
    }
    assert wanted - CONTRACT.members == set()
