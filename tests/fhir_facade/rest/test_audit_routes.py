"""Every route of the FHIR base that gives data leaves a row, for success and for refusal; a refusal
says what failed and shows no value of the request."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest

from fhir_facade.mirror.groups import GroupDefinition, GroupStore
from fhir_facade.resources.audit_acts import INTERACTIONS
from smart_auth.verify import InvalidToken, VerifiedToken
from tests.support.exports import run_all
from tests.support.published import document, publish_outputs, with_binary
from tests.support.rest_app import RestApp
from tests.support.tokens import backend_token, user_token

DOCTOR = user_token("user/*.cruds", role="admin")
NOTHING = user_token("user/Observation.rs")
BACKEND = backend_token("system/*.rs", whole_tenant=True)
FOREIGN = backend_token("system/*.rs", whole_tenant=True, client_id="other")
PATIENT_1 = user_token(
    "patient/*.rs", patient="p1", whole_tenant=False, patients=["p1"], fhir_user="Patient/p1"
)
ASYNC = {"Prefer": "respond-async", "Accept": "application/fhir+json"}
CANARY = "Zyxwv"


@dataclass(frozen=True)
class Case:
    """A request of a route. `status`: what a good token gets; `refused`: a token that is refused,
    and the step of the refusal."""

    method: str
    path: str
    interaction: str
    token: VerifiedToken = DOCTOR
    status: int = 200
    refused: VerifiedToken | None = NOTHING
    step: str = "scope"
    sent: dict[str, Any] | None = None


FORM = {"data": {"_count": "1"}}
BATCH = {"json": {"resourceType": "Bundle", "type": "batch", "entry": []}}
PERSON = {"json": {"resourceType": "Patient"}}

CASES: dict[str, list[Case]] = {
    "GET /Group/<group_id>/$export": [
        Case("GET", "/Group/all/$export", "export", BACKEND, 202),
        Case("GET", "/Group/all/$export", "export", BACKEND, 202, refused=DOCTOR),
    ],
    "POST /Group/<group_id>/$export": [
        Case("POST", "/Group/all/$export", "export", BACKEND, 202, refused=DOCTOR)
    ],
    "GET /bulkstatus/<job>": [
        Case("GET", "/bulkstatus/{job}", "export-status", BACKEND, refused=FOREIGN, step="other")
    ],
    "DELETE /bulkstatus/<job>": [
        Case("DELETE", "/bulkstatus/{job}", "export-cancel", BACKEND, 202, FOREIGN, "other")
    ],
    "GET /bulkfiles/<job>/<name>": [
        Case("GET", "/bulkfiles/{job}/{file}", "export-file", BACKEND, 200, FOREIGN, "other")
    ],
    "GET ": [Case("GET", "?_type=Patient", "search-system")],
    "GET /": [Case("GET", "/?_type=Patient", "search-system")],
    "POST ": [Case("POST", "", "batch", refused=None, sent=BATCH)],
    "POST /": [Case("POST", "/", "batch", refused=None, sent=BATCH)],
    "POST /_search": [Case("POST", "/_search?_type=Patient", "search-system", sent=FORM)],
    "GET /_history": [Case("GET", "/_history", "history-system", refused=None)],
    "GET /<resource_type>": [
        Case("GET", "/Patient", "search-type"),
        Case("GET", "/AuditEvent", "search-type"),
        Case("GET", "/ConceptMap", "search-type"),
    ],
    "GET /<resource_type>/_history": [Case("GET", "/Patient/_history", "history-type")],
    "POST /<resource_type>/_search": [
        Case("POST", "/Patient/_search", "search-type", sent=FORM),
    ],
    "GET /Patient/<patient_id>/<resource_type>": [
        Case("GET", "/Patient/p1/Appointment", "search-type")
    ],
    "POST /Patient/<patient_id>/<resource_type>/_search": [
        Case("POST", "/Patient/p1/Appointment/_search", "search-type", sent=FORM)
    ],
    "GET /Patient/<patient_id>/*": [Case("GET", "/Patient/p1/*", "search-system")],
    "POST /Patient/<patient_id>/_search": [
        Case("POST", "/Patient/p1/_search", "search-system", sent=FORM)
    ],
    "GET /<resource_type>/<resource_id>": [
        Case("GET", "/Patient/p1", "read"),
        Case("GET", "/Patient/p2", "read", refused=PATIENT_1, step="compartment"),
    ],
    "GET /<resource_type>/<resource_id>/_history": [
        Case("GET", "/Patient/p1/_history", "history-instance"),
        Case("GET", "/Patient/p2/_history", "history-instance", DOCTOR, 200, PATIENT_1,
             "compartment"),
    ],
    "GET /<resource_type>/<resource_id>/_history/<version>": [
        Case("GET", "/Patient/p1/_history/1", "vread"),
        Case("GET", "/Patient/p2/_history/1", "vread", refused=PATIENT_1, step="compartment"),
    ],
    "GET /Binary/<resource_id>": [
        Case("GET", "/Binary/b1?_summary=true", "read"),
        Case("GET", "/Binary/b1?_summary=true", "read", refused=PATIENT_1, step="compartment"),
    ],
    "GET /Patient/$everything": [Case("GET", "/Patient/$everything", "operation-everything")],
    "POST /Patient/$everything": [Case("POST", "/Patient/$everything", "operation-everything")],
    "GET /Patient/<patient_id>/$everything": [
        Case("GET", "/Patient/p1/$everything", "operation-everything")
    ],
    "POST /Patient/<patient_id>/$everything": [
        Case("POST", "/Patient/p1/$everything", "operation-everything")
    ],
    "GET /DocumentReference/$docref": [
        Case("GET", "/DocumentReference/$docref?patient=p1", "operation-docref")
    ],
    "POST /DocumentReference/$docref": [
        Case("POST", "/DocumentReference/$docref?patient=p1", "operation-docref")
    ],
    "POST /<resource_type>/$validate": [
        Case("POST", "/Patient/$validate", "operation-validate", refused=None, sent=PERSON)
    ],
    "POST /<resource_type>/<resource_id>/$validate": [
        Case("POST", "/Patient/p1/$validate", "operation-validate", refused=None, sent=PERSON)
    ],
}  # fmt: skip
WITHOUT_DATA = {"GET /metadata", "GET /openapi.json", "GET /docs", "GET /healthz", "GET /readyz"}


def test_every_route_is_here(calm: RestApp) -> None:
    routes = {
        f"{method} {re.sub('<[a-z_]+:', '<', rule.rule.removeprefix('/fhir/<tenant>'))}"
        for rule in calm.app.url_map.iter_rules()
        if rule.endpoint != "static"
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert routes == set(CASES) | WITHOUT_DATA
    assert {case.interaction for cases in CASES.values() for case in cases} == set(INTERACTIONS) - {
        "other"
    }


@pytest.fixture
def exported(rest: RestApp) -> dict[str, str]:
    """A finished export: its job and a file of it."""
    publish_outputs(rest.database, with_binary(1, document(1, of_patient=2)))
    groups = GroupStore(rest.database)
    groups.define("acme", GroupDefinition("all", "Everybody", "tenant"))
    groups.refresh("acme")
    accepted = rest.get("/Group/all/$export?_type=Patient", BACKEND, headers=ASYNC)
    job = accepted.headers["Content-Location"].rpartition("/")[2]
    run_all(rest.bulk)
    rest.audited()
    return {"job": job, "file": "1.Patient.ndjson"}


@pytest.mark.parametrize(
    "case",
    [case for cases in CASES.values() for case in cases],
    ids=lambda c: f"{c.method} {c.path}",
)
def test_success_and_refusal_leave_a_row(
    rest: RestApp, exported: dict[str, str], case: Case
) -> None:
    for token, step in ((case.token, None), (case.refused, case.step)):
        if token is None:
            continue
        before = {row["pk"] for row in rest.audited()}
        answer = send(rest, case, exported, token)
        (row,) = (row for row in rest.audited() if row["pk"] not in before)
        assert row["status"] == answer.status_code
        assert (row["client_id"], row["user_id"]) == (token.client_id, token.user_id)
        assert row["interaction"] == case.interaction
        assert row["step"] == step
        assert row["correlation_id"] == answer.headers["X-Correlation-Id"]
        if step is None:
            assert answer.status_code == case.status
            assert row["outcome"] == "success"
        else:
            assert answer.status_code in (403, 404)
            assert row["error"]
            assert row["text"]
            assert row["expected"]
            assert row["received"]


def send(rest: RestApp, case: Case, exported: dict[str, str], token: VerifiedToken | None) -> Any:
    headers = ASYNC if case.interaction == "export" else {}
    path = case.path.format(**exported)
    return rest.request(case.method, path, token, headers, **(case.sent or {}))


@pytest.mark.parametrize(
    "case", [cases[0] for cases in CASES.values()], ids=lambda c: f"{c.method} {c.path}"
)
def test_a_request_without_a_good_token_leaves_one(calm: RestApp, case: Case) -> None:
    before = {row["pk"] for row in calm.audited()}
    answer = send(calm, case, {"job": "0" * 32, "file": "1.Patient.ndjson"}, None)
    assert answer.status_code == 401
    (row,) = (row for row in calm.audited() if row["pk"] not in before)
    assert (row["outcome"], row["status"], row["reason"]) == ("refused", 401, "no bearer token")
    assert (row["client_id"], row["step"]) == (None, None)


def test_a_token_that_was_good_once_is_in_the_trace_of_its_app(
    calm: RestApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    def revoked(_tenant: str, _token: str) -> VerifiedToken:
        raise InvalidToken("revoked", "app")

    monkeypatch.setattr(calm.tokens, "verify", revoked)
    calm.get("/Patient", DOCTOR)
    row = calm.audited()[0]
    assert (row["client_id"], row["step"], row["received"]) == ("app", "token", "revoked")


@pytest.mark.parametrize(
    ("path", "token", "expected"),
    [
        ("/Group", PATIENT_1, ("scope", "Ask for the scope user/Group.s.", "patient/*.rs")),
        (
            "/Appointment?patient=p2",
            PATIENT_1,
            ("compartment", "the patient of this launch", "another patient"),
        ),
        (
            "/Patient?_count=x",
            DOCTOR,
            ("request", "'_count' must be a whole number, 0 or more.", ""),
        ),
        ("/Patient?birthdate=x", DOCTOR, None),
        ("/Patient/p1/$nothing", DOCTOR, ("request", None, "")),
    ],
)
def test_a_refusal_says_what_to_do(
    calm: RestApp, path: str, token: VerifiedToken, expected: tuple[str, str | None, str] | None
) -> None:
    calm.get(path, token)
    row = calm.audited()[0]
    assert row["step"] is not None
    if expected is not None:
        step, wanted, received = expected
        assert row["step"] == step
        assert wanted is None or row["expected"] == wanted
        assert row["received"] == received


def test_out_of_reach_and_absent_look_the_same_to_the_app_and_differ_to_operators(
    calm: RestApp,
) -> None:
    for path in ("/Patient/p2", "/Patient/absent"):
        calm.get(path, PATIENT_1)
    absent, hidden = calm.audited()[:2]
    shown = ("step", "error", "text", "expected", "received", "status")
    assert [absent[name] for name in shown] == [hidden[name] for name in shown]
    assert (hidden["outcome"], hidden["reason"]) == ("refused", "out of reach")
    assert (absent["outcome"], absent["reason"]) == ("error", "not-found")


@pytest.mark.parametrize(
    "path",
    [
        f"/Patient?{CANARY}=1",
        f"/Patient?{CANARY}=",
        f"/Patient?name:{CANARY}=1",
        f"/Patient?name.{CANARY}=",
        f"/Patient?general-practitioner.{CANARY}=1",
        f"/Patient?_has:{CANARY}:patient:x=1",
        f"/Patient?_sort={CANARY}",
        f"/Patient?_include={CANARY}",
        f"/Patient?_count={CANARY}",
        f"/Patient?name={CANARY}&birthdate=1980-05-01",
        f"/Patient?name={CANARY}&_cursor={CANARY}",
        f"/{CANARY}/1",
        f"/{CANARY}?name={CANARY}",
        f"/Patient?_elements={CANARY}",
        f"/Patient/_history?_since={CANARY}",
        f"/Group/a {CANARY}/$export",
        f"/Group/all/$export?{CANARY}={CANARY}",
        f"/bulkstatus/{CANARY}",
        f"/bulkfiles/{CANARY}/{CANARY}",
        f"?_type={CANARY}",
        f"?_type=Patient&name={CANARY}",
        f"/Patient/p1?_elements={CANARY}",
        f"/Patient/$everything?_type={CANARY}",
    ],
)
@pytest.mark.parametrize("prefer", ["", "handling=lenient"])
def test_no_row_holds_what_was_asked(calm: RestApp, path: str, prefer: str) -> None:
    before = {row["pk"] for row in calm.audited()}
    for token in (DOCTOR, BACKEND, PATIENT_1, None):
        calm.get(path, token, headers={"Prefer": prefer, "Accept": "*/*"})
    rows = [row for row in calm.audited() if row["pk"] not in before]
    assert rows
    assert CANARY not in str(rows)
    assert "1980-05" not in str(rows)
