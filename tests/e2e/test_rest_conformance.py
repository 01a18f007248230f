"""REST over plain HTTP: the order of checks, negotiation, versions, CORS, and who may see what.

R4 http.html, RFC 9110, RFC 6750; the order of checks is that of the project's design.
"""

from __future__ import annotations

import json
import re
import secrets
import socket
import sqlite3
from contextlib import closing
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from fhir_facade.fhir.validation.deep import deep_check
from tests.support.demo import RunningDemo
from tests.support.demo_operator import operator
from tests.support.fhir_api import FHIR_JSON, Api, api_of, entries, issue, link, wait_for

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
STORED = ["Appointment", "DiagnosticReport", "Location", "Organization", "Patient", "Practitioner"]


@pytest.fixture(scope="module")
def api(demo: RunningDemo) -> Api:
    return api_of(demo)


@pytest.fixture(scope="module")
def patient(api: Api) -> str:
    return str(api.contract["patient_id"])


@pytest.fixture(scope="module")
def other(api: Api) -> str:
    return str(api.contract["other_patient_id"])


# --- the order of checks


NO_TOKEN = [
    ("GET", "/Patient"),
    ("GET", "/Patient/1"),
    ("GET", "/Patient/1/_history/1"),
    ("GET", "/Observation"),
    ("GET", "/Foo"),
    ("POST", "/Patient/_search"),
    ("POST", "/Patient"),
    ("PUT", "/Patient/1"),
    ("DELETE", "/Patient/1"),
    ("GET", "/Group/1/$export"),
    ("POST", "/Group/1/$export"),
    ("GET", "/bulkstatus/1"),
    ("DELETE", "/bulkstatus/1"),
    ("GET", "/bulkfiles/1/1.Patient.ndjson"),
    ("HEAD", "/Patient"),
]


@pytest.mark.parametrize(("method", "path"), NO_TOKEN)
def test_without_a_token_everything_is_401(api: Api, method: str, path: str) -> None:
    answer = api.call(method, path, None)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    assert "error=" not in answer.headers["WWW-Authenticate"]
    if method != "HEAD":
        assert issue(answer, 401)["code"] == "login"


BAD_TOKENS = [
    "Basic abc",
    "Bearer",
    "Bearer ",
    "Token {token}",
    "{token}",
    "Bearer {token} x",
    "Bearer {token}x",
    "Bearer garbage",
    "Bearer a.b.c",
    "Bearer {unsigned}",
    "Bearer {tampered}",
    "Bearer é",
]


@pytest.mark.parametrize("header", BAD_TOKENS)
def test_a_bad_token_is_401_and_says_so(api: Api, header: str) -> None:
    token = api.token("practitioner")
    head, body, signature = token.split(".")
    sent = header.format(
        token=token,
        unsigned=f"eyJhbGciOiJub25lIn0.{body}.",
        tampered=f"{head}.{body[:-4]}AAAA.{signature}",
    )
    status, headers, text = api.raw(
        "GET", "/Patient", {"Authorization": sent.encode("utf-8").decode("latin-1")}
    )
    assert status == 401
    assert re.search(r'error="(invalid_token|invalid_request)"', headers["WWW-Authenticate"])
    assert json.loads(text)["resourceType"] == "OperationOutcome"
    assert token not in text.decode()


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_read_without_case(api: Api, scheme: str) -> None:
    header = {"Authorization": f"{scheme} {api.token('practitioner')}"}
    assert api.get("/Patient", None, headers=header).status_code == 200


