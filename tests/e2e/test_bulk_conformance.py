"""Bulk Data over plain HTTP: kick-off, status, manifest, files, cancel, and who may have what.

Bulk Data Access 2.0 and the decisions of the project's design; `test_delta_conformance` has
`_since` with real changes.
"""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
import json
import re
from collections import Counter
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from fhir_facade.fhir.references import iter_references
from fhir_facade.fhir.validation.deep import deep_check
from fhir_facade.fhir.validation.fast import fast_check
from tests.support.demo import RunningDemo
from tests.support.fhir_api import FHIR_JSON, Api, Exported, api_of, entries, issue

NDJSON = "application/fhir+ndjson"
TYPES = {
    "Appointment",
    "DiagnosticReport",
    "DocumentReference",
    "Group",
    "Location",
    "Organization",
    "Patient",
    "Practitioner",
    "Provenance",
}
LENIENT = {"Prefer": "respond-async, handling=lenient"}
STRICT = {"Prefer": "respond-async, handling=strict"}


@pytest.fixture(scope="module")
def api(demo: RunningDemo) -> Api:
    return api_of(demo)


@pytest.fixture(scope="module")
def whole(api: Api) -> Exported:
    """An export of everything, by the client `backend`."""
    return api.export()


def cancelled(api: Api, accepted: Any, who: str = "backend") -> None:
    """Give a job up at once, so that the limit of running jobs is never met."""
    assert accepted.status_code == 202, accepted.text
    assert api.call("DELETE", accepted.headers["Content-Location"], who).status_code == 202


# --- kick-off


def test_the_answer_to_a_kickoff(api: Api) -> None:
    accepted = api.kickoff()
    assert accepted.status_code == 202
    where = accepted.headers["Content-Location"]
    assert re.fullmatch(re.escape(api.base) + "/bulkstatus/[0-9a-f]{32}", where)
    assert accepted.headers["Content-Type"] == FHIR_JSON
    outcome = accepted.json()
    assert outcome["resourceType"] == "OperationOutcome"
    assert outcome["issue"][0]["severity"] == "information"
    assert outcome["issue"][0]["code"] == "processing"
    assert f'"{where}"' in outcome["issue"][0]["diagnostics"]
    assert deep_check(outcome) == []
    cancelled(api, accepted)


HEADERS: list[tuple[dict[str, str], int]] = [
    ({}, 202),
    ({"Accept": "*/*"}, 202),
    ({"Accept": "application/json"}, 202),
    ({"Accept": "application/fhir+json;q=0.5, text/html;q=0.1"}, 202),
    ({"Accept": ""}, 202),
    ({"Accept": "text/html"}, 400),
    ({"Accept": "application/fhir+xml"}, 400),
    ({"Accept": "application/fhir+ndjson"}, 400),
    ({"Accept": "application/fhir+json;q=0"}, 400),
    ({"Prefer": "respond-async"}, 202),
    ({"Prefer": "Respond-Async"}, 202),
    ({"Prefer": "respond-async, handling=lenient"}, 202),
    ({"Prefer": "handling=strict, respond-async"}, 202),
    ({"Prefer": "respond-async; handling=lenient"}, 202),
    ({"Prefer": "respond-async, wait=10"}, 202),
    ({"Prefer": "return=minimal"}, 400),
    ({"Prefer": "respond-sync"}, 400),
    ({"Prefer": "respond-async, handling=whatever"}, 400),
]


@pytest.mark.parametrize(("headers", "status"), HEADERS)
def test_kickoff_headers(api: Api, headers: dict[str, str], status: int) -> None:
    accepted = api.kickoff(headers=headers)
    if status == 202:
        cancelled(api, accepted)
    else:
        issue(accepted, status)


def test_absent_headers_count_as_given(api: Api) -> None:
    status, headers, _ = api.raw(
        "GET",
        f"/Group/{api.contract['group_id']}/$export",
        {"Authorization": f"Bearer {api.token('backend')}"},
    )
    assert status == 202
    assert api.call("DELETE", headers["Content-Location"], "backend").status_code == 202


