"""The audit trail of a running demo: operators read it over FHIR, nobody else does, and what people
and apps sent stands nowhere in it, nor in databases and logs."""

from __future__ import annotations

import copy
import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
import requests

from fhir_facade.fhir.validation import deep_check
from tests.support.demo import RunningDemo
from tests.support.demo_tokens import backend_token, http_session, launch_token

CANARY = f"Canary{secrets.token_hex(6)}"
BIRTH_DATE = "1903-02-27"
SCOPE = "launch/patient patient/*.rs user/*.rs user/AuditEvent.rs"
REDIRECT = "http://localhost:8999/operator.html"


@pytest.fixture(scope="module")
def http() -> Iterator[requests.Session]:
    with http_session() as session:
        yield session


def get(
    http: requests.Session, demo: RunningDemo, path: str, token: str, **headers: str
) -> requests.Response:
    return http.get(
        f"{demo.base}{path}", headers={"Authorization": f"Bearer {token}", **headers}, timeout=30
    )


@pytest.fixture(scope="module")
def wide(http: requests.Session, demo: RunningDemo) -> RunningDemo:
    """The demo with an app in place of its public one that may ask for more."""
    metadata = {
        "client_name": "Trail",
        "redirect_uris": [REDIRECT],
        "token_endpoint_auth_method": "none",
        "scope": SCOPE,
    }
    made = http.post(f"{demo.base}/auth/register", json=metadata, timeout=30)
    assert made.status_code == 201, made.text
    contract = copy.deepcopy(demo.contract)
    app = {"client_id": made.json()["client_id"], "redirect_uri": REDIRECT}
    contract["demo"]["clients"]["public"] = app
    contract["demo"]["users"]["admin"] = contract["demo"]["admin"]
    return replace(demo, contract=contract)


@pytest.fixture(scope="module")
def operator(wide: RunningDemo) -> str:
    """The token of an administrator's launch."""
    return str(launch_token(wide, "user/AuditEvent.rs", user="admin")["access_token"])


def events(
    http: requests.Session, demo: RunningDemo, token: str, query: str, enough: int = 1
) -> list[dict[str, Any]]:
    """The events a search finds, once there are enough: they are there within a second."""
    deadline = time.monotonic() + 15
    while True:
        answer = get(http, demo, f"/AuditEvent?{query}", token)
        assert answer.status_code == 200, answer.text
        found = [entry["resource"] for entry in answer.json().get("entry", ())]
        if len(found) >= enough or time.monotonic() > deadline:
            return found
        time.sleep(0.2)


def test_an_operator_follows_a_request(
    http: requests.Session, demo: RunningDemo, operator: str
) -> None:
    patient = demo.demo["patient_id"]
    token = launch_token(demo, "launch/patient patient/Patient.rs", patient=patient)
    named = f"follow-{secrets.token_hex(6)}"
    get(http, demo, f"/Patient/{patient}", token["access_token"], **{"X-Correlation-Id": named})
    (event,) = events(http, demo, operator, f"correlation-id={named}")
    assert deep_check(event) == []
    assert (event["action"], event["outcome"]) == ("R", "0")
    assert {"reference": f"Patient/{patient}"} in [one.get("what") for one in event["entity"]]
    person = event["agent"][0]["altId"]
    acts = events(http, demo, operator, f"altid={person}&_count=200", enough=3)
    words = {code["code"] for act in acts for code in act["subtype"]}
    assert {"read", "login", "consent", "token"} <= words


def test_nobody_else_sees_an_event(http: requests.Session, wide: RunningDemo) -> None:
    doctor = launch_token(wide, "user/*.rs user/AuditEvent.rs")["access_token"]
    patient = launch_token(wide, SCOPE, user="patient")["access_token"]
    for token in (doctor, patient, backend_token(wide)):
        assert get(http, wide, "/AuditEvent", token).status_code == 403


def test_what_was_sent_stands_nowhere(
    http: requests.Session, wide: RunningDemo, operator: str
) -> None:
    demo = wide
    token = launch_token(demo, "user/*.rs")["access_token"]
    named = f"canary-{secrets.token_hex(6)}"
    paths = [
        f"/Patient?name={CANARY}&birthdate={BIRTH_DATE}",
        f"/Patient?{CANARY}=1",
        f"/Patient?_sort={CANARY}",
        f"/Appointment?patient={CANARY}",
        f"/{CANARY}?name={CANARY}",
        f"/Group/{quote(CANARY + ' ')}/$export",
        f"/bulkstatus/{CANARY}",
    ]
    for path in paths:
        get(http, demo, path, token, **{"X-Correlation-Id": named})
    get(http, demo, "/Patient", CANARY, **{"X-Correlation-Id": named})
    body = {"name": CANARY, "birthdate": BIRTH_DATE}
    headers = {"Authorization": f"Bearer {token}", "X-Correlation-Id": named}
    http.post(f"{demo.base}/Patient/_search", data=body, headers=headers, timeout=30)
    form = {
        "grant_type": "authorization_code",
        "client_id": demo.demo["clients"]["public"]["client_id"],
        "code": CANARY,
        "code_verifier": CANARY,
        "refresh_token": CANARY,
        "token": CANARY,
        "username": CANARY,
    }
    for endpoint in ("token", "revoke", "introspect", "register"):
        http.post(f"{demo.base}/auth/{endpoint}", data=form, headers=headers, timeout=30)
    query = f"state={CANARY}&nonce={CANARY}&login_hint={CANARY}&response_type=code"
    http.get(
        f"{demo.base}/auth/authorize?client_id={form['client_id']}&{query}",
        headers={"X-Correlation-Id": named},
        timeout=30,
        allow_redirects=False,
    )
    found = events(http, demo, operator, f"correlation-id={named}&_count=200", len(paths) + 2)
    assert len(found) >= len(paths) + 2
    shown = json.dumps(found)
    kept = [
        *demo.state.glob("auth.db*"),
        *demo.state.glob("mirror.db*"),
        *demo.state.rglob("*.log"),
        demo.state / "demo.out",
    ]
    assert len(kept) > 3
    for secret in (CANARY, BIRTH_DATE, token):
        assert secret not in shown
        for path in kept:
            assert secret.encode() not in path.read_bytes(), path.name
