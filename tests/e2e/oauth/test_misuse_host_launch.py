"""Misuse of the launches a host EHR orders in one call, and of the tickets its users follow."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.support.demo_tokens import http_session
from tests.support.oauth_browser import OwnBrowser
from tests.support.oauth_checks import SEEN, log_in
from tests.support.oauth_flow import BackendFlow, OAuthFlow, basic
from tests.support.oauth_kit import KitApp, register


def ehr(flow: OAuthFlow) -> dict[str, str]:
    client = flow.demo.demo["host_ehr"]
    return {"Authorization": basic(client["client_id"], client["client_secret"])}


def document(flow: OAuthFlow, **changes: Any) -> dict[str, Any]:
    demo = flow.demo.demo
    good = {
        "user": demo["users"]["practitioner"]["username"],
        "client_id": demo["clients"]["public"]["client_id"],
        "patient": demo["patient_id"],
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def order(flow: OAuthFlow, **changes: Any) -> requests.Response:
    answer = flow.post("launch", None, json=document(flow, **changes), headers=ehr(flow))
    if answer.status_code == 201:
        ticket = answer.json()["open_url"].rpartition("=")[2]
        SEEN.update((answer.json()["launch"], ticket))
    return answer


# --- who may ask ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "caller",
    ["nobody", "public", "confidential", "service", "wrong secret", "bearer", "fresh app", "empty"],
)
def test_only_a_host_ehr_orders_launches(
    flow: OAuthFlow, granted: dict[str, Any], caller: str
) -> None:
    demo = flow.demo.demo
    confidential = demo["clients"]["confidential"]
    more: dict[str, Any] = {}
    headers = {
        "confidential": {
            "Authorization": basic(confidential["client_id"], confidential["client_secret"])
        },
        "wrong secret": {"Authorization": basic(demo["host_ehr"]["client_id"], "wrong")},
        "bearer": {"Authorization": f"Bearer {granted['access_token']}"},
        "empty": {"Authorization": basic(demo["host_ehr"]["client_id"], "")},
    }.get(caller, {})
    if caller == "service":
        service = BackendFlow(flow)
        more = {
            "client_assertion": service.assertion(),
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        }
    if caller == "fresh app":
        app = register(flow, "client_secret_basic", may_launch=True)
        _, headers = app.credentials()
    answer = flow.post("launch", None, json={**document(flow), **more}, headers=headers)
    assert answer.status_code in (401, 403)
    assert "launch" not in answer.json()


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_only_by_post(flow: OAuthFlow, method: str) -> None:
    url = f"{flow.base}/auth/launch"
    assert flow.http.request(method, url, headers=ehr(flow), timeout=30).status_code == 405


# --- what may be asked ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"user": "nobody"},
        {"user": None},
        {"user": "practitioner", "fhirUser": "Practitioner/x"},
        {"user": ""},
        {"user": 7},
        {"user": ["practitioner"]},
        {"user": "a\0b"},
        {"user": None, "fhirUser": "Practitioner/nobody"},
        {"user": None, "fhirUser": "https://evil.example/Practitioner/x"},
        {"user": None, "fhirUser": "../x"},
        {"client_id": None},
        {"client_id": "nobody"},
        {"client_id": "acme-backend"},
        {"client_id": "acme-confidential-app"},
        {"client_id": "acme-ehr"},
        {"client_id": ["acme-public-app"]},
        {"patient": "nobody"},
        {"patient": "Patient/x"},
        {"patient": "../x"},
        {"patient": ""},
        {"patient": 7},
        {"patient": "a b"},
        {"encounter": "nobody"},
        {"encounter": "../x"},
        {"fhirContext": {"reference": "DiagnosticReport/x"}},
        {"fhirContext": ["DiagnosticReport/x"]},
        {"fhirContext": [{}]},
        {"fhirContext": [{"reference": "DiagnosticReport/nobody"}]},
        {"fhirContext": [{"reference": "https://evil.example/DiagnosticReport/x"}]},
        {"fhirContext": [{"reference": "javascript:alert(1)"}]},
        {"fhirContext": [{"reference": "DiagnosticReport/x", "extra": 1}]},
        {"fhirContext": [{"identifier": "x"}]},
        {"fhirContext": [{"canonical": ["x"]}]},
        {"fhirContext": [{"type": "Patient"}]},
        {"fhirContext": [{"canonical": "x"}] * 100},
        {"fhirContext": "x"},
        {"need_patient_banner": "false"},
        {"need_patient_banner": 0},
        {"intent": {"a": 1}},
        {"intent": "x" * 5000},
        {"intent": "a\r\nb"},
        {"redirect_uri": "https://evil.example/"},
        {"launch_uri": "https://evil.example/"},
        {"scope": "user/*.rs"},
        {"tenant": "zenith"},
    ],
    ids=lambda changes: repr(changes)[:70],
)
def test_no_such_launch(flow: OAuthFlow, changes: dict[str, Any]) -> None:
    answer = order(flow, **changes)
    assert answer.status_code in (400, 403)
    assert answer.json()["error"] in ("invalid_request", "access_denied")
    assert answer.json()["error_description"]
    assert "launch" not in answer.json()


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b""),
        ("application/json", b"[]"),
        ("application/json", b'"x"'),
        ("application/json", b"{"),
        ("application/json", b"\xff"),
        ("application/json", b'{"user": "practitioner", "user": "admin"}'),
        ("text/plain", b'{"user": "practitioner"}'),
        ("application/x-www-form-urlencoded", b"user=practitioner"),
        ("", b'{"user": "practitioner"}'),
    ],
)
def test_no_such_body(flow: OAuthFlow, kind: str, body: bytes) -> None:
    answer = flow.post("launch", body, headers={**ehr(flow), "Content-Type": kind})
    assert answer.status_code == 400


def test_a_patients_launch_is_of_that_patient(flow: OAuthFlow) -> None:
    patient = flow.demo.demo["users"]["patient"]
    own = order(flow, user=patient["username"], patient=patient["patient_id"])
    assert own.status_code == 201
    assert order(flow, user=patient["username"]).status_code == 403


def test_a_report_of_another_patient_is_no_context(flow: OAuthFlow) -> None:
    demo = flow.demo.demo
    token = flow.tokens("launch patient/DiagnosticReport.rs")["access_token"]
    found = flow.fhir(f"DiagnosticReport?patient={demo['patient_id']}&_count=1", token).json()
    reference = f"DiagnosticReport/{found['entry'][0]['resource']['id']}"
    context = [{"reference": reference}]
    assert order(flow, fhirContext=context).status_code == 201
    assert order(flow, fhirContext=context, patient=demo["other_patient_id"]).status_code == 400
    assert order(flow, fhirContext=context, patient=None).status_code == 400


# --- tickets --------------------------------------------------------------------------------------


def test_a_ticket_leads_to_the_apps_own_address(flow: OAuthFlow) -> None:
    made = order(flow).json()
    with OwnBrowser(stop_at="http://localhost:8765") as browser:
        browser.open(made["open_url"] + "&launch_uri=https://evil.example&next=//evil.example")
        assert browser.url.startswith(flow.demo.demo["clients"]["public"]["launch_url"] + "?")
        told = parse_qs(urlsplit(browser.url).query)
    assert told == {"iss": [flow.base], "launch": [made["launch"]]}


@pytest.mark.parametrize("value", ["", "x", "a" * 43, "..", "%00", "' OR 1=1 --", "\u00e9"])
def test_a_made_up_ticket_opens_nothing(flow: OAuthFlow, value: str) -> None:
    answer = flow.get(f"{flow.base}/auth/open?ticket={value}")
    assert answer.status_code == 400
    assert "smart_session" not in answer.headers.get("Set-Cookie", "")


@pytest.mark.parametrize("method", ["HEAD", "POST", "OPTIONS", "PUT"])
def test_a_ticket_is_not_used_up_by_looking(flow: OAuthFlow, method: str) -> None:
    """Mail and chat programs look at links before people do."""
    url = order(flow).json()["open_url"]
    with http_session() as own:
        answer = own.request(method, url, allow_redirects=False, timeout=30)
        assert "smart_session" not in answer.headers.get("Set-Cookie", "")
        assert own.get(url, allow_redirects=False, timeout=30).status_code == 303


def test_a_launch_value_alone_logs_nobody_in(flow: OAuthFlow) -> None:
    """Whoever sees the launch in an address still has to log in, and as the right person."""
    made = order(flow).json()
    sent, _ = flow.query(launch=made["launch"], scope="launch patient/Patient.r")
    with OwnBrowser(stop_at=flow.redirect_uri) as browser:
        browser.open(flow.authorize_url(sent))
        assert "password" in browser.text
        log_in(browser, flow.demo.demo["users"]["patient"])
        assert "error=access_denied" in browser.url


def test_a_ticket_does_not_open_a_launch_of_another_app(flow: OAuthFlow) -> None:
    made = order(flow).json()
    app: KitApp = register(flow, "none")
    sent, _ = flow.query(
        client_id=app.client_id,
        redirect_uri="https://kit.example/redirect",
        launch=made["launch"],
        scope="launch patient/Patient.r",
    )
    assert "error=invalid_request" in flow.get(flow.authorize_url(sent)).headers["Location"]


def test_another_persons_ticket_ends_the_session_before(flow: OAuthFlow) -> None:
    """A browser never has two people in it."""
    with OwnBrowser(stop_at="http://localhost:8765") as browser:
        browser.open(f"{flow.base}/auth/manage")
        log_in(browser, flow.demo.demo["users"]["patient"])
        before = browser.cookie("smart_session")
        browser.open(order(flow).json()["open_url"])
        after = browser.cookie("smart_session")
    assert before != after
    answer = flow.get(f"{flow.base}/auth/manage", headers={"Cookie": f"smart_session={before}"})
    assert "password" in answer.text