PARAMETERS = [
    ("", 202),
    ("_outputFormat=application/fhir%2Bndjson", 202),
    ("_outputFormat=application/fhir+ndjson", 202),
    ("_outputFormat=application/ndjson", 202),
    ("_outputFormat=ndjson", 202),
    ("_outputFormat=NDJSON", 202),
    ("_outputFormat=text/csv", 400),
    ("_outputFormat=application/fhir%2Bjson", 400),
    ("_outputFormat=", 400),
    ("_outputFormat=ndjson&_outputFormat=ndjson", 400),
    ("_type=Patient", 202),
    ("_type=Patient,Appointment", 202),
    ("_type=Patient&_type=Appointment", 202),
    ("_type=Patient%2CAppointment", 202),
    ("_type=Patient,Patient", 202),
    ("_type=Patient,Observation", 202),
    ("_type=Foo", 400),
    ("_type=Patient,Foo", 400),
    ("_type=patient", 400),
    ("_type=", 400),
    ("_type=Patient,,Appointment", 400),
    ("_type=Observation", 400),
    ("_type=ConceptMap", 400),
    ("_since=2020-01-01T00:00:00Z", None),
    ("_since=2020", None),
    ("_since=2099-01-01T00:00:00Z", 400),
    ("_since=yesterday", 400),
    ("_since=1668509577760", 400),
    ("_since=", 400),
    ("_since=2020-01-01&_since=2020-01-02", 400),
    ("_until=2020-01-01", 400),
    ("_elements=id", 400),
    ("_typeFilter=Patient%3Fgender%3Dmale", 400),
    ("includeAssociatedData=LatestProvenanceResources", 400),
    ("patient=Patient/1", 400),
    ("organizeOutputBy=Patient", 400),
    ("allowPartialManifests=true", 400),
    ("nonsense=1", 400),
    ("_TYPE=Patient", 400),
    ("_type=%ff", 400),
    ("_type=Patient%00", 400),
    ("_format=json", 202),
    ("_format=xml", 400),
]


@pytest.mark.parametrize(("query", "status"), PARAMETERS)
def test_kickoff_parameters(api: Api, query: str, status: int | None) -> None:
    accepted = api.kickoff(query)
    # What lies before the first revision may be known in full, or too far back: never an error
    # of another kind.
    if accepted.status_code == 202 and status in (202, None):
        cancelled(api, accepted)
    else:
        found = issue(accepted, status or 400)
        assert found["code"] in ("invalid", "not-supported")


@pytest.mark.parametrize(
    "query",
    [
        "nonsense=1",
        "_elements=id",
        "_typeFilter=Patient%3Fgender%3Dmale",
        "includeAssociatedData=LatestProvenanceResources",
        "patient=Patient/1",
        "organizeOutputBy=Patient",
        "_until=2020-01-01",
    ],
)
def test_lenient_handling_names_in_the_error_file_what_it_left_out(api: Api, query: str) -> None:
    issue(api.kickoff(query, headers=STRICT), 400)
    made = api.export(f"_type=Organization&{query}", headers=LENIENT)
    outcomes = [one for _, one in made.lines("error")]
    assert [one["resourceType"] for one in outcomes] == ["OperationOutcome"]
    name = query.partition("=")[0]
    assert name in outcomes[0]["issue"][0]["details"]["text"]
    assert outcomes[0]["issue"][0]["severity"] in ("warning", "information")
    assert deep_check(outcomes[0]) == []
    assert "Patient/1" not in json.dumps(outcomes)


def test_lenient_handling_forgives_no_bad_value(api: Api) -> None:
    for query in ("_since=yesterday", "_type=Foo", "_outputFormat=csv"):
        issue(api.kickoff(query, headers=LENIENT), 400)


def test_types_that_cannot_be_had_are_named(api: Api) -> None:
    issue(api.kickoff("_type=Patient,Observation", headers=STRICT), 400)
    made = api.export("_type=Organization,Observation,ConceptMap")
    assert {item["type"] for item in made.manifest["output"]} == {"Organization"}
    texts = [one["issue"][0]["details"]["text"] for _, one in made.lines("error")]
    assert len(texts) == 2
    assert any("Observation" in text for text in texts)
    assert any("ConceptMap" in text for text in texts)


# POST


def parameters(*pairs: tuple[str, str, str]) -> str:
    return json.dumps(
        {
            "resourceType": "Parameters",
            "parameter": [{"name": name, f"value{kind}": value} for name, kind, value in pairs],
        }
    )


