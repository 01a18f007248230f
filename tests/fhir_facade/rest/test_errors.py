"""Every failure: its status, its OperationOutcome, its headers, in the right order of checks."""

from __future__ import annotations

import io
import json
import sqlite3
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_facade.fhir.validation import deep_check
from fhir_facade.resources.registry import REGISTRY
from tests.support.rest_app import RestApp, base_of
from tests.support.tokens import user_token

DOCTOR = user_token("user/*.rs")
NARROW = user_token("user/Patient.rs user/Observation.rs")


def check_outcome(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status
    assert answer.content_type == "application/fhir+json"
    document: dict[str, Any] = json.loads(answer.data)
    assert document["resourceType"] == "OperationOutcome"
    assert deep_check(document) == []
    correlation = answer.headers["X-Correlation-Id"]
    assert correlation in document["issue"][0]["diagnostics"]
    assert document["issue"][0]["details"]["text"]
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers
    return document


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/Patient/nobody", 404, "not-found"),
        ("GET", "/Nonsense", 404, "not-supported"),
        ("GET", "/Nonsense/1", 404, "not-supported"),
        ("GET", "/patient", 404, "not-supported"),
        ("GET", "/Appointment", 403, "forbidden"),
        ("GET", "/Appointment/a1", 403, "forbidden"),
        ("GET", "/Condition", 403, "forbidden"),
        ("GET", "/Observation", 404, "not-supported"),
        ("GET", "/Observation/1", 404, "not-supported"),
        ("GET", "/Patient?nickname=x", 400, "not-supported"),
        ("GET", "/Patient?birthdate=x", 400, "invalid"),
        ("GET", "/Patient?name=%00", 400, "invalid"),
        ("GET", "/Patient/p1?_format=xml", 406, "not-supported"),
        ("GET", "/metadata?mode=nonsense", 400, "invalid"),
        ("GET", "/metadata?_format=ttl", 406, "not-supported"),
        ("PUT", "/Patient/p1", 405, "not-supported"),
        ("PATCH", "/Patient/p1", 405, "not-supported"),
        ("DELETE", "/Patient/p1", 405, "not-supported"),
        ("POST", "/Patient", 405, "not-supported"),
        ("GET", "/Patient/_search/x/y", 404, "not-supported"),
        ("PUT", "/Nonsense/1", 404, "not-supported"),
        ("POST", "/$validate", 404, "not-supported"),
        ("POST", "/metadata", 405, "not-supported"),
        ("GET", "/a/b/c/d/e", 404, "not-supported"),
        ("POST", "", 415, "not-supported"),
        ("PUT", "", 405, "not-supported"),
        ("GET", "/bulkstatus/none", 404, "not-found"),
        ("DELETE", "/bulkstatus/none", 404, "not-found"),
        ("GET", "/bulkfiles/none/1.Patient.ndjson", 404, "not-found"),
        ("PUT", "/bulkstatus/none", 405, "not-supported"),
    ],
)
def test_failures(calm: RestApp, method: str, path: str, status: int, code: str) -> None:
    (issue,) = check_outcome(calm.request(method, path, NARROW), status)["issue"]
    assert issue["code"] == code
    assert not issue["diagnostics"].startswith(issue["details"]["text"])


@pytest.mark.parametrize(
    "path", ["/Patient", "/Patient/p1", "/Nonsense", "/Condition/1", "/Group/g/$export"]
)
def test_without_a_token_it_is_always_401(calm: RestApp, path: str) -> None:
    answer = calm.get(path)
    document = check_outcome(answer, 401)
    assert document["issue"][0]["code"] == "login"
    assert answer.headers["WWW-Authenticate"] == f'Bearer realm="{base_of("acme")}"'


@pytest.mark.parametrize("value", ["Bearer nonsense", "bearer x.y.z", "Bearer", "Basic dTpw", "é"])
def test_a_bad_token_is_401(calm: RestApp, value: str) -> None:
    answer = calm.get("/Patient", headers={"Authorization": value})
    check_outcome(answer, 401)
    assert 'error="invalid_' in answer.headers["WWW-Authenticate"]


