"""Histories of types and of the system, batches, `$everything`, `$docref`, `$validate` and contents
over plain HTTP, held to what reads and searches tell.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from fhir_facade.fhir.validation.deep import deep_check
from tests.support.demo import RunningDemo
from tests.support.fhir_api import FHIR_JSON, Api, api_of, entries, issue, link

TYPES = ["Appointment", "DiagnosticReport", "Location", "Organization", "Patient", "Practitioner"]
JSON = {"Content-Type": FHIR_JSON}


@pytest.fixture(scope="module")
def api(demo: RunningDemo) -> Api:
    return api_of(demo)


@pytest.fixture(scope="module")
def patient(api: Api) -> str:
    return str(api.contract["patient_id"])


@pytest.fixture(scope="module")
def other(api: Api) -> str:
    return str(api.contract["other_patient_id"])


def walked(api: Api, path: str, who: str = "practitioner") -> list[dict[str, Any]]:
    """Every entry of a Bundle in pages."""
    first = api.get(path, who)
    assert first.status_code == 200, first.text
    return [entry for page in api.pages(first.json(), who) for entry in page.get("entry", [])]


def key(entry: dict[str, Any]) -> tuple[str, str]:
    url, tag = entry["request"]["url"], entry["response"]["etag"]
    return url, tag[3:-1]


# --- histories


@pytest.mark.parametrize("kind", TYPES)
def test_the_history_of_a_type_holds_every_resource_newest_first(api: Api, kind: str) -> None:
    found = walked(api, f"/{kind}/_history?_count=300")
    keys = [key(entry) for entry in found]
    assert len(keys) == len(set(keys))
    instants = [entry["response"]["lastModified"] for entry in found]
    assert instants == sorted(instants, reverse=True)
    latest: dict[str, dict[str, Any]] = {}
    for entry in found:
        latest.setdefault(entry["request"]["url"], entry)
    current = {url for url, one in latest.items() if one["request"]["method"] != "DELETE"}
    assert current == {f"{kind}/{one}" for one in api.ids(kind, "_count=1000")}
    for entry in found[:: max(1, len(found) // 8)]:
        url, version = key(entry)
        answer = api.get(f"/{url}/_history/{version}")
        if entry["request"]["method"] == "DELETE":
            assert answer.status_code == 410
        else:
            assert answer.json() == entry["resource"]


def test_the_history_of_the_system_is_those_of_its_types(api: Api) -> None:
    first = api.get("/_history?_count=700", "patient").json()
    assert deep_check({**first, "entry": first["entry"][:20]}) == []
    everything = walked(api, "/_history?_count=700", "patient")
    of_types = [
        entry
        for resource in api.get("/metadata", None).json()["rest"][0]["resource"]
        if {"code": "history-type"} in resource["interaction"]
        and (answer := api.get(f"/{resource['type']}/_history", "patient")).status_code == 200
        and resource["type"] in STORED_FOR_PATIENTS
        for entry in walked(api, f"/{resource['type']}/_history?_count=700", "patient")
        if answer
    ]
    assert sorted(map(key, everything)) == sorted(map(key, of_types))


STORED_FOR_PATIENTS = {*TYPES, "Binary", "DocumentReference", "Provenance"}


def test_since_and_at_cut_a_history(api: Api) -> None:
    whole = walked(api, "/Appointment/_history?_count=1000")
    instants = sorted({entry["response"]["lastModified"] for entry in whole})
    middle = instants[len(instants) // 2]
    later = walked(api, f"/Appointment/_history?_count=1000&_since={middle.replace('+', '%2B')}")
    assert later == [entry for entry in whole if entry["response"]["lastModified"] >= middle]
    at_end = walked(api, "/Appointment/_history?_count=1000&_at=2100")
    current = {f"Appointment/{one}" for one in api.ids("Appointment", "_count=1000")}
    shown = {e["request"]["url"] for e in at_end if e["request"]["method"] != "DELETE"}
    assert shown == current
    assert walked(api, "/Appointment/_history?_at=1990") == []
    assert walked(api, "/Appointment/_history?_since=2100") == []


@pytest.mark.parametrize(
    "path", ["/Appointment/_history", "/_history", "/DocumentReference/_history"]
)
@pytest.mark.parametrize(
    "query", ["_count=0", "_count=x", "_since=soon", "_at=x", "_sort=_id", "_cursor=x", "status=x"]
)
def test_what_a_history_does_not_take(api: Api, path: str, query: str) -> None:
    issue(api.get(path, params=query), 400)


def test_histories_keep_to_the_reach(api: Api, patient: str, other: str) -> None:
    for entry in walked(api, "/_history?_count=500", "patient"):
        assert f"Patient/{other}" not in json.dumps(entry)
    urls = {entry["request"]["url"] for entry in walked(api, "/Patient/_history", "patient")}
    assert urls == {f"Patient/{patient}"}
    issue(api.get("/Appointment/_history", "narrow"), 403)
    issue(api.get("/_history", None), 401)
    issue(api.get("/Group/_history", "patient"), 403)


# --- batch


def batch(api: Api, *requests: Any, who: str | None = "practitioner") -> Any:
    entry = [{"request": one} for one in requests]
    body = json.dumps({"resourceType": "Bundle", "type": "batch", "entry": entry})
    return api.call("POST", "", who, headers=JSON, body=body)


def get(url: str, **more: str) -> dict[str, str]:
    return {"method": "GET", "url": url, **more}


def test_a_batch_answers_as_each_request_alone_would(api: Api, patient: str, other: str) -> None:
    urls = [
        f"Patient/{patient}",
        f"{api.base}/Patient/{patient}",
        f"Patient/{other}",
        "Patient/nobody",
        "Nothing/1",
        "Observation",
        f"Appointment?patient={patient}&_sort=-date&_count=3",
        f"Patient/{patient}/_history",
        f"Patient/{patient}/_history/1",
        f"Patient/{patient}/$everything?_count=5",
        "Appointment?date=yesterday",
        "metadata",
        "_history?_count=2",
        "?_type=Location",
        "Patient?_has:Appointment:patient:status=booked&_summary=count",
    ]
    answer = batch(api, *map(get, urls), who="patient")
    assert answer.status_code == 200, answer.text
    bundle = answer.json()
    assert bundle["type"] == "batch-response"
    assert len(bundle["entry"]) == len(urls)
    for url, entry in zip(urls, bundle["entry"], strict=True):
        path = url.removeprefix(api.base)
        path = path if path.startswith(("/", "?")) else f"/{path}"
        alone = api.get(path, "patient")
        response = entry["response"]
        assert response["status"].split()[0] == str(alone.status_code), url
        assert response.get("etag") == alone.headers.get("ETag"), url
        if alone.status_code >= 400:
            said = response["outcome"]["issue"][0]
            assert said["details"] == alone.json()["issue"][0]["details"], url
        elif alone.json()["resourceType"] != "Bundle":
            assert entry["resource"] == alone.json(), url
        else:
            pick = ("total", "entry", "type")
            assert [entry["resource"].get(n) for n in pick] == [alone.json().get(n) for n in pick]


def test_conditions_and_methods_of_entries(api: Api, patient: str) -> None:
    tag = api.get(f"/Patient/{patient}").headers["ETag"]
    answer = batch(
        api,
        get(f"Patient/{patient}", ifNoneMatch=tag),
        get(f"Patient/{patient}", ifNoneMatch='W/"999"'),
        get(f"Patient/{patient}", ifModifiedSince="2100-01-01T00:00:00Z"),
        get(f"Patient/{patient}", ifModifiedSince="soon"),
        {"method": "HEAD", "url": f"Patient/{patient}"},
        {"method": "DELETE", "url": f"Patient/{patient}"},
        {"method": "POST", "url": "Patient"},
        {"method": "BREW", "url": "Patient"},
        {"url": "Patient"},
        get(""),
        get("https://elsewhere.example/Patient/1"),
        get("../globex/Patient"),
        get("Group/all-patients/$export"),
        get("auth/token"),
        "Patient/1",
        None,
    )
    found = [entry["response"]["status"].split()[0] for entry in answer.json()["entry"]]
    assert found[:5] == ["304", "200", "304", "400", "200"]
    # An empty url is the search over all types.
    assert found[9] == "200"
    assert all(status.startswith("4") for status in (*found[5:9], *found[10:]))


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ("", JSON, 400),
        ("{", JSON, 400),
        ("[]", JSON, 400),
        ('{"resourceType":"Patient"}', JSON, 400),
        ('{"resourceType":"Bundle","type":"transaction"}', JSON, 400),
        ('{"resourceType":"Bundle","type":"searchset"}', JSON, 400),
        ('{"resourceType":"Bundle"}', JSON, 400),
        ('{"resourceType":"Bundle","type":"batch","entry":{}}', JSON, 400),
        ('{"resourceType":"Bundle","type":"batch","entry":[1]}', JSON, 200),
        ('{"resourceType":"Bundle","type":"batch"}', JSON, 200),
        ('{"resourceType":"Bundle","type":"batch"}', {"Content-Type": "application/json"}, 200),
        ('{"resourceType":"Bundle","type":"batch"}', {"Content-Type": "text/plain"}, 415),
        ("<Bundle/>", {"Content-Type": "application/fhir+xml"}, 415),
    ],
)
def test_what_is_no_batch(api: Api, body: str, headers: dict[str, str], status: int) -> None:
    answer = api.call("POST", "", headers=headers, body=body)
    if status == 200:
        assert answer.status_code == 200
    else:
        issue(answer, status)
    issue(api.call("POST", "", None, headers=headers, body=body), 401)


def test_a_batch_has_an_end(api: Api) -> None:
    issue(batch(api, *[get("Patient/nobody")] * 201), 413)
    many = batch(api, *[get("Patient/nobody")] * 200)
    assert {one["response"]["status"][:3] for one in many.json()["entry"]} == {"404"}


# --- $everything, $docref, Binary


@pytest.mark.parametrize("who", ["practitioner", "patient", "backend"])
def test_everything_is_what_searches_find(api: Api, patient: str, who: str) -> None:
    found = walked(api, f"/Patient/{patient}/$everything?_count=40", who)
    got = {
        f"{one['resource']['resourceType']}/{one['resource']['id']}"
        for one in found
        if one["search"]["mode"] == "match"
    }
    right = {f"Patient/{patient}"}
    for kind in ("Appointment", "DiagnosticReport", "DocumentReference", "Provenance"):
        right |= {f"{kind}/{one}" for one in api.ids(kind, f"patient={patient}&_count=1000", who)}
    assert right <= got
    extra = {one for one in got - right if not one.startswith(("Provenance/", "Binary/"))}
    assert not extra
    kinds = {one["resource"]["resourceType"] for one in found if one["search"]["mode"] == "include"}
    assert kinds <= {"Location", "Organization", "Practitioner"}
    assert "Location" in kinds


def test_everything_in_other_ways(api: Api, patient: str, other: str) -> None:
    path = f"/Patient/{patient}/$everything"
    whole = walked(api, path)
    posted = api.call("POST", path, headers=JSON, body="")
    assert posted.json()["entry"] == api.get(path).json()["entry"]
    body = {
        "resourceType": "Parameters",
        "parameter": [{"name": "_type", "valueString": "Appointment"}],
    }
    of_type = api.call("POST", path, headers=JSON, body=json.dumps(body)).json()
    assert {one["resourceType"] for one in entries(of_type)} == {"Appointment"}
    assert walked(api, f"{path}?_since=2100") == []
    for page_size in ("1", "7"):
        paged = walked(api, f"{path}?_count={page_size}")
        assert [e for e in paged if e["search"]["mode"] == "match"] == [
            e for e in whole if e["search"]["mode"] == "match"
        ]
    issue(api.get(f"/Patient/{other}/$everything", "patient"), 404)
    issue(api.get("/Patient/nobody/$everything"), 404)
    issue(api.get(path, None), 401)
    issue(api.get(f"{path}?_type=Nothing"), 404)
    issue(api.get(f"{path}?nonsense=1"), 400)
    issue(api.get(f"{path}?start=soon"), 400)
    issue(api.call("PUT", path, headers=JSON, body="{}"), 405)


def test_docref_and_contents(api: Api) -> None:
    documents = entries(api.search("DocumentReference", "_count=50"))
    assert documents
    patient = documents[0]["subject"]["reference"].partition("/")[2]
    found = api.get(f"/DocumentReference/$docref?patient={patient}").json()
    right = api.ids("DocumentReference", f"patient={patient}&status=current&_count=1000")
    assert sorted(one["id"] for one in entries(found)) == sorted(right)
    issue(api.get("/DocumentReference/$docref"), 400)
    issue(api.get("/DocumentReference/$docref?patient=x&nonsense=1"), 400)
    issue(api.get(f"/DocumentReference/$docref?patient={patient}", None), 401)
    attachment = documents[0]["content"][0]["attachment"]
    path = attachment["url"].removeprefix(f"{api.base}/")
    raw = api.get(f"/{path}", headers={"Accept": "*/*"})
    assert raw.status_code == 200, raw.text
    assert raw.headers["Content-Type"].partition(";")[0] == attachment["contentType"]
    part = api.get(f"/{path}", headers={"Accept": "*/*", "Range": "bytes=2-5"})
    assert (part.status_code, part.content) == (206, raw.content[2:6])
    resource = api.get(f"/{path}", headers={"Accept": FHIR_JSON}).json()
    assert resource["resourceType"] == "Binary"
    assert resource["contentType"] == attachment["contentType"]
    issue(api.get(f"/{path}", None), 401)
    issue(api.get(f"/{path}x"), 404)


# --- $validate


@pytest.mark.parametrize(
    ("change", "severity"),
    [
        ({}, "information"),
        ({"gender": "sometimes"}, "error"),
        ({"birthDate": "1980-13-01"}, "error"),
        ({"shoe": 9}, "error"),
        ({"name": {"family": "X"}}, "error"),
    ],
)
def test_validate_judges_and_keeps_nothing(
    api: Api, patient: str, change: dict[str, Any], severity: str
) -> None:
    resource = api.get(f"/Patient/{patient}").json()
    resource.pop("id")
    before = api.search("Patient", "_summary=count")["total"]
    body = json.dumps({**resource, **change})
    answer = api.call("POST", "/Patient/$validate", headers=JSON, body=body)
    assert answer.status_code == 200, answer.text
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    assert severity in {one["severity"] for one in outcome["issue"]}
    assert ("error" in {one["severity"] for one in outcome["issue"]}) == (severity == "error")
    assert api.search("Patient", "_summary=count")["total"] == before


def test_every_page_link_stays_on_its_path(api: Api, patient: str) -> None:
    for path in (
        "/Appointment/_history?_count=1",
        "/_history?_count=1",
        f"/Patient/{patient}/$everything?_count=1",
        "?_type=Patient,Location&_count=1",
    ):
        following = link(api.get(path).json(), "next")
        assert following is not None, path
        assert following.partition("?")[0] == f"{api.base}{path.partition('?')[0]}"
        cursor = following.partition("?")[2]
        issue(api.get("/Location", params=cursor), 400)
        issue(api.get(following, "patient"), 400)