POSTS: list[tuple[str, str, str, int]] = [
    ("", FHIR_JSON, parameters(), 202),
    ("", "application/json", parameters(("_type", "String", "Patient")), 202),
    ("", FHIR_JSON, parameters(("_type", "String", "Patient,Appointment")), 202),
    ("", FHIR_JSON, parameters(("_type", "Code", "Patient"), ("_type", "Code", "Group")), 202),
    ("", FHIR_JSON, parameters(("_outputFormat", "String", NDJSON)), 202),
    ("_type=Patient", "", "", 202),
    ("_type=Patient", FHIR_JSON, parameters(("_outputFormat", "String", "ndjson")), 202),
    ("", FHIR_JSON, parameters(("_type", "String", "Foo")), 400),
    ("", FHIR_JSON, parameters(("_since", "Instant", "tomorrow")), 400),
    ("", FHIR_JSON, parameters(("nonsense", "String", "x")), 400),
    ("", FHIR_JSON, parameters(("patient", "Reference", "Patient/1")), 400),
    ("", FHIR_JSON, "{", 400),
    ("", FHIR_JSON, "[]", 400),
    ("", FHIR_JSON, "null", 400),
    ("", FHIR_JSON, '"x"', 400),
    ("", FHIR_JSON, '{"resourceType":"Patient"}', 400),
    ("", FHIR_JSON, '{"resourceType":"Parameters","parameter":{}}', 400),
    ("", FHIR_JSON, '{"resourceType":"Parameters","parameter":[1]}', 400),
    ("", FHIR_JSON, '{"resourceType":"Parameters","parameter":[{"name":"_type"}]}', 400),
    ("", FHIR_JSON, '{"resourceType":"Parameters","parameter":[{"valueString":"x"}]}', 400),
    ("", FHIR_JSON, "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), 400),
    ("", "application/x-www-form-urlencoded", "_type=Patient", 415),
    ("", "application/fhir+xml", "<Parameters/>", 415),
    ("", "text/plain", parameters(), 415),
    ("", "", parameters(), 415),
]


@pytest.mark.parametrize(("query", "media_type", "body", "status"), POSTS)
def test_kickoff_by_post(api: Api, query: str, media_type: str, body: str, status: int) -> None:
    headers = {"Content-Type": media_type} if media_type else {}
    accepted = api.kickoff(query, method="POST", headers=headers, body=body.encode("latin-1"))
    if status == 202:
        cancelled(api, accepted)
    else:
        issue(accepted, status)


def test_a_post_exports_what_a_get_exports(api: Api) -> None:
    body = parameters(("_type", "String", "Patient,Organization"))
    by_post = api.export(method="POST", headers={"Content-Type": FHIR_JSON}, body=body)
    by_get = api.export("_type=Patient,Organization")
    assert sorted(by_post.files.values()) == sorted(by_get.files.values())


# Who


@pytest.mark.parametrize(
    ("who", "group", "status"),
    [
        (None, "all-patients", 401),
        ("practitioner", "all-patients", 403),
        ("patient", "all-patients", 403),
        ("portal", "nobody", 403),
        ("backend", "nobody", 404),
        ("backend", "a%20b", 404),
        ("backend", "a" * 65, 404),
        ("backend:system/Patient.r", "all-patients", 403),
        ("backend:system/Patient.s", "all-patients", 403),
    ],
)
def test_who_may_export(api: Api, who: str | None, group: str, status: int) -> None:
    path = f"/Group/{group}/$export"
    for method in ("GET", "POST"):
        issue(api.call(method, path, who, headers={"Prefer": "respond-async"}), status)


def test_a_group_that_is_not_the_clients_is_as_good_as_none(api: Api) -> None:
    others = [one["id"] for one in entries(api.search("Group")) if one["id"] != "all-patients"]
    assert others
    refused = issue(api.kickoff(group=others[0]), 404)
    unknown = issue(api.kickoff(group="nobody"), 404)
    assert refused["details"] == unknown["details"]
    issue(api.get(f"/Group/{others[0]}", "backend"), 404)
    assert api.ids("Group", "", "backend") == ["all-patients"]


@pytest.mark.parametrize("path", ["/$export", "/Patient/$export", "/Group/$export"])
def test_levels_that_are_not_served_are_404(api: Api, path: str) -> None:
    assert issue(api.get(path, "backend"), 404)


def test_narrow_scopes_export_their_types_only(api: Api) -> None:
    who = "backend:system/Patient.rs system/Organization.rs"
    made = api.export("", who)
    assert {item["type"] for item in made.manifest["output"]} == {"Patient", "Organization"}
    issue(api.kickoff("_type=Appointment", who), 403)
    partly = api.export("_type=Patient,Appointment", who)
    assert {item["type"] for item in partly.manifest["output"]} == {"Patient"}
    assert len(list(partly.lines("error"))) == 1


# --- status


def test_polling(api: Api) -> None:
    accepted = api.kickoff("_type=Patient")
    where = accepted.headers["Content-Location"]
    first = api.get(where, "backend")
    if first.status_code == 202:
        assert 1 <= int(first.headers["Retry-After"]) <= 300
        assert 0 < len(first.headers["X-Progress"]) < 100
        assert first.json()["resourceType"] == "OperationOutcome"
    done = api.finished(where)
    assert done.headers["Content-Type"] == "application/json"
    expires = parsedate_to_datetime(done.headers["Expires"])
    assert expires > dt.datetime.now(dt.UTC) + dt.timedelta(minutes=50)
    assert api.get(where, "backend").content == done.content
    head = api.call("HEAD", where, "backend")
    assert (head.status_code, head.content) == (200, b"")
    for accept in ("application/json", "*/*", "application/fhir+json"):
        assert api.get(where, "backend", headers={"Accept": accept}).status_code == 200


@pytest.mark.parametrize(
    "who",
    ["second_backend", "other_key_backend", "practitioner", "patient", None],
)
def test_a_job_answers_its_own_client_only(api: Api, whole: Exported, who: str | None) -> None:
    status = 401 if who is None else 404
    unknown = f"{api.base}/bulkstatus/{'0' * 32}"
    refused = issue(api.get(whole.status_url, who), status)
    assert refused["details"] == issue(api.get(unknown, who), status)["details"]
    issue(api.call("DELETE", whole.status_url, who), status)
    issue(api.get(whole.manifest["output"][0]["url"], who), status)
    assert api.get(whole.status_url, "backend").status_code == 200


@pytest.mark.parametrize("job", ["0" * 32, "x", "%00", "a" * 300, "..", "%2e%2e%2f"])
def test_unknown_jobs_are_404(api: Api, job: str) -> None:
    headers = {"Authorization": f"Bearer {api.token('backend')}"}
    for method, path in (
        ("GET", f"/bulkstatus/{job}"),
        ("DELETE", f"/bulkstatus/{job}"),
        ("GET", f"/bulkfiles/{job}/1.Patient.ndjson"),
    ):
        status, answered, body = api.raw(method, path, headers)
        assert status == 404, path
        assert answered["Content-Type"] == FHIR_JSON
        assert json.loads(body)["resourceType"] == "OperationOutcome"


# --- cancel


def test_a_cancelled_job_is_gone(api: Api) -> None:
    made = api.export("_type=Organization")
    answer = api.call("DELETE", made.status_url, "backend")
    assert answer.status_code == 202
    found = answer.json()["issue"][0]
    assert found["diagnostics"].startswith("Export request has been cancelled.")
    assert found["severity"] == "information"
    issue(api.get(made.status_url, "backend"), 404)
    issue(api.call("DELETE", made.status_url, "backend"), 404)
    for url in made.files:
        issue(api.get(url, "backend"), 404)


def test_a_job_cancelled_at_work_is_gone(api: Api) -> None:
    accepted = api.kickoff()
    where = accepted.headers["Content-Location"]
    assert api.call("DELETE", where, "backend").status_code == 202
    issue(api.get(where, "backend"), 404)
    issue(api.call("DELETE", where, "backend"), 404)


# --- manifest and files


def test_the_manifest_is_true(api: Api, whole: Exported) -> None:
    manifest = whole.manifest
    assert set(manifest) >= {
        "transactionTime",
        "request",
        "requiresAccessToken",
        "output",
        "deleted",
        "error",
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", manifest["transactionTime"])
    moment = dt.datetime.fromisoformat(manifest["transactionTime"])
    assert moment <= dt.datetime.now(dt.UTC)
    assert manifest["request"] == f"{api.base}/Group/{api.contract['group_id']}/$export"
    assert manifest["requiresAccessToken"] is True
    assert manifest["deleted"] == []
    assert manifest["error"] == []
    assert {item["type"] for item in manifest["output"]} == TYPES
    for item in manifest["output"]:
        content = whole.files[item["url"]]
        assert content.endswith(b"\n")
        lines = content.splitlines()
        assert len(lines) == item["count"] > 0
        assert {json.loads(line)["resourceType"] for line in lines} == {item["type"]}
        known = {key.rpartition("/")[2]: value for key, value in item["extension"].items()}
        assert len(content) in known.values()
        assert hashlib.sha256(content).hexdigest() in known.values()
        name = item["url"].rpartition("/")[2]
        assert re.fullmatch(rf"[1-9]\d*\.{item['type']}\.ndjson", name)
    assert len(whole.files) == len(manifest["output"])


def test_the_request_is_repeated_as_sent(api: Api) -> None:
    query = "_type=Organization&_outputFormat=application%2Ffhir%2Bndjson"
    made = api.export(query)
    assert made.manifest["request"].endswith(f"/$export?{query}")


def test_every_line_is_a_valid_resource(whole: Exported) -> None:
    seen: Counter[str] = Counter()
    for _, resource in whole.lines():
        assert fast_check(resource) == []
        key = f"{resource['resourceType']}/{resource['id']}"
        seen[key] += 1
        assert resource["meta"]["versionId"].isdigit()
        assert resource["meta"]["lastUpdated"] <= whole.manifest["transactionTime"]
    assert set(seen.values()) == {1}
    deep: Counter[str] = Counter()
    for name, resource in whole.lines():
        deep[name] += 1
        if deep[name] <= 40:
            assert deep_check(resource) == []


def test_every_reference_resolves_in_the_export(whole: Exported) -> None:
    keys = whole.keys()
    for _, resource in whole.lines():
        for reference in iter_references(resource):
            assert reference in keys, f"{resource['resourceType']}/{resource['id']} → {reference}"


def test_all_patients_of_the_group_and_nobody_else(api: Api, whole: Exported) -> None:
    group = whole.of_type("Group")[api.contract["group_id"]]
    members = Counter(one["entity"]["reference"] for one in group["member"])
    assert set(members.values()) == {1}
    assert set(members) == {f"Patient/{one}" for one in whole.of_type("Patient")}
    assert group["quantity"] == len(members)
    assert len(whole.of_type("Group")) == 1
    for name in ("Appointment", "DiagnosticReport"):
        for one in whole.of_type(name).values():
            assert set(re.findall(r'"(Patient/[^"/]+)"', json.dumps(one))) & set(members)


def test_an_export_equals_what_reads_and_searches_give(api: Api, whole: Exported) -> None:
    for name in sorted(TYPES):
        first = api.search(name, "_count=1000", "backend")
        found = {one["id"]: one for page in api.pages(first, "backend") for one in entries(page)}
        assert found == whole.of_type(name), name


def test_equal_exports_have_equal_files(api: Api, whole: Exported) -> None:
    both = [api.kickoff() for _ in range(3)]
    again = []
    for accepted in both:
        done = api.finished(accepted.headers["Content-Location"]).json()
        again.append([(i["type"], i["count"], i["extension"]) for i in done["output"]])
        assert done["transactionTime"] == whole.manifest["transactionTime"]
    first = [(i["type"], i["count"], i["extension"]) for i in whole.manifest["output"]]
    assert again == [first] * 3
    other = api.export("", "second_backend")
    assert list(other.files.values()) == list(whole.files.values())
    rsa = api.export("_type=Patient", "other_key_backend")
    assert list(rsa.files.values()) == [
        whole.files[item["url"]] for item in whole.manifest["output"] if item["type"] == "Patient"
    ]


@pytest.mark.parametrize(
    "who", ["backend:system/Patient.rs", "backend:system/Appointment.rs", "backend:system/*.r"]
)
def test_files_need_the_scopes_of_their_types(api: Api, whole: Exported, who: str) -> None:
    for item in whole.manifest["output"]:
        answer = api.get(item["url"], who)
        if who == f"backend:system/{item['type']}.rs":
            assert answer.status_code == 200
        else:
            issue(answer, 403)


@pytest.mark.parametrize(
    "name",
    [
        "0.Patient.ndjson",
        "99.Patient.ndjson",
        "1.Foo.ndjson",
        "x",
        "01.Patient.ndjson",
        "1.Patient.ndjson.gz",
        "1.Patient",
    ],
)
def test_files_that_are_not_there(api: Api, whole: Exported, name: str) -> None:
    folder = whole.manifest["output"][0]["url"].rpartition("/")[0]
    issue(api.get(f"{folder}/{name}", "backend"), 404)


def patients_file(whole: Exported) -> tuple[str, bytes]:
    url = next(item["url"] for item in whole.manifest["output"] if item["type"] == "Patient")
    return url, whole.files[url]


@pytest.mark.parametrize(
    "accept", ["*/*", NDJSON, "application/ndjson", "application/fhir+json", "application/json", ""]
)
def test_a_file_has_its_media_type_whatever_is_accepted(
    api: Api, whole: Exported, accept: str
) -> None:
    url, content = patients_file(whole)
    answer = api.get(url, "backend", headers={"Accept": accept})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, NDJSON)
    assert answer.content == content


RANGES = [
    ("bytes=0-9", 206, slice(0, 10)),
    ("bytes=10-", 206, slice(10, None)),
    ("bytes=-10", 206, slice(-10, None)),
    ("bytes=0-", 206, slice(None)),
    ("bytes=5-99999999", 206, slice(5, None)),
    ("bytes=99999999-", 416, None),
    ("bytes=9-5", None, None),
    ("lines=0-1", 200, slice(None)),
    ("bytes=0-1,5-6", 200, slice(None)),
    ("bytes=a-b", 200, slice(None)),
]


@pytest.mark.parametrize(("wanted", "status", "part"), RANGES)
def test_ranges(
    api: Api, whole: Exported, wanted: str, status: int | None, part: slice | None
) -> None:
    url, content = patients_file(whole)
    answer = api.get(url, "backend", headers={"Range": wanted, "Accept-Encoding": "gzip"})
    if status is None:
        assert answer.status_code in (200, 416)
        return
    if status == 416:
        issue(answer, 416)
        assert answer.headers["Content-Range"] == f"bytes */{len(content)}"
        return
    assert answer.status_code == status
    assert part is not None
    assert answer.content == content[part]
    assert "Content-Encoding" not in answer.headers or status == 200
    if status == 206:
        assert answer.headers["Content-Range"].endswith(f"/{len(content)}")
        assert answer.headers["Content-Type"] == NDJSON


def test_a_download_can_be_resumed(api: Api, whole: Exported) -> None:
    url, content = patients_file(whole)
    plain = api.get(url, "backend", headers={"Accept-Encoding": "identity"})
    tag = plain.headers["ETag"]
    assert not tag.startswith("W/")
    assert plain.headers["Accept-Ranges"] == "bytes"
    middle = len(content) // 2
    wanted = {"Range": f"bytes={middle}-", "Accept-Encoding": "identity"}
    rest = api.get(url, "backend", headers={**wanted, "If-Range": tag})
    assert (rest.status_code, rest.content) == (206, content[middle:])
    stale = api.get(url, "backend", headers={**wanted, "If-Range": '"other"'})
    assert (stale.status_code, stale.content) == (200, content)
    dated = api.get(url, "backend", headers={**wanted, "If-Range": "Sat, 01 Jan 2000 00:00:00 GMT"})
    assert (dated.status_code, dated.content) == (200, content)
    same = api.get(url, "backend", headers={"If-None-Match": tag, "Accept-Encoding": "identity"})
    assert (same.status_code, same.content) == (304, b"")
    head = api.call("HEAD", url, "backend", headers={"Accept-Encoding": "identity"})
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["Content-Length"]) == len(content)
    assert head.headers["ETag"] == tag