def test_a_refusal_names_the_scope_that_is_missing(calm: RestApp) -> None:
    challenge = calm.get("/Appointment/a1", NARROW).headers["WWW-Authenticate"]
    assert 'error="insufficient_scope"' in challenge
    assert 'scope="user/Appointment.r"' in challenge


def test_unknown_tenants_are_404(calm: RestApp) -> None:
    for path in ("/metadata", "/Patient", "/Patient/1", "/bulkstatus/x"):
        check_outcome(calm.get(path, DOCTOR, tenant="nobody"), 404)


def test_405_lists_what_is_allowed(calm: RestApp) -> None:
    answer = calm.request("PUT", "/Patient/p1", DOCTOR)
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"
    assert (
        "Use one of: GET, HEAD, OPTIONS." in check_outcome(answer, 405)["issue"][0]["diagnostics"]
    )
    answer = calm.get("/Patient/_search?name=x", DOCTOR)
    check_outcome(answer, 405)
    assert answer.headers["Allow"] == "OPTIONS, POST"


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("application/fhir+json", "application/fhir+json"),
        ("*/*", "application/fhir+json"),
        ("application/*", "application/fhir+json"),
        ("application/json", "application/json"),
        ("application/fhir+json;fhirVersion=4.0", "application/fhir+json"),
        ("application/json, application/fhir+json", "application/json"),
        ("application/json;q=0.5, application/fhir+json", "application/fhir+json"),
        ("text/html, application/xml;q=0.9, */*;q=0.8", "application/fhir+json"),
        ("application/fhir+xml, application/fhir+json;q=0.1", "application/fhir+json"),
        ("application/fhir+json; charset=utf-8", "application/fhir+json"),
        ("application/fhir+xml", None),
        ("text/html", None),
        ("application/fhir+json;q=0", None),
        ("application/fhir+json;fhirVersion=3.0", None),
        ("application/fhir+json;q=abc", None),
    ],
)
@pytest.mark.parametrize("path", ["/metadata", "/Patient/p1", "/Patient"])
def test_negotiation(calm: RestApp, path: str, accept: str, media_type: str | None) -> None:
    answer = calm.get(path, DOCTOR, headers={"Accept": accept})
    if media_type is None:
        check_outcome(answer, 406)
    else:
        assert answer.status_code == 200
        assert answer.content_type == media_type


@pytest.mark.parametrize(
    "form", ["json", "application/json", "application/fhir%2Bjson", "application/fhir+json"]
)
def test_format_goes_before_accept(calm: RestApp, form: str) -> None:
    xml = {"Accept": "application/fhir+xml"}
    assert calm.get(f"/Patient/p1?_format={form}", DOCTOR, headers=xml).status_code == 200
    assert calm.get("/Patient?_format=xml", DOCTOR).status_code == 406


def test_preflight_is_for_any_origin(calm: RestApp) -> None:
    asked = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }
    for path in ("/Patient", "/Patient/p1", "/metadata", "/Group/g/$export", "/bulkstatus/x"):
        answer = calm.request("OPTIONS", path, headers=asked)
        assert answer.status_code == 204
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
        assert "GET" in answer.headers["Access-Control-Allow-Methods"]


def test_the_clients_correlation_id_is_kept_when_sane(calm: RestApp) -> None:
    kept = calm.get("/Patient/p1", DOCTOR, headers={"X-Correlation-Id": "trace-0001"})
    assert kept.headers["X-Correlation-Id"] == "trace-0001"
    for bad in ("a b", "x" * 100, "<script>"):
        answer = calm.get("/Patient/x", DOCTOR, headers={"X-Correlation-Id": bad})
        assert answer.headers["X-Correlation-Id"] != bad
        check_outcome(answer, 404)


