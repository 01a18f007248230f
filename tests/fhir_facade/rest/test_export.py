"""Exports over HTTP: headers, status codes and files as Bulk Data has them."""

from __future__ import annotations

import json

import pytest
from werkzeug.test import TestResponse

from fhir_facade.fhir.validation import deep_check
from fhir_facade.mirror.groups import GroupDefinition, GroupStore, listed
from tests.support.exports import run_all
from tests.support.rest_app import RestApp, base_of
from tests.support.tokens import backend_token, user_token

BACKEND = backend_token("system/*.rs", groups={"g1"})
ASYNC = {"Accept": "application/fhir+json", "Prefer": "respond-async"}


@pytest.fixture
def hospital(rest: RestApp) -> RestApp:
    """The hospital with a group of two patients."""
    store = GroupStore(rest.database)
    store.define("acme", GroupDefinition("g1", "Some", "listed", members=listed(("p1", "p2"))))
    store.refresh("acme")
    return rest


def local(url: str) -> str:
    assert url.startswith(base_of("acme") + "/")
    return url.removeprefix(base_of("acme"))


def kick_off(rest: RestApp, path: str = "/Group/g1/$export") -> TestResponse:
    return rest.get(path, BACKEND, headers=ASYNC)


def test_from_kick_off_to_files_to_cancel(hospital: RestApp) -> None:
    accepted = kick_off(hospital)
    assert accepted.status_code == 202
    location = accepted.headers["Content-Location"]
    assert location.startswith(f"{base_of('acme')}/bulkstatus/")
    assert accepted.json is not None
    assert f'"{location}"' in accepted.json["issue"][0]["diagnostics"]
    assert deep_check(accepted.json) == []

    waiting = hospital.get(local(location), BACKEND)
    assert waiting.status_code == 202
    assert len(waiting.headers["X-Progress"]) < 100
    assert 1 <= int(waiting.headers["Retry-After"]) <= 300

    run_all(hospital.bulk)
    done = hospital.get(local(location), BACKEND)
    assert done.status_code == 200
    assert done.content_type == "application/json"
    assert done.headers["Expires"].endswith("GMT")
    manifest = done.json
    assert manifest is not None
    assert manifest["request"] == f"{base_of('acme')}/Group/g1/$export"
    assert manifest["requiresAccessToken"] is True
    found: dict[str, list[str]] = {}
    for item in manifest["output"]:
        got = hospital.get(local(item["url"]), BACKEND)
        assert got.status_code == 200
        assert got.content_type == "application/fhir+ndjson"
        assert got.headers["Accept-Ranges"] == "bytes"
        assert got.headers["Access-Control-Allow-Origin"] == "*"
        lines = [json.loads(line) for line in got.data.splitlines()]
        assert len(lines) == item["count"]
        found.setdefault(item["type"], []).extend(line["id"] for line in lines)
    assert found["Patient"] == ["p1", "p2"]
    assert found["Appointment"] == ["a1", "a2", "a6", "a7"]

    cancelled = hospital.request("DELETE", local(location), BACKEND)
    assert cancelled.status_code == 202
    assert cancelled.json is not None
    assert "Export request has been cancelled." in str(cancelled.json)
    for path in (location, manifest["output"][0]["url"]):
        after = hospital.get(local(path), BACKEND)
        assert after.status_code == 404
        assert after.json is not None
        assert after.json["resourceType"] == "OperationOutcome"
    assert hospital.request("DELETE", local(location), BACKEND).status_code == 404
    kinds = {row["interaction"] for row in hospital.audited()}
    assert kinds >= {"export", "export-file", "export-cancel"}


def test_a_file_is_served_by_ranges(hospital: RestApp) -> None:
    location = local(
        kick_off(hospital, "/Group/g1/$export?_type=Patient").headers["Content-Location"]
    )
    run_all(hospital.bulk)
    manifest = hospital.get(location, BACKEND).json
    assert manifest is not None
    assert manifest["request"].endswith("/Group/g1/$export?_type=Patient")
    (item,) = manifest["output"]
    path = local(item["url"])
    whole = hospital.get(path, BACKEND)
    tag = whole.headers["ETag"]
    part = hospital.get(path, BACKEND, headers={"Range": "bytes=5-", "If-Range": tag})
    assert part.status_code == 206
    assert part.data == whole.data[5:]
    stale = hospital.get(path, BACKEND, headers={"Range": "bytes=5-", "If-Range": '"other"'})
    assert stale.status_code == 200
    assert hospital.get(path, BACKEND, headers={"If-None-Match": tag}).status_code == 304
    assert hospital.get(path, BACKEND, headers={"Range": "bytes=999999-"}).status_code == 416
    head = hospital.request("HEAD", path, BACKEND)
    assert head.headers["Content-Length"] == str(len(whole.data))
    narrow = backend_token("system/Appointment.rs", groups={"g1"})
    assert hospital.get(path, narrow).status_code == 403


def test_foreign_clients_and_tenants_see_nothing(hospital: RestApp) -> None:
    location = local(kick_off(hospital).headers["Content-Location"])
    other = backend_token("system/*.rs", groups={"g1"}, client_id="other")
    assert hospital.get(location, other).status_code == 404
    assert hospital.request("DELETE", location, other).status_code == 404
    elsewhere = backend_token("system/*.rs", groups={"g1"}, tenant="globex")
    assert hospital.get(location, elsewhere, tenant="globex").status_code == 404
    assert hospital.get("/Group/g2/$export", BACKEND, headers=ASYNC).status_code == 404
    person = user_token("user/*.rs")
    assert hospital.get("/Group/g1/$export", person, headers=ASYNC).status_code == 403


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        ("", None, 202),
        (
            '{"resourceType":"Parameters","parameter":[{"name":"_type","valueString":"Patient"}]}',
            "application/fhir+json",
            202,
        ),
        ('{"resourceType":"Patient"}', "application/fhir+json", 400),
        ("[]", "application/json", 400),
        ("{", "application/json", 400),
        ("_type=Patient", "application/x-www-form-urlencoded", 415),
    ],
)
def test_kick_off_by_post(
    hospital: RestApp, body: str, content_type: str | None, status: int
) -> None:
    answer = hospital.request(
        "POST", "/Group/g1/$export", BACKEND, ASYNC, data=body, content_type=content_type
    )
    assert answer.status_code == status, answer.data


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/Group/g1/$export?_type=Nonsense", ASYNC, 400),
        ("/Group/g1/$export?_since=yesterday", ASYNC, 400),
        ("/Group/g1/$export?colour=red", ASYNC, 400),
        ("/Group/g1/$export?_outputFormat=csv", ASYNC, 400),
        ("/Group/g1/$export", {"Accept": "application/fhir+json", "Prefer": "x"}, 400),
    ],
)
def test_refusals(hospital: RestApp, path: str, headers: dict[str, str], status: int) -> None:
    assert hospital.get(path, BACKEND, headers=headers).status_code == status