def test_gzip_is_given_to_who_takes_it(api: Api, whole: Exported) -> None:
    path = patients_file(whole)[0].removeprefix(api.base)
    content = patients_file(whole)[1]
    token = {"Authorization": f"Bearer {api.token('backend')}"}
    tags = {}
    for encoding in ("gzip", "gzip;q=0", "identity", "gzip, deflate, br"):
        status, headers, body = api.raw("GET", path, {**token, "Accept-Encoding": encoding})
        assert status == 200
        assert "Accept-Encoding" in headers["Vary"]
        packed = headers["Content-Encoding"] == "gzip"
        assert not packed or (encoding.startswith("gzip") and "q=0" not in encoding)
        assert (gzip.decompress(body) if packed else body) == content
        assert int(headers["Content-Length"]) == len(body)
        tags[packed] = headers["ETag"]
    assert len(set(tags.values())) == len(tags)


def test_files_are_not_for_caches_and_are_attachments(api: Api, whole: Exported) -> None:
    url, _ = patients_file(whole)
    answer = api.get(url, "backend", headers={"Origin": "https://app.example"})
    assert "no-store" in answer.headers["Cache-Control"]
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    issue(api.get(url, None), 401)


# --- granular scopes


def test_granular_scopes_hold_for_exports_and_their_files(api: Api, whole: Exported) -> None:
    radiology = "backend:system/DiagnosticReport.rs?category=http://loinc.org|LP29684-5"
    laboratory = "backend:system/DiagnosticReport.rs?category=http://loinc.org|LP29693-6"
    made = api.export("", radiology)
    assert {item["type"] for item in made.manifest["output"]} == {"DiagnosticReport"}
    assert made.of_type("DiagnosticReport") == whole.of_type("DiagnosticReport")
    empty = api.export("_type=DiagnosticReport", laboratory)
    assert empty.manifest["output"] == []
    url = made.manifest["output"][0]["url"]
    issue(api.get(url, laboratory), 403)
    assert api.get(url, radiology).status_code == 200
    assert api.get(url, "backend").status_code == 200
    wide = next(i["url"] for i in whole.manifest["output"] if i["type"] == "DiagnosticReport")
    issue(api.get(wide, radiology), 403)
    heirs = api.export("", f"{radiology} system/Provenance.rs")
    targets = {
        target["reference"].partition("/")[0]
        for one in heirs.of_type("Provenance").values()
        for target in one["target"]
    }
    assert targets == {"DiagnosticReport"}