def test_a_bug_is_a_500_that_tells_nothing(
    calm: RestApp, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("Family1 secret")

    monkeypatch.setattr("fhir_facade.mirror.versions.read", broken)
    document = check_outcome(calm.get("/Patient/p1", DOCTOR), 500)
    assert document["issue"][0]["code"] == "exception"
    assert "secret" not in str(document)
    assert "secret" not in capfd.readouterr().err


def test_a_locked_database_is_503_and_says_when_to_come_back(
    calm: RestApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_: object) -> None:
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr("fhir_facade.mirror.versions.read", locked)
    answer = calm.get("/Patient/p1", DOCTOR)
    document = check_outcome(answer, 503)
    assert document["issue"][0]["code"] == "transient"
    assert answer.headers["Retry-After"] == "5"


def test_a_refusal_stands_when_its_audit_row_is_delayed(
    calm: RestApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_: object) -> None:
        raise sqlite3.OperationalError("database is locked")

    before = len(calm.audited())
    with monkeypatch.context() as patch:
        patch.setattr(calm.audit, "record_now", locked)
        check_outcome(calm.get("/Appointment/a1", NARROW), 403)
    assert len(calm.audited()) == before + 1


PATHS = st.one_of(
    st.sampled_from([f"/{name}" for name in REGISTRY]),
    st.sampled_from([f"/{name}/p1" for name in REGISTRY]),
    st.sampled_from(["/metadata", "/bulkstatus/x", "/bulkfiles/x/1.Patient.ndjson"]),
    st.text(max_size=30).map(lambda text: "/" + text),
)
PARAMETERS = sorted({p.name for d in REGISTRY.values() for p in d.search})
QUERIES = st.one_of(
    st.binary(max_size=60).map(lambda raw: raw.decode("latin-1")),
    st.text(alphabet="ab=&%:,|\\$+20?_-\x00é", max_size=60),
    st.builds(
        "{}{}={}".format,
        st.sampled_from([*PARAMETERS, "_id", "_count", "_cursor", "_include", "_elements"]),
        st.sampled_from(["", ":not", ":missing", ":exact", ":contains", ":Patient"]),
        st.text(alphabet="aA1|,\\%:-TZ+.é/\ud7ff", max_size=30),
    ),
)
HEADER_TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]),
    path=PATHS,
    query=QUERIES,
    headers=st.fixed_dictionaries(
        {},
        optional={
            "Accept": HEADER_TEXT,
            "Prefer": HEADER_TEXT,
            "If-None-Match": HEADER_TEXT,
            "If-Modified-Since": HEADER_TEXT,
            "X-Correlation-Id": HEADER_TEXT,
            "Range": HEADER_TEXT,
            "Content-Type": HEADER_TEXT,
        },
    ),
    body=st.binary(max_size=40),
)
def test_nothing_makes_it_fail(
    calm: RestApp, method: str, path: str, query: str, headers: dict[str, str], body: bytes
) -> None:
    environ = {f"HTTP_{name.upper().replace('-', '_')}": text for name, text in headers.items()}
    environ["HTTP_AUTHORIZATION"] = f"Bearer {calm.tokens.add(DOCTOR)}"
    environ |= {
        "REQUEST_METHOD": method,
        "PATH_INFO": "/fhir/acme" + path.encode("utf-8", "replace").decode("latin-1"),
        "QUERY_STRING": query.encode("utf-8", "replace").decode("latin-1"),
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(body)),
        "CONTENT_TYPE": environ.pop("HTTP_CONTENT_TYPE", ""),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
    }
    seen: list[str] = []
    chunks = calm.app(environ, lambda status, _headers, *_: seen.append(status))  # type: ignore[arg-type, return-value]
    data = b"".join(chunks)
    assert not seen[0].startswith("5"), (seen, data)
    if seen[0][0] == "4" and method not in ("HEAD", "OPTIONS"):
        assert json.loads(data)["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize("path", ["/Patient/p1", "/Patient", "/metadata", "/Nonsense", "/a/b/c/d"])
def test_scripts_of_any_origin_may_read_answers_and_errors(calm: RestApp, path: str) -> None:
    answer = calm.get(path, DOCTOR, headers={"Origin": "https://app.example"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    exposed = answer.headers["Access-Control-Expose-Headers"]
    for name in ("Content-Location", "ETag", "Retry-After", "X-Progress", "WWW-Authenticate"):
        assert name in exposed
    assert "Origin" in answer.headers["Vary"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