@pytest.mark.parametrize(
    ("who", "path", "status", "code"),
    [
        # 404 for a name that is no R4 type comes before 403.
        ("narrow", "/Foo", 404, "not-supported"),
        ("narrow", "/Foo/1", 404, "not-supported"),
        ("narrow", "/patient", 404, "not-supported"),
        ("narrow", "/Resource", 404, "not-supported"),
        ("narrow", "/DomainResource", 404, "not-supported"),
        # 403 for a type outside the scopes comes before "not served", by id and by search.
        ("narrow", "/Observation", 403, "forbidden"),
        ("narrow", "/Observation/1", 403, "forbidden"),
        ("narrow", "/Appointment", 403, "forbidden"),
        ("narrow", "/Appointment/nobody", 403, "forbidden"),
        ("narrow", "/Appointment?nonsense=1", 403, "forbidden"),
        ("narrow", "/Practitioner", 403, "forbidden"),
        ("narrow", "/ConceptMap", 403, "forbidden"),
        # In scope and not served.
        ("practitioner", "/Observation", 404, "not-supported"),
        ("practitioner", "/Observation/1", 404, "not-supported"),
        ("practitioner", "/Observation?nonsense=1", 404, "not-supported"),
        ("practitioner", "/Bundle", 404, "not-supported"),
        ("patient", "/MedicationRequest", 404, "not-supported"),
        # Staff types are never under patient/.
        ("patient", "/Group", 403, "forbidden"),
        ("patient", "/Group/all-patients", 403, "forbidden"),
        ("portal", "/Group", 403, "forbidden"),
        # Letters.
        ("reader", "/Appointment", 403, "forbidden"),
        ("searcher", "/Appointment/1", 403, "forbidden"),
        ("searcher", "/Appointment/1/_history/1", 403, "forbidden"),
        ("backend:system/Patient.rs", "/Appointment", 403, "forbidden"),
        ("backend:system/*.r", "/Appointment", 403, "forbidden"),
        ("backend:system/*.s", "/Appointment/1", 403, "forbidden"),
    ],
)
def test_the_order_of_checks(api: Api, who: str, path: str, status: int, code: str) -> None:
    answer = api.get(path, who)
    assert issue(answer, status)["code"] == code
    if status == 403:
        assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
        assert re.search(
            r'scope="(patient|user|system)/\w+\.[rs]"', answer.headers["WWW-Authenticate"]
        )
    else:
        assert "WWW-Authenticate" not in answer.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/Patient", {"GET", "HEAD", "OPTIONS"}),
        ("/Patient/1", {"GET", "HEAD", "OPTIONS"}),
        ("/Patient/1/_history/1", {"GET", "HEAD", "OPTIONS"}),
        ("/Patient/_search", {"POST", "OPTIONS"}),
        ("/metadata", {"GET", "HEAD", "OPTIONS"}),
        ("/Group/all-patients/$export", {"GET", "POST", "OPTIONS"}),
        ("/bulkstatus/1", {"GET", "HEAD", "DELETE", "OPTIONS"}),
        ("/bulkfiles/1/1.Patient.ndjson", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_a_known_path_with_a_wrong_method_is_405(
    api: Api, method: str, path: str, allow: set[str]
) -> None:
    if method in allow:
        assert api.call(method, path).status_code != 405
        return
    answer = api.call(method, path, headers={"Content-Type": FHIR_JSON}, body="{}")
    assert issue(answer, 405)["code"] == "not-supported"
    assert set(re.split(r",\s*", answer.headers["Allow"])) == allow


def test_head_starts_no_export(api: Api) -> None:
    answer = api.call("HEAD", f"/Group/{api.contract['group_id']}/$export", "backend")
    assert answer.status_code == 405
    assert "Content-Location" not in answer.headers
    assert "HEAD" not in answer.headers["Allow"]


def test_get_on_search_by_post_is_405(api: Api) -> None:
    answer = api.get("/Patient/_search")
    issue(answer, 405)
    assert "POST" in answer.headers["Allow"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/Foo", "/Foo/1", "/Observation/1", "/Observation"])
def test_a_wrong_method_on_no_type_of_ours_is_404(api: Api, method: str, path: str) -> None:
    issue(api.call(method, path, headers={"Content-Type": FHIR_JSON}, body="{}"), 404)


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/nothing/at/all",
        "/$export",
        "/$everything",
        "/Appointment/1/$everything",
        "/Patient/$nothing",
        "/Patient/1/_history/1/x",
        "/Patient/1/Appointment/x",
        "/metadata/x",
        "/bulkfiles/1",
        "/bulkstatus",
        "/_history/1",
        "/_search/x",
        "/Patient/_history/1",
        "/Patient//1",
        "/Patient/1/",
        "/.well-known/nothing",
        "/Patient/%2e%2e/metadata",
    ],
)
def test_unknown_paths_are_404_with_an_outcome(api: Api, path: str) -> None:
    headers = {"Authorization": f"Bearer {api.token('practitioner')}"}
    status, answered, body = api.raw("GET", path, headers)
    assert status == 404
    assert answered["Content-Type"].startswith(FHIR_JSON)
    assert json.loads(body)["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "PUT"])
@pytest.mark.parametrize("path", ["/metadata", "/Patient", "/Patient/1", "/bulkstatus/1"])
def test_an_unknown_tenant_is_404(api: Api, method: str, path: str) -> None:
    url = f"{api.base.rpartition('/')[0]}/nobody{path}"
    answer = api.call(method, url)
    if method == "OPTIONS":
        assert answer.status_code == 204
    else:
        issue(answer, 404)


# --- ids and paths


ODD_IDS = [
    "nobody",
    "a" * 64,
    "a" * 65,
    "%00",
    "%0a",
    "a%20b",
    "a_b",
    "%F0%9F%98%80",
    "%ff",
    "%2e%2e",
    "*",
    "$x",
    "-",
    "qubs-",
    "'",
    "%25",
    "null",
    "undefined",
]


@pytest.mark.parametrize("odd", ODD_IDS)
def test_odd_ids_are_404(api: Api, odd: str) -> None:
    headers = {"Authorization": f"Bearer {api.token('practitioner')}", "Accept": FHIR_JSON}
    for path in (f"/Patient/{odd}", f"/Patient/{odd}/_history/1"):
        status, _, body = api.raw("GET", path, headers)
        found = json.loads(body)
        assert (status, found["resourceType"]) == (404, "OperationOutcome"), path


@pytest.mark.parametrize(
    "version",
    [
        "0",
        "2147483648",
        "99999999999999999999",
        "-1",
        "01",
        "1.0",
        "x",
        "%00",
        "W%2F%221%22",
        "+1",
        "%201",
        "１",
    ],
)
def test_odd_versions_are_404(api: Api, patient: str, version: str) -> None:
    issue(api.get(f"/Patient/{patient}/_history/{quote(version, safe='%')}"), 404)


def test_a_url_beyond_any_bound_is_refused_as_fhir(api: Api) -> None:
    answer = api.get("/Patient", params=[("name", "x" * 9000)])
    issue(answer, 414)


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("GET {path}/Patient?name=Canary Bird HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("GET {path}/Patient?name=Canary HTTP/9.1\r\nHost: x\r\n\r\n", 400),
        ("G?T {path}/Patient?name=Canary HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("GET {path}/Patient HTTP/1.1\r\nHost: x\r\nX Canary: Canary\r\n\r\n", 400),
        ("GET {path}/Patient HTTP/1.1\r\nHost: x\r\nX: " + "Canary" * 2000 + "\r\n\r\n", 431),
        ("GET {path}/Patient?name=" + "Canary" * 2000 + " HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    ],
)
def test_what_is_no_http_is_answered_as_fhir_and_not_repeated(
    api: Api, request_text: str, status: int
) -> None:
    address = urlsplit(api.base)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(request_text.format(path=address.path).encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"Content-Type: application/fhir+json" in head
    assert json.loads(body)["resourceType"] == "OperationOutcome"
    assert b"Canary" not in answer
    for log in (api.demo.state / "logs").glob("*.log"):
        assert "Canary" not in log.read_text(errors="replace")


def test_a_url_of_seven_thousand_characters_is_read(api: Api) -> None:
    ids = ",".join(f"nobody-{number:04}" for number in range(580))
    assert api.search("Patient", [("_id", ids)])["total"] == 0


# --- negotiation


ACCEPTED = [
    (None, FHIR_JSON),
    ("", FHIR_JSON),
    ("*/*", FHIR_JSON),
    ("application/fhir+json", FHIR_JSON),
    ("APPLICATION/FHIR+JSON", FHIR_JSON),
    ("application/fhir+json; charset=utf-8", FHIR_JSON),
    ("application/fhir+json; fhirVersion=4.0", FHIR_JSON),
    ("application/json", "application/json"),
    ("application/json, application/fhir+json;q=0.9", "application/json"),
    ("application/fhir+xml;q=1.0, application/fhir+json;q=0.1", FHIR_JSON),
    ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", FHIR_JSON),
    ("application/*;q=0.2", FHIR_JSON),
    ("application/fhir+json;q=0, */*", "application/json"),
    ("application/fhir+json;q=0, application/json;q=0.5", "application/json"),
    ("application/json;q=0, */*;q=0.1", FHIR_JSON),
    ("application/fhir+turtle, */*;q=0.01", FHIR_JSON),
]


@pytest.mark.parametrize(("accept", "media_type"), ACCEPTED)
def test_accept_chooses_the_media_type(
    api: Api, patient: str, accept: str | None, media_type: str
) -> None:
    headers = {"Authorization": f"Bearer {api.token('practitioner')}"}
    if accept is not None:
        headers["Accept"] = accept
    for path in (f"/Patient/{patient}", "/Patient?_count=1", "/metadata"):
        status, answered, _ = api.raw("GET", path, headers)
        assert (status, answered["Content-Type"]) == (200, media_type), path


@pytest.mark.parametrize(
    "accept",
    [
        "application/fhir+xml",
        "application/xml",
        "text/html",
        "text/*",
        "application/fhir+ndjson",
        "application/fhir+json;q=0",
        "*/*;q=0",
        "application/fhir+json; fhirVersion=3.0",
        "application/fhir+json; fhirVersion=5.0",
        "application/fhir+xml, text/turtle;q=0.5",
    ],
)
def test_what_admits_no_json_is_406(api: Api, patient: str, accept: str) -> None:
    for path in (f"/Patient/{patient}", "/Patient?_count=1", "/metadata"):
        found = issue(api.get(path, headers={"Accept": accept}), 406)
        assert found["code"] == "not-supported"


@pytest.mark.parametrize(
    ("value", "media_type"),
    [
        ("json", FHIR_JSON),
        ("application/fhir+json", FHIR_JSON),
        ("application/fhir%2Bjson", FHIR_JSON),
        ("application/json", "application/json"),
        ("text/json", "application/json"),
        ("JSON", FHIR_JSON),
        ("xml", None),
        ("text/xml", None),
        ("application/fhir%2Bxml", None),
        ("ttl", None),
        ("html", None),
        ("csv", None),
    ],
)
def test_format_comes_before_accept(
    api: Api, patient: str, value: str, media_type: str | None
) -> None:
    accept = "application/fhir+xml" if media_type else FHIR_JSON
    for path in (f"/Patient/{patient}?_format={value}", f"/Patient?_count=1&_format={value}"):
        answer = api.get(path, headers={"Accept": accept})
        if media_type is None:
            issue(answer, 406)
        else:
            assert (answer.status_code, answer.headers["Content-Type"]) == (200, media_type)


def test_pretty_is_the_same_resource_indented(api: Api, patient: str) -> None:
    plain, pretty = (
        api.get(f"/Patient/{patient}", params=f"_pretty={value}") for value in ("false", "true")
    )
    assert plain.json() == pretty.json()
    assert pretty.content.count(b"\n") > plain.content.count(b"\n")


@pytest.mark.parametrize(
    "query", ["nonsense=1", "_summary=count", "_summary=x", "_elements=", "_count=1", "name=x"]
)
def test_parameters_that_a_read_has_not_are_refused(api: Api, patient: str, query: str) -> None:
    issue(api.get(f"/Patient/{patient}", params=query), 400)


# --- versions


@pytest.mark.parametrize("resource_type", STORED)
def test_a_read_carries_its_version(api: Api, resource_type: str) -> None:
    found = entries(api.search(resource_type, "_count=1"))[0]
    answer = api.get(f"/{resource_type}/{found['id']}")
    resource = answer.json()
    assert resource == found
    assert answer.headers["ETag"] == f'W/"{resource["meta"]["versionId"]}"'
    modified = parsedate_to_datetime(answer.headers["Last-Modified"])
    assert modified.isoformat()[:19] == resource["meta"]["lastUpdated"][:19]
    assert answer.headers["Cache-Control"] == "private, no-store"
    version = api.get(f"/{resource_type}/{found['id']}/_history/{resource['meta']['versionId']}")
    assert version.content == answer.content
    assert version.headers["ETag"] == answer.headers["ETag"]
    assert deep_check(resource) == []


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("If-None-Match", "{tag}", 304),
        ("If-None-Match", '"{version}"', 304),
        ("If-None-Match", 'W/"x", {tag}', 304),
        ("If-None-Match", "*", 304),
        ("If-None-Match", 'W/"999"', 200),
        ("If-None-Match", '"x"', 200),
        ("If-None-Match", "", 200),
        ("If-Modified-Since", "{modified}", 304),
        ("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT", 304),
        ("If-Modified-Since", "Sat, 01 Jan 2000 00:00:00 GMT", 200),
        ("If-Modified-Since", "yesterday", 200),
        ("If-Modified-Since", "2026-11-21T00:00:00Z", 200),
    ],
)
def test_conditional_reads(api: Api, patient: str, header: str, value: str, status: int) -> None:
    plain = api.get(f"/Patient/{patient}")
    tag = plain.headers["ETag"]
    sent = value.format(tag=tag, version=tag[3:-1], modified=plain.headers["Last-Modified"])
    answer = api.get(f"/Patient/{patient}", headers={header: sent})
    assert answer.status_code == status
    assert answer.headers["ETag"] == tag
    assert (answer.content == b"") == (status == 304)


def test_if_none_match_wins_over_if_modified_since(api: Api, patient: str) -> None:
    headers = {
        "If-None-Match": 'W/"999"',
        "If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT",
    }
    assert api.get(f"/Patient/{patient}", headers=headers).status_code == 200


def test_a_conditional_read_of_anothers_patient_tells_nothing(api: Api, other: str) -> None:
    issue(api.get(f"/Patient/{other}", "patient", headers={"If-None-Match": "*"}), 404)


def test_deleted_resources(api: Api) -> None:
    gone = str(api.contract["deleted"])
    for who in ("practitioner", "backend", "patient"):
        assert issue(api.get(f"/{gone}", who), 410)["code"] == "deleted"
    issue(api.get(f"/{gone}", "portal"), 404)
    issue(api.get(f"/{gone}", "narrow"), 403)
    issue(api.get(f"/{gone}", None), 401)
    issue(api.get(f"/{gone}/_history/2"), 410)
    resource_type, _, resource_id = gone.partition("/")
    assert api.search(resource_type, [("_id", resource_id)])["total"] == 0
    issue(api.get(f"/Provenance/{resource_type}-{resource_id}"), 410)


# --- HEAD, OPTIONS, headers


@pytest.mark.parametrize(
    "path", ["/metadata", "/Patient", "/Patient/{patient}", "/Patient/nobody", "/Foo"]
)
def test_head_is_get_without_a_body(api: Api, patient: str, path: str) -> None:
    path = path.format(patient=patient)
    whole, head = api.get(path), api.call("HEAD", path)
    assert head.status_code == whole.status_code
    assert head.content == b""
    for name in ("Content-Type", "ETag", "Last-Modified", "Cache-Control", "Vary"):
        assert head.headers.get(name) == whole.headers.get(name)
    if whole.status_code == 200:
        assert int(head.headers["Content-Length"]) == int(whole.headers["Content-Length"])


EXPOSED = (
    "Content-Location Retry-After X-Progress ETag Location Last-Modified Link X-Correlation-Id"
)


@pytest.mark.parametrize(
    ("method", "path", "who"),
    [
        ("GET", "/metadata", None),
        ("GET", "/.well-known/smart-configuration", None),
        ("GET", "/Patient", None),
        ("GET", "/Patient", "practitioner"),
        ("GET", "/Patient/nobody", "practitioner"),
        ("GET", "/Foo", "practitioner"),
        ("GET", "/nothing/at/all", "practitioner"),
        ("PUT", "/Patient/1", "practitioner"),
        ("GET", "/Patient?nonsense=1", "practitioner"),
        ("GET", "/Group/nobody/$export", "backend"),
        ("GET", "/bulkstatus/nobody", "backend"),
        ("POST", "/Patient/_search", "practitioner"),
    ],
)
def test_every_answer_may_be_read_by_any_origin(
    api: Api, method: str, path: str, who: str | None
) -> None:
    answer = api.call(method, path, who, headers={"Origin": "https://app.example"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers
    if not path.startswith("/.well-known"):
        exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
        assert set(EXPOSED.split()) <= set(exposed)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Authorization" in answer.headers["Vary"]


@pytest.mark.parametrize(
    ("path", "method", "asked"),
    [
        ("/metadata", "GET", "accept"),
        ("/Patient", "GET", "authorization"),
        ("/Patient/1", "GET", "authorization,if-none-match,cache-control"),
        ("/Patient/_search", "POST", "authorization,content-type,prefer"),
        ("/Group/g/$export", "GET", "authorization,prefer,accept"),
        ("/bulkstatus/x", "DELETE", "authorization"),
        ("/bulkfiles/x/1.Patient.ndjson", "GET", "authorization,range,if-range"),
        ("/auth/token", "POST", "authorization,content-type"),
        ("/.well-known/smart-configuration", "GET", "accept"),
    ],
)
def test_preflights(api: Api, path: str, method: str, asked: str) -> None:
    headers = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": asked,
    }
    answer = api.call("OPTIONS", path, None, headers=headers)
    assert answer.status_code in (200, 204)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    allowed = answer.headers["Access-Control-Allow-Headers"].lower().replace(" ", "").split(",")
    assert set(asked.split(",")) <= set(allowed)
    assert method in answer.headers["Access-Control-Allow-Methods"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a-sane-id-1", True),
        ("x" * 64, True),
        ("x" * 65, False),
        ("a b c d e f", False),
        ("<script>alert", False),
    ],
)
def test_a_sane_correlation_id_is_kept(api: Api, given: str, kept: bool) -> None:
    for path in ("/Patient/nobody", "/nothing/at/all"):
        answer = api.get(path, headers={"X-Correlation-Id": given})
        shown = answer.headers["X-Correlation-Id"]
        assert (shown == given) == kept
        assert shown in answer.json()["issue"][0]["diagnostics"]


def test_no_answer_tells_what_was_asked(api: Api) -> None:
    secret = "Zebrafinch-1987"
    for path in (
        f"/Patient?birthdate={secret}",
        f"/Patient?nonsense={secret}",
        f"/Patient?_count={secret}",
        f"/Patient?general-practitioner=a%20{secret}",
        f"/Patient/{secret}_",
        f"/{secret}",
        f"/Patient?_include={secret}",
        f"/Patient?_elements=.{secret}",
        f"/Patient?name:missing={secret}",
        f"/Patient?_format={secret}",
        f"/metadata?mode={secret}",
        f"/Group/{secret}/$export",
        f"/bulkstatus/{secret}",
    ):
        answer = api.get(path)
        assert answer.status_code >= 400, path
        assert secret not in answer.text, path
        assert secret not in str(answer.headers), path


# --- the CapabilityStatement


def test_metadata(api: Api) -> None:
    answer = api.get("/metadata", None)
    statement = answer.json()
    assert deep_check(statement) == []
    assert statement["fhirVersion"] == "4.0.1"
    assert statement["implementation"]["url"] == api.base
    assert statement["kind"] == "instance"
    assert (
        "http://hl7.org/fhir/uv/bulkdata/CapabilityStatement/bulk-data" in statement["instantiates"]
    )
    rest = statement["rest"][0]
    uris = {
        one["url"]: one["valueUri"]
        for extension in rest["security"]["extension"]
        for one in extension["extension"]
    }
    assert uris["authorize"] == f"{api.base}/auth/authorize"
    assert uris["token"] == f"{api.base}/auth/token"
    group = next(one for one in rest["resource"] if one["type"] == "Group")
    assert group["operation"][0]["name"] == "export"
    again = api.get("/metadata", None, headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    issue(api.get("/metadata", None, params="mode=nonsense"), 400)
    issue(api.get("/metadata", None, params="nonsense=1"), 400)
    terminology = api.get("/metadata", None, params="mode=terminology").json()
    assert terminology["resourceType"] == "TerminologyCapabilities"


def test_interactions_that_are_declared_work(api: Api) -> None:
    for resource in api.get("/metadata", None).json()["rest"][0]["resource"]:
        name = resource["type"]
        declared = {one["code"] for one in resource["interaction"]}
        always = {"read", "vread", "history-instance", "search-type"}
        if name == "AuditEvent":  # for operators; tests of the trail read it
            assert declared == always
            continue
        assert declared == {*always, "history-type"}
        found = entries(api.search(name, "_count=1"))
        if found:
            path = f"/{name}/{found[0]['id']}"
            version = found[0]["meta"]["versionId"]
            assert api.get(path).status_code == 200
            assert api.get(f"{path}/_history/{version}").status_code == 200
            past = api.get(f"{path}/_history").json()
            assert past["type"] == "history"
            assert past["entry"][0]["resource"] == found[0]


# --- history


def test_the_history_of_a_deleted_resource(api: Api) -> None:
    gone = str(api.contract["deleted"])
    for who in ("practitioner", "backend", "patient"):
        past = api.get(f"/{gone}/_history", who).json()
        assert deep_check(past) == []
        first, *_, last = past["entry"]
        assert first["request"]["method"] == "DELETE"
        assert "resource" not in first
        assert last["resource"]["meta"]["versionId"] == "1"
    issue(api.get(f"/{gone}/_history", "portal"), 404)
    issue(api.get(f"/{gone}/_history", "narrow"), 403)
    issue(api.get(f"/{gone}/_history", None), 401)


def test_a_history_in_pages(api: Api) -> None:
    gone = str(api.contract["deleted"])
    whole = api.get(f"/{gone}/_history").json()["entry"]
    walked = []
    bundle = api.get(f"/{gone}/_history?_count=1").json()
    following = link(bundle, "next")
    assert following is not None
    for page in api.pages(bundle):
        walked += page["entry"]
    assert walked == whole
    issue(api.get(following, "backend"), 400)
    cursor = following.partition("?")[2]
    issue(api.get(f"/{gone}", params=cursor), 400)
    issue(api.get(f"/Patient/{api.contract['patient_id']}/_history", params=cursor), 400)
    issue(api.get("/Appointment", params=cursor), 400)


@pytest.mark.parametrize("query", ["_count=0", "_count=-1", "_count=x", "nonsense=1", "_cursor=x"])
def test_parameters_that_a_history_has_not_are_refused(api: Api, patient: str, query: str) -> None:
    issue(api.get(f"/Patient/{patient}/_history", params=query), 400)


def test_anothers_history_is_404(api: Api, other: str) -> None:
    issue(api.get(f"/Patient/{other}/_history", "patient"), 404)
    issue(api.get(f"/Provenance/Patient-{other}/_history", "patient"), 404)


# --- compartments


def patients_of(resource: dict[str, Any]) -> set[str]:
    """Ids of patients that a resource names anywhere."""
    found = set(re.findall(r'"Patient/([^"/]+)"', json.dumps(resource)))
    if resource["resourceType"] == "Patient":
        found.add(resource["id"])
    if resource["resourceType"] == "Provenance":
        found |= {
            t["reference"][8:] for t in resource["target"] if t["reference"].startswith("Patient/")
        }
    return found


@pytest.mark.parametrize("who", ["patient", "v1", "portal"])
@pytest.mark.parametrize(
    "resource_type", ["Patient", "Appointment", "DiagnosticReport", "Provenance"]
)
def test_a_patient_token_sees_its_own_patient_only(api: Api, who: str, resource_type: str) -> None:
    contract = api.contract
    own = contract["users"]["patient"]["patient_id"] if who == "portal" else contract["patient_id"]
    pages = list(api.pages(api.search(resource_type, "_count=1000", who), who))
    found = [one for page in pages for one in entries(page)]
    assert found
    for one in found:
        assert patients_of(one) <= {own}
        if resource_type != "Provenance":
            assert patients_of(one) == {own}
    assert pages[0]["total"] == len(found)
    assert api.search(resource_type, "_summary=count", who)["total"] == len(found)


def test_provenance_of_a_patient_token_has_targets_it_may_read(api: Api) -> None:
    for one in entries(api.search("Provenance", "_count=1000", "patient")):
        for target in one["target"]:
            assert api.get(f"/{target['reference']}", "patient").status_code == 200


NAMING = [
    "Patient?_id={other}",
    "Patient?_id={own},{other}",
    "Appointment?patient={other}",
    "Appointment?patient=Patient/{other}",
    "Appointment?patient={base}/Patient/{other}",
    "Appointment?patient={own},{other}",
    "Appointment?patient={own}&patient={other}",
    "Appointment?patient:Patient={other}",
    "Appointment?actor=Patient/{other}",
    "Appointment?actor:Patient={other}",
    "Appointment?patient=Patient/{other}/_history/1",
    "Appointment?patient=nobody",
    "DiagnosticReport?patient={other}",
    "DiagnosticReport?subject=Patient/{other}",
    "DiagnosticReport?subject:Patient={other}",
    "DiagnosticReport?subject={other}",
    "DiagnosticReport?patient=Patient%2F{other}",
    "Provenance?patient={other}",
    "Provenance?patient=Patient/{other}",
    "Provenance?target=Patient/{other}",
    "Patient?link=Patient/{other}",
]


@pytest.mark.parametrize("query", NAMING)
def test_naming_another_patient_is_403_by_parameter(
    api: Api, patient: str, other: str, query: str
) -> None:
    url = "/" + query.format(own=patient, other=other, base=api.base)
    assert issue(api.get(url, "patient"), 403)["code"] == "forbidden"
    path, _, body = url.partition("?")
    posted = api.call("POST", f"{path}/_search", "patient", headers=FORM, body=body)
    issue(posted, 403)
    mixed = api.call("POST", f"{path}/_search?{body}", "patient", headers=FORM, body="")
    issue(mixed, 403)
    lenient = api.get(url, "patient", headers={"Prefer": "handling=lenient"})
    issue(lenient, 403)


def test_another_patients_resources_are_404_by_id(api: Api, other: str) -> None:
    theirs = [f"/Patient/{other}", f"/Provenance/Patient-{other}"]
    for name in ("Appointment", "DiagnosticReport"):
        for one in entries(api.search(name, [("patient", other), ("_count", "3")])):
            theirs += [f"/{name}/{one['id']}", f"/Provenance/{name}-{one['id']}"]
    assert len(theirs) > 4
    for path in theirs:
        assert api.get(path).status_code == 200, path
        for who in ("patient", "portal", "v1"):
            unknown = api.get(f"{path}x", who)
            refused = api.get(path, who)
            assert issue(refused, 404)["details"] == issue(unknown, 404)["details"]
            issue(api.get(f"{path}/_history/1", who), 404)


@pytest.mark.parametrize(
    "query",
    [
        "Appointment?_id={appointment}",
        "Appointment?identifier={appointment_number}",
        "DiagnosticReport?_id={report}",
        "Provenance?target=Appointment/{appointment}",
        "Patient?name={family}",
        "Patient?identifier={number}",
        "Patient?birthdate={born}&family={family}",
        "Appointment?_id={appointment}&_include=Appointment:patient",
        "Patient?_id:missing=false&name={family}",
    ],
)
def test_searches_that_would_find_another_patient_find_nothing(
    api: Api, patient: str, other: str, query: str
) -> None:
    person = api.get(f"/Patient/{other}").json()
    appointment = entries(api.search("Appointment", [("patient", other)]))[0]
    report = entries(api.search("DiagnosticReport", [("patient", other)]))[0]
    url = "/" + query.format(
        appointment=appointment["id"],
        appointment_number=appointment["identifier"][0]["value"],
        report=report["id"],
        family=quote(person["name"][0]["family"]),
        number=person["identifier"][0]["value"],
        born=person.get("birthDate", "1900"),
    )
    if "_id:missing" in url:
        issue(api.get(url, "patient"), 400)
        return
    bundle = api.get(url, "patient").json()
    assert bundle["resourceType"] == "Bundle"
    for entry in bundle.get("entry", []):
        assert patients_of(entry["resource"]) <= {patient}
    assert bundle["total"] == len(entries(bundle))


@pytest.mark.parametrize(
    "query",
    [
        "Appointment?_include=Appointment:patient&_include=Appointment:location&_include=Appointment:actor",
        "Patient?_revinclude=Appointment:patient&_revinclude=DiagnosticReport:patient&_revinclude=Provenance:target",
        "Location?_revinclude=Appointment:location&_count=1000",
        "Location?_revinclude=Appointment:actor&_revinclude=Provenance:target&_count=1000",
        "Organization?_revinclude=Patient:organization&_revinclude=DiagnosticReport:performer",
        "Provenance?_include=Provenance:target&_include=Provenance:patient&_count=1000",
    ],
)
def test_includes_lead_to_no_other_patient(api: Api, patient: str, query: str) -> None:
    assert len(api.get(f"/{query}").json()["entry"]) > 3
    seen = set[str]()
    for page in api.pages(api.get(f"/{query}", "patient").json(), "patient"):
        for entry in page.get("entry", []):
            assert patients_of(entry["resource"]) <= {patient}
            seen.add(entry["resource"]["resourceType"])
    assert seen
    assert "Group" not in seen


def test_group_is_never_reached_from_a_patient_token(api: Api, patient: str) -> None:
    listed = api.get("/Patient?_revinclude=Group:member", "patient")
    assert entries(listed.json(), "include") == []
    assert entries(api.get("/Patient?_revinclude=Group:member&_count=1").json(), "include")
    issue(api.get("/Group?member=" + patient, "patient"), 403)


def test_includes_outside_the_scopes_are_left_out(api: Api) -> None:
    bundle = api.get("/Patient?_revinclude=Appointment:patient", "narrow").json()
    assert [one["resource"]["resourceType"] for one in bundle["entry"]] == ["Patient"]
    bundle = api.get("/Patient?_include=Patient:organization", "narrow").json()
    assert [one["resource"]["resourceType"] for one in bundle["entry"]] == ["Patient"]


# --- granular scopes


def test_a_granular_scope_filters_every_way_in(api: Api, patient: str) -> None:
    whole = api.ids("DiagnosticReport", [("_count", "1000")], "patient")
    assert whole
    assert api.ids("DiagnosticReport", [("_count", "1000")], "radiology") == whole
    assert api.get(f"/DiagnosticReport/{whole[0]}", "radiology").status_code == 200
    assert api.ids("DiagnosticReport", [("_count", "1000")], "laboratory") == []
    assert api.search("DiagnosticReport", "_summary=count", "laboratory")["total"] == 0
    issue(api.get(f"/DiagnosticReport/{whole[0]}", "laboratory"), 404)
    issue(api.get(f"/DiagnosticReport/{whole[0]}/_history/1", "laboratory"), 404)
    issue(api.get(f"/Provenance/DiagnosticReport-{whole[0]}", "laboratory"), 404)
    for query in (
        "_revinclude=DiagnosticReport:patient",
        "_revinclude=DiagnosticReport:subject&_revinclude=Provenance:target",
    ):
        bundle = api.get(f"/Patient?{query}", "laboratory").json()
        kinds = {one["resourceType"] for one in entries(bundle, "include")}
        assert "DiagnosticReport" not in kinds
    with_reports = api.get("/Patient?_revinclude=DiagnosticReport:patient", "radiology").json()
    assert {one["id"] for one in entries(with_reports, "include")} == set(whole)
    targets = {
        target["reference"].partition("/")[0]
        for one in entries(api.search("Provenance", "_count=1000", "laboratory"))
        for target in one["target"]
    }
    assert targets == {"Patient"}


def test_wider_tokens_see_what_narrower_ones_see(api: Api) -> None:
    for name in ("Patient", "Appointment", "DiagnosticReport"):
        everything = set(api.ids(name, "_count=1000"))
        exported = set(api.ids(name, "_count=1000", "backend"))
        own = set(api.ids(name, "_count=1000", "patient"))
        assert own <= exported <= everything, name


def test_next_links_keep_to_the_reach(api: Api, patient: str) -> None:
    first = api.search("Appointment", "_count=1", "patient")
    following = link(first, "next")
    assert following is not None
    for page in api.pages(first, "patient"):
        for one in entries(page):
            assert patients_of(one) == {patient}
    issue(api.get(following), 400)
    issue(api.get(following, "portal"), 400)


# --- mixed scopes and assigned patients


@pytest.mark.parametrize(
    ("who", "everyone", "own"),
    [
        ("launch:launch/patient patient/Appointment.rs user/Patient.rs", "Patient", "Appointment"),
        ("launch:launch/patient user/Patient.rs patient/*.rs", "Patient", "DiagnosticReport"),
        ("launch:launch/patient patient/Patient.rs user/Appointment.rs", "Appointment", "Patient"),
    ],
)
def test_levels_are_joined_type_by_type(
    api: Api, patient: str, other: str, who: str, everyone: str, own: str
) -> None:
    assert api.ids(everyone, "_count=1000", who) == api.ids(everyone, "_count=1000")
    found = entries(api.search(own, "_count=1000", who))
    assert found
    for one in found:
        assert patients_of(one) == {patient}
    naming = {"Patient": "_id", "Appointment": "patient", "DiagnosticReport": "patient"}
    issue(api.get(f"/{own}?{naming[own]}={other}", who), 403)
    wide = api.get(f"/{everyone}?{naming[everyone]}={other}", who)
    assert wide.json()["total"] > 0


def test_a_user_with_assigned_patients_sees_them_only(
    api: Api, demo: RunningDemo, patient: str, other: str
) -> None:
    third = str(api.contract["users"]["patient"]["patient_id"])
    name = f"e2e-assigned-{secrets.token_hex(4)}"
    with operator(demo, "acme") as host:
        host.add_user(name, "a-long-password", patients=(other, third))
    person = {"username": name, "password": "a-long-password"}
    users = {**api.contract["users"], "assigned": person}
    changed = {**demo.contract, "demo": {**demo.demo, "users": users}}
    own = Api(RunningDemo(demo.process, demo.state, demo.port, changed))
    who = "launch:assigned:user/*.rs"
    assert set(own.ids("Patient", "_count=1000", who)) == {other, third}
    for kind in ("Appointment", "DiagnosticReport", "Provenance"):
        found = entries(own.search(kind, "_count=1000", who))
        assert found
        for one in found:
            assert patients_of(one) <= {other, third}
    assert own.get(f"/Patient/{other}", who).status_code == 200
    issue(own.get(f"/Patient/{patient}", who), 404)
    mine = entries(api.search("Appointment", [("patient", patient)]))[0]["id"]
    issue(own.get(f"/Appointment/{mine}", who), 404)
    issue(own.get(f"/Appointment/{mine}/_history", who), 404)
    assert own.search("Appointment", [("patient", patient)], who)["total"] == 0
    assert own.search("Appointment", [("patient", f"{other},{third}")], who)["total"] > 0
    issue(own.get("/Group/all-patients", who), 404)
    assert own.ids("Group", "", who) == []


# --- what is kept of a request


def test_every_access_is_audited_without_its_values(api: Api, demo: RunningDemo) -> None:
    family = str(api.get(f"/Patient/{api.contract['patient_id']}").json()["name"][0]["family"])
    asked = [
        ("GET", f"/Patient?family={family}", "practitioner", "search-type", 200),
        ("GET", f"/Patient/{api.contract['patient_id']}", "patient", "read", 200),
        ("GET", f"/Patient/{api.contract['patient_id']}/_history/1", "patient", "vread", 200),
        ("GET", f"/Patient/{api.contract['other_patient_id']}", "patient", "read", 404),
        ("GET", f"/Appointment?patient={family}", "patient", "search-type", 403),
        ("GET", "/Group/all-patients", "portal", "read", 403),
        ("GET", f"/Patient?birthdate={family}", "practitioner", "search-type", 400),
        ("GET", f"/Group/{api.contract['group_id']}/$export", "backend", "export", 202),
    ]
    ids = []
    for number, (method, path, who, _, status) in enumerate(asked):
        given = f"e2e-audit-{number}-{secrets.token_hex(4)}"
        answer = api.call(method, path, who, headers={"X-Correlation-Id": given})
        assert answer.status_code == status, path
        if status == 202:
            api.call("DELETE", answer.headers["Content-Location"], who)
        ids.append(given)

    def rows() -> dict[str, dict[str, Any]] | None:
        with closing(sqlite3.connect(demo.state / "auth.db")) as database:
            database.row_factory = sqlite3.Row
            marks = ",".join("?" * len(ids))
            query = f"select * from audit_event where correlation_id in ({marks})"
            found = {row["correlation_id"]: dict(row) for row in database.execute(query, ids)}
        return found if len(found) == len(ids) else None

    found = wait_for(rows, 10)
    for given, (_, _, _, interaction, status) in zip(ids, asked, strict=True):
        row = found[given]
        assert (row["interaction"], row["status"]) == (interaction, status)
        assert row["client_id"]
        assert family not in json.dumps(row, default=str)
    assert api.contract["patient_id"] in found[ids[1]]["patients"]
    for log in (demo.state / "logs").glob("*.log"):
        text = log.read_text(errors="replace")
        assert not re.search(rf"\b{re.escape(family)}\b", text)
        assert api.token("patient") not in text


def test_what_holds_patients_data_is_its_owners_alone(api: Api, demo: RunningDemo) -> None:
    api.export("_type=Organization")
    kept = [*demo.state.glob("*.db*"), *(demo.state / "files").rglob("*")]
    assert len(kept) > 4
    for path in kept:
        assert path.stat().st_mode & 0o077 == 0, path.name


# --- bundles


@pytest.mark.parametrize(
    "path",
    [
        "/Patient?_count=5",
        "/Patient?_count=0",
        "/Patient?_id=nobody",
        "/Appointment?_count=20&_include=Appointment:patient&_include=Appointment:location",
        "/DiagnosticReport?_count=20&_revinclude=Provenance:target",
        "/Patient?_count=3&_summary=true",
        "/Appointment?_count=3&_elements=start",
        "/ConceptMap",
    ],
)
def test_bundles_are_valid(api: Api, path: str) -> None:
    bundle = api.get(path, headers={"Prefer": "handling=lenient"}).json()
    if "_summary" not in path and "_elements" not in path:
        assert deep_check(bundle) == []
    for entry in bundle.get("entry", []):
        resource = entry["resource"]
        assert entry["fullUrl"] == f"{api.base}/{resource['resourceType']}/{resource['id']}"