# --- bodies


@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_have_a_bound(api: Api, chunked: bool) -> None:
    parts = [b'{"resourceType":"Parameters","parameter":[', b" " * (1 << 20), b"]}"]
    headers = {"Content-Type": FHIR_JSON, "Connection": "close"}
    body = iter(parts) if chunked else b"".join(parts)
    issue(api.kickoff(method="POST", headers=headers, body=body), 413)


def test_a_body_in_chunks_is_read(api: Api) -> None:
    body = parameters(("_type", "String", "Organization")).encode()
    chunks = iter([body[:20], body[20:]])
    made = api.export(method="POST", headers={"Content-Type": FHIR_JSON}, body=chunks)
    assert {item["type"] for item in made.manifest["output"]} == {"Organization"}


def test_json_nested_without_end_is_refused(api: Api) -> None:
    body = '{"resourceType":"Parameters","parameter":' + "[" * 5000 + "]" * 5000 + "}"
    issue(api.kickoff(method="POST", headers={"Content-Type": FHIR_JSON}, body=body), 400)


@pytest.mark.parametrize("operation", ["$export", "%24export"])
def test_the_operation_may_be_percent_encoded(api: Api, operation: str) -> None:
    accepted = api.get(f"/Group/{api.contract['group_id']}/{operation}", "backend")
    cancelled(api, accepted)


# --- the other tenant


def test_a_job_of_one_tenant_is_nothing_to_the_other(api: Api, whole: Exported) -> None:
    for url in (whole.status_url, *list(whole.files)[:2]):
        elsewhere = url.replace("/fhir/acme/", "/fhir/zenith/")
        issue(api.get(elsewhere, "backend"), 401)


def test_limits_are_per_client_and_say_when_to_come_back(api: Api) -> None:
    jobs = []
    refused = None
    for _ in range(14):
        accepted = api.kickoff("", "second_backend")
        if accepted.status_code == 429:
            refused = accepted
            break
        jobs.append(accepted)
    if refused is not None:
        issue(refused, 429)
        assert 1 <= int(refused.headers["Retry-After"]) <= 300
        cancelled(api, api.kickoff("_type=Organization"))
    for one in jobs:
        cancelled(api, one, "second_backend")
    assert len(jobs) >= 2
